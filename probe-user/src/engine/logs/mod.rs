//! Logs: matching lines counted within windows, and what must hold of them.
//!
//! What a source has read comes as counts with the first few lines ([`LogLines`]). It is judged at the moment it comes,
//! whatever the process table is in doubt about: lines have nothing to do with it.
//!
//! A minimum is judged only over windows that were watched as a whole. After an alarm a log with `quiet` says nothing
//! but that the alarm is over, and what is worse than it, for so long; then how many lines there were ([`quiet`]).

mod quiet;
mod state;
mod tell;
#[cfg(test)]
mod tests;

use regex::Regex;

use super::raise::Told;
use super::restore::Standing;
use super::seen::SeenBound;
use super::status::LogStatus;
use crate::policy::spec::{HostFacts, PolicySet};
use crate::record::LogLines;
use crate::time::KTime;
use state::LogState;

/// All logs.
#[derive(Debug)]
pub(super) struct Logs {
    logs: Vec<LogState>,
    /// How far time has come here.
    clock: KTime,
}

impl Logs {
    pub(super) fn new(policies: &PolicySet, host: &HostFacts, began: KTime) -> Self {
        Self { logs: policies.logs.iter().map(|log| LogState::new(log, host, began)).collect(), clock: began }
    }

    /// Lines are watched from here on.
    pub(super) fn begin(&mut self, at: KTime) {
        self.clock = self.clock.max(at);
        self.logs.iter_mut().for_each(|log| log.begin(at));
    }

    /// An alarm of another daemon's is on again. False: there is no such bound.
    pub(super) fn stand(&mut self, alarm: &Standing, now: KTime) -> bool {
        self.logs.iter_mut().any(|log| log.stand(alarm, now))
    }

    /// Lines that matched; what `redact` matches in them is not told. Those of a log that is gone change nothing.
    pub(super) fn lines(&mut self, now: KTime, gate: KTime, lines: &LogLines, redact: &[Regex], out: &mut Vec<Told>) {
        let now = now.max(self.clock);
        self.advance(now, gate, out);
        if let Some(log) = self.logs.iter_mut().find(|log| log.spec.name == lines.log) {
            log.take(now, gate, lines, redact, out);
        }
    }

    /// What was seen of each bound.
    pub(super) fn seen(&self) -> impl Iterator<Item = SeenBound> {
        self.logs.iter().flat_map(LogState::seen)
    }

    /// When time alone changes something.
    pub(super) fn next(&self, gate: KTime) -> Option<KTime> {
        self.logs.iter().filter_map(|log| log.next(self.clock, gate)).min()
    }

    /// Acts on everything due up to `until`, in the order of its moments.
    pub(super) fn advance(&mut self, until: KTime, gate: KTime, out: &mut Vec<Told>) {
        while let Some(at) = self.next(gate).filter(|at| *at <= until) {
            let clock = self.clock;
            for log in &mut self.logs {
                if log.next(clock, gate).is_some_and(|next| next <= at) {
                    log.pass(at, gate, out);
                }
            }
            self.clock = clock.max(at);
            // Each moment is moved on by being acted on; should one stay, it must not be taken for ever.
            if self.next(gate).is_some_and(|next| next <= at) {
                break;
            }
        }
        self.clock = self.clock.max(until);
    }

    /// Nothing comes any more: what was withheld is told.
    pub(super) fn close(&mut self, now: KTime, out: &mut Vec<Told>) {
        let now = now.max(self.clock);
        self.logs.iter_mut().for_each(|log| log.tell_withheld(now, out));
    }

    /// Other policies: a bound of the same log that says the same keeps its state, an alarm without one ends.
    pub(super) fn reload(&mut self, policies: &PolicySet, host: &HostFacts, now: KTime, out: &mut Vec<Told>) {
        let now = now.max(self.clock);
        let old = std::mem::take(&mut self.logs);
        self.logs = policies.logs.iter().map(|log| LogState::new(log, host, now)).collect();
        for old in old {
            let new = self.logs.iter_mut().find(|new| new.spec.name == old.spec.name);
            old.hand_over(new, now, out);
        }
    }

    /// How they stand.
    pub(super) fn status(&self, now: KTime) -> Vec<LogStatus> {
        self.logs.iter().map(|log| log.status(now)).collect()
    }
}
