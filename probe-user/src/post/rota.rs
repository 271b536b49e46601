//! Which of several URLs is next, and when. Pure: time comes in as an argument.
//!
//! The first URL of the list that is not waiting is next, so that a primary that is back takes over again. A failure makes
//! its own URL wait: doubling from the shortest to the longest wait, each shortened by up to half at random so that a
//! fleet does not come back in step; a longer wait that the collector asked for is kept, up to the longest.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use tokio::time::Instant;

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Try this one.
    Try(usize),
    /// All wait; look again at this moment.
    Wait(Instant),
}

#[derive(Debug)]
pub(crate) struct Rota {
    places: Vec<Place>,
    shortest: Duration,
    longest: Duration,
    longest_asked: Duration,
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    failures: u32,
    not_before: Option<Instant>,
}

impl Rota {
    pub(crate) fn new(places: usize, shortest: Duration, longest: Duration) -> Self {
        Self { places: vec![Place::default(); places.max(1)], shortest, longest, longest_asked: longest }
    }

    /// Keeps waits that the other side asks for up to this one.
    pub(crate) fn obeying(self, longest_asked: Duration) -> Self {
        Self { longest_asked, ..self }
    }

    pub(crate) fn turn(&self, now: Instant) -> Turn {
        let mut soonest = None;
        for (index, place) in self.places.iter().enumerate() {
            match place.not_before {
                Some(at) if at > now => soonest = Some(soonest.map_or(at, |soonest: Instant| soonest.min(at))),
                _ => return Turn::Try(index),
            }
        }
        soonest.map_or(Turn::Try(0), Turn::Wait)
    }

    pub(crate) fn succeeded(&mut self, index: usize) {
        if let Some(place) = self.places.get_mut(index) {
            *place = Place::default();
        }
    }

    /// `jitter` is a number from anywhere in its range; returns how long this one waits.
    pub(crate) fn failed(&mut self, index: usize, now: Instant, asked: Option<Duration>, jitter: u32) -> Duration {
        let Some(place) = self.places.get_mut(index) else { return Duration::ZERO };
        let doubled = self.shortest.saturating_mul(1_u32.checked_shl(place.failures).unwrap_or(u32::MAX));
        place.failures = place.failures.saturating_add(1);
        let whole = doubled.min(self.longest);
        let shortened = whole.mul_f64(1.0 - 0.5 * f64::from(jitter) / f64::from(u32::MAX));
        let wait = shortened.max(asked.unwrap_or_default().min(self.longest_asked));
        place.not_before = Some(now + wait);
        wait
    }
}

/// Enough chance to keep a fleet out of step; nothing secret hangs on it.
#[derive(Debug)]
pub(crate) struct Jitter {
    seed: RandomState,
    count: u64,
}

impl Jitter {
    pub(crate) fn new() -> Self {
        Self { seed: RandomState::new(), count: 0 }
    }

    pub(crate) fn next(&mut self) -> u32 {
        self.count += 1;
        let [a, b, c, d, ..] = self.seed.hash_one(self.count).to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn rota(places: usize) -> (Rota, Instant) {
        (Rota::new(places, SECOND, 60 * SECOND), Instant::now())
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let (mut rota, now) = rota(1);
        let waits: Vec<_> = (0..40).map(|_| rota.failed(0, now, None, 0).as_secs()).collect();
        assert_eq!(waits[..8], [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(waits[39], 60);
        rota.succeeded(0);
        assert_eq!(rota.failed(0, now, None, 0), SECOND);
    }

    #[test]
    fn jitter_shortens_by_half_at_most() {
        let (mut rota, now) = rota(1);
        assert_eq!(rota.failed(0, now, None, u32::MAX), SECOND / 2);
        let middle = rota.failed(0, now, None, u32::MAX / 2);
        assert!(middle > SECOND && middle < 2 * SECOND, "{middle:?}");
    }

    #[test]
    fn the_collectors_own_wait_is_kept_within_reason() {
        let (mut rota, now) = rota(1);
        assert_eq!(rota.failed(0, now, Some(7 * SECOND), 0), 7 * SECOND);
        assert_eq!(rota.failed(0, now, Some(SECOND / 10), 0), 2 * SECOND);
        assert_eq!(rota.failed(0, now, Some(86_400 * SECOND), 0), 60 * SECOND);
        let mut rota = rota.obeying(3600 * SECOND);
        assert_eq!(rota.failed(0, now, Some(300 * SECOND), 0), 300 * SECOND);
        assert_eq!(rota.failed(0, now, Some(86_400 * SECOND), 0), 3600 * SECOND);
    }

    #[test]
    fn the_first_that_is_not_waiting_is_next() {
        let (mut rota, now) = rota(2);
        assert_eq!(rota.turn(now), Turn::Try(0));
        rota.failed(0, now, None, 0);
        assert_eq!(rota.turn(now), Turn::Try(1));
        rota.failed(1, now, Some(5 * SECOND), 0);
        assert_eq!(rota.turn(now), Turn::Wait(now + SECOND));
        assert_eq!(rota.turn(now + SECOND), Turn::Try(0));
        rota.failed(0, now + SECOND, None, 0);
        assert_eq!(rota.turn(now + 2 * SECOND), Turn::Wait(now + 3 * SECOND));
        rota.succeeded(1);
        assert_eq!(rota.turn(now + 2 * SECOND), Turn::Try(1), "a success takes the wait away");
    }
}
