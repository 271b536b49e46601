//! `procprobe report` on what a real daemon has told.

use std::thread;
use std::time::{Duration, Instant};

use procprobe_tests::actor::{Actor, group};
use procprobe_tests::daemon::{Setup, binary, end_of_patience};
use procprobe_tests::event::Event;
use procprobe_tests::mark;
use rustix::process::Signal;
use serde_json::Value;

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");

#[test]
fn alarms_and_processes_are_summed_up() {
    let mark = mark();
    let first = Actor::start(ACTOR, "sleep 600000", &mark);
    let daemon = Setup::new().policy(&group("one", "sleep", &mark, "count: { min: 1, severity: critical }")).start();
    first.signal(Signal::KILL);
    daemon.wait_for("the alarm", |event| event.is_alarm("firing", "one.count.min"));
    let second = Actor::start(ACTOR, "sleep 600000", &mark);
    daemon.wait_for("its end", |event| event.is_alarm("resolved", "one.count.min"));
    second.signal(Signal::TERM);
    daemon.wait_for_count("both ends", 2, Event::is_exit);
    // What is not worse than `info` is on disk within a second or so.
    let deadline = end_of_patience();
    let sum: Value = loop {
        let output = daemon.command(&["report", "--since", "1h", "--format", "json"]);
        let sum: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
        if sum["processes"]["ended"] == 2 && sum["alarms"][0]["fired"] == 2 {
            break sum;
        }
        assert!(Instant::now() < deadline, "{sum:#}");
        thread::sleep(Duration::from_millis(50));
    };
    let alarm = &sum["alarms"][0];
    assert_eq!((&alarm["policy"], &alarm["severity"], &alarm["on"]), (&"one".into(), &"critical".into(), &true.into()));
    assert_eq!(alarm["resolved"], 1, "{sum:#}");
    let processes = &sum["processes"];
    assert_eq!((&processes["started"], &processes["by_signal"]), (&1.into(), &2.into()), "{sum:#}");
    assert!(sum["top_cpu"][0]["program"].as_str().unwrap().ends_with("/actor"), "{sum:#}");
    assert_eq!((&sum["daemon"]["started"], &sum["not_understood"]), (&1.into(), &0.into()), "{sum:#}");
    let output = daemon.command(&["report"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("one.count.min 1") && text.contains("lost or dropped: nothing"), "{text}");
}

#[test]
fn without_a_daemon_it_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(binary());
    let output = command.arg("report").arg("--socket").arg(folder.path().join("none")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("start one with `procprobe run`"), "{output:?}");
}
