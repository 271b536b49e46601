//! The summary as text.

use std::fmt::Write as _;

use super::groups::Groups;
use super::summary::{Alarm, Job, Summary};
use super::used;
use crate::cli::words::{bytes, span, table};
use crate::event::clean;

/// One page: alarms, jobs, processes, groups, losses, the daemon itself.
pub(super) fn text(since: &str, sum: &Summary, groups: &Groups) -> String {
    let mut page = String::new();
    let (first, last) = (sum.first.as_deref().unwrap_or("-"), sum.last.as_deref().unwrap_or("-"));
    let host = if sum.host.is_empty() { "this host".to_owned() } else { clean(&sum.host) };
    let _ = writeln!(page, "{host}, the last {since}: {} events from {} to {}", sum.events, short(first), short(last));
    if sum.not_understood + sum.not_told_apart > 0 {
        let (odd, many) = (sum.not_understood, sum.not_told_apart);
        let _ = writeln!(
            page,
            "not in these figures: {odd} lines that this version does not understand, {many} of too many kinds"
        );
    }
    page.push('\n');
    alarms(&mut page, &sum.alarms);
    jobs(&mut page, &sum.jobs);
    processes(&mut page, sum);
    used::text(&mut page, groups);
    let told: Vec<String> = sum
        .losses
        .iter()
        .map(|loss| format!("{} at {} ({})", loss.count, clean(&loss.place), clean(&loss.reason)))
        .collect();
    let _ = writeln!(page, "lost or dropped: {}", if told.is_empty() { "nothing".into() } else { told.join(", ") });
    let daemon = &sum.daemon;
    let _ = writeln!(
        page,
        "daemon: starts {}, clean ends {}, reloads {}, refused ones {}, changes of what is left out {}; collectors out of \
         reach {}, disk failures {}",
        daemon.started,
        daemon.stopped,
        daemon.reloaded,
        daemon.refused_reloads,
        daemon.shed,
        daemon.collector_down,
        daemon.disk_failing,
    );
    page
}

/// A time without its fraction of a second.
pub(super) fn short(time: &str) -> String {
    clean(time.split_once('.').map_or(time, |(seconds, _)| seconds).trim_end_matches('Z')).replace('T', " ")
}

fn alarms(page: &mut String, alarms: &[Alarm]) {
    if alarms.is_empty() {
        page.push_str("no alarms\n\n");
        return;
    }
    let mut rows = vec![["ALARM", "SEVERITY", "FIRED", "WAS ON", "LONGEST", "NOW"].map(str::to_owned)];
    for alarm in alarms {
        let now = match (alarm.on, alarm.flapping) {
            (true, true) => "on, flapping",
            (true, false) => "on",
            (false, true) => "over, flapping",
            (false, false) => "over",
        };
        let name = format!("{} {}", clean(&alarm.name()), alarm.limit);
        let (severity, fired) = (clean(&alarm.severity), alarm.fired.to_string());
        rows.push([name, severity, fired, span(alarm.firing_seconds), span(alarm.longest_seconds), now.to_owned()]);
    }
    table(page, &rows);
    for alarm in alarms.iter().filter(|alarm| alarm.on) {
        let _ = writeln!(page, "on: {}", clean(&alarm.last));
    }
    page.push('\n');
}

fn jobs(page: &mut String, jobs: &[Job]) {
    if jobs.is_empty() {
        return;
    }
    let heads = ["JOB", "SUCCEEDED", "FAILED", "MISSED", "OVERRAN", "OVERLAPPED", "LONGEST", "CPU"];
    let mut rows = vec![heads.map(str::to_owned)];
    for job in jobs {
        let counts =
            [job.succeeded, job.failed, job.missed, job.overran, job.overlapped].map(|count| count.to_string());
        let [succeeded, failed, missed, overran, overlapped] = counts;
        let (longest, cpu) = (span(job.longest_seconds), format!("{:.2} s", job.cpu_seconds));
        rows.push([clean(&job.name), succeeded, failed, missed, overran, overlapped, longest, cpu]);
    }
    table(page, &rows);
    page.push('\n');
}

