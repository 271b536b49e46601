//! Scenarios of logs: lines at moments, and the story that must be told of them.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use regex::Regex;

use super::*;
use crate::event::{Event, Severity};
use crate::policy::spec::{Bound, Limit, Log, Measure, Per, Response, Side};
use crate::record::LogLine;

const HOST: HostFacts = HostFacts { cpus: 4, memory_bytes: 1 << 30 };

fn bound(side: Side, limit: f64, within: u64) -> Bound {
    Bound {
        measure: Measure::Lines,
        side,
        limit: Limit::Absolute(limit),
        clear: None,
        hold: Duration::ZERO,
        keep_firing: Duration::ZERO,
        within: Duration::from_secs(within),
        per: Per::Group,
        severity: Severity::Warning,
        declared: "test.yaml:1".into(),
    }
}

fn log(bounds: Vec<Bound>, quiet: Option<u64>) -> Log {
    Log {
        name: "app".into(),
        declared: "test.yaml:1".into(),
        paths: vec!["/var/log/app.log".into()],
        any: vec!["hit".into()],
        regex: Vec::new(),
        ignore: Vec::new(),
        bounds,
        quiet: quiet.map(Duration::from_secs),
        response: Response::default(),
    }
}

fn policies(logs: Vec<Log>) -> PolicySet {
    PolicySet { logs, ..PolicySet::default() }
}

struct Scene {
    logs: Logs,
    gate: KTime,
    story: String,
    alarms: Vec<(Arc<str>, crate::event::AlarmTurn)>,
    events: Vec<Event>,
}

impl Scene {
    /// Watched from second 100 on.
    fn new(log: Log) -> Self {
        let mut logs = Logs::new(&policies(vec![log]), &HOST, KTime::default());
        logs.begin(KTime::from_secs(100));
        Self { logs, gate: KTime::from_secs(100), story: String::new(), alarms: Vec::new(), events: Vec::new() }
    }

    fn tell(&mut self, told: Vec<Told>) {
        for told in told {
            let event = match told {
                Told::Event(event) => event,
                Told::Alarm(raised) => raised.into_event(),
            };
            if let Some(alarm) = &event.alarm {
                self.alarms.push((Arc::clone(&alarm.name), alarm.turn));
            }
            let name = event.name.trim_start_matches("procprobe.");
            let count = event.attributes.get("count").map(|count| format!(" {count}")).unwrap_or_default();
            let at = Duration::from_nanos(event.at.0).as_secs_f64();
            writeln!(self.story, "{at} {name}{count} | {}", event.body).unwrap();
            self.events.push(event);
        }
    }

    /// So many lines at a second, the first of them in full.
    fn lines(&mut self, at: f64, count: u64) {
        let text = |number: u64| LogLine { keyword: "hit".into(), text: format!("hit {at}/{number}").into() };
        let first = (0..count.min(2)).map(text).collect();
        self.read(at, &LogLines { log: "app".into(), path: "/var/log/app.log".into(), count, first }, &[]);
    }

    fn read(&mut self, at: f64, lines: &LogLines, redact: &[Regex]) {
        let at = KTime::default().after(Duration::from_secs_f64(at));
        let mut told = Vec::new();
        self.logs.lines(at, self.gate, lines, redact, &mut told);
        self.tell(told);
    }

    fn until(&mut self, at: u64) {
        let mut told = Vec::new();
        self.logs.advance(KTime::from_secs(at), self.gate, &mut told);
        self.tell(told);
    }

    fn reload(&mut self, at: u64, logs: Vec<Log>) {
        let mut told = Vec::new();
        self.logs.reload(&policies(logs), &HOST, KTime::from_secs(at), &mut told);
        self.tell(told);
    }
}

