//! What the measures of groups come to, for whoever keeps their history: only of groups of which something may have changed, so
//! that nobody has to ask all of them again and again.
//!
//! Counts change with records, usage with samples; a window also when time passes, so that a group with something in a window
//! is asked again once a second by whoever looks.

use std::sync::Arc;

use super::Engine;
use super::group::GroupState;
use crate::event::Severity;
use crate::policy::spec::{Measure, Side};
use crate::time::KTime;

/// What is known of a measure of a group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measured {
    /// It is not measured.
    Unmeasured,
    /// What was known before; nothing new.
    AsBefore,
    /// This.
    Value(f64),
}

/// A bound on a group's values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// What it is about.
    pub measure: Measure,
    /// Which end.
    pub side: Side,
    /// In the measure's own unit.
    pub limit: f64,
    /// Of its alarms.
    pub severity: Severity,
}

/// Groups that may have changed since somebody asked.
#[derive(Debug, Default)]
pub(super) struct Moved {
    groups: Vec<usize>,
    /// Groups with something in a window.
    falling: Vec<usize>,
    falling_since: KTime,
}

impl Moved {
    /// Something of this group may have changed.
    pub(super) fn mark(&mut self, group: usize, state: &mut GroupState) {
        if !state.moved {
            state.moved = true;
            self.groups.push(group);
        }
    }
}

impl GroupState {
    /// What is known of a measure.
    fn measured(&self, measure: Measure, now: KTime) -> Measured {
        if measure == Measure::Count {
            return Measured::Value(self.members.len() as f64);
        }
        if measure.is_windowed() {
            let counted = self.windows.iter().find(|counted| counted.measure == measure);
            return counted.map_or(Measured::Unmeasured, |counted| Measured::Value(counted.window.count(now) as f64));
        }
        let Some(usage) = self.usage() else { return Measured::Unmeasured };
        let rate = |rate: Option<f64>| rate.filter(|_| !self.rates_are_low);
        let value = match measure {
            Measure::Threads => usage.threads.map(|threads| threads as f64),
            Measure::Memory => usage.memory_bytes.map(|bytes| bytes as f64),
            Measure::Cpu => rate(usage.cpu),
            Measure::CpuWait => rate(usage.cpu_wait),
            Measure::Read => rate(usage.read),
            Measure::Write => rate(usage.write),
            _ => return Measured::Unmeasured,
        };
        value.map_or(Measured::AsBefore, Measured::Value)
    }

    fn has_windows_filled(&self, now: KTime) -> bool {
        self.windows.iter().any(|counted| counted.window.count(now) > 0)
    }
}

impl Engine {
    /// Hands out the groups of which something may have changed since the last call: number, name, and what is asked of their
    /// measures.
    pub fn moved(&mut self, now: KTime, mut take: impl FnMut(usize, &Arc<str>, &dyn Fn(Measure) -> Measured)) {
        /// Time alone changes what is in a window; it is not looked at more often than that.
        const SECOND: std::time::Duration = std::time::Duration::from_secs(1);
        if self.started.is_none() {
            return;
        }
        if !self.stirred.moved.falling.is_empty() && now.since(self.stirred.moved.falling_since) >= SECOND {
            self.stirred.moved.falling_since = now;
            for group in std::mem::take(&mut self.stirred.moved.falling) {
                let Some(state) = self.groups.get_mut(group) else { continue };
                state.falling = false;
                self.stirred.moved.mark(group, state);
            }
        }
        let mut groups = std::mem::take(&mut self.stirred.moved.groups);
        for group in groups.drain(..) {
            let Some(state) = self.groups.get_mut(group) else { continue };
            state.moved = false;
            if !state.falling && state.has_windows_filled(now) {
                state.falling = true;
                self.stirred.moved.falling.push(group);
            }
            take(group, &state.spec.name, &|measure| state.measured(measure, now));
        }
        self.stirred.moved.groups = groups;
    }

    /// Some group may have changed since the last call.
    pub fn has_moved(&self) -> bool {
        !self.stirred.moved.groups.is_empty()
    }

    /// Every group counts as changed.
    pub fn all_moved(&mut self) {
        for (group, state) in self.groups.iter_mut().enumerate() {
            self.stirred.moved.mark(group, state);
        }
    }

    /// The bounds on the values of the group or job of this name, but for those on each process by itself; `None` where there is
    /// none of that name.
    pub fn lines(&self, name: &str) -> Option<Vec<Line>> {
        let group = self.groups.iter().find(|group| &*group.spec.name == name)?;
        let of_group = group.bounds.iter().filter(|bound| group.job.is_none() && !bound.is_per_process());
        let line = |bound: &super::group::BoundState| Line {
            measure: bound.spec.measure,
            side: bound.spec.side,
            limit: bound.rule.limit,
            severity: bound.spec.severity,
        };
        Some(of_group.map(line).collect())
    }
}
