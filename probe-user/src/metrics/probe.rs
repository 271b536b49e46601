//! What the daemon says of itself: its cost, what it lost, and how its ways out stand.

use std::time::Duration;

use super::{Family, Gathered, Point, flag, point, timestamp};
use crate::agent::ProgramCost;
use crate::forward;
use crate::notify;
use crate::outlet::Dropped;
use crate::record::Lost;
use crate::serve::StatusReport;
use crate::spool;

pub(super) fn put(report: &StatusReport, out: &mut Gathered) {
    life(report, out);
    kernel(report, out);
    losses(report, out);
    spool(&report.spool, out);
    collectors(&report.collectors, out);
    destinations(&report.notify, out);
}

fn life(report: &StatusReport, out: &mut Gathered) {
    let agent = &report.agent;
    let one = |value: f64| [point(&[], value)];
    out.put(
        Family::gauge("procprobe_build_info", "1", "Always 1; the labels say which procprobe this is."),
        [point(&[("version", &agent.version)], 1.0)],
    );
    let uptime = Duration::try_from_secs_f64(agent.uptime).unwrap_or_default();
    let began = report.time.0.saturating_sub(i64::try_from(uptime.as_nanos()).unwrap_or(0));
    out.put(
        Family::gauge("procprobe_start_time_seconds", "s", "When the daemon started, seconds since 1970."),
        one(timestamp(began)),
    );
    out.put(
        Family::counter("procprobe_cpu_seconds_total", "s", "CPU time of the daemon, user and system."),
        one(agent.cost.cpu_seconds),
    );
    out.put(
        Family::gauge("procprobe_resident_memory_bytes", "By", "Resident memory of the daemon."),
        one(agent.cost.rss_bytes as f64),
    );
    out.put(
        Family::gauge("procprobe_resident_memory_peak_bytes", "By", "The most that it ever was."),
        one(agent.cost.peak_rss_bytes as f64),
    );
    out.put(
        Family::counter("procprobe_wakeups_total", "{wakeup}", "How often the daemon's threads were woken."),
        one(agent.cost.wakeups as f64),
    );
    out.put(
        Family::gauge("procprobe_processes", "{process}", "Processes in the daemon's table."),
        one(report.engine.processes as f64),
    );
    out.put(
        Family::gauge("procprobe_degradations", "{note}", "What works less well than it should; `status` names it."),
        one(agent.degraded.len() as f64),
    );
    out.put(
        Family::gauge(
            "procprobe_process_table_in_doubt",
            "1",
            "1 while records were lost and the table was not put right: nothing is judged.",
        ),
        one(flag(report.engine.degraded)),
    );
    out.put(
        Family::gauge("procprobe_last_event_sequence", "{event}", "Number of the last event of this boot."),
        one(agent.seq as f64),
    );
}

/// The kernel counts runs and their time only while `kernel.bpf_stats_enabled` is set, which has a cost of its own:
/// nobody sets it for the metrics' sake.
fn kernel(report: &StatusReport, out: &mut Gathered) {
    let kernel = &report.agent.kernel;
    let counted = || kernel.programs.iter().filter(|program| program.run_count > 0);
    let of = |program: &ProgramCost, value: f64| point(&[("program", &program.name)], value);
    out.put(
        Family::counter(
            "procprobe_kernel_program_run_seconds_total",
            "s",
            "Time inside each kernel program; there only while kernel.bpf_stats_enabled is set.",
        ),
        counted().map(|program| of(program, Duration::from_nanos(program.run_time_ns).as_secs_f64())),
    );
    out.put(
        Family::counter(
            "procprobe_kernel_program_runs_total",
            "{run}",
            "Runs of each kernel program; there only while kernel.bpf_stats_enabled is set.",
        ),
        counted().map(|program| of(program, program.run_count as f64)),
    );
    out.put(
        Family::counter("procprobe_records_total", "{record}", "Records received from the kernel, by kind."),
        kernel.records.iter().map(|(kind, count)| point(&[("kind", kind)], *count as f64)),
    );
}

