//! Which process belongs to which groups: decided at its appearance, at each exec, when something that a selector sees
//! is known anew, and at a reload.
//!
//! - A process belongs when it is selected, or descends from a member of a group with `include_children`; `except` takes
//!   it out in either case. Descent is decided once, by the groups of its parent when the process appears, and holds
//!   while it lives, even when the parent is gone. Who is taken out passes nothing on.
//! - Entering is a start when a fork or an exec did it, also when only new arguments after the fork showed it; a process
//!   that goes out and in again by renaming itself counts once for each program it executes. What was already there (the
//!   first scan, a reload) or was only found later counts as no start.
//! - When a process enters or leaves a group that others name as `parent`, its children are looked at again.

use smallvec::SmallVec;

use super::changes::Stirred;
use super::evidence::{Note, remember};
use super::group::GroupState;
use super::index::Index;
use super::reread::{Hope, next_look};
use super::track::{Cause, Groups, Track, Untold};
use super::verdicts::Verdict;
use super::{Effect, Engine};
use crate::model::Process;
use crate::policy::select::{Field, Subject};
use crate::policy::spec::{Measure, Users};
use crate::record::ProcessKey;
use crate::time::KTime;

/// Groups that a process enters (true) or leaves, in their order.
type Turned = SmallVec<[(usize, bool); 2]>;

impl GroupState {
    /// Whether the process belongs, and what new arguments or another user could change about that. An `except` that
    /// names users is held against the user as known: only a selector's own `user` makes anyone look again.
    pub(super) fn admits(
        &self,
        subject: &Subject<'_>,
        parent_in: &dyn Fn(&str) -> bool,
        descends: bool,
    ) -> (bool, Hope) {
        let field = self.spec.select.mismatch_of(subject, parent_in);
        if field.is_some() && !descends {
            let may_change = match field {
                Some(Field::Args) => true,
                Some(Field::User) => subject.may_change_user(),
                _ => false,
            };
            return (false, if may_change { Hope::Enters } else { Hope::None });
        }
        let by_user = !self.spec.select.user.is_empty() && subject.may_change_user();
        let by_args = !descends && (!self.spec.select.args.is_empty() || by_user);
        let Some(except) = &self.except else { return (true, if by_args { Hope::Leaves } else { Hope::None }) };
        match except.mismatch_of(subject, parent_in) {
            None => (false, if except.args.is_empty() { Hope::None } else { Hope::Enters }),
            Some(field) => (true, if by_args || field == Field::Args { Hope::Leaves } else { Hope::None }),
        }
    }
}

impl Engine {
    /// Holds a process against every group that may be concerned, and its children where that changes something for
    /// them.
    pub(super) fn evaluate(&mut self, key: ProcessKey, cause: Cause, at: KTime, effects: &mut Vec<Effect>) {
        if !self.evaluate_one(key, cause, at, effects) {
            return;
        }
        let mut waiting: Vec<ProcessKey> = self.children_in_order(key);
        // Ancestry has no circles; should the kernel ever tell of one, this ends all the same.
        let mut budget = self.table.len();
        while let Some(child) = waiting.pop().filter(|_| budget > 0) {
            budget -= 1;
            if self.evaluate_one(child, Cause::Redefined, at, effects) {
                waiting.extend(self.children_in_order(child));
            }
            self.tell_start(child, effects);
        }
    }

    /// The children's order in the table's index is not defined, the order of effects is.
    pub(super) fn children_in_order(&self, key: ProcessKey) -> Vec<ProcessKey> {
        let mut children: Vec<ProcessKey> = self.table.children(key).collect();
        children.sort_unstable_by(|a, b| b.cmp(a));
        children
    }

