//! One process is one process: across the daemon's start, and when its pid comes again.

use std::collections::HashMap;

use procprobe_tests::actor::{self, Actor, group};
use procprobe_tests::daemon::{PATIENCE, Setup};
use procprobe_tests::event::Event;
use procprobe_tests::mark;

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");

#[test]
fn what_lived_before_the_daemon_and_what_started_meanwhile_is_known_once() {
    let mark = mark();
    let mut old = Actor::start(ACTOR, "herd 10 sleep 600000", &mark);
    old.told();
    // These come and go while the daemon attaches, scans and goes on.
    let mut churn = Actor::start(ACTOR, "spawn 1500 2 exit 0", &mark);
    let policies = [
        group("sleepers", "sleep", &mark, "count: { min: 10, max: 10 }"),
        group("churn", "exit", &mark, "starts: { max: 1000000, within: 1s }"),
    ];
    let mut daemon = Setup::new().policy(&policies[0]).policy(&policies[1]).start();
    churn.told();
    churn.finish();
    daemon.assert_none("ten live", |event| event.is_alarm("firing", "sleepers.count.min"));
    daemon.assert_none("ten live", |event| event.is_alarm("firing", "sleepers.count.max"));

    // All ten go, and each exit is told; so is that of every start. (An exit waits for its account, some ms.)
    old.finish();
    daemon.wait_for_count("ten exits", 10, |event| event.is_exit() && event.has_arg("sleep"));
    let (starts, exits) = daemon.stream.find("an exit for each start", PATIENCE, |events| {
        let (starts, exits) = (lives(events, Event::is_start), lives(events, Event::is_exit));
        starts.keys().all(|key| exits.contains_key(key)).then_some((starts, exits))
    });
    assert!(starts.values().chain(exits.values()).all(|count| *count == 1), "starts {starts:?}, exits {exits:?}");
    assert!(!starts.is_empty(), "the churn ended before the daemon looked; this test needs a longer one");
    assert_eq!(daemon.stop(), Some(0));
    daemon.assert_none("what was there before did not start", |event| event.is_start() && event.has_arg("sleep"));
    daemon.assert_none("nothing may be lost", |event| event.name() == "procprobe.agent.lost");
}

/// How often each process has such an event.
fn lives(events: &[Event], fits: fn(&Event) -> bool) -> HashMap<(Option<u32>, String), u32> {
    let mut lives = HashMap::new();
    for event in events.iter().filter(|event| fits(event)) {
        *lives.entry((event.pid(), event.text("process.creation.time").to_owned())).or_insert(0) += 1;
    }
    lives
}

#[test]
fn a_pid_that_comes_again_is_another_process() {
    let mark = mark();
    let policy = group("lives", "exit", &mark, "starts: { max: 1000000, within: 1s }");
    let daemon = Setup::new().policy(&policy).start();
    let mut first = Actor::start(ACTOR, "exit 11", &mark);
    first.wait();
    let wanted = first.pid();

    let mut command = actor::command(ACTOR, ["exit", "22"], &mark);
    Actor::with_pid(wanted, &mut command).wait();

    // In the order of their births: an exit is told once its account is closed, and on another CPU that may be sooner.
    let of_pid = |events: &[Event], fits: fn(&Event) -> bool| -> Vec<Event> {
        let mut found: Vec<Event> =
            events.iter().filter(|event| fits(event) && event.pid() == Some(wanted)).cloned().collect();
        found.sort_by_key(|event| event.text("process.creation.time").to_owned());
        found
    };
    let exits = daemon.stream.find("both exits", PATIENCE, |events| {
        let exits = of_pid(events, Event::is_exit);
        (exits.len() == 2).then_some(exits)
    });
    let starts = of_pid(&daemon.stream.events(), Event::is_start);
    assert_eq!(starts.len(), 2);
    let codes: Vec<_> = exits.iter().map(|exit| exit.number("process.exit.code")).collect();
    assert_eq!(codes, [Some(11), Some(22)]);
    let births: Vec<_> = starts.iter().chain(&exits).map(|event| event.text("process.creation.time")).collect();
    assert_eq!((births[0], births[1]), (births[2], births[3]));
    assert_ne!(births[0], births[1]);
}
