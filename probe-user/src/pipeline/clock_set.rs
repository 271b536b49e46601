//! Notices when somebody sets the wall clock, or the machine wakes up, without looking at it again and again.
//!
//! A timer of the kernel on the wall clock, set to a moment that never comes, which the kernel cancels whenever the
//! clock jumps. Nothing is read out of it but that: which time it is now is asked of the clocks themselves.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::readable::Readable;

/// Seconds since 1970 of a moment that never comes; the kernel's clock ends in 2262.
const NEVER: i64 = 9_000_000_000;

/// The watch.
pub(super) struct ClockSet {
    timer: Readable<OwnedFd>,
}

impl ClockSet {
    /// Must be called inside a tokio runtime.
    pub(super) fn new() -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Realtime, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        let watch = Self { timer: Readable::new(timer)? };
        watch.arm()?;
        Ok(watch)
    }

    /// Waits until the clock jumps. What happens between two calls is not missed.
    pub(super) async fn jumps(&self) -> io::Result<()> {
        self.timer.ready().await
    }

    /// Waits for the next jump from now on.
    pub(super) fn again(&self) -> io::Result<()> {
        let mut count = [0; 8];
        match rustix::io::read(self.timer.get_ref(), &mut count) {
            Ok(_) | Err(Errno::CANCELED | Errno::AGAIN | Errno::INTR) => self.arm(),
            Err(error) => Err(error.into()),
        }
    }

    fn arm(&self) -> io::Result<()> {
        let spec = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: Timespec { tv_sec: NEVER, tv_nsec: 0 },
        };
        let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
        match timerfd_settime(self.timer.get_ref(), flags, &spec) {
            // It jumped just now: set all the same, and told by the next read.
            Ok(_) | Err(Errno::CANCELED) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_clock_that_nobody_sets_does_not_jump() {
        let watch = ClockSet::new().unwrap();
        for _ in 0..2 {
            assert!(tokio::time::timeout(Duration::from_millis(20), watch.jumps()).await.is_err());
            watch.again().unwrap();
        }
    }
}
