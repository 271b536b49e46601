//! Events to a collector: batches from the [spool](crate::spool) over HTTP.
//!
//! What holds:
//! - collection never waits: what is to be sent lies on disk, and the spool's limit is the only one on it;
//! - a batch is done, and may leave the disk, when a collector answered 2xx; until then it is sent again, with jittered
//!   backoff and the collector's own Retry-After, to the first of several URLs that is not waiting ([`crate::post::rota`]);
//! - what the collector refuses for good (a 4xx other than 408 and 429, or a part of a batch) is set aside as [dead
//!   letters](DeadLetters) and counted as `rejected`; a batch that is too large (413) is halved first;
//! - so is one event over which the collector breaks (500) again and again while it takes others; what it breaks over steps
//!   aside until that is known, and holds up nothing else (see `parts`);
//! - events go in order, unless alarms are to come first: then those of a backlog are sent before the rest of it; what has
//!   stepped aside comes late;
//! - no secret leaves this module: URLs are shown without user, password and query, errors without URLs.
//!
//! Events that wait at the end are sent for as long as [`Forwarder::close`] allows; the rest is sent by the next run. What
//! was under way when the daemon died is sent again, with the same ids.

mod connect;
mod dead;
mod endpoint;
mod parts;
mod proxy;
mod reach;
mod report;
mod send;
mod task;
#[cfg(test)]
mod tests;
mod tls;
mod token;
mod watched;
mod wire;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

pub use dead::DeadLetters;
pub use endpoint::{Endpoint, EndpointError};
pub use report::{Ask, MetricsStatus, Reporter};
pub use send::{Client, StartError};
pub use wire::otlp_metrics::Snapshot;
pub use wire::{ClientFiles, Compression, Protocol, Tls, Wire};

use self::reach::Reach;
use crate::outlet::{Dropped, Tally, lock};
use crate::spool::{Gauge, Spool};
use crate::time::Wall;

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
    /// Bytes a second while more than a batch waits; `None`: as fast as the collector takes them.
    pub catch_up: Option<u64>,
    /// Of what waits, alarms and what the daemon says of itself go before starts and exits of processes.
    pub alarms_first: bool,
    /// Sizes and times.
    pub limits: Limits,
}

impl Settings {
    /// To these URLs, all else as it is by default.
    pub fn to(endpoints: Vec<Endpoint>) -> Self {
        Self {
            endpoints,
            token_file: None,
            wire: Wire::default(),
            catch_up: None,
            alarms_first: false,
            limits: Limits::default(),
        }
    }

    /// What the spool knows each collector by: its first URL, without secrets, numbered where that is not enough.
    pub fn names(collectors: &[Self]) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for collector in collectors {
            let url = collector.endpoints.first().map(ToString::to_string).unwrap_or_default();
            let again = names.iter().filter(|name| name.split(' ').next() == Some(&url)).count();
            names.push(if again == 0 { url } else { format!("{url} {}", again + 1) });
        }
        names
    }
}

/// Sizes and times of a [`Forwarder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most events in a batch.
    pub batch_events: usize,
    /// Most bytes in a batch (one longer event goes alone).
    pub batch_bytes: usize,
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
            batch_events: 1000,
            batch_bytes: 512 << 10,
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
    /// What people and the spool know it by ([`Settings::names`]).
    #[serde(default)]
    pub name: String,
    /// The URLs, without secrets.
    pub urls: Vec<String>,
    /// By which proxy each URL is reached that is reached by one; without secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub proxies: BTreeMap<String, String>,
    /// The last request was acknowledged (or none was made yet).
    pub healthy: bool,
    /// Why it was not.
    pub last_error: Option<String>,
    /// Failures in a row.
    pub failures: u64,
    /// Seconds since the first of the requests that all have to be made again; absent while it is within reach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreached_seconds: Option<f64>,
    /// Events on disk that it has not acknowledged; at most so many.
    pub queued_events: u64,
    /// Seconds since the oldest of them happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued_age: Option<f64>,
    /// Events acknowledged.
    pub sent_events: u64,
    /// Requests acknowledged.
    pub sent_batches: u64,
    /// Events that it broke over and that may be the reason; they count as waiting.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub suspects: u64,
    /// Files that do not serve as they are now, one sentence each: those of before are used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Metrics, where it is sent some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<MetricsStatus>,
    /// Events dropped since the start, by reason.
    pub dropped: Vec<Dropped>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The way out to one collector.
