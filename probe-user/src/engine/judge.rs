//! Values against bounds: every bound's state machine is driven from here, by what changed and by deadlines.
//!
//! Counted things are judged at the end of the step that changed them, so that a process that was replaced within one
//! record is no dip. While the table is in doubt nothing is judged: no machine moves, no deadline is acted on.

use std::time::Duration;

use super::raise::Told;
use super::timers::Slot;
use super::{Effect, Engine};
use crate::policy::bound::{Phase, Rule, Turn};
use crate::policy::spec::{Measure, Side};
use crate::policy::window::Window;
use crate::record::ProcessKey;
use crate::time::KTime;

/// A process is in breach of a maximal age from so long after reaching it: its very moment is still healthy.
const AGE_STEP: Duration = Duration::from_micros(1);

impl Engine {
    /// Acts on every deadline up to `until`, each at its own moment and in their order.
    pub(super) fn act_on_deadlines(&mut self, until: KTime, effects: &mut Vec<Effect>) {
        let mut told = Vec::new();
        self.logs.advance(until, self.gate, &mut told);
        self.advance_host(until, &mut told);
        self.peers.advance(until, self.gate, &mut told);
        if !told.is_empty() {
            self.tell(told, effects);
        }
        if !self.is_judging() {
            return;
        }
        while let Some((at, slot)) = self.timers.due(until) {
            self.take_moment(slot, at, effects);
            // Each moment taken is moved on; should one stay, it must not be taken for ever.
            if self.timers.due(until) == Some((at, slot)) {
                self.timers.forget(at, slot);
            }
        }
        self.advance_jobs(until, effects);
    }

    /// Judges everything counted that has changed in this step.
    #[inline]
    pub(super) fn judge_dirty(&mut self, at: KTime, effects: &mut Vec<Effect>) {
        if !self.stirred.groups.is_empty() {
            self.judge_stirred(at, effects);
        }
        if self.jobs.has_news() {
            self.judge_jobs(at, effects);
        }
    }

    fn judge_stirred(&mut self, at: KTime, effects: &mut Vec<Effect>) {
        let mut dirty = std::mem::take(&mut self.stirred.groups);
        if dirty.len() > 1 {
            dirty.sort_unstable();
        }
        for group in dirty.drain(..) {
            if let Some(state) = self.groups.get_mut(group) {
                state.dirty = false;
            }
            self.judge_counts(group, at, effects);
        }
        self.stirred.groups = dirty;
    }

    /// Judges everything that needs no sample: at the first scan, after a loss, after a reload.
    pub(super) fn judge_all(&mut self, at: KTime, effects: &mut Vec<Effect>) {
        self.stirred.groups.clear();
        for group in 0..self.groups.len() {
            let Some(state) = self.groups.get_mut(group) else { continue };
            state.dirty = false;
            let members = state.members.in_order();
            self.judge_counts(group, at, effects);
            if members.is_empty() {
                self.judge_nobody(group, at, effects);
            }
            for key in members {
                self.judge_age(group, key, at, effects);
            }
        }
        self.judge_jobs(at, effects);
    }

    fn judge_counts(&mut self, group: usize, at: KTime, effects: &mut Vec<Effect>) {
        let Some(state) = self.groups.get_mut(group) else { return };
        for counted in &mut state.windows {
            counted.window.expire(at);
        }
        for bound in 0..state.bounds.len() {
            let slot = Slot { group, bound, key: None };
            let Some((state, judged)) = self.bound(slot) else { return };
            let value = match (judged.spec.measure, judged.window) {
                (Measure::Count, _) => whole(state.members.len()),
                (_, Some(window)) => match state.windows.get(window) {
                    Some(counted) => count(&counted.window, at),
                    None => continue,
                },
                _ => continue,
            };
            if !self.stays(slot, at, value) {
                self.drive(slot, at, Some(value), effects);
            }
        }
    }

