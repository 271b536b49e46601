//! Logs: matching lines counted within windows, and what must hold of them.

use super::raise::Told;
use crate::policy::spec::PolicySet;
use crate::record::LogLines;
use crate::time::KTime;

/// All logs.
#[derive(Debug, Default)]
pub(super) struct Logs {}

impl Logs {
    pub(super) fn new(_policies: &PolicySet, _began: KTime) -> Self {
        Self::default()
    }

    /// Lines that matched.
    pub(super) fn lines(&mut self, _now: KTime, _gate: KTime, _lines: &LogLines, _out: &mut Vec<Told>) {}

    /// When time alone changes something.
    pub(super) fn next(&self, _gate: KTime) -> Option<KTime> {
        None
    }

    /// Acts on everything due up to `until`.
    pub(super) fn advance(&mut self, _until: KTime, _gate: KTime, _out: &mut Vec<Told>) {}
}
