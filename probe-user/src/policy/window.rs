//! How many things happened within a sliding window. Pure, and bounded in memory whatever the rate.
//!
//! At a moment `now` the window is `(now - within, now]`: what happened exactly `within` ago is out of it. Counts are
//! exact as long as no more than [`STAMPS_MAX`] stamps are inside; beyond that, stamps that are closer together than
//! 1/2048 of the window are merged and leave it together with the last of them, so that a count may be too high by what
//! happened in one such slice, and never too low.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::KTime;

/// Most stamps kept before close ones are merged.
pub const STAMPS_MAX: usize = 4096;

/// Into how many slices a window is cut when stamps are merged.
const SLICES: u32 = 2048;

/// What happened within the last `within`.
#[derive(Clone, Debug)]
pub struct Window {
    within: Duration,
    stamps: VecDeque<Stamp>,
    total: u64,
    /// From when on nothing was missed.
    complete_since: KTime,
    /// Something inside the window may have been missed until here.
    missed_at: Option<KTime>,
}

#[derive(Clone, Copy, Debug)]
struct Stamp {
    at: KTime,
    count: u64,
}

impl Window {
    /// An empty window that watches from `began` on.
    pub fn new(within: Duration, began: KTime) -> Self {
        Self { within, stamps: VecDeque::new(), total: 0, complete_since: began, missed_at: None }
    }

    /// How long it is.
    pub fn within(&self) -> Duration {
        self.within
    }

    /// Watching begins (again) here: whatever was counted before may not be everything.
    pub fn begin(&mut self, at: KTime) {
        self.complete_since = at;
    }

    /// Things may have been missed up to `at`: until they would have left the window, the count is a lower limit.
    pub fn missed(&mut self, at: KTime) {
        self.missed_at = Some(at);
        self.complete_since = self.complete_since.max(at);
    }

    /// It happened once more. A stamp before the newest one counts as the newest.
    pub fn add(&mut self, at: KTime) {
        self.add_many(at, 1);
    }

    /// It happened so many times more, all at that moment.
    pub fn add_many(&mut self, at: KTime, count: u64) {
        if count == 0 {
            return;
        }
        let at = self.stamps.back().map_or(at, |newest| newest.at.max(at));
        self.expire(at);
        match self.stamps.back_mut() {
            Some(newest) if newest.at == at => newest.count = newest.count.saturating_add(count),
            _ => self.stamps.push_back(Stamp { at, count }),
        }
        self.total = self.total.saturating_add(count);
        if self.stamps.len() > STAMPS_MAX {
            self.merge();
        }
    }

    /// Forgets what has left the window.
    pub fn expire(&mut self, now: KTime) {
        while let Some(oldest) = self.stamps.front().copied().filter(|oldest| self.leaves(oldest) <= now) {
            self.stamps.pop_front();
            self.total -= oldest.count;
        }
    }

    /// How often it happened within the window that ends at `now`.
    pub fn count(&self, now: KTime) -> u64 {
        let gone: u64 = self.stamps.iter().take_while(|stamp| self.leaves(stamp) <= now).map(|stamp| stamp.count).sum();
        self.total - gone
    }

    /// When the count falls to `limit` or below, if nothing more happens; `None` when it is there already.
    pub fn falls_to(&self, limit: u64) -> Option<KTime> {
        let mut left = self.total;
        if left <= limit {
            return None;
        }
        // Either end leads there; limits are mostly small and bursts large.
        if left - limit > limit {
            let mut newer = 0;
            for stamp in self.stamps.iter().rev() {
                newer += stamp.count;
                if newer > limit {
                    return Some(self.leaves(stamp));
                }
            }
            return None;
        }
        for stamp in &self.stamps {
            left -= stamp.count;
            if left <= limit {
                return Some(self.leaves(stamp));
            }
        }
        None
    }

    /// From when on a count can prove that too little happened: one whole window was watched without a gap.
    pub fn complete_at(&self) -> KTime {
        self.complete_since.after(self.within)
    }

    /// The count is a lower limit: something inside the window may have been missed.
    pub fn is_lower_limit(&self, now: KTime) -> bool {
        self.missed_at.is_some_and(|missed| missed.after(self.within) > now)
    }

    fn leaves(&self, stamp: &Stamp) -> KTime {
        stamp.at.after(self.within)
    }

    fn merge(&mut self) {
        let slice = u64::try_from((self.within / SLICES).as_nanos()).unwrap_or(u64::MAX).max(1);
        let mut merged: VecDeque<Stamp> = VecDeque::with_capacity(STAMPS_MAX / 2);
        for stamp in self.stamps.drain(..) {
            match merged.back_mut() {
                Some(newest) if newest.at.0 / slice == stamp.at.0 / slice => {
                    newest.at = stamp.at;
                    newest.count += stamp.count;
                }
                _ => merged.push_back(stamp),
            }
        }
        self.stamps = merged;
    }
}

#[cfg(test)]
mod tests;
