//! When a log speaks and when it is silent.
//!
//! Every line is told by exactly one `procprobe.log.matched`: by its own, or among the `count` of a later one. In a
//! second at most [`TOLD_MAX`] are told; the others count into the next, or into one at the second's end.
//!
//! With `quiet` the alarm that was told begins a silence. What would be told during it is withheld, but for alarms that
//! are more severe. At its end one event tells how many lines there were, and alarms that have begun meanwhile and still
//! last are told. While an alarm lasts and lines come, silence follows on silence, so that there is one event for each.

use std::time::Duration;

use super::super::held::Change;
use super::super::raise::Told;
use super::state::{Line, LogState};
use crate::event::Severity;
use crate::time::KTime;

/// Most lines of one log that are told by an event of their own in one second.
const TOLD_MAX: u32 = 3;
const SECOND: Duration = Duration::from_secs(1);

/// What was told lately, and what was not.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Telling {
    /// The beginning of the second that `told` is about.
    since: KTime,
    told: u32,
    /// Lines that no event has told yet.
    withheld: u64,
    silence: Option<Silence>,
}

#[derive(Clone, Copy, Debug)]
struct Silence {
    began: KTime,
    until: KTime,
    /// Of the alarm that began it.
    severity: Severity,
}

impl Telling {
    /// So many lines are to be told later.
    pub(super) fn withhold(&mut self, count: u64) {
        self.withheld = self.withheld.saturating_add(count);
    }

    /// Until when the log is silent.
    pub(super) fn quiet_until(&self) -> Option<KTime> {
        self.silence.map(|silence| silence.until)
    }

    /// An alarm of this severity is not told now.
    pub(super) fn silences(&self, at: KTime, severity: Severity) -> bool {
        self.silence.is_some_and(|silence| at < silence.until && severity <= silence.severity)
    }

    /// An alarm is told.
    pub(super) fn alarm(&mut self, at: KTime, severity: Severity, quiet: Option<Duration>) {
        if let Some(quiet) = quiet.filter(|quiet| !quiet.is_zero()) {
            let began = self.silence.map_or(at, |silence| silence.began);
            self.silence = Some(Silence { began, until: at.after(quiet), severity });
        }
    }

    /// When something withheld is to be told.
    pub(super) fn next(&self) -> Option<KTime> {
        match self.silence {
            Some(silence) => Some(silence.until),
            None => (self.withheld > 0).then(|| self.since.after(SECOND)),
        }
    }

    /// One more line may be told now: how many it then stands for.
    fn claim(&mut self, at: KTime) -> Option<u64> {
        if self.silence.is_some() {
            return None;
        }
        if at >= self.since.after(SECOND) {
            (self.since, self.told) = (at, 0);
        }
        if self.told == TOLD_MAX {
            return None;
        }
        self.told += 1;
        Some(std::mem::take(&mut self.withheld))
    }
}

impl LogState {
    /// Tells a line, or counts it.
    pub(super) fn tell_line(&mut self, at: KTime, line: &Line, out: &mut Vec<Told>) {
        self.telling.withhold(1);
        if let Some(count) = self.telling.claim(at) {
            out.push(Told::Event(self.matched(at, line, count, None)));
        }
    }

    /// Tells what was withheld until `at`, if that is over.
    pub(super) fn end_of_silence(&mut self, at: KTime, out: &mut Vec<Told>) {
        if self.telling.next().is_none_or(|next| next > at) {
            return;
        }
        let silence = self.telling.silence.take();
        let count = std::mem::take(&mut self.telling.withheld);
        (self.telling.since, self.telling.told) = (at, 1);
        if let Some(line) = self.last.back().filter(|_| count > 0) {
            let lasted = silence.map(|silence| at.since(silence.began));
            out.push(Told::Event(self.matched(at, line, count, lasted)));
        }
        if let Some(silence) = silence {
            self.tell_silenced(at, out);
            let lasts = self.bounds.iter().any(|bound| bound.told);
            if lasts && count > 0 && self.telling.silence.is_none() {
                self.telling.alarm(at, silence.severity, self.spec.quiet);
            }
        }
    }

    /// Tells all alarms that began while the log was silent and still last.
    fn tell_silenced(&mut self, at: KTime, out: &mut Vec<Told>) {
        let mut worst: Option<Silence> = None;
        for position in 0..self.bounds.len() {
            let silenced = self.bounds.get(position).filter(|bound| !bound.told).and_then(|bound| {
                Some(Change::Fired { at, since: bound.held.firing_since()?, value: bound.held.value()? })
            });
            let Some(fired) = silenced else { continue };
            self.telling.silence = None;
            self.turn(position, fired, out);
            worst = worst.into_iter().chain(self.telling.silence).max_by_key(|silence| silence.severity);
        }
        self.telling.silence = worst;
    }
}
