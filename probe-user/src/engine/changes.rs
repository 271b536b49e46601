//! What the table says has changed comes in here and is passed on: to membership, counts, measures, runs and what is told.
//!
//! A process that ended and was closed in one call is no longer in the table when its end is followed. It is kept aside
//! ([`Engine::gone`]) for as long as that takes. Of one that also began in that call nothing is known, so that it never
//! belonged to anything.

use super::evidence::{Note, remember};
use super::figures::Moved;
use super::group::GroupState;
use super::membership::count_exit;
use super::track::{Cause, Source, Untold};
use super::{Effect, Engine, Watch};
use crate::model::{Appearance, Change, Closed, Totals};
use crate::policy::spec::Measure;
use crate::record::{Account, ProcessKey};
use crate::time::KTime;

use super::track::Track;

/// A change of the engine's table.
pub(super) type Changed = Change<Track>;

impl Engine {
    /// Follows what the table says has changed at `at`.
    pub(super) fn apply(&mut self, changes: &mut Vec<Changed>, source: &Source, at: KTime, effects: &mut Vec<Effect>) {
        for change in changes.drain(..) {
            match change {
                Change::Appeared { key, how } => self.appeared(key, how, source, at, effects),
                Change::Executed { key } => {
                    if let Some(track) = self.table.beside_mut(key) {
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
                    if let Some(track) = self.table.beside_mut(key) {
                        // Its exit came before its exec: the start is told after the end.
                        let late = track.ended && *source == Source::Exec;
                        track.start_seen |= late || matches!(source, Source::Fork(_));
                        track.untold = if late { Untold::Exec } else { track.untold };
                    }
                    self.evaluate(key, Cause::Redefined, at, effects);
                    self.tell_start(key, effects);
                }
                Change::Exited { key } => self.exited(key, at, effects),
                Change::OomVictim { key } => self.chosen_by_oom(key, at),
                Change::Used { key, delta } => self.used(key, delta, at),
                Change::Closed { process, account, delta } => self.closed(process, account, delta, at, effects),
            }
        }
    }

    fn appeared(&mut self, key: ProcessKey, how: Appearance, source: &Source, at: KTime, effects: &mut Vec<Effect>) {
        let Some(process) = self.table.get(key) else { return };
        let cause = match (how, source) {
            (Appearance::Forked, _) => Cause::Forked,
            // Its fork was lost, its exec was not.
            (Appearance::Found, Source::Exec) => Cause::Executed,
            (Appearance::Found | Appearance::Seeded, _) => Cause::Found,
        };
        let parent = process.identity.parent;
        let forker = if let Source::Fork(forker) = source { Some(*forker) } else { parent };
        let (mut descends, mut copied) = (super::track::Groups::new(), None);
        if let Some(track) = parent.and_then(|parent| self.table.beside(parent)) {
            let passes_on = |group: &&usize| self.groups.get(**group).is_some_and(|group| group.spec.include_children);
            descends = track.belongs.iter().filter(passes_on).copied().collect();
            copied = track.copied_watch(how, at).filter(|_| forker == parent);
        }
        if forker != parent {
            copied = forker.and_then(|forker| self.table.beside(forker)).and_then(|track| track.copied_watch(how, at));
        }
        if let Some(track) = self.table.beside_mut(key) {
            track.start_seen = cause != Cause::Found;
            if cause == Cause::Forked {
                track.untold = Untold::Fork;
            }
            track.descends = descends;
            if let Some(copied) = copied {
                track.take_watch(copied);
            }
        }
        self.evaluate(key, cause, at, effects);
        if how == Appearance::Forked {
            self.tell_start(key, effects);
        }
    }

    /// The last thread of a process is gone.
    fn exited(&mut self, key: ProcessKey, at: KTime, effects: &mut Vec<Effect>) {
        self.exit_jobs(key);
        let known = match &mut self.gone {
            Some(gone) if gone.key == key => Some(gone.split()),
            _ => self.table.both_mut(key),
        };
        let Some((process, track)) = known.filter(|(_, track)| !track.ended) else { return };
        track.ended = true;
        // The kernel side forgets it by itself.
        track.watch = Watch::NONE;
        self.rereads.move_to(key, &mut track.look_at, None);
        let belongs = track.belongs.clone();
        let (mut parenthood, mut judged_each) = (false, false);
        for group in &belongs {
            let Some(state) = self.groups.get_mut(*group) else { continue };
            parenthood |= self.index.is_parent(*group);
            judged_each |= state.judges_each;
            if state.members.remove(key) {
                state.sums.take_out(track.share);
                self.stirred.sampling |= state.members.is_empty();
            }
            self.stirred.moved.mark(*group, state);
            if count_exit(state, process, at) || state.judges_each_move {
                self.stirred.mark(*group, state);
            }
        }
        if judged_each {
            for group in &belongs {
                if self.groups.get(*group).is_some_and(|state| state.judges_each) {
                    self.judge_age_at_exit(*group, key, at, effects);
                    self.drop_judges(*group, key, at, "exit", effects);
                }
            }
        }
        if parenthood {
            for child in self.children_in_order(key).into_iter().rev() {
                self.evaluate(child, Cause::Redefined, at, effects);
            }
        }
    }

    /// A process is accounted for, and gone from the table.
    fn closed(
        &mut self,
        process: Closed<Track>,
        account: Account,
        delta: Totals,
        at: KTime,
        effects: &mut Vec<Effect>,
    ) {
        let mut closed = process;
        if !closed.beside().ended {
            // Its end came in the same call.
            let key = closed.key;
            self.gone = Some(closed);
            self.exited(key, at, effects);
            let Some(gone) = self.gone.take() else { return };
            closed = gone;
        }
        let (process, track) = closed.split();
        self.rereads.move_to(process.key, &mut track.look_at, None);
        self.account_closed(process, track, delta);
        self.close_jobs(process.key, track, account);
        self.tell_exit(process, track, account, effects);
    }

    fn chosen_by_oom(&mut self, key: ProcessKey, at: KTime) {
        let Some((process, track)) = self.table.both(key) else { return };
        for group in &track.belongs {
            let Some(state) = self.groups.get_mut(*group) else { continue };
            state.count(Measure::OomKills, at);
            remember(&mut state.victims, Note::chosen_by_oom(process, at));
            self.stirred.moved.mark(*group, state);
            self.stirred.mark(*group, state);
        }
    }
}

/// What has to be looked at before the step ends.
#[derive(Debug, Default)]
pub(super) struct Stirred {
    /// Groups of which something counted has changed.
    pub(super) groups: Vec<usize>,
    /// A group with sampled bounds has gained its first or lost its last member.
    pub(super) sampling: bool,
    /// Of which groups the measures may have changed, since somebody asked for them.
    pub(super) moved: Moved,
}

impl Stirred {
    /// The group is judged at the end of the step.
    pub(super) fn mark(&mut self, group: usize, state: &mut GroupState) {
        if !state.dirty {
            state.dirty = true;
            self.groups.push(group);
        }
    }
}
