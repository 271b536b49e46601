//! The keys closed last: what still comes for one of them must not bring it back.
//!
//! Bounded: the oldest is forgotten for each new one. Records are late by one batch at most, a few milliseconds; the
//! kernel cannot end as many processes in that time as are remembered here without losing records anyway.
//!
//! Every end is remembered, and nearly nobody is ever asked for: who has just started is younger than all that have ended.
//! So remembering is made cheap, and asking looks at all of them.

use std::collections::VecDeque;

use super::{KTime, ProcessKey};

/// How many keys are remembered.
pub(super) const REMEMBERED: usize = 4096;

/// The keys in the order of their ends.
#[derive(Debug, Default)]
pub(super) struct Recent {
    order: VecDeque<ProcessKey>,
    /// None of them started later.
    newest: KTime,
}

impl Recent {
    pub(super) fn contains(&self, key: ProcessKey) -> bool {
        // A process that has just started is younger than all that have ended, or nearly.
        key.start <= self.newest && self.order.contains(&key)
    }

    pub(super) fn remember(&mut self, key: ProcessKey) {
        if self.order.back() == Some(&key) {
            return;
        }
        if self.order.len() >= REMEMBERED {
            self.order.pop_front();
        }
        self.newest = self.newest.max(key.start);
        self.order.push_back(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_are_remembered() {
        let mut recent = Recent::default();
        let key = |n: usize| ProcessKey { tgid: 1, start: KTime(u64::try_from(n).unwrap()) };
        for n in 0..3 * REMEMBERED {
            recent.remember(key(n));
            recent.remember(key(n));
        }
        assert!(recent.contains(key(2 * REMEMBERED)) && recent.contains(key(3 * REMEMBERED - 1)));
        assert!(!recent.contains(key(2 * REMEMBERED - 1)));
        assert_eq!(recent.order.len(), REMEMBERED);
    }
}
