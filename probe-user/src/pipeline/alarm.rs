//! One alarm clock for everything that a thread does at a certain moment: the pipeline, and the peers.
//!
//! A timer of the kernel, set to a moment of CLOCK_MONOTONIC, wakes it exactly once. The runtime's own timers
//! count on a wheel and wake up for each of its turns on the way: two or three wake-ups where one is meant.

use std::io;
use std::os::fd::OwnedFd;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::readable::Readable;
use crate::time::KTime;

/// The clock.
pub(crate) struct Alarm {
    timer: Readable<OwnedFd>,
    set: Option<KTime>,
}

impl Alarm {
    /// Must be called inside a tokio runtime.
    pub(crate) fn new() -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        Ok(Self { timer: Readable::new(timer)?, set: None })
    }

    /// Rings at that moment, at once if it has passed, or never.
    pub(crate) fn set(&mut self, at: Option<KTime>) -> io::Result<()> {
        if self.set == at {
            return Ok(());
        }
        // All zero means never: a moment at boot is a nanosecond later.
        let it_value = at.map_or(Timespec { tv_sec: 0, tv_nsec: 0 }, |at| timespec(at.0.max(1)));
        let spec = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::ABSTIME, &spec)?;
        self.set = at;
        Ok(())
    }

    /// Waits until it rings. It has to be set anew afterwards.
    pub(crate) async fn rings(&self) -> io::Result<()> {
        self.timer.ready().await
    }

    /// It has rung. The count of rings in the descriptor is left unread: the runtime is told of changes only, and setting
    /// the clock anew takes the count back.
    pub(crate) const fn rang(&mut self) {
        self.set = None;
    }
}

fn timespec(nanos: u64) -> Timespec {
    let part = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    Timespec { tv_sec: part(nanos / 1_000_000_000), tv_nsec: part(nanos % 1_000_000_000) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::clock;
    use std::time::Duration;

    #[tokio::test]
    async fn it_rings_at_its_moment_and_only_then() {
        let mut alarm = Alarm::new().unwrap();
        for _ in 0..2 {
            let at = clock::now().after(Duration::from_millis(20));
            alarm.set(Some(at)).unwrap();
            alarm.rings().await.unwrap();
            assert!(clock::now() >= at);
            alarm.rang();
        }
        alarm.set(Some(KTime(0))).unwrap();
        alarm.rings().await.unwrap();
        alarm.rang();
        alarm.set(None).unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(20), alarm.rings()).await.is_err());
    }
}
