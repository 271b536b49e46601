//! What has just happened, the newest first: starts and ends of processes, alarms, jobs.

use super::{Cell, Column, Detail, Mark, Row, State, Table, clock, severity_mark};
use crate::cli::top::told::{KEPT_MAX, Told};
use crate::cli::words::span;
use crate::event::{Severity, name};

const COLUMNS: [Column; 5] = [
    Column::left("TIME", 8),
    Column::left("EVENT", 14).from(46),
    Column::right("LIVED", 8).from(64),
    Column::right("CPU s", 7).from(90),
    Column::growing("WHAT", 20),
];

/// Whoever lived for less than this is seen by nobody who only looks from time to time.
const SHORT_SECONDS: f64 = 1.0;

pub(super) fn table(state: &State) -> Table {
    let rows: Vec<Row> = state.recent.iter().map(|told| row(state, told)).collect();
    let of_whom = match state.shown().map(|report| report.agent.told.as_str()) {
        Some("all") => "of every process",
        Some("matched") => "of processes in groups (--events all tells of every one)",
        Some("none") => "not told of processes (events.processes: none)",
        _ => "as the daemon tells them",
    };
    let missed = match state.recent.missed {
        0 => String::new(),
        missed => format!("; {missed} came too fast to be shown"),
    };
    let empty = match &state.stream {
        Some(why) => format!("no events: {why}"),
        None => "nothing was told yet".into(),
    };
    let kept = if rows.len() >= KEPT_MAX { format!("the last {KEPT_MAX}, ") } else { String::new() };
    Table { title: format!("{kept}starts and ends {of_whom}{missed}"), columns: COLUMNS.to_vec(), rows, empty }
}

fn row(state: &State, told: &Told) -> Row {
    let lived = told.attributes.lived_seconds;
    let is_short = lived.is_some_and(|lived| lived < SHORT_SECONDS);
    let mark = match Severity::named(&told.severity) {
        Some(Severity::Info) | None if told.name == name::PROCESS_EXIT => Mark::Dim,
        Some(Severity::Info) | None => Mark::Plain,
        Some(_) => severity_mark(&told.severity),
    };
    Row::new(
        told.id.clone(),
        vec![
            Cell::text(clock(state, &told.time)),
            Cell::marked(told.kind(), mark),
            Cell::marked(lived.map(short).unwrap_or_default(), if is_short { Mark::Strong } else { Mark::Plain }),
            Cell::text(told.attributes.cpu_seconds.map(|cpu| format!("{cpu:.3}")).unwrap_or_default()),
            Cell::marked(&told.body, mark),
        ],
    )
}

/// Of less than a second the milliseconds.
fn short(seconds: f64) -> String {
    if seconds < SHORT_SECONDS { format!("{:.0}ms", seconds * 1000.0) } else { span(seconds) }
}

/// The whole sentence.
pub(super) fn detail(state: &State, id: &str) -> Option<Detail> {
    let told = state.recent.iter().find(|told| told.id == id)?;
    Some(Detail::Text(format!("{} at {}", told.kind(), clock(state, &told.time)), vec![told.body.clone()]))
}
