//! What every way out shares: a queue of lines that is bounded in bytes, and a tally of what had to be dropped.
//!
//! Collection never waits for delivery: a way out that cannot follow costs its queue's bound and no more. What it drops
//! it counts by reason, and the pipeline tells the counts as `procprobe.agent.lost`.

mod queue;
mod tally;

pub use queue::LineQueue;
pub use tally::{AT_LAST, Dropped, TELL_EVERY, Tally};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, also after another holder panicked: queues and tallies are whole between any two of their statements.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
