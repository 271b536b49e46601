//! What a process runs: executable, arguments, threads, names, and how they change while it lives.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use procprobe_tests::actor::{self, Actor, group};
use procprobe_tests::daemon::{Daemon, Setup};
use procprobe_tests::event::Event;
use procprobe_tests::mark;

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");

fn watching_all() -> Daemon {
    Setup::new().events("all").start()
}

fn exe() -> String {
    fs::canonicalize(ACTOR).map_or_else(|error| panic!("{ACTOR}: {error}"), |path| path.display().to_string())
}

/// All start events of one process, once its exit was told.
fn starts_of(daemon: &Daemon, pid: u32) -> Vec<Event> {
    daemon.wait_for("the exit", |event| event.is_exit_of(pid));
    daemon.stream.events().into_iter().filter(|event| event.is_start() && event.pid() == Some(pid)).collect()
}

#[test]
fn threads_are_one_process_and_are_counted() {
    let mark = mark();
    let policy = group("threaded", "threads", &mark, "threads: { max: 3 }");
    let daemon = Setup::new().policy(&policy).args(["--sample-interval", "200ms"]).start();
    let mut actor = Actor::start(ACTOR, "threads 5 3000", &mark);
    let firing = daemon.wait_for("the alarm", |event| event.is_alarm("firing", "threaded.threads.max"));
    assert_eq!(firing.number("value"), Some(5), "{}", firing.0);
    actor.finish();
    assert_eq!(starts_of(&daemon, actor.pid()).len(), 1);
    daemon.wait_for("healthy again", |event| event.is_alarm("resolved", "threaded.threads.max"));
    daemon.assert_none("a thread's end is no exit", |event| event.is_exit() && event.pid() != Some(actor.pid()));
}

#[test]
fn each_link_of_an_exec_chain_is_a_start_of_one_process() {
    let (mark, daemon) = (mark(), watching_all());
    let mut actor = Actor::start(ACTOR, "exec 5 9", &mark);
    actor.wait();
    let links: Vec<String> = starts_of(&daemon, actor.pid()).iter().map(|start| start.args()[2].to_owned()).collect();
    assert_eq!(links, ["5", "4", "3", "2", "1", "0"]);
    let exits: Vec<Event> = daemon.stream.events().into_iter().filter(|event| event.is_exit_of(actor.pid())).collect();
    assert_eq!(exits.len(), 1);
    assert_eq!(exits[0].number("process.exit.code"), Some(9));
}

#[test]
fn an_exec_by_another_thread_keeps_the_process() {
    let (mark, daemon) = (mark(), watching_all());
    let mut actor = Actor::start(ACTOR, "exec-in-thread 4", &mark);
    assert_eq!(actor.wait().code(), Some(4));
    let modes: Vec<String> = starts_of(&daemon, actor.pid()).iter().map(|start| start.args()[1].to_owned()).collect();
    assert_eq!(modes, ["exec-in-thread", "exit"]);
    let exit = daemon.wait_for("the exit", |event| event.is_exit_of(actor.pid()));
    assert_eq!(exit.number("process.exit.code"), Some(4), "{}", exit.0);
}

