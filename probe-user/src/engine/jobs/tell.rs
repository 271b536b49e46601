//! The events of jobs: their sentences, facts and evidence.

use std::sync::Arc;

use super::alarm::{Alarm, Demand, Kind};
use super::run::Outcome;
use super::slots::Slot;
use super::{Ended, JobState, Moment, Run};
use crate::engine::evidence::{end_of, put_exit};
use crate::engine::held::Change;
use crate::engine::raise::Raised;
use crate::engine::tell::{number, secs};
use crate::engine::text;
use crate::event::{AlarmTurn, Attribute, Attributes, Event, Severity, name};
use crate::policy::spec::{Measure, Side};
use crate::record::ProcessKey;
use crate::time::{KTime, Wall};

/// Most runs in an alarm's evidence.
const RUNS_MAX: usize = 5;

/// Of a run's facts those that tell which process is meant.
pub(super) fn brief_of(run: &Run) -> Attributes {
    let names = ["process.pid", "process.executable.path", "process.executable.name"];
    let facts = run.root_facts.0.iter().filter(|(name, _)| names.contains(name));
    Attributes(facts.cloned().collect())
}

impl JobState {
    /// A run has started.
    pub(super) fn started(&self, root: ProcessKey) -> Option<Event> {
        let run = self.runs.get(&root)?;
        let body = format!("{} started: {} ({})", self.spec.name, run.command, root.tgid);
        Some(self.fact(name::JOB_STARTED, run.start, body, run.scheduled, &run.root_facts))
    }

    /// A run has started while another one goes on.
    pub(super) fn overlapped(&self, root: ProcessKey) -> Option<Event> {
        let run = self.runs.get(&root)?;
        let others = self.running().len().saturating_sub(1);
        let body = format!(
            "{}: {} started while {}",
            self.spec.name,
            run.who,
            if others == 1 { "another run goes on".to_owned() } else { format!("{others} other runs go on") },
        );
        let mut event = self.fact(name::JOB_OVERLAPPED, run.start, body, run.scheduled, &run.root_facts);
        event.severity = Severity::Warning;
        event.attributes.put("job.running", others + 1);
        Some(event)
    }

    /// A run goes on for longer than an alarm allows.
    pub(super) fn overran(&self, root: ProcessKey, alarm: usize, at: KTime) -> Option<Event> {
        let (run, alarm) = (self.runs.get(&root)?, self.alarms.get(alarm)?);
        let body = format!("{}: {}", self.spec.name, too_long(&run.who, alarm));
        let mut event = self.fact(name::JOB_OVERRAN, at, body, run.scheduled, &run.root_facts);
        event.severity = Severity::Warning;
        event.attributes.put("duration", secs(at.since(run.start)));
        Some(event)
    }

    /// Too few runs have started in time.
    pub(super) fn missed_event(&self, slot: &Slot, moment: Moment) -> Event {
        let body = format!("{} missed its time: {}", self.spec.name, self.in_time(slot.in_time as f64, slot.time));
        let mut event = self.fact(name::JOB_MISSED, moment.at, body, Some(slot.time), &Attributes::default());
        event.severity = Severity::Warning;
        event.attributes.put("runs", slot.in_time);
        event
    }

    /// A run has ended; one whose end was lost is not told of, for nobody knows how it was.
    pub(super) fn ended(&self, run: &Run, ended: &Ended) -> Option<Event> {
        let (name, severity) = match ended.outcome {
            Outcome::Succeeded => (name::JOB_SUCCEEDED, Severity::Info),
            Outcome::Failed => (name::JOB_FAILED, Severity::Warning),
            Outcome::Unknown => return None,
        };
        let body = format!("{} {}: {}", self.spec.name, ended.outcome.as_str(), ended.says());
        let mut event = self.fact(name, ended.exit.at, body, ended.scheduled, &run.root_facts);
        event.severity = severity;
        ended.put_figures(&mut event.attributes);
        Some(event)
    }

    fn fact(
        &self,
        name: &'static str,
        at: KTime,
        body: String,
        scheduled: Option<Wall>,
        process: &Attributes,
    ) -> Event {
        let mut attributes = Attributes::default();
        attributes.put("job.name", &*self.spec.name);
        self.put_scheduled(&mut attributes, scheduled);
        attributes.0.extend(process.0.iter().cloned());
        Event { name, severity: Severity::Info, at, body, attributes, alarm: None }
    }

    fn put_scheduled(&self, attributes: &mut Attributes, scheduled: Option<Wall>) {
        if let (Some(time), Some(schedule)) = (scheduled, &self.spec.schedule) {
            attributes.put("job.scheduled_time", time.rfc3339());
            attributes.put("job.timezone", schedule.zone());
        }
    }