    /// Whether a group's maximum is kept as it was before, with the same value: nothing is to be done then.
    fn stays(&mut self, slot: Slot, at: KTime, value: f64) -> bool {
        let judging = self.is_judging();
        let Some(bound) = self.groups.get_mut(slot.group).and_then(|group| group.bounds.get_mut(slot.bound)) else {
            return false;
        };
        let (rule, judge) = (bound.rule, &mut bound.whole);
        judging
            && rule.side == Side::Max
            && judge.armed.is_none()
            && judge.repeat_at.is_none()
            && judge.machine.stays(at, value, &rule)
    }

    /// A group without members uses nothing: that needs no sample.
    fn judge_nobody(&mut self, group: usize, at: KTime, effects: &mut Vec<Effect>) {
        let Some(state) = self.groups.get(group).filter(|state| state.settled) else { return };
        for bound in 0..state.bounds.len() {
            let slot = Slot { group, bound, key: None };
            let judged = self.bound(slot).map(|(_, judged)| judged);
            if judged.is_some_and(|judged| judged.spec.measure.is_sampled() && !judged.is_per_process()) {
                self.drive(slot, at, Some(0.0), effects);
            }
        }
    }

    /// Judges the age of a member and sees to it that it is judged again when it has grown too old.
    pub(super) fn judge_age(&mut self, group: usize, key: ProcessKey, at: KTime, effects: &mut Vec<Effect>) {
        self.judge_ages(group, key, at, Side::Max, effects);
    }

    /// Whether a process has lived for long enough is known, and judged, when it ends.
    pub(super) fn judge_age_at_exit(&mut self, group: usize, key: ProcessKey, at: KTime, effects: &mut Vec<Effect>) {
        self.judge_ages(group, key, at, Side::Min, effects);
    }

    fn judge_ages(&mut self, group: usize, key: ProcessKey, at: KTime, side: Side, effects: &mut Vec<Effect>) {
        let Some(state) = self.groups.get(group) else { return };
        if side == Side::Max && !state.members.contains(key) {
            return;
        }
        for bound in 0..state.bounds.len() {
            let slot = Slot { group, bound, key: Some(key) };
            let spec = self.bound(slot).map(|(_, judged)| &judged.spec);
            if spec.is_some_and(|spec| spec.measure == Measure::Age && spec.side == side) {
                self.drive(slot, at, Some(at.since(key.start).as_secs_f64()), effects);
            }
        }
    }

    /// A slot's moment has come: a deadline of its machine, a count that has fallen, an age reached, a repetition.
    fn take_moment(&mut self, slot: Slot, at: KTime, effects: &mut Vec<Effect>) {
        let Some(group) = self.groups.get_mut(slot.group) else { return };
        let Some(bound) = group.bounds.get_mut(slot.bound) else { return };
        let value = match (bound.spec.measure, slot.key, bound.window) {
            (Measure::Age, Some(key), _) => Some(at.since(key.start).as_secs_f64()),
            (_, _, Some(window)) => group.windows.get_mut(window).map(|counted| {
                counted.window.expire(at);
                count(&counted.window, at)
            }),
            _ => None,
        };
        let rule = bound.rule;
        if let (Some(judge), Some(value)) = (bound.judge_mut(slot.key), value) {
            judge.machine.refresh(value, &rule);
        }
        self.drive(slot, at, value, effects);
        let repeated = self.bound(slot).and_then(|(group, bound)| {
            let judge = bound.judge(slot.key)?;
            let since = judge.machine.firing_since().filter(|_| judge.repeat_at.is_some_and(|repeat| repeat <= at))?;
            Some((since, judge.machine.value().unwrap_or_default(), at.after(group.repeat()?)))
        });
        if let Some((since, value, next)) = repeated {
            let raised = self.firing(slot, at, since, value, true);
            self.tell(raised.map(Told::Alarm), effects);
            if let Some(judge) = self.judge_of(slot) {
                judge.repeat_at = Some(next);
            }
            self.arm(slot, at);
        }
    }

