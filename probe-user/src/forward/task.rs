//! The forwarding task: take a batch from the spool, send it until it is done, acknowledge it, again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep, sleep_until};

use super::dead::Refusal;
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
}

/// What became of a batch.
enum Delivered {
    /// Acknowledged, but for so many events that were refused for good and set aside.
    Done { rejected: u64 },
    /// To be sent in two parts.
    Halve,
}

impl Task {
    pub(super) fn new(
        shared: Arc<Shared>,
        reader: Reader,
        client: Client,
        endpoints: Vec<Endpoint>,
        catch_up: Option<u64>,
    ) -> Self {
        let rota = Rota::new(endpoints.len(), shared.limits.backoff_min, shared.limits.backoff_max);
        let jitter = Jitter::new();
        Self { shared, reader, client, endpoints, rota, jitter, catch_up, not_before: Instant::now() }
    }

    /// Runs until everything on disk was sent after the end was called.
    pub(super) async fn run(mut self) {
        while let Some(batch) = self.gather().await {
            let mut rejected = 0;
            let mut parts = VecDeque::from([batch]);
            while let Some(part) = parts.pop_front().filter(|part| !part.is_empty()) {
                match self.deliver(&part).await {
                    Delivered::Done { rejected: more } => rejected += more,
                    Delivered::Halve => {
                        let (left, right) = part.split_at(part.len() / 2);
                        parts.push_front(right.to_vec());
                        parts.push_front(left.to_vec());
                    }
                }
            }
            if let Err(error) = self.reader.acknowledge(rejected).await {
                // Kept in memory all the same: only a restart would send these once more.
                tracing::debug!(%error, "how far the collector is could not be written down");
            }
        }
    }

    /// Waits for the next batch; the spool has let events gather already. `None`: the end, and nothing is left.
    async fn gather(&mut self) -> Option<Vec<Bytes>> {
        let mut readable = true;
        loop {
            let closing = lock(&self.shared.state).closing;
            let limits = &self.shared.limits;
            match self.reader.next(limits.batch_events, limits.batch_bytes).await {
                // An empty batch is acknowledged too: everything in it was sent before its turn.
                Ok(entries) if !entries.is_empty() || self.reader.owes_acknowledgement() => {
                    return Some(entries.into_iter().map(|entry| entry.line).collect());
                }
                Ok(_) | Err(_) if closing => return None,
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

    /// Sends one batch until it is acknowledged, rejected, or known to be too large.
    async fn deliver(&mut self, lines: &[Bytes]) -> Delivered {
        let body = self.client.encode(lines);
        if let Some(rate) = self.catch_up.filter(|_| self.reader.has_more()) {
            sleep_until(self.not_before).await;
            self.not_before = Instant::now() + Duration::from_secs_f64(body.bytes.len() as f64 / rate.max(1) as f64);
        }
        let events = lines.len() as u64;
        loop {
            let index = match self.rota.turn(Instant::now()) {
                Turn::Try(index) => index,
                Turn::Wait(until) => {
                    sleep_until(until).await;
                    continue;
                }
            };
            let Some(endpoint) = self.endpoints.get(index) else { return Delivered::Done { rejected: 0 } };
            let (rejected, why) = match self.client.send(endpoint, &body).await {
                Outcome::Accepted => {
                    self.rota.succeeded(index);
                    self.shared.sent(endpoint, events);
                    return Delivered::Done { rejected: 0 };
                }
                Outcome::Retry { why, after } => {
                    let wait = self.rota.failed(index, Instant::now(), after, self.jitter.next());
                    tracing::debug!(collector = %endpoint, %why, ?wait, "a batch waits");
                    self.shared.failed(endpoint, &why);
                    continue;
                }
                Outcome::TooLarge if events > 1 => return Delivered::Halve,
                Outcome::TooLarge => (events, "HTTP 413: one event is too large".to_owned()),
                Outcome::Rejected { why } => (events, why),
                Outcome::Partial { rejected, why } => (rejected.min(events), why),
            };
            self.rota.succeeded(index);
            self.shared.rejected(endpoint, events, rejected, &why);
            self.set_aside(endpoint.to_string(), lines, rejected, why).await;
            return Delivered::Done { rejected };
        }
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
