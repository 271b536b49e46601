//! The events of processes and policies: names, sentences and attributes as EVENTS.md fixes them.
//!
//! What processes bring along (comm, exe, arguments) is hostile and goes out cleaned and bounded; arguments only where
//! the settings allow it, and redacted.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use regex::Regex;
use serde_json::Value;

use super::evidence::{Evidence, end_of, program, put_exit};
use super::group::{BoundState, GroupState};
use super::raise::Raised;
use super::timers::Slot;
use super::track::{Track, Untold};
use super::{Effect, Engine, Processes, text};
use crate::event::{AlarmTurn, Attribute, Attributes, Event, Severity, clean, name};
use crate::model::Process;
use crate::policy::select::container_id;
use crate::policy::spec::{Measure, Side};
use crate::record::{Account, ProcessKey, Program};
use crate::time::KTime;

/// What stands for redacted text.
const REDACTED: &str = "[redacted]";

/// Longest command line in a sentence, in characters.
const COMMAND_MAX: usize = 160;

/// A number as JSON: whole ones without a point.
pub(super) fn number(value: f64) -> Value {
    /// Up to here every whole number is one float.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    if value.fract() != 0.0 || value.abs() > EXACT_MAX {
        return Value::from(value);
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole and within the range just checked")]
    let whole = value as i64;
    Value::from(whole)
}

/// The least that tells which process is meant.
pub(super) fn brief(process: &Process) -> Attributes {
    let mut attributes = Attributes::default();
    attributes.put("process.pid", process.key.tgid);
    attributes.put("process.executable.path", clean(&process.program.exe));
    attributes.put("process.executable.name", program(&process.program.exe, &process.identity.comm));
    attributes
}

/// What matches any of the patterns is replaced.
pub(super) fn redacted<'a>(text: &'a str, patterns: &[Regex]) -> Cow<'a, str> {
    let mut redacted = Cow::Borrowed(text);
    for pattern in patterns {
        if let Cow::Owned(replaced) = pattern.replace_all(&redacted, regex::NoExpand(REDACTED)) {
            redacted = Cow::Owned(replaced);
        }
    }
    redacted
}

pub(super) fn secs(duration: Duration) -> Value {
    number(duration.as_secs_f64())
}

/// Whom an action signals that is about a group: of too many processes the youngest ones that are too many, else every
/// member.
fn in_breach(group: &GroupState, bound: &BoundState) -> Vec<ProcessKey> {
    if group.response.act.is_empty() {
        return Vec::new();
    }
    let mut members = group.members.in_order();
    if bound.spec.measure == Measure::Count && bound.spec.side == Side::Max {
        members.sort_unstable_by_key(|key| std::cmp::Reverse((key.start, key.tgid)));
        let too_many = (members.len() as f64 - bound.rule.limit).ceil().max(0.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and the members there are"
        )]
        members.truncate(too_many as usize);
    }
    members
}

impl Engine {
    /// Tells a fork or the start of a program that is to be told and was not yet.
    pub(super) fn tell_start(&mut self, key: ProcessKey, effects: &mut Vec<Effect>) {
        if self.settings.processes == Processes::None {
            return;
        }
        let untold = self.table.both(key).filter(|(_, track)| track.untold != Untold::Nothing && self.is_told(track));
        let Some((process, track)) = untold else { return };
        let who = program(&process.program.exe, &process.identity.comm);
        let tgid = key.tgid;
        let (name, body) = if track.untold == Untold::Exec {
            (name::PROCESS_START, format!("{who} ({tgid}) started: {}", self.command(&process.program)))
        } else {
            let parent = process.identity.parent.map_or_else(|| "nobody".to_owned(), |parent| parent.tgid.to_string());
            (name::PROCESS_FORK, format!("{who} ({tgid}) forked by {parent}"))
        };
        if name == name::PROCESS_START || self.settings.forks {
            let attributes = self.describe(process, track);
            let at = process.program_since;
            effects.push(Effect::Emit(Event { name, severity: Severity::Info, at, body, attributes, alarm: None }));
        }
        if let Some(track) = self.table.beside_mut(key) {
            track.untold = Untold::Nothing;
        }
    }

