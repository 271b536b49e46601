//! The wall clock is set, far, back and forth, and the machine sleeps, while the daemon runs. That takes a machine of its
//! own; the tests refuse to run anywhere else.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use procprobe_tests::actor::{Actor, group};
use procprobe_tests::daemon::{Daemon, Setup};
use procprobe_tests::event::Event;
use procprobe_tests::home::history_with;
use procprobe_tests::{mark, require_own_machine};
use rustix::process::Signal;
use rustix::time::{ClockId, Timespec, clock_gettime, clock_settime};

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");

/// Hours from the first hour, one after the other: by little and by much, by more and by less than a job's schedule takes
/// for a clock that will come back.
const STEPS: [i64; 6] = [1, -1, 24 * 365, -24, 5, 0];
/// How far a time that is told may be from the one that was read. The daemon's own clocks are read within that.
const APART: SignedDuration = SignedDuration::from_millis(100);

/// The wall clock of this machine. Dropped, it is what it would be if nobody had set it.
struct Clock {
    began: Instant,
    right: Timestamp,
}

impl Clock {
    fn of_this_machine() -> Self {
        require_own_machine();
        Self { began: Instant::now(), right: Timestamp::now() }
    }

    fn set(&self, to: Timestamp) {
        let time = Timespec { tv_sec: to.as_second(), tv_nsec: i64::from(to.subsec_nanosecond()) };
        clock_settime(ClockId::Realtime, time).unwrap_or_else(|error| panic!("{} -> {to}: {error}", self.right));
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.set(self.right + self.began.elapsed());
    }
}

fn time(event: &Event, name: &str) -> Timestamp {
    let text = if name == "time" { event.0[name].as_str().unwrap() } else { event.text(name) };
    text.parse().unwrap_or_else(|error| panic!("{name}: {error}: {}", event.0))
}

/// What is told of it is told with times between that one and now.
fn assert_since(event: &Event, name: &str, from: Timestamp) {
    let (told, now) = (time(event, name), Timestamp::now());
    assert!(from - APART <= told && told <= now + APART, "{name} {told} is not from {from} to {now}: {}", event.0);
}

fn start_of(daemon: &Daemon, actor: &Actor) -> Event {
    daemon.wait_for("its start", |event| event.is_start() && event.pid() == Some(actor.pid()))
}

fn end_of(daemon: &Daemon, mut actor: Actor) -> Event {
    actor.signal(Signal::TERM);
    actor.wait();
    daemon.wait_for("its end", |event| event.is_exit_of(actor.pid()))
}

fn is_alarm(event: &Event) -> bool {
    ["procprobe.policy.firing", "procprobe.job.missed", "procprobe.job.overran"].contains(&event.name())
}

#[test]
#[ignore = "sets the clock of the machine: `cargo xtask vm` runs it in one of its own"]
fn a_clock_that_is_set_fires_nothing_hides_nothing_and_is_told_by() {
    let (clock, mark, state) = (Clock::of_this_machine(), mark(), tempfile::tempdir().unwrap());
    let first = Timestamp::from_second(clock.right.as_second() / 3_600 * 3_600 + 600).unwrap();
    clock.set(first);
    let mut herd = Actor::start(ACTOR, "herd 3 sleep 600000", &mark);
    herd.told();
    // All are started within some seconds, whatever the clock says, and the last is one too many. No bound lasts so long.
    let bounds = format!(
        "count: {{ max: 3, for: 10m }}\nstarts: {{ max: {}, within: 10m }}\nage: {{ max: 30m }}\n\
         cpu: {{ min: 1 core, for: 10m }}",
        2 * STEPS.len() - 1
    );
    // The first is to run at the third minute of each hour, and never does; the second runs all the time.
    let jobs = format!(
        "jobs:\n  nightly:\n    match: {{ args: never-{mark} }}\n    schedule: '3 * * * *'\n    timezone: UTC\n    \
         start_within: 3s\n  long:\n    match: {{ args: \"threads .*{mark}$\" }}\n    duration: {{ max: 30m }}\n"
    );
    let second = group("held", "eat", &mark, "count: { max: 0, for: 10s }").replace("groups:\n", "");
    let groups = format!("{}{second}", group("herd", "sleep", &mark, &bounds));
    let mut daemon = Setup::new().state(state.path()).policy(&groups).policy(&jobs).start();
    let long = Actor::start(ACTOR, "threads 1 600000", &mark);
    daemon.wait_for("the run", |event| event.name() == "procprobe.job.started");
    let mut exceeding = None;
    for hours in STEPS {
        let before = Actor::start(ACTOR, "sleep 600000", &mark);
        assert_since(&start_of(&daemon, &before), "time", first - SignedDuration::from_hours(24 * 366));
        daemon.assert_none("no more than was", is_alarm);
        // The last step is made while a bound is exceeded, for not long enough.
        if hours == 0 {
            let exceeds = Actor::start(ACTOR, "eat 1 600000", &mark);
            start_of(&daemon, &exceeds);
            exceeding = Some(exceeds);
        }
        let now = first + SignedDuration::from_hours(hours);
        clock.set(now);
        let after = Actor::start(ACTOR, "sleep 600000", &mark);
        let started = start_of(&daemon, &after);
        for name in ["time", "process.creation.time"] {
            assert_since(&started, name, now);
        }
        assert_since(&end_of(&daemon, after), "time", now);
        // One that began by the old clock began, by the new one, as long ago as it says.
        let ended = end_of(&daemon, before);
        assert_since(&ended, "time", now);
        let lived = SignedDuration::from_secs_f64(ended.float("process.uptime").unwrap());
        let began = time(&ended, "process.creation.time");
        assert!((began + lived).duration_since(time(&ended, "time")).abs() < APART, "{}", ended.0);
    }
    let one_too_many = daemon.wait_for("the starts", |event| event.is_alarm("firing", "herd.starts.max"));
    assert_since(&one_too_many, "time", first);
    let firing = daemon.wait_for("what lasts", |event| event.is_alarm("firing", "held.count.max"));
    assert_since(&firing, "time", first);
    let lasted = time(&firing, "time").duration_since(time(&firing, "since"));
    assert!((10..60).contains(&lasted.as_secs()), "it is told to have lasted {lasted:#}: {}", firing.0);
    // What is due by the new clock is missed in time.
    let due = first + SignedDuration::from_mins(53);
    clock.set(due - SignedDuration::from_secs(3));
    let missed = daemon.wait_for("the run that is due", |event| event.name() == "procprobe.job.missed");
    assert_eq!(time(&missed, "job.scheduled_time"), due);
    assert_since(&missed, "time", due + SignedDuration::from_secs(3));
    let expected = |event: &Event| {
        ["herd.starts.max", "held.count.max", "nightly.runs.min"].iter().any(|alarm| event.is_alarm("firing", alarm))
            || event.name() == "procprobe.job.missed"
    };
    daemon.assert_none("no more than was", |event| is_alarm(event) && !expected(event));
    // What was told by any of the clocks is kept.
    let starts = |event: &Event| event.is_start() && event.has_arg("sleep") && event.has_arg(&mark);
    history_with(&daemon, "starts", 2 * STEPS.len(), starts);
    daemon.assert_none("it runs all the time", |event| event.name() == "procprobe.job.failed");
    drop((exceeding, long));
    herd.finish();
    assert_eq!(daemon.stop(), Some(0));
}

