//! A daemon that dies and comes back: what happened meanwhile is told once, alarms go on, and nothing stays that should
//! not.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use procprobe_tests::actor::{Actor, group};
use procprobe_tests::cgroup::PlainCgroup;
use procprobe_tests::daemon::{Daemon, Setup, at_most, binary};
use procprobe_tests::event::Event;
use procprobe_tests::home::{PinnedHome, history, history_when, history_with};
use procprobe_tests::mark;
use procprobe_tests::pins::lost_in_kernel;
use rustix::process::Signal;

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");

/// How often the daemon is killed in a storm, where nothing is known to be slow.
const KILLS: usize = 20;

fn since(event: &Event) -> Timestamp {
    event.text("since").parse().unwrap()
}

/// Everything that was told of these, and when daemons started.
fn about(told: &[Event], pids: impl Iterator<Item = u32>) -> String {
    let pids: Vec<u32> = pids.collect();
    let of_interest = |event: &&Event| {
        event.name().starts_with("procprobe.agent.") || event.pid().is_some_and(|pid| pids.contains(&pid))
    };
    told.iter().filter(of_interest).map(|event| event.0.to_string()).collect::<Vec<_>>().join("\n")
}

fn storm(processes: u32, lasting: Duration) {
    let (home, mark) = (PinnedHome::new(), mark());
    // Where a start takes seconds deaths are fewer, and have more time.
    let kills = u32::try_from(at_most(KILLS).max(KILLS / 5)).unwrap();
    let lasting = if at_most(KILLS) < KILLS { lasting * 3 } else { lasting };
    let policy = group("storm", "exit", &mark, "count: { max: 100000 }");
    // What else happens on the host must not fill the ring while nobody reads it.
    let mut daemon = home.setup().policy(&policy).args(["--ring-bytes", "67108864"]).start();
    let processes = u32::try_from(at_most(processes as usize)).unwrap();
    let pace = processes.div_ceil(u32::try_from(lasting.as_secs()).unwrap());
    let cgroup = PlainCgroup::new(&mark).unwrap();
    let words = format!("within {} pace {pace} {}", cgroup.path().display(), lasting.as_millis());
    let mut actor = Actor::start(ACTOR, &words, &mark);
    let began = Instant::now();
    for kill in 1..=kills {
        // Not on a beat with anything: moments and pauses differ from kill to kill.
        let due = lasting * kill / (kills + 1) + Duration::from_millis(u64::from(kill * 37 % 113));
        std::thread::sleep(due.saturating_sub(began.elapsed()));
        daemon.crash(|| std::thread::sleep(Duration::from_millis(u64::from(kill * 53 % 211))));
    }
    let (told, charged) = (actor.told(), actor.told());
    actor.finish();
    let count = usize::try_from(Actor::told_number(&told, "count")).unwrap();
    assert!(count > processes as usize / 3, "{count} processes are no storm");
    let of_storm = |event: &Event| event.has_arg(&mark) && event.has_arg("exit");
    let in_kernel = |event: &Event| event.text("where") == "kernel";
    let lost: Vec<Event> = history(&daemon, None).into_iter().filter(in_kernel).collect();
    assert!(lost.is_empty(), "the ring is large enough: {lost:?}");
    let told_of = history_when(&daemon, count, |event| event.is_exit() && of_storm(event));
    let mut by_pid: BTreeMap<u32, (u32, u32)> = BTreeMap::new();
    let (mut cpu, mut estimates) = (0.0, Vec::new());
    for event in told_of.iter().filter(|event| of_storm(event)) {
        let seen = by_pid.entry(event.pid().unwrap()).or_default();
        if event.is_start() {
            seen.0 += 1;
        } else if event.is_exit() {
            seen.1 += 1;
            let used = event.float("process.cpu.time").unwrap();
            cpu += used;
            if !event.attribute("process.cpu.exact").is_null() {
                estimates.push((used, event.float("process.uptime").unwrap()));
            }
        }
    }
    let starts = told_of.iter().filter(|event| event.is_start() && of_storm(event)).count();
    let exits = told_of.iter().filter(|event| event.is_exit() && of_storm(event)).count();
    let odd: Vec<_> = by_pid.iter().filter(|(_, seen)| seen.0 != seen.1).collect();
    assert!(
        (starts, exits) == (count, count) && odd.is_empty(),
        "{count} lived: {starts} starts, {exits} exits; {odd:?}\n{}",
        about(&told_of, odd.iter().map(|(pid, _)| **pid))
    );
    // What the scheduler charged; getrusage can lack the end of a process that is waited for while it still runs.
    let truth = Actor::told_number(&charged, "others_cpu_ns") as f64 / 1e9;
    println!(
        "{count} processes, {kills} deaths: CPU time {cpu:.4} s, truly {truth:.4} s, {:+.3} %; not exact, as (used, lived) s: \
         {estimates:?}",
        (cpu / truth - 1.0) * 100.0
    );
    let inexact = estimates.len();
    // The kernel does not tell of every task that it is freed; such an account is an estimate.
    assert!(inexact * 50 <= count, "{inexact} of {count} have no account");
    let most = truth * 0.001 + inexact as f64 * 0.000_5;
    assert!((cpu - truth).abs() < most, "told {cpu} s, truly {truth} s, {inexact} not exact");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn starts_and_ends_are_told_once_over_twenty_deaths() {
    storm(3_000, Duration::from_secs(20));
}

#[test]
#[ignore = "takes 75 s, for the one above is the same at the same pace: `cargo test -p procprobe-tests --test restart -- --ignored`"]
fn the_same_with_10_000_processes_over_a_minute() {
    storm(10_000, Duration::from_mins(1));
}

/// Three processes where two may be, and a daemon that has said so.
struct Fired {
    home: PinnedHome,
    mark: String,
    policy: String,
    herd: Actor,
    daemon: Daemon,
    alarm: Event,
}

impl Fired {
    fn new() -> Self {
        let (home, mark) = (PinnedHome::new(), mark());
        let mut herd = Actor::start(ACTOR, "herd 3 sleep 600000", &mark);
        herd.told();
        let policy = group("herd", "sleep", &mark, "count: { max: 2 }");
        let daemon = home.setup().policy(&policy).start();
        let alarm = daemon.wait_for("the alarm", |event| event.is_alarm("firing", "herd.count.max"));
        Self { home, mark, policy, herd, daemon, alarm }
    }
}

#[test]
fn an_alarm_outlives_the_daemon() {
    let Fired { home, policy, mut herd, mut daemon, alarm: fired, .. } = Fired::new();
    let on_disk = |event: &Event| event.is_alarm("firing", "herd.count.max");
    history_with(&daemon, "alarms", 1, on_disk);
    for _ in 0..3 {
        daemon.crash(|| ());
        let status = daemon.status();
        assert_eq!(status["agent"]["pins"], home.pins.path().to_str().unwrap());
        let bound = &status["engine"]["groups"]
            .as_array()
            .unwrap()
            .iter()
            .find(|group| group["name"] == "herd")
            .unwrap()["bounds"][0];
        assert_eq!(bound["state"], "firing", "{bound}");
    }
    // A clean end changes nothing.
    assert_eq!(daemon.stop(), Some(0));
    let mut daemon = home.setup().policy(&policy).start();
    herd.finish();
    let resolved = daemon.wait_for("its end", |event| event.is_alarm("resolved", "herd.count.max"));
    let apart = since(&resolved).duration_since(since(&fired)).unsigned_abs();
    assert!(apart < Duration::from_millis(50), "{} and {}", fired.0, resolved.0);
    let told = history_with(&daemon, "ends", 1, |event| event.is_alarm("resolved", "herd.count.max"));
    let alarms: Vec<&str> = told.iter().map(Event::name).filter(|name| name.starts_with("procprobe.policy.")).collect();
    assert_eq!(alarms, ["procprobe.policy.firing", "procprobe.policy.resolved"], "{}", daemon.stream.describe());
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn what_ended_while_nobody_looked_is_told_by_name() {
    let Fired { home: _home, mark, mut herd, mut daemon, .. } = Fired::new();
    let victim = Actor::start(ACTOR, "sleep 600000", &mark);
    let pid = victim.pid();
    daemon.wait_for("its start", |event| event.is_start() && event.pid() == Some(pid));
    history_with(&daemon, "starts", 1, |event| event.is_start() && event.pid() == Some(pid));
    let mut brief = 0;
    daemon.crash(|| {
        victim.signal(Signal::KILL);
        drop(victim);
        let mut short = Actor::start(ACTOR, "sleep 1", &mark);
        brief = short.pid();
        short.finish();
        herd.finish();
    });
    let exit = daemon.wait_for("its end", |event| event.is_exit_of(pid));
    assert_eq!(exit.text("process.exit.signal"), "SIGKILL", "{}", exit.0);
    assert_eq!(exit.number("killer.pid"), Some(u64::from(std::process::id())), "{}", exit.0);
    assert_eq!(exit.attribute("groups"), &serde_json::json!(["herd"]), "{}", exit.0);
    assert!(exit.has_arg(&mark), "{}", exit.0);
    daemon.wait_for("a life that nobody saw", |event| event.is_exit_of(brief));
    daemon.wait_for("the alarm's end", |event| event.is_alarm("resolved", "herd.count.max"));
    let told = history_with(&daemon, "exits", 5, |event| event.is_exit() && event.has_arg(&mark));
    let of =
        |pid: u32| -> Vec<&str> { told.iter().filter(|event| event.pid() == Some(pid)).map(Event::name).collect() };
    for pid in [pid, brief] {
        assert_eq!(of(pid), ["procprobe.process.start", "procprobe.process.exit"]);
    }
    assert_eq!(daemon.stop(), Some(0));
}

/// A daemon is killed, and the next one is of another version by what `change` does. What happened meanwhile, and while it
/// took over, is told once; the alarm goes on.
fn upgrade(change: impl FnOnce(&PinnedHome, Setup) -> Setup) {
    let Fired { home, mark, policy, mut herd, daemon, .. } = Fired::new();
    let victim = Actor::start(ACTOR, "sleep 600000", &mark);
    let pid = victim.pid();
    history_with(&daemon, "starts", 1, |event| event.is_start() && event.pid() == Some(pid));
    let old = home.pins.version();
    daemon.signal(Signal::KILL);
    drop(daemon);
    drop(victim);
    let mut short = Actor::start(ACTOR, "sleep 1", &mark);
    let brief = short.pid();
    short.finish();
    // All the while processes come and go.
    let mut busy = Actor::start(ACTOR, "pace 100 3000", &mark);
    let mut daemon = change(&home, home.setup().policy(&policy).events("all")).start();
    let lives = usize::try_from(Actor::told_number(&busy.told(), "count")).unwrap();
    busy.finish();
    assert_ne!(home.pins.version(), old);
    let told = history_with(&daemon, "exits", 2, |event| event.is_exit_of(pid) || event.is_exit_of(brief));
    let of =
        |pid: u32| -> Vec<&str> { told.iter().filter(|event| event.pid() == Some(pid)).map(Event::name).collect() };
    for pid in [pid, brief] {
        assert_eq!(of(pid), ["procprobe.process.start", "procprobe.process.exit"], "{pid}");
    }
    let ends = |event: &Event| event.is_exit() && event.has_arg("exit") && event.has_arg(&mark);
    let told = history_with(&daemon, "lives", lives, ends);
    let starts = told.iter().filter(|event| event.is_start() && event.has_arg("exit") && event.has_arg(&mark));
    assert_eq!((starts.count(), told.iter().filter(|event| ends(event)).count()), (lives, lives));
    let alarms = told.iter().filter(|event| event.is_alarm("firing", "herd.count.max")).count();
    assert_eq!(alarms, 1, "{}", daemon.stream.describe());
    herd.finish();
    daemon.wait_for("the alarm's end", |event| event.is_alarm("resolved", "herd.count.max"));
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn another_version_takes_over_what_the_last_one_left() {
    // What is loaded with another setting is another version.
    upgrade(|home, setup| {
        home.home.configure("events: { args_max: 2KiB }\n");
        setup
    });
}

/// The daemon with another kernel object in it: one that differs in a byte that nobody reads.
fn with_another_object(folder: &Path) -> PathBuf {
    /// `EM_BPF`, and where a header has it.
    const MACHINE: (usize, [u8; 2]) = (18, 247_u16.to_le_bytes());
    /// The last byte of the header's first sixteen is padding.
    const PADDING: usize = 15;
    let mut bytes = fs::read(binary()).unwrap();
    let is_object = |at: &usize| {
        bytes[*at..].starts_with(b"\x7fELF\x02\x01\x01") && bytes[at + MACHINE.0..].starts_with(&MACHINE.1)
    };
    let objects: Vec<usize> = (0..bytes.len()).filter(is_object).collect();
    let [object] = objects[..] else { panic!("{} kernel objects in the daemon", objects.len()) };
    bytes[object + PADDING] ^= 1;
    let other = folder.join("procprobe");
    fs::write(&other, bytes).unwrap();
    fs::set_permissions(&other, fs::Permissions::from_mode(0o755)).unwrap();
    other
}

#[test]
fn another_object_takes_over() {
    let folder = tempfile::tempdir().unwrap();
    let other = with_another_object(folder.path());
    upgrade(|_, setup| setup.binary(&other));
}

#[test]
fn what_another_wire_left_is_told_as_lost_and_removed() {
    let Fired { home, mark, policy, mut herd, daemon, .. } = Fired::new();
    daemon.signal(Signal::KILL);
    drop(daemon);
    // A version whose records mean something else.
    let version = home.pins.version();
    let old = home.pins.path().join("v0-0123456789abcdef");
    fs::rename(&version, &old).unwrap();
    let mut daemon = home.setup().policy(&policy).start_unready();
    let started = daemon.wait_for("its start", |event| event.name() == "procprobe.agent.started");
    let degraded = started.attribute("degraded").to_string();
    assert!(degraded.contains(old.to_str().unwrap()) && degraded.contains("its wire is another one"), "{degraded}");
    assert_eq!(home.pins.versions(), [version]);
    let mut fourth = Actor::start(ACTOR, "sleep 600000", &mark);
    daemon.wait_for("what starts then", |event| event.is_start() && event.pid() == Some(fourth.pid()));
    let groups = daemon.status()["engine"]["groups"].clone();
    assert_eq!(groups[0]["members"], 4, "{groups}");
    fourth.signal(Signal::KILL);
    fourth.wait();
    herd.finish();
    daemon.wait_for("the alarm's end", |event| event.is_alarm("resolved", "herd.count.max"));
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_daemon_that_stays_dead_costs_a_full_ring_and_the_next_one_counts() {
    let (home, mark) = (PinnedHome::new(), mark());
    let policy = group("short", "exit", &mark, "count: { max: 100000 }");
    let mut daemon = home.setup().policy(&policy).args(["--ring-bytes", "65536"]).start();
    let version = home.pins.version();
    daemon.crash(|| {
        let mut storm = Actor::start(ACTOR, &format!("spawn {} 2 exit 0", at_most(600).max(200)), &mark);
        storm.finish();
        assert!(lost_in_kernel(&version) > 100);
    });
    let lost = |daemon: &Daemon| -> u64 {
        let of_kernel = |event: &&Event| event.text("where") == "kernel" && event.text("reason") == "ring_full";
        let told = history_with(daemon, "losses", 2, |event| of_kernel(&event));
        told.iter().filter(of_kernel).filter_map(|event| event.number("count")).sum()
    };
    let told = lost(&daemon);
    assert_eq!(told, lost_in_kernel(&version));
    // What was told is not told again.
    daemon.crash(|| ());
    assert_eq!((lost(&daemon), lost_in_kernel(&version)), (told, told));
    let after = Actor::start(ACTOR, "exit 7", &mark);
    let pid = after.pid();
    daemon.wait_for("a process afterwards", |event| event.is_exit_of(pid));
    assert_eq!(daemon.stop(), Some(0));
}
