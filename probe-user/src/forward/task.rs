//! The forwarding task: gather a batch, send it until it is done, again.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::send::Client;
use super::{Endpoint, Shared};
use crate::outlet::lock;
use crate::post::Outcome;
use crate::post::rota::{Jitter, Rota, Turn};

/// Runs until the queue is empty after the end was called.
pub(super) async fn run(shared: Arc<Shared>, mut client: Client, endpoints: Vec<Endpoint>) {
    let mut rota = Rota::new(endpoints.len(), shared.limits.backoff_min, shared.limits.backoff_max);
    let mut jitter = Jitter::new();
    while let Some(batch) = gather(&shared).await {
        let mut parts = VecDeque::from([batch]);
        while let Some(part) = parts.pop_front() {
            match deliver(&shared, &mut client, &endpoints, &mut rota, &mut jitter, &part).await {
                Delivered::Done => {}
                Delivered::Halve => {
                    let (left, right) = part.split_at(part.len() / 2);
                    parts.push_front(right.to_vec());
                    parts.push_front(left.to_vec());
                }
            }
        }
    }
}

enum Delivered {
    /// Acknowledged, or rejected and counted.
    Done,
    /// To be sent in two parts.
    Halve,
}

/// Waits until a batch is full, old enough, urgent, or the end has come. `None`: the end, and nothing is left.
async fn gather(shared: &Shared) -> Option<Vec<Bytes>> {
    let mut oldest: Option<Instant> = None;
    loop {
        {
            let mut state = lock(&shared.state);
            let due = oldest.is_some_and(|at| Instant::now() >= at + shared.limits.linger);
            if state.queue.is_empty() {
                if state.closing {
                    return None;
                }
                oldest = None;
            } else if due || state.closing || state.urgent || shared.is_full(&state) {
                let batch = state.queue.take(shared.limits.batch_events, shared.limits.batch_bytes);
                state.under_way = batch.len();
                state.urgent &= !state.queue.is_empty();
                return Some(batch);
            } else {
                oldest.get_or_insert_with(Instant::now);
            }
        }
        match oldest {
            None => shared.wake.notified().await,
            // Whether it was time or a wake-up, the state tells.
            Some(at) => drop(timeout_at(at + shared.limits.linger, shared.wake.notified()).await),
        }
    }
}

/// Sends one batch until it is acknowledged, rejected, or known to be too large.
async fn deliver(
    shared: &Shared,
    client: &mut Client,
    endpoints: &[Endpoint],
    rota: &mut Rota,
    jitter: &mut Jitter,
    lines: &[Bytes],
) -> Delivered {
    let body = client.encode(lines);
    loop {
        let index = match rota.turn(Instant::now()) {
            Turn::Try(index) => index,
            Turn::Wait(until) => {
                sleep_until(until).await;
                continue;
            }
        };
        let Some(endpoint) = endpoints.get(index) else { return Delivered::Done };
        match client.send(endpoint, &body).await {
            Outcome::Accepted => {
                rota.succeeded(index);
                let mut state = lock(&shared.state);
                if state.failures > 0 {
                    tracing::info!(collector = %endpoint, "the collector takes events again");
                }
                state.failures = 0;
                state.last_error = None;
                state.sent_batches += 1;
                state.sent_events += lines.len() as u64;
                state.under_way -= lines.len();
                return Delivered::Done;
            }
            Outcome::Partial { rejected, why } => {
                rota.succeeded(index);
                tracing::warn!(collector = %endpoint, %why, rejected, "the collector takes a part of a batch; the rest is dropped");
                let mut state = lock(&shared.state);
                state.tally.add("rejected", rejected);
                state.failures += 1;
                state.last_error = Some(format!("{endpoint}: {why}"));
                state.sent_batches += 1;
                state.sent_events += lines.len() as u64 - rejected;
                state.under_way -= lines.len();
                return Delivered::Done;
            }
            Outcome::Retry { why, after } => {
                let wait = rota.failed(index, Instant::now(), after, jitter.next());
                let mut state = lock(&shared.state);
                // The first failure in a row is news, the others are the same news.
                if state.failures == 0 {
                    tracing::warn!(collector = %endpoint, %why, "the collector does not take events; trying on");
                }
                tracing::debug!(collector = %endpoint, %why, ?wait, "a batch waits");
                state.failures += 1;
                state.last_error = Some(format!("{endpoint}: {why}"));
            }
            Outcome::TooLarge if lines.len() > 1 => return Delivered::Halve,
            Outcome::TooLarge => {
                reject(shared, endpoint, lines.len(), "HTTP 413: one event is too large");
                rota.succeeded(index);
                return Delivered::Done;
            }
            Outcome::Rejected { why } => {
                reject(shared, endpoint, lines.len(), &why);
                rota.succeeded(index);
                return Delivered::Done;
            }
        }
    }
}

fn reject(shared: &Shared, endpoint: &Endpoint, events: usize, why: &str) {
    tracing::warn!(collector = %endpoint, %why, events, "the collector rejects events; they are dropped");
    let mut state = lock(&shared.state);
    state.tally.add("rejected", events as u64);
    state.under_way -= events;
    state.failures += 1;
    state.last_error = Some(format!("{endpoint}: {why}"));
}
