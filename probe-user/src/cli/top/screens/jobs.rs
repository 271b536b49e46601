//! Jobs: what runs, how the last run ended, when the next is due.

use std::cmp::Ordering;

use super::{Cell, Column, Detail, Mark, Row, Standing, State, Table, counted, local, seconds_to, standing_mark};
use crate::cli::top::report::Job;
use crate::cli::words::span;

pub(super) const ORDERS: [&str; 3] = ["state", "next", "name"];

const COLUMNS: [Column; 7] = [
    Column::growing("JOB", 12),
    Column::left("STATE", 8),
    Column::left("RUNS FOR", 12).from(72),
    Column::left("LAST RUN", 20).from(60),
    Column::left("NEXT", 14),
    Column::right("IN", 7).from(78),
    Column::right("MISSED", 6).from(88),
];

pub(super) fn table(state: &State) -> Table {
    let mut jobs: Vec<&Job> = state.shown().map(|report| report.engine.jobs.iter().collect()).unwrap_or_default();
    let pane = state.pane();
    jobs.sort_by(|a, b| {
        let ordering = by(pane.sort, a, b).then_with(|| a.name.cmp(&b.name));
        if pane.inverted { ordering.reverse() } else { ordering }
    });
    let running = jobs.iter().filter(|job| !job.running.is_empty()).count();
    Table {
        title: format!("{}, {running} running", counted(jobs.len(), "job", "jobs")),
        columns: COLUMNS.to_vec(),
        rows: jobs.into_iter().map(|job| row(state, job)).collect(),
        empty: "no policy has jobs".into(),
    }
}

fn by(order: usize, a: &Job, b: &Job) -> Ordering {
    match ORDERS.get(order).copied() {
        Some("name") => Ordering::Equal,
        // Times of one form sort as they read; who has none comes last.
        Some("next") => (a.next.is_none(), &a.next).cmp(&(b.next.is_none(), &b.next)),
        _ => state_of(b).cmp(&state_of(a)),
    }
}

fn state_of(job: &Job) -> Standing {
    job.alarms.iter().map(|alarm| alarm.state).max().unwrap_or_default()
}

fn row(state: &State, job: &Job) -> Row {
    let standing = state_of(job);
    let running = match job.running.as_slice() {
        [] => String::new(),
        [run] => span(run.seconds),
        [first, more @ ..] => format!("{} and {} more", span(first.seconds), more.len()),
    };
    let (last, mark) = match &job.last {
        None => ("not seen yet".to_owned(), Mark::Dim),
        Some(last) => {
            let mark = if last.outcome == "succeeded" { Mark::Good } else { Mark::Bad };
            (format!("{} {} ago", last.outcome, span(last.ended_seconds)), mark)
        }
    };
    let ahead = job.next.as_deref().and_then(|next| seconds_to(state, next));
    Row::new(
        job.name.clone(),
        vec![
            Cell::text(&job.name),
            Cell::marked(standing.as_str(), standing_mark(standing)),
            Cell::text(running),
            Cell::marked(last, mark),
            Cell::text(
                job.next.as_deref().map_or_else(|| "no schedule".into(), |next| local(state, next, "%m-%d %H:%M")),
            ),
            Cell::text(ahead.map(|ahead| span(ahead.max(0.0))).unwrap_or_default()),
            Cell::marked(job.missed.to_string(), if job.missed > 0 { Mark::Warn } else { Mark::Plain }),
        ],
    )
}

/// All that is known of it.
pub(super) fn detail(state: &State, id: &str) -> Option<Detail> {
    let job = state.shown()?.engine.jobs.iter().find(|job| job.name == id)?;
    let mut sentences = Vec::new();
    if let Some(schedule) = &job.schedule {
        let zone = job.timezone.as_deref().unwrap_or("?");
        sentences.push(format!("scheduled {schedule} in {zone}, {} missed since the daemon started", job.missed));
    }
    for run in &job.running {
        sentences.push(format!(
            "runs as {} for {} ({})",
            run.pid,
            span(run.seconds),
            counted(run.processes, "process", "processes")
        ));
    }
    if let Some(last) = &job.last {
        let (ended, took) = (span(last.ended_seconds), span(last.duration_seconds));
        let cpu = last.cpu_seconds;
        sentences.push(format!("last run {} {ended} ago after {took}, {cpu:.2} s of CPU", last.outcome));
    }
    for alarm in job.alarms.iter().filter(|alarm| alarm.state != Standing::Healthy) {
        let since = alarm.since_seconds.map(|since| format!(" for {}", span(since))).unwrap_or_default();
        sentences.push(format!("{} {}{since} ({})", alarm.name, alarm.state.as_str(), alarm.severity));
    }
    if sentences.is_empty() {
        sentences.push("no schedule, and no run seen yet".into());
    }
    Some(Detail::Text(format!("{} ({})", job.name, job.declared), sentences))
}