fn processes(page: &mut String, sum: &Summary) {
    let all = &sum.processes;
    let _ = writeln!(
        page,
        "processes that were told: {} started, {} ended, {} of these within a second; {} failed, {} killed by a signal, {} by \
         the OOM killer; {:.2} s of CPU",
        all.started, all.ended, all.short_lived, all.failed, all.by_signal, all.by_oom, all.cpu_seconds,
    );
    if sum.top_cpu.is_empty() {
        page.push('\n');
        return;
    }
    let mut rows = vec![["PROGRAM", "ENDED", "CPU", "PEAK MEMORY"].map(str::to_owned)];
    for program in &sum.top_cpu {
        let peak = if program.peak_bytes > 0 { bytes(program.peak_bytes as f64) } else { "?".to_owned() };
        let name = clean(&program.name);
        rows.push([name, program.ended.to_string(), format!("{:.2} s", program.cpu_seconds), peak]);
    }
    table(page, &rows);
    page.push('\n');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::summary::Adder;
    use super::*;

    #[test]
    fn a_whole_page() {
        let mut adder = Adder::default();
        let mut add = |name: &str, severity: &str, body: &str, facts: serde_json::Value| {
            let event = json!({"time": "2026-11-22T01:02:03.5Z", "name": format!("procprobe.{name}"), "severity": severity,
                "body": body, "host": {"host.name": "web\u{7}1"}, "attributes": facts});
            adder.line(event.to_string().as_bytes());
        };
        let web = json!({"policy.name": "web", "policy.kind": "group", "measure": "count", "bound": "min", "limit": 2});
        for _ in 0..3 {
            add("policy.firing", "critical", "web: 1 process, minimum 2", web.clone());
        }
        let mut over = web;
        over["duration"] = json!(75.0);
        add("policy.resolved", "critical", "web: 2 processes", over.clone());
        add("policy.firing", "critical", "web: 1\u{1b}", over);
        add("job.failed", "warning", "", json!({"job.name": "backup", "duration": 90.0, "process.cpu.time": 1.5}));
        add("process.start", "info", "", json!({}));
        let exe = json!({"process.executable.path": "/bin/\u{1b}[31m", "process.uptime": 0.1, "process.cpu.time": 0.25,
            "process.exit.code": 1, "process.memory.peak": 1 << 20});
        add("process.exit", "info", "", exe);
        add("agent.lost", "warning", "", json!({"where": "kernel", "reason": "ring_full", "count": 5}));
        insta::assert_snapshot!(text("24h", &adder.summary(), &Groups::default()), @r"
        web\x071, the last 24h: 9 events from 2026-11-22 01:02:03 to 2026-11-22 01:02:03

        ALARM            SEVERITY  FIRED  WAS ON  LONGEST  NOW
        web.count.min 2  critical  4      1m15s   1m15s    on, flapping
        on: web: 1\x1b

        JOB     SUCCEEDED  FAILED  MISSED  OVERRAN  OVERLAPPED  LONGEST  CPU
        backup  0          1       0       0        0           1m30s    1.50 s

        processes that were told: 1 started, 1 ended, 1 of these within a second; 1 failed, 0 killed by a signal, 0 by the OOM killer; 0.25 s of CPU
        PROGRAM        ENDED  CPU     PEAK MEMORY
        /bin/\x1b[31m  1      0.25 s  1.0 MiB

        suggested bounds: none, for less than an hour is known of every group

        lost or dropped: 5 at kernel (ring_full)
        daemon: starts 0, clean ends 0, reloads 0, refused ones 0, changes of what is left out 0; collectors out of reach 0, disk failures 0
        ");
    }

    #[test]
    fn nothing_happened() {
        insta::assert_snapshot!(text("10m", &Adder::default().summary(), &Groups::default()), @r"
        this host, the last 10m: 0 events from - to -

        no alarms

        processes that were told: 0 started, 0 ended, 0 of these within a second; 0 failed, 0 killed by a signal, 0 by the OOM killer; 0.00 s of CPU

        suggested bounds: none, for less than an hour is known of every group

        lost or dropped: nothing
        daemon: starts 0, clean ends 0, reloads 0, refused ones 0, changes of what is left out 0; collectors out of reach 0, disk failures 0
        ");
    }
}
