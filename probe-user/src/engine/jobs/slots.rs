//! Scheduled times, one after the other, and the runs that count for each. Pure: wall times come in as arguments.
//!
//! A scheduled time owns what starts from [`EARLY`] before it until the next one does. A run is in time when it starts
//! within `start_within` of it; whether enough of them did is known at that deadline, or when the next time begins.
//!
//! The wall clock can be moved. What it jumps over never was: such times are not judged, nor is a deadline that it
//! jumps over. When it goes back by less than [`REWIND`], the present time stays the present one until the clock has
//! come to the next, so that none is judged twice; what starts meanwhile is no reason to say that there was too much. A
//! clock that goes back further was wrong before: all begins anew.

use std::time::Duration;

use crate::policy::schedule::Schedule;
use crate::time::Wall;

/// What starts so little before a scheduled time was started for it; and shorter jumps of the clock are none.
pub(super) const EARLY: Duration = Duration::from_secs(1);

/// As far as cron itself takes a clock that goes back for one that will come back.
const REWIND: Duration = Duration::from_hours(3);

/// The very end of `start_within` is still in time.
const STEP: Duration = Duration::from_micros(1);

/// One job's scheduled times.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    schedule: Schedule,
    start_within: Duration,
    current: Option<Slot>,
    next: Option<Wall>,
}

/// One scheduled time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    /// When.
    pub(super) time: Wall,
    /// Runs that started in time.
    pub(super) in_time: u64,
    /// All runs since.
    pub(super) runs: u64,
    /// Whether enough started in time is not decided yet.
    open: bool,
    /// The clock was moved: it may hold more runs than it should.
    pub(super) stretched: bool,
}

/// What time alone did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passed {
    /// Nothing more can start in time.
    Due(Slot),
    /// Another scheduled time has come.
    Began,
}

/// What a run counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    /// The scheduled time for which it started in time.
    pub(super) scheduled: Option<Wall>,
    /// The present scheduled time with this run in it.
    pub(super) slot: Slot,
}

impl Slot {
    fn new(time: Wall, open: bool) -> Self {
        Self { time, in_time: 0, runs: 0, open, stretched: false }
    }

    /// From when on runs count for it.
    pub(super) fn begin(&self) -> Wall {
        begin(self.time)
    }
}

impl Slots {
    /// Begins at `now`: what was scheduled before is not judged.
    pub(super) fn new(schedule: &Schedule, start_within: Duration, now: Wall) -> Self {
        let mut slots = Self { schedule: schedule.clone(), start_within, current: None, next: None };
        slots.settle_at(now);
        slots
    }

    /// The next scheduled time.
    pub(super) const fn next(&self) -> Option<Wall> {
        self.next
    }

    /// The present one.
    pub(super) const fn current(&self) -> Option<Slot> {
        self.current
    }

    /// When [`Slots::advance`] next has something to say.
    pub(super) fn moment(&self) -> Option<Wall> {
        let next = self.next.map(begin);
        [self.deadline(), next].into_iter().flatten().min()
    }

    /// Lets time pass up to `now`, by one thing at a time.
    pub(super) fn advance(&mut self, now: Wall) -> Option<Passed> {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            let slot = self.current.as_mut()?;
            slot.open = false;
            return Some(Passed::Due(*slot));
        }
        let next = self.next.filter(|next| begin(*next) <= now)?;
        self.current = Some(Slot::new(next, true));
        self.next = self.schedule.next_after(next);
        Some(Passed::Began)
    }

    /// A run started at `at`. `None` when it started before the present scheduled time.
    pub(super) fn started(&mut self, at: Wall) -> Option<Counted> {
        let start_within = self.start_within;
        let slot = self.current.as_mut()?;
        // While the clock repeats itself, runs count for the present time.
        if at < slot.begin() && !slot.stretched {
            return None;
        }
        slot.runs += 1;
        let in_time = at <= later(slot.time, start_within);
        slot.in_time += u64::from(in_time);
        Some(Counted { scheduled: in_time.then_some(slot.time), slot: *slot })
    }

    /// The clock was set from `from` to `to`.
    pub(super) fn jumped(&mut self, from: Wall, to: Wall) {
        let far = Duration::from_nanos(from.0.abs_diff(to.0));
        if far < EARLY {
            return;
        }
        let back = to < from;
        if back && far >= REWIND {
            self.settle_at(to);
            return;
        }
        if !back && self.next.is_some_and(|next| begin(next) <= to) {
            self.settle_at(to);
            return;
        }
        let over = !back && self.deadline().is_some_and(|deadline| deadline <= to);
        if let Some(slot) = self.current.as_mut() {
            slot.stretched |= back;
            slot.open &= !over;
        }
    }

    /// The last scheduled time is the present one, and too old to be judged.
    fn settle_at(&mut self, now: Wall) {
        let present = later(now, EARLY);
        let last = self.schedule.last_until(present);
        self.current = last.map(|time| Slot::new(time, false));
        self.next = self.schedule.next_after(last.unwrap_or(present));
    }

    fn deadline(&self) -> Option<Wall> {
        let slot = self.current.filter(|slot| slot.open)?;
        let deadline = later(later(slot.time, self.start_within), STEP);
        Some(self.next.map_or(deadline, |next| deadline.min(begin(next))))
    }
}

fn begin(time: Wall) -> Wall {
    Wall(time.0.saturating_sub(nanos(EARLY)))
}

fn later(time: Wall, by: Duration) -> Wall {
    Wall(time.0.saturating_add(nanos(by)))
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
