//! The host itself: its measures from samples, and what must hold of them.
//!
//! Each mount and each interface is judged by itself, an instance of its bound; other measures have one instance without
//! a name. Rates are what a counter rose by between two samples, divided by their distance; a counter that went back (an
//! interface that was made anew) gives no value.
//!
//! A value holds until the next sample, but no longer than the sample says that it speaks for: a daemon that could not
//! look fires for nothing that may have healed meanwhile. The first value after such a gap is taken before the deadlines
//! that passed in it. What cannot be measured is told once, keeps its alarm, and is not judged until it can be measured
//! again; what is not there any more has no alarm. The kernel time of samples stands still while the machine is
//! suspended, and so do the counters: a suspend is no gap and no burst.
//!
//! Lost records do not matter here, but for the number of processes.

mod bound;
mod evidence;
mod status;
mod tell;
#[cfg(test)]
mod tests;
mod values;

use std::collections::HashMap;
use std::sync::Arc;

use self::bound::HostState;
use self::values::Counters;
use super::Engine;
use super::raise::Told;
use super::restore::Standing;
use super::seen::SeenBound;
use super::track::Track;
use crate::model::Table;
use crate::policy::spec::{HostFacts, PolicySet};
use crate::record::{DiskSize, HostSample};
use crate::time::KTime;

pub use self::status::{HostBoundStatus, HostInstanceStatus};

/// All bounds on the host.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    /// In the order of the files.
    bounds: Vec<HostState>,
    counters: Counters,
    /// Sizes as they were at the last look, for evidence.
    sizes: HashMap<Arc<str>, DiskSize>,
    /// The last sample speaks for the time up to here.
    until: Option<KTime>,
}

/// What the engine knows beside the host's own figures.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around<'a> {
    pub(super) table: &'a Table<Track>,
    /// The table may be wrong.
    pub(super) in_doubt: bool,
}

impl Hosts {
    pub(super) fn new(policies: &PolicySet, host: &HostFacts) -> Self {
        Self { bounds: bound::all(policies, host), ..Self::default() }
    }

    /// The limits on another host, or on this one with other CPUs.
    pub(super) fn resolve_limits(&mut self, host: &HostFacts) {
        for bound in &mut self.bounds {
            bound.resolve_limit(host);
        }
    }

    /// Other policies: bounds that say the same keep their state, alarms that have no successor end.
    pub(super) fn reload(&mut self, now: KTime, policies: &PolicySet, host: &HostFacts, out: &mut Vec<Told>) {
        let mut bounds = bound::all(policies, host);
        for mut old in std::mem::take(&mut self.bounds) {
            match bounds.iter_mut().find(|new| new.may_inherit(&old)) {
                Some(heir) => heir.inherit(old),
                None => old.end_all(now, "policy removed", out),
            }
        }
        self.bounds = bounds;
    }

    /// An alarm of another daemon's is on again. False: there is no such bound.
    pub(super) fn stand(&mut self, alarm: &Standing, now: KTime) -> bool {
        let bound = self.bounds.iter_mut().find(|bound| bound.name == alarm.name);
        bound.map(|bound| bound.stand(alarm, now)).is_some()
    }

    /// A new sample.
    fn sample(&mut self, gate: KTime, sample: &HostSample, around: Around<'_>, out: &mut Vec<Told>) {
        let gap = self.until.is_some_and(|until| until < sample.at);
        if let Some(disks) = &sample.disks {
            self.sizes = disks.iter().filter_map(|disk| Some((Arc::clone(&disk.path), disk.size?))).collect();
        }
        let mut told = Vec::new();
        for bound in &mut self.bounds {
            if let Some(readings) = values::read(&bound.spec, sample, &self.counters, around) {
                bound.take(sample.at, readings, gap, gate, &mut told);
            }
        }
        self.counters = Counters::of(sample);
        self.until = sample.until;
        self.put_out(told, around, out);
    }

    /// What was seen of each bound.
    pub(super) fn seen(&self) -> impl Iterator<Item = SeenBound> {
        self.bounds.iter().map(HostState::seen)
    }

    /// When time alone changes something.
    pub(super) fn next(&self, gate: KTime) -> Option<KTime> {
        let next = self.bounds.iter().filter_map(|bound| bound.next(gate)).min();
        next.filter(|next| self.until.is_none_or(|until| *next <= until))
    }

    /// Acts on everything due up to `until`.
    fn advance(&mut self, until: KTime, gate: KTime, around: Around<'_>, out: &mut Vec<Told>) {
        if self.bounds.is_empty() {
            return;
        }
        let until = self.until.map_or(until, |known| known.min(until));
        let mut told = Vec::new();
        for bound in &mut self.bounds {
            bound.advance(until, gate, &mut told);
        }
        self.put_out(told, around, out);
    }
}

impl Engine {
    /// Judges the host by a new sample.
    pub(super) fn take_host_sample(&mut self, sample: &HostSample, out: &mut Vec<Told>) {
        let around = Around { table: &self.table, in_doubt: !self.is_judging() };
        self.hosts.sample(self.gate, sample, around, out);
    }

    /// Acts on everything due up to `until`.
    pub(super) fn advance_host(&mut self, until: KTime, out: &mut Vec<Told>) {
        let around = Around { table: &self.table, in_doubt: !self.is_judging() };
        self.hosts.advance(until, self.gate, around, out);
    }
}
