//! How much a source may send. Pure; bounded whatever sends.
//!
//! Each address has a budget that fills up with time. There are so many budgets; a source for which there is none left shares one
//! with all others of its kind, so that made-up addresses crowd each other and not those that are known.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::time::KTime;

/// Sources that are told apart.
const SOURCES_MAX: usize = 4096;
/// A budget that was not used for so long is full again, and forgotten.
const IDLE: Duration = Duration::from_secs(10);

/// The budgets of all sources.
#[derive(Debug)]
pub(super) struct Limits {
    rate: f64,
    burst: f64,
    sources: HashMap<IpAddr, Budget>,
    others: Budget,
    swept: KTime,
}

/// What one source may still send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    left: f64,
    at: KTime,
}

impl Budget {
    /// Full.
    pub(super) const fn new(burst: f64) -> Self {
        Self { left: burst, at: KTime(0) }
    }

    /// Takes one, if there is one.
    pub(super) fn take(&mut self, now: KTime, rate: f64, burst: f64) -> bool {
        self.left = (self.left + now.since(self.at).as_secs_f64() * rate).min(burst);
        self.at = self.at.max(now);
        let is_left = self.left >= 1.0;
        if is_left {
            self.left -= 1.0;
        }
        is_left
    }
}

impl Limits {
    /// So many a second, and so many at once.
    pub(super) fn new(rate: f64, burst: f64) -> Self {
        Self { rate, burst, sources: HashMap::new(), others: Budget::new(burst), swept: KTime(0) }
    }

    /// Whether one more may come from there.
    pub(super) fn allows(&mut self, now: KTime, source: IpAddr) -> bool {
        let (rate, burst) = (self.rate, self.burst);
        if !self.sources.contains_key(&source) {
            if self.sources.len() >= SOURCES_MAX {
                self.sweep(now);
            }
            if self.sources.len() >= SOURCES_MAX {
                return self.others.take(now, rate, burst);
            }
        }
        let budget = self.sources.entry(source).or_insert(Budget { left: burst, at: now });
        budget.take(now, rate, burst)
    }

    /// Forgets who has not sent for long; once a second at most, for it looks at all of them.
    fn sweep(&mut self, now: KTime) {
        if now.since(self.swept) >= Duration::from_secs(1) {
            self.swept = now;
            self.sources.retain(|_, budget| now.since(budget.at) < IDLE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_gets_its_burst_and_then_its_rate() {
        let mut limits = Limits::new(10.0, 5.0);
        let (one, two) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let sent = |limits: &mut Limits, millis: u64, source: IpAddr| {
            (0..20).filter(|_| limits.allows(KTime::from_millis(millis), source)).count()
        };
        assert_eq!(sent(&mut limits, 1000, one), 5);
        assert_eq!(sent(&mut limits, 1000, two), 5);
        assert_eq!(sent(&mut limits, 1300, one), 3);
        assert_eq!(sent(&mut limits, 9000, one), 5);
        // Time that runs backwards gives nothing.
        assert_eq!(sent(&mut limits, 8000, one), 0);
    }

    #[test]
    fn made_up_sources_share_what_is_left() {
        let mut limits = Limits::new(1.0, 2.0);
        let now = KTime::from_secs(100);
        let made_up = |number: u32| IpAddr::from(number.to_be_bytes());
        assert!((0..4096).all(|number| limits.allows(now, made_up(number))));
        let more = (5000..9000).filter(|number| limits.allows(now, made_up(*number))).count();
        assert_eq!(more, 2);
        // Who is known keeps its own, and later there is room again.
        assert!(limits.allows(now, made_up(7)));
        let later = KTime::from_secs(200);
        assert!((5000..9000).all(|number| limits.allows(later, made_up(number))));
        assert!(limits.sources.len() <= SOURCES_MAX);
    }
}