#[test]
fn a_script_is_its_interpreter_with_the_script_among_the_arguments() {
    let (mark, daemon) = (mark(), watching_all());
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("nightly.sh");
    fs::write(&script, "#!/bin/sh -e\nexit 7\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let mut actor = Actor::of(Command::new(&script).arg(&mark));
    assert_eq!(actor.wait().code(), Some(7));
    let starts = starts_of(&daemon, actor.pid());
    assert_eq!(starts.len(), 1, "{starts:?}");
    let shell = fs::canonicalize("/bin/sh").unwrap();
    assert_eq!(starts[0].text("process.executable.path"), shell.display().to_string());
    assert_eq!(starts[0].args(), ["/bin/sh", "-e", script.to_str().unwrap(), &mark]);
}

#[test]
fn a_program_started_by_a_relative_path_is_told_by_its_absolute_one() {
    let (mark, daemon) = (mark(), watching_all());
    let folder = fs::canonicalize(ACTOR).unwrap().parent().unwrap().to_owned();
    let mut actor = Actor::of(Command::new("./actor").current_dir(folder).args(["exit", "0", "--", &mark]));
    actor.finish();
    let starts = starts_of(&daemon, actor.pid());
    assert_eq!(starts[0].text("process.executable.path"), exe());
    assert_eq!(starts[0].text("process.executable.name"), "actor");
    assert_eq!(starts[0].args()[0], "./actor");
    assert_eq!(starts[0].number("process.parent_pid"), Some(std::process::id().into()));
}

#[test]
fn a_process_that_renames_itself_belongs_where_its_new_name_does() {
    let mark = mark();
    let name: String = mark.chars().rev().take(15).collect();
    let policy = format!("groups:\n  renamed:\n    match: {{ comm: \"{name}\" }}\n    count: {{ max: 0 }}\n");
    let daemon = Setup::new().policy(&policy).start();
    let mut actor = Actor::start(ACTOR, &format!("rename {name} 600000"), &mark);
    let firing = daemon.wait_for("the alarm", |event| event.is_alarm("firing", "renamed.count.max"));
    assert_eq!(firing.number("value"), Some(1), "{}", firing.0);
    actor.signal(rustix::process::Signal::KILL);
    actor.wait();
    daemon.wait_for("healthy again", |event| event.is_alarm("resolved", "renamed.count.max"));
}

#[test]
fn arguments_of_100_kib_are_counted_and_cut() {
    let (mark, daemon) = (mark(), watching_all());
    let long = "x".repeat(100 << 10);
    let mut actor = Actor::of(&mut actor::command(ACTOR, ["exit", "0", &long, "y"], &mark));
    actor.finish();
    let starts = starts_of(&daemon, actor.pid());
    let args = starts[0].args();
    assert_eq!(starts[0].number("process.args_count"), Some(7), "{}", starts[0].0);
    assert_eq!(args[..3], [ACTOR, "exit", "0"]);
    let told: usize = args.iter().map(|argument| argument.len()).sum();
    assert!((512..8 << 10).contains(&told), "{told} bytes of arguments were told");
    assert!(args[3].starts_with("xxxx"));
}

#[test]
fn many_small_arguments_are_counted_and_cut() {
    let (mark, daemon) = (mark(), watching_all());
    let many = vec!["a"; 20_000];
    let mut actor = Actor::of(actor::command(ACTOR, ["exit", "0"], &mark).args(many));
    actor.finish();
    let starts = starts_of(&daemon, actor.pid());
    assert_eq!(starts[0].number("process.args_count"), Some(20_005), "{}", starts[0].0);
    assert!(starts[0].0.to_string().len() < 32 << 10, "{} bytes of event", starts[0].0.to_string().len());
}

#[test]
fn arguments_that_are_not_utf8_or_hold_controls_are_told_escaped() {
    let (mark, daemon) = (mark(), watching_all());
    let odd = OsString::from_vec(b"caf\xe9\xff \x1b[31m\n\"end\"".to_vec());
    let words = [OsString::from("exit"), OsString::from("0"), odd, OsString::new()];
    let mut actor = Actor::of(&mut actor::command(ACTOR, words, &mark));
    actor.finish();
    let starts = starts_of(&daemon, actor.pid());
    let args = starts[0].args();
    assert_eq!(args.len(), 7, "{args:?}");
    assert!(args[3].starts_with("caf") && args[3].ends_with("\"end\""), "{args:?}");
    assert!(!args[3].contains(['\x1b', '\n']), "{args:?}");
    assert_eq!((args[4], args[6]), ("", mark.as_str()), "{args:?}");
}

#[test]
fn children_of_a_member_belong_when_the_policy_says_so() {
    let mark = mark();
    let family = format!("{}    include_children: true\n", group("family", "herd", &mark, "count: { max: 3 }"));
    let daemon = Setup::new().policy(&family).start();
    let mut small = Actor::start(ACTOR, "herd 2 sleep 600000", &mark);
    small.told();
    let mut one_more = Actor::start(ACTOR, "herd 1 sleep 600000", &mark);
    let firing = daemon.wait_for("the alarm", |event| event.is_alarm("firing", "family.count.max"));
    assert_eq!(firing.number("value"), Some(4), "{}", firing.0);
    one_more.finish();
    daemon.wait_for("healthy again", |event| event.is_alarm("resolved", "family.count.max"));
    small.finish();
}
