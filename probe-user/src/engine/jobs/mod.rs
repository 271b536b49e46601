//! Jobs: runs, scheduled times, and what must hold of them.

use super::raise::Told;
use crate::policy::spec::PolicySet;
use crate::time::{ClockReading, KTime};

/// All jobs.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    clock: Option<ClockReading>,
}

impl Jobs {
    pub(super) fn new(_policies: &PolicySet) -> Self {
        Self::default()
    }

    /// The wall clock was set, or is told for the first time.
    pub(super) fn set_clock(&mut self, clock: ClockReading, _out: &mut Vec<Told>) {
        self.clock = Some(clock);
    }

    /// When time alone changes something.
    pub(super) fn next(&self) -> Option<KTime> {
        None
    }

    /// Acts on everything due up to `until`.
    pub(super) fn advance(&mut self, _until: KTime, _gate: KTime, _out: &mut Vec<Told>) {}
}
