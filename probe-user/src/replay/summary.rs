//! What became of each bound over the whole of a recording.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::decode::End;
use crate::engine::seen::{Extent, Reached, SeenBound};
use crate::engine::text::{amount, span};
use crate::event::{AlarmTurn, Attribute, Event};
use crate::policy::spec::{Measure, Side};
use crate::time::{ClockReading, KTime, Wall};

/// The whole replay.
#[derive(Debug)]
pub struct Summary {
    /// When the recording begins.
    pub began: Wall,
    /// Its last moment.
    pub ended: Wall,
    /// How long it is.
    pub seconds: f64,
    /// Kernel records.
    pub records: u64,
    /// Processes that ended.
    pub lives: u64,
    /// Records that were lost while it was recorded.
    pub lost: u64,
    /// How the file ended; `None` when the replay was ended before that.
    pub end: Option<End>,
    /// What is to be known beside that.
    pub notes: Vec<String>,
    /// Bounds of groups in the order of the policies, of jobs, of logs and of the host, then alarms that are about no
    /// value (`success`, `overlap`) by name.
    pub bounds: Vec<BoundSummary>,
    /// The clocks at the end, for times.
    pub clock: ClockReading,
}

/// One bound.
#[derive(Clone, Debug, PartialEq)]
pub struct BoundSummary {
    /// Of the alarm.
    pub name: Arc<str>,
    /// How often it fired.
    pub fired: u64,
    /// For how long in all, from the beginning of each breach.
    pub total: Duration,
    /// The longest time, and when it fired.
    pub longest: Option<(Duration, KTime)>,
    /// It is firing at the end.
    pub firing: bool,
    /// What was seen of its values; `None` of an alarm that is about none.
    pub seen: Option<SeenBound>,
}

/// Keeps the account while events come.
#[derive(Debug, Default)]
pub(super) struct Tally {
    alarms: BTreeMap<Arc<str>, Account>,
}

#[derive(Debug, Default)]
struct Account {
    fired: u64,
    total: Duration,
    longest: Option<(Duration, KTime)>,
    /// Since when the breach of each instance lasts, and when it fired.
    open: BTreeMap<Option<Arc<str>>, (KTime, KTime)>,
}

impl Account {
    fn over(&mut self, since: KTime, fired: KTime, until: KTime) {
        let lasted = until.since(since);
        self.total = self.total.saturating_add(lasted);
        if self.longest.is_none_or(|(longest, _)| lasted > longest) {
            self.longest = Some((lasted, fired));
        }
    }
}

impl Tally {
    pub(super) fn note(&mut self, event: &Event) {
        let Some(alarm) = event.alarm.as_deref() else { return };
        let account = self.alarms.entry(Arc::clone(&alarm.name)).or_default();
        match alarm.turn {
            AlarmTurn::Fired => {
                account.fired += 1;
                account.open.insert(alarm.instance.clone(), (since(event), event.at));
            }
            AlarmTurn::Repeated => {}
            AlarmTurn::Resolved => {
                if let Some((since, fired)) = account.open.remove(&alarm.instance) {
                    account.over(since, fired, event.at);
                }
            }
        }
    }

    /// The account at the end: every bound that was seen, and whatever else has fired.
    pub(super) fn close(mut self, last: KTime, seen: Vec<SeenBound>) -> Vec<BoundSummary> {
        let mut bounds: Vec<BoundSummary> = Vec::new();
        for bound in seen {
            let account = self.alarms.remove(&bound.name).unwrap_or_default();
            bounds.push(summary(Arc::clone(&bound.name), account, last, Some(bound)));
        }
        bounds.extend(self.alarms.into_iter().map(|(name, account)| summary(name, account, last, None)));
        bounds
    }
}

fn summary(name: Arc<str>, mut account: Account, last: KTime, seen: Option<SeenBound>) -> BoundSummary {
    let open = std::mem::take(&mut account.open);
    let firing = !open.is_empty();
    for (since, fired) in open.into_values() {
        account.over(since, fired, last);
    }
    let Account { fired, total, longest, open: _ } = account;
    BoundSummary { name, fired, total, longest, firing, seen }
}

/// When the breach that an alarm tells of began.
fn since(event: &Event) -> KTime {
    let since = event.attributes.0.iter().find_map(|(name, value)| match value {
        Attribute::Time(at) if *name == "since" => Some(*at),
        _ => None,
    });
    since.unwrap_or(event.at)
}

