//! Events in, sums out.

use serde_json::json;

use super::*;

fn event(minute: u32, name: &str, severity: &str, facts: &serde_json::Value) -> String {
    let time = format!("2026-11-22T{:02}:{:02}:00Z", minute / 60, minute % 60);
    json!({"time": time, "name": format!("procprobe.{name}"), "severity": severity, "body": format!("{name} at {minute}"),
        "host": {"host.name": "web-1"}, "attributes": facts})
    .to_string()
}

fn summed(lines: &[String]) -> Summary {
    let mut adder = Adder::default();
    for line in lines {
        adder.line(line.as_bytes());
    }
    adder.summary()
}

fn bound(policy: &str, more: &serde_json::Value) -> serde_json::Value {
    let mut facts =
        json!({"policy.name": policy, "policy.kind": "group", "measure": "count", "bound": "min", "limit": 2});
    facts.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    facts
}

#[test]
fn an_alarm_is_told_with_how_often_and_how_long_it_was_on() {
    let fires = |minute, policy| event(minute, "policy.firing", "critical", &bound(policy, &json!({})));
    let ends = |minute, policy, seconds| {
        event(minute, "policy.resolved", "critical", &bound(policy, &json!({"duration": seconds})))
    };
    let again = event(5, "policy.firing", "critical", &bound("web", &json!({"repeated": true})));
    let sum = summed(&[
        fires(0, "web"),
        again,
        ends(10, "web", 600.0),
        fires(20, "web"),
        ends(21, "web", 60.0),
        fires(70, "db"),
        fires(75, "web"),
    ]);
    let [web, db] = sum.alarms.as_slice() else { panic!("{sum:?}") };
    assert_eq!((web.name().as_str(), web.fired, web.resolved, web.on), ("web.count.min", 3, 2, true));
    assert_eq!((web.firing_seconds, web.longest_seconds, web.flapping), (660.0, 600.0, false));
    assert_eq!((db.fired, db.on, db.last.as_str()), (1, true, "policy.firing at 70"));
    assert_eq!((sum.events, sum.host.as_str()), (7, "web-1"));
    assert_eq!(sum.last.as_deref(), Some("2026-11-22T01:15:00Z"));
}

#[test]
fn three_times_within_an_hour_is_flapping() {
    let at = |minutes: &[u32]| {
        let lines: Vec<String> =
            minutes.iter().map(|minute| event(*minute, "policy.firing", "info", &bound("web", &json!({})))).collect();
        summed(&lines).alarms[0].flapping
    };
    assert!(!at(&[0, 1]));
    assert!(at(&[0, 1, 60]));
    assert!(!at(&[0, 1, 61]));
    assert!(at(&[0, 100, 130, 140, 500]));
}

#[test]
fn processes_jobs_and_losses_are_added_up() {
    let exit = |exe: &str, facts: serde_json::Value| {
        let mut all = json!({"process.executable.path": exe, "process.uptime": 0.5, "process.cpu.time": 0.25});
        all.as_object_mut().unwrap().extend(facts.as_object().unwrap().clone());
        event(1, "process.exit", "info", &all)
    };
    let job = |what: &str, seconds: f64| {
        event(
            2,
            &format!("job.{what}"),
            "info",
            &json!({"job.name": "b", "duration": seconds, "process.cpu.time": 1.5}),
        )
    };
    let lost = |count: u64| {
        event(3, "agent.lost", "warning", &json!({"where": "kernel", "reason": "ring_full", "count": count}))
    };
    let sum = summed(&[
        exit("/bin/a", json!({"process.exit.code": 0, "process.memory.peak": 7})),
        exit("/bin/a", json!({"process.exit.code": 3, "process.uptime": 2.0, "process.memory.peak": 9})),
        exit("/bin/b", json!({"process.exit.signal": "SIGKILL", "oom": true, "process.cpu.time": 2.0})),
        exit("/bin/b", json!({"process.exit.signal": "SIGTERM", "oom": false})),
        job("started", 0.0),
        job("succeeded", 3.0),
        job("failed", 5.0),
        job("missed", 0.0),
        lost(3),
        lost(4),
        event(4, "agent.started", "info", &json!({})),
        "nonsense".to_owned(),
    ]);
    let processes =
        Processes { ended: 4, short_lived: 3, failed: 1, by_signal: 1, by_oom: 1, cpu_seconds: 2.75, started: 0 };
    assert_eq!(sum.processes, processes);
    let top: Vec<_> =
        sum.top_cpu.iter().map(|each| (each.name.as_str(), each.ended, each.cpu_seconds, each.peak_bytes)).collect();
    assert_eq!(top, [("/bin/b", 2, 2.25, 0), ("/bin/a", 2, 0.5, 9)]);
    let [job] = sum.jobs.as_slice() else { panic!("{sum:?}") };
    assert_eq!((job.succeeded, job.failed, job.missed, job.longest_seconds, job.cpu_seconds), (1, 1, 1, 5.0, 3.0));
    assert_eq!(sum.losses, [Loss { place: "kernel".into(), reason: "ring_full".into(), count: 7 }]);
    assert_eq!((sum.daemon.started, sum.not_understood, sum.events), (1, 1, 11));
}

#[test]
fn too_many_kinds_are_counted_together() {
    let exit =
        |number: usize| event(0, "process.exit", "info", &json!({"process.executable.path": format!("/{number}")}));
    let lines: Vec<String> = (0..KINDS_MAX + 5).map(exit).collect();
    let sum = summed(&lines);
    assert_eq!((sum.not_told_apart, sum.processes.ended, sum.top_cpu.len()), (5, KINDS_MAX as u64 + 5, TOP));
}
