//! One log: what was counted of it, and the state of each of its bounds.

use std::collections::VecDeque;
use std::sync::Arc;

use regex::Regex;

use super::super::group::REPEAT_MIN;
use super::super::held::{Change, Held};
use super::super::judge::next_fall;
use super::super::raise::Told;
use super::super::reload::says_the_same;
use super::super::restore::Standing;
use super::super::seen::SeenBound;
use super::super::status::{BoundStatus, LogStatus, State, nearness};
use super::super::tell::redacted;
use super::quiet::Telling;
use super::tell::cut;
use crate::event::clean;
use crate::policy::alarms::bound_names;
use crate::policy::bound::{Phase, Rule};
use crate::policy::spec::{Bound, HostFacts, Log, Response, Side};
use crate::policy::window::Window;
use crate::record::LogLines;
use crate::time::KTime;

/// How many lines are kept as evidence.
const EVIDENCE_MAX: usize = 5;
/// How much of a line is kept and told, in bytes.
const LINE_MAX: usize = 1024;

/// One log.
#[derive(Debug)]
pub(super) struct LogState {
    pub(super) spec: Log,
    pub(super) response: Arc<Response>,
    pub(super) bounds: Vec<LogBound>,
    /// One for each length.
    windows: Vec<Window>,
    /// The last lines that matched, oldest first.
    pub(super) last: VecDeque<Line>,
    /// Lines that matched since the log is watched.
    total: u64,
    pub(super) telling: Telling,
}

/// One bound on `lines`.
#[derive(Debug)]
pub(super) struct LogBound {
    pub(super) spec: Bound,
    pub(super) name: Arc<str>,
    pub(super) held: Held,
    /// Index among the windows.
    window: usize,
    /// Its alarm was told and not yet that it is over.
    pub(super) told: bool,
    /// At a reload: the state of a bound that said the same has come here.
    taken_over: bool,
}

/// A line that matched, fit to be told.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) at: KTime,
    pub(super) path: Arc<str>,
    pub(super) keyword: String,
    pub(super) text: String,
}

impl LogState {
    pub(super) fn new(spec: &Log, host: &HostFacts, began: KTime) -> Self {
        let repeat = spec.response.repeat.map(|repeat| repeat.max(REPEAT_MIN));
        let mut windows: Vec<Window> = Vec::new();
        let names = bound_names(&spec.name, spec.bounds.iter());
        let bounds = spec.bounds.iter().zip(names).map(|(bound, name)| {
            let same = windows.iter().position(|window| window.within() == bound.within);
            let window = same.unwrap_or_else(|| {
                windows.push(Window::new(bound.within, began));
                windows.len() - 1
            });
            LogBound {
                spec: bound.clone(),
                name,
                held: Held::new(Rule::of(bound, host), repeat),
                window,
                told: false,
                taken_over: false,
            }
        });
        Self {
            bounds: bounds.collect(),
            response: Arc::new(spec.response.clone()),
            spec: spec.clone(),
            windows,
            last: VecDeque::new(),
            total: 0,
            telling: Telling::default(),
        }
    }

    pub(super) fn begin(&mut self, at: KTime) {
        self.windows.iter_mut().for_each(|window| window.begin(at));
    }

    /// The alarm of a bound was on before this engine was, and was told.
    pub(super) fn stand(&mut self, alarm: &Standing, now: KTime) -> bool {
        let Some(bound) = self.bounds.iter_mut().find(|bound| bound.name == alarm.name) else { return false };
        bound.held.stand(alarm, now);
        bound.told = true;
        true
    }

    /// Lines that matched.
    pub(super) fn take(&mut self, now: KTime, gate: KTime, lines: &LogLines, redact: &[Regex], out: &mut Vec<Told>) {
        let path: Arc<str> = clean(&lines.path).into();
        for line in &lines.first {
            let text = cut(&clean(&redacted(&line.text, redact)), LINE_MAX);
            let line = Line { at: now, path: Arc::clone(&path), keyword: clean(&line.keyword), text };
            if self.last.len() == EVIDENCE_MAX {
                self.last.pop_front();
            }
            self.last.push_back(line.clone());
            self.tell_line(now, &line, out);
        }
        let untold = lines.count.saturating_sub(u64::try_from(lines.first.len()).unwrap_or(u64::MAX));
        self.telling.withhold(untold);
        self.total = self.total.saturating_add(lines.count);
        self.windows.iter_mut().for_each(|window| window.add_many(now, lines.count));
        for bound in 0..self.bounds.len() {
            self.judge(bound, now, gate, out);
        }
    }

    /// What was seen of each bound.
    pub(super) fn seen(&self) -> impl Iterator<Item = SeenBound> {
        self.bounds.iter().map(|bound| SeenBound::of(&bound.name, &bound.spec, &bound.held))
    }

    /// When time alone changes something.
    pub(super) fn next(&self, now: KTime, gate: KTime) -> Option<KTime> {
        let bounds = self.bounds.iter().filter_map(|bound| self.next_of(bound, now, gate));
        bounds.chain(self.telling.next()).min()
    }

    /// Time has come to `at`, at which something is due.
    pub(super) fn pass(&mut self, at: KTime, gate: KTime, out: &mut Vec<Told>) {
        for bound in 0..self.bounds.len() {
            self.judge(bound, at, gate, out);
        }
        self.end_of_silence(at, out);
    }

