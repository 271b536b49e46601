//! Processes in containers: told by the host's numbers, with the container they are in.

use std::fs;
use std::process::Command;

use procprobe_tests::actor::Actor;
use procprobe_tests::cgroup::PlainCgroup;
use procprobe_tests::container::Container;
use procprobe_tests::daemon::Setup;
use procprobe_tests::event::Event;
use procprobe_tests::mark;

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");

/// A policy of everything whose last argument is the mark.
fn marked(mark: &str) -> String {
    format!("groups:\n  watched:\n    match: {{ args: \" {mark}$\" }}\n    starts: {{ max: 1000000, within: 1s }}\n")
}

#[test]
fn pids_are_the_hosts_and_so_is_the_killers() {
    let mark = mark();
    let daemon = Setup::new().policy(&marked(&mark)).start();
    // In there the shell is 1, its child 2; it kills that one by the number it knows.
    let line = format!("\"$0\" sleep 600000 -- {mark} & read line; kill -KILL $!; wait");
    let mut inside = Command::new("unshare");
    inside.args(["--pid", "--fork", "--mount-proc", "--kill-child", "/bin/sh", "-c", &line, ACTOR]);
    let mut unshare = Actor::of(&mut inside);

    let start = daemon.wait_for("its start", Event::is_start);
    let pid = start.pid().unwrap_or_else(|| panic!("{}", start.0));
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_else(|error| panic!("{pid}: {error}"));
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    let numbers: Vec<&str> = numbers.split_whitespace().collect();
    assert_eq!(numbers, [pid.to_string().as_str(), "2"], "{}", start.0);
    let shell = start.number("process.parent_pid");

    unshare.say("kill it");
    let exit = daemon.wait_for("its end", |event| event.is_exit_of(pid));
    assert_eq!(exit.text("process.exit.signal"), "SIGKILL", "{}", exit.0);
    assert_eq!(exit.number("killer.pid"), shell, "{}", exit.0);
    unshare.finish();
}

#[test]
fn the_container_is_named_and_can_be_matched() {
    let mark = mark();
    // Sixty-four hexadecimal digits, as container runtimes name what they start.
    let id: String = "0123456789abcdef".repeat(4).chars().rev().collect();
    let Ok(cgroup) = PlainCgroup::new(&format!("docker-{id}.scope")) else {
        panic!("no unified cgroup hierarchy is mounted here");
    };
    let policy = format!("groups:\n  contained:\n    match: {{ container: {} }}\n    count: {{ max: 0 }}\n", &id[..12]);
    let daemon = Setup::new().policy(&policy).start();
    let line =
        format!("echo $$ > {}; exec \"$0\" sleep 600000 -- {mark}", cgroup.path().join("cgroup.procs").display());
    let actor = Actor::of(Command::new("/bin/sh").args(["-c", &line, ACTOR]));

    let ours = |event: &Event| event.is_start() && event.pid() == Some(actor.pid());
    let start = daemon.wait_for("its start", |event| ours(event) && event.text("container.id") == id);
    assert!(start.text("process.linux.cgroup").ends_with(&format!("/docker-{id}.scope")), "{}", start.0);
    let firing = daemon.wait_for("the alarm", |event| event.is_alarm("firing", "contained.count.max"));
    assert_eq!(firing.evidence()[0]["process.pid"], actor.pid(), "{}", firing.0);
    drop(actor);
    daemon.wait_for("healthy again", |event| event.is_alarm("resolved", "contained.count.max"));
}

#[test]
fn a_real_container_is_told_by_the_hosts_numbers_and_by_its_id() {
    let mark = mark();
    let mut container = Container::prepare();
    let policy = format!(
        "{}  contained:\n    match: {{ container: \"{}\", args: \" {mark}$\" }}\n    count: {{ max: 0 }}\n",
        marked(&mark),
        &container.id()[..12]
    );
    let daemon = Setup::new().policy(&policy).start();
    // In there the shell is 1; its child is killed by the number that it has in there.
    let line = format!("/actor sleep 600000 -- {mark} & read line; kill -KILL $!; wait; exit 7");
    container.start(ACTOR, &line);

    let start = daemon.wait_for("its start", |event| event.is_start() && event.text("container.id") == container.id());
    let pid = start.pid().unwrap_or_else(|| panic!("{}", start.0));
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_else(|error| panic!("{pid}: {error}"));
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    let numbers: Vec<&str> = numbers.split_whitespace().collect();
    assert!(numbers.len() > 1 && numbers[0] == pid.to_string(), "{numbers:?}: {}", start.0);
    let first = container.pid();
    assert_eq!(start.number("process.parent_pid"), Some(first), "{}", start.0);
    assert!(start.text("process.linux.cgroup").ends_with(&format!("/{}", container.id())), "{}", start.0);
    let firing = daemon.wait_for("the alarm", |event| event.is_alarm("firing", "contained.count.max"));
    assert_eq!(firing.evidence()[0]["process.pid"], pid, "{}", firing.0);

    container.say("kill it");
    let exit = daemon.wait_for("its end", |event| event.is_exit_of(pid));
    assert_eq!(exit.text("process.exit.signal"), "SIGKILL", "{}", exit.0);
    assert_eq!(exit.number("killer.pid"), Some(first), "{}", exit.0);
    assert_eq!(exit.text("container.id"), container.id(), "{}", exit.0);
    daemon.wait_for("healthy again", |event| event.is_alarm("resolved", "contained.count.max"));
    assert_eq!(container.wait(), Some(7));
}