    /// Gives a machine its new value (or only lets time pass), tells what it did, and arms its next moment.
    pub(super) fn drive(&mut self, slot: Slot, at: KTime, value: Option<f64>, effects: &mut Vec<Effect>) {
        if !self.is_judging() {
            self.arm(slot, at);
            return;
        }
        let (gate, reconciling) = (self.gate_of(slot), self.reconciling);
        let value = value.filter(|value| !self.proves_nothing(slot, at, *value));
        let Some(group) = self.groups.get_mut(slot.group) else { return };
        let repeat = group.repeat();
        let Some(bound) = group.bounds.get_mut(slot.bound) else { return };
        let rule = bound.rule;
        if let (Some(key), Some(_)) = (slot.key, value) {
            bound.each.entry(key).or_default();
        }
        if let (Some(seen), Some(value)) = (self.seen.as_mut(), value) {
            seen.value(slot, at, value, &rule);
        }
        let Some(judge) = bound.judge_mut(slot.key) else { return };
        let turns = match value {
            Some(value) if reconciling => judge.machine.reconcile(at, value, &rule, gate),
            Some(value) => judge.machine.step(at, value, &rule, gate),
            None => [judge.machine.advance(at, &rule, gate), None],
        };
        for turn in turns.into_iter().flatten() {
            match turn {
                Turn::DipHealed { at, lasted } => {
                    if let Some(seen) = &mut self.seen {
                        seen.dip(slot, at, lasted);
                    }
                    if let Some(bound) =
                        self.groups.get_mut(slot.group).and_then(|group| group.bounds.get_mut(slot.bound))
                    {
                        bound.dips = bound.dips.saturating_add(1);
                    }
                }
                Turn::Fired { at, since, value } => {
                    let raised = self.firing(slot, at, since, value, false);
                    self.tell(raised.map(Told::Alarm), effects);
                    if let Some(judge) = self.judge_of(slot) {
                        judge.repeat_at = repeat.map(|repeat| at.after(repeat));
                    }
                }
                Turn::Resolved { at, duration } => {
                    let raised = self.resolved(slot, at, duration, None);
                    self.tell(raised.map(Told::Alarm), effects);
                    if let Some(judge) = self.judge_of(slot) {
                        judge.repeat_at = None;
                    }
                }
            }
        }
        self.arm(slot, at);
    }

    /// Ends the machines of a process that is no member any more; `reason` is told where one was firing.
    pub(super) fn drop_judges(
        &mut self,
        group: usize,
        key: ProcessKey,
        at: KTime,
        reason: &'static str,
        effects: &mut Vec<Effect>,
    ) {
        let bounds = self.groups.get(group).map_or(0, |state| state.bounds.len());
        for bound in 0..bounds {
            let slot = Slot { group, bound, key: Some(key) };
            let Some(judge) = self.bound(slot).and_then(|(_, bound)| bound.each.get(&key)).copied() else { continue };
            if let Some(since) = judge.machine.firing_since() {
                let raised = self.resolved(slot, at, at.since(since), Some(reason));
                self.tell(raised.map(Told::Alarm), effects);
            }
            let mut armed = judge.armed;
            self.timers.move_to(slot, &mut armed, None);
            if let Some(bound) = self.groups.get_mut(group).and_then(|state| state.bounds.get_mut(bound)) {
                bound.each.remove(&key);
            }
        }
    }

    /// Sets a slot's next moment.
    pub(super) fn arm(&mut self, slot: Slot, now: KTime) {
        let gate = self.gate_of(slot);
        let Some(group) = self.groups.get_mut(slot.group) else { return };
        let windows = &group.windows;
        let Some(bound) = group.bounds.get_mut(slot.bound) else { return };
        let (rule, measure) = (bound.rule, bound.spec.measure);
        let window = bound.window.and_then(|window| windows.get(window)).map(|counted| &counted.window);
        let Some(judge) = bound.judge_mut(slot.key) else { return };
        let phase = judge.machine.phase();
        let turns = judge.machine.deadline(&rule, gate);
        let falls = window.and_then(|window| next_fall(window, phase, &rule, now));
        let proof = window.filter(|_| judge.machine.is_standing()).map(Window::complete_at).filter(|at| *at > now);
        let grows_old =
            slot.key.filter(|_| measure == Measure::Age && phase == Phase::Healthy && rule.side == Side::Max);
        let grows_old = grows_old.and_then(|key| {
            let limit = Duration::try_from_secs_f64(rule.limit.max(0.0)).unwrap_or(Duration::MAX);
            Some(key.start.after(limit).after(AGE_STEP)).filter(|old| *old > now)
        });
        let next = [turns, judge.repeat_at, falls, grows_old, proof].into_iter().flatten().min();
        let mut armed = judge.armed;
        self.timers.move_to(slot, &mut armed, next);
        judge.armed = armed;
    }

