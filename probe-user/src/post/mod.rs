//! One HTTP request to the outside, as every way out makes it: who is asked, how long, and what the answer means.
//!
//! Redirects are not followed and proxies of the environment not used: what is sent goes where the configuration says. An
//! answer's body is of no interest; a little of it is read to keep the connection. No error shows a URL, for that may hold
//! a password.

pub(crate) mod rota;
pub(crate) mod secret;

use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{RequestBuilder, Response, StatusCode, redirect};

/// So much of an answer's body is read, and for no longer than that.
const DRAIN_BYTES: usize = 64 << 10;
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is the other side's now.
    Accepted,
    /// It is the other side's now but for so many records, which it will never take.
    #[expect(dead_code, reason = "NDJSON has no such answer, OTLP has")]
    Partial {
        /// How many.
        rejected: u64,
        /// For logs and status; without secrets.
        why: String,
    },
    /// Send it again, not before this wait where the other side asked for one.
    Retry {
        /// For logs and status; without secrets.
        why: String,
        /// Retry-After.
        after: Option<Duration>,
    },
    /// Too large as it is.
    TooLarge,
    /// Never send it again.
    Rejected {
        /// For logs and status.
        why: String,
    },
}

/// A client with these times. The system's root certificates are loaded only for TLS.
pub(crate) fn client(connect: Duration, request: Duration, tls: bool) -> Result<reqwest::Client, String> {
    // Fails when a provider is installed already: then that one is used.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("procprobe/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .no_proxy()
        .connect_timeout(connect)
        .timeout(request)
        .pool_max_idle_per_host(1)
        .pool_idle_timeout(Duration::from_mins(2));
    if !tls {
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|error| chain(&error))
}

/// Sends it; the status is `None` where no answer came.
pub(crate) async fn send(request: RequestBuilder) -> (Option<StatusCode>, Outcome) {
    match request.send().await {
        Ok(response) => {
            let status = response.status();
            let outcome = judge(status, retry_after(&response));
            drain(response).await;
            (Some(status), outcome)
        }
        Err(error) => (None, Outcome::Retry { why: chain(&error.without_url()), after: None }),
    }
}

/// What a status means.
fn judge(status: StatusCode, after: Option<Duration>) -> Outcome {
    let why = format!("HTTP {status}");
    match status {
        _ if status.is_success() => Outcome::Accepted,
        StatusCode::PAYLOAD_TOO_LARGE => Outcome::TooLarge,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Outcome::Retry { why, after },
        _ if status.is_client_error() => Outcome::Rejected { why },
        // Redirects too: a wrong URL is put right by people, and the events should still be there then.
        _ => Outcome::Retry { why, after },
    }
}

/// Seconds, or a date.
fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Duration::try_from(date.duration_since(jiff::Timestamp::now())).ok()
}

async fn drain(mut response: Response) {
    let _ = tokio::time::timeout(DRAIN_TIME, async {
        let mut read = 0;
        while let Ok(Some(chunk)) = response.chunk().await {
            read += chunk.len();
            if read > DRAIN_BYTES {
                break;
            }
        }
    })
    .await;
}

/// An error with its causes: reqwest's own sentence alone says little.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let sentence = error.to_string();
        if !text.ends_with(&sentence) {
            text.push_str(": ");
            text.push_str(&sentence);
        }
        cause = error.source();
    }
    crate::event::clean(&text)
}
