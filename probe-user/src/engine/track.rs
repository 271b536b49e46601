//! What the engine knows of each process beside the table: its groups, what was told of it, what is watched of it.

use std::time::Duration;

use smallvec::SmallVec;

use super::group::GroupState;
use super::measures::{Rates, Share};
use super::reread::Hope;
use super::{Effect, Engine, Processes, Watch};
use crate::model::Appearance;
use crate::record::{Body, ProcessKey, Record};
use crate::time::KTime;

/// Numbers of groups. Most processes belong to one or two, or to none.
pub(super) type Groups = SmallVec<[usize; 2]>;

/// A watch that was set less long ago may not have been there yet when a child was forked.
const WATCH_LAG: Duration = Duration::from_millis(100);

/// What the engine knows of a process beside the table. Lives as long as the process is in the table.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, none excludes another")]
#[derive(Debug, Default)]
pub struct Track {
    /// The groups it belongs to, sorted; kept after its exit until its account is closed.
    pub(super) belongs: Groups,
    /// The groups it belongs to by descent, unless taken out.
    pub(super) descends: Groups,
    /// The run that it belongs to, by the group of its job, and the root of each.
    pub(super) runs: Vec<(usize, ProcessKey)>,
    /// The groups it was in since its last exec: no further entry is a start.
    pub(super) entered: Groups,
    /// It belonged once to a group whose processes are told.
    pub(super) ever: bool,
    /// It has ended.
    pub(super) ended: bool,
    /// Its fork or an exec was recorded, so that entering a group late is a start.
    pub(super) start_seen: bool,
    /// What was not told because it belonged to no group.
    pub(super) untold: Untold,
    /// What the kernel side watches of it.
    pub(super) watch: Watch,
    /// When that was last changed.
    pub(super) watch_set: KTime,
    /// Whether the kernel side copied the forker's watch is in doubt.
    pub(super) watch_unsure: bool,
    /// Its usage has been counted up to here.
    pub(super) used_until: Option<KTime>,
    /// Its usage was not watched for a while after that.
    pub(super) interrupted: bool,
    /// What the sums of its groups have of it: its share in the last sample that told of it.
    pub(super) share: Option<Share>,
    /// Its usage in the interval that ended there.
    pub(super) rates: Rates,
    /// The sample that ended it was the first one, and only said where it stands: the rates are not known.
    pub(super) rates_unknown: bool,
    /// What new arguments could change.
    pub(super) hope: Hope,
    /// When to look at its arguments.
    pub(super) look_at: Option<KTime>,
}

impl Track {
    /// It belongs to no group, and nothing is watched of it.
    pub(super) fn is_strange(&self) -> bool {
        self.belongs.is_empty() && !self.watch.exit && !self.watch.usage && !self.watch_unsure
    }

    /// What the kernel side watches of a process that has just appeared, by what it watches of its forker: the fork
    /// program copies that, and what was there before the first scan was never watched.
    pub(super) fn copied_watch(&self, how: Appearance, at: KTime) -> Option<CopiedWatch> {
        let lately = self.watch_set != KTime::default() && at.since(self.watch_set) < WATCH_LAG;
        (how != Appearance::Seeded).then_some(CopiedWatch {
            watch: self.watch,
            set: self.watch_set,
            unsure: lately || (how == Appearance::Found && self.watch != Watch::NONE),
        })
    }

    /// Assumes that the kernel side watches it so.
    pub(super) fn take_watch(&mut self, copied: CopiedWatch) {
        self.watch = copied.watch;
        self.watch_set = copied.set;
        self.watch_unsure = copied.unsure;
    }

    /// What is to be watched of it.
    fn wanted_watch(&self, key: ProcessKey, groups: &[GroupState]) -> Watch {
        let mut wanted = Watch::NONE;
        for state in self.belongs.iter().filter_map(|group| groups.get(*group)) {
            wanted.exit |= state.watch.exit;
            wanted.usage |= state.watch.usage;
        }
        // The end of a run is told at once; what ends inside of it can wait.
        wanted.exit |= self.runs.iter().any(|(_, root)| *root == key);
        wanted
    }

    /// What is watched of it is what is to be watched, for sure.
    pub(super) fn is_watched_rightly(&self, key: ProcessKey, groups: &[GroupState]) -> bool {
        !self.watch_unsure && (self.ended || self.wanted_watch(key, groups) == self.watch)
    }

    /// Sets what is watched of it, where that differs from what is watched already.
    pub(super) fn watch_as_wanted(
        &mut self,
        key: ProcessKey,
        groups: &[GroupState],
        (at, sampled_at): (KTime, KTime),
        effects: &mut Vec<Effect>,
    ) {
        let wanted = self.wanted_watch(key, groups);
        if !self.ended && (wanted != self.watch || self.watch_unsure) {
            if self.watch.usage && !wanted.usage {
                let steady = !std::mem::replace(&mut self.interrupted, true);
                self.used_until = self.used_until.map(|until| if steady { until.max(sampled_at) } else { until });
            }
            self.watch = wanted;
            self.watch_set = at;
            effects.push(Effect::Watch(key, wanted));
        }
        self.watch_unsure = false;
    }
}

/// What the fork program has copied from the forker.
#[derive(Clone, Copy, Debug)]
pub(super) struct CopiedWatch {
    watch: Watch,
    set: KTime,
    unsure: bool,
}

/// A start that was not told yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Untold {
    #[default]
    Nothing,
    Fork,
    Exec,
}

/// Where changes come from, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A fork by this process.
    Fork(ProcessKey),
    /// An exec.
    Exec,
    /// A scan.
    Scan,
    /// Anything else.
    Other,
}

impl Source {
    pub(super) fn of<P>(record: &Record<P>) -> Self {
        match &record.body {
            Body::Fork { forker, .. } => Self::Fork(*forker),
            Body::Exec { .. } => Self::Exec,
            _ => Self::Other,
        }
    }
}

/// Why a process is held against the groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Forked,
    /// It was there before, or its fork was lost.
    Found,
    Executed,
    Redefined,
    Reload,
}

impl Engine {
    /// Whether start and fork of such a process are told.
    pub(super) fn is_told(&self, track: &Track) -> bool {
        match self.settings.processes {
            Processes::All => true,
            Processes::Matched => {
                track.belongs.iter().filter_map(|group| self.groups.get(*group)).any(|group| group.spec.events)
            }
            Processes::None => false,
        }
    }
}