    /// Tells the end of a process that belonged to a group once, or of every one.
    pub(super) fn tell_exit(&self, process: &Process, track: &Track, account: Account, effects: &mut Vec<Effect>) {
        let told = match self.settings.processes {
            Processes::All => true,
            Processes::Matched => track.ever,
            Processes::None => false,
        };
        let Some(exit) = process.exit.as_ref().filter(|_| told) else { return };
        let mut attributes = self.describe(process, track);
        put_exit(&mut attributes, exit);
        let uptime = exit.at.since(process.key.start);
        attributes.put("process.cpu.time", number(account.cpu_ns as f64 / 1e9));
        if !account.exact {
            attributes.put("process.cpu.exact", false);
        }
        if exit.peak_rss_bytes > 0 {
            attributes.put("process.memory.peak", exit.peak_rss_bytes);
        }
        attributes.put("process.uptime", secs(uptime));
        let who = program(&process.program.exe, &process.identity.comm);
        let body = format!("{who} ({}) {} after {}", process.key.tgid, end_of(exit), text::span(uptime));
        effects.push(Effect::Emit(Event {
            name: name::PROCESS_EXIT,
            severity: Severity::Info,
            at: exit.at,
            body,
            attributes,
            alarm: None,
        }));
    }

    /// The alarm of a slot's bound; `None` only for a slot that outlived its policy.
    pub(super) fn firing(&self, slot: Slot, at: KTime, since: KTime, value: f64, repeated: bool) -> Option<Raised> {
        let (group, bound) = self.bound(slot)?;
        let Evidence { clause, list } = match slot.key {
            None => self.evidence(group, bound, since, at),
            Some(_) => Evidence::default(),
        };
        let mut body = self.breach(slot, value)?;
        if let Some(clause) = clause {
            body.push_str("; ");
            body.push_str(&clause);
        }
        let mut attributes = self.policy_attributes(slot, value, since, at)?;
        attributes.put_attribute("evidence", Attribute::List(list));
        if repeated {
            attributes.put("repeated", true);
        }
        self.append_process(slot, &mut attributes);
        let event =
            Event { name: name::POLICY_FIRING, severity: bound.spec.severity, at, body, attributes, alarm: None };
        let turn = if repeated { AlarmTurn::Repeated } else { AlarmTurn::Fired };
        Some(Self::raised(group, bound, slot, turn, event))
    }

    /// The alarm of a slot, about the process itself or about all members.
    fn raised(group: &GroupState, bound: &BoundState, slot: Slot, turn: AlarmTurn, event: Event) -> Raised {
        let instance = slot.key.map(|key| Arc::from(key.tgid.to_string()));
        let targets = slot.key.map_or_else(|| in_breach(group, bound), |key| vec![key]);
        Raised::new(event, &bound.name, instance, turn, &group.response, targets)
    }

    /// The end of the alarm of a slot's bound. `reason` is told when it is not that the value is healthy again.
    pub(super) fn resolved(
        &self,
        slot: Slot,
        at: KTime,
        duration: Duration,
        reason: Option<&'static str>,
    ) -> Option<Raised> {
        let (group, bound) = self.bound(slot)?;
        let value = bound.judge(slot.key)?.machine.value().unwrap_or_default();
        let body = text::ending(&self.subject(slot)?, &self.breach(slot, value)?, duration, reason);
        let mut attributes = self.policy_attributes(slot, value, at.before(duration), at)?;
        attributes.put("duration", secs(duration));
        attributes.put_some("reason", reason);
        self.append_process(slot, &mut attributes);
        let event =
            Event { name: name::POLICY_RESOLVED, severity: bound.spec.severity, at, body, attributes, alarm: None };
        Some(Self::raised(group, bound, slot, AlarmTurn::Resolved, event))
    }

    /// `nginx`, or `nginx: worker (4211)` where a process is judged by itself.
    fn subject(&self, slot: Slot) -> Option<String> {
        let (group, _) = self.bound(slot)?;
        let process = slot.key.and_then(|key| self.here_or_gone(key));
        Some(match process {
            None => group.spec.name.to_string(),
            Some((process, _)) => {
                let who = program(&process.program.exe, &process.identity.comm);
                format!("{}: {who} ({})", group.spec.name, process.key.tgid)
            }
        })
    }

    fn breach(&self, slot: Slot, value: f64) -> Option<String> {
        let (_, bound) = self.bound(slot)?;
        let (spec, rule) = (&bound.spec, &bound.rule);
        let sentence = text::breach(spec.measure, spec.side, value, rule.limit, spec.within);
        Some(format!("{}: {sentence}", self.subject(slot)?))
    }

