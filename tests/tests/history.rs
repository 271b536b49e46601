//! The history of measures: what real processes did is told second by second, outlives the daemon, and bounds that follow from it
//! are ones that a policy may have.
#![expect(clippy::unwrap_used, reason = "helpers of tests: what fails here fails the test")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use probe_user::policy::spec::Measure;
use probe_user::series::{Archive, Figure, Look, Reading, Recorder};
use procprobe_tests::actor::{Actor, group};
use procprobe_tests::daemon::{Daemon, Setup, binary, end_of_patience};
use procprobe_tests::event::Event;
use procprobe_tests::mark;
use rustix::process::Signal;
use serde_json::Value;

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");

fn json(daemon: &Daemon, arguments: &[&str]) -> Value {
    let output = daemon.command(arguments);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// The points of a measure: time, lowest, mean, highest.
fn points(report: &Value, measure: &str) -> Vec<[f64; 4]> {
    let series = report["series"].as_array().unwrap();
    let Some(series) = series.iter().find(|series| series["measure"] == measure) else { return Vec::new() };
    let number = |value: &Value| value.as_f64().unwrap();
    let points = series["points"].as_array().unwrap().iter();
    points.map(|point| [0, 1, 2, 3].map(|place| number(&point[place]))).collect()
}

/// Asks again until it is so.
fn wait_for(daemon: &Daemon, arguments: &[&str], fits: impl Fn(&Value) -> bool) -> Value {
    let deadline = end_of_patience();
    loop {
        let report = json(daemon, arguments);
        if fits(&report) {
            return report;
        }
        assert!(Instant::now() < deadline, "{report:#}");
        thread::sleep(Duration::from_millis(50));
    }
}

const ASK: [&str; 6] = ["history", "one", "--since", "10m", "--format", "json"];

#[test]
fn what_processes_did_is_told_and_outlives_the_daemon() {
    let state = tempfile::tempdir().unwrap();
    let mark = mark();
    let policy = group("one", "sleep", &mark, "count: { min: 1 }\n    memory: { max: 1GiB, severity: critical }");
    let setup = || Setup::new().policy(&policy).state(state.path());
    let first = Actor::start(ACTOR, "sleep 600000", &mark);
    let mut daemon = setup().start();
    let report = wait_for(&daemon, &ASK, |report| !points(report, "memory").is_empty());
    assert_eq!(points(&report, "count")[0][1..], [1.0, 1.0, 1.0], "{report:#}");
    assert!(points(&report, "memory")[0][3] > 4096.0 && points(&report, "read").len() <= 2_000, "{report:#}");
    let bounds: Vec<&Value> = report["bounds"].as_array().unwrap().iter().map(|bound| &bound["limit"]).collect();
    assert_eq!(bounds, [&Value::from(1.0), &Value::from(1_073_741_824.0)]);
    let second = Actor::start(ACTOR, "sleep 600000", &mark);
    wait_for(&daemon, &ASK, |report| points(report, "count").last().unwrap()[3] >= 2.0);
    first.signal(Signal::KILL);
    second.signal(Signal::KILL);
    daemon.wait_for_count("both ends", 2, Event::is_exit);
    let before = wait_for(&daemon, &ASK, |report| points(report, "count").last().unwrap()[1].abs() < 0.5);
    let highest = |report: &Value| points(report, "count").iter().map(|point| point[3]).fold(0.0, f64::max);
    assert!((highest(&before) - 2.0).abs() < 0.1, "{before:#}");
    assert_eq!(daemon.stop(), Some(0));

    // The next daemon knows it, and goes on.
    let third = Actor::start(ACTOR, "sleep 600000", &mark);
    let daemon = setup().start();
    let after = wait_for(&daemon, &ASK, |report| {
        highest(report) > 1.5 && points(report, "count").last().is_some_and(|point| (point[2] - 1.0).abs() < 0.5)
    });
    let began = |report: &Value| points(report, "count")[0][0];
    assert!((began(&before) - began(&after)).abs() < 5.0, "{before:#}{after:#}");
    let status = daemon.status();
    assert!(status["measures"]["bytes"].as_u64().unwrap() > 0 && status["measures"]["groups"] == 1, "{status:#}");

    let output = daemon.command(&["history", "one", "--since", "10m", "--measure", "count"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("min 1 (warning)") && !text.contains("memory"), "{text}");
    let output = daemon.command(&["history", "nobody"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no group or job `nobody`"), "{output:?}");
    third.signal(Signal::KILL);
}

#[test]
fn what_a_crash_left_is_read_and_what_is_no_file_of_ours_is_set_aside() {
    let state = tempfile::tempdir().unwrap();
    let mark = mark();
    let policy = group("one", "sleep", &mark, "count: { min: 1 }");
    past(state.path(), 300, 60);
    let folder = state.path().join("measures");
    let whole = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let content = fs::read(&whole).unwrap();
    fs::write(&whole, &content[..content.len() - 3]).unwrap();
    fs::write(folder.join("s-000000000777"), "this is something else").unwrap();
    let daemon = Setup::new().policy(&policy).state(state.path()).start();
    let report = wait_for(&daemon, &ASK, |report| points(report, "count").len() > 60);
    let highest = points(&report, "count").iter().map(|point| point[3]).fold(0.0, f64::max);
    assert_eq!(highest.to_bits(), 3_f64.to_bits(), "{report:#}");
    let names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().any(|name| name == "s-000000000777.damaged"), "{names:?}");
}

/// Writes what a daemon would have: so many seconds of a group `one`, until so many seconds ago.
fn past(state: &Path, seconds: i64, until: i64) {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    fs::create_dir_all(state).unwrap();
    let (mut archive, note) = Archive::open(&state.join("measures"), 64 << 20).unwrap();
    assert_eq!(note, None);
    let mut recorder = Recorder::default();
    for second in now - until - seconds..now - until {
        assert!(matches!(recorder.look(second), Look::GoesOn | Look::Begins { ended: None }));
        let mut readings = [Reading::Unmeasured; Figure::COUNT];
        for (figure, reading) in Figure::all().zip(&mut readings) {
            // One of three is away for a moment in each ten minutes.
            *reading = match figure.measure() {
                Measure::Count => Reading::Value(if second % 600 == 7 { 2.0 } else { 3.0 }),
                Measure::Cpu => Reading::Value(if second % 7 == 0 { 0.3 } else { 0.1 }),
                Measure::Memory => Reading::Value(50e6),
                _ => continue,
            };
        }
        recorder.note(0, &Arc::from("one"), &readings);
        if recorder.is_due() {
            let fresh = archive.is_full();
            recorder.cut(fresh).map(|block| archive.put(block));
            // The thread takes them one by one, and whoever is that fast does not wait for it.
            thread::sleep(Duration::from_millis(2));
        }
    }
    recorder.end().map(|block| archive.put(block));
    assert_eq!(archive.lost().iter().map(|(_, count)| count).sum::<u64>(), 0);
    archive.close(Duration::from_secs(10));
}

#[test]
fn bounds_that_are_suggested_are_ones_that_a_policy_may_have() {
    let state = tempfile::tempdir().unwrap();
    let mark = mark();
    past(state.path(), 3 * 3_600, 10);
    let bounds = "count: { min: 1, max: 50 }\n    cpu: { max: 0.12 cores }\n    memory: { max: 1GiB }";
    let policy = group("one", "sleep", &mark, bounds);
    let daemon = Setup::new().policy(&policy).state(state.path()).start();
    let ask = ["report", "--since", "4h", "--format", "json"];
    let report = wait_for(&daemon, &ask, |report| report["suggested"][0]["bounds"].as_array().is_some());
    let suggested = &report["suggested"][0];
    assert_eq!(suggested["group"], "one");
    let of = |measure: &str| {
        let bounds = suggested["bounds"].as_array().unwrap();
        let bound = bounds.iter().find(|bound| bound["measure"] == measure);
        bound.unwrap_or_else(|| panic!("{report:#}"))["bound"].as_str().unwrap().to_owned()
    };
    // Processes of this host came and went while the daemon began: nobody was there then.
    assert_eq!((of("cpu"), of("memory")), ("{ max: 0.45 cores, for: 30s }".into(), "{ max: 62MiB, for: 1m }".into()));
    assert!(of("count").ends_with("max: 5, for: 10s }"), "{report:#}");
    let verdicts: Vec<&Value> = report["bounds_to_look_at"].as_array().unwrap().iter().map(|a| &a["verdict"]).collect();
    assert!(verdicts.contains(&&"always near".into()) && verdicts.contains(&&"never near".into()), "{report:#}");
    assert_eq!(report["top_groups_by_memory"][0]["name"], "one");

    // Pasted below their group they are a policy.
    let text = String::from_utf8(daemon.command(&["report", "--since", "4h"]).stdout).unwrap();
    let lines = text.lines().skip_while(|line| *line != "groups:").skip(2).take_while(|line| !line.is_empty());
    let pasted: Vec<&str> = lines.collect();
    assert_eq!(pasted.len(), suggested["bounds"].as_array().unwrap().len(), "{text}");
    let file = state.path().join("pasted.yaml");
    let declared = group("one", "sleep", &mark, "");
    fs::write(&file, format!("version: 1\n{}\n{}\n", declared.trim_end(), pasted.join("\n"))).unwrap();
    let output = Command::new(binary()).arg("check").arg(&file).output().unwrap();
    assert!(output.status.success(), "{output:?}\n{}", fs::read_to_string(&file).unwrap());

    let page = String::from_utf8(daemon.command(&["report", "--since", "4h", "--format", "html"]).stdout).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"), "{page}");
    assert!(page.matches("<svg").count() >= 3 && !page.contains("<script"), "{page}");
}
