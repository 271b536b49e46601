//! What has been told so far, held against what was expected.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::report::step_text;
use super::{Failure, Moment};
use crate::engine::Order;
use crate::event::{AlarmTurn, Event, clean, name};
use crate::policy::spec::{ActionKind, AlarmName, Expectation, Happening};
use crate::time::KTime;

/// Most lines of a timeline.
const TIMELINE_MAX: usize = 20;

/// An alarm that is on: its name and of what.
type On = (Arc<str>, Option<Arc<str>>);

/// Everything told, and the failures so far.
#[derive(Debug)]
pub(super) struct Judge {
    begin: KTime,
    firing: BTreeSet<On>,
    /// Since the last expectation.
    resolved: BTreeSet<On>,
    events: Vec<Arc<str>>,
    actions: Vec<Arc<str>>,
    timeline: VecDeque<Moment>,
    failures: Vec<Failure>,
}

impl Judge {
    pub(super) fn new(begin: KTime) -> Self {
        Self {
            begin,
            firing: BTreeSet::new(),
            resolved: BTreeSet::new(),
            events: Vec::new(),
            actions: Vec::new(),
            timeline: VecDeque::new(),
            failures: Vec::new(),
        }
    }

    pub(super) fn failures(self) -> Vec<Failure> {
        self.failures
    }

    /// A step of the test.
    pub(super) fn step(&mut self, now: KTime, what: &Happening) {
        self.note(now, format!("step      {}", step_text(what)));
    }

    /// An event of the engine.
    pub(super) fn told(&mut self, event: &Event) {
        let short = event.name.trim_start_matches("procprobe.");
        let mut label = short;
        if let Some(alarm) = event.alarm.as_deref() {
            let on = (Arc::clone(&alarm.name), alarm.instance.clone());
            label = match alarm.turn {
                AlarmTurn::Fired => "firing",
                AlarmTurn::Repeated => "repeated",
                AlarmTurn::Resolved => "resolved",
            };
            match alarm.turn {
                AlarmTurn::Fired => {
                    self.firing.insert(on);
                }
                AlarmTurn::Resolved => {
                    self.firing.remove(&on);
                    self.resolved.insert(on);
                }
                AlarmTurn::Repeated => {}
            }
            self.note(event.at, format!("{label:<9} {}  {}", alarm.name, event.body));
            return;
        }
        if short.starts_with("job.") || event.name == name::LOG_MATCHED || event.name == name::AGENT_LOST {
            self.events.push(Arc::from(short));
        }
        self.note(event.at, format!("{label:<9} {}", event.body));
    }

    /// An action that the daemon would take.
    pub(super) fn ordered(&mut self, now: KTime, order: &Order) {
        self.actions.push(Arc::clone(&order.action.name));
        let how = match order.action.kind {
            ActionKind::Run { .. } => "runs",
            ActionKind::Signal { .. } => "signals",
        };
        self.note(now, format!("action    {} {how}", order.action.name));
    }

    /// Holds an expectation against what was told.
    pub(super) fn hold(&mut self, expected: &Expectation) {
        let failed = self.failures.len();
        if let Some(firing) = &expected.firing {
            let seen = std::mem::take(&mut self.firing);
            self.hold_alarms("firing", expected, firing, &seen);
            self.firing = seen;
        }
        let resolved = std::mem::take(&mut self.resolved);
        if let Some(wanted) = &expected.resolved {
            self.hold_alarms("resolved", expected, wanted, &resolved);
        }
        let events = std::mem::take(&mut self.events);
        if let Some(wanted) = expected.events.as_ref().filter(|wanted| **wanted != events) {
            self.fail("events", expected, texts(wanted), texts(&events));
        }
        let actions = std::mem::take(&mut self.actions);
        if let Some(wanted) = expected.actions.as_ref().filter(|wanted| **wanted != actions) {
            self.fail("actions", expected, texts(wanted), texts(&actions));
        }
        // One timeline for all of this moment.
        if let Some(first) = self.failures.get_mut(failed) {
            first.timeline = self.timeline.iter().cloned().collect();
        }
    }

    /// Each alarm that is named must be there, and each that is there must be named.
    fn hold_alarms(&mut self, what: &'static str, at: &Expectation, wanted: &[AlarmName], seen: &BTreeSet<On>) {
        let is = |wanted: &AlarmName, (name, instance): &On| {
            wanted.name == *name && (wanted.instance.is_none() || wanted.instance == *instance)
        };
        let missing = wanted.iter().any(|wanted| !seen.iter().any(|on| is(wanted, on)));
        let excess = seen.iter().any(|on| !wanted.iter().any(|wanted| is(wanted, on)));
        if missing || excess {
            let text = |name: &str, instance: Option<&str>| match instance {
                Some(instance) => format!("{name} {}", clean(instance)),
                None => name.to_owned(),
            };
            let wanted = wanted.iter().map(|wanted| text(&wanted.name, wanted.instance.as_deref())).collect();
            let seen = seen.iter().map(|(name, instance)| text(name, instance.as_deref())).collect();
            self.fail(what, at, wanted, seen);
        }
    }

    fn fail(&mut self, what: &'static str, at: &Expectation, expected: Vec<String>, seen: Vec<String>) {
        let declared = Arc::clone(&at.declared);
        self.failures.push(Failure { at: at.at, declared, what, expected, seen, timeline: Vec::new() });
    }

    fn note(&mut self, at: KTime, text: String) {
        if self.timeline.len() == TIMELINE_MAX {
            self.timeline.pop_front();
        }
        self.timeline.push_back(Moment { at: self.after(at), text });
    }

    fn after(&self, at: KTime) -> Duration {
        at.since(self.begin)
    }
}

fn texts(names: &[Arc<str>]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}
