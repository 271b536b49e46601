//! One request: a body to a URL, and what the answer means for it.

use std::path::{Path, PathBuf};

use bytes::Bytes;
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
