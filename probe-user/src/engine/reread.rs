//! When to look again at what a process can change without telling anyone: its arguments (setproctitle) and, while it is
//! root, its user (setuid).
//!
//! Looked at are processes that nothing but these keeps out of a group, and forks that belong by what they inherited and
//! may change away from it. That happens soon after a start or never, so the moments follow the
//! age of the program: 50 ms, 0.5 s and 5 s, and for those kept out at common moments every 30 s until it is 5 minutes
//! old. Moments are rounded up to a grid, so that many processes share one wake-up; after 5 minutes there are none.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Effect, Engine};
use crate::record::ProcessKey;
use crate::time::KTime;

/// Age of the program at each early look, and the grid it is rounded up to.
const EARLY: [(Duration, Duration); 3] = [
    (Duration::from_millis(50), Duration::from_millis(25)),
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

/// Who is to be looked at when.
#[derive(Debug, Default)]
pub(super) struct Rereads(BTreeMap<KTime, BTreeSet<ProcessKey>>);

impl Rereads {
    /// Moves a process's moment from `planned` to `next`, and notes it there.
    pub(super) fn move_to(&mut self, key: ProcessKey, planned: &mut Option<KTime>, next: Option<KTime>) {
        if *planned == next {
            return;
        }
        if let Some(keys) = planned.and_then(|old| self.0.get_mut(&old)) {
            keys.remove(&key);
        }
        // A moment for which nobody is left is no reason to wake up.
        if let Some(old) = planned.filter(|old| self.0.get(old).is_some_and(BTreeSet::is_empty)) {
            self.0.remove(&old);
        }
        if let Some(next) = next {
            self.0.entry(next).or_default().insert(key);
        }
        *planned = next;
    }

    /// The earliest moment.
    pub(super) fn next(&self) -> Option<KTime> {
        self.0.first_key_value().map(|(at, _)| *at)
    }

    fn due(&self, now: KTime) -> Vec<ProcessKey> {
        self.0.range(..=now).flat_map(|(_, keys)| keys.iter().copied()).collect()
    }
}

impl Engine {
    /// Asks for a look at the processes whose moment has come, and plans their next look.
    pub(super) fn reread_due(&mut self, now: KTime, effects: &mut Vec<Effect>) {
        for (index, key) in self.rereads.due(now).into_iter().enumerate() {
            let Some(track) = self.tracks.get_mut(&key) else { continue };
            if index >= AT_ONCE {
                self.rereads.move_to(key, &mut track.look_at, Some(now.after(PAUSE)));
                continue;
            }
            effects.push(Effect::Reread(key));
            let since = self.table.get(key).map(|process| process.program_since);
            let next = since.and_then(|since| next_look(since, now, track.hope));
            self.rereads.move_to(key, &mut track.look_at, next);
        }
    }
}
