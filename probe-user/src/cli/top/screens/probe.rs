//! What the probe itself costs, where its events go, and what was lost.

use super::{Cell, Column, Mark, Row, State, Table};
use crate::cli::top::report::Report;
use crate::cli::words::{bytes, span};

const COLUMNS: [Column; 2] = [Column::left("WHAT", 14), Column::growing("", 20)];

pub(super) fn table(state: &State) -> Table {
    let mut rows = Vec::new();
    if let Some(report) = state.shown() {
        let mut add = |what: &str, text: String, mark: Mark| {
            let id = format!("{what} {}", rows.len());
            rows.push(Row::new(id, vec![Cell::marked(what, Mark::Strong), Cell::marked(text, mark)]));
        };
        cost(state, report, &mut add);
        kernel(report, &mut add);
        ways_out(report, &mut add);
        losses(report, &mut add);
    }
    Table { title: "the probe itself".into(), columns: COLUMNS.to_vec(), rows, empty: String::new() }
}

fn cost(state: &State, report: &Report, add: &mut impl FnMut(&str, String, Mark)) {
    let (agent, cost) = (&report.agent, &report.agent.cost);
    for reason in &report.unhealthy {
        add("unhealthy", reason.clone(), Mark::Bad);
    }
    for note in &agent.degraded {
        add("degraded", note.clone(), Mark::Warn);
    }
    let average = if agent.uptime > 0.0 { cost.cpu_seconds / agent.uptime * 100.0 } else { 0.0 };
    let now = state.pace.map(|pace| format!("{:.2} % of a core now, ", pace.cpu * 100.0)).unwrap_or_default();
    add("cpu", format!("{now}{average:.3} % since its start ({:.2} s)", cost.cpu_seconds), Mark::Plain);
    let (rss, peak) = (bytes(cost.rss_bytes as f64), bytes(cost.peak_rss_bytes as f64));
    add("memory", format!("{rss} resident, {peak} at most"), Mark::Plain);
    let wakeups = match state.pace {
        Some(pace) => format!("{:.1} a second now, this screen's questions among them", pace.wakeups),
        None => format!("{} since its start", cost.wakeups),
    };
    add("wake-ups", wakeups, Mark::Plain);
    let events = state.pace.map(|pace| format!(", {:.1} a second now", pace.events)).unwrap_or_default();
    add("events", format!("{} told{events}", agent.seq), Mark::Plain);
}

fn kernel(report: &Report, add: &mut impl FnMut(&str, String, Mark)) {
    let kernel = &report.agent.kernel;
    let records: Vec<String> = kernel.records.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    add("records", records.join(", "), Mark::Plain);
    let runs: u64 = kernel.programs.iter().map(|program| program.run_count).sum();
    if runs == 0 {
        add("kernel side", "not measured (sysctl kernel.bpf_stats_enabled=1 does)".into(), Mark::Dim);
    } else {
        let seconds = kernel.run_time_ns() as f64 / 1e9;
        let share = if report.agent.uptime > 0.0 { seconds / report.agent.uptime * 100.0 } else { 0.0 };
        add("kernel side", format!("{seconds:.3} s in {runs} runs ({share:.3} % of a core)"), Mark::Plain);
        for program in &kernel.programs {
            let each = program.run_time_ns.checked_div(program.run_count).unwrap_or(0);
            add("", format!("{}: {} runs, {each} ns each", program.name, program.run_count), Mark::Plain);
        }
    }
    if let Some(pins) = &report.agent.pins {
        add("pins", pins.display().to_string(), Mark::Plain);
    }
    if let Some(address) = report.agent.http {
        add("metrics", format!("http://{address}/metrics"), Mark::Plain);
    }
}

fn ways_out(report: &Report, add: &mut impl FnMut(&str, String, Mark)) {
    for collector in &report.collectors {
        let (does, mark) = taking(collector.healthy, "events");
        let waiting = match collector.queued_age {
            Some(age) => format!("{} waiting for {}", collector.queued_events, span(age)),
            None => format!("{} waiting", collector.queued_events),
        };
        let (urls, sent) = (collector.urls.join(", "), collector.sent_events);
        add("collector", format!("{urls}: {does}; {sent} sent, {waiting}"), mark);
        if let Some(error) = &collector.last_error {
            add("", error.clone(), mark);
        }
    }
    if report.collectors.is_empty() {
        add("collector", "none".into(), Mark::Dim);
    }
    for destination in &report.notify {
        let (does, mark) = taking(destination.healthy, "alarms");
        let (name, url, sent, pending) = (&destination.name, &destination.url, destination.sent, destination.pending);
        add("notify", format!("{name} ({url}): {does}; {sent} sent, {pending} waiting"), mark);
        if let Some(error) = &destination.last_error {
            add("", error.clone(), mark);
        }
    }
    let spool = &report.spool;
    let held = format!("{} of {} on disk", bytes(spool.bytes as f64), bytes(spool.max_bytes as f64));
    match &spool.failing {
        Some(why) => add("spool", format!("{held}; cannot be written: {why}"), Mark::Bad),
        None => add("spool", held, Mark::Plain),
    }
}

fn taking(healthy: bool, what: &str) -> (String, Mark) {
    if healthy { (format!("takes {what}"), Mark::Plain) } else { (format!("does not take {what}"), Mark::Bad) }
}

fn losses(report: &Report, add: &mut impl FnMut(&str, String, Mark)) {
    for loss in report.lost.iter().chain(&report.dropped) {
        add("lost", format!("{} at {} ({})", loss.count, loss.place, loss.reason), Mark::Warn);
    }
    if report.lost.is_empty() && report.dropped.is_empty() {
        add("lost", "nothing".into(), Mark::Good);
    }
}
