//! A bound on something that is not a group: the machine, its repetitions and its next moment in one piece.

use std::time::Duration;

use super::restore::Standing;
use super::seen::Extent;
use crate::policy::bound::{Machine, Phase, Rule, Turn};
use crate::time::KTime;

/// One bound held against one thing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    rule: Rule,
    machine: Machine,
    repeat: Option<Duration>,
    repeat_at: Option<KTime>,
    dips: u64,
    extent: Extent,
}

/// What became of an alarm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Change {
    /// It begins.
    Fired { at: KTime, since: KTime, value: f64 },
    /// It goes on and is told again.
    Repeated { at: KTime, since: KTime, value: f64 },
    /// It ends.
    Resolved { at: KTime, duration: Duration, value: f64 },
}

impl Held {
    /// Nothing observed yet.
    pub(super) fn new(rule: Rule, repeat: Option<Duration>) -> Self {
        Self { rule, machine: Machine::default(), repeat, repeat_at: None, dips: 0, extent: Extent::default() }
    }

    /// The same demand, nothing observed yet.
    pub(super) fn anew(&self) -> Self {
        Self::new(self.rule, self.repeat)
    }

    /// How often its alarm is told again.
    pub(super) const fn repeat(&self) -> Option<Duration> {
        self.repeat
    }

    /// The rule in force.
    pub(super) const fn rule(&self) -> &Rule {
        &self.rule
    }

    /// Another rule that says the same (shares resolved anew), or another repetition.
    pub(super) fn set_rule(&mut self, rule: Rule, repeat: Option<Duration>) {
        self.rule = rule;
        self.repeat = repeat;
    }

    /// Where it stands.
    pub(super) fn phase(&self) -> Phase {
        self.machine.phase()
    }

    /// The last value observed.
    pub(super) fn value(&self) -> Option<f64> {
        self.machine.value()
    }

    /// Since when its breach lasts, where it is an alarm.
    pub(super) fn firing_since(&self) -> Option<KTime> {
        self.machine.firing_since()
    }

    /// Breaches that healed before they fired.
    pub(super) const fn dips(&self) -> u64 {
        self.dips
    }

    /// What its values came to.
    pub(super) const fn extent(&self) -> &Extent {
        &self.extent
    }

    /// A new value at `at`; deadlines up to then come first. Nothing fires before `gate`.
    pub(super) fn observe(&mut self, at: KTime, value: f64, gate: KTime) -> Vec<Change> {
        let mut changes = self.advance(at, gate);
        self.extent.value(at, value, &self.rule);
        for turn in self.machine.step(at, value, &self.rule, gate).into_iter().flatten() {
            self.take(turn, &mut changes);
        }
        changes
    }

    /// A value that nothing is judged by: what a run came to whose length was judged while it ran.
    pub(super) fn came_to(&mut self, at: KTime, value: f64) {
        self.extent.value(at, value, &self.rule);
    }

    /// It was an alarm before this was.
    pub(super) fn stand(&mut self, alarm: &Standing, now: KTime) {
        self.machine.stand(KTime(alarm.since), alarm.value);
        self.repeat_at = self.repeat.map(|repeat| now.after(repeat));
    }

    /// Whether that a window's count is no breach proves nothing yet: an alarm of before needs a whole window.
    pub(super) fn needs_whole_window(&self, value: f64) -> bool {
        self.machine.is_standing() && !self.rule.breached(value)
    }

    /// An alarm of before, since when no value was observed.
    pub(super) fn is_standing(&self) -> bool {
        self.machine.is_standing()
    }

    /// A newer value for the text of an alarm that is due.
    pub(super) fn refresh(&mut self, value: f64) {
        self.machine.refresh(value, &self.rule);
    }

    /// The first value after a time in which values may have been missed: it is taken before the deadlines, so that what
    /// healed unseen does not fire, and repetitions that were missed are one.
    pub(super) fn reconcile(&mut self, at: KTime, value: f64, gate: KTime) -> Vec<Change> {
        let mut changes = Vec::new();
        self.extent.value(at, value, &self.rule);
        for turn in self.machine.reconcile(at, value, &self.rule, gate).into_iter().flatten() {
            self.take(turn, &mut changes);
        }
        let missed = self.repeat_at.is_some_and(|repeat_at| repeat_at <= at);
        if let (true, Some(repeat), Some(since)) = (missed, self.repeat, self.machine.firing_since()) {
            changes.push(Change::Repeated { at, since, value });
            self.repeat_at = Some(at.after(repeat));
        }
        changes
    }

    /// Lets time pass up to `at`.
    pub(super) fn advance(&mut self, at: KTime, gate: KTime) -> Vec<Change> {
        let mut changes = Vec::new();
        while let Some(next) = self.next(gate).filter(|next| *next <= at) {
            let before = (self.machine.phase(), self.repeat_at);
            if let Some(turn) = self.machine.advance(next, &self.rule, gate) {
                self.take(turn, &mut changes);
            } else if let (Some(repeat), Some(since)) = (self.repeat, self.machine.firing_since()) {
                let value = self.machine.value().unwrap_or_default();
                changes.push(Change::Repeated { at: next, since, value });
                self.repeat_at = Some(next.after(repeat));
            }
            if before == (self.machine.phase(), self.repeat_at) {
                break;
            }
        }
        changes
    }

    /// When time alone changes something.
    pub(super) fn next(&self, gate: KTime) -> Option<KTime> {
        [self.machine.deadline(&self.rule, gate), self.repeat_at].into_iter().flatten().min()
    }

    fn take(&mut self, turn: Turn, changes: &mut Vec<Change>) {
        match turn {
            Turn::Fired { at, since, value } => {
                self.repeat_at = self.repeat.map(|repeat| at.after(repeat));
                changes.push(Change::Fired { at, since, value });
            }
            Turn::Resolved { at, duration } => {
                self.repeat_at = None;
                changes.push(Change::Resolved { at, duration, value: self.machine.value().unwrap_or_default() });
            }
            Turn::DipHealed { at, lasted } => {
                self.dips = self.dips.saturating_add(1);
                self.extent.dip(at, lasted);
            }
        }
    }
}