fn losses(report: &StatusReport, out: &mut Gathered) {
    // Also those that did not happen: a counter that appears with its first loss shows no increase.
    let lost = Lost::all().map(|reason| {
        let reason = reason.as_str();
        let count = report.lost.iter().filter(|lost| lost.reason == reason).map(|lost| lost.count).sum::<u64>();
        point(&[("reason", reason)], count as f64)
    });
    out.put(
        Family::counter("procprobe_records_lost_total", "{record}", "Records lost on the way from the kernel."),
        lost,
    );
    let mut dropped: Vec<Dropped> = Vec::new();
    for more in &report.dropped {
        let same = |other: &&mut Dropped| other.place == more.place && other.reason == more.reason;
        match dropped.iter_mut().find(same) {
            Some(known) => known.count += more.count,
            None => dropped.push(more.clone()),
        }
    }
    out.put(
        Family::counter("procprobe_events_dropped_total", "{event}", "Events that did not go out, by way and reason."),
        dropped.iter().map(|drop| point(&[("where", &drop.place), ("reason", &drop.reason)], drop.count as f64)),
    );
}

fn spool(spool: &spool::Status, out: &mut Gathered) {
    let mut put = |family: Family, value: f64| out.put(family, [point(&[], value)]);
    put(Family::gauge("procprobe_spool_bytes", "By", "Size of the files that events lie in."), spool.bytes as f64);
    put(Family::gauge("procprobe_spool_limit_bytes", "By", "What they may grow to."), spool.max_bytes as f64);
    put(
        Family::gauge("procprobe_spool_unwritten_events", "{event}", "Events that are not on disk yet."),
        spool.unwritten as f64,
    );
    put(
        Family::gauge("procprobe_spool_failing", "1", "1 while the disk does not take events."),
        flag(spool.failing.is_some()),
    );
}

fn collectors(collectors: &[forward::Status], out: &mut Gathered) {
    let mut put = |family: Family, value: fn(&forward::Status) -> f64| {
        let points = collectors.iter().map(|status| point(&[("collector", &status.name)], value(status)));
        out.put(family, points.collect::<Vec<Point>>());
    };
    put(
        Family::gauge("procprobe_collector_up", "1", "1 when the last request was acknowledged, or none was made yet."),
        |status| flag(status.healthy),
    );
    put(
        Family::gauge("procprobe_collector_failures_in_a_row", "{failure}", "Requests that failed since one did not."),
        |status| status.failures as f64,
    );
    put(
        Family::gauge("procprobe_collector_unreached_seconds", "s", "For so long all requests failed; 0 while not."),
        |status| status.unreached_seconds.unwrap_or_default(),
    );
    put(
        Family::gauge("procprobe_collector_waiting_events", "{event}", "Events that the collector has not got yet."),
        |status| status.queued_events as f64,
    );
    put(
        Family::gauge(
            "procprobe_collector_waiting_age_seconds",
            "s",
            "Since the oldest of them happened; 0 without any.",
        ),
        |status| status.queued_age.unwrap_or_default(),
    );
    put(
        Family::counter("procprobe_collector_sent_events_total", "{event}", "Events that the collector acknowledged."),
        |status| status.sent_events as f64,
    );
    put(
        Family::counter(
            "procprobe_collector_sent_requests_total",
            "{request}",
            "Requests that the collector acknowledged.",
        ),
        |status| status.sent_batches as f64,
    );
}

fn destinations(destinations: &[notify::Status], out: &mut Gathered) {
    let mut put = |family: Family, value: fn(&notify::Status) -> f64| {
        let of =
            |status: &notify::Status| point(&[("destination", &status.name), ("kind", &status.kind)], value(status));
        out.put(family, destinations.iter().map(of).collect::<Vec<Point>>());
    };
    put(
        Family::gauge("procprobe_notify_up", "1", "1 when the last notification was taken, or none was made yet."),
        |status| flag(status.healthy),
    );
    put(
        Family::gauge("procprobe_notify_waiting", "{notification}", "Notifications that the destination lacks."),
        |status| status.pending as f64,
    );
    put(Family::counter("procprobe_notify_sent_total", "{notification}", "Notifications that were taken."), |status| {
        status.sent as f64
    });
    put(
        Family::counter("procprobe_notify_failed_total", "{notification}", "Notifications refused for good."),
        |status| status.failed as f64,
    );
}
