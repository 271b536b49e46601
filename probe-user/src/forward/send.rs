//! One request: a body to a URL, and what the answer means for it.

use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};

use super::{Endpoint, Settings};
use crate::post::{self, Outcome, secret};

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

/// A request's body, ready to be sent as often as it takes.
#[derive(Clone, Debug)]
pub(super) struct Body {
    pub(super) bytes: Bytes,
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
        let tls = settings.endpoints.iter().any(Endpoint::is_https);
        let limits = &settings.limits;
        let http = post::client(limits.connect_timeout, limits.request_timeout, tls).map_err(StartError::Client)?;
        let token = settings.token_file.as_deref().map(read_token).transpose()?;
        Ok(Self { http, token_file: settings.token_file.clone(), token })
    }

    /// Stored lines as a body.
    #[expect(clippy::unused_self, reason = "how it is encoded is the client's business")]
    pub(super) fn encode(&self, lines: &[Bytes]) -> Body {
        let mut bytes = BytesMut::with_capacity(lines.iter().map(Bytes::len).sum());
        lines.iter().for_each(|line| bytes.extend_from_slice(line));
        Body { bytes: bytes.freeze() }
    }

    /// Posts one body; a 401 reads the token again and tries once more when it is another one.
    pub(super) async fn send(&mut self, endpoint: &Endpoint, body: &Body) -> Outcome {
        let outcome = self.post(endpoint, body.bytes.clone()).await;
        if matches!(&outcome, (Some(StatusCode::UNAUTHORIZED), _)) && self.token_changed() {
            return self.post(endpoint, body.bytes.clone()).await.1;
        }
        outcome.1
    }

    async fn post(&self, endpoint: &Endpoint, body: Bytes) -> (Option<StatusCode>, Outcome) {
        let mut request = self.http.post(endpoint.url()).header(CONTENT_TYPE, "application/x-ndjson").body(body);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.clone());
        }
        post::send(request).await
    }

    fn token_changed(&mut self) -> bool {
        let Some(Ok(token)) = self.token_file.as_deref().map(read_token) else { return false };
        let changed = self.token.as_ref() != Some(&token);
        self.token = Some(token);
        changed
    }
}

fn read_token(path: &Path) -> Result<HeaderValue, StartError> {
    secret::bearer(path).map_err(|why| StartError::Token { path: path.to_owned(), why })
}
