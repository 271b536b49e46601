//! The daemon's answer as text. What is missing in it (an older daemon) is left out.

mod host;
mod jobs;
mod logs;
mod peers;
mod ways;

use std::fmt::Write as _;

use serde_json::Value;

use crate::cli::words::{amount, bytes, span, table};
use crate::event::clean;

/// One page: the daemon, its cost, groups and bounds, alarms, what is done about them, ways out, losses.
pub(super) fn text(report: &Value) -> String {
    let mut page = String::new();
    agent(&mut page, &report["agent"], &report["engine"]);
    for reason in list(&report["unhealthy"]) {
        let _ = writeln!(page, "unhealthy: {}", word(reason));
    }
    page.push('\n');
    groups(&mut page, &report["engine"]);
    logs::logs(&mut page, &report["engine"], &report["log_files"]);
    peers::sets(&mut page, &report["engine"]);
    for action in list(&report["engine"]["actions"]) {
        self::action(&mut page, action);
    }
    page.push('\n');
    for collector in list(&report["collectors"]) {
        ways::collector(&mut page, collector);
    }
    if list(&report["collectors"]).is_empty() {
        page.push_str("collector: none\n");
    }
    peers::site(&mut page, &report["peers"]);
    ways::spool(&mut page, &report["spool"]);
    ways::measures(&mut page, &report["measures"]);
    for destination in list(&report["notify"]) {
        ways::destination(&mut page, destination);
    }
    losses(&mut page, report);
    page
}

fn agent(page: &mut String, agent: &Value, engine: &Value) {
    let uptime = agent["uptime"].as_f64().unwrap_or(0.0);
    let _ = writeln!(
        page,
        "procprobe {} on {}, pid {}, up {}, {} processes, {} events",
        word(&agent["version"]),
        word(&agent["host"]),
        agent["pid"],
        span(uptime),
        engine["processes"].as_u64().or_else(|| agent["processes"].as_u64()).unwrap_or(0),
        agent["seq"],
    );
    let (cost, kernel) = (&agent["cost"], &agent["kernel"]);
    let cpu = cost["cpu_seconds"].as_f64().unwrap_or(0.0);
    let wakeups = cost["wakeups"].as_f64().unwrap_or(0.0);
    let per_second = |amount: f64| if uptime > 0.0 { amount / uptime } else { 0.0 };
    let _ = writeln!(
        page,
        "cost: {cpu:.2} s of CPU ({:.3} % of a core), {} resident (at most {}), {:.1} wake-ups/s",
        per_second(cpu) * 100.0,
        bytes(cost["rss_bytes"].as_f64().unwrap_or(0.0)),
        bytes(cost["peak_rss_bytes"].as_f64().unwrap_or(0.0)),
        per_second(wakeups),
    );
    let programs = list(&kernel["programs"]);
    let runs: u64 = programs.iter().filter_map(|program| program["run_count"].as_u64()).sum();
    if runs == 0 {
        page.push_str("kernel side: not measured (sysctl kernel.bpf_stats_enabled=1 does)\n");
    } else {
        let time: f64 = programs.iter().filter_map(|program| program["run_time_ns"].as_f64()).sum::<f64>() / 1e9;
        let _ = writeln!(page, "kernel side: {time:.3} s in {runs} runs ({:.3} % of a core)", per_second(time) * 100.0);
        for program in programs {
            let runs = program["run_count"].as_f64().unwrap_or(0.0);
            let each = if runs > 0.0 { program["run_time_ns"].as_f64().unwrap_or(0.0) / runs } else { 0.0 };
            let _ = writeln!(page, "  {:<20} {runs:>10} runs, {each:.0} ns each", word(&program["name"]));
        }
    }
    let records: Vec<String> = list(&kernel["records"])
        .iter()
        .filter_map(|pair| Some(format!("{} {}", pair[1].as_u64()?, word(&pair[0]))))
        .collect();
    if !records.is_empty() {
        let _ = writeln!(page, "records: {}", records.join(", "));
    }
    if let Some(path) = agent["pins"].as_str() {
        let _ = writeln!(page, "pins: {}", clean(path));
    }
    if let Some(address) = agent["http"].as_str() {
        let _ = writeln!(page, "page: http://{}/ (metrics: /metrics)", clean(address));
    }
    for note in list(&agent["degraded"]) {
        let _ = writeln!(page, "degraded: {}", word(note));
    }
}