#[derive(Debug)]
pub struct Forwarder {
    shared: Arc<Shared>,
    gauge: Gauge,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// The end has come.
    wake: Notify,
    limits: Limits,
    dead: Arc<DeadLetters>,
    reach: Reach,
}

#[derive(Debug)]
struct State {
    /// For status: the spool has these told.
    tally: Tally,
    closing: bool,
    sent_events: u64,
    sent_batches: u64,
    failures: u64,
    suspects: u64,
    last_error: Option<String>,
    name: String,
    urls: Vec<String>,
    proxies: BTreeMap<String, String>,
    notes: Vec<String>,
}

impl Forwarder {
    /// Starts forwarding on the present tokio runtime what the spool has for the collector of this name.
    pub fn spawn(settings: Settings, client: Client, spool: &Spool, name: &str, dead: Arc<DeadLetters>) -> Self {
        let reader = spool.reader(name, settings.alarms_first);
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                tally: Tally::new(PLACE),
                closing: false,
                sent_events: 0,
                sent_batches: 0,
                failures: 0,
                suspects: 0,
                last_error: None,
                name: name.to_owned(),
                urls: settings.endpoints.iter().map(ToString::to_string).collect(),
                proxies: client.proxies().clone(),
                notes: Vec::new(),
            }),
            wake: Notify::new(),
            reach: Reach::default(),
            limits: settings.limits,
            dead,
        });
        let gauge = reader.gauge();
        let task = task::Task::new(Arc::clone(&shared), reader, client, settings.endpoints, settings.catch_up);
        Self { shared, gauge, task: tokio::spawn(task.run()) }
    }

    /// Rings this bell whenever the collector goes out of reach or comes back.
    pub fn ring(&self, bell: &Arc<Notify>) {
        self.shared.reach.ring(bell);
    }

    /// How delivery of events stands at this moment.
    pub fn status(&self, now: Wall) -> Status {
        let backlog = self.gauge.read();
        let state = lock(&self.shared.state);
        Status {
            name: state.name.clone(),
            urls: state.urls.clone(),
            proxies: state.proxies.clone(),
            healthy: state.failures == 0,
            last_error: state.last_error.clone(),
            failures: state.failures,
            unreached_seconds: self.shared.reach.failing_for().map(|time| time.as_secs_f64()),
            queued_events: backlog.events,
            queued_age: backlog.oldest.map(|oldest| now.0.saturating_sub(oldest).max(0) as f64 / 1e9),
            sent_events: state.sent_events,
            sent_batches: state.sent_batches,
            suspects: state.suspects,
            notes: state.notes.clone(),
            metrics: None,
            dropped: state.tally.totals(),
        }
    }

    /// Ends at once. What was under way goes to whoever takes this collector up next.
    pub fn abort(self) {
        self.task.abort();
    }

    /// Sends what is on disk, for at most `within`; returns how many events were left, at most.
    pub async fn close(self, within: Duration) -> u64 {
        lock(&self.shared.state).closing = true;
        self.shared.wake.notify_one();
        let abort = self.task.abort_handle();
        if tokio::time::timeout(within, self.task).await.is_err() {
            abort.abort();
        }
        self.gauge.read().events
    }
}

impl Shared {
    fn sent(&self, endpoint: &Endpoint, events: u64) {
        self.reach.answered();
        let mut state = lock(&self.state);
        if state.failures > 0 {
            tracing::info!(collector = %endpoint, "the collector takes events again");
        }
        state.failures = 0;
        state.last_error = None;
        state.sent_batches += 1;
        state.sent_events += events;
    }

    fn failed(&self, endpoint: &Endpoint, why: &str) {
        self.reach.failed();
        let mut state = lock(&self.state);
        // The first failure in a row is news, the others are the same news.
        if state.failures == 0 {
            tracing::warn!(collector = %endpoint, %why, "the collector does not take events; trying on");
        }
        state.failures += 1;
        state.last_error = Some(format!("{endpoint}: {why}"));
    }

    /// Of so many events these were refused for good.
    fn rejected(&self, endpoint: &Endpoint, events: u64, rejected: u64, why: &str) {
        self.reach.answered();
        tracing::warn!(collector = %endpoint, %why, rejected, "the collector rejects events; they are set aside");
        let mut state = lock(&self.state);
        state.tally.add("rejected", rejected);
        if rejected < events {
            state.sent_batches += 1;
            state.sent_events += events - rejected;
        }
        state.failures += 1;
        state.last_error = Some(format!("{endpoint}: {why}"));
    }
}
