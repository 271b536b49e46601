//! When to look again at what a process can change without telling anyone: its arguments (setproctitle) and, while it is
//! root, its user (setuid).
//!
//! Looked at are processes that nothing but these keeps out of a group, and forks that belong by what they inherited and
//! may change away from it. That happens soon after a start or never, so the moments follow the
//! age of the program: 0.3 s, 0.5 s and 5 s, and for those kept out at common moments every 30 s until it is 5 minutes
//! old. The first comes later than the records of a gap between two wake-ups do, so that nobody is woken for a process that
//! has long ended: of short processes one is always alive when the ring has been read, and a look at it would be a second
//! wake-up for each. Moments are rounded up to a grid, so that many processes share one wake-up; after 5 minutes there are
//! none.

use std::time::Duration;

use super::{Effect, Engine};
use crate::record::ProcessKey;
use crate::time::KTime;

/// Age of the program at each early look, and the grid it is rounded up to.
const EARLY: [(Duration, Duration); 3] = [
    (Duration::from_millis(300), Duration::from_millis(25)),
    (Duration::from_millis(500), Duration::from_millis(250)),
    (Duration::from_secs(5), Duration::from_secs(1)),
];

/// The common moments after that.
const COMMON: Duration = Duration::from_secs(30);

/// Older programs are not looked at again.
const AGE_MAX: Duration = Duration::from_mins(5);

/// Most processes looked at in one step; the others follow a moment later.
const AT_ONCE: usize = 256;

/// How long the others wait.
const PAUSE: Duration = Duration::from_millis(50);

/// What new arguments or another user could change about a process's groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Hope {
    /// Nothing.
    #[default]
    None,
    /// It could leave a group.
    Leaves,
    /// It could enter one.
    Enters,
}

/// The next moment, after `now`, to look at a program that started at `since`.
pub(crate) fn next_look(since: KTime, now: KTime, hope: Hope) -> Option<KTime> {
    if hope == Hope::None {
        return None;
    }
    let early = EARLY.iter().map(|(age, grid)| round_up(since.after(*age), *grid)).find(|at| *at > now);
    early.or_else(|| {
        let next = round_up(KTime(now.0.saturating_add(1)), COMMON);
        (hope == Hope::Enters && next.since(since) <= AGE_MAX).then_some(next)
    })
}

fn round_up(at: KTime, grid: Duration) -> KTime {
    let grid = u64::try_from(grid.as_nanos()).unwrap_or(u64::MAX).max(1);
    KTime(at.0.div_ceil(grid).saturating_mul(grid))
}

/// Who is to be looked at when. Nearly every process ends before its first moment, so taking one out only counts down:
/// what a moment lists and is not planned for it any more is passed over when it comes.
#[derive(Debug, Default)]
pub(super) struct Rereads {
    /// In their order. There are few, for they lie on a grid.
    moments: Vec<Moment>,
    /// The first of them.
    next: Option<KTime>,
    /// The place that was asked for last; those that start together ask for the same.
    last: usize,
}

#[derive(Debug)]
struct Moment {
    at: KTime,
    listed: Vec<ProcessKey>,
    /// How many of them are still planned. A moment for which nobody is left is no reason to wake up.
    planned: usize,
}

impl Rereads {
    /// Moves a process's moment from `planned` to `next`, and notes it there.
    pub(super) fn move_to(&mut self, key: ProcessKey, planned: &mut Option<KTime>, next: Option<KTime>) {
        if *planned == next {
            return;
        }
        if let Some(old) = *planned
            && let Ok(place) = self.place(old)
            && let Some(moment) = self.moments.get_mut(place)
        {
            moment.planned = moment.planned.saturating_sub(1);
            if moment.planned == 0 {
                self.moments.remove(place);
            }
        }
        if let Some(next) = next {
            let place = self.place(next).unwrap_or_else(|place| {
                self.moments.insert(place, Moment { at: next, listed: Vec::new(), planned: 0 });
                place
            });
            if let Some(moment) = self.moments.get_mut(place) {
                moment.listed.push(key);
                moment.planned += 1;
            }
        }
        *planned = next;
        self.next = self.moments.first().map(|moment| moment.at);
    }

    /// The earliest moment.
    pub(super) const fn next(&self) -> Option<KTime> {
        self.next
    }

    fn place(&mut self, at: KTime) -> Result<usize, usize> {
        if self.moments.get(self.last).is_some_and(|moment| moment.at == at) {
            return Ok(self.last);
        }
        let place = self.moments.binary_search_by_key(&at, |moment| moment.at);
        if let Ok(place) = place {
            self.last = place;
        }
        place
    }

    /// Takes out all moments that have come, and whom they list.
    fn due(&mut self, now: KTime) -> Vec<(KTime, ProcessKey)> {
        let mut due = Vec::new();
        let come = self.moments.partition_point(|moment| moment.at <= now);
        for moment in self.moments.drain(..come) {
            due.extend(moment.listed.into_iter().map(|key| (moment.at, key)));
        }
        self.next = self.moments.first().map(|moment| moment.at);
        due.sort_unstable();
        due
    }
}

impl Engine {
    /// Asks for a look at the processes whose moment has come, and plans their next look.
    pub(super) fn reread_due(&mut self, now: KTime, effects: &mut Vec<Effect>) {
        let mut looked_at = 0;
        for (at, key) in self.rereads.due(now) {
            let planned = self.table.both_mut(key).filter(|(_, track)| track.look_at == Some(at));
            let Some((process, track)) = planned else { continue };
            if looked_at >= AT_ONCE {
                self.rereads.move_to(key, &mut track.look_at, Some(now.after(PAUSE)));
                continue;
            }
            looked_at += 1;
            effects.push(Effect::Reread { key, user: self.index.names_users() });
            let next = next_look(process.program_since, now, track.hope);
            self.rereads.move_to(key, &mut track.look_at, next);
        }
    }
}
