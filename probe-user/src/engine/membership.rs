//! Which process belongs to which groups: decided at its appearance, at each exec, when something that a selector sees
//! is known anew, and at a reload. What the table says has changed comes in here.
//!
//! - A process belongs when it is selected, or descends from a member of a group with `include_children`; `except` takes
//!   it out in either case. Descent is decided once, by the groups of its parent when the process appears, and holds
//!   while it lives, even when the parent is gone. Who is taken out passes nothing on.
//! - Entering is a start when a fork or an exec did it, also when only new arguments after the fork showed it; a process
//!   that goes out and in again by renaming itself counts once for each program it executes. What was already there (the
//!   first scan, a reload) or was only found later counts as no start.
//! - When a process enters or leaves a group that others name as `parent`, its children are looked at again.

use smallvec::SmallVec;

use super::evidence::{NOTES_MAX, Note};
use super::group::GroupState;
use super::reread::{Hope, next_look};
use super::track::{Cause, Groups, Source, Track, Untold};
use super::verdicts::Verdict;
use super::{Effect, Engine, Watch};
use crate::model::hash::trim;
use crate::model::{Appearance, Change, Process};
use crate::policy::select::{Field, Subject};
use crate::policy::spec::Measure;
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
    /// Follows what the table says has changed at `at`.
    pub(super) fn apply(&mut self, changes: &mut Vec<Change>, source: &Source, at: KTime, effects: &mut Vec<Effect>) {
        let mut changes = changes.drain(..);
        while let Some(change) = changes.next() {
            match change {
                Change::Appeared { key, how } => self.appeared(key, how, source, at, effects),
                Change::Executed { key } => {
                    if let Some(track) = self.tracks.get_mut(&key) {
                        let belongs = &track.belongs;
                        track.entered.retain(|group| belongs.contains(group));
                        track.start_seen = true;
                        track.untold = Untold::Exec;
                        // An exec ends what the kernel side copied from the forker, and only that.
                        track.watch_unsure |= track.watch != Watch::NONE;
                    }
                    self.evaluate(key, Cause::Executed, at, effects);
                    self.tell_start(key, effects);
                }
                Change::Redefined { key } => {
                    if let Some(track) = self.tracks.get_mut(&key) {
                        // Its exit came before its exec: the start is told after the end.
                        let late = track.ended && *source == Source::Exec;
                        track.start_seen |= late || matches!(source, Source::Fork(_));
                        track.untold = if late { Untold::Exec } else { track.untold };
                    }
                    self.evaluate(key, Cause::Redefined, at, effects);
                    self.tell_start(key, effects);
                }
                Change::Exited { key } => {
                    // What was closed in the same step is no longer in the table.
                    self.gone = changes.as_slice().iter().find_map(|change| match change {
                        Change::Closed { process, .. } if process.key == key => Some(process.clone()),
                        _ => None,
                    });
                    self.exited(key, at, effects);
                    self.gone = None;
                }
                Change::OomVictim { key } => self.chosen_by_oom(key, at),
                Change::Used { key, delta } => self.used(key, delta, at),
                Change::Closed { process, account, delta } => {
                    if let Some(mut track) = self.tracks.remove(&process.key) {
                        trim(&mut self.tracks);
                        self.account_closed(&process, &track, delta);
                        self.close_jobs(process.key, &track, account);
                        self.rereads.move_to(process.key, &mut track.look_at, None);
                        self.tell_exit(&process, &track, account, effects);
                    }
                }
            }
        }
    }

    fn appeared(&mut self, key: ProcessKey, how: Appearance, source: &Source, at: KTime, effects: &mut Vec<Effect>) {
        let mut track = Track::default();
        let cause = match (how, source) {
            (Appearance::Forked, _) => Cause::Forked,
            // Its fork was lost, its exec was not.
            (Appearance::Found, Source::Exec) => Cause::Executed,
            (Appearance::Found | Appearance::Seeded, _) => Cause::Found,
        };
        track.start_seen = cause != Cause::Found;
        if cause == Cause::Forked {
            track.untold = Untold::Fork;
        }
        let parent = self.table.get(key).and_then(|process| process.identity.parent);
        let forker = if let Source::Fork(forker) = source { Some(*forker) } else { parent };
        self.assume_watch(&mut track, forker, how, at);
        if let Some(parent) = parent.and_then(|parent| self.tracks.get(&parent)) {
            let passes_on = |group: &&usize| self.groups.get(**group).is_some_and(|group| group.spec.include_children);
            track.descends = parent.belongs.iter().filter(passes_on).copied().collect();
        }
        self.tracks.insert(key, track);
        self.evaluate(key, cause, at, effects);
        if how == Appearance::Forked {
            self.tell_start(key, effects);
        }
    }

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
    fn children_in_order(&self, key: ProcessKey) -> Vec<ProcessKey> {
        let mut children: Vec<ProcessKey> = self.table.children(key).collect();
        children.sort_unstable_by(|a, b| b.cmp(a));
        children
    }

    /// True when the process entered or left a group that selectors name as `parent`.
    fn evaluate_one(&mut self, key: ProcessKey, cause: Cause, at: KTime, effects: &mut Vec<Effect>) -> bool {
        let mut asked = std::mem::take(&mut self.asked);
        let Some(process) = self.table.get(key) else { return false };
        let Some(track) = self.tracks.get(&key) else { return false };
        let mut turned = Turned::new();
        let mut hope;
        if track.descends.is_empty() && !self.index.names_parents() {
            if let Some(known) = self.verdicts.get(process) {
                compare(&track.belongs, &known.belongs, &mut turned);
                hope = known.hope;
            } else {
                let verdict = self.judge_program(&mut asked, process);
                compare(&track.belongs, &verdict.belongs, &mut turned);
                hope = verdict.hope;
                self.verdicts.keep(process, verdict);
            }
        } else {
            let parent = process.identity.parent.and_then(|parent| self.tracks.get(&parent));
            let parents_groups = parent.filter(|parent| !parent.ended).map_or(&[][..], |parent| &parent.belongs);
            let parent_in =
                |name: &str| self.index.by_name(name).is_some_and(|group| parents_groups.binary_search(&group).is_ok());
            let subject = Subject::new(process, &self.users);
            self.index.candidates(&subject, parents_groups, &mut asked);
            asked.extend(&track.belongs);
            asked.extend(&track.descends);
            asked.sort_unstable();
            asked.dedup();
            hope = self.index.hope_of_others(&subject, &asked);
            for group in &asked {
                let Some(state) = self.groups.get(*group) else { continue };
                let (belongs, may_change) = state.admits(&subject, &parent_in, track.descends.contains(group));
                hope = hope.max(may_change);
                if belongs != track.belongs.contains(group) {
                    turned.push((*group, belongs));
                }
            }
        }
        asked.clear();
        self.asked = asked;
        let keeps_its_title = hope == Hope::Leaves && process.execs > 0;
        if keeps_its_title || process.identity.kernel_thread || track.ended {
            hope = Hope::None;
        }
        let program_since = process.program_since;
        let Some(place) = self.tracks.get_mut(&key) else { return false };
        if place.hope != hope || cause == Cause::Executed {
            let next = next_look(program_since, at, hope);
            place.hope = hope;
            self.rereads.move_to(key, &mut place.look_at, next);
        }
        if cause == Cause::Reload {
            place.untold = Untold::Nothing;
        }
        if turned.is_empty() {
            let nothing_to_do = place.is_strange();
            if nothing_to_do || self.tracks.get(&key).is_some_and(|track| self.is_watched_rightly(key, track)) {
                return false;
            }
        }
        let Some(place) = self.tracks.get_mut(&key) else { return false };
        // Taken out while its groups change; its place stays.
        let mut track = std::mem::take(place);
        let mut parenthood = false;
        for (group, enters) in &turned {
            parenthood |= self.index.is_parent(*group);
            if *enters {
                self.enter(*group, key, &mut track, cause, at);
            } else {
                self.leave(*group, key, &mut track, cause, at);
            }
        }
        self.watch(key, &mut track, at, effects);
        if let Some(place) = self.tracks.get_mut(&key) {
            *place = track;
        }
        for (group, enters) in turned {
            if self.groups.get(group).is_none_or(|state| !state.judges_each) {
                continue;
            }
            if enters {
                self.judge_age(group, key, at, effects);
            } else {
                self.drop_judges(group, key, at, "left the group", effects);
            }
        }
        parenthood
    }

    /// Holds a process against every group that may be concerned, where neither its parent nor its descent says anything.
    fn judge_program(&self, asked: &mut Vec<usize>, process: &Process) -> Verdict {
        let subject = Subject::new(process, &self.users);
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

    fn enter(&mut self, group: usize, key: ProcessKey, track: &mut Track, cause: Cause, at: KTime) {
        let Some(state) = self.groups.get_mut(group) else { return };
        if let Err(place) = track.belongs.binary_search(&group) {
            track.belongs.insert(place, group);
        }
        track.ever |= state.spec.events;
        let first = !track.entered.contains(&group);
        if first {
            track.entered.push(group);
        }
        let starts = match cause {
            Cause::Forked | Cause::Executed => true,
            Cause::Redefined => track.start_seen,
            Cause::Found | Cause::Reload => false,
        };
        if starts && first {
            state.count(Measure::Starts, at);
            // Only bounds on starts tell of them.
            if let Some(process) = self.table.get(key).filter(|_| state.counts(Measure::Starts)) {
                remember(&mut state.arrived, Note::started(process, at));
            }
        }
        mark(&mut self.dirty, group, state);
        if !track.ended {
            self.sampling_may_change |= state.members.is_empty();
            if state.members.insert(key) {
                state.sums.add(track.share);
            }
            state.settled = false;
        } else if let Some(process) = self.table.get(key).filter(|_| first && cause != Cause::Reload) {
            // Known too late: it was a member, and has ended.
            count_exit(state, process, at);
        }
        self.enter_job(group, key, track, cause);
    }

    fn leave(&mut self, group: usize, key: ProcessKey, track: &mut Track, cause: Cause, at: KTime) {
        track.belongs.retain(|other| *other != group);
        let Some(state) = self.groups.get_mut(group) else { return };
        if state.members.remove(&key) {
            state.sums.take_out(track.share);
            self.sampling_may_change |= state.members.is_empty();
            if let Some(process) = self.table.get(key).filter(|_| cause != Cause::Reload) {
                remember(&mut state.departed, Note::left(process, at));
            }
            mark(&mut self.dirty, group, state);
        }
    }

    fn exited(&mut self, key: ProcessKey, at: KTime, effects: &mut Vec<Effect>) {
        self.exit_jobs(key);
        let Some(process) = self.table.get(key).or(self.gone.as_deref()) else { return };
        let Some(track) = self.tracks.get_mut(&key).filter(|track| !track.ended) else { return };
        track.ended = true;
        // The kernel side forgets it by itself.
        track.watch = Watch::NONE;
        self.rereads.move_to(key, &mut track.look_at, None);
        let belongs = track.belongs.clone();
        let mut parenthood = false;
        for group in &belongs {
            let Some(state) = self.groups.get_mut(*group) else { continue };
            parenthood |= self.index.is_parent(*group);
            if state.members.remove(&key) {
                state.sums.take_out(track.share);
                self.sampling_may_change |= state.members.is_empty();
            }
            count_exit(state, process, at);
            mark(&mut self.dirty, *group, state);
        }
        for group in &belongs {
            if self.groups.get(*group).is_some_and(|state| state.judges_each) {
                self.judge_age_at_exit(*group, key, at, effects);
                self.drop_judges(*group, key, at, "exit", effects);
            }
        }
        if parenthood {
            for child in self.children_in_order(key).into_iter().rev() {
                self.evaluate(child, Cause::Redefined, at, effects);
            }
        }
    }

    fn chosen_by_oom(&mut self, key: ProcessKey, at: KTime) {
        let Some(process) = self.table.get(key) else { return };
        let Some(track) = self.tracks.get(&key) else { return };
        for group in &track.belongs {
            let Some(state) = self.groups.get_mut(*group) else { continue };
            state.count(Measure::OomKills, at);
            remember(&mut state.victims, Note::chosen_by_oom(process, at));
            mark(&mut self.dirty, *group, state);
        }
    }
}

/// What differs between two ordered lists of groups.
fn compare(before: &[usize], after: &[usize], turned: &mut Turned) {
    if before == after {
        return;
    }
    turned.extend(before.iter().filter(|group| !after.contains(group)).map(|group| (*group, false)));
    turned.extend(after.iter().filter(|group| !before.contains(group)).map(|group| (*group, true)));
    turned.sort_unstable();
}

/// The group is judged at the end of the step.
pub(super) fn mark(dirty: &mut Vec<usize>, group: usize, state: &mut GroupState) {
    if !state.dirty {
        state.dirty = true;
        dirty.push(group);
    }
}

fn count_exit(state: &mut GroupState, process: &Process, at: KTime) {
    state.count(Measure::Exits, at);
    let status = process.exit.as_ref().and_then(|exit| exit.status);
    if status.is_some_and(crate::record::ExitStatus::is_failure) {
        state.count(Measure::Failures, at);
    }
    remember(&mut state.departed, Note::exited(process, at));
}

fn remember(notes: &mut std::collections::VecDeque<Note>, note: Note) {
    if notes.len() >= NOTES_MAX {
        notes.pop_front();
    }
    notes.push_back(note);
}
