//! What is done about alarms: which action an alarm leads to, and what became of it.
//!
//! When an alarm begins, each action that its policy names is decided on, in the order of the file. What is not done is
//! told as `procprobe.action.skipped` with the reason, the first of these that applies:
//! - `degraded`: the alarm rests on a table that was in doubt, or says so of itself;
//! - `no target`: a signal would reach nobody. pid 1, the daemon with its helper, and kernel threads are never signalled;
//! - `observe`: the policy only watches;
//! - `limit`: it ran `max_runs` times already. The runs are remembered over a reload, not over a restart;
//! - `running`: its last run has not ended (an action that signals may be under way for several alarms at once);
//! - `busy`: [`UNDER_WAY_MAX`] actions are under way.
//!
//! An alarm leads to each action once, however long it lasts. Only what was skipped for one of the passing reasons
//! (all but `observe`) is tried again when the alarm is repeated.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;

use super::status::ActionStatus;
use super::{Effect, Engine, Order, Target, text};
use crate::event::{Alarm, AlarmTurn, Attributes, Event, Severity, clean, clean_end, name};
use crate::policy::spec::{Action, ActionKind, Mode, Rate, Response, User};
use crate::record::{Acted, ExitStatus, Outcome, ProcessKey};
use crate::signal;
use crate::time::KTime;

/// Most actions under way at a time.
const UNDER_WAY_MAX: usize = 16;

/// Most alarms whose actions wait for the next repetition; beyond that they are not tried again.
const HELD_BACK_MAX: usize = 1024;

/// Most processes that one order signals.
const TARGETS_MAX: usize = 1024;

/// Most processes that a sentence names.
const NAMED_MAX: usize = 5;

/// Facts of an alarm that an action's program finds in its environment, and the attribute that each comes from.
const FACTS: [(&str, &str); 8] = [
    ("POLICY", "policy.name"),
    ("KIND", "policy.kind"),
    ("MEASURE", "measure"),
    ("BOUND", "bound"),
    ("VALUE", "value"),
    ("LIMIT", "limit"),
    ("PROCESS", "process.executable.path"),
    ("PID", "process.pid"),
];

/// Everything that the engine remembers of actions.
#[derive(Debug, Default)]
pub(super) struct Acts {
    declared: BTreeMap<Arc<str>, Arc<Action>>,
    /// When each action with a limit was last ordered, oldest first.
    runs: BTreeMap<Arc<str>, VecDeque<KTime>>,
    under_way: BTreeMap<u64, UnderWay>,
    held_back: BTreeSet<Reason>,
    last_order: u64,
    spared: BTreeSet<u32>,
}

/// An action about one alarm.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Reason {
    alarm: Arc<str>,
    instance: Option<Arc<str>>,
    action: Arc<str>,
}

/// An order that was given and has not ended.
#[derive(Debug)]
struct UnderWay {
    reason: Reason,
    action: Arc<Action>,
    policy: String,
    /// When it was given.
    since: KTime,
}

/// Why an action is not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Skipped {
    Degraded,
    NoTarget,
    Observe,
    Limit,
    Running,
    Busy,
}

impl Skipped {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Degraded => "degraded",
            Self::NoTarget => "no target",
            Self::Observe => "observe",
            Self::Limit => "limit",
            Self::Running => "running",
            Self::Busy => "busy",
        }
    }
}

impl Acts {
    pub(super) fn new(declared: &BTreeMap<Arc<str>, Arc<Action>>) -> Self {
        Self { declared: declared.clone(), ..Self::default() }
    }

    /// Other actions from now on; those of the same name keep their count of runs.
    pub(super) fn set_declared(&mut self, declared: &BTreeMap<Arc<str>, Arc<Action>>) {
        self.declared.clone_from(declared);
        self.runs.retain(|name, _| declared.contains_key(name));
    }

    /// The process of this pid is never signalled.
    pub(super) fn spare(&mut self, pid: u32) {
        self.spared.insert(pid);
    }

    /// What is being done, the oldest first.
    pub(super) fn status(&self, now: KTime) -> Vec<ActionStatus> {
        let under_way = self.under_way.values().map(|under_way| ActionStatus {
            name: under_way.action.name.to_string(),
            alarm: under_way.reason.alarm.to_string(),
            instance: under_way.reason.instance.as_deref().map(clean),
            policy: under_way.policy.clone(),
            since_seconds: now.since(under_way.since).as_secs_f64(),
        });
        under_way.collect()
    }

    /// Whether there is a run left at `now`, and counts it.
    fn take_run(&mut self, action: &Action, now: KTime) -> bool {
        let Some(Rate { count, per }) = action.max_runs else { return true };
        let runs = self.runs.entry(Arc::clone(&action.name)).or_default();
        while runs.front().is_some_and(|run| now.since(*run) >= per) {
            runs.pop_front();
        }
        let left = runs.len() < usize::try_from(count).unwrap_or(usize::MAX);
        if left {
            runs.push_back(now);
        }
        left
    }