    fn judge(&mut self, position: usize, at: KTime, gate: KTime, out: &mut Vec<Told>) {
        let Some(bound) = self.bounds.get_mut(position) else { return };
        let Some(window) = self.windows.get_mut(bound.window) else { return };
        window.expire(at);
        let value = window.count(at) as f64;
        let (gate, complete) = (gate_of(bound, window, gate), window.complete_at());
        // Too little in a window that was not watched as a whole proves nothing.
        let lacks = bound.spec.side == Side::Min && bound.held.rule().breached(value);
        let proves_nothing = (lacks || bound.held.needs_whole_window(value)) && at < complete;
        let changes = if proves_nothing {
            bound.held.advance(at, gate)
        } else {
            bound.held.refresh(value);
            bound.held.observe(at, value, gate)
        };
        for change in changes {
            self.turn(position, change, out);
        }
    }

    fn next_of(&self, bound: &LogBound, now: KTime, gate: KTime) -> Option<KTime> {
        let window = self.windows.get(bound.window)?;
        let falls = next_fall(window, bound.held.phase(), bound.held.rule(), now);
        let proof = Some(window.complete_at()).filter(|at| bound.held.is_standing() && *at > now);
        [bound.held.next(gate_of(bound, window, gate)), falls, proof].into_iter().flatten().min()
    }

    /// Gives what it knows to its successor; alarms that have none end.
    pub(super) fn hand_over(mut self, mut new: Option<&mut Self>, now: KTime, out: &mut Vec<Told>) {
        for position in 0..self.bounds.len() {
            let Some(old) = self.bounds.get(position) else { continue };
            let same = |other: &&mut LogBound| !other.taken_over && says_the_same(&other.spec, &old.spec);
            if let Some(heir) = new.as_mut().and_then(|new| new.bounds.iter_mut().find(same)) {
                let (rule, repeat) = (*heir.held.rule(), new.as_ref().and_then(|new| new.response.repeat));
                // The heir was found in the successor: it is looked for again, for that was asked for its repetition.
                if let Some(heir) = new.as_mut().and_then(|new| new.bounds.iter_mut().find(same)) {
                    heir.taken_over = true;
                    heir.told = old.told;
                    heir.held = old.held;
                    heir.held.set_rule(rule, repeat.map(|repeat| repeat.max(REPEAT_MIN)));
                }
            } else if old.told {
                let since = old.held.firing_since().unwrap_or(now);
                let raised = self.resolved(position, now, now.since(since), Some("policy removed"));
                out.extend(raised.map(Told::Alarm));
            }
        }
        let Some(new) = new else { return };
        let same_lines = new.spec.paths == self.spec.paths
            && new.spec.any == self.spec.any
            && new.spec.regex == self.spec.regex
            && new.spec.ignore == self.spec.ignore;
        for window in &mut new.windows {
            if let Some(old) = self.windows.iter_mut().find(|old| old.within() == window.within()) {
                std::mem::swap(window, old);
                if !same_lines {
                    window.begin(now);
                }
            }
        }
        (new.last, new.total, new.telling) = (self.last, self.total, self.telling);
    }

    pub(super) fn status(&self, now: KTime) -> LogStatus {
        let bounds = self.bounds.iter().filter_map(|bound| {
            let window = self.windows.get(bound.window)?;
            let (rule, value) = (bound.held.rule(), window.count(now) as f64);
            let since = match bound.held.phase() {
                Phase::Healthy => None,
                Phase::Pending { since, .. } | Phase::Firing { since } | Phase::Cooling { since, .. } => Some(since),
            };
            Some(BoundStatus {
                name: bound.name.to_string(),
                measure: bound.spec.measure.as_str(),
                bound: bound.spec.side.as_str(),
                severity: bound.spec.severity,
                limit: rule.limit,
                value: Some(value),
                state: State::of_phase(bound.held.phase()),
                since_seconds: since.map(|since| now.since(since).as_secs_f64()),
                nearness: nearness(rule, value),
                within_seconds: Some(window.within().as_secs_f64()),
                lower_limit: now < window.complete_at(),
                dips_healed: bound.held.dips(),
                processes: None,
            })
        });
        LogStatus {
            name: self.spec.name.to_string(),
            declared: self.spec.declared.to_string(),
            matched: self.total,
            quiet_seconds: self.telling.quiet_until().map(|until| until.since(now).as_secs_f64()),
            bounds: bounds.collect(),
        }
    }

    pub(super) fn turn(&mut self, position: usize, change: Change, out: &mut Vec<Told>) {
        let Some(bound) = self.bounds.get_mut(position) else { return };
        let severity = bound.spec.severity;
        let raised = match change {
            Change::Fired { at, .. } | Change::Repeated { at, .. } if self.telling.silences(at, severity) => None,
            Change::Fired { at, since, value } | Change::Repeated { at, since, value } => {
                let repeated = bound.told;
                bound.told = true;
                self.telling.alarm(at, severity, self.spec.quiet);
                self.firing(position, at, since, value, repeated)
            }
            Change::Resolved { at, duration, .. } => {
                if std::mem::take(&mut bound.told) {
                    self.resolved(position, at, duration, None)
                } else {
                    None
                }
            }
        };
        out.extend(raised.map(Told::Alarm));
    }
}

/// Nothing fires before; a lack not before a whole window was watched.
fn gate_of(bound: &LogBound, window: &Window, gate: KTime) -> KTime {
    if bound.spec.side == Side::Min { window.complete_at().max(gate) } else { gate }
}
