//! What a report becomes, and that nothing in it can break the format or grow without bound.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, proptest};

use super::text::text;
use super::*;
use crate::agent::{Cost, KernelCost, ProgramCost};
use crate::engine::status::{JobAlarmStatus, JobStatus, LastRunStatus};
use crate::engine::{
    BoundStatus, GroupStatus, GroupUsage, HostBoundStatus, HostInstanceStatus, LogStatus, State, Status,
};
use crate::event::Severity;
use crate::outlet::Dropped;
use crate::serve::AgentReport;
use crate::time::Wall;
use crate::{forward, notify};

fn group(name: &str, members: usize, usage: Option<GroupUsage>, bounds: Vec<BoundStatus>) -> GroupStatus {
    GroupStatus { name: name.into(), declared: "a.yaml:1".into(), members, usage, bounds }
}

fn bound(name: &str, measure: &'static str, limit: f64, value: Option<f64>, state: State) -> BoundStatus {
    BoundStatus {
        name: name.into(),
        measure,
        bound: "max",
        severity: Severity::Critical,
        limit,
        value,
        state,
        since_seconds: None,
        nearness: value.map(|value| value / limit),
        within_seconds: None,
        lower_limit: false,
        dips_healed: 0,
        processes: None,
    }
}

fn disk(share: bool, mount: &str, value: Option<f64>) -> HostBoundStatus {
    HostBoundStatus {
        name: format!("host.disk_free.min.{}", u8::from(share)),
        declared: "a.yaml:2".into(),
        measure: "disk_free",
        bound: "min",
        severity: Severity::Warning,
        limit: 0.1,
        share,
        instances: vec![HostInstanceStatus {
            instance: Some(mount.into()),
            value,
            state: if value.is_some() { State::Healthy } else { State::Unknown },
            since_seconds: None,
            nearness: None,
            unknown: None,
            dips_healed: 0,
        }],
    }
}

fn of_engine(engine: Status) -> StatusReport {
    StatusReport { engine, ..StatusReport::default() }
}

/// The lines of the families whose names begin so, without what explains them.
fn lines(report: &StatusReport, prefix: &str) -> Vec<String> {
    let text = text(&families(report));
    text.lines().filter(|line| line.starts_with(prefix)).map(str::to_owned).collect()
}

fn check(report: &StatusReport, prefix: &str, expected: &[&str]) {
    assert_eq!(lines(report, prefix), expected, "{prefix}");
}

#[test]
fn groups_show_what_is_known_of_them() {
    let usage = GroupUsage { threads: Some(9), memory_bytes: Some(4096), cpu: Some(0.25), ..GroupUsage::default() };
    let report = of_engine(Status {
        groups: vec![group("nginx", 3, Some(usage), Vec::new()), group("cron", 0, None, Vec::new())],
        ..Status::default()
    });
    check(
        &report,
        "procprobe_group_",
        &[
            r#"procprobe_group_processes{group="nginx"} 3"#,
            r#"procprobe_group_processes{group="cron"} 0"#,
            r#"procprobe_group_threads{group="nginx"} 9"#,
            r#"procprobe_group_cpu_cores{group="nginx"} 0.25"#,
            r#"procprobe_group_resident_memory_bytes{group="nginx"} 4096"#,
        ],
    );
}

