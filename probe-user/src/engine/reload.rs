//! Other policies: what stayed the same keeps its state, what is gone is resolved, everything is matched anew.
//!
//! A group is the same when its name is. A bound is the same when it says the same (wherever it stands in the file): its
//! machine, its alarm and the beginning of its breach stay. A window is the same when measure and length are. Descent
//! is kept where the group selects the same processes, for the ancestors that it rests on may be gone; else it is
//! decided anew, as at the first scan. Entering and leaving by a reload are neither starts nor exits.

use std::sync::Arc;

use super::group::GroupState;
use super::raise::Told;
use super::timers::Slot;
use super::track::{Cause, Groups};
use super::{Effect, Engine};
use crate::model::Process;
use crate::policy::spec::{Bound, CgroupPattern, Group, PolicySet, Selector, Users};
use crate::record::ProcessKey;
use crate::time::KTime;

impl Engine {
    pub(super) fn reload(
        &mut self,
        now: KTime,
        policies: &Arc<PolicySet>,
        users: Arc<Users>,
        effects: &mut Vec<Effect>,
    ) {
        self.users = users;
        self.acts.set_declared(&policies.actions);
        let host = self.settings.host;
        let mut groups = super::jobs::groups_of(policies, &host, now);
        // Old index to new index, and whether the same processes are selected.
        let kept: Vec<Option<(usize, bool)>> = self
            .groups
            .iter()
            .map(|old| {
                let is_heir =
                    |new: &GroupState| new.spec.name == old.spec.name && new.job.is_some() == old.job.is_some();
                let new = groups.iter().position(is_heir)?;
                let same = groups.get(new).is_some_and(|new| selects_the_same(&new.spec, &old.spec));
                // Runs of a job that selects others are found anew.
                (same || old.job.is_none()).then_some((new, same))
            })
            .collect();
        self.reload_jobs(policies, &groups, &kept, now, effects);
        for (old, kept) in kept.iter().enumerate() {
            let new = kept.and_then(|(new, _)| groups.get_mut(new));
            self.hand_over(old, new, now, effects);
        }
        let mut told = Vec::new();
        self.hosts.reload(now, policies, &host, &mut told);
        self.tell(told, effects);
        self.groups = groups;
        self.index = super::index::Index::new(&self.groups);
        self.forget();
        self.stirred.groups.clear();
        // These numbers were the old groups'.
        self.stirred.moved = super::figures::Moved::default();
        self.all_moved();
        self.match_all(&kept, now, effects);
        self.root_jobs();
        self.rearm_all(now);
        self.stirred.sampling = true;
        self.judge_all(now, effects);
        let mut told = Vec::new();
        self.logs.reload(policies, &host, now, &mut told);
        self.peers.reload(policies, &host, now, self.gate, &mut told);
        self.tell(told, effects);
    }

    /// Gives what an old group knows to the new one of its name; alarms that have no successor end.
    fn hand_over(&mut self, group: usize, mut new: Option<&mut GroupState>, now: KTime, effects: &mut Vec<Effect>) {
        for bound in 0..self.groups.get(group).map_or(0, |old| old.bounds.len()) {
            let Some(old) = self.groups.get_mut(group).and_then(|old| old.bounds.get_mut(bound)) else { continue };
            let same =
                |other: &&mut super::group::BoundState| !other.taken_over && says_the_same(&other.spec, &old.spec);
            if let Some(heir) = new.as_mut().and_then(|new| new.bounds.iter_mut().find(same)) {
                heir.taken_over = true;
                heir.whole = old.whole;
                heir.each = std::mem::take(&mut old.each);
                heir.dips = old.dips;
                continue;
            }
            let keys = std::iter::once(None).chain(old.each.keys().copied().map(Some)).collect::<Vec<_>>();
            for key in keys {
                let slot = Slot { group, bound, key };
                let since = self.bound(slot).and_then(|(_, bound)| bound.judge(key)?.machine.firing_since());
                if let Some(since) = since {
                    let raised = self.resolved(slot, now, now.since(since), Some("policy removed"));
                    self.tell(raised.map(Told::Alarm), effects);
                }
            }
        }
        let (Some(old), Some(new)) = (self.groups.get_mut(group), new) else { return };
        for counted in &mut new.windows {
            let same = |other: &&mut super::group::Counted| {
                other.measure == counted.measure && other.window.within() == counted.window.within()
            };
            if let Some(other) = old.windows.iter_mut().find(same) {
                std::mem::swap(&mut counted.window, &mut other.window);
            }
        }
        new.members = std::mem::take(&mut old.members);
        new.departed.take_over(&mut old.departed);
        new.arrived = std::mem::take(&mut old.arrived);
        new.victims = std::mem::take(&mut old.victims);
        new.used = old.used;
        new.sums = old.sums;
        new.ended = old.ended;
        new.settled = old.settled;
    }

