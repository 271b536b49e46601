//! More than the daemon can take: what is lost first, that it is counted, and that nothing false comes of it.
#![expect(clippy::unwrap_used, reason = "helpers of tests: what fails here fails the test")]

use std::collections::HashSet;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use probe_common::maps::LossReason;
use probe_user::engine::Watch;
use probe_user::kernel::loader::{LoadSettings, attach};
use probe_user::record::{Body, Lost, Record};
use procprobe_tests::actor::{Actor, group};
use procprobe_tests::cgroup::LimitedCgroup;
use procprobe_tests::daemon::{Daemon, PATIENCE, Setup, at_most, end_of_patience, require_host};
use procprobe_tests::event::Event;
use procprobe_tests::home::wait_until;
use procprobe_tests::mark;
use procprobe_tests::pins::{PinDir, lost_in_kernel};
use rustix::process::Signal;

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");

/// The kernel programs without a daemon that empties their ring: it fills up with starts, and the ends of watched processes
/// still find room.
#[test]
fn starts_are_lost_before_the_ends_of_watched_processes() {
    require_host();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let _entered = runtime.enter();
    let settings = LoadSettings { ring_bytes: 1 << 16, ..LoadSettings::default() };
    let mut kernel = attach(settings, None).unwrap_or_else(|error| panic!("{error}"));

    let mut watched: Vec<_> = (0..20).map(|_| Actor::start(ACTOR, "sleep 600000", &mark())).collect();
    let pids: HashSet<u32> = watched.iter().map(Actor::pid).collect();
    for row in kernel.sampler.scan().unwrap().iter().filter(|row| pids.contains(&row.key.tgid)) {
        kernel.watched.set(row.key, Watch { exit: true, usage: false });
    }
    let mut storm = Actor::start(ACTOR, &format!("spawn {} 2 exit 0", at_most(800).max(200)), &mark());
    storm.told();
    storm.finish();
    for one in &mut watched {
        one.signal(Signal::KILL);
        one.wait();
    }

    let mut records: Vec<(u64, Record)> = Vec::new();
    let mut losses = Vec::new();
    while kernel.records.drain(4_096, &mut records) > 0 {}
    let ended = records
        .iter()
        .filter(|(_, record)| matches!(record.body, Body::Exit { .. }) && pids.contains(&record.key.tgid));
    assert_eq!(ended.count(), pids.len(), "each end of a watched process is among {} records", records.len());

    a_record_on_each_cpu();
    let deadline = end_of_patience();
    loop {
        records.clear();
        kernel.records.drain(4_096, &mut records);
        kernel.losses.new_losses(&mut losses);
        let full = losses.iter().filter(|loss| loss.reason == Lost::Kernel(LossReason::RingFull));
        let (lost, gaps) = (full.map(|loss| loss.count).sum::<u64>(), kernel.records.stats().gaps);
        if lost > 0 && lost == gaps {
            break;
        }
        assert!(Instant::now() < deadline, "{lost} records are counted as lost, {gaps} numbers are missing");
        thread::sleep(Duration::from_millis(10));
    }
}

/// What is lost at the end of the numbers is no gap yet: another record closes it, on each processor.
fn a_record_on_each_cpu() {
    for cpu in 0..thread::available_parallelism().unwrap().get() {
        let mut last = Command::new("taskset");
        last.args(["--cpu-list", &cpu.to_string(), "true"]).stdin(Stdio::null());
        assert!(last.status().unwrap().success(), "{last:?}");
    }
}

fn is_lost(event: &Event) -> bool {
    event.name() == "procprobe.agent.lost"
}