    fn is_running(&self, action: &Action) -> bool {
        matches!(action.kind, ActionKind::Run { .. })
            && self.under_way.values().any(|under_way| under_way.action.name == action.name)
    }

    /// Whether this turn of an alarm is to lead to the action.
    fn is_due(&mut self, reason: &Reason, turn: AlarmTurn) -> bool {
        match turn {
            AlarmTurn::Fired => true,
            AlarmTurn::Repeated => self.held_back.remove(reason),
            AlarmTurn::Resolved => false,
        }
    }
}

impl Engine {
    /// Sees to what is to be done about an alarm that has just been told.
    pub(super) fn act_on(
        &mut self,
        event: &Event,
        response: &Response,
        targets: &[ProcessKey],
        effects: &mut Vec<Effect>,
    ) {
        let Some(alarm) = event.alarm.as_deref() else { return };
        if alarm.turn == AlarmTurn::Resolved {
            self.acts.held_back.retain(|held| held.alarm != alarm.name || held.instance != alarm.instance);
            return;
        }
        for wanted in &response.act {
            let reason =
                Reason { alarm: Arc::clone(&alarm.name), instance: alarm.instance.clone(), action: Arc::clone(wanted) };
            // A policy that names an action that is not there is refused before it comes here.
            let Some(action) = self.acts.declared.get(wanted).cloned() else { continue };
            if !self.acts.is_due(&reason, alarm.turn) {
                continue;
            }
            let targets = match action.kind {
                ActionKind::Run { .. } => Vec::new(),
                ActionKind::Signal { .. } => self.may_be_signalled(targets),
            };
            let policy = fact(event, "policy.name");
            match self.decide(event, response.mode, &action, &targets) {
                Ok(()) => {
                    self.acts.last_order += 1;
                    let number = self.acts.last_order;
                    let facts = facts(event, alarm, &action);
                    let under_way = UnderWay { reason, action: Arc::clone(&action), policy, since: event.at };
                    self.acts.under_way.insert(number, under_way);
                    effects.push(Effect::Act(Order { number, action, targets, facts }));
                }
                Err(why) => {
                    let would = would(&action, &targets);
                    let severity = if why == Skipped::Observe { Severity::Info } else { Severity::Warning };
                    let body = format!("{} not done ({}): would {would}; {}", action.name, why.as_str(), alarm.name);
                    let mut attributes = about(&reason, &policy);
                    attributes.put("why", why.as_str()).put("would", would);
                    let at = event.at;
                    let name = name::ACTION_SKIPPED;
                    effects.push(Effect::Emit(Event { name, severity, at, body, attributes, alarm: None }));
                    if why != Skipped::Observe && self.acts.held_back.len() < HELD_BACK_MAX {
                        self.acts.held_back.insert(reason);
                    }
                }
            }
        }
    }

    /// Whether an action is carried out; counts the run if so.
    fn decide(&mut self, event: &Event, mode: Mode, action: &Action, targets: &[Target]) -> Result<(), Skipped> {
        let in_doubt = self.reconciling || self.losses.in_doubt();
        if in_doubt || event.attributes.get("degraded") == Some(&true.into()) {
            return Err(Skipped::Degraded);
        }
        if targets.is_empty() && matches!(action.kind, ActionKind::Signal { .. }) {
            return Err(Skipped::NoTarget);
        }
        if mode == Mode::Observe {
            return Err(Skipped::Observe);
        }
        if self.acts.is_running(action) {
            return Err(Skipped::Running);
        }
        if self.acts.under_way.len() >= UNDER_WAY_MAX {
            return Err(Skipped::Busy);
        }
        if !self.acts.take_run(action, event.at) {
            return Err(Skipped::Limit);
        }
        Ok(())
    }

    /// Of the processes in breach those that live and are nobody's whom a signal would bring the host down with.
    fn may_be_signalled(&self, keys: &[ProcessKey]) -> Vec<Target> {
        let known = keys.iter().filter_map(|key| self.table.get(*key));
        let allowed = known.filter(|process| {
            process.key.tgid != 1
                && process.exit.is_none()
                && !process.identity.kernel_thread
                && !self.acts.spared.contains(&process.key.tgid)
        });
        allowed
            .take(TARGETS_MAX)
            .map(|process| Target { key: process.key, start_boot_ns: process.identity.start_boot_ns })
            .collect()
    }

