//! One request: a body to a URL, and what the answer means for it.
//!
//! Text of a collector's answer is shown only where the protocol says what it is, bounded, and without what was secret in
//! the request: a server may well repeat what it was sent.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};

use super::connect::Connector;
use super::proxy::Proxy;
use super::token::Token;
use super::wire::answer::{self, Said};
use super::wire::{Body, Protocol, Wire};
use super::{Endpoint, Settings};
use crate::event::clean;
use crate::post::{self, Answer, Outcome};

/// So much of a collector's own words is shown.
const WORDS_MAX: usize = 300;

/// These say that the request is not from who may make it.
const CREDENTIALS: [StatusCode; 3] =
    [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::PROXY_AUTHENTICATION_REQUIRED];

/// Why forwarding cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file does not serve.
    #[error("collector.{key} {}: {why}", .path.display())]
    File {
        /// The key of the configuration that names it.
        key: &'static str,
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
    connector: Connector,
    wire: Wire,
    token: Option<Token>,
    /// By URL, without secrets.
    proxies: BTreeMap<String, String>,
    /// What proxies are shown.
    proxy_secrets: Vec<String>,
    encoding: Encoding,
    /// Garbage in an acknowledgement was told.
    told_garbage: bool,
}

/// Whether the collector understands compressed bodies. One that does not refuses them as it refuses a malformed one, and
/// every event would be lost for a word in the configuration: so the first refusal is tried once more without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    /// None was answered yet.
    Untried,
    /// It does.
    Understood,
    /// It does not.
    Refused,
}

/// What of OTLP is sent.
#[derive(Clone, Copy, Debug)]
enum Signal {
    Logs,
    Metrics,
}

impl StartError {
    pub(super) fn file(key: &'static str, path: &Path, why: String) -> Self {
        Self::File { key, path: path.to_owned(), why }
    }
}

impl Client {
    /// Ready to send.
    pub fn new(settings: &Settings) -> Result<Self, StartError> {
        let proxies: Vec<_> = settings.endpoints.iter().filter_map(|to| Some((to, Proxy::of(to)?))).collect();
        let connector = Connector::new(settings, proxies.iter().any(|(_, proxy)| proxy.name.starts_with("https:")))?;
        let token = settings.token_file.as_deref().map(Token::open).transpose()?;
        for (endpoint, proxy) in &proxies {
            tracing::info!(collector = %endpoint, proxy = proxy.name, "a proxy of the environment is used");
        }
        Ok(Self {
            connector,
            wire: settings.wire.clone(),
            token,
            proxies: proxies.iter().map(|(endpoint, proxy)| (endpoint.to_string(), proxy.name.clone())).collect(),
            proxy_secrets: proxies.into_iter().filter_map(|(_, proxy)| proxy.secret).collect(),
            encoding: Encoding::Untried,
            told_garbage: false,
        })
    }

    /// By which proxy each URL is reached that is reached by one; without secrets.
    pub(super) const fn proxies(&self) -> &BTreeMap<String, String> {
        &self.proxies
    }

    /// What files do not serve as they are now: those of before are used.
    pub(super) fn notes(&self) -> Vec<String> {
        let token = self.token.as_ref().and_then(Token::note);
        token.into_iter().chain(self.connector.note()).map(str::to_owned).collect()
    }

    /// Stored lines as a body, once for as many sendings as it takes.
    pub(super) fn encode(&self, lines: &[Bytes]) -> Body {
        self.wire.encode(lines)
    }

    /// Posts events. A 401 reads the token again and tries once more when it is another one.
    pub(super) async fn send(&mut self, endpoint: &Endpoint, body: &Body) -> Outcome {
        self.post(endpoint, Signal::Logs, body).await
    }

    /// Posts metrics; for OTLP alone.
    pub(super) async fn send_metrics(&mut self, endpoint: &Endpoint, body: &Body) -> Outcome {
        self.post(endpoint, Signal::Metrics, body).await
    }

    async fn post(&mut self, endpoint: &Endpoint, signal: Signal, body: &Body) -> Outcome {
        let to = match (self.wire.protocol, signal) {
            (Protocol::Ndjson, _) => endpoint.clone(),
            (Protocol::Otlp, Signal::Logs) => endpoint.otlp("logs"),
            (Protocol::Otlp, Signal::Metrics) => endpoint.otlp("metrics"),
        };
        let mut answered = self.exchange(&to, body).await;
        if matches!(answered, (Some(StatusCode::UNAUTHORIZED), _))
            && let Some(token) = &mut self.token
            && token.refused().await
        {
            answered = self.exchange(&to, body).await;
        }
        let (status, outcome) = answered;
        match status {
            Some(StatusCode::BAD_REQUEST | StatusCode::UNSUPPORTED_MEDIA_TYPE) => {
                self.without_encoding(&to, body).await.unwrap_or(outcome)
            }
            Some(status) if status.is_success() && self.encoding == Encoding::Untried => {
                self.encoding = Encoding::Understood;
                outcome
            }
            _ => outcome,
        }
    }

