//! Metrics to one OTLP collector: every so often a snapshot is asked for, encoded, and sent until it is done.
//!
//! What holds:
//! - while the collector does not take them, the newest snapshots wait: at most [`SNAPSHOTS_MAX`], and at most
//!   [`BYTES_MAX`]; the oldest go, their points counted as `queue_full`;
//! - what the collector refuses for good is dropped and its points counted as `rejected`;
//! - failures wait and change to another URL as those of events do ([`crate::post::rota`]).
//!
//! Metrics are of the moment: they are not kept over a restart, and nothing waits for them at the end.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};

use super::wire::otlp_metrics::{self, Snapshot};
use super::wire::{Body, Protocol, Wire};
use super::{Client, Endpoint, Limits, Settings, StartError};
use crate::outlet::{Dropped, Tally, lock};
use crate::post::Outcome;
use crate::post::rota::{Jitter, Rota, Turn};
use crate::time::KTime;

/// The name of this way out in `procprobe.agent.lost`.
const PLACE: &str = "metrics";
/// Most snapshots that wait.
const SNAPSHOTS_MAX: usize = 20;
/// Most memory that waiting snapshots take; one that is larger waits alone.
const BYTES_MAX: usize = 4 << 20;

/// Where snapshots come from; `None`: there is none now.
pub type Ask = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Option<Snapshot>> + Send>> + Send + Sync>;

/// Sends one collector its metrics for as long as it lives.
pub struct Reporter {
    every: Duration,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Something waits.
    wake: Notify,
}

#[derive(Debug)]
struct State {
    /// Encoded, the oldest first, each with a number of its own.
    waiting: VecDeque<(u64, Body)>,
    next: u64,
    tally: Tally,
    /// In a row.
    failures: u64,
    last_error: Option<String>,
    sent: u64,
    notes: Vec<String>,
}

/// How sending metrics to one collector stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MetricsStatus {
    /// Seconds from one snapshot to the next.
    pub every: f64,
    /// The last request was acknowledged in whole (or none was made yet).
    pub healthy: bool,
    /// Why it was not.
    pub last_error: Option<String>,
    /// Failures in a row.
    pub failures: u64,
    /// Snapshots that wait.
    pub waiting: usize,
    /// Snapshots acknowledged.
    pub sent: u64,
    /// Points dropped since the start, by reason.
    pub dropped: Vec<Dropped>,
}

impl Reporter {
    /// Starts on the present tokio runtime; `None` where the settings send no metrics.
    pub fn spawn(settings: &Settings, ask: Ask) -> Result<Option<Self>, StartError> {
        let Some(interval) = settings.wire.metrics_interval.filter(|_| settings.wire.protocol == Protocol::Otlp) else {
            return Ok(None);
        };
        let client = Client::new(settings)?;
        let shared = Arc::new(Shared { state: Mutex::new(State::new()), wake: Notify::new() });
        let measuring = measure(Arc::clone(&shared), settings.wire.clone(), interval, ask);
        let delivering = deliver(Arc::clone(&shared), client, settings.endpoints.clone(), settings.limits);
        let task = tokio::spawn(async move {
            tokio::join!(measuring, delivering);
        });
        Ok(Some(Self { every: interval, shared, task }))
    }

    /// The drops to tell now as `procprobe.agent.lost`.
    pub fn untold(&self, now: KTime) -> Vec<Dropped> {
        lock(&self.shared.state).tally.untold(now)
    }

    /// How it stands, and the files that do not serve as they are now.
    pub fn status(&self) -> (MetricsStatus, Vec<String>) {
        let state = lock(&self.shared.state);
        let status = MetricsStatus {
            every: self.every.as_secs_f64(),
            healthy: state.failures == 0,
            last_error: state.last_error.clone(),
            failures: state.failures,
            waiting: state.waiting.len(),
            sent: state.sent,
            dropped: state.tally.totals(),
        };
        (status, state.notes.clone())
    }

    /// All drops since the start.
    pub fn dropped(&self) -> Vec<Dropped> {
        lock(&self.shared.state).tally.totals()
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reporter").field("shared", &self.shared).finish_non_exhaustive()
    }
}