/// What it allocated; code comes into memory with its first use.
fn heap_kib(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// How long the bomb goes off.
const BOMB: Duration = Duration::from_secs(30);

/// A shell's fork bomb beside processes that are watched, held by a limit on tasks. The ring is so small that it overflows
/// all the time.
#[test]
fn a_fork_bomb_leaves_the_daemon_small_and_right() {
    let (mark, bomb_mark, pins) = (mark(), mark(), PinDir::new());
    let mut herd = Actor::start(ACTOR, "herd 3 sleep 600000", &mark);
    herd.told();
    let mut daemon = Setup::new()
        .policy(&group("herd", "sleep", &mark, "count: { min: 3, max: 3 }"))
        .policy(&format!("groups:\n  bomb:\n    match: {{ args: \"{bomb_mark}$\" }}\n    count: {{ max: 1000000 }}\n"))
        .events("none")
        .args(["--ring-bytes", "16384"])
        .pins(pins.path())
        .start();
    let before = heap_kib(&daemon);

    let cgroup = LimitedCgroup::of_tasks(&format!("procprobe-{bomb_mark}"), 150);
    // A shell that cannot fork gives up, and soon all of them have: somebody outside the limit throws the next bomb then.
    let line = format!("echo $$ > {}; bomb() {{ bomb | bomb & }}; bomb", cgroup.procs().display());
    let line = format!("while :; do /bin/sh -c '{line}' {bomb_mark}; done");
    let mut thrower = Command::new("/bin/sh");
    thrower.args(["-c", &line]).stdin(Stdio::null()).stderr(Stdio::null());
    let mut throwers: Vec<_> = (0..4).map(|_| thrower.spawn().unwrap()).collect();
    let until = Instant::now() + BOMB;
    let mut most = before;
    while Instant::now() < until {
        thread::sleep(Duration::from_millis(100));
        most = most.max(heap_kib(&daemon));
    }
    for thrower in &mut throwers {
        thrower.kill().unwrap();
        thrower.wait().unwrap();
    }
    cgroup.kill_all();

    // The table is right again: of the bomb nothing is left, and a fourth in the herd is one too many.
    let deadline = end_of_patience();
    loop {
        let status = daemon.status();
        let groups = status["engine"]["groups"].as_array().unwrap();
        let of_bomb = groups.iter().find(|group| group["name"] == "bomb").unwrap_or_else(|| panic!("{status}"));
        if of_bomb["members"] == 0 {
            break;
        }
        assert!(Instant::now() < deadline, "{of_bomb}");
        thread::sleep(Duration::from_millis(50));
    }
    let mut fourth = Actor::start(ACTOR, "sleep 600000", &mark);
    daemon.wait_for("too many", |event| event.is_alarm("firing", "herd.count.max"));
    fourth.signal(Signal::KILL);
    fourth.wait();
    daemon.wait_for("healthy again", |event| event.is_alarm("resolved", "herd.count.max"));
    daemon.wait_for("the mending", |event| is_lost(event) && event.attribute("reconciled") == true);

    // What was told as lost is what the programs counted, and what was sent and never came.
    let version = pins.version();
    let deadline = end_of_patience();
    let (told, missing, records) = loop {
        a_record_on_each_cpu();
        let status = daemon.status();
        let of_ring = |loss: &&serde_json::Value| loss["reason"] == "ring_full";
        let told: u64 =
            status["lost"].as_array().unwrap().iter().filter(of_ring).filter_map(|loss| loss["count"].as_u64()).sum();
        let kernel = &status["agent"]["kernel"];
        let missing = kernel["missing"].as_u64().unwrap();
        let counted = lost_in_kernel(&version);
        let records = kernel["records"].clone();
        if told == counted && told == missing {
            break (told, missing, records);
        }
        assert!(Instant::now() < deadline, "{told} are told as lost, {counted} were, {missing} never came");
        thread::sleep(Duration::from_millis(100));
    };
    println!("{records}, {told} lost; {before} KiB before, {most} at most, {} now", heap_kib(&daemon));
    assert!(told > 0, "the ring never overflowed: {records}, {missing} missing");
    assert!(most < before + (8 << 10), "the daemon grew from {before} to {most} KiB");
    // What the storm took for a moment is given back.
    wait_until("memory as before", PATIENCE, || heap_kib(&daemon) < before + (1 << 10));
    println!("{} KiB when it was given back", heap_kib(&daemon));
    assert_eq!(daemon.stop(), Some(0));
    daemon.assert_none("three were alive all the time", |event| event.is_alarm("firing", "herd.count.min"));
    herd.finish();
}
