//! Alarms of an earlier run: whoever was told that they are on must be told that they are over.
//!
//! The daemon remembers no measurements over a restart. An alarm that was on fires again if it still holds, as soon as its
//! bound allows; one that has not done so by then, and one whose policy is gone, is told as resolved with `reason`.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::notice::Notice;
use crate::event::{Alarm, AlarmTurn, Attributes, Event, Severity, name};
use crate::policy::spec::{Bound, PolicySet};
use crate::time::KTime;

/// Beyond the start grace and what a bound waits by itself: a few samples.
const MARGIN: Duration = Duration::from_secs(15);

/// Attributes that are told again.
const KEPT: [&str; 8] = ["policy.name", "policy.kind", "measure", "bound", "limit", "since", "declared", "within"];

/// One such alarm.
#[derive(Clone, Debug)]
pub(super) struct Orphan {
    pub(super) notice: Arc<Notice>,
    /// It is over then.
    pub(super) until: KTime,
    reason: &'static str,
}

impl Orphan {
    /// Of a daemon that began at `began`.
    pub(super) fn new(notice: &Arc<Notice>, policies: &PolicySet, began: KTime, grace: Duration) -> Self {
        let notice = Arc::clone(notice);
        match patience(&notice, policies) {
            Some(hold) => {
                Self { notice, until: began.after(grace + hold + MARGIN), reason: "not seen since a restart" }
            }
            None => Self { notice, until: began, reason: "policy removed" },
        }
    }

    /// Whether it is this alarm.
    pub(super) fn is(&self, name: &Arc<str>, instance: Option<&Arc<str>>) -> bool {
        let key = &self.notice.facts.key;
        key.alarm == *name && key.instance.as_ref() == instance
    }

    /// Its end. `None` for an event that is not as this program writes it.
    pub(super) fn resolved(&self, at: KTime) -> Option<Event> {
        let event: Value = serde_json::from_slice(&self.notice.event).ok()?;
        let (old, facts) = (event["attributes"].as_object()?, &self.notice.facts);
        let mut attributes = Attributes::default();
        for kept in KEPT {
            attributes.put_some(kept, old.get(kept).cloned());
        }
        attributes.put("degraded", false).put("reason", self.reason);
        let severity = match event["severity"].as_str()? {
            "info" => Severity::Info,
            "critical" => Severity::Critical,
            _ => Severity::Warning,
        };
        let alarm = Alarm {
            name: Arc::clone(&facts.key.alarm),
            instance: facts.key.instance.clone(),
            turn: AlarmTurn::Resolved,
            notify: facts.to.clone(),
        };
        let subject = old.get("policy.name").and_then(Value::as_str).unwrap_or_default();
        let body = format!("{subject}: {} is over: {}", facts.key.alarm, self.reason);
        Some(Event { name: name::POLICY_RESOLVED, severity, at, body, attributes, alarm: Some(Box::new(alarm)) })
    }
}

/// How long the longest of its policy's bounds waits before it fires; `None` when there is no such policy.
fn patience(notice: &Notice, policies: &PolicySet) -> Option<Duration> {
    let event: Value = serde_json::from_slice(&notice.event).ok()?;
    let name = event["attributes"]["policy.name"].as_str()?;
    let longest = |bounds: &[Bound]| bounds.iter().map(|bound| bound.hold).max().unwrap_or_default();
    match event["attributes"]["policy.kind"].as_str()? {
        "group" => policies.groups.iter().find(|group| *group.name == *name).map(|group| longest(&group.bounds)),
        "job" => policies.jobs.iter().find(|job| *job.name == *name).map(|job| longest(&job.bounds)),
        "log" => policies.logs.iter().find(|log| *log.name == *name).map(|log| longest(&log.bounds)),
        "peers" => policies.peers.iter().find(|peers| *peers.name == *name).map(|peers| longest(&peers.bounds)),
        _ => policies.host.iter().flat_map(|block| &block.bounds).map(|host| host.bound.hold).max(),
    }
}