async fn measure(shared: Arc<Shared>, wire: Wire, every: Duration, ask: Ask) {
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Some(snapshot) = ask().await {
            shared.push(wire.protobuf(&otlp_metrics::request(&snapshot), snapshot.points()));
        }
    }
}

async fn deliver(shared: Arc<Shared>, mut client: Client, endpoints: Vec<Endpoint>, limits: Limits) {
    let mut rota = Rota::new(endpoints.len(), limits.backoff_min, limits.backoff_max);
    let mut jitter = Jitter::new();
    loop {
        let Some((number, body)) = shared.oldest() else {
            shared.wake.notified().await;
            continue;
        };
        let index = match rota.turn(Instant::now()) {
            Turn::Try(index) => index,
            Turn::Wait(until) => {
                sleep_until(until).await;
                continue;
            }
        };
        let Some(endpoint) = endpoints.get(index) else { return };
        let outcome = client.send_metrics(endpoint, &body).await;
        match &outcome {
            Outcome::Retry { after, .. } | Outcome::Broke { after, .. } => {
                rota.failed(index, Instant::now(), *after, jitter.next());
            }
            _ => rota.succeeded(index),
        }
        shared.settle(endpoint, number, &body, &outcome);
        lock(&shared.state).notes = client.notes();
    }
}

impl Shared {
    fn push(&self, body: Body) {
        let mut state = lock(&self.state);
        let number = state.next;
        state.next += 1;
        state.waiting.push_back((number, body));
        while state.is_full()
            && let Some((_, oldest)) = state.waiting.pop_front()
        {
            state.tally.add("queue_full", oldest.records);
        }
        drop(state);
        self.wake.notify_one();
    }

    fn oldest(&self) -> Option<(u64, Body)> {
        lock(&self.state).waiting.front().cloned()
    }

    /// What became of a snapshot; it may have been dropped for newer ones meanwhile.
    fn settle(&self, endpoint: &Endpoint, number: u64, body: &Body, outcome: &Outcome) {
        let mut state = lock(&self.state);
        let (rejected, why) = match outcome {
            // What a collector breaks over goes at last for want of room.
            Outcome::Retry { why, .. } | Outcome::Broke { why, .. } => {
                if state.failed(endpoint, why) {
                    tracing::warn!(collector = %endpoint, why, "the collector does not take metrics; trying on");
                }
                return;
            }
            Outcome::Accepted => (0, ""),
            Outcome::Partial { rejected, why } => (*rejected, why.as_str()),
            Outcome::TooLarge => (body.records, "HTTP 413: the metrics are too large"),
            Outcome::Rejected { why } => (body.records, why.as_str()),
        };
        if state.waiting.front().is_some_and(|(oldest, _)| *oldest == number) {
            state.waiting.pop_front();
            state.tally.add("rejected", rejected);
        }
        if rejected > 0 {
            if state.failed(endpoint, why) {
                tracing::warn!(collector = %endpoint, why, rejected, "the collector rejects metrics; they are dropped");
            }
            return;
        }
        state.sent += 1;
        state.last_error = None;
        if std::mem::take(&mut state.failures) > 0 {
            tracing::info!(collector = %endpoint, "the collector takes metrics again");
        }
    }
}

impl State {
    const fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            next: 0,
            tally: Tally::new(PLACE),
            failures: 0,
            last_error: None,
            sent: 0,
            notes: Vec::new(),
        }
    }

    /// True: that is news. The first failure in a row is, the others are the same.
    fn failed(&mut self, endpoint: &Endpoint, why: &str) -> bool {
        self.last_error = Some(format!("{endpoint}: {why}"));
        self.failures += 1;
        self.failures == 1
    }

    fn is_full(&self) -> bool {
        let bytes: usize = self.waiting.iter().map(|(_, body)| body.bytes.len()).sum();
        self.waiting.len() > SNAPSHOTS_MAX || (self.waiting.len() > 1 && bytes > BYTES_MAX)
    }
}

#[cfg(test)]
mod tests;