/// `action: restart-nginx for nginx.count.min, under way for 3s`
fn action(page: &mut String, action: &Value) {
    let instance = action["instance"].as_str().map(|instance| format!(" ({})", clean(instance))).unwrap_or_default();
    let since = span(action["since_seconds"].as_f64().unwrap_or(0.0));
    let (name, alarm) = (word(&action["name"]), word(&action["alarm"]));
    let _ = writeln!(page, "action: {name} for {alarm}{instance}, under way for {since}");
}

fn groups(page: &mut String, engine: &Value) {
    if let Some(grace) = engine["grace_seconds"].as_f64() {
        let _ = writeln!(page, "start grace: nothing fires for another {}", span(grace));
    }
    if engine["degraded"].as_bool() == Some(true) {
        page.push_str("records were lost: nothing is judged until the process table is right again\n");
    }
    let groups = list(&engine["groups"]);
    if groups.is_empty() && list(&engine["jobs"]).is_empty() {
        page.push_str("no groups\n");
    }
    let mut rows = vec![["GROUP", "MEMBERS", "BOUND", "VALUE", "LIMIT", "NEAR", "STATE"].map(str::to_owned)];
    for group in groups {
        let mut head = [word(&group["name"]), group["members"].to_string()];
        if list(&group["bounds"]).is_empty() {
            let [name, members] = head.clone();
            rows.push([name, members, "-".into(), String::new(), String::new(), String::new(), String::new()]);
        }
        for bound in list(&group["bounds"]) {
            // Names are told once, above the bounds that belong to them.
            let [name, members] = std::mem::take(&mut head);
            rows.push(bound_row(name, members, bound));
        }
    }
    if rows.len() > 1 {
        table(page, &rows);
    }
    jobs::jobs(page, engine);
    host::table(page, &engine["host"]);
    let firing: Vec<String> = list(&engine["firing"]).iter().map(word).collect();
    let firing = if firing.is_empty() { "nothing".to_owned() } else { firing.join(", ") };
    let _ = writeln!(page, "firing: {firing}");
}

fn bound_row(group: String, members: String, bound: &Value) -> [String; 7] {
    let measure = bound["measure"].as_str().unwrap_or_default();
    let within = bound["within_seconds"].as_f64().map(|within| format!(" in {}", span(within))).unwrap_or_default();
    let value = bound["value"].as_f64().map_or_else(|| "?".to_owned(), |value| amount(measure, value));
    let at_least = if bound["lower_limit"].as_bool() == Some(true) { ">= " } else { "" };
    let near = bound["nearness"].as_f64().map(|near| format!("{:.0} %", near * 100.0)).unwrap_or_default();
    let since = bound["since_seconds"].as_f64().map(|since| format!(" {}", span(since))).unwrap_or_default();
    [
        group,
        members,
        format!("{measure}{within}"),
        format!("{at_least}{value}"),
        format!("{} {}", word(&bound["bound"]), amount(measure, bound["limit"].as_f64().unwrap_or(0.0))),
        near,
        format!("{}{since}", word(&bound["state"])),
    ]
}

fn losses(page: &mut String, report: &Value) {
    let told: Vec<String> = ["lost", "dropped"]
        .iter()
        .flat_map(|key| list(&report[*key]))
        .map(|loss| format!("{} at {} ({})", loss["count"], word(&loss["where"]), word(&loss["reason"])))
        .collect();
    let told = if told.is_empty() { "nothing".to_owned() } else { told.join(", ") };
    let _ = writeln!(page, "lost or dropped: {told}");
}