    /// The window of a bound that a lack can breach.
    fn window_of_min(&self, slot: Slot) -> Option<(&Rule, &Window)> {
        let (group, bound) = self.bound(slot)?;
        let window = &group.windows.get(bound.window?)?.window;
        (bound.rule.side == Side::Min).then_some((&bound.rule, window))
    }

    /// Nothing fires before. Too little within a window that was not watched as a whole is no breach: what is missing
    /// may have happened.
    fn gate_of(&self, slot: Slot) -> KTime {
        self.window_of_min(slot).map_or(self.gate, |(_, window)| window.complete_at().max(self.gate))
    }

    /// A lack, in a window that was not watched as a whole; or that an alarm of another daemon's is over, likewise.
    fn proves_nothing(&self, slot: Slot, at: KTime, value: f64) -> bool {
        let lacks = |(rule, window): (&Rule, &Window)| rule.breached(value) && at < window.complete_at();
        self.window_of_min(slot).is_some_and(lacks) || self.proof_of_end(slot, value).is_some_and(|proof| at < proof)
    }

    /// When a count that is no breach proves that an alarm of another daemon's is over.
    fn proof_of_end(&self, slot: Slot, value: f64) -> Option<KTime> {
        let (group, bound) = self.bound(slot)?;
        let window = &group.windows.get(bound.window?)?.window;
        let standing = bound.judge(slot.key)?.machine.is_standing() && !bound.rule.breached(value);
        standing.then(|| window.complete_at())
    }

    fn judge_of(&mut self, slot: Slot) -> Option<&mut super::group::Judge> {
        self.groups.get_mut(slot.group)?.bounds.get_mut(slot.bound)?.judge_mut(slot.key)
    }
}

/// When a count that only time changes next matters to its bound.
pub(super) fn next_fall(window: &Window, phase: Phase, rule: &Rule, now: KTime) -> Option<KTime> {
    match (rule.side, phase) {
        (Side::Max, Phase::Pending { .. }) => window.falls_to(floor(rule.limit)),
        (Side::Max, Phase::Firing { .. }) => window.falls_to(floor(rule.limit.min(rule.clear))),
        (Side::Min, Phase::Healthy | Phase::Cooling { .. }) => {
            let kept = if phase == Phase::Healthy { rule.limit } else { rule.limit.max(rule.clear) };
            // The last moment at which it is still enough, or the first at which too little is proof.
            let falls = floor(kept.ceil()).checked_sub(1).and_then(|below| window.falls_to(below));
            let proof = Some(window.complete_at()).filter(|complete| *complete > now);
            match (falls, proof) {
                (Some(falls), Some(proof)) => Some(falls.max(proof)),
                (falls, proof) => falls.or(proof),
            }
        }
        // A maximum that is kept, and a minimum that is not, change only when something happens.
        (Side::Max, Phase::Healthy | Phase::Cooling { .. })
        | (Side::Min, Phase::Pending { .. } | Phase::Firing { .. }) => None,
    }
}

/// How often it happened, as a value.
fn count(window: &Window, at: KTime) -> f64 {
    window.count(at) as f64
}

fn whole(count: usize) -> f64 {
    count as f64
}

/// The whole number at or below, 0 for what is negative.
fn floor(value: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "there is no checked conversion from f64; this one saturates, which is what is wanted"
    )]
    let floor = value as u64;
    floor
}
