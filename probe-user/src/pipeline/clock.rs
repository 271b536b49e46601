//! The only place that reads clocks.

use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::time::{ClockReading, KTime, Wall};

/// The kernel's monotonic clock, the one that records are stamped with.
pub fn now() -> KTime {
    KTime(nanos(clock_gettime(ClockId::Monotonic)))
}

/// Readings of the clocks further apart than this, in ns, were interrupted: on a busy host the thread may lose its CPU
/// for many ms between two of them, and all times derived from them would be that far off.
const INTERRUPTED_NS: u64 = 10_000;
/// How often an interrupted reading is tried again; then the best one is taken.
const TRIES: u32 = 8;

/// All clocks at one moment.
pub fn read() -> ClockReading {
    let mut best = read_once();
    for _ in 1..TRIES {
        if best.0 <= INTERRUPTED_NS {
            break;
        }
        let again = read_once();
        if again.0 < best.0 {
            best = again;
        }
    }
    best.1
}

/// All clocks, one right after the other, and how many ns that took.
fn read_once() -> (u64, ClockReading) {
    let mono = now();
    let boot_ns = nanos(clock_gettime(ClockId::Boottime));
    let wall = nanos(clock_gettime(ClockId::Realtime));
    let took = now().0.saturating_sub(mono.0);
    (took, ClockReading { mono, boot_ns, wall: Wall(i64::try_from(wall).unwrap_or(i64::MAX)) })
}

/// The clocks, with a wall clock that stands still against the kernel's as long as nobody moves it: the reading of two
/// clocks one after the other differs by some ns each time, and the start of a process is to be the same in every event.
#[derive(Debug, Default)]
pub struct Steady {
    last: Option<ClockReading>,
}

/// Differences below this, in ns, are taken for reading noise; ntpd and its like move a clock further than this in steps,
/// and slew it by less in an hour than events of one process are apart.
const NOISE_NS: u64 = 1_000_000;

impl Steady {
    /// The clocks now.
    pub fn read(&mut self) -> ClockReading {
        let fresh = read();
        let steady = match self.last {
            Some(last) => {
                let (wall, boot) = (last.wall_of(fresh.mono), last.boot_ns.saturating_add(fresh.mono.0 - last.mono.0));
                let is_noise = wall.0.abs_diff(fresh.wall.0) < NOISE_NS && boot.abs_diff(fresh.boot_ns) < NOISE_NS;
                if is_noise { ClockReading { mono: fresh.mono, boot_ns: boot, wall } } else { fresh }
            }
            None => fresh,
        };
        self.last = Some(steady);
        steady
    }
}

/// Nanoseconds of a clock that does not show times before its zero.
fn nanos(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}
