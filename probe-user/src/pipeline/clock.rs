//! The only place that reads clocks.

use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::time::{ClockReading, KTime, Wall};

/// The kernel's monotonic clock, the one that records are stamped with.
pub fn now() -> KTime {
    KTime(nanos(clock_gettime(ClockId::Monotonic)))
}

/// All clocks, one right after the other.
pub fn read() -> ClockReading {
    let wall = clock_gettime(ClockId::Realtime);
    ClockReading {
        mono: now(),
        boot_ns: nanos(clock_gettime(ClockId::Boottime)),
        wall: Wall(i64::try_from(nanos(wall)).unwrap_or(i64::MAX)),
    }
}

/// Nanoseconds of a clock that does not show times before its zero.
fn nanos(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}