    fn policy_attributes(&self, slot: Slot, value: f64, since: KTime, at: KTime) -> Option<Attributes> {
        let (group, bound) = self.bound(slot)?;
        let spec = &bound.spec;
        let mut attributes = Attributes::default();
        attributes.put("policy.name", &*group.spec.name);
        attributes.put("policy.kind", "group");
        attributes.put("measure", spec.measure.as_str());
        attributes.put("bound", spec.side.as_str());
        attributes.put("limit", number(bound.rule.limit));
        attributes.put("value", number(value));
        attributes.put_attribute("since", Attribute::Time(since));
        attributes.put("degraded", self.is_degraded(slot, at));
        attributes.put("declared", &*spec.declared);
        if spec.measure.is_windowed() {
            attributes.put("within", secs(spec.within));
        }
        if spec.side == Side::Max || spec.clear.is_some() {
            attributes.put_some("clear", spec.clear.map(|_| number(bound.rule.clear)));
        }
        Some(attributes)
    }

    /// Whether what is told now may rest on less than what happened.
    pub(super) fn is_degraded(&self, slot: Slot, at: KTime) -> bool {
        let window = self.bound(slot).and_then(|(group, bound)| group.windows.get(bound.window?));
        self.reconciling || self.losses.in_doubt() || window.is_some_and(|counted| counted.window.is_lower_limit(at))
    }

    /// A process that is in the table, or has just left it.
    pub(super) fn here_or_gone(&self, key: ProcessKey) -> Option<(&Process, &Track)> {
        let gone = || self.gone.as_ref().filter(|gone| gone.key == key);
        self.table.both(key).or_else(|| gone().map(|gone| (&**gone, gone.beside())))
    }

    fn append_process(&self, slot: Slot, attributes: &mut Attributes) {
        let Some(key) = slot.key else { return };
        if let Some((process, track)) = self.here_or_gone(key) {
            attributes.0.extend(self.describe(process, track).0);
        }
    }

    /// The process's own attributes.
    pub(super) fn describe(&self, process: &Process, track: &Track) -> Attributes {
        let (identity, program) = (&process.identity, &process.program);
        // Room for these and for what an exit adds.
        let mut attributes = Attributes(Vec::with_capacity(24));
        attributes.put("process.pid", process.key.tgid);
        attributes.put_some("process.parent_pid", identity.parent.map(|parent| parent.tgid));
        attributes.put_attribute("process.creation.time", Attribute::BootTime(identity.start_boot_ns));
        attributes.put("process.executable.path", clean(&program.exe));
        attributes.put("process.executable.name", super::evidence::program(&program.exe, &identity.comm));
        attributes.put("process.command", clean(&identity.comm));
        self.put_args(&mut attributes, program);
        attributes.put("process.args_count", program.args_count);
        attributes.put_some("process.owner", self.users.0.get(&identity.uid).map(|name| clean(name)));
        attributes.put("process.user.id", identity.uid);
        if !process.cgroup.is_empty() {
            attributes.put("process.linux.cgroup", clean(&process.cgroup));
        }
        attributes.put_some("container.id", container_id(&process.cgroup));
        let groups = track.belongs.iter().filter_map(|group| self.groups.get(*group));
        let names = groups.filter(|group| group.job.is_none()).map(|group| &*group.spec.name);
        attributes.put("groups", names.collect::<Vec<_>>());
        attributes
    }

    /// The arguments, where they are told.
    pub(super) fn put_args(&self, attributes: &mut Attributes, program: &Program) {
        if self.settings.args {
            attributes.put("process.command_args", self.told_args(program).collect::<Vec<_>>());
        }
    }

    fn told_args<'a>(&'a self, program: &'a Program) -> impl Iterator<Item = String> + 'a {
        program.args_list().map(|arg| clean(&redacted(arg, &self.settings.redact)))
    }

    /// What runs, for a sentence: the command line, or the executable where arguments are not told or not known.
    pub(super) fn command(&self, program: &Program) -> String {
        if !self.settings.args || program.args.is_empty() {
            return clean(&program.exe);
        }
        let mut command = String::new();
        for arg in self.told_args(program) {
            if !command.is_empty() {
                command.push(' ');
            }
            command.push_str(&arg);
            if command.len() > COMMAND_MAX {
                break;
            }
        }
        if let Some((cut, _)) = command.char_indices().nth(COMMAND_MAX) {
            command.truncate(cut);
            command.push('…');
        }
        command
    }
}