    /// Tells what became of an order.
    pub(super) fn acted(&mut self, now: KTime, acted: &Acted, effects: &mut Vec<Effect>) {
        let Some(UnderWay { reason, action, policy, .. }) = self.acts.under_way.remove(&acted.order) else { return };
        let mut attributes = about(&reason, &policy);
        let (name, severity, said) = match &acted.outcome {
            Outcome::Ran { status, timed_out, took_ns, output } => {
                let took = std::time::Duration::from_nanos(*took_ns);
                let (well, ended) = match status {
                    Some(ExitStatus::Code(code)) => {
                        attributes.put("process.exit.code", *code);
                        (*code == 0, format!("ended with code {code}"))
                    }
                    Some(ExitStatus::Signal { number, .. }) => {
                        attributes.put("process.exit.signal", signal::name(*number));
                        (false, format!("killed by {}", signal::name(*number)))
                    }
                    None => (false, "ended unseen".to_owned()),
                };
                attributes.put("timed_out", *timed_out).put("duration", took.as_secs_f64());
                attributes.put("output", clean_end(output));
                let cause = if *timed_out { "took too long, " } else { "" };
                let severity = if well && !timed_out { Severity::Info } else { Severity::Warning };
                (name::ACTION_RAN, severity, format!("{cause}{ended} after {}", text::span(took)))
            }
            Outcome::Signalled { pids, gone, .. } if pids.is_empty() => {
                let why = "identity changed";
                attributes.put("why", why).put("would", would_signal(&action, &named(gone)));
                let said = format!("not done ({why}): {} gone, or another process by now", named(gone));
                (name::ACTION_SKIPPED, Severity::Warning, said)
            }
            Outcome::Signalled { pids, killed, left, gone } => {
                if let ActionKind::Signal { signal, .. } = action.kind {
                    attributes.put("signal", signal::name(signal));
                }
                attributes.put("pids", pids.clone()).put("killed", killed.clone()).put("gone", gone.clone());
                let mut said = format!("sent to {}", named(pids));
                if !killed.is_empty() {
                    let _ = write!(said, "; SIGKILL for {}", named(killed));
                }
                if !left.is_empty() {
                    attributes.put("left", left.clone());
                    let _ = write!(said, "; no SIGKILL for {}: procprobe ended before it was due", named(left));
                }
                if !gone.is_empty() {
                    let _ = write!(said, "; {} gone, or another process by now", named(gone));
                }
                let severity = if left.is_empty() { Severity::Info } else { Severity::Warning };
                (name::ACTION_RAN, severity, said)
            }
            Outcome::Failed { why } => {
                attributes.put("why", "failed").put("error", clean(why));
                (name::ACTION_SKIPPED, Severity::Warning, format!("failed: {}", clean(why)))
            }
        };
        let body = format!("{} {said}; {}", action.name, reason.alarm);
        effects.push(Effect::Emit(Event { name, severity, at: now, body, attributes, alarm: None }));
    }
}

/// The attributes that every event of an action has.
fn about(reason: &Reason, policy: &str) -> Attributes {
    let mut attributes = Attributes::default();
    attributes.put("action", &*reason.action).put("alarm", &*reason.alarm);
    attributes.put_some("instance", reason.instance.as_deref().map(clean));
    attributes.put("policy.name", policy);
    attributes
}

/// What would be done, or is, in words.
fn would(action: &Action, targets: &[Target]) -> String {
    match &action.kind {
        ActionKind::Run { argv, user, .. } => {
            let mut said = format!("run {}", clean(&argv.join(" ")));
            match user {
                Some(User::Name(name)) => said.extend([" as ", name]),
                Some(User::Uid(uid)) => {
                    let _ = write!(said, " as {uid}");
                }
                None => {}
            }
            said
        }
        ActionKind::Signal { .. } => {
            let pids: Vec<u32> = targets.iter().map(|target| target.key.tgid).collect();
            would_signal(action, &named(&pids))
        }
    }
}

fn would_signal(action: &Action, whom: &str) -> String {
    let ActionKind::Signal { signal, then_kill_after } = &action.kind else { return String::new() };
    let then = then_kill_after.map(|after| format!(", SIGKILL after {}", text::span(after))).unwrap_or_default();
    format!("send {} to {whom}{then}", signal::name(*signal))
}

/// `4211, 4212`; the first few of many.
fn named(pids: &[u32]) -> String {
    let mut words: Vec<String> = pids.iter().take(NAMED_MAX).map(ToString::to_string).collect();
    match pids.len().saturating_sub(NAMED_MAX) {
        _ if pids.is_empty() => words.push("nobody".to_owned()),
        0 => {}
        more => words.push(format!("{more} more")),
    }
    words.join(", ")
}

/// An attribute as text; empty when the event has none.
fn fact(event: &Event, attribute: &str) -> String {
    match event.attributes.get(attribute) {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => String::new(),
    }
}

/// What a program learns of the alarm. Nothing in it holds a control character.
fn facts(event: &Event, alarm: &Alarm, action: &Action) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("ACTION", action.name.to_string()),
        ("ALARM", alarm.name.to_string()),
        ("INSTANCE", alarm.instance.as_deref().map(clean).unwrap_or_default()),
        ("SEVERITY", event.severity.as_str().to_owned()),
        ("SUMMARY", clean(&event.body)),
    ];
    facts.extend(FACTS.iter().map(|(name, attribute)| (*name, fact(event, attribute))));
    facts.retain(|(_, value)| !value.is_empty());
    facts
}
