//! One way to one URL: what is to be delivered there is, again and again until it is taken or refused for good.
//!
//! - A webhook gets its events one by one, in order. An Alertmanager gets how things stand ([`super::book`]).
//! - Retried without an end: what got no answer, 408, 429, 5xx, redirects (they are not followed), and 401 and 403, for a
//!   wrong token is put right by people, and the alarms should still be there then. Waits double from half a second to a
//!   minute, shortened by up to half at random; a Retry-After of up to an hour is kept.
//! - Any other 4xx is final: the event is set aside, counted, and told.
//! - `max_rate` is a pace for all requests, retries too. What is over it waits.
//! - Token and key are read from their files for every request: a changed file needs no reload.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{RequestBuilder, StatusCode};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::keeper::Word;
use super::notice::Notice;
use super::pace::Pace;
use super::{Shared, signature};
use crate::forward::Endpoint;
use crate::outlet::lock;
use crate::policy::spec::{Destination, DestinationKind};
use crate::post::rota::{Jitter, Rota, Turn};
use crate::post::{self, Outcome, secret};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const BACKOFF_MIN: Duration = Duration::from_millis(500);
const BACKOFF_MAX: Duration = Duration::from_mins(1);
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

/// Which lane: destination and URL as the policy writes it.
pub(super) type LaneKey = (Arc<str>, Arc<str>);

/// Everything that a lane needs.
#[derive(Debug)]
pub(super) struct Lane {
    shared: Arc<Shared>,
    keeper: mpsc::Sender<Word>,
    wake: Arc<Notify>,
    key: LaneKey,
    destination: Arc<Destination>,
    endpoint: Endpoint,
    http: reqwest::Client,
    rota: Rota,
    jitter: Jitter,
    pace: Pace,
}

impl Lane {
    pub(super) fn new(
        shared: Arc<Shared>,
        keeper: mpsc::Sender<Word>,
        wake: Arc<Notify>,
        key: LaneKey,
        destination: Arc<Destination>,
    ) -> Result<Self, String> {
        let url = match destination.kind {
            DestinationKind::Webhook { .. } => key.1.to_string(),
            DestinationKind::Alertmanager { .. } => format!("{}/api/v2/alerts", key.1.trim_end_matches('/')),
        };
        let endpoint = Endpoint::parse(&url).map_err(|error| error.to_string())?;
        let connect = CONNECT_TIMEOUT.min(destination.timeout);
        let http = post::client(connect, destination.timeout, endpoint.is_https())?;
        let rota = Rota::new(1, BACKOFF_MIN, BACKOFF_MAX).obeying(RETRY_AFTER_MAX);
        let pace = Pace::new(destination.max_rate);
        Ok(Self { shared, keeper, wake, key, destination, endpoint, http, rota, jitter: Jitter::new(), pace })
    }

    /// Runs until it is aborted.
    pub(super) async fn run(mut self) {
        match &self.destination.kind {
            DestinationKind::Webhook { secret_file, .. } => {
                let secret_file = secret_file.clone();
                self.deliver_events(secret_file).await;
            }
            DestinationKind::Alertmanager { .. } => self.tell_alerts().await,
        }
    }

    async fn deliver_events(&mut self, secret_file: Option<Arc<str>>) {
        loop {
            let front = lock(&self.shared.store).front(&self.key.0).cloned();
            let Some(notice) = front else {
                self.wake.notified().await;
                continue;
            };
            self.wait_for_turn().await;
            let outcome = match self.request(&notice, secret_file.clone()).await {
                Ok(request) => send(request).await,
                Err(why) => Outcome::Retry { why, after: None },
            };
            let why = match outcome {
                Outcome::Accepted => {
                    self.succeeded(1);
                    let done = Word::Done { to: Arc::clone(&self.key.0), id: notice.facts.id.clone() };
                    self.settle(&notice, done).await;
                    continue;
                }
                Outcome::Retry { why, after } | Outcome::Broke { why, after } => {
                    self.failed(&why, after);
                    continue;
                }
                Outcome::TooLarge => "HTTP 413: the event is too large".to_owned(),
                Outcome::Rejected { why } | Outcome::Partial { why, .. } => why,
            };
            self.refused(1, &why);
            let to = Arc::clone(&self.key.0);
            let refused = Word::Refused { to, notice: Arc::clone(&notice), why };
            self.settle(&notice, refused).await;
        }
    }

    /// The event is this lane's business no more.
    async fn settle(&self, notice: &Notice, word: Word) {
        lock(&self.shared.store).done(&self.key.0, &notice.facts.id);
        self.shared.progress.notify_one();
        // The keeper ends after the lanes.
        let _ = self.keeper.send(word).await;
    }