impl Summary {
    /// As one JSON object, times as in events.
    pub fn to_json(&self) -> Value {
        let bounds: Vec<Value> = self.bounds.iter().map(|bound| bound.to_json(&self.clock)).collect();
        json!({"summary": {
            "began": self.began.rfc3339(),
            "ended": self.ended.rfc3339(),
            "seconds": self.seconds,
            "records": self.records,
            "processes_ended": self.lives,
            "lost": self.lost,
            "notes": self.all_notes(),
            "bounds": bounds,
        }})
    }

    /// What a person should know about the recording itself.
    pub fn all_notes(&self) -> Vec<String> {
        let mut notes = self.notes.clone();
        if let Some(End { tail, torn }) = &self.end {
            match (tail, torn) {
                (None, Some(at)) => {
                    notes.push(format!("the last frame, at byte {at}, was not written whole and is left out"));
                }
                (None, None) => {
                    notes.push("the recorder did not say why it ended: the last seconds may be missing".into());
                }
                (Some(_), _) => {}
            }
        }
        if self.lost > 0 {
            notes.push(format!("{} records were lost while it was recorded; a scan followed each time", self.lost));
        }
        notes
    }

    /// One line for each bound.
    pub fn lines(&self) -> Vec<[String; 5]> {
        self.bounds.iter().map(|bound| bound.line(&self.clock)).collect()
    }
}

impl BoundSummary {
    fn to_json(&self, clock: &ClockReading) -> Value {
        let time = |at: KTime| clock.wall_of(at).rfc3339();
        let reached = |reached: Option<Reached>| reached.map(|r| json!({"value": r.value, "at": time(r.at)}));
        let mut object = json!({
            "name": &*self.name,
            "fired": self.fired,
            "firing": self.firing,
            "total_seconds": self.total.as_secs_f64(),
            "longest": self.longest.map(|(lasted, at)| json!({"seconds": lasted.as_secs_f64(), "at": time(at)})),
        });
        if let (Some(seen), Some(object)) = (&self.seen, object.as_object_mut()) {
            let Extent { lowest, highest, nearest, longest_dip } = seen.extent;
            let dip = longest_dip.map(|(lasted, at)| json!({"seconds": lasted.as_secs_f64(), "healed": time(at)}));
            object.extend([
                ("limit".to_owned(), json!(seen.limit)),
                ("lowest".to_owned(), json!(reached(lowest))),
                ("highest".to_owned(), json!(reached(highest))),
                ("nearest_miss".to_owned(), json!(reached(nearest))),
                ("dips_healed".to_owned(), json!(seen.dips)),
                ("longest_dip".to_owned(), json!(dip)),
            ]);
        }
        object
    }

    /// Name, how often, for how long in all, the longest time, the nearest miss.
    fn line(&self, clock: &ClockReading) -> [String; 5] {
        let time = |at: KTime| short(clock.wall_of(at));
        let fired = match (self.fired, self.firing) {
            (0, _) => "never".to_owned(),
            (times, false) => format!("{times} x"),
            (times, true) => format!("{times} x, firing at the end"),
        };
        let total = if self.fired == 0 { "-".to_owned() } else { span(self.total) };
        let longest =
            self.longest.map_or_else(|| "-".to_owned(), |(lasted, at)| format!("{} ({})", span(lasted), time(at)));
        let nearest = self.seen.as_ref().map_or_else(|| "-".to_owned(), |seen| nearest(seen, &time));
        [self.name.to_string(), fired, total, longest, nearest]
    }
}

fn nearest(seen: &SeenBound, time: &impl Fn(KTime) -> String) -> String {
    let show = |value: f64| {
        if seen.share { format!("{:.2}%", value * 100.0) } else { amount(seen.measure, value, 2) }
    };
    let end = match seen.side {
        Side::Min => "min",
        Side::Max => "max",
    };
    let miss = seen
        .extent
        .nearest
        .map(|near| format!("{} of {end} {} ({})", show(near.value), show(seen.limit), time(near.at)));
    let dip = seen.extent.longest_dip.map(|(lasted, at)| {
        let times = if seen.dips == 1 { "1 breach".to_owned() } else { format!("{} breaches", seen.dips) };
        format!("{times} healed in time, the longest after {} of {} ({})", span(lasted), span(seen.hold), time(at))
    });
    match (miss, dip) {
        (None, None) if seen.measure == Measure::Age || seen.extent.highest.is_none() => "no value".to_owned(),
        (None, None) => "every value was in breach".to_owned(),
        (miss, dip) => [miss, dip].into_iter().flatten().collect::<Vec<_>>().join("; "),
    }
}

/// A moment in UTC, to the second.
fn short(wall: Wall) -> String {
    let full = wall.to_string();
    full.get(..19).map_or_else(|| full.clone(), |text| text.replace('T', " "))
}
