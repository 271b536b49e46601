//! What lies on disk: the local history, a spool that is full, a disk that is, and files that are damaged.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use procprobe_tests::account::{Account, id};
use procprobe_tests::actor::{Actor, group};
use procprobe_tests::collector::Down;
use procprobe_tests::daemon::{Daemon, Setup};
use procprobe_tests::home::{Home, history, is_caught_up, status, wait_until};
use procprobe_tests::mark;
use procprobe_tests::web::get;
use rustix::process::Signal;
use tempfile::TempDir;

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");

/// Forks a second: what a busy machine with a daemon that is not optimised can follow.
const PACE: u32 = 1500;

#[test]
fn what_a_small_spool_drops_in_an_outage_is_told() {
    for when_full in ["drop_oldest", "drop_newest"] {
        let down = Down::reserve();
        let home = Home::new(&format!(
            "events: {{ processes: all, forks: true }}\nstate: {{ spool_max: 1MiB, when_full: {when_full} }}\ncollector: {{ url: \"{}\" }}\n",
            down.url()
        ));
        let mut daemon = home.setup().start();
        let mark = mark();
        let mut storm = Actor::start(ACTOR, &format!("forks {PACE}"), &mark);
        daemon.wait_for("the first drop", |event| {
            event.name() == "procprobe.agent.lost" && event.text("where") == "spool" && event.text("reason") == "full"
        });
        storm.finish();
        let spooled = fs::read_dir(home.state().join("spool")).unwrap();
        let bytes: u64 = spooled.map(|file| file.unwrap().metadata().unwrap().len()).sum();
        assert!(bytes < (1 << 20) + (256 << 10), "{bytes} bytes on disk");
        daemon.crash(|| ());
        let collector = down.up([]);
        wait_until("the backlog at the collector", Duration::from_mins(1), || is_caught_up(&daemon));
        assert_eq!(daemon.stop(), Some(0));
        // Whatever its end made room for was told before it ended.
        let account = Account::of(collector.take_lines());
        let starts = account.own().iter().filter(|event| event.name() == "procprobe.agent.started").count();
        // The daemon's own events outlive those of processes, unless it is what is new that goes.
        assert!(starts == 2 || when_full == "drop_newest", "{starts} of 2");
    }
}

#[test]
fn the_history_works_without_a_collector_and_can_be_followed_by_name() {
    let home = Home::new("");
    let mark = mark();
    let policy = group("some", "exit", &mark, "count: { max: 100 }");
    let mut daemon = home.setup().policy(&policy).start();
    let child = Actor::start(ACTOR, "exit 3", &mark);
    let pid = child.pid();
    drop(child);
    daemon.wait_for("the exit", |event| event.is_exit_of(pid));
    wait_until("the exit in the history", Duration::from_secs(20), || {
        let output = daemon.command(&["events", "--name", "*.exit", "--since", "1m", "--format", "json"]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.lines().all(|line| line.contains("procprobe.process.exit")), "{text}");
        text.contains(&format!("\"process.pid\":{pid},"))
    });
    let text = String::from_utf8(daemon.command(&["events", "--format", "text"]).stdout).unwrap();
    assert!(text.starts_with("--- ") && text.contains("agent.started"), "{text}");
    daemon.crash(|| ());
    wait_until("both starts in the history, which outlives the daemon", Duration::from_secs(20), || {
        history(&daemon, None).iter().filter(|event| event.name() == "procprobe.agent.started").count() == 2
    });
    daemon.signal(Signal::TERM);
    daemon.wait();
}

/// A small file system for a state directory; unmounted when dropped.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(folder.path()).status();
        assert!(mounted.unwrap().success(), "mount");
        Self(folder)
    }

    /// Takes all room that is left.
    fn fill(&self) -> PathBuf {
        let path = self.0.path().join("filler");
        let mut file = fs::File::create(&path).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_stops_the_spool_and_nothing_else() {
    let disk = SmallDisk::mount();
    let mark = mark();
    let policy = group("herd", "sleep", &mark, "count: { max: 1 }");
    let mut herd = Actor::start(ACTOR, "herd 1 sleep 600000", &mark);
    herd.told();
    let mut daemon = Setup::new().policy(&policy).state(&disk.0.path().join("state")).http("127.0.0.1:0").start();
    assert!(daemon.command(&["status"]).status.success());
    let address = status(&daemon).unwrap()["agent"]["http"].as_str().unwrap().parse().unwrap();
    let filler = disk.fill();
    let is_failing = |daemon: &Daemon| status(daemon).is_some_and(|status| status["spool"]["failing"].is_string());
    // Until nothing fits behind what is there.
    let mut more = Vec::new();
    wait_until("the disk to refuse", Duration::from_secs(30), || {
        more.push(Actor::start(ACTOR, "sleep 600000", &mark));
        drop(more.pop().filter(|_| more.len() > 3));
        is_failing(&daemon)
    });
    assert_eq!(daemon.command(&["status"]).status.code(), Some(1));
    let health = get(address, "/health", "").unwrap();
    assert!(health.status == 503 && health.body.contains("No space left on device"), "{health:?}");
    assert!(get(address, "/metrics", "").unwrap().body.contains("\nprocprobe_spool_failing 1\n"));
    let failing = daemon.wait_for("a word of it", |event| event.name() == "procprobe.spool.failing");
    assert!(failing.text("why").contains("No space left on device"), "{}", failing.0);
    // Alarms are told all the same.
    let firing = daemon.wait_for("the alarm", |event| event.is_alarm("firing", "herd.count.max"));
    drop(more);
    let resolved = daemon.wait_for("its end", |event| event.is_alarm("resolved", "herd.count.max"));
    fs::remove_file(filler).unwrap();
    wait_until("the disk to take events", Duration::from_mins(1), || !is_failing(&daemon));
    let restored = daemon.wait_for("a word of its end", |event| event.name() == "procprobe.spool.restored");
    assert_eq!((restored.attribute("since"), restored.number("lost")), (failing.attribute("since"), Some(0)));
    assert!(
        restored.float("duration") > Some(0.0) && restored.text("until") > restored.text("since"),
        "{}",
        restored.0
    );
    assert_eq!(get(address, "/health", "").unwrap().status, 200);
    wait_until("that word on disk", Duration::from_secs(20), || history(&daemon, None).contains(&restored));
    let ids: Vec<String> = history(&daemon, None).iter().map(|event| id(event).to_owned()).collect();
    for event in [firing, resolved, failing] {
        assert!(ids.contains(&id(&event).to_owned()), "{} is not in the history", event.0);
    }
    herd.finish();
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_damaged_file_is_set_aside_and_told() {
    let home = Home::new("");
    let mut daemon = home.setup().start();
    wait_until("some events on disk", Duration::from_secs(20), || !history(&daemon, None).is_empty());
    assert_eq!(daemon.stop(), Some(0));
    let spool = home.state().join("spool");
    let names = || fs::read_dir(&spool).unwrap().map(|file| file.unwrap().path());
    let segment = names().find(|path| path.extension().is_some_and(|kind| kind == "seg")).unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    bytes[60] ^= 0xff;
    fs::write(&segment, bytes).unwrap();
    let mut daemon = home.setup().start();
    let lost = daemon
        .wait_for("the loss", |event| event.name() == "procprobe.agent.lost" && event.text("reason") == "damaged");
    assert_eq!((lost.text("where"), lost.number("count")), ("spool", Some(1)), "{}", lost.0);
    assert!(names().any(|path| path.extension().is_some_and(|kind| kind == "damaged")));
    assert_eq!(daemon.stop(), Some(0));
}