    async fn tell_alerts(&mut self) {
        loop {
            let now = Instant::now();
            let next = lock(&self.shared.store).book(&self.key).and_then(|book| book.next(now));
            match next {
                None => self.wake.notified().await,
                Some(at) if at > now => drop(timeout_at(at, self.wake.notified()).await),
                Some(_) => {
                    self.wait_for_turn().await;
                    self.tell_due().await;
                }
            }
        }
    }

    async fn tell_due(&mut self) {
        let now = Instant::now();
        let wall = jiff::Timestamp::now();
        let batch = lock(&self.shared.store).book(&self.key).and_then(|book| book.due(now, wall));
        let Some(batch) = batch else { return };
        let outcome = match self.post(batch.body.clone()).await {
            Ok(request) => send(request).await,
            Err(why) => Outcome::Retry { why, after: None },
        };
        let alerts = batch.len() as u64;
        match outcome {
            Outcome::Accepted => self.succeeded(alerts),
            Outcome::Retry { why, after } | Outcome::Broke { why, after } => return self.failed(&why, after),
            Outcome::TooLarge => self.refused(alerts, "HTTP 413: the alerts are too large"),
            Outcome::Rejected { why } | Outcome::Partial { why, .. } => self.refused(alerts, &why),
        }
        if let Some(book) = lock(&self.shared.store).book(&self.key) {
            book.told(&batch, Instant::now());
        }
        self.shared.progress.notify_one();
    }

    /// Until neither a failure nor the pace keeps it back.
    async fn wait_for_turn(&mut self) {
        loop {
            let now = Instant::now();
            if let Turn::Wait(until) = self.rota.turn(now) {
                sleep_until(until).await;
            } else if let Some(until) = self.pace.wait_until(now) {
                sleep_until(until).await;
            } else {
                return self.pace.took(now);
            }
        }
    }

    async fn request(&self, notice: &Notice, secret_file: Option<Arc<str>>) -> Result<RequestBuilder, String> {
        let body = notice.event.clone();
        let mut request = self.post(body.clone()).await?.header("Idempotency-Key", &notice.facts.id);
        if let Some(file) = secret_file {
            let key =
                blocking(move || secret::read(Path::new(&*file)).map_err(|why| format!("secret_file {file}: {why}")));
            let timestamp = jiff::Timestamp::now().as_second();
            let signature = signature::of(key.await?.as_bytes(), timestamp, &body);
            request = request.header(signature::TIMESTAMP, timestamp).header(signature::SIGNATURE, signature);
        }
        Ok(request)
    }

    async fn post(&self, body: Bytes) -> Result<RequestBuilder, String> {
        let json = HeaderValue::from_static("application/json");
        let request = self.http.post(self.endpoint.url()).header(CONTENT_TYPE, json).body(body);
        let Some(file) = self.destination.token_file.clone() else { return Ok(request) };
        let token =
            blocking(move || secret::bearer(Path::new(&*file)).map_err(|why| format!("token_file {file}: {why}")));
        Ok(request.header(AUTHORIZATION, token.await?))
    }

    fn succeeded(&mut self, events: u64) {
        self.rota.succeeded(0);
        let recovered = self.shared.with_lane(&self.key, |state| {
            state.sent += events;
            state.last_error = None;
            std::mem::take(&mut state.failures) > 0
        });
        if recovered == Some(true) {
            tracing::info!(destination = %self.key.0, url = %self.endpoint, "notifications are taken again");
        }
    }

    fn failed(&mut self, why: &str, after: Option<Duration>) {
        let wait = self.rota.failed(0, Instant::now(), after, self.jitter.next());
        let first = self.shared.with_lane(&self.key, |state| {
            state.failures += 1;
            state.last_error = Some(why.to_owned());
            state.failures == 1
        });
        // The first failure in a row is news, the others are the same news.
        if first == Some(true) {
            tracing::warn!(destination = %self.key.0, url = %self.endpoint, why, "notifications are not taken; trying on");
        }
        tracing::debug!(destination = %self.key.0, why, ?wait, "a notification waits");
        self.shared.progress.notify_one();
    }

    fn refused(&mut self, events: u64, why: &str) {
        tracing::warn!(destination = %self.key.0, url = %self.endpoint, why, events, "notifications are refused for good");
        self.rota.succeeded(0);
        lock(&self.shared.tally).add("rejected", events);
        self.shared.with_lane(&self.key, |state| {
            state.failed += events;
            state.last_error = Some(why.to_owned());
        });
    }
}

async fn send(request: RequestBuilder) -> Outcome {
    match post::send(request).await {
        (Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN), Outcome::Rejected { why }) => {
            Outcome::Retry { why, after: None }
        }
        (_, outcome) => outcome,
    }
}

/// Reads a file without holding up the daemon.
async fn blocking<T: Send + 'static>(read: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(read).await.map_err(|error| error.to_string())?
}