    /// True when the process entered or left a group that selectors name as `parent`.
    fn evaluate_one(&mut self, key: ProcessKey, cause: Cause, at: KTime, effects: &mut Vec<Effect>) -> bool {
        let mut turned = Turned::new();
        let Some((process, track)) = self.table.both_mut(key) else { return false };
        let (process, track, mut hope) = if track.descends.is_empty() && !self.index.names_parents() {
            let judging = Judging { groups: &self.groups, index: &self.index, users: &self.users };
            let verdict = self.verdicts.of(process, || judging.judge(process, &mut self.asked));
            compare(&track.belongs, &verdict.belongs, &mut turned);
            (process, track, verdict.hope)
        } else {
            let Some(hope) = self.hold_by_descent(key, &mut turned) else { return false };
            let Some((process, track)) = self.table.both_mut(key) else { return false };
            (process, track, hope)
        };
        let keeps_its_title = hope == Hope::Leaves && process.execs > 0;
        if keeps_its_title || process.identity.kernel_thread || track.ended {
            hope = Hope::None;
        }
        if track.hope != hope || cause == Cause::Executed {
            let next = next_look(process.program_since, at, hope);
            track.hope = hope;
            self.rereads.move_to(key, &mut track.look_at, next);
        }
        if cause == Cause::Reload {
            track.untold = Untold::Nothing;
        }
        if turned.is_empty() && (track.is_strange() || track.is_watched_rightly(key, &self.groups)) {
            return false;
        }
        let (mut parenthood, mut of_jobs, mut judged_each) = (false, false, false);
        for (group, enters) in &turned {
            let Some(state) = self.groups.get_mut(*group) else { continue };
            parenthood |= self.index.is_parent(*group);
            judged_each |= state.judges_each;
            of_jobs |= *enters && state.job.is_some();
            if *enters {
                state.enter(*group, process, track, (cause, at), &mut self.stirred);
            } else {
                state.leave(*group, process, track, (cause, at), &mut self.stirred);
            }
        }
        if of_jobs {
            for (group, _) in turned.iter().filter(|(_, enters)| *enters) {
                self.enter_job(*group, key, cause);
            }
            if let Some(track) = self.table.beside_mut(key) {
                track.watch_as_wanted(key, &self.groups, (at, self.sampled_at), effects);
            }
        } else {
            track.watch_as_wanted(key, &self.groups, (at, self.sampled_at), effects);
        }
        if judged_each {
            self.judge_turned(key, &turned, at, effects);
        }
        parenthood
    }

    /// Bounds on each member begin and end with its membership.
    fn judge_turned(&mut self, key: ProcessKey, turned: &[(usize, bool)], at: KTime, effects: &mut Vec<Effect>) {
        for (group, enters) in turned {
            if self.groups.get(*group).is_none_or(|state| !state.judges_each) {
                continue;
            }
            if *enters {
                self.judge_age(*group, key, at, effects);
            } else {
                self.drop_judges(*group, key, at, "left the group", effects);
            }
        }
    }

    /// Which groups a process is to enter and leave, where what its parent is or was has a say, and what could change about
    /// that; `None` for who is not in the table.
    fn hold_by_descent(&mut self, key: ProcessKey, turned: &mut Turned) -> Option<Hope> {
        let (process, track) = self.table.both(key)?;
        let asked = &mut self.asked;
        asked.clear();
        let parent = process.identity.parent.and_then(|parent| self.table.beside(parent));
        let parents_groups = parent.filter(|parent| !parent.ended).map_or(&[][..], |parent| &parent.belongs);
        let parent_in =
            |name: &str| self.index.by_name(name).is_some_and(|group| parents_groups.binary_search(&group).is_ok());
        let subject = Subject::new(process, &self.users);
        self.index.candidates(&subject, parents_groups, asked);
        asked.extend(&track.belongs);
        asked.extend(&track.descends);
        asked.sort_unstable();
        asked.dedup();
        let mut hope = self.index.hope_of_others(&subject, asked);
        for group in asked {
            let Some(state) = self.groups.get(*group) else { continue };
            let (belongs, may_change) = state.admits(&subject, &parent_in, track.descends.contains(group));
            hope = hope.max(may_change);
            if belongs != track.belongs.contains(group) {
                turned.push((*group, belongs));
            }
        }
        Some(hope)
    }
}

