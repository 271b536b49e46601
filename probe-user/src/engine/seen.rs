//! What the values of each bound came to, for whoever holds policies against the past: how near a bound was to firing
//! when it did not. Kept only where it was asked for ([`Engine::keep_seen`]); the daemon does not.

use std::sync::Arc;
use std::time::Duration;

use super::Engine;
use super::held::Held;
use super::timers::Slot;
use crate::policy::bound::Rule;
use crate::policy::spec::{Bound, Measure, Side};
use crate::time::KTime;

/// A value and when it was first reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reached {
    /// In the measure's own unit.
    pub value: f64,
    /// When.
    pub at: KTime,
}

/// The values of one bound; of a bound per process those of all processes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Extent {
    /// The lowest of all.
    pub lowest: Option<Reached>,
    /// The highest of all.
    pub highest: Option<Reached>,
    /// Of those within the limit the one nearest to it.
    pub nearest: Option<Reached>,
    /// The longest breach that healed before it fired, and when it healed.
    pub longest_dip: Option<(Duration, KTime)>,
}

/// One bound and what was seen of it.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenBound {
    /// `group.measure.side`, with `.1`, `.2` where several share that.
    pub name: Arc<str>,
    /// What is measured.
    pub measure: Measure,
    /// Which end.
    pub side: Side,
    /// In the measure's own unit.
    pub limit: f64,
    /// Limit and values are shares of a total.
    pub share: bool,
    /// How long a breach must last to fire.
    pub hold: Duration,
    /// Breaches that healed before they fired.
    pub dips: u64,
    /// Its values.
    pub extent: Extent,
}

impl SeenBound {
    /// Of a bound that judges one thing.
    pub(super) fn of(name: &Arc<str>, bound: &Bound, held: &Held) -> Self {
        Self {
            name: Arc::clone(name),
            measure: bound.measure,
            side: bound.side,
            limit: held.rule().limit,
            share: false,
            hold: held.rule().hold,
            dips: held.dips(),
            extent: *held.extent(),
        }
    }
}

/// By group and bound.
#[derive(Debug, Default)]
pub(super) struct Seen(Vec<Vec<Extent>>);

impl Extent {
    pub(super) fn value(&mut self, at: KTime, value: f64, rule: &Rule) {
        let reached = Reached { value, at };
        self.reach(reached, reached, (!rule.breached(value)).then_some(reached), rule.side);
    }

    pub(super) fn dip(&mut self, at: KTime, lasted: Duration) {
        if self.longest_dip.is_none_or(|(longest, _)| lasted > longest) {
            self.longest_dip = Some((lasted, at));
        }
    }

    /// Takes in what was seen of another thing that the same bound judges.
    pub(super) fn absorb(&mut self, other: &Self, side: Side) {
        if let (Some(lowest), Some(highest)) = (other.lowest, other.highest) {
            self.reach(lowest, highest, other.nearest, side);
        }
        if let Some((lasted, at)) = other.longest_dip {
            self.dip(at, lasted);
        }
    }

    fn reach(&mut self, lowest: Reached, highest: Reached, nearest: Option<Reached>, side: Side) {
        let below = |place: Option<Reached>, value: f64| place.is_none_or(|place| value < place.value);
        let above = |place: Option<Reached>, value: f64| place.is_none_or(|place| value > place.value);
        if below(self.lowest, lowest.value) {
            self.lowest = Some(lowest);
        }
        if above(self.highest, highest.value) {
            self.highest = Some(highest);
        }
        let nearer = |near: &Reached| match side {
            Side::Min => below(self.nearest, near.value),
            Side::Max => above(self.nearest, near.value),
        };
        if let Some(near) = nearest.filter(nearer) {
            self.nearest = Some(near);
        }
    }
}

impl Seen {
    pub(super) fn value(&mut self, slot: Slot, at: KTime, value: f64, rule: &Rule) {
        if let Some(extent) = self.place(slot) {
            extent.value(at, value, rule);
        }
    }

    pub(super) fn dip(&mut self, slot: Slot, at: KTime, lasted: Duration) {
        if let Some(extent) = self.place(slot) {
            extent.dip(at, lasted);
        }
    }

    fn place(&mut self, slot: Slot) -> Option<&mut Extent> {
        self.0.get_mut(slot.group)?.get_mut(slot.bound)
    }
}

impl Engine {
    /// From now on the values of each bound of a group are kept.
    pub fn keep_seen(&mut self) {
        self.seen = Some(Seen(self.groups.iter().map(|group| vec![Extent::default(); group.bounds.len()]).collect()));
    }

    /// What was seen: of groups in their order, of jobs, of logs, of the host, of peers; nothing where it was not kept.
    pub fn seen(&self) -> Vec<SeenBound> {
        let Some(seen) = &self.seen else { return Vec::new() };
        let groups = self.groups.iter().zip(&seen.0);
        let bounds = groups.flat_map(|(group, extents)| group.bounds.iter().zip(extents));
        let of_groups = bounds.map(|(bound, extent)| SeenBound {
            name: Arc::clone(&bound.name),
            measure: bound.spec.measure,
            side: bound.spec.side,
            limit: bound.rule.limit,
            share: false,
            hold: bound.rule.hold,
            dips: bound.dips,
            extent: *extent,
        });
        let others = self.logs.seen().chain(self.hosts.seen()).chain(self.peers.seen());
        of_groups.chain(self.jobs.seen()).chain(others).collect()
    }

    /// The present value of each bound of each group, in their order; `None` while unknown.
    pub fn values(&self, now: KTime) -> impl Iterator<Item = Option<f64>> + '_ {
        let all = self.groups.iter().flat_map(|group| group.bounds.iter().map(move |bound| (group, bound)));
        all.map(move |(group, bound)| Self::present_value(group, bound, now))
    }
}
