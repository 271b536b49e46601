//! What fires, since when and why.

use std::cmp::Ordering;

use serde_json::Value;

use super::{Cell, Column, Detail, Row, State, Table, clock, severity_mark};
use crate::cli::top::report::{AlarmOn, Report, Standing};
use crate::cli::words::span;
use crate::event::Severity;

pub(super) const ORDERS: [&str; 3] = ["severity", "since", "name"];

const COLUMNS: [Column; 4] = [
    Column::right("FOR", 7),
    Column::left("SEVERITY", 8).from(50),
    Column::left("ALARM", 24).from(70),
    Column::growing("WHY", 20),
];

/// An alarm that is on, with what is known of it from where.
struct On<'a> {
    id: String,
    name: &'a str,
    severity: &'a str,
    since_seconds: Option<f64>,
    told: Option<&'a AlarmOn>,
}

pub(super) fn table(state: &State) -> Table {
    let mut on = state.shown().map(|report| all(report, state)).unwrap_or_default();
    let pane = state.pane();
    on.sort_by(|a, b| {
        let ordering = by(pane.sort, a, b).then_with(|| a.id.cmp(&b.id));
        if pane.inverted { ordering.reverse() } else { ordering }
    });
    let left_out = match state.alarms.left_out {
        0 => String::new(),
        more => format!("; of {more} the daemon has kept no evidence"),
    };
    Table {
        title: format!("{} on{left_out}", on.len()),
        columns: COLUMNS.to_vec(),
        rows: on.iter().map(row).collect(),
        empty: "nothing fires".into(),
    }
}

fn by(order: usize, a: &On<'_>, b: &On<'_>) -> Ordering {
    let since = || b.since_seconds.unwrap_or(0.0).total_cmp(&a.since_seconds.unwrap_or(0.0));
    match ORDERS.get(order).copied() {
        Some("name") => Ordering::Equal,
        Some("since") => since(),
        _ => Severity::named(b.severity).cmp(&Severity::named(a.severity)).then_with(since),
    }
}

/// Each firing bound once for each thing of which it was told.
fn all<'a>(report: &'a Report, state: &'a State) -> Vec<On<'a>> {
    let mut on = Vec::new();
    for (name, severity, since_seconds) in firing(report) {
        let told: Vec<&AlarmOn> = state.alarms.alarms.iter().filter(|alarm| alarm.name == *name).collect();
        if told.is_empty() {
            on.push(On { id: name.to_owned(), name, severity, since_seconds, told: None });
        }
        for alarm in told {
            let id = alarm.instance.as_ref().map_or_else(|| name.to_owned(), |thing| format!("{name} {thing}"));
            let since = super::seconds_to(state, &alarm.event.attributes.since).map(|ahead| -ahead);
            let since_seconds = if alarm.instance.is_some() { since.or(since_seconds) } else { since_seconds };
            on.push(On { id, name, severity, since_seconds, told: Some(alarm) });
        }
    }
    on
}

/// Name, severity and since when, of every bound that fires.
fn firing(report: &Report) -> Vec<(&str, &str, Option<f64>)> {
    let engine = &report.engine;
    let bounds = engine.all().flat_map(|group| &group.bounds);
    let bounds = bounds.filter(|bound| bound.state == Standing::Firing);
    let mut on: Vec<_> =
        bounds.map(|bound| (bound.name.as_str(), bound.severity.as_str(), bound.since_seconds)).collect();
    let jobs = engine.jobs.iter().flat_map(|job| &job.alarms).filter(|alarm| alarm.state == Standing::Firing);
    on.extend(jobs.map(|alarm| (alarm.name.as_str(), alarm.severity.as_str(), alarm.since_seconds)));
    for bound in &engine.host {
        let firing = bound.instances.iter().filter(|each| each.state == Standing::Firing);
        if let Some(since) =
            firing.map(|each| each.since_seconds).max_by(|a, b| a.unwrap_or_default().total_cmp(&b.unwrap_or_default()))
        {
            on.push((bound.name.as_str(), bound.severity.as_str(), since));
        }
    }
    on
}

fn row(on: &On<'_>) -> Row {
    let since = on.since_seconds.map_or_else(|| "?".to_owned(), span);
    let why = on.told.map_or("", |told| told.event.body.as_str());
    Row::new(
        on.id.clone(),
        vec![
            Cell::text(since),
            Cell::marked(on.severity, severity_mark(on.severity)),
            Cell::text(on.name),
            Cell::marked(if why.is_empty() { on.name } else { why }, severity_mark(on.severity)),
        ],
    )
}

/// The policy of an alarm, where that is a group or a job.
pub(super) fn policy_of(state: &State, id: &str) -> Option<String> {
    let engine = &state.shown()?.engine;
    let alarm = id.split(' ').next().unwrap_or_default();
    let group = engine.groups.iter().find(|group| group.bounds.iter().any(|bound| bound.name == alarm));
    let job = || engine.jobs.iter().find(|job| job.alarms.iter().any(|each| each.name == alarm));
    group.map(|group| group.name.clone()).or_else(|| job().map(|job| job.name.clone()))
}

/// The whole sentence and the evidence.
pub(super) fn detail(state: &State, id: &str) -> Option<Detail> {
    let on = all(state.shown()?, state).into_iter().find(|on| on.id == id)?;
    let Some(told) = on.told else {
        let unknown = "What led to it is not known here: an earlier daemon told it, or the answer is on its way. \
                       `procprobe events --name '*.firing'` has it.";
        return Some(Detail::Text(on.name.to_owned(), vec![unknown.to_owned()]));
    };
    let mut sentences = vec![told.event.body.clone()];
    sentences.extend(told.event.attributes.evidence.iter().map(|fact| format!("- {}", evidence(fact))));
    Some(Detail::Text(format!("{}, told at {}", on.id, clock(state, &told.event.time)), sentences))
}

/// One piece of evidence, whatever it is: what is known of it, name by name.
fn evidence(fact: &serde_json::Map<String, Value>) -> String {
    let known = fact.iter().filter(|(_, value)| !matches!(value, Value::Null | Value::Bool(false)));
    let said = known.map(|(name, value)| {
        let name = name.strip_prefix("process.").unwrap_or(name);
        match value {
            Value::String(text) => format!("{name} {text}"),
            Value::Bool(true) => name.to_owned(),
            Value::Array(parts) => {
                let words: Vec<String> =
                    parts.iter().map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned)).collect();
                format!("{name} {}", words.join(" "))
            }
            other => format!("{name} {other}"),
        }
    });
    said.collect::<Vec<_>>().join(", ")
}