/// What a verdict on a program rests on.
struct Judging<'a> {
    groups: &'a [GroupState],
    index: &'a Index,
    users: &'a Users,
}

impl Judging<'_> {
    /// Holds a process against every group that may be concerned, where neither its parent nor its descent says anything.
    fn judge(&self, process: &Process, asked: &mut Vec<usize>) -> Verdict {
        let subject = Subject::new(process, self.users);
        asked.clear();
        self.index.candidates(&subject, &[], asked);
        asked.sort_unstable();
        asked.dedup();
        let mut verdict = Verdict { belongs: Groups::new(), hope: self.index.hope_of_others(&subject, asked) };
        for group in asked {
            let Some(state) = self.groups.get(*group) else { continue };
            let (belongs, may_change) = state.admits(&subject, &|_| false, false);
            verdict.hope = verdict.hope.max(may_change);
            if belongs {
                verdict.belongs.push(*group);
            }
        }
        verdict
    }
}

impl GroupState {
    /// The process belongs from now on.
    fn enter(
        &mut self,
        group: usize,
        process: &Process,
        track: &mut Track,
        (cause, at): (Cause, KTime),
        stirred: &mut Stirred,
    ) {
        if let Err(place) = track.belongs.binary_search(&group) {
            track.belongs.insert(place, group);
        }
        track.ever |= self.spec.events;
        let first = !track.entered.contains(&group);
        if first {
            track.entered.push(group);
        }
        let starts = match cause {
            Cause::Forked | Cause::Executed => true,
            Cause::Redefined => track.start_seen,
            Cause::Found | Cause::Reload => false,
        };
        let mut counted = false;
        if starts && first && self.count(Measure::Starts, at) {
            counted = true;
            // Only bounds on starts tell of them.
            remember(&mut self.arrived, Note::started(process, at));
        }
        if !track.ended {
            stirred.sampling |= self.members.is_empty();
            if self.members.insert(process.key) {
                self.sums.add(track.share);
            }
            self.settled = false;
        } else if first && cause != Cause::Reload {
            // Known too late: it was a member, and has ended.
            counted |= count_exit(self, process, at);
        }
        if counted || self.judges_each_move {
            stirred.mark(group, self);
        }
        stirred.moved.mark(group, self);
    }

    /// The process does not belong any more, and lives on.
    fn leave(
        &mut self,
        group: usize,
        process: &Process,
        track: &mut Track,
        (cause, at): (Cause, KTime),
        stirred: &mut Stirred,
    ) {
        track.belongs.retain(|other| *other != group);
        if self.members.remove(process.key) {
            self.sums.take_out(track.share);
            stirred.sampling |= self.members.is_empty();
            stirred.moved.mark(group, self);
            if cause != Cause::Reload {
                self.departed.add(false, || Note::left(process, at));
            }
            if self.judges_each_move {
                stirred.mark(group, self);
            }
        }
    }
}

/// What differs between two ordered lists of groups.
fn compare(before: &[usize], after: &[usize], turned: &mut Turned) {
    if before == after {
        return;
    }
    if before.is_empty() {
        turned.extend(after.iter().map(|group| (*group, true)));
        return;
    }
    turned.extend(before.iter().filter(|group| !after.contains(group)).map(|group| (*group, false)));
    turned.extend(after.iter().filter(|group| !before.contains(group)).map(|group| (*group, true)));
    turned.sort_unstable();
}

/// A member has ended; true when some bound counts that.
pub(super) fn count_exit(state: &mut GroupState, process: &Process, at: KTime) -> bool {
    let mut counted = state.count(Measure::Exits, at);
    let status = process.exit.as_ref().and_then(|exit| exit.status);
    let is_failure = status.is_some_and(crate::record::ExitStatus::is_failure);
    if is_failure {
        counted |= state.count(Measure::Failures, at);
    }
    state.departed.add(is_failure, || Note::exited(process, at));
    counted
}
