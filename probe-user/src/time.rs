//! The two clocks, as types that cannot be mixed up.
//!
//! [`KTime`] is what the kernel stamps records with and what every bound is judged by: it never jumps and stands still
//! while the machine is suspended. [`Wall`] is for people and for the wire. Only the pipeline reads clocks; it hands a
//! [`ClockReading`] to whoever has to turn one into the other.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

/// Nanoseconds of CLOCK_MONOTONIC since boot, as `bpf_ktime_get_ns` and `task_struct.start_time` count them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KTime(pub u64);

impl KTime {
    /// A time from whole seconds since boot; for tests and virtual time.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs * 1_000_000_000)
    }

    /// A time from milliseconds since boot; for tests and virtual time.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis * 1_000_000)
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This much later, at the end of time at most.
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// This much earlier, at boot at most.
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// Nanoseconds since 1970 in UTC; good until the year 2262.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(pub i64);

impl fmt::Display for Wall {
    /// RFC 3339 in UTC with nanoseconds, as EVENTS.md fixes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(time) => write!(f, "{time:.9}"),
            // Cannot happen: every i64 of nanoseconds is inside jiff's range.
            Err(_) => write!(f, "{}ns", self.0),
        }
    }
}

impl Serialize for Wall {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// All clocks read at one moment, to turn kernel times into wall times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReading {
    /// CLOCK_MONOTONIC.
    pub mono: KTime,
    /// CLOCK_BOOTTIME, ns: like `mono`, but it also counts suspended time.
    pub boot_ns: u64,
    /// CLOCK_REALTIME.
    pub wall: Wall,
}

impl ClockReading {
    /// The wall time of a recent kernel time: right as long as no suspend or clock step lies between it and the reading.
    pub fn wall_of(&self, time: KTime) -> Wall {
        Self::shifted(self.wall, self.mono.0, time.0)
    }

    /// The wall time of a CLOCK_BOOTTIME stamp, such as the start of a process that is older than the last suspend.
    pub fn wall_of_boot(&self, boot_ns: u64) -> Wall {
        Self::shifted(self.wall, self.boot_ns, boot_ns)
    }

    fn shifted(wall: Wall, now: u64, then: u64) -> Wall {
        let delta = i128::from(then) - i128::from(now);
        let delta = i64::try_from(delta).unwrap_or(if delta < 0 { i64::MIN } else { i64::MAX });
        Wall(wall.0.saturating_add(delta))
    }
}
