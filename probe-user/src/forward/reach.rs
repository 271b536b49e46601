//! Whether a collector is within reach: since when all that was tried has failed in a way that is worth another try, and
//! a bell for whoever waits for that to begin or to end.
//!
//! A rejection is an answer, and so is a part of a batch taken. Whether it lasts long enough to be an outage is not decided
//! here ([`crate::agent::Paths`]).

use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::outlet::lock;

#[derive(Debug, Default)]
pub(super) struct Reach {
    failing_since: Mutex<Option<Instant>>,
    bell: OnceLock<Arc<Notify>>,
}

impl Reach {
    /// Rings this one from now on.
    pub(super) fn ring(&self, bell: &Arc<Notify>) {
        // Set once, when the way is opened.
        let _ = self.bell.set(Arc::clone(bell));
    }

    /// A request is to be made again.
    pub(super) fn failed(&self) {
        let mut since = lock(&self.failing_since);
        if since.is_none() {
            *since = Some(Instant::now());
            self.turned();
        }
    }

    /// A request was answered.
    pub(super) fn answered(&self) {
        if lock(&self.failing_since).take().is_some() {
            self.turned();
        }
    }

    /// For so long nothing was.
    pub(super) fn failing_for(&self) -> Option<Duration> {
        lock(&self.failing_since).map(|since| since.elapsed())
    }

    fn turned(&self) {
        if let Some(bell) = self.bell.get() {
            bell.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_rings_when_failing_begins_and_when_it_ends() {
        let (reach, bell) = (Reach::default(), Arc::new(Notify::new()));
        reach.ring(&bell);
        let rung = async || tokio::time::timeout(Duration::from_millis(1), bell.notified()).await.is_ok();
        reach.answered();
        assert!(!rung().await && reach.failing_for().is_none());
        reach.failed();
        let first = reach.failing_for().unwrap();
        assert!(rung().await);
        reach.failed();
        assert!(!rung().await && reach.failing_for().unwrap() > first, "it goes on");
        reach.answered();
        assert!(rung().await && reach.failing_for().is_none());
    }
}
