//! The end of the ways out: everything told is on disk, every loss is told, and what waits gets some time to go out.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Outlets;
use super::clock;
use crate::outlet::AT_LAST;

/// How long each way out may take at the end.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// How often it is looked whether everything is on disk.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Telling a drop may itself make the spool drop something. That rarely goes on: it frees more than it needs.
const ROUNDS: u32 = 4;

impl Outlets {
    /// Tells every drop that was not told, once all that was told before is on disk. A disk that stands still or refuses is
    /// not waited for longer than a way out may take: the next run tells what is left then.
    pub(in crate::pipeline) async fn tell_last_drops(&mut self) {
        let deadline = Instant::now() + CLOSE_WITHIN;
        for _ in 0..ROUNDS {
            let of_spool = loop {
                if let Some(of_spool) = self.spool.last_untold() {
                    break of_spool;
                }
                if Instant::now() > deadline {
                    return;
                }
                sleep(LOOK_EVERY).await;
            };
            let before = self.last_seq();
            self.tell_dropped(clock::now(), AT_LAST, &of_spool);
            if self.last_seq() == before {
                return;
            }
        }
    }

    /// Lets out what waits, for a bounded time.
    pub(in crate::pipeline) async fn close(self) {
        let left = self.notifier.close(CLOSE_WITHIN).await;
        if left > 0 {
            tracing::warn!(left, "notifications wait for the next run");
        }
        let spool = self.spool;
        let closed = tokio::task::spawn_blocking(move || spool.close(CLOSE_WITHIN));
        if let Ok(left @ 1..) = closed.await {
            tracing::error!(left, "events did not get on disk before the end: they are lost");
        }
        let closing: Vec<_> =
            self.ways.into_iter().map(|way| tokio::spawn(way.forwarder.close(CLOSE_WITHIN))).collect();
        for closed in closing {
            if let Ok(left @ 1..) = closed.await {
                tracing::warn!(left, "events wait for the collector until the next run");
            }
        }
        let left = self.sink.close(CLOSE_WITHIN).await;
        if left > 0 {
            tracing::warn!(left, "events did not reach stdout before the end");
        }
        if let Err(error) = self.stamper.close() {
            tracing::warn!(%error, "the next event number could not be written: the next run leaves a gap in them");
        }
    }
}
