//! One HTTP request to the outside, as every way out makes it: who is asked, how long, and what the answer means.
//!
//! Redirects are not followed: what is sent goes where the configuration says. Of an answer's body a bounded part is
//! read, for a bounded time; where it is of interest at all, the status counts more. No error shows a URL, for that may
//! hold a password.

pub(crate) mod rota;
pub(crate) mod secret;

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{ClientBuilder, RequestBuilder, Response, StatusCode, redirect};

/// So much of an answer's body is read, and for no longer than that.
const BODY_BYTES: usize = 64 << 10;
const BODY_TIME: Duration = Duration::from_secs(1);

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is the other side's now.
    Accepted,
    /// It is the other side's now but for so many records, which it will never take.
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
    /// Its own fault, as it says, or that of what it was sent: send it again, but not for ever if others are taken.
    Broke {
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

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// Retry-After.
    pub(crate) after: Option<Duration>,
    pub(crate) content_type: Option<String>,
    /// `None`: it did not end within what is read of it.
    pub(crate) body: Option<Vec<u8>>,
}

/// A client with these times, for https where the caller adds what that takes.
pub(crate) fn builder(connect: Duration, request: Duration) -> ClientBuilder {
    // Fails when a provider is installed already: then that one is used.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(concat!("procprobe/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .connect_timeout(connect)
        .timeout(request)
        .pool_max_idle_per_host(1)
        .pool_idle_timeout(Duration::from_mins(2))
}

/// A client that goes past the environment's proxies. The system's root certificates are loaded only for TLS.
pub(crate) fn client(connect: Duration, request: Duration, tls: bool) -> Result<reqwest::Client, String> {
    let mut builder = builder(connect, request).no_proxy();
    if !tls {
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|error| chain(&error))
}

/// Sends it; the status is `None` where no answer came.
pub(crate) async fn send(request: RequestBuilder) -> (Option<StatusCode>, Outcome) {
    match request.send().await {
        Ok(response) => {
            let answer = read(response).await;
            (Some(answer.status), answer.outcome())
        }
        Err(error) => (None, Outcome::Retry { why: chain(&error.without_url()), after: None }),
    }
}

/// Takes in what is of interest in an answer.
pub(crate) async fn read(mut response: Response) -> Answer {
    let text = |name| Some(response.headers().get(name)?.to_str().ok()?.trim().to_owned());
    let mut answer = Answer {
        status: response.status(),
        after: text(RETRY_AFTER).and_then(|text| wait(&text)),
        content_type: text(CONTENT_TYPE),
        body: None,
    };
    let body = tokio::time::timeout(BODY_TIME, async {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.ok()? {
            body.extend_from_slice(&chunk);
            if body.len() > BODY_BYTES {
                return None;
            }
        }
        Some(body)
    });
    answer.body = body.await.ok().flatten();
    answer
}

impl Answer {
    /// What the status means.
    pub(crate) fn outcome(&self) -> Outcome {
        let why = format!("HTTP {}", self.status);
        match self.status {
            status if status.is_success() => Outcome::Accepted,
            StatusCode::PAYLOAD_TOO_LARGE => Outcome::TooLarge,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Outcome::Retry { why, after: self.after },
            status if status.is_client_error() => Outcome::Rejected { why },
            // What stands in front of it says that it is not there; anything else it says itself.
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                Outcome::Retry { why, after: self.after }
            }
            status if status.is_server_error() => Outcome::Broke { why, after: self.after },
            // Redirects too: a wrong URL is put right by people, and the events should still be there then.
            _ => Outcome::Retry { why, after: self.after },
        }
    }
}

/// Seconds, or a date.
fn wait(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Duration::try_from(date.duration_since(jiff::Timestamp::now())).ok()
}

/// An error with its causes: reqwest's own sentence alone says little.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
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
