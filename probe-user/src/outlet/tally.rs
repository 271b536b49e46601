//! How many events a way out dropped, by reason, and which of them the world has been told of.
//!
//! Telling a drop is itself an event that can be dropped. So drops are told together, at most once in [`TELL_EVERY`]: a
//! way out that is stuck makes one event in that time, not one for each it drops.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::KTime;

/// The shortest time between two tellings.
pub const TELL_EVERY: Duration = Duration::from_secs(10);

/// For [`Tally::untold`] when nobody asks again: however short ago the last telling was.
pub const AT_LAST: KTime = KTime(u64::MAX);

/// Events that did not go out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// The way out: `stdout`, `spool`, `forward`.
    #[serde(rename = "where")]
    pub place: String,
    /// Why, such as `queue_full`.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// Counts drops of one way out.
#[derive(Debug)]
pub struct Tally {
    place: &'static str,
    reasons: Vec<Reason>,
    last_told: Option<KTime>,
}

#[derive(Debug)]
struct Reason {
    place: &'static str,
    name: &'static str,
    total: u64,
    told: u64,
}

impl Tally {
    /// For the way out of this name.
    pub const fn new(place: &'static str) -> Self {
        Self { place, reasons: Vec::new(), last_told: None }
    }

    /// Counts drops.
    pub fn add(&mut self, reason: &'static str, count: u64) {
        self.add_at(self.place, reason, count);
    }

    /// Counts drops of another way out, to be told together with those of this one.
    pub fn add_at(&mut self, place: &'static str, reason: &'static str, count: u64) {
        if count == 0 {
            return;
        }
        if let Some(known) = self.reasons.iter_mut().find(|known| known.place == place && known.name == reason) {
            known.total += count;
        } else {
            self.reasons.push(Reason { place, name: reason, total: count, told: 0 });
        }
    }

    /// All drops since the start.
    pub fn totals(&self) -> Vec<Dropped> {
        self.reasons.iter().map(|reason| reason.dropped(reason.total)).collect()
    }

    /// The drops to tell now: those not told yet, if the last telling is long enough ago or this is [`AT_LAST`]. They
    /// count as told from here on.
    pub fn untold(&mut self, now: KTime) -> Vec<Dropped> {
        if self.reasons.iter().all(|reason| reason.total == reason.told)
            || (now != AT_LAST && self.last_told.is_some_and(|told| now.since(told) < TELL_EVERY))
        {
            return Vec::new();
        }
        self.last_told = Some(now);
        let untold = self
            .reasons
            .iter()
            .filter(|reason| reason.total > reason.told)
            .map(|reason| reason.dropped(reason.total - reason.told))
            .collect();
        for reason in &mut self.reasons {
            reason.told = reason.total;
        }
        untold
    }
}

impl Reason {
    fn dropped(&self, count: u64) -> Dropped {
        Dropped { place: self.place.to_owned(), reason: self.name.to_owned(), count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(untold: &[Dropped], expected: &[(&str, u64)]) {
        let untold: Vec<_> = untold.iter().map(|dropped| (dropped.reason.as_str(), dropped.count)).collect();
        assert_eq!(untold, expected);
    }

    #[test]
    fn each_drop_is_told_once_and_not_too_often() {
        let mut tally = Tally::new("forward");
        check(&tally.untold(KTime::from_secs(1)), &[]);
        tally.add("queue_full", 0);
        check(&tally.untold(KTime::from_secs(1)), &[]);
        tally.add("queue_full", 3);
        check(&tally.untold(KTime::from_secs(2)), &[("queue_full", 3)]);
        tally.add("queue_full", 1);
        tally.add("rejected", 7);
        check(&tally.untold(KTime::from_secs(11)), &[]);
        check(&tally.untold(KTime::from_secs(12)), &[("queue_full", 1), ("rejected", 7)]);
        check(&tally.untold(KTime::from_secs(60)), &[]);
        check(&tally.totals(), &[("queue_full", 4), ("rejected", 7)]);
        for _ in 0..2 {
            tally.add("rejected", 1);
            check(&tally.untold(AT_LAST), &[("rejected", 1)]);
            check(&tally.untold(AT_LAST), &[]);
        }
    }
}
