//! Jobs: how runs end, how long they take, whether they overlap, what their trees use, and when they are due.

use std::process::Command;
use std::time::{Duration, SystemTime};

use procprobe_tests::actor::Actor;
use procprobe_tests::cputime::{CpuTime, is_inexact};
use procprobe_tests::daemon::{Daemon, Setup};
use procprobe_tests::event::Event;
use procprobe_tests::mark;
use rustix::process::Signal;

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");

/// A job of whatever carries the mark as its last argument; `rest` is YAML, one key a line.
fn job(name: &str, mark: &str, rest: &str) -> String {
    let mut policy = format!("jobs:\n  {name}:\n    match: {{ args: \" {mark}$\" }}\n");
    for line in rest.lines() {
        policy.extend(["    ", line.trim(), "\n"]);
    }
    policy
}

/// As cron starts it: a shell that has the whole line among its arguments.
fn shell(line: &str, mark: &str) -> Actor {
    Actor::of(Command::new("/bin/sh").args(["-c", line, mark]))
}

fn is_fact(event: &Event, what: &str, name: &str) -> bool {
    event.name() == format!("procprobe.job.{what}") && event.text("job.name") == name
}

fn is_alarm(event: &Event, turn: &str, name: &str, measure: &str) -> bool {
    event.name() == format!("procprobe.policy.{turn}")
        && event.text("policy.kind") == "job"
        && event.text("policy.name") == name
        && event.text("measure") == measure
}

fn fact(daemon: &Daemon, what: &str, name: &str) -> Event {
    daemon.wait_for(&format!("job.{what} of {name}"), |event| is_fact(event, what, name))
}

fn alarm(daemon: &Daemon, turn: &str, name: &str, measure: &str) -> Event {
    daemon.wait_for(&format!("{turn} {name}.{measure}"), |event| is_alarm(event, turn, name, measure))
}

#[test]
fn a_failing_script_is_an_alarm_until_it_runs_well() {
    let mark = mark();
    let daemon = Setup::new().policy(&job("failing", &mark, "")).start();
    let mut bad = shell(&format!("{ACTOR} exit 0 -- {mark}; exit 3"), &mark);
    bad.wait();
    let failed = fact(&daemon, "failed", "failing");
    assert_eq!(failed.number("process.exit.code"), Some(3), "{}", failed.0);
    assert_eq!(failed.number("process.pid"), Some(u64::from(bad.pid())), "the shell is the run: {}", failed.0);
    assert_eq!(failed.number("job.processes"), Some(2), "the program it starts is a part of it: {}", failed.0);
    let firing = alarm(&daemon, "firing", "failing", "success");
    assert_eq!(firing.evidence()[0]["process.exit.code"], 3, "{}", firing.0);
    assert_eq!(daemon.status()["engine"]["firing"], serde_json::json!(["failing.success"]));
    shell("exit 0", &mark).finish();
    fact(&daemon, "succeeded", "failing");
    alarm(&daemon, "resolved", "failing", "success");
    let started = daemon.stream.events().iter().filter(|event| is_fact(event, "started", "failing")).count();
    assert_eq!(started, 2, "{}", daemon.stream.describe());
    let status = daemon.status();
    assert_eq!(status["engine"]["jobs"][0]["last"]["outcome"], "succeeded", "{status}");
    assert_eq!(status["engine"]["groups"], serde_json::json!([]), "a job is no group");
}

#[test]
fn a_run_that_is_killed_says_by_whom() {
    let mark = mark();
    let daemon = Setup::new().policy(&job("killed", &mark, "")).start();
    let victim = Actor::start(ACTOR, "sleep 600000", &mark);
    fact(&daemon, "started", "killed");
    victim.signal(Signal::KILL);
    drop(victim);
    let failed = fact(&daemon, "failed", "killed");
    assert_eq!(failed.text("process.exit.signal"), "SIGKILL", "{}", failed.0);
    assert_eq!(failed.number("killer.pid"), Some(u64::from(std::process::id())), "{}", failed.0);
}

#[test]
fn a_run_that_takes_too_long_fires_while_it_runs() {
    let mark = mark();
    let daemon = Setup::new().policy(&job("slow", &mark, "duration: { max: 300ms }")).start();
    let slow = Actor::start(ACTOR, "sleep 600000", &mark);
    let overran = fact(&daemon, "overran", "slow");
    let firing = alarm(&daemon, "firing", "slow", "duration");
    assert_eq!(firing.number("process.pid"), Some(u64::from(slow.pid())), "{}", firing.0);
    let after = overran.float("duration").unwrap_or_default();
    assert!((after - 0.3).abs() < 0.001, "the moment is computed, however late it is told: {}", overran.0);
    slow.signal(Signal::TERM);
    drop(slow);
    let resolved = alarm(&daemon, "resolved", "slow", "duration");
    assert_eq!(resolved.text("reason"), "the run has ended", "{}", resolved.0);
}