    /// The same uncompressed, if compression may be what was refused; `None` where it is not.
    async fn without_encoding(&mut self, to: &Endpoint, body: &Body) -> Option<Outcome> {
        let name = body.content_encoding.filter(|_| self.encoding == Encoding::Untried)?;
        self.encoding = Encoding::Refused;
        let (status, outcome) = self.exchange(to, body).await;
        if status.is_some_and(|status| status.is_success()) {
            tracing::warn!(collector = %to, "the collector does not understand {name}: it is sent uncompressed bodies");
            return Some(outcome);
        }
        self.encoding = Encoding::Untried;
        None
    }

    async fn exchange(&mut self, to: &Endpoint, body: &Body) -> (Option<StatusCode>, Outcome) {
        let failed =
            |error: reqwest::Error| (None, Outcome::Retry { why: post::chain(&error.without_url()), after: None });
        let (bytes, encoding) = match self.encoding {
            Encoding::Refused => (&body.plain, None),
            Encoding::Untried | Encoding::Understood => (&body.bytes, body.content_encoding),
        };
        let http = self.connector.fresh().await.clone();
        let mut request = match http.post(to.url()).body(bytes.clone()).build() {
            Ok(request) => request,
            Err(error) => return failed(error),
        };
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(body.content_type));
        if let Some(encoding) = encoding {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        if let Some(token) = &mut self.token {
            // In the place of what the URL may say.
            headers.insert(AUTHORIZATION, token.fresh().await.clone());
        }
        let secrets = self.secrets(to, headers);
        match http.execute(request).await {
            Ok(response) => {
                let answer = post::read(response).await;
                (Some(answer.status), self.judge(to, &answer, body, &secrets))
            }
            Err(error) => failed(error),
        }
    }

    /// What must not come back out of an answer, the longest first: one may be a part of another.
    fn secrets(&self, to: &Endpoint, headers: &HeaderMap) -> Vec<String> {
        let mut secrets = to.secrets();
        secrets.extend(headers.get(AUTHORIZATION).and_then(credentials));
        secrets.extend_from_slice(&self.proxy_secrets);
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets
    }

    /// The status, and what the protocol says beside it.
    fn judge(&mut self, to: &Endpoint, answer: &Answer, body: &Body, secrets: &[String]) -> Outcome {
        let otlp = self.wire.protocol == Protocol::Otlp;
        let more = |why: String| {
            let said = answer.body.as_deref().filter(|_| otlp);
            match said.and_then(|body| answer::refusal(answer.content_type.as_deref(), body)) {
                Some(said) => format!("{why}: {}", words(&said, secrets)),
                None => why,
            }
        };
        match answer.outcome() {
            Outcome::Accepted if otlp => self.acknowledged(to, answer, body, secrets),
            Outcome::Retry { why, after } => Outcome::Retry { why: more(why), after },
            Outcome::Broke { why, after } => Outcome::Broke { why: more(why), after },
            // Credentials are put right by people, and the events should still be there then.
            Outcome::Rejected { why } if CREDENTIALS.contains(&answer.status) => {
                Outcome::Retry { why: more(why), after: None }
            }
            Outcome::Rejected { why } => Outcome::Rejected { why: more(why) },
            other => other,
        }
    }

    /// A 2xx of OTLP. What cannot be understood in it changes nothing: the status is an acknowledgement.
    fn acknowledged(&mut self, to: &Endpoint, answer: &Answer, body: &Body, secrets: &[String]) -> Outcome {
        let said = match &answer.body {
            Some(body) => answer::success(answer.content_type.as_deref(), body),
            None => Said::Garbage("its body does not end".to_owned()),
        };
        match said {
            Said::Whole => Outcome::Accepted,
            Said::Remark(remark) => {
                tracing::debug!(collector = %to, remark = words(&remark, secrets), "the collector remarks");
                Outcome::Accepted
            }
            Said::Refused(rejected, why) => Outcome::Partial {
                rejected: rejected.min(body.records),
                why: format!("partial success: {}", words(&why, secrets)),
            },
            Said::Garbage(why) => {
                if !std::mem::replace(&mut self.told_garbage, true) {
                    let why = words(&why, secrets);
                    tracing::warn!(collector = %to, why, "the collector acknowledges with something that is no OTLP");
                }
                Outcome::Accepted
            }
        }
    }
}

/// A collector's own words: bounded, printable, without the secrets of the request.
fn words(said: &str, secrets: &[String]) -> String {
    let mut said = said.to_owned();
    for secret in secrets {
        said = said.replace(secret.as_str(), "[secret]");
    }
    let mut said = clean(&said);
    if let Some((end, _)) = said.char_indices().nth(WORDS_MAX) {
        said.truncate(end);
        said.push('…');
    }
    said
}

/// What follows the scheme in a header of authorization.
pub(super) fn credentials(header: &HeaderValue) -> Option<String> {
    header.to_str().ok()?.split_once(' ').map(|(_, secret)| secret.to_owned())
}

#[cfg(test)]
mod tests;