    /// An alarm that turned. `reason` is told when it did not end because all is well again.
    pub(super) fn raised(
        &self,
        index: usize,
        run: Option<ProcessKey>,
        change: Change,
        reason: Option<&'static str>,
        moment: Moment,
    ) -> Option<Raised> {
        let alarm = self.alarms.get(index)?;
        let of_run = run.and_then(|root| self.runs.get(&root));
        let (turn, at, since, value) = match change {
            Change::Fired { at, since, value } => (AlarmTurn::Fired, at, since, value),
            Change::Repeated { at, since, value } => (AlarmTurn::Repeated, at, since, value),
            Change::Resolved { at, duration, value } => (AlarmTurn::Resolved, at, at.before(duration), value),
        };
        // How long a run has been going on is known at any time.
        let value = of_run.map_or(value, |run| at.since(run.start).as_secs_f64());
        let mut body = match (turn, alarm.kind(), reason) {
            // A run that came late is none that came in time.
            (AlarmTurn::Resolved, Kind::InTime, None) => format!("{} runs again", self.spec.name),
            _ => format!("{}: {}", self.spec.name, self.breach(alarm, run, value)),
        };
        let lasted = text::span(at.since(since));
        match (turn, reason) {
            (AlarmTurn::Resolved, None) => body = format!("{body}; healthy again after {lasted}"),
            (AlarmTurn::Resolved, Some(reason)) => body = format!("{body}; over after {lasted}: {reason}"),
            _ => {}
        }
        let mut attributes = Attributes::default();
        attributes.put("policy.name", &*self.spec.name);
        attributes.put("policy.kind", "job");
        attributes.put("measure", alarm.measure());
        attributes.put("bound", alarm.held.rule().side.as_str());
        attributes.put("limit", number(alarm.held.rule().limit));
        attributes.put("value", number(value));
        attributes.put_attribute("since", Attribute::Time(since));
        let lower_limit = alarm.window.as_ref().is_some_and(|window| window.is_lower_limit(at));
        attributes.put("degraded", moment.degraded || lower_limit);
        attributes.put("declared", &*alarm.declared);
        if let Some(window) = &alarm.window {
            attributes.put("within", secs(window.within()));
        }
        self.put_scheduled(&mut attributes, self.scheduled_of(alarm, of_run));
        if turn == AlarmTurn::Resolved {
            attributes.put("duration", secs(at.since(since)));
            attributes.put_some("reason", reason);
        } else {
            attributes.put_attribute("evidence", Attribute::List(self.evidence(alarm)));
        }
        if turn == AlarmTurn::Repeated {
            attributes.put("repeated", true);
        }
        if let Some(run) = of_run {
            attributes.0.extend(run.root_facts.0.iter().cloned());
        }
        let name = if turn == AlarmTurn::Resolved { name::POLICY_RESOLVED } else { name::POLICY_FIRING };
        let event = Event { name, severity: alarm.severity(), at, body, attributes, alarm: None };
        let instance = run.map(|root| Arc::from(root.tgid.to_string()));
        Some(Raised::new(event, &alarm.name, instance, turn, &self.response, self.targets(alarm, run)))
    }

    /// What is wrong, or was.
    fn breach(&self, alarm: &Alarm, run: Option<ProcessKey>, value: f64) -> String {
        let rule = alarm.held.rule();
        let measured = |measure| text::breach(measure, rule.side, value, rule.limit, std::time::Duration::ZERO);
        match alarm.kind() {
            Kind::InTime => match self.judged {
                Some(slot) => format!("{}, minimum {}", self.in_time(value, slot.time), number(rule.limit)),
                None => measured(Measure::Runs),
            },
            Kind::PerTime => match self.slots.as_ref().and_then(super::Slots::current) {
                Some(slot) => format!("{} for {}", measured(Measure::Runs), self.shown(slot.time)),
                None => measured(Measure::Runs),
            },
            Kind::Within => {
                let within = alarm.window.as_ref().map(crate::policy::window::Window::within).unwrap_or_default();
                format!("{} within {}", measured(Measure::Runs), text::span(within))
            }
            Kind::Longest => {
                let who = run.map(|root| match self.runs.get(&root) {
                    Some(run) => run.who.clone(),
                    None => root.tgid.to_string(),
                });
                too_long(&who.unwrap_or_default(), alarm)
            }
            Kind::Shortest => {
                let took = text::amount(Measure::Duration, value, 0);
                let who = self.last.as_ref().map_or("a run", |last| &last.who);
                format!("{who} took {took}, minimum {}", text::amount(Measure::Duration, rule.limit, 0))
            }
            Kind::Success => {
                self.last.as_ref().map_or_else(String::new, |last| format!("{} {}", last.outcome.as_str(), last.says()))
            }
            Kind::Alone => format!("{} at once", measured(Measure::Runs)),
        }
    }

