//! What turns for the worse or for the better by itself: a collector that goes out of reach or comes back, a disk that
//! fails.

use std::time::Duration;

use super::super::clock;
use super::Outlets;
use crate::agent::{Seen, Stand};
use crate::spool;
use crate::time::KTime;

impl Outlets {
    /// Waits until a collector goes out of reach or comes back, or the disk does.
    pub(in crate::pipeline) async fn turns(&self) {
        self.bell.notified().await;
    }

    /// When [`Self::tell_turns`] has something to tell, unless something turns before.
    pub(in crate::pipeline) fn next_turn(&self) -> Option<KTime> {
        [self.paths.next_look(), self.disk.next_look()].into_iter().flatten().min()
    }

    /// Tells which collectors have been out of reach for long, and which are back; the same of the disk.
    pub(in crate::pipeline) fn tell_turns(&mut self) {
        self.tell_disk();
        self.tell_paths();
    }

    fn tell_disk(&mut self) {
        let now = clock::now();
        let spool::Status { unwritten, failing, failing_seconds, dropped, .. } = self.spool.status();
        let lasting = Duration::try_from_secs_f64(failing_seconds.unwrap_or_default()).unwrap_or_default();
        let lost = dropped.iter().filter(|dropped| dropped.reason == spool::NO_MEMORY).map(|dropped| dropped.count);
        let stand = Stand {
            failing: failing.map(|why| (now.before(lasting), why)),
            waiting: unwritten as u64,
            lost: lost.sum(),
        };
        if let Some(event) = self.disk.look(now, &stand) {
            self.tell(event);
        }
    }

    fn tell_paths(&mut self) {
        let now = clock::now();
        let collectors = self.collectors();
        let seen = collectors.into_iter().map(|status| {
            let collector = status.name;
            let why = status.last_error.unwrap_or_default();
            let why = why.strip_prefix(&format!("{collector}: ")).unwrap_or(&why).to_owned();
            let lasting = status.unreached_seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            let unreached = lasting.map(|lasting| now.before(lasting));
            Seen { collector, unreached, why, waiting: status.queued_events, sent: status.sent_events }
        });
        for event in self.paths.look(now, &seen.collect::<Vec<_>>()) {
            self.tell(event);
        }
    }
}
