//! What another daemon knew: the processes of its table, and the alarms that were on.
//!
//! Nothing is judged until the first scan, so that records which are older than it are taken in and told, but nothing fires
//! for what has healed meanwhile. An alarm that was on is on again, with its beginning, before anything is judged: where it
//! still holds nobody is told twice, and where it does not its end is told, by the first value that proves it. Of a count
//! within a window that takes a whole window; of a process, of a run and of a policy that is no more nothing has to be
//! proved.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::raise::{Raised, Told};
use super::timers::Slot;
use super::track::{Source, Untold};
use super::{Effect, Engine, text};
use crate::event::{AlarmTurn, Attribute, Attributes, Event, Severity, name};
use crate::model::Known;
use crate::policy::spec::Response;
use crate::record::ProcessKey;
use crate::time::KTime;

/// Facts of an alarm that are told again when its policy is gone.
pub(crate) const KEPT: [&str; 7] = ["policy.name", "policy.kind", "measure", "bound", "limit", "declared", "within"];

/// An alarm that is on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Of the bound.
    pub name: Arc<str>,
    /// What of its set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<Arc<str>>,
    /// Since when its breach lasts, CLOCK_MONOTONIC ns.
    pub since: u64,
    /// The value that it was told with last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Somebody is to be told of it, beside the events.
    #[serde(default)]
    pub notified: bool,
    /// How bad it is.
    pub severity: String,
    /// What of its event is told again where the policy is gone.
    pub facts: Map<String, Value>,
}

/// What another daemon knew.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Restored {
    /// Its table.
    pub table: Option<KnownTable>,
    /// Alarms that were on.
    pub alarms: Vec<Standing>,
}

/// What another daemon knew of the host's processes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KnownTable {
    /// When the first of these daemons first looked.
    pub seeded: KTime,
    /// Since when the programs tell that are attached now: accounts lack the threads that were gone by then.
    pub programs_since: KTime,
    /// Those alive.
    pub processes: Vec<Known>,
    /// Paths of cgroups by id.
    pub cgroups: Vec<(u64, Arc<str>)>,
}

impl Engine {
    /// To be called before anything else.
    pub(super) fn restore(&mut self, now: KTime, restored: Restored, effects: &mut Vec<Effect>) {
        self.standing = restored.alarms;
        let Some(table) = restored.table else { return };
        let mut changes = Vec::new();
        self.table.restore((table.seeded, table.programs_since), &table.cgroups, &table.processes, &mut changes);
        self.apply(&mut changes, &Source::Scan, now, effects);
        for known in &table.processes {
            self.restore_track(known, now, effects);
        }
    }

    fn restore_track(&mut self, known: &Known, now: KTime, effects: &mut Vec<Effect>) {
        let key = known.key();
        let groups = &self.groups;
        let descends =
            |name: &Arc<str>| groups.iter().position(|group| group.spec.name == *name && group.spec.include_children);
        let Some(track) = self.table.beside_mut(key) else { return };
        track.start_seen |= known.seen;
        track.untold = match known.untold {
            1 => Untold::Fork,
            2 => Untold::Exec,
            _ => Untold::Nothing,
        };
        let before = track.descends.len();
        for group in known.descends.iter().filter_map(descends) {
            if let Err(place) = track.descends.binary_search(&group) {
                track.descends.insert(place, group);
            }
        }
        if track.descends.len() > before {
            self.evaluate(key, super::track::Cause::Found, now, effects);
        }
    }

    /// What the next daemon needs to know of a process.
    pub fn known(&self, key: ProcessKey) -> Option<Known> {
        let mut known = self.table.known(key)?;
        if let Some(track) = self.table.beside(key) {
            known.untold = match track.untold {
                Untold::Nothing => 0,
                Untold::Fork => 1,
                Untold::Exec => 2,
            };
            known.seen = track.start_seen;
            let groups = track.descends.iter().filter_map(|group| self.groups.get(*group));
            known.descends = groups.map(|group| Arc::clone(&group.spec.name)).collect();
        }
        Some(known)
    }

    /// Puts the alarms of another daemon back on, at the first scan.
    pub(super) fn stand(&mut self, now: KTime, effects: &mut Vec<Effect>) {
        for alarm in std::mem::take(&mut self.standing) {
            if let Some(reason) = self.stand_again(&alarm, now) {
                self.tell([ended(&alarm, now, reason)], effects);
            }
        }
    }

    /// `None`: it is on again. Otherwise why it is over.
    fn stand_again(&mut self, alarm: &Standing, now: KTime) -> Option<&'static str> {
        let since = KTime(alarm.since);
        let place =
            self.groups.iter().enumerate().filter(|(_, group)| group.job.is_none()).find_map(|(group, state)| {
                let bound = state.bounds.iter().position(|bound| bound.name == alarm.name)?;
                Some((group, bound))
            });
        let Some((group, bound)) = place else {
            let on = self.hosts.stand(alarm, now)
                || self.logs.stand(alarm, now)
                || self.peers.stand(alarm, now)
                || self.jobs.stand(alarm, now);
            return (!on).then_some(if alarm.instance.is_some() { "exit" } else { "policy removed" });
        };
        let key = match &alarm.instance {
            None => None,
            // A process that has the number now and is younger than the alarm is another one.
            Some(pid) => {
                let process = pid.parse().ok().and_then(|pid| self.table.of_tgid(pid));
                let key = process.filter(|process| process.exit.is_none()).map(|process| process.key);
                let Some(key) = key.filter(|key| key.start <= since) else { return Some("exit") };
                if !self.groups.get(group).is_some_and(|group| group.members.contains(key)) {
                    return Some("left the group");
                }
                Some(key)
            }
        };
        let state = self.groups.get_mut(group)?;
        let repeat = state.repeat();
        let bound_state = state.bounds.get_mut(bound)?;
        if key.is_some() != bound_state.is_per_process() {
            return Some("policy changed");
        }
        let judge = match key {
            None => &mut bound_state.whole,
            Some(key) => bound_state.each.entry(key).or_default(),
        };
        judge.machine.stand(since, alarm.value);
        judge.repeat_at = repeat.map(|repeat| now.after(repeat));
        self.arm(Slot { group, bound, key }, now);
        None
    }
}

/// The end of an alarm whose policy cannot tell it.
fn ended(alarm: &Standing, now: KTime, reason: &'static str) -> Told {
    let since = KTime(alarm.since);
    let mut attributes = Attributes::default();
    for kept in KEPT {
        attributes.put_some(kept, alarm.facts.get(kept).cloned());
    }
    attributes.put_attribute("since", Attribute::Time(since));
    let duration: Duration = now.since(since);
    attributes.put("degraded", false).put("duration", super::tell::secs(duration)).put("reason", reason);
    let policy = alarm.facts.get("policy.name").and_then(Value::as_str).unwrap_or(&alarm.name);
    let body = format!("{policy}: {} is over after {}: {reason}", alarm.name, text::span(duration));
    let severity = Severity::named(&alarm.severity).unwrap_or_default();
    let event = Event { name: name::POLICY_RESOLVED, severity, at: now, body, attributes, alarm: None };
    let (response, instance) = (Arc::new(Response::default()), alarm.instance.clone());
    Told::Alarm(Raised::new(event, &alarm.name, instance, AlarmTurn::Resolved, &response, Vec::new()))
}