    /// `0 runs for 2026-11-22T02:00:00+09:00[Asia/Seoul] within 15m`.
    fn in_time(&self, runs: f64, time: Wall) -> String {
        let runs = number(runs);
        let word = if runs == 1 { "run" } else { "runs" };
        format!("{runs} {word} for {} within {}", self.shown(time), text::span(self.spec.start_within))
    }

    fn shown(&self, time: Wall) -> String {
        self.spec.schedule.as_ref().map_or_else(|| time.rfc3339(), |schedule| schedule.shown(time))
    }

    fn scheduled_of(&self, alarm: &Alarm, run: Option<&Run>) -> Option<Wall> {
        match alarm.kind() {
            Kind::InTime => self.judged.map(|slot| slot.time),
            Kind::PerTime => self.slots.as_ref()?.current().map(|slot| slot.time),
            Kind::Longest => run?.scheduled,
            Kind::Shortest | Kind::Success => self.last.as_ref()?.scheduled,
            Kind::Within | Kind::Alone => None,
        }
    }

    /// Runs that go on where it is about these, the last end where it is about ends.
    fn evidence(&self, alarm: &Alarm) -> Vec<Attributes> {
        match alarm.kind() {
            Kind::InTime | Kind::Shortest | Kind::Success => {
                let last = self.last.iter().map(|last| {
                    let mut attributes = last.brief.clone();
                    last.put_figures(&mut attributes);
                    attributes.put_attribute("time", Attribute::Time(last.exit.at));
                    attributes
                });
                last.collect()
            }
            // The process's own attributes tell all.
            Kind::Longest => Vec::new(),
            Kind::PerTime | Kind::Within | Kind::Alone => {
                let running = self.running().into_iter().rev().take(RUNS_MAX).map(|run| {
                    let mut attributes = brief_of(run);
                    attributes.put_attribute("time", Attribute::Time(run.start));
                    attributes
                });
                running.collect()
            }
        }
    }

    /// The processes in breach: a run that takes too long with all its tree, and of too many runs all but the first.
    fn targets(&self, alarm: &Alarm, run: Option<ProcessKey>) -> Vec<ProcessKey> {
        let tree = |run: &&Run| run.living.iter().copied().collect::<Vec<_>>();
        match alarm.kind() {
            Kind::Longest => run.and_then(|root| self.runs.get(&root)).map(|run| tree(&run)).unwrap_or_default(),
            Kind::PerTime | Kind::Within if alarm.held.rule().side == Side::Max => {
                self.running().iter().rev().take(1).flat_map(tree).collect()
            }
            Kind::Alone => self.running().iter().skip(1).flat_map(tree).collect(),
            Kind::PerTime | Kind::Within | Kind::InTime | Kind::Shortest | Kind::Success => Vec::new(),
        }
    }
}

impl Ended {
    /// `sh (4211) exited with code 3 after 2m 5s; 3 processes, 1.2 s of CPU`.
    pub(super) fn says(&self) -> String {
        let used = &self.used;
        let processes =
            if used.processes == 1 { "1 process".to_owned() } else { format!("{} processes", used.processes) };
        format!(
            "{} {} after {}; {processes}, {:.2} s of CPU",
            self.who,
            end_of(&self.exit),
            text::span(self.duration),
            used.cpu_ns as f64 / 1e9,
        )
    }

    fn put_figures(&self, attributes: &mut Attributes) {
        put_exit(attributes, &self.exit);
        attributes.put("duration", secs(self.duration));
        attributes.put("process.cpu.time", number(self.used.cpu_ns as f64 / 1e9));
        if self.used.incomplete || self.left > 0 {
            attributes.put("process.cpu.exact", false);
        }
        if self.used.peak_rss_bytes > 0 {
            attributes.put("process.memory.peak", self.used.peak_rss_bytes);
        }
        attributes.put("job.processes", self.used.processes);
        if self.left > 0 {
            attributes.put("job.processes_left", self.left);
        }
    }
}

fn too_long(who: &str, alarm: &Alarm) -> String {
    let limit = match &alarm.demand {
        Demand::Bound(_) => alarm.held.rule().limit,
        Demand::Success(_) | Demand::Alone => 0.0,
    };
    format!("{who} still runs after its maximum of {}", text::amount(Measure::Duration, limit, 0))
}
