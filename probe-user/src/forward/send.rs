//! One request: a body to a URL, and what the answer means for it.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Response, StatusCode, redirect};

use super::{Endpoint, Settings};

/// A token is one line; more is a wrong file.
const TOKEN_MAX: u64 = 16 << 10;
/// An answer's body is of no interest: so much is read to keep the connection, and for no longer than that.
const DRAIN_BYTES: usize = 64 << 10;
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// Why forwarding cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No token in the file.
    #[error("collector.token_file {}: {why}", .path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// TLS could not be set up.
    #[error("the collector's client: {0}")]
    Client(String),
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is the collector's now.
    Accepted,
    /// Send it again, not before this wait where the collector asked for one.
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

/// An HTTP client for one collector.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    token_file: Option<PathBuf>,
    token: Option<HeaderValue>,
}

impl Client {
    /// Ready to send; loads the system's root certificates only when a URL needs them.
    pub fn new(settings: &Settings) -> Result<Self, StartError> {
        // Fails when a provider is installed already: then that one is used.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("procprobe/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(settings.limits.connect_timeout)
            .timeout(settings.limits.request_timeout)
            .pool_max_idle_per_host(1)
            .pool_idle_timeout(Duration::from_mins(2));
        if !settings.endpoints.iter().any(Endpoint::is_https) {
            builder = builder.tls_certs_only([]);
        }
        let http = builder.build().map_err(|error| StartError::Client(chain(&error)))?;
        let token = settings.token_file.as_deref().map(read_token).transpose()?;
        Ok(Self { http, token_file: settings.token_file.clone(), token })
    }

    /// Posts one body; a 401 reads the token again and tries once more when it is another one.
    pub(super) async fn send(&mut self, endpoint: &Endpoint, body: Bytes) -> Outcome {
        let outcome = self.post(endpoint, body.clone()).await;
        if matches!(&outcome, (Some(StatusCode::UNAUTHORIZED), _)) && self.token_changed() {
            return self.post(endpoint, body).await.1;
        }
        outcome.1
    }

    async fn post(&self, endpoint: &Endpoint, body: Bytes) -> (Option<StatusCode>, Outcome) {
        let mut request = self.http.post(endpoint.url()).header(CONTENT_TYPE, "application/x-ndjson").body(body);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.clone());
        }
        match request.send().await {
            Ok(response) => {
                let outcome = judge(response.status(), retry_after(&response));
                let status = response.status();
                drain(response).await;
                (Some(status), outcome)
            }
            Err(error) => (None, Outcome::Retry { why: chain(&error.without_url()), after: None }),
        }
    }

    fn token_changed(&mut self) -> bool {
        let Some(Ok(token)) = self.token_file.as_deref().map(read_token) else { return false };
        let changed = self.token.as_ref() != Some(&token);
        self.token = Some(token);
        changed
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

/// An `Authorization` value that no log shows. A file that others can read is no secret: it is refused.
fn read_token(path: &Path) -> Result<HeaderValue, StartError> {
    let refuse = |why: String| StartError::Token { path: path.to_owned(), why };
    let file = fs::File::open(path).map_err(|error| refuse(error.to_string()))?;
    let mode = file.metadata().map_err(|error| refuse(error.to_string()))?.permissions().mode();
    if mode & 0o007 != 0 {
        return Err(refuse(format!("mode {:04o}: everybody can reach it; chmod o-rwx", mode & 0o7777)));
    }
    let mut text = String::new();
    file.take(TOKEN_MAX).read_to_string(&mut text).map_err(|error| refuse(error.to_string()))?;
    let token = text.trim();
    if token.is_empty() {
        return Err(refuse("it is empty".into()));
    }
    let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| refuse("a token is one line of printable ASCII".into()))?;
    value.set_sensitive(true);
    Ok(value)
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
