//! When the daemon does next what nothing wakes it for.

use std::time::Duration;

use crate::agent::HEARTBEAT_EVERY;
use crate::supervisor::Supervisor;
use crate::time::KTime;

/// When what is to be done next.
#[derive(Debug)]
pub(super) struct Times {
    /// The ring may hold records that woke nobody.
    pub(super) drain: Option<KTime>,
    /// Usage, the host or both are sampled; `None` while nobody asks for it.
    pub(super) sample: Option<KTime>,
    pub(super) heartbeat: KTime,
    /// Whoever started the daemon hears that it is alive; `None` where nobody keeps a watchdog.
    pub(super) alive: Option<KTime>,
}

impl Times {
    /// The scan at the start may have taken a while: the ring has something in it.
    pub(super) fn new(now: KTime, supervisor: &Supervisor) -> Self {
        let alive = supervisor.alive_every(HEARTBEAT_EVERY).map(|every| now.after(every));
        Self { drain: Some(now), sample: None, heartbeat: now.after(HEARTBEAT_EVERY), alive }
    }
}

/// The next moment after `now` on the beat that `last` was on: what was missed is not made up for.
pub(super) fn next_tick(last: KTime, every: Duration, now: KTime) -> KTime {
    let every = u64::try_from(every.as_nanos()).unwrap_or(u64::MAX).max(1);
    let missed = now.0.saturating_sub(last.0) / every;
    KTime(last.0.saturating_add(every.saturating_mul(missed.saturating_add(1))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_stay_on_their_beat() {
        let check = |now: u64, expected: u64| {
            let next = next_tick(KTime::from_secs(10), Duration::from_secs(5), KTime::from_secs(now));
            assert_eq!(next, KTime::from_secs(expected));
        };
        check(10, 15);
        check(14, 15);
        check(15, 20);
        check(33, 35);
        check(0, 15);
    }
}
