//! Actions against real processes: who runs what, what is signalled, and that nothing is left over.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use probe_user::host::identity;
use probe_user::kernel::loader::wants_bpf_for_good;
use procprobe_tests::actor::{self, Actor};
use procprobe_tests::daemon::{Daemon, Setup, binary, end_of_patience};
use procprobe_tests::event::Event;
use procprobe_tests::mark;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");

/// A group `app` with a bound, whose alarms lead to the action `it`.
fn policy(mark: &str, bound: &str, mode: &str, action: &str) -> String {
    let group = actor::group("app", "sleep", mark, &format!("{bound}\nact: [it]\nmode: {mode}"));
    format!("{group}actions:\n  it: {action}\n")
}

fn start(mark: &str, bound: &str, mode: &str, action: &str) -> Daemon {
    Setup::new().policy(&policy(mark, bound, mode, action)).start()
}

fn ran(event: &Event) -> bool {
    event.name() == "procprobe.action.ran"
}

/// Pids of processes that have this among their arguments.
fn alive(word: &str) -> Vec<u32> {
    let folders = fs::read_dir("/proc").unwrap().flatten();
    let pids = folders.filter_map(|folder| folder.file_name().to_str()?.parse::<u32>().ok());
    let has = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let is_zombie = stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']));
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        !is_zombie && String::from_utf8_lossy(&line).contains(word)
    };
    pids.filter(has).collect()
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = end_of_patience();
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The daemon's helper, and a line of its /proc/PID/status.
fn helper_of(daemon: &Daemon) -> u32 {
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", daemon.pid())).unwrap();
    let is_helper = |pid: &u32| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.ends_with(b"\0act\0"));
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).find(is_helper).expect("a helper")
}

fn capabilities(pid: u32) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap().trim().to_owned()
}

#[test]
fn a_program_runs_as_its_user_with_nothing_of_the_daemons() {
    let mark = mark();
    let script = "id -u; id -g; id -G; pwd; ls /proc/self/fd | wc -l; umask; env; echo to stderr >&2; \
                  grep CapEff /proc/self/status; exit 3";
    let action = format!("{{ run: [/bin/sh, -c, {script:?}], as: nobody }}");
    let daemon = start(&mark, "count: { min: 1 }", "enforce", &action);
    let event = daemon.wait_for("the action", ran);
    assert_eq!((event.text("action"), event.text("alarm")), ("it", "app.count.min"));
    assert_eq!((event.number("process.exit.code"), event.attribute("timed_out")), (Some(3), &false.into()));
    let output = event.text("output").replace("\\n", "\n");
    let lines: Vec<&str> = output.lines().collect();
    // 0, 1, 2, and what `ls` itself has open.
    assert_eq!(lines[..5], ["65534", "65534", "65534", "/", "4"], "{output}");
    for expected in [
        "PROCPROBE_ALARM=app.count.min",
        "PROCPROBE_POLICY=app",
        "PROCPROBE_VALUE=0",
        "PROCPROBE_LIMIT=1",
        "PROCPROBE_SEVERITY=warning",
        "USER=nobody",
        "to stderr",
    ] {
        assert!(lines.contains(&expected), "no {expected} in {output}");
    }
    assert!(lines.iter().any(|line| line.starts_with("CapEff:") && line.ends_with("0000000000000000")), "{output}");
    let variables = lines.iter().filter_map(|line| line.split_once('=')).map(|(name, _)| name);
    let known = ["PATH", "SHELL", "HOME", "USER", "LOGNAME", "PWD", "OLDPWD", "SHLVL", "_"];
    let foreign: Vec<&str> =
        variables.filter(|name| !known.contains(name) && !name.starts_with("PROCPROBE_")).collect();
    assert!(foreign.is_empty(), "{foreign:?} of the daemon's environment in {output}");
    let release = identity::kernel_release();
    let kept =
        if wants_bpf_for_good(identity::kernel_version(&release)) { "0000008000000000" } else { "0000000000000000" };
    assert_eq!(capabilities(daemon.pid()), kept, "at most CAP_BPF, on {release}");
    assert_eq!(capabilities(helper_of(&daemon)), "00000000000000e0", "kill, setgid, setuid");
}