/// How long the machine sleeps, s.
const SLEEP: i64 = 30;

/// Suspends the machine, and has its clock wake it.
fn sleep() {
    let put = |path: &str, text: &str| fs::write(path, text).unwrap_or_else(|error| panic!("{text} > {path}: {error}"));
    let slept = || {
        let nanos = |clock| {
            let time = clock_gettime(clock);
            time.tv_sec * 1_000_000_000 + time.tv_nsec
        };
        SignedDuration::from_nanos(nanos(ClockId::Boottime) - nanos(ClockId::Monotonic))
    };
    let before = slept();
    put("/sys/class/rtc/rtc0/wakealarm", &format!("+{SLEEP}"));
    let states = fs::read_to_string("/sys/power/state").unwrap();
    put("/sys/power/state", if states.contains("mem") { "mem" } else { "freeze" });
    let slept = slept() - before;
    // The alarm is on a full second of another clock.
    assert!(slept.as_secs() >= SLEEP - 3, "the machine slept for {slept:#} only");
}

#[test]
#[ignore = "suspends the machine: `cargo xtask vm` does it in one of its own"]
fn a_machine_that_slept_has_no_alarm_for_it() {
    let (clock, mark) = (Clock::of_this_machine(), mark());
    let lasting = Duration::from_secs(u64::try_from(SLEEP).unwrap() / 2);
    let bounds = format!("count: {{ max: 0, for: {}s }}\nage: {{ max: {}s }}", lasting.as_secs(), SLEEP * 60);
    let job = format!(
        "jobs:\n  nightly:\n    match: {{ args: never-{mark} }}\n    schedule: '3 * * * *'\n    timezone: UTC\n    \
         start_within: 2s\n  long:\n    match: {{ args: \"threads .*{mark}$\" }}\n    duration: {{ max: {SLEEP}s }}\n"
    );
    let mut daemon = Setup::new().policy(&group("held", "sleep", &mark, &bounds)).policy(&job).start();
    // What is due while it sleeps never was.
    clock.set(Timestamp::from_second(clock.right.as_second() / 3_600 * 3_600 + 170).unwrap());
    let long = Actor::start(ACTOR, "threads 1 600000", &mark);
    daemon.wait_for("the run", |event| event.name() == "procprobe.job.started");
    let began = Instant::now();
    let held = Actor::start(ACTOR, "sleep 600000", &mark);
    let started = start_of(&daemon, &held);
    sleep();
    // It stands still while the machine sleeps, as what lasts does.
    let (woke, awake) = (Timestamp::now(), began.elapsed());
    let after = Actor::start(ACTOR, "sleep 1", &mark);
    for name in ["time", "process.creation.time"] {
        assert_since(&start_of(&daemon, &after), name, woke);
    }
    drop(long);
    let ended = daemon.wait_for("the run's end", |event| event.name() == "procprobe.job.failed");
    assert_since(&ended, "time", woke);
    let firing = daemon.wait_for("what lasts", |event| event.is_alarm("firing", "held.count.max"));
    let after = time(&firing, "time").duration_since(woke) + SignedDuration::try_from(awake).unwrap();
    let lasting = SignedDuration::try_from(lasting).unwrap();
    assert!(after + APART > lasting, "it lasted {after:#}: {}", firing.0);
    let others = |event: &Event| {
        is_alarm(event) && !["held.count.max", "long.success.max"].iter().any(|alarm| event.is_alarm("firing", alarm))
    };
    daemon.assert_none("no more than was", others);
    let ended = end_of(&daemon, held);
    let moved = time(&ended, "process.creation.time").duration_since(time(&started, "process.creation.time"));
    assert!(moved.abs() < APART, "it began {moved:#} apart: {} and {}", started.0, ended.0);
    assert_eq!(daemon.stop(), Some(0));
}