#[test]
fn bounds_are_firing_or_not_or_unknown() {
    let log = LogStatus {
        name: "app".into(),
        declared: "a.yaml:3".into(),
        matched: 4,
        quiet_seconds: None,
        bounds: vec![bound("app.lines.max", "lines", 2.0, Some(3.0), State::Firing)],
    };
    let report = of_engine(Status {
        groups: vec![group("web", 3, None, vec![bound("web.count.max", "count", 4.0, Some(3.0), State::Pending)])],
        logs: vec![log],
        host: vec![disk(true, "/srv", None)],
        ..Status::default()
    });
    let web = r#"kind="group",policy="web",alarm="web.count.max",measure="count",bound="max",severity="critical""#;
    let app = r#"kind="log",policy="app",alarm="app.lines.max",measure="lines",bound="max",severity="critical""#;
    let host = r#"kind="host",policy="host",alarm="host.disk_free.min.1",measure="disk_free",bound="min",target="/srv",severity="warning""#;
    check(
        &report,
        "procprobe_alarm_",
        &[&format!("procprobe_alarm_firing{{{web}}} 0"), &format!("procprobe_alarm_firing{{{app}}} 1")],
    );
    check(
        &report,
        "procprobe_bound_",
        &[
            &format!("procprobe_bound_unknown{{{host}}} 1"),
            &format!("procprobe_bound_limit{{{web}}} 4"),
            &format!("procprobe_bound_limit{{{app}}} 2"),
            &format!("procprobe_bound_limit{{{host}}} 0.1"),
            &format!("procprobe_bound_value{{{web}}} 3"),
            &format!("procprobe_bound_value{{{app}}} 3"),
            &format!("procprobe_bound_nearness_ratio{{{web}}} 0.75"),
            &format!("procprobe_bound_nearness_ratio{{{app}}} 1.5"),
        ],
    );
    check(&report, "procprobe_log_", &[r#"procprobe_log_matched_lines_total{log="app"} 4"#]);
}

#[test]
fn the_hosts_measures_have_their_units_in_their_names() {
    let report = of_engine(Status {
        // Two bounds on one file system, one of them in bytes.
        host: vec![disk(false, "/", Some(5e9)), disk(true, "/", Some(0.25)), disk(true, "/", Some(0.25))],
        ..Status::default()
    });
    check(
        &report,
        "procprobe_host_",
        &[
            r#"procprobe_host_disk_free_bytes{mountpoint="/"} 5000000000"#,
            r#"procprobe_host_disk_free_ratio{mountpoint="/"} 0.25"#,
        ],
    );
}

#[test]
fn jobs_show_their_last_run_and_their_next() {
    let job = |name: &str, last: Option<LastRunStatus>, next: Option<Wall>| JobStatus {
        name: name.into(),
        declared: "a.yaml:4".into(),
        schedule: next.map(|_| "0 2 * * *".into()),
        timezone: None,
        next,
        missed: 2,
        running: Vec::new(),
        last,
        alarms: vec![JobAlarmStatus {
            name: format!("{name}.success"),
            measure: "success",
            bound: None,
            severity: Severity::Warning,
            state: State::Firing,
            since_seconds: None,
            dips_healed: 0,
        }],
    };
    let last =
        |outcome| LastRunStatus { pid: 7, outcome, ended_seconds: 10.0, duration_seconds: 2.5, cpu_seconds: 0.5 };
    let jobs = vec![
        job("backup", Some(last("failed")), Some(Wall(1_700_000_100_000_000_000))),
        job("odd", Some(last("unknown")), None),
        job("new", None, None),
    ];
    let engine = Status { jobs, ..Status::default() };
    let report = StatusReport { time: Wall(1_700_000_000_000_000_000), engine, ..StatusReport::default() };
    check(
        &report,
        "procprobe_job_",
        &[
            r#"procprobe_job_runs_in_progress{job="backup"} 0"#,
            r#"procprobe_job_runs_in_progress{job="odd"} 0"#,
            r#"procprobe_job_runs_in_progress{job="new"} 0"#,
            r#"procprobe_job_missed_total{job="backup"} 2"#,
            r#"procprobe_job_next_timestamp_seconds{job="backup"} 1700000100"#,
            r#"procprobe_job_last_end_timestamp_seconds{job="backup"} 1699999990"#,
            r#"procprobe_job_last_end_timestamp_seconds{job="odd"} 1699999990"#,
            r#"procprobe_job_last_duration_seconds{job="backup"} 2.5"#,
            r#"procprobe_job_last_duration_seconds{job="odd"} 2.5"#,
            r#"procprobe_job_last_cpu_seconds{job="backup"} 0.5"#,
            r#"procprobe_job_last_cpu_seconds{job="odd"} 0.5"#,
            r#"procprobe_job_last_success{job="backup"} 0"#,
        ],
    );
    let labels = r#"kind="job",policy="backup",alarm="backup.success",measure="success",severity="warning""#;
    assert!(lines(&report, "procprobe_alarm_firing").contains(&format!("procprobe_alarm_firing{{{labels}}} 1")));
}

#[test]
fn the_daemon_shows_its_own_cost_and_losses() {
    let program = |name: &str, run_count| ProgramCost { name: name.into(), run_count, run_time_ns: 1_500_000 };
    let dropped = |place: &str, count| Dropped { place: place.into(), reason: "queue_full".into(), count };
    let report = StatusReport {
        time: Wall(1_700_000_010_123_456_789),
        agent: AgentReport {
            version: "1.2".into(),
            uptime: 10.0,
            cost: Cost { cpu_seconds: 0.5, rss_bytes: 5 << 20, peak_rss_bytes: 6 << 20, wakeups: 7 },
            kernel: KernelCost {
                programs: vec![program("exec", 3), program("never", 0)],
                records: vec![("start".into(), 5)],
                missing: 0,
            },
            ..AgentReport::default()
        },
        lost: vec![Dropped { place: "kernel".into(), reason: "ring_full".into(), count: 3 }],
        // Two collectors say so.
        dropped: vec![dropped("forward", 1), dropped("stdout", 2), dropped("forward", 3)],
        ..StatusReport::default()
    };
    for (name, expected) in [
        ("procprobe_build_info", vec![r#"procprobe_build_info{version="1.2"} 1"#]),
        ("procprobe_start_time", vec!["procprobe_start_time_seconds 1700000000.123"]),
        ("procprobe_cpu_seconds", vec!["procprobe_cpu_seconds_total 0.5"]),
        ("procprobe_resident_memory_bytes", vec!["procprobe_resident_memory_bytes 5242880"]),
        (
            "procprobe_kernel_",
            vec![
                r#"procprobe_kernel_program_run_seconds_total{program="exec"} 0.0015"#,
                r#"procprobe_kernel_program_runs_total{program="exec"} 3"#,
            ],
        ),
        ("procprobe_records_total", vec![r#"procprobe_records_total{kind="start"} 5"#]),
        (
            "procprobe_events_dropped",
            vec![
                r#"procprobe_events_dropped_total{where="forward",reason="queue_full"} 4"#,
                r#"procprobe_events_dropped_total{where="stdout",reason="queue_full"} 2"#,
            ],
        ),
    ] {
        check(&report, name, &expected);
    }
    let lost = lines(&report, "procprobe_records_lost_total");
    assert!(lost.contains(&r#"procprobe_records_lost_total{reason="ring_full"} 3"#.to_owned()), "{lost:?}");
    assert!(lost.contains(&r#"procprobe_records_lost_total{reason="undecodable"} 0"#.to_owned()), "{lost:?}");
}

#[test]
fn ways_out_are_told_apart() {
    let collector = |name: &str, failures| forward::Status {
        name: name.into(),
        healthy: failures == 0,
        failures,
        ..forward::Status::default()
    };
    let report = StatusReport {
        collectors: vec![collector("http://a/", 0), collector("http://b/", 2), collector("http://a/ 2", 1)],
        notify: vec![notify::Status {
            name: "ops".into(),
            kind: "webhook".into(),
            healthy: true,
            ..notify::Status::default()
        }],
        ..StatusReport::default()
    };
    check(
        &report,
        "procprobe_collector_up",
        &[
            r#"procprobe_collector_up{collector="http://a/"} 1"#,
            r#"procprobe_collector_up{collector="http://b/"} 0"#,
            r#"procprobe_collector_up{collector="http://a/ 2"} 0"#,
        ],
    );
    check(&report, "procprobe_notify_up", &[r#"procprobe_notify_up{destination="ops",kind="webhook"} 1"#]);
}

#[test]
fn what_is_left_out_is_a_metric() {
    let groups: Vec<_> = (0..50).map(|number| group(&format!("g{number}"), 1, None, Vec::new())).collect();
    let report = of_engine(Status { groups, ..Status::default() });
    let whole: usize = families(&report).iter().map(|family| family.points.len()).sum();
    for room in [0, 1, 20, whole - 2, whole - 1, whole] {
        let families = gather(&report, room);
        let points: usize = families.iter().map(|family| family.points.len()).sum();
        let told = families.last().map(|family| (family.name, family.points[0].value));
        // The one that tells is not one of them.
        let kept = (whole - 1).min(room);
        assert_eq!(points, kept + 1, "room for {room}");
        assert_eq!(told, Some(("procprobe_metrics_points_left_out", (whole - 1 - kept) as f64)));
    }
    let long = "x".repeat(LABELS_MAX / 2 + 1);
    let groups = vec![group(&long, 1, None, Vec::new()), group("short", 2, None, Vec::new())];
    let text = text(&families(&of_engine(Status { groups: [groups.clone(), groups].concat(), ..Status::default() })));
    assert!(text.len() < LABELS_MAX + (1 << 16));
    assert!(text.contains("procprobe_group_processes{group=\"short\"} 2"), "others are not kept out");
}

/// Name, labels, value.
type Series = (String, Vec<(String, String)>, f64);

/// A second reading of the format, from its description: names and unescaped labels of each series.
fn read(text: &str) -> Vec<Series> {
    let mut series = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let end = line.find(['{', ' ']).unwrap();
        let (name, mut rest) = line.split_at(end);
        let mut labels = Vec::new();
        while let Some(body) = rest.strip_prefix(['{', ',']) {
            let (label, value) = body.split_once("=\"").unwrap();
            let mut text = String::new();
            let mut characters = value.char_indices();
            loop {
                match characters.next().unwrap() {
                    (at, '"') => {
                        rest = &value[at + 1..];
                        break;
                    }
                    (_, '\\') => text.push(match characters.next().unwrap().1 {
                        'n' => '\n',
                        other => other,
                    }),
                    (_, other) => text.push(other),
                }
            }
            labels.push((label.to_owned(), text));
        }
        let value = rest.strip_prefix('}').unwrap_or(rest).strip_prefix(' ').unwrap();
        series.push((name.to_owned(), labels, value.parse().unwrap()));
    }
    series
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_names_hold_they_are_read_as_they_are(
        names in vec("(?s).{0,12}|[\\\\\"\n{},= #]{0,6}", 1..8),
        values in vec(any::<f64>(), 8),
        mount in "(?s).{1,20}",
    ) {
        let groups = names.iter().zip(&values).map(|(name, value)| {
            let bounds = vec![bound(name, "count", *value, Some(*value), State::Healthy)];
            group(name, 1, Some(GroupUsage { cpu: Some(*value), ..GroupUsage::default() }), bounds)
        });
        let groups_given = names.iter().collect::<BTreeSet<_>>().len();
        let host = vec![disk(false, &mount, Some(1.0))];
        let report = of_engine(Status { groups: groups.collect(), host, ..Status::default() });
        let families = families(&report);
        let expected: Vec<_> = families.iter().flat_map(|family| family.points.iter().map(|point| {
            let labels = point.labels.iter().map(|(name, value)| ((*name).to_owned(), value.to_string()));
            (family.name.to_owned(), labels.collect::<Vec<_>>(), point.value)
        })).collect();
        let found = read(&text(&families));
        assert_eq!(found, expected);
        let series: BTreeSet<_> = found.iter().map(|(name, labels, _)| (name, labels)).collect();
        assert_eq!(series.len(), found.len(), "no series comes twice");
        let names: BTreeSet<_> = families.iter().map(|family| family.name).collect();
        assert_eq!(names.len(), families.len(), "no family comes twice");
        let shown = found.iter().filter(|(name, ..)| name == "procprobe_group_processes").count();
        assert_eq!(shown, groups_given, "every group is there");
    }
}