#[test]
fn observing_does_nothing_and_says_what_it_would_do() {
    let (mark, folder) = (mark(), tempfile::tempdir().unwrap());
    let file = folder.path().join("touched");
    let action = format!("{{ run: [touch, {}], as: nobody }}", file.display());
    let daemon = start(&mark, "count: { min: 1 }", "observe", &action);
    let event = daemon.wait_for("what it would do", |event| event.name() == "procprobe.action.skipped");
    assert_eq!(event.text("why"), "observe");
    assert_eq!(event.text("would"), format!("run touch {} as nobody", file.display()));
    assert!(!file.exists());
    assert!(helper_is_absent(&daemon), "nothing is started for it");
}

fn helper_is_absent(daemon: &Daemon) -> bool {
    fs::read_to_string(format!("/proc/{0}/task/{0}/children", daemon.pid())).unwrap().trim().is_empty()
}

#[test]
fn a_reload_by_name_leaves_the_helper_alone() {
    let mark = mark();
    let daemon = start(&mark, "count: { max: 0 }", "enforce", "{ run: [/bin/sh, -c, 'kill -HUP $$; exit 3'] }");
    let helper = helper_of(&daemon);
    let catches_hangups = || {
        let status = fs::read_to_string(format!("/proc/{helper}/status")).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap().trim().to_owned();
        u64::from_str_radix(&caught, 16).unwrap() & 1 == 1
    };
    until("the helper does not catch hangups", catches_hangups);
    for pid in [helper, daemon.pid()] {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).unwrap();
        kill_process(pid, Signal::HUP).unwrap();
    }
    daemon.wait_for("the reload", |event| event.name() == "procprobe.agent.reloaded");
    let _one = Actor::start(ACTOR, "sleep 600000", &mark);
    let event = daemon.wait_for("the action", ran);
    // Programs hear a hangup as ever.
    assert_eq!((event.text("process.exit.signal"), helper_of(&daemon)), ("SIGHUP", helper), "{}", event.0);
}

#[test]
fn what_takes_too_long_goes_with_all_its_children() {
    let (mark, left) = (mark(), mark());
    // The children of `sh` ignore SIGTERM as it does.
    let script = format!("trap '' TERM; echo begun; {ACTOR} sleep 600000 -- {left} & {ACTOR} sleep 600000 -- {left}");
    let action = format!("{{ run: [/bin/sh, -c, {script:?}], timeout: 1s }}");
    let daemon = start(&mark, "count: { min: 1 }", "enforce", &action);
    until("they run", || alive(&left).len() >= 2);
    let event = daemon.wait_for("the action", ran);
    assert_eq!((event.attribute("timed_out"), event.text("process.exit.signal")), (&true.into(), "SIGKILL"));
    assert_eq!(event.text("output"), "begun\\n");
    assert!((1.0..20.0).contains(&event.float("duration").unwrap()));
    until("nothing is left", || alive(&left).is_empty());
}

#[test]
fn what_a_program_leaves_behind_in_its_group_goes_too() {
    let (mark, left) = (mark(), mark());
    let script = format!("{ACTOR} sleep 600000 -- {left} & echo done");
    let action = format!("{{ run: [/bin/sh, -c, {script:?}] }}");
    let daemon = start(&mark, "count: { min: 1 }", "enforce", &action);
    let event = daemon.wait_for("the action", ran);
    assert_eq!((event.number("process.exit.code"), event.attribute("timed_out")), (Some(0), &false.into()));
    until("nothing is left", || alive(&left).is_empty());
}

#[test]
fn the_youngest_of_too_many_is_signalled() {
    let mark = mark();
    let mut old = Actor::start(ACTOR, "sleep 600000", &mark);
    let daemon = start(&mark, "count: { max: 1 }", "enforce", "{ signal: TERM }");
    let mut young = Actor::start(ACTOR, "sleep 600000", &mark);
    let event = daemon.wait_for("the action", ran);
    assert_eq!(event.attribute("pids"), &Value::from(vec![young.pid()]));
    assert_eq!(young.wait().signal(), Some(15));
    daemon.wait_for("its end", |event| event.is_alarm("resolved", "app.count.max"));
    assert_eq!(alive(&mark), [old.pid()]);
    old.signal(Signal::KILL);
    old.wait();
}

