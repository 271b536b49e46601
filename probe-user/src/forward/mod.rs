//! Events to a collector: batches of NDJSON over HTTP, from memory.
//!
//! What holds:
//! - collection never waits: [`Forwarder::offer`] puts a line into a queue bounded in bytes; when it is full the oldest
//!   lines go, counted as `queue_full`;
//! - a batch is done when a collector answered 2xx; until then it is sent again, with jittered backoff and the
//!   collector's own Retry-After, to the first of several URLs that is not waiting ([`crate::post::rota`]);
//! - what the collector refuses for good (a 4xx other than 408 and 429) is dropped and counted as `rejected`; a batch that is
//!   too large (413) is halved first;
//! - no secret leaves this module: URLs are shown without user, password and query, errors without URLs.
//!
//! Events that wait at the end are sent for as long as [`Forwarder::close`] allows, the rest is lost: a durable queue is
//! a later version's work.

mod endpoint;
mod report;
mod send;
mod task;
#[cfg(test)]
mod tests;
mod tls;
mod token;
mod wire;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

pub use endpoint::{Endpoint, EndpointError};
pub use report::{Ask, Reporter};
pub use send::{Client, StartError};
pub use wire::otlp_metrics::Snapshot;
pub use wire::{ClientFiles, Compression, Protocol, Tls, Wire};

use crate::outlet::{Dropped, LineQueue, Tally, lock};
use crate::time::KTime;

/// The name of this way out in `procprobe.agent.lost`.
const PLACE: &str = "forward";

/// One collector and how it is fed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where; the first that answers is used, in this order. Never empty.
    pub endpoints: Vec<Endpoint>,
    /// A bearer token, read at the start, when the file has changed, and when the collector answers 401.
    pub token_file: Option<PathBuf>,
    /// What is sent, and how.
    pub wire: Wire,
    /// Sizes and times.
    pub limits: Limits,
}

impl Settings {
    /// To these URLs, all else as it is by default.
    pub fn to(endpoints: Vec<Endpoint>) -> Self {
        Self { endpoints, token_file: None, wire: Wire::default(), limits: Limits::default() }
    }
}

/// Sizes and times of a [`Forwarder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most memory that waiting lines take; a batch under way comes on top.
    pub queue_bytes: usize,
    /// Most events in a batch.
    pub batch_events: usize,
    /// Most bytes in a batch (one longer event goes alone).
    pub batch_bytes: usize,
    /// How long the first event of a batch waits for company.
    pub linger: Duration,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// How long a request may take, the answer included.
    pub request_timeout: Duration,
    /// The first wait after a failure; it doubles with each further one.
    pub backoff_min: Duration,
    /// The longest wait, also when the collector asks for a longer one.
    pub backoff_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            queue_bytes: 4 << 20,
            batch_events: 1000,
            batch_bytes: 512 << 10,
            linger: Duration::from_secs(1),
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            backoff_min: Duration::from_millis(500),
            backoff_max: Duration::from_mins(1),
        }
    }
}

/// How delivery stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The URLs, without secrets.
    pub urls: Vec<String>,
    /// The last request was acknowledged (or none was made yet).
    pub healthy: bool,
    /// Why it was not.
    pub last_error: Option<String>,
    /// Failures in a row.
    pub failures: u64,
    /// Events that wait, those under way included.
    pub queued_events: usize,
    /// What those in the queue take.
    pub queued_bytes: usize,
    /// Events acknowledged.
    pub sent_events: u64,
    /// Requests acknowledged.
    pub sent_batches: u64,
    /// Events dropped since the start, by reason.
    pub dropped: Vec<Dropped>,
}

/// The way out to one collector.
#[derive(Debug)]
pub struct Forwarder {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// The queue has something to do, or the end has come.
    wake: Notify,
    limits: Limits,
}

#[derive(Debug)]
struct State {
    queue: LineQueue,
    tally: Tally,
    /// Events of the batch that is being sent.
    under_way: usize,
    /// Something in the queue should not wait for company.
    urgent: bool,
    closing: bool,
    sent_events: u64,
    sent_batches: u64,
    failures: u64,
    last_error: Option<String>,
    urls: Vec<String>,
}

impl Forwarder {
    /// Starts forwarding on the present tokio runtime. Reads the token and, for an https URL, the system's root
    /// certificates.
    pub fn spawn(settings: Settings) -> Result<Self, StartError> {
        let client = Client::new(&settings)?;
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                queue: LineQueue::new(settings.limits.queue_bytes),
                tally: Tally::new(PLACE),
                under_way: 0,
                urgent: false,
                closing: false,
                sent_events: 0,
                sent_batches: 0,
                failures: 0,
                last_error: None,
                urls: settings.endpoints.iter().map(ToString::to_string).collect(),
            }),
            wake: Notify::new(),
            limits: settings.limits,
        });
        let task = tokio::spawn(task::run(Arc::clone(&shared), client, settings.endpoints));
        Ok(Self { shared, task })
    }

    /// Hands an event over as one line of JSON with its newline. An urgent one does not wait for company. Never blocks.
    pub fn offer(&self, line: Bytes, urgent: bool) {
        let mut state = lock(&self.shared.state);
        let was_empty = state.queue.is_empty();
        let dropped = state.queue.push(line);
        state.tally.add("queue_full", dropped);
        state.urgent |= urgent;
        let wake = was_empty || urgent || self.shared.is_full(&state);
        drop(state);
        if wake {
            self.shared.wake.notify_one();
        }
    }

    /// The drops to tell now as `procprobe.agent.lost`.
    pub fn untold(&self, now: KTime) -> Vec<Dropped> {
        lock(&self.shared.state).tally.untold(now)
    }

    /// How delivery stands.
    pub fn status(&self) -> Status {
        let state = lock(&self.shared.state);
        Status {
            urls: state.urls.clone(),
            healthy: state.failures == 0,
            last_error: state.last_error.clone(),
            failures: state.failures,
            queued_events: state.queue.len() + state.under_way,
            queued_bytes: state.queue.bytes(),
            sent_events: state.sent_events,
            sent_batches: state.sent_batches,
            dropped: state.tally.totals(),
        }
    }

    /// Sends what waits, for at most `within`; returns how many events were left.
    pub async fn close(self, within: Duration) -> usize {
        lock(&self.shared.state).closing = true;
        self.shared.wake.notify_one();
        let abort = self.task.abort_handle();
        if tokio::time::timeout(within, self.task).await.is_err() {
            abort.abort();
        }
        let state = lock(&self.shared.state);
        state.queue.len() + state.under_way
    }
}

impl Shared {
    /// A batch need not wait any longer.
    fn is_full(&self, state: &State) -> bool {
        state.queue.len() >= self.limits.batch_events || state.queue.bytes() >= self.limits.batch_bytes
    }
}