/// Lines at seconds, then time up to `until`.
#[track_caller]
fn check(log: Log, lines: &[(f64, u64)], until: u64, expected: &str) {
    let mut scene = Scene::new(log);
    for (at, count) in lines {
        scene.lines(*at, *count);
    }
    scene.until(until);
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(scene.story.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn a_maximum_fires_at_the_line_and_resolves_when_the_window_is_empty() {
    check(
        log(vec![bound(Side::Max, 0.0, 60)], None),
        &[(110.0, 1), (120.0, 1)],
        300,
        "110 log.matched 1 | app: /var/log/app.log: hit 110/0
         110 policy.firing | app: 1 line within 1m, maximum 0; last in /var/log/app.log: hit 110/0
         120 log.matched 1 | app: /var/log/app.log: hit 120/0
         180 policy.resolved | app: 0 lines within 1m, maximum 0; healthy again after 1m 10s",
    );
}

#[test]
fn a_minimum_is_judged_over_whole_windows_only() {
    let min = || log(vec![bound(Side::Min, 1.0, 60)], None);
    check(min(), &[], 159, "");
    check(min(), &[], 200, "160 policy.firing | app: 0 lines within 1m, minimum 1");
    check(
        min(),
        &[(150.0, 1), (250.0, 1)],
        260,
        "150 log.matched 1 | app: /var/log/app.log: hit 150/0
         210 policy.firing | app: 0 lines within 1m, minimum 1; last in /var/log/app.log: hit 150/0
         250 log.matched 1 | app: /var/log/app.log: hit 250/0
         250 policy.resolved | app: 1 line within 1m, minimum 1; healthy again after 40s",
    );
}

#[test]
fn nothing_fires_before_the_grace_is_over() {
    let mut scene = Scene::new(log(vec![bound(Side::Max, 0.0, 60), bound(Side::Min, 1.0, 5)], None));
    scene.gate = KTime::from_secs(130);
    scene.lines(101.0, 1);
    scene.until(129);
    assert_eq!(scene.alarms, []);
    scene.until(130);
    let names: Vec<&str> = scene.alarms.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["app.lines.max", "app.lines.min"]);
}

#[test]
fn few_lines_are_told_and_the_others_counted() {
    check(
        log(vec![], None),
        &[(110.0, 1), (110.1, 1), (110.2, 10), (110.3, 100), (112.0, 1), (112.0, 5)],
        200,
        "110 log.matched 1 | app: /var/log/app.log: hit 110/0
         110.1 log.matched 1 | app: /var/log/app.log: hit 110.1/0
         110.2 log.matched 1 | app: /var/log/app.log: hit 110.2/0
         111 log.matched 109 | app: 109 lines, the last in /var/log/app.log: hit 110.3/1
         112 log.matched 1 | app: /var/log/app.log: hit 112/0
         112 log.matched 1 | app: /var/log/app.log: hit 112/0
         112 log.matched 1 | app: /var/log/app.log: hit 112/1
         113 log.matched 3 | app: 3 lines, the last in /var/log/app.log: hit 112/1",
    );
}

#[test]
fn at_the_end_nothing_is_withheld() {
    for quiet in [None, Some(600)] {
        let mut scene = Scene::new(log(vec![bound(Side::Max, 0.0, 60)], quiet));
        scene.lines(110.0, 100);
        let mut told = Vec::new();
        scene.logs.close(KTime::from_secs(111), &mut told);
        scene.tell(told);
        let counts = scene.events.iter().filter_map(|event| event.attributes.get("count")?.as_u64());
        assert_eq!(counts.sum::<u64>(), 100, "{}", scene.story);
    }
}

#[test]
fn silence_after_an_alarm_and_one_summary() {
    let quiet = || log(vec![bound(Side::Max, 0.0, 60)], Some(600));
    check(
        quiet(),
        &[(110.0, 1), (130.0, 5), (400.0, 6)],
        2000,
        "110 log.matched 1 | app: /var/log/app.log: hit 110/0
         110 policy.firing | app: 1 line within 1m, maximum 0; last in /var/log/app.log: hit 110/0
         190 policy.resolved | app: 0 lines within 1m, maximum 0; healthy again after 1m 20s
         710 log.matched 11 | app: 11 lines in 10m of silence, the last in /var/log/app.log: hit 400/1",
    );
    // Nothing more: nothing is told. An alarm that lasts beyond it and was not told yet is.
    check(
        quiet(),
        &[(110.0, 1), (700.0, 1)],
        1500,
        "110 log.matched 1 | app: /var/log/app.log: hit 110/0
         110 policy.firing | app: 1 line within 1m, maximum 0; last in /var/log/app.log: hit 110/0
         170 policy.resolved | app: 0 lines within 1m, maximum 0; healthy again after 1m
         710 log.matched 1 | app: 1 line in 10m of silence, the last in /var/log/app.log: hit 700/0
         710 policy.firing | app: 1 line within 1m, maximum 0; last in /var/log/app.log: hit 700/0
         760 policy.resolved | app: 0 lines within 1m, maximum 0; healthy again after 1m",
    );
}

#[test]
fn what_is_worse_breaks_the_silence() {
    let critical = Bound { severity: Severity::Critical, ..bound(Side::Max, 10.0, 60) };
    let mut scene = Scene::new(log(vec![bound(Side::Max, 0.0, 60), critical], Some(600)));
    scene.lines(110.0, 1);
    scene.lines(120.0, 100);
    scene.lines(130.0, 100);
    scene.until(200);
    let names: Vec<String> = scene.alarms.iter().map(|(name, turn)| format!("{name} {turn:?}")).collect();
    let resolved = ["app.lines.max.1 Resolved", "app.lines.max.2 Resolved"];
    assert_eq!(names, [["app.lines.max.1 Fired", "app.lines.max.2 Fired"], resolved].concat());
}

#[test]
fn a_lasting_flood_is_one_event_for_each_silence() {
    let mut scene = Scene::new(log(vec![bound(Side::Max, 0.0, 60)], Some(100)));
    for second in 110..1000_u32 {
        scene.lines(second.into(), 1000);
    }
    scene.until(5000);
    let matched: u64 = scene.events.iter().filter_map(|event| event.attributes.get("count")?.as_u64()).sum();
    assert_eq!(matched, 890_000);
    assert_eq!(scene.events.len(), 2 + 1 + 9 + 1, "{}", scene.story);
}

#[test]
fn alarms_are_repeated_and_evidence_is_there() {
    let mut spec = log(vec![bound(Side::Max, 0.0, 60)], None);
    spec.response.repeat = Some(Duration::from_secs(20));
    let mut scene = Scene::new(spec);
    let line = |text: &str| LogLine { keyword: "hit\n".into(), text: text.into() };
    let first = vec![line("hit\u{1b}[31m password=secret"), line(&"ä".repeat(3000))];
    let redact = [Regex::new(r"password=\S+").unwrap()];
    scene.read(110.0, &LogLines { log: "app".into(), path: "/var/log/\n".into(), count: 2, first }, &redact);
    scene.until(160);
    let told: Vec<&str> = scene.events.iter().map(|event| event.name).collect();
    assert_eq!(told.iter().filter(|name| **name == "procprobe.policy.firing").count(), 3, "{told:?}");
    let firing = scene.events.iter().find(|event| event.name == "procprobe.policy.firing").unwrap();
    let clock = crate::time::ClockReading { mono: KTime(0), boot_ns: 0, wall: crate::time::Wall(0) };
    let attributes = serde_json::to_value(firing.attributes.told(&clock)).unwrap();
    let evidence = attributes["evidence"].as_array().unwrap();
    assert_eq!(evidence[0]["line"], "hit\\x1b[31m [redacted]");
    assert_eq!(evidence[0]["log.file.path"], "/var/log/\\n");
    assert_eq!(evidence[0]["keyword"], "hit\\n");
    assert_eq!(evidence[0]["time"], "1970-01-01T00:01:50.000000000Z");
    assert_eq!(evidence[1]["line"].as_str().unwrap().chars().count(), 513);
    assert_eq!((&attributes["policy.kind"], &attributes["within"]), (&"log".into(), &60.into()));
    assert!(!scene.story.contains("secret"));
}

#[test]
fn a_reload_keeps_what_still_applies() {
    let spec = log(vec![bound(Side::Max, 0.0, 60), bound(Side::Max, 5.0, 60)], None);
    let mut scene = Scene::new(spec.clone());
    scene.lines(110.0, 10);
    assert_eq!(scene.alarms.len(), 2);
    scene.reload(120, vec![Log { bounds: vec![spec.bounds[1].clone(), bound(Side::Max, 7.0, 60)], ..spec.clone() }]);
    assert_eq!(scene.alarms.len(), 3, "{}", scene.story);
    assert!(scene.story.ends_with("120 policy.resolved | app; over after 10s: policy removed\n"), "{}", scene.story);
    let status = scene.logs.status(KTime::from_secs(121));
    assert_eq!((status[0].bounds[0].since_seconds, status[0].bounds[1].value), (Some(11.0), Some(10.0)));
    scene.reload(122, vec![]);
    assert_eq!(scene.alarms.len(), 4);
    scene.lines(123.0, 1);
    assert_eq!(scene.alarms.len(), 4);
}

#[test]
fn a_bound_that_a_reload_brings_is_judged_on_what_was_counted() {
    let spec = log(vec![bound(Side::Max, 50.0, 60)], None);
    let mut scene = Scene::new(spec.clone());
    scene.lines(110.0, 10);
    scene.reload(120, vec![Log { bounds: vec![bound(Side::Max, 5.0, 60)], ..spec }]);
    scene.until(121);
    assert_eq!(scene.alarms.len(), 1, "{}", scene.story);
}