#[test]
fn who_does_not_listen_is_killed() {
    let mark = mark();
    // Another user's, so that it takes the helper's capability.
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "trap '' TERM; while :; do sleep 0.1; done", &mark]).uid(65534).gid(65534);
    let policy = format!(
        "groups:\n  app:\n    match: {{ exe: \"*sh\", args: {mark} }}\n    count: {{ max: 0, for: 1s }}\n    act: [it]\n    \
         mode: enforce\nactions:\n  it: {{ signal: TERM, then_kill_after: 1s }}\n"
    );
    let daemon = Setup::new().policy(&policy).start();
    let mut stubborn = Actor::of(&mut command);
    let event = daemon.wait_for("the action", ran);
    let pid = Value::from(vec![stubborn.pid()]);
    assert_eq!((event.attribute("pids"), event.attribute("killed")), (&pid, &pid));
    assert_eq!(stubborn.wait().signal(), Some(9));
}

#[test]
fn a_daemon_that_ends_first_kills_nobody_and_says_so() {
    let mark = mark();
    let folder = tempfile::tempdir().unwrap();
    let heard = folder.path().join("heard");
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "trap 'echo heard >&2' TERM; while :; do sleep 0.1; done", &mark]);
    command.stderr(fs::File::create(&heard).unwrap());
    let policy = format!(
        "groups:\n  app:\n    match: {{ exe: \"*sh\", args: {mark} }}\n    count: {{ max: 0 }}\n    act: [it]\n    \
         mode: enforce\nactions:\n  it: {{ signal: TERM, then_kill_after: 1h }}\n"
    );
    let mut daemon = Setup::new().policy(&policy).start();
    let mut stubborn = Actor::of(&mut command);
    until("TERM arrived", || fs::metadata(&heard).unwrap().len() > 0);
    assert_eq!(daemon.stop(), Some(0));
    let event = daemon.wait_for("the action", ran);
    let pid = Value::from(vec![stubborn.pid()]);
    assert_eq!((event.attribute("pids"), event.attribute("left")), (&pid, &pid));
    assert!(event.0.to_string().contains("procprobe ended before it was due"), "{}", event.0);
    assert!(stubborn.is_running());
}

#[test]
fn who_comes_under_the_number_of_the_one_that_was_to_be_killed_lives() {
    let (mark, other) = (mark(), mark());
    let trap = "trap 'echo heard >&2' TERM; while :; do sleep 0.1; done";
    let policy = format!(
        "groups:\n  app:\n    match: {{ exe: \"*sh\", args: {mark} }}\n    count: {{ max: 0 }}\n    act: [it]\n    \
         mode: enforce\nactions:\n  it: {{ signal: TERM, then_kill_after: 3s }}\n"
    );
    let daemon = Setup::new().policy(&policy).start();
    let folder = tempfile::tempdir().unwrap();
    let heard = folder.path().join("heard");
    let mut command = Command::new("/bin/sh");
    command.args(["-c", trap, &mark]).stderr(fs::File::create(&heard).unwrap());
    let mut stubborn = Actor::of(&mut command);
    until("TERM arrived", || fs::metadata(&heard).unwrap().len() > 0);
    stubborn.signal(Signal::KILL);
    stubborn.wait();
    let mut innocent = Actor::with_pid(stubborn.pid(), &mut actor::command(ACTOR, ["sleep", "600000"], &other));
    let event = daemon.wait_for("the action's end", ran);
    assert_eq!(event.attribute("pids"), &Value::from(vec![stubborn.pid()]));
    assert_ne!(event.attribute("killed"), &Value::from(vec![stubborn.pid()]), "{event:?}");
    assert!(innocent.is_running());
}

