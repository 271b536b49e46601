//! The host itself: its measures from samples, and what must hold of them.

use super::raise::Told;
use crate::policy::spec::PolicySet;
use crate::record::HostSample;
use crate::time::KTime;

/// All bounds on the host.
#[derive(Debug, Default)]
pub(super) struct Hosts {}

impl Hosts {
    pub(super) fn new(_policies: &PolicySet) -> Self {
        Self::default()
    }

    /// A new sample.
    pub(super) fn sample(&mut self, _gate: KTime, _sample: &HostSample, _out: &mut Vec<Told>) {}

    /// When time alone changes something.
    pub(super) fn next(&self, _gate: KTime) -> Option<KTime> {
        None
    }

    /// Acts on everything due up to `until`.
    pub(super) fn advance(&mut self, _until: KTime, _gate: KTime, _out: &mut Vec<Told>) {}
}
