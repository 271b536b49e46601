//! The forwarding task: take a batch from the spool, send it until it is done, acknowledge it, again.
//!
//! What the collector breaks over steps aside ([`Parts`]) and the next batches go on; none is acknowledged before all that
//! was read is done, so that a death in between loses nothing and repeats some.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep, sleep_until};

use super::dead::Refusal;
use super::parts::{Part, Parts};
use super::send::Client;
use super::{Endpoint, Shared};
use crate::outlet::lock;
use crate::post::Outcome;
use crate::post::rota::{Jitter, Rota, Turn};
use crate::spool::Reader;

/// How long an unreadable disk is left alone.
const UNREADABLE: Duration = Duration::from_secs(1);

/// One collector's way out at work.
pub(super) struct Task {
    shared: Arc<Shared>,
    reader: Reader,
    client: Client,
    endpoints: Vec<Endpoint>,
    rota: Rota,
    jitter: Jitter,
    /// Bytes a second while more waits than a batch, and when the next such batch may go.
    catch_up: Option<u64>,
    not_before: Instant,
    /// What was read and is not acknowledged.
    parts: Parts,
    /// So many events of it were refused for good and set aside.
    rejected: u64,
}

impl Task {
    pub(super) fn new(
        shared: Arc<Shared>,
        reader: Reader,
        client: Client,
        endpoints: Vec<Endpoint>,
        catch_up: Option<u64>,
    ) -> Self {
        let limits = shared.limits;
        let rota = Rota::new(endpoints.len(), limits.backoff_min, limits.backoff_max);
        Self {
            shared,
            reader,
            client,
            endpoints,
            rota,
            jitter: Jitter::new(),
            catch_up,
            not_before: Instant::now(),
            parts: Parts::new(limits.batch_events, limits.batch_bytes),
            rejected: 0,
        }
    }

    /// Runs until everything on disk was sent after the end was called.
    pub(super) async fn run(mut self) {
        loop {
            if self.parts.wants_more() && !self.gather().await {
                return;
            }
            if let Some(part) = self.parts.next() {
                self.deliver(part).await;
                self.note();
            }
            if self.parts.is_empty()
                && let Err(error) = self.reader.acknowledge(std::mem::take(&mut self.rejected)).await
            {
                // Kept in memory all the same: only a restart would send these once more.
                tracing::debug!(%error, "how far the collector is could not be written down");
            }
        }
    }

    /// Leaves word for status.
    fn note(&self) {
        let mut state = lock(&self.shared.state);
        state.suspects = self.parts.suspected();
        state.notes = self.client.notes();
    }

    /// Takes the next batch; the spool has let events gather already. Waits for it where there is nothing else to do. False:
    /// the end, and nothing is left that can be done.
    async fn gather(&mut self) -> bool {
        let mut readable = true;
        loop {
            let closing = lock(&self.shared.state).closing;
            let at_work = self.parts.has_next();
            if at_work && !self.reader.has_more() {
                return true;
            }
            let limits = &self.shared.limits;
            match self.reader.next(limits.batch_events, limits.batch_bytes).await {
                Ok(entries) if !entries.is_empty() => {
                    self.parts.add(entries.into_iter().map(|entry| entry.line).collect());
                    return true;
                }
                // An empty batch is acknowledged too: everything in it was sent before its turn.
                Ok(_) if at_work || (self.parts.is_empty() && self.reader.owes_acknowledgement()) => return true,
                Err(_) if at_work => return true,
                Ok(_) | Err(_) if closing => return false,
                Ok(_) => {
                    tokio::select! {
                        _ = self.reader.ready() => {}
                        () = self.shared.wake.notified() => {}
                    }
                }
                Err(error) => {
                    if std::mem::take(&mut readable) {
                        tracing::error!(%error, "the spool cannot be read");
                    }
                    sleep(UNREADABLE).await;
                }
            }
        }
    }

    /// Sends a part until it is acknowledged, rejected, known to be too large, or the collector broke over it.
    async fn deliver(&mut self, part: Part) {
        let body = self.client.encode(&part.lines);
        if let Some(rate) = self.catch_up.filter(|_| self.reader.has_more()) {
            sleep_until(self.not_before).await;
            self.not_before = Instant::now() + Duration::from_secs_f64(body.bytes.len() as f64 / rate.max(1) as f64);
        }
        let events = part.lines.len() as u64;
        loop {
            let index = match self.rota.turn(Instant::now()) {
                Turn::Try(index) => index,
                Turn::Wait(until) => {
                    sleep_until(until).await;
                    continue;
                }
            };
            let Some(endpoint) = self.endpoints.get(index).cloned() else { return };
            let (rejected, why) = match self.client.send(&endpoint, &body).await {
                Outcome::Accepted => {
                    self.rota.succeeded(index);
                    self.parts.took(index);
                    return self.shared.sent(&endpoint, events);
                }
                Outcome::Retry { why, after } => {
                    let wait = self.rota.failed(index, Instant::now(), after, self.jitter.next());
                    tracing::debug!(collector = %endpoint, %why, ?wait, "a batch waits");
                    self.shared.failed(&endpoint, &why);
                    continue;
                }
                Outcome::Broke { why, after } => {
                    self.rota.failed(index, Instant::now(), after, self.jitter.next());
                    return self.broke(part, index, &endpoint, why).await;
                }
                Outcome::TooLarge if events > 1 => return self.parts.halve(part),
                Outcome::TooLarge => (events, "HTTP 413: one event is too large".to_owned()),
                Outcome::Rejected { why } => (events, why),
                Outcome::Partial { rejected, why } => (rejected.min(events), why),
            };
            self.rota.succeeded(index);
            if rejected < events {
                self.parts.took(index);
            }
            return self.reject(&endpoint, &part.lines, rejected, why).await;
        }
    }

    /// The URL of this number answered with an error of its own, which may be its fault or that of what it was sent.
    async fn broke(&mut self, part: Part, index: usize, endpoint: &Endpoint, why: String) {
        let (suspected, events) = (part.suspected, part.lines.len());
        match self.parts.broke(part, index) {
            Some(given_up) => {
                let why = format!("{why}, again and again, while others were taken in between");
                self.reject(endpoint, &given_up.lines, 1, why).await;
            }
            // While it takes others it is not the collector that fails.
            None if suspected => tracing::debug!(collector = %endpoint, %why, events, "broken over again"),
            None => self.shared.failed(endpoint, &why),
        }
    }

    /// So many of these were refused for good.
    async fn reject(&mut self, endpoint: &Endpoint, lines: &[Bytes], rejected: u64, why: String) {
        self.shared.rejected(endpoint, lines.len() as u64, rejected, &why);
        self.rejected += rejected;
        self.set_aside(endpoint.to_string(), lines, rejected, why).await;
    }

    async fn set_aside(&self, collector: String, lines: &[Bytes], rejected: u64, why: String) {
        if rejected == 0 {
            return;
        }
        let (dead, lines) = (Arc::clone(&self.shared.dead), lines.to_vec());
        let kept = tokio::task::spawn_blocking(move || {
            let time = jiff::Timestamp::now().to_string();
            dead.keep(&Refusal { dead_letters: lines.len(), rejected, time, collector, why: &why }, &lines)
        });
        if let Err(error) = kept.await.map_err(std::io::Error::other).flatten() {
            tracing::error!(%error, rejected, "rejected events cannot be kept as dead letters");
        }
    }
}