/// The helper alone, told to signal; its answer.
fn order(pid: u32, start_boot_ns: u64) -> Value {
    let mut helper = Command::new(binary()).arg("act").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = helper.stdin.take().unwrap();
    writeln!(
        stdin,
        "{{\"order\":7,\"what\":{{\"Signal\":{{\"signal\":15,\"then_kill_after\":null,\"targets\":[[{pid},{start_boot_ns}]]}}}}}}"
    )
    .unwrap();
    let mut line = String::new();
    BufReader::new(helper.stdout.take().unwrap()).read_line(&mut line).unwrap();
    drop(stdin);
    assert!(helper.wait().unwrap().success());
    serde_json::from_str(&line).unwrap()
}

#[test]
fn another_process_of_the_same_number_is_left_alone() {
    let mark = mark();
    let mut actor = Actor::start(ACTOR, "sleep 600000", &mark);
    let stat = fs::read_to_string(format!("/proc/{}/stat", actor.pid())).unwrap();
    let ticks: u64 = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse().unwrap();
    let tick_ns = 1_000_000_000 / rustix::param::clock_ticks_per_second();
    let gone = serde_json::json!([7, {"Signalled": {"pids": [], "killed": [], "left": [], "gone": [actor.pid()]}}]);
    assert_eq!(order(actor.pid(), (ticks - 1) * tick_ns), gone);
    assert_eq!(alive(&mark), [actor.pid()]);
    let hit = serde_json::json!([7, {"Signalled": {"pids": [actor.pid()], "killed": [], "left": [], "gone": []}}]);
    assert_eq!(order(actor.pid(), ticks * tick_ns + tick_ns / 2), hit);
    actor.wait();
    assert_eq!(order(actor.pid(), ticks * tick_ns), gone, "nor is one that is no more");
    let mut heir = Actor::with_pid(actor.pid(), &mut actor::command(ACTOR, ["sleep", "600000"], &mark));
    assert_eq!(order(actor.pid(), ticks * tick_ns), gone, "nor is one that has its number");
    assert!(heir.is_running());
    let refused = order(1, 0);
    assert!(refused[1]["Failed"]["why"].as_str().is_some_and(|why| why.contains("SIGTERM to 1")), "{refused}");
}

#[test]
fn a_crash_of_the_daemon_ends_what_it_had_started() {
    let (mark, left) = (mark(), mark());
    let action = format!("{{ run: [{ACTOR}, sleep, \"600000\", --, {left}], timeout: 1h }}");
    let mut daemon = start(&mark, "count: { min: 1 }", "enforce", &action);
    until("it runs", || alive(&left).len() == 1);
    let (before, helper) = (alive(&left), helper_of(&daemon));
    daemon.crash(|| {
        until("it is gone", || !alive(&left).contains(&before[0]));
        until("so is the helper", || !alive("procprobe\0act").contains(&helper));
    });
    // A clean end ends it as well, and tells.
    until("it runs again", || alive(&left).len() == 1);
    assert_eq!(daemon.stop(), Some(0));
    let event = daemon.wait_for("the action", ran);
    assert_eq!((event.text("process.exit.signal"), event.attribute("timed_out")), ("SIGTERM", &false.into()));
    assert!(alive(&left).is_empty());
}

#[test]
fn what_cannot_be_begun_is_told() {
    let mark = mark();
    let daemon = start(&mark, "count: { min: 1 }", "enforce", "{ run: [/nonexistent/program] }");
    let event = daemon.wait_for("the action", ran);
    assert_eq!(event.number("process.exit.code"), Some(127));
    assert!(event.text("output").contains("cannot execute /nonexistent/program"), "{:?}", event.0);
    // The helper is not missed for long.
    let helper = Pid::from_raw(i32::try_from(helper_of(&daemon)).unwrap()).unwrap();
    kill_process(helper, Signal::KILL).unwrap();
    until("the daemon has noticed", || helper_is_absent(&daemon));
    drop(Actor::start(ACTOR, "sleep 600000", &mark));
    let again = daemon.wait_for_count("another one", 2, ran);
    assert_eq!(again[1].number("process.exit.code"), Some(127));
}