#[test]
fn runs_that_overlap_fire_until_one_is_left() {
    let mark = mark();
    let daemon = Setup::new().policy(&job("twice", &mark, "overlap: forbid")).start();
    let first = Actor::start(ACTOR, "sleep 600000", &mark);
    // Whoever starts it can go on before the kernel has told of its program: the second could be the first told of.
    fact(&daemon, "started", "twice");
    let second = Actor::start(ACTOR, "sleep 600000", &mark);
    let overlapped = fact(&daemon, "overlapped", "twice");
    assert_eq!(overlapped.number("process.pid"), Some(u64::from(second.pid())), "{}", overlapped.0);
    let firing = alarm(&daemon, "firing", "twice", "overlap");
    assert_eq!(firing.number("value"), Some(2), "{}", firing.0);
    drop(first);
    alarm(&daemon, "resolved", "twice", "overlap");
    drop(second);
}

#[test]
fn the_cpu_time_of_a_run_is_that_of_its_whole_tree() {
    let mark = mark();
    let daemon = Setup::new().policy(&job("tree", &mark, "")).events("all").start();
    let mut root = Actor::start(ACTOR, "spawn 60 2 burn 5", &mark);
    let told = root.told();
    root.finish();
    let end = fact(&daemon, "succeeded", "tree");
    assert_eq!(end.number("job.processes"), Some(61), "{}", end.0);
    let parent = Some(u64::from(root.pid()));
    let of_tree = |event: &Event| {
        event.is_exit() && (event.is_exit_of(root.pid()) || event.number("process.parent_pid") == parent)
    };
    let exits = daemon.wait_for_count("all exits", 61, of_tree);
    let (own, children): (Vec<_>, Vec<_>) = exits.iter().partition(|exit| exit.is_exit_of(root.pid()));
    let (own, children) = (CpuTime::of(own), CpuTime::of(children));
    let truth = Duration::from_nanos(Actor::told_number(&told, "children_cpu_ns")).as_secs_f64();
    children.assert_is(truth, 1);
    let sum = own.told() + children.told();
    let of_run = end.float("process.cpu.time").unwrap_or_default();
    assert!((of_run - sum).abs() < 1e-6, "the run's time is the sum of its processes': {sum} s; {}", end.0);
    assert_eq!(is_inexact(&end), own.inexact() + children.inexact() > 0, "it is as exact as they are: {}", end.0);
}

#[test]
fn without_a_schedule_too_many_runs_fire() {
    let mark = mark();
    let daemon = Setup::new().policy(&job("often", &mark, "runs: { max: 2, within: 2s }")).start();
    for _ in 0..3 {
        Actor::start(ACTOR, "exit 0", &mark).wait();
    }
    let firing = alarm(&daemon, "firing", "often", "runs");
    assert_eq!(firing.number("value"), Some(3), "{}", firing.0);
    alarm(&daemon, "resolved", "often", "runs");
}

/// The next full minute is at most a minute away: this is the one test that waits for it.
#[test]
fn at_the_full_minute_one_job_comes_and_one_does_not() {
    let (here, missing) = (mark(), mark());
    let daily = "schedule: \"* * * * *\"\ntimezone: UTC\nstart_within: 2s";
    let missing = job("missing", &missing, daily).replace("jobs:\n", "");
    let daemon = Setup::new().policy(&format!("{}{missing}", job("here", &here, daily))).start();
    let since_1970 = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let minute = since_1970().as_secs() / 60 + 1;
    // Half a second late, as cron is.
    let due = Duration::from_secs(minute * 60) + Duration::from_millis(500);
    while let Some(left) = due.checked_sub(since_1970()).filter(|left| !left.is_zero()) {
        std::thread::sleep(left);
    }
    shell("exit 0", &here).finish();
    let missed = fact(&daemon, "missed", "missing");
    alarm(&daemon, "firing", "missing", "runs");
    let started = fact(&daemon, "started", "here");
    let scheduled = started.text("job.scheduled_time");
    assert_eq!(scheduled, missed.text("job.scheduled_time"), "{}", daemon.stream.describe());
    assert!(scheduled.ends_with(":00.000000000Z"), "{}", started.0);
    daemon.assert_none("it was in time", |event| is_fact(event, "missed", "here"));
    assert_eq!(daemon.status()["engine"]["jobs"][1]["missed"], 1);
}
