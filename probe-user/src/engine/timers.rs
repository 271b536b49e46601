//! The moments at which bounds have to be looked at although nothing happens, in one ordered set.

use std::collections::BTreeSet;

use crate::record::ProcessKey;
use crate::time::KTime;

/// One state machine: a bound of a group, or of one process of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot {
    /// Index of the group.
    pub(super) group: usize,
    /// Index of the bound in the group.
    pub(super) bound: usize,
    /// The process, for a bound `per: process`.
    pub(super) key: Option<ProcessKey>,
}

/// At most one moment for each slot; whoever sets one remembers it, to take it back.
#[derive(Debug, Default)]
pub(super) struct Timers {
    moments: BTreeSet<(KTime, Slot)>,
    /// The first of them.
    next: Option<KTime>,
}

impl Timers {
    /// Moves a slot's moment from `armed` to `next`, and notes it there.
    pub(super) fn move_to(&mut self, slot: Slot, armed: &mut Option<KTime>, next: Option<KTime>) {
        if *armed == next {
            return;
        }
        if let Some(old) = armed.take() {
            self.moments.remove(&(old, slot));
        }
        if let Some(next) = next {
            self.moments.insert((next, slot));
        }
        *armed = next;
        self.find_next();
    }

    fn find_next(&mut self) {
        self.next = self.moments.first().map(|(at, _)| *at);
    }

    /// The earliest moment.
    pub(super) const fn next(&self) -> Option<KTime> {
        self.next
    }

    /// The earliest moment if it has come by `now`. It stays until its slot is moved.
    pub(super) fn due(&self, now: KTime) -> Option<(KTime, Slot)> {
        self.moments.first().copied().filter(|(at, _)| *at <= now)
    }

    /// Takes out a moment that nobody moved: its slot is gone.
    pub(super) fn forget(&mut self, at: KTime, slot: Slot) {
        self.moments.remove(&(at, slot));
        self.find_next();
    }

    /// Forgets all: the slots are about to be numbered anew.
    pub(super) fn clear(&mut self) {
        self.moments.clear();
        self.next = None;
    }
}
