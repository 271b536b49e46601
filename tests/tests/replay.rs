//! Recordings of a real kernel: what the daemon told live, a replay tells too.
#![expect(clippy::unwrap_used, reason = "helpers of tests: what fails here fails the test")]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use procprobe_tests::actor::{Actor, group};
use procprobe_tests::daemon::{PATIENCE, Setup, binary, require_host};
use procprobe_tests::event::Event;
use procprobe_tests::mark;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");

/// A `procprobe record` at work. Dropped, it is killed.
struct Recorder {
    child: Child,
    folder: TempDir,
}

impl Recorder {
    /// Starts it and waits until it says that it records.
    fn start(arguments: &[&str]) -> Self {
        require_host();
        let folder = tempfile::Builder::new().prefix("procprobe-").tempdir().unwrap();
        let mut command = Command::new(binary());
        command.arg("record").arg(folder.path().join("a.rec")).args(arguments).stdin(Stdio::null());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let mut seen = String::new();
        let mut lines = BufReader::new(stderr);
        while !seen.contains("recording to") {
            assert!(lines.read_line(&mut seen).unwrap() > 0, "procprobe record ended: {seen}");
        }
        // What it says at its end goes to the test's own log.
        std::thread::spawn(move || lines.lines().map_while(Result::ok).for_each(|line| eprintln!("record: {line}")));
        Self { child, folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("a.rec")
    }

    fn stop(&mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.wait()
    }

    fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.child.try_wait().unwrap() {
                Some(status) => return status,
                None if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
                None => panic!("the recorder does not end"),
            }
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // It may have ended already; both are right.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn replay(file: &Path, policies: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.arg("replay").arg(file).arg("--policies").arg(policies).args(["--start-grace", "0s"]).args(arguments);
    command.output().unwrap()
}

/// The events and the summary of a replay.
fn told(output: &Output) -> (Vec<Event>, Value) {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = lines.pop().unwrap();
    assert!(summary["summary"].is_object(), "{summary}");
    (lines.into_iter().map(Event).collect(), summary["summary"].clone())
}

/// The time of an event, in seconds since midnight.
fn second_of_day(event: &Event) -> f64 {
    let time = event.0["time"].as_str().unwrap();
    let parts: Vec<f64> = time[11..time.len() - 1].split(':').map(|part| part.parse().unwrap()).collect();
    parts[0] * 3600.0 + parts[1] * 60.0 + parts[2]
}

fn policy_file(folder: &TempDir, text: &str) -> PathBuf {
    let path = folder.path().join("policy.yaml");
    fs::write(&path, format!("version: 1\n{text}")).unwrap();
    path
}

#[test]
fn a_replay_tells_what_the_daemon_told() {
    let mark = mark();
    let policy = group("pair", "sleep", &mark, "count: { min: 2 }")
        + &group("failing", "exit", &mark, "failures: { max: 0, within: 1m }").replacen("groups:\n", "", 1)
        + &group("busy", "burn", &mark, "cpu: { max: 0.01 cores }").replacen("groups:\n", "", 1);
    let mut recorder = Recorder::start(&["--sample-interval", "200ms"]);
    let daemon = Setup::new().policy(&policy).args(["--sample-interval", "200ms"]).start();
    let one = Actor::start(ACTOR, "sleep 600000", &mark);
    let _two = Actor::start(ACTOR, "sleep 600000", &mark);
    daemon.wait_for("both are there", |event| event.is_alarm("resolved", "pair.count.min"));
    // Long enough for the recorder, which is not woken by them, to watch them: it looks every 100 ms.
    daemon.wait_for_count("heard of both", 2, Event::is_start);
    std::thread::sleep(Duration::from_millis(300));
    one.signal(Signal::KILL);
    let live = daemon.wait_for("one is killed", |event| {
        event.is_alarm("firing", "pair.count.min") && event.number("value") == Some(1)
    });
    let mut failing = Actor::start(ACTOR, "exit 3", &mark);
    failing.wait();
    let live_failure = daemon.wait_for("a failure", |event| event.is_alarm("firing", "failing.failures.max"));
    let mut busy = Actor::start(ACTOR, "burn 1000", &mark);
    busy.finish();
    daemon.wait_for("a busy one", |event| event.is_alarm("firing", "busy.cpu.max"));
    // An account can be some time in coming when the CPUs are busy, and the end is told with it.
    daemon.wait_for("its end", |event| event.is_exit_of(failing.pid()));
    assert!(recorder.stop().success());

    let mode = fs::metadata(recorder.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let policies = policy_file(&recorder.folder, &policy);
    let output = replay(&recorder.file(), &policies, &["--format", "json"]);
    let (events, summary) = told(&output);
    let find = |alarm: &str, value: Option<u64>| {
        let fits =
            |event: &&Event| event.is_alarm("firing", alarm) && (value.is_none() || event.number("value") == value);
        events.iter().find(fits).unwrap_or_else(|| panic!("no {alarm} in {events:#?}")).clone()
    };
    // The same moment of the kernel's clock; the wall clock was read twice.
    let replayed = find("pair.count.min", Some(1));
    assert_eq!(replayed.body(), live.body());
    assert_eq!(replayed.evidence()[0]["process.exit.signal"], "SIGKILL");
    assert_eq!(replayed.evidence()[0]["killer.pid"], live.evidence()[0]["killer.pid"]);
    let apart = (second_of_day(&replayed) - second_of_day(&live)).abs();
    // Around midnight one of them may be of the next day.
    let apart = apart.min(86_400.0 - apart);
    assert!(apart < 0.05, "{apart} s apart: {} {}", replayed.0, live.0);
    assert_eq!(replayed.0["host"], live.0["host"]);
    assert_eq!(find("failing.failures.max", None).body(), live_failure.body());
    find("busy.cpu.max", None);

    let bound = |name: &str| summary["bounds"].as_array().unwrap().iter().find(|bound| bound["name"] == name).cloned();
    assert_eq!(bound("failing.failures.max").unwrap()["fired"], 1);
    assert_eq!(bound("pair.count.min").unwrap()["firing"], true);
    assert!(summary["notes"].as_array().unwrap().is_empty(), "{summary}");

    // The same again, to the byte; and the process events where they are asked for.
    assert_eq!(replay(&recorder.file(), &policies, &["--format", "json"]).stdout, output.stdout);
    let (all, _) = told(&replay(&recorder.file(), &policies, &["--format", "json", "--events", "procprobe.process.*"]));
    assert!(all.iter().any(|event| event.is_exit_of(failing.pid())), "{all:?}");
    assert!(all.iter().all(|event| event.name().starts_with("procprobe.process.")));
    let text = replay(&recorder.file(), &policies, &["--format", "text"]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("NEAREST MISS") && text.contains("pair.count.min"), "{text}");

    // Cut off in the middle: what is whole is replayed, and the rest is told.
    let bytes = fs::read(recorder.file()).unwrap();
    let cut = recorder.folder.path().join("cut.rec");
    fs::write(&cut, &bytes[..bytes.len() - 100]).unwrap();
    let (_, summary) = told(&replay(&cut, &policies, &["--format", "json"]));
    assert!(summary["notes"][0].as_str().unwrap().contains("was not written whole"), "{summary}");
}

#[test]
fn arguments_stay_out_of_a_recording_that_is_to_have_none() {
    let mark = mark();
    let mut before = Actor::start(ACTOR, "sleep 600000", &mark);
    let mut recorder = Recorder::start(&["--no-args"]);
    let mut actor = Actor::start(ACTOR, "exit 3", &mark);
    actor.wait();
    assert!(recorder.stop().success());
    before.signal(Signal::KILL);
    before.wait();
    let text = "groups:\n  marked: { match: { args: mark }, count: { max: 0 } }\n  all: { match: { exe: '**' }, count: { max: 0 } }\n";
    let policies = policy_file(&recorder.folder, text);
    let output = replay(&recorder.file(), &policies, &["--format", "json", "--events", "*"]);
    let (events, _) = told(&output);
    assert!(events.iter().any(|event| event.is_exit_of(actor.pid())));
    assert!(events.iter().all(|event| event.text("policy.name") != "marked"), "{events:?}");
    assert!(!String::from_utf8_lossy(&output.stdout).contains(&mark));
}

#[test]
fn figures_of_the_host_and_lines_of_logs_are_in_a_recording() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("app.log");
    fs::write(&log, "hit from before\n").unwrap();
    let lines = |more: &str| {
        format!("logs: {{ app: {{ path: {}, any: hit, {more}lines: {{ max: 2, within: 1m }} }} }}\n", log.display())
    };
    let wanted = policy_file(&folder, &lines(""));
    let mut recorder =
        Recorder::start(&["--policies", wanted.to_str().unwrap(), "--sample-interval", "100ms", "--duration", "4s"]);
    fs::OpenOptions::new().append(true).open(&log).unwrap().write_all(b"hit 1\nhit 2 miss\nnone\nhit 3\n").unwrap();
    assert!(recorder.wait().success());

    let host = "host: { load: { max: 1000000 }, cpu: { max: 99% }, memory_available: { min: 1B }, disk_free: { path: /, min: 1B }, \
                processes: { min: 1 }, network_receive: { interface: lo, max: 1000GiB/s } }\n";
    let policies = policy_file(&recorder.folder, &(lines("") + host));
    let (events, summary) = told(&replay(&recorder.file(), &policies, &["--format", "json"]));
    let bounds = summary["bounds"].as_array().unwrap();
    let bound = |name: &str| bounds.iter().find(|bound| bound["name"] == name).unwrap();
    for name in [
        "host.load.max",
        "host.cpu.max",
        "host.memory_available.min",
        "host.disk_free.min",
        "host.processes.min",
        "host.network_receive.max",
    ] {
        assert!(bound(name)["highest"]["value"].is_number(), "{name}: {summary}");
    }
    assert!(bound("host.processes.min")["nearest_miss"]["value"].as_f64().unwrap() > 1.0);
    // What stood in the file before is not counted.
    assert_eq!(
        (&bound("app.lines.max")["fired"], &bound("app.lines.max")["highest"]["value"]),
        (&1.into(), &3.0.into())
    );
    assert!(events.iter().any(|event| event.is_alarm("firing", "app.lines.max")), "{events:?}");

    // Other words for the same file: the text is there, and looked at again.
    let stricter = policy_file(&recorder.folder, &lines("ignore: miss, "));
    let (_, summary) = told(&replay(&recorder.file(), &stricter, &["--format", "json"]));
    assert_eq!((&summary["bounds"][0]["fired"], &summary["bounds"][0]["highest"]["value"]), (&0.into(), &2.0.into()));
}

#[test]
fn a_recording_ends_when_its_time_is_over_and_when_it_is_full() {
    let mut recorder = Recorder::start(&["--duration", "1s"]);
    assert!(recorder.wait().success());
    let policies = policy_file(&recorder.folder, "groups: {}\n");
    let (_, summary) = told(&replay(&recorder.file(), &policies, &["--format", "json"]));
    let seconds = summary["seconds"].as_f64().unwrap();
    assert!((0.9..10.0).contains(&seconds), "{summary}");
    let refused = replay(&recorder.file(), &policies, &["--suggest"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no suggestions"), "{refused:?}");

    let mark = mark();
    let mut recorder = Recorder::start(&["--max-size", "64KiB", "--sample-interval", "100ms"]);
    let mut churn = Actor::start(ACTOR, "spawn 20000 2 exit 0", &mark);
    assert!(recorder.wait().success());
    churn.signal(Signal::KILL);
    churn.wait();
    assert!(fs::metadata(recorder.file()).unwrap().len() <= 64 << 10);
    told(&replay(&recorder.file(), &policies, &["--format", "json"]));
}

#[test]
fn what_is_no_recording_is_refused_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let policies = policy_file(&folder, "groups: {}\n");
    let check = |file: &Path, expected: &str| {
        let output = replay(file, &policies, &[]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(expected), "{output:?}");
    };
    check(&folder.path().join("none"), "cannot be opened");
    check(&policies, "is no recording");
    check(folder.path(), "cannot be read");
    let there = Command::new(binary()).arg("record").arg(&policies).output().unwrap();
    assert_eq!(there.status.code(), Some(1), "{there:?}");
    assert!(String::from_utf8_lossy(&there.stderr).contains("cannot be made"), "{there:?}");
}
