//! How things stand, as one Alertmanager is to know it: pure.
//!
//! Alertmanager's alerts are states, told again while they last: an alert that is not told for [`EXPIRES`] is over, so that
//! a host that died does not fire for ever. An alert is its labels. No pid is among them, for the same alarm about another
//! process is the same alert; where a bound is judged for each process, its alert is over when the last one is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::notice::{Key, Notice};

/// How often an alert that is on is told.
pub(super) const AGAIN: Duration = Duration::from_mins(1);
/// How long it lasts without being told again.
const EXPIRES: Duration = Duration::from_mins(5);
/// Most alerts in a request.
const AT_ONCE: usize = 100;
/// Longest text of the evidence.
const EVIDENCE_MAX: usize = 2000;

/// What an alert is known by.
type Labels = BTreeMap<String, String>;

/// The alerts of one Alertmanager.
#[derive(Debug)]
pub(super) struct Book {
    /// Added to every alert.
    labels: Vec<(Arc<str>, Arc<str>)>,
    alerts: BTreeMap<Labels, Alert>,
}

#[derive(Debug)]
struct Alert {
    /// The alarms that make it, each with its beginning.
    on: BTreeMap<Key, String>,
    /// When the first of them began.
    since: String,
    /// When the last of them ended.
    ended: String,
    annotations: Map<String, Value>,
    /// Rises with each change, so that one during a request is not taken for told.
    version: u64,
    told: Option<u64>,
    told_at: Option<Instant>,
}

/// Alerts to be told in one request.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) body: Bytes,
    told: Vec<(Labels, u64)>,
}

impl Batch {
    /// How many alerts.
    pub(super) fn len(&self) -> usize {
        self.told.len()
    }
}

impl Book {
    pub(super) const fn new(labels: Vec<(Arc<str>, Arc<str>)>) -> Self {
        Self { labels, alerts: BTreeMap::new() }
    }

    /// Alerts of the other one would be the same here.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        self.labels == other.labels
    }

    /// An alarm that turned. An event that is not as this program writes it says nothing.
    pub(super) fn note(&mut self, notice: &Notice) {
        let Ok(event) = serde_json::from_slice::<Value>(&notice.event) else { return };
        let labels = self.labels_of(notice, &event);
        let time = text(&event["time"]);
        let since = Some(text(&event["attributes"]["since"])).filter(|since| !since.is_empty());
        if notice.facts.firing {
            let since = since.unwrap_or_else(|| time.clone());
            let alert = self.alerts.entry(labels).or_insert_with(|| Alert::new(since.clone()));
            if alert.on.is_empty() {
                alert.since.clone_from(&since);
            } else if since < alert.since {
                // All in UTC and of one form: text sorts as time does.
                alert.since.clone_from(&since);
            }
            alert.on.insert(notice.facts.key.clone(), since);
            alert.annotations = annotations(&notice.facts.id, &event);
            alert.version += 1;
        } else if let Some(alert) = self.alerts.get_mut(&labels) {
            let was_on = !alert.on.is_empty();
            alert.on.remove(&notice.facts.key);
            if was_on && alert.on.is_empty() {
                alert.ended = time;
                alert.annotations = annotations(&notice.facts.id, &event);
                alert.version += 1;
            }
        }
    }

    /// What is to be told now.
    pub(super) fn due(&self, now: Instant, wall: Timestamp) -> Option<Batch> {
        let due = self.alerts.iter().filter(|(_, alert)| alert.due(now).is_none_or(|at| at <= now)).take(AT_ONCE);
        let (mut alerts, mut told) = (Vec::new(), Vec::new());
        for (labels, alert) in due {
            let ends = if alert.on.is_empty() { alert.ended.clone() } else { expiry(wall) };
            alerts.push(json!({
                "labels": labels, "annotations": alert.annotations, "startsAt": alert.since, "endsAt": ends,
            }));
            told.push((labels.clone(), alert.version));
        }
        (!told.is_empty()).then(|| Batch { body: Value::Array(alerts).to_string().into(), told })
    }

    /// When there is something to tell, if nothing changes; `None` while nothing is on.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        self.alerts.values().map(|alert| alert.due(now).unwrap_or(now)).min()
    }

    /// They know these now (or refused them: then they are tried again when their time comes).
    pub(super) fn told(&mut self, batch: &Batch, now: Instant) {
        for (labels, version) in &batch.told {
            let Some(alert) = self.alerts.get_mut(labels) else { continue };
            alert.told = Some(*version);
            alert.told_at = Some(now);
            if alert.on.is_empty() && alert.version == *version {
                self.alerts.remove(labels);
            }
        }
    }

    /// Alerts whose last change they do not know.
    pub(super) fn untold(&self) -> usize {
        self.alerts.values().filter(|alert| alert.told != Some(alert.version)).count()
    }

    /// Alerts that are on.
    pub(super) fn on(&self) -> usize {
        self.alerts.values().filter(|alert| !alert.on.is_empty()).count()
    }

    fn labels_of(&self, notice: &Notice, event: &Value) -> Labels {
        let attributes = &event["attributes"];
        let mut labels: Labels =
            self.labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let kind = text(&attributes["policy.kind"]);
        // Of groups and jobs it is a pid.
        let instance = notice.facts.key.instance.as_deref().filter(|_| kind == "log" || kind == "host");
        let own = [
            ("alertname", notice.facts.key.alarm.to_string()),
            ("policy", text(&attributes["policy.name"])),
            ("kind", kind),
            ("measure", text(&attributes["measure"])),
            ("bound", text(&attributes["bound"])),
            ("severity", text(&event["severity"])),
            ("host", text(&event["host"]["host.name"])),
            ("instance", instance.unwrap_or_default().to_owned()),
        ];
        // A label without a value is none.
        labels.extend(own.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name.into(), value)));
        labels
    }
}

impl Alert {
    fn new(since: String) -> Self {
        Self {
            on: BTreeMap::new(),
            ended: since.clone(),
            since,
            annotations: Map::new(),
            version: 0,
            told: None,
            told_at: None,
        }
    }

    /// `None`: at once.
    fn due(&self, now: Instant) -> Option<Instant> {
        let told_at = self.told_at.filter(|_| self.told == Some(self.version))?;
        Some(told_at.checked_add(AGAIN).unwrap_or(now))
    }
}

fn expiry(wall: Timestamp) -> String {
    wall.checked_add(EXPIRES).unwrap_or(wall).to_string()
}

/// For people: the sentence, the figures, the evidence.
fn annotations(id: &str, event: &Value) -> Map<String, Value> {
    let attributes = &event["attributes"];
    let pairs = [
        ("summary", text(&event["body"])),
        ("value", text(&attributes["value"])),
        ("limit", text(&attributes["limit"])),
        ("since", text(&attributes["since"])),
        ("evidence", evidence(&attributes["evidence"])),
        ("declared", text(&attributes["declared"])),
        ("event_id", id.to_owned()),
    ];
    pairs.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name.into(), value.into())).collect()
}

/// One line for each process, as many as there is room for.
fn evidence(list: &Value) -> String {
    let mut lines = String::new();
    for entry in list.as_array().into_iter().flatten().filter_map(Value::as_object) {
        let pairs = entry.iter().map(|(name, value)| format!("{name}={}", text(value)));
        let line = pairs.collect::<Vec<_>>().join(" ");
        if lines.len() + line.len() > EVIDENCE_MAX {
            break;
        }
        if !lines.is_empty() {
            lines.push('\n');
        }
        lines.push_str(&line);
    }
    lines
}

/// Text as it is, anything else as JSON, nothing for nothing.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