    /// Holds every process against the new groups, parents first.
    fn match_all(&mut self, kept: &[Option<(usize, bool)>], now: KTime, effects: &mut Vec<Effect>) {
        let mut keys: Vec<ProcessKey> = self.table.iter().map(|process| process.key).collect();
        keys.sort_unstable_by_key(|key| (key.start, key.tgid));
        let selecting_the_same: Vec<usize> =
            kept.iter().flatten().filter(|(_, same)| *same).map(|(new, _)| *new).collect();
        let renumber = |groups: &mut Groups| {
            let new = groups.iter().filter_map(|old| kept.get(*old).copied().flatten().map(|(new, _)| new));
            *groups = new.collect();
            groups.sort_unstable();
        };
        for (_, track) in self.table.each_beside() {
            renumber(&mut track.belongs);
            renumber(&mut track.entered);
            renumber(&mut track.descends);
            let runs = track.runs.iter().filter_map(|(old, root)| Some((kept.get(*old).copied().flatten()?.0, *root)));
            track.runs = runs.collect();
            track.descends.retain(|group| selecting_the_same.contains(group));
        }
        for key in keys {
            let parent = self.table.get(key).and_then(|process: &Process| process.identity.parent);
            let inherits = parent.and_then(|parent| self.table.beside(parent)).map(|parent| {
                let anew = |group: &&usize| {
                    !selecting_the_same.contains(group)
                        && self.groups.get(**group).is_some_and(|group| group.spec.include_children)
                };
                parent.belongs.iter().filter(anew).copied().collect::<Vec<_>>()
            });
            if let (Some(inherits), Some(track)) = (inherits, self.table.beside_mut(key)) {
                track.descends.extend(inherits);
            }
            self.evaluate(key, Cause::Reload, now, effects);
        }
    }

    /// The slots have new numbers: their moments are set anew.
    fn rearm_all(&mut self, now: KTime) {
        self.timers.clear();
        let mut slots = Vec::new();
        for (group, state) in self.groups.iter_mut().enumerate() {
            for counted in &mut state.windows {
                counted.window.expire(now);
            }
            for (bound, judged) in state.bounds.iter_mut().enumerate() {
                slots.push(Slot { group, bound, key: None });
                slots.extend(judged.each.keys().map(|key| Slot { group, bound, key: Some(*key) }));
                judged.whole.armed = None;
                judged.each.values_mut().for_each(|judge| judge.armed = None);
            }
        }
        for slot in slots {
            self.arm(slot, now);
        }
    }
}

/// Where it was declared does not matter.
pub(super) fn says_the_same(a: &Bound, b: &Bound) -> bool {
    let Bound { declared: _, measure, side, limit, clear, hold, keep_firing, within, per, severity } = a;
    *measure == b.measure
        && *side == b.side
        && *limit == b.limit
        && *clear == b.clear
        && *hold == b.hold
        && *keep_firing == b.keep_firing
        && *within == b.within
        && *per == b.per
        && *severity == b.severity
}

fn selects_the_same(a: &Group, b: &Group) -> bool {
    a.include_children == b.include_children
        && words(&a.select) == words(&b.select)
        && a.except.as_ref().map(words) == b.except.as_ref().map(words)
}

/// A selector spelled out, to compare: compiled patterns cannot be.
fn words(select: &Selector) -> Vec<String> {
    let exe = select.exe.iter().map(|exe| format!("exe {}", exe.glob.as_str()));
    let comm = select.comm.iter().map(|comm| format!("comm {}", comm.as_str()));
    let args = select.args.iter().map(|args| format!("args {args}"));
    let user = select.user.iter().map(|user| format!("user {user:?}"));
    let cgroup = select.cgroup.iter().map(|cgroup| match cgroup {
        CgroupPattern::Path(glob) => format!("cgroup {}", glob.as_str()),
        CgroupPattern::Unit(unit) => format!("unit {unit}"),
        CgroupPattern::Container(container) => format!("container {container}"),
    });
    let parent = select.parent.iter().map(|parent| format!("parent {parent}"));
    let kernel = std::iter::once(format!("kernel_threads {}", select.kernel_threads));
    exe.chain(comm).chain(args).chain(user).chain(cgroup).chain(parent).chain(kernel).collect()
}