pub(in crate::cli) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(in crate::cli) fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| "?".to_owned(), clean)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_whole_page() {
        let report = json!({
            "agent": {"version": "0.1.0", "host": "web-1", "pid": 7, "uptime": 100.0, "seq": 42, "degraded": ["no\nid"],
                "pins": "/sys/fs/bpf/p\u{1b}",
                "cost": {"cpu_seconds": 0.5, "rss_bytes": 6_291_456, "peak_rss_bytes": 7_340_032, "wakeups": 110},
                "kernel": {"programs": [{"name": "exec", "run_count": 4, "run_time_ns": 2000}],
                    "records": [["exec", 4], ["exit", 3]]}},
            "engine": {"processes": 3, "grace_seconds": 4.0, "firing": ["nginx.count.min"], "groups": [
                {"name": "nginx", "members": 1, "bounds": [
                    {"measure": "count", "bound": "min", "limit": 2.0, "value": 1.0, "nearness": 2.0,
                     "state": "firing", "since_seconds": 75.0},
                    {"measure": "memory", "bound": "max", "limit": 1_073_741_824.0, "value": null, "state": "healthy"},
                    {"measure": "starts", "bound": "max", "limit": 5.0, "value": 4.0, "nearness": 0.8,
                     "within_seconds": 60.0, "lower_limit": true, "state": "healthy"}]},
                {"name": "idle", "members": 0, "bounds": []}],
                "actions": [{"name": "restart", "alarm": "nginx.count.min", "policy": "nginx", "since_seconds": 3.0},
                    {"name": "stop", "alarm": "nginx.memory.max", "instance": "42", "since_seconds": 61}]},
            "collectors": [{"urls": ["http://c/", "http://d/"], "proxies": {"http://d/": "http://proxy:3128"},
                "healthy": false, "sent_events": 3, "queued_events": 2, "queued_age": 75.4,
                "last_error": "http://c/: HTTP 503", "suspects": 1, "notes": ["token_file /t: empty"],
                "metrics": {"every": 15.0, "healthy": false, "sent": 12, "waiting": 3, "last_error": "http://c/: HTTP 503"}}],
            "spool": {"bytes": 2048, "max_bytes": 1 << 20, "unwritten": 3, "failing": "No space left on device",
                "failing_seconds": 200.0},
            "measures": {"bytes": 3072, "max_bytes": 64 << 20, "groups": 2, "groups_left_out": 1, "seconds_reach": 2400.0,
                "minutes_reach": 172_800.0, "short": true, "lost_blocks": 4, "failing": "No space left on device"},
            "notify": [{"name": "ops", "kind": "webhook", "url": "https://h/", "healthy": false, "pending": 2, "sent": 1,
                    "failed": 0, "last_error": "HTTP 500"},
                {"name": "pager", "kind": "alertmanager", "url": "http://a/", "healthy": true, "pending": 0, "active": 3,
                    "sent": 9, "failed": 0, "last_error": null}],
            "dropped": [{"where": "forward", "reason": "queue_full", "count": 9}], "lost": [],
        });
        insta::assert_snapshot!(text(&report), @r"
        procprobe 0.1.0 on web-1, pid 7, up 1m40s, 3 processes, 42 events
        cost: 0.50 s of CPU (0.500 % of a core), 6.0 MiB resident (at most 7.0 MiB), 1.1 wake-ups/s
        kernel side: 0.000 s in 4 runs (0.000 % of a core)
          exec                          4 runs, 500 ns each
        records: 4 exec, 3 exit
        pins: /sys/fs/bpf/p\x1b
        degraded: no\nid

        start grace: nothing fires for another 4s
        GROUP  MEMBERS  BOUND         VALUE  LIMIT        NEAR   STATE
        nginx  1        count         1      min 2        200 %  firing 1m15s
                        memory        ?      max 1.0 GiB         healthy
                        starts in 1m  >= 4   max 5        80 %   healthy
        idle   0        -
        firing: nginx.count.min
        action: restart for nginx.count.min, under way for 3s
        action: stop for nginx.memory.max (42), under way for 1m1s

        collector http://c/, http://d/ (by http://proxy:3128): does not take events; 3 sent, 2 waiting for 1m15s
          http://c/: HTTP 503
          it breaks over 1 of them: they come late, in smaller parts
          metrics every 15s: not taken; 12 sent, 3 waiting
            http://c/: HTTP 503
          token_file /t: empty
        spool: 2.0 KiB of 1.0 MiB on disk; cannot be written for 3m20s, 3 events wait in memory: No space left on device
        measures: of 2 groups, 1 without room; 3.0 KiB of 64.0 MiB on disk; each second for 40m, each minute for 2d; the oldest went for want of room; 4 blocks lost; cannot be written: No space left on device
        notify ops (webhook https://h/): does not take alarms; 1 sent, 2 waiting, 0 refused
          HTTP 500
        notify pager (alertmanager http://a/): takes alarms; 9 sent, 0 waiting, 0 refused, 3 on
        lost or dropped: 9 at forward (queue_full)
        ");
    }

    #[test]
    fn an_answer_from_another_version_is_still_shown() {
        let page = text(&json!({"agent": {"version": 7}, "engine": [], "collectors": {"a": 1}, "lost": [1, null]}));
        assert!(page.contains("no groups") && page.contains("collector: none"), "{page}");
    }
}
