//! How processes end: codes, signals and their senders, core files, the OOM killer.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use procprobe_tests::actor::{self, Actor, group};
use procprobe_tests::cgroup::LimitedCgroup;
use procprobe_tests::daemon::{Daemon, Setup};
use procprobe_tests::event::Event;
use procprobe_tests::mark;

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");

/// A daemon that tells of actors of this mode and mark, without any alarm to be expected.
fn watching(mode: &str, mark: &str) -> Daemon {
    Setup::new().policy(&group("watched", mode, mark, "starts: { max: 1000000, within: 1s }")).start()
}

fn exit_of(daemon: &Daemon, pid: u32) -> Event {
    daemon.wait_for(&format!("the exit of {pid}"), |event| event.is_exit_of(pid))
}

#[test]
fn exit_codes_are_told() {
    let mark = mark();
    let daemon = watching("exit", &mark);
    for code in [0_u64, 1, 2, 77, 127, 128, 137, 255] {
        let mut actor = Actor::start(ACTOR, &format!("exit {code}"), &mark);
        actor.wait();
        let exit = exit_of(&daemon, actor.pid());
        assert_eq!(exit.number("process.exit.code"), Some(code), "{}", exit.0);
        assert!(exit.attribute("process.exit.signal").is_null(), "{}", exit.0);
    }
}

#[test]
fn signals_are_told_by_name() {
    let mark = mark();
    let daemon = watching("raise", &mark);
    for (number, name) in [
        (1, "SIGHUP"),
        (2, "SIGINT"),
        (3, "SIGQUIT"),
        (6, "SIGABRT"),
        (9, "SIGKILL"),
        (10, "SIGUSR1"),
        (11, "SIGSEGV"),
        (14, "SIGALRM"),
        (15, "SIGTERM"),
        (24, "SIGXCPU"),
        (31, "SIGSYS"),
    ] {
        // Whoever runs the tests may ignore some of them (nohup, a shell's background), and that is inherited.
        let mut command = Command::new("env");
        command.args(["--default-signal", ACTOR, "raise", &number.to_string(), "--", &mark]);
        let mut actor = Actor::of(&mut command);
        assert_eq!(actor.wait().signal(), Some(number));
        let exit = exit_of(&daemon, actor.pid());
        assert_eq!(exit.text("process.exit.signal"), name, "{}", exit.0);
        assert!(exit.attribute("process.exit.code").is_null(), "{}", exit.0);
    }
}

#[test]
fn a_core_file_is_told() {
    let mark = mark();
    let daemon = watching("raise", &mark);
    let folder = tempfile::tempdir().unwrap();
    for (words, dumped) in [("raise 6 core", true), ("raise 6", false)] {
        let mut command = actor::command(ACTOR, words.split(' '), &mark);
        let mut actor = Actor::of(command.current_dir(folder.path()));
        let status = actor.wait();
        assert_eq!(status.core_dumped(), dumped, "{words}: does kernel.core_pattern of this host allow core files?");
        let exit = exit_of(&daemon, actor.pid());
        assert_eq!(exit.attribute("process.exit.core_dumped"), dumped, "{words}: {}", exit.0);
    }
}

#[test]
fn the_alarm_of_a_killed_process_names_signal_and_killer() {
    let mark = mark();
    let mut herd = Actor::start(ACTOR, "herd 1 sleep 600000", &mark);
    herd.told();
    let mut victim = Actor::start(ACTOR, "sleep 600000", &mark);
    let daemon = Setup::new().policy(&group("pair", "sleep", &mark, "count: { min: 2, severity: critical }")).start();

    let kill = format!("kill -TERM {}; exit 0", victim.pid());
    let mut shell = Actor::of(Command::new("sh").args(["-c", &kill]));
    let shell_pid = shell.pid();
    shell.finish();
    assert_eq!(victim.wait().signal(), Some(15));

    let firing = daemon.wait_for("the alarm", |event| event.is_alarm("firing", "pair.count.min"));
    assert_eq!((firing.number("value"), firing.number("limit")), (Some(1), Some(2)), "{}", firing.0);
    assert_eq!(firing.0["severity"], "critical");
    let evidence = firing.evidence();
    let entry = evidence.iter().find(|process| process["process.pid"] == victim.pid()).unwrap();
    assert_eq!(entry["process.exit.signal"], "SIGTERM", "{}", firing.0);
    assert_eq!((&entry["killer.pid"], &entry["killer.command"]), (&shell_pid.into(), &"sh".into()), "{}", firing.0);
    for word in [victim.pid().to_string().as_str(), "SIGTERM", &shell_pid.to_string(), "sh"] {
        assert!(firing.body().contains(word), "{word} is not in: {}", firing.body());
    }
    let exit = exit_of(&daemon, victim.pid());
    assert_eq!(exit.number("killer.pid"), Some(shell_pid.into()), "{}", exit.0);

    // The last of them: the value goes on falling, and starting two makes it good.
    let _two = [Actor::start(ACTOR, "sleep 600000", &mark), Actor::start(ACTOR, "sleep 600000", &mark)];
    daemon.wait_for("healthy again", |event| event.is_alarm("resolved", "pair.count.min"));
    herd.finish();
}

#[test]
fn a_process_that_ends_by_its_own_signal_has_no_killer_but_itself() {
    let mark = mark();
    let daemon = watching("raise", &mark);
    let mut actor = Actor::start(ACTOR, "raise 15", &mark);
    actor.wait();
    let exit = exit_of(&daemon, actor.pid());
    let killer = exit.number("killer.pid");
    assert!(killer.is_none() || killer == Some(actor.pid().into()), "{}", exit.0);
}

#[test]
fn what_the_oom_killer_ends_is_told_as_that() {
    let mark = mark();
    let daemon = Setup::new().policy(&group("eaters", "eat", &mark, "oom_kills: { max: 0, within: 1m }")).start();
    let cgroup = LimitedCgroup::of_memory(&format!("procprobe-{mark}"), 48 << 20);
    let script = format!("echo $$ > {}; exec {ACTOR} eat 256 60000 -- {mark}", cgroup.procs().display());
    let mut eater = Actor::of(Command::new("sh").args(["-c", &script]));
    assert_eq!(eater.wait().signal(), Some(9));
    let exit = exit_of(&daemon, eater.pid());
    assert_eq!(exit.text("process.exit.signal"), "SIGKILL", "{}", exit.0);
    assert_eq!(exit.attribute("oom"), true, "{}", exit.0);
    assert!(exit.number("process.memory.peak") > Some(32 << 20), "{}", exit.0);
    let firing = daemon.wait_for("the alarm", |event| event.is_alarm("firing", "eaters.oom_kills.max"));
    assert!(firing.evidence().iter().any(|process| process["process.pid"] == eater.pid()), "{}", firing.0);
    assert!(firing.evidence().iter().any(|process| process["oom"] == true), "{}", firing.0);
}

#[test]
fn failures_within_a_window_fire_and_good_ends_do_not() {
    let mark = mark();
    let daemon = Setup::new().policy(&group("flaky", "exit", &mark, "failures: { max: 2, within: 10m }")).start();
    for code in [0, 1, 0, 2, 0, 3] {
        daemon.assert_none("two failures are allowed", |event| event.is_alarm("firing", "flaky.failures.max"));
        let mut actor = Actor::start(ACTOR, &format!("exit {code}"), &mark);
        actor.wait();
        exit_of(&daemon, actor.pid());
    }
    let firing = daemon.wait_for("the alarm", |event| event.is_alarm("firing", "flaky.failures.max"));
    assert_eq!(firing.number("value"), Some(3), "{}", firing.0);
}
