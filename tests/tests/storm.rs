//! Many short processes: every one is told, or its loss is.

use std::collections::{HashMap, HashSet};

use procprobe_tests::actor::{Actor, group};
use procprobe_tests::daemon::{Setup, at_most};
use procprobe_tests::event::Event;
use procprobe_tests::mark;
use rustix::process::Signal;

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");

/// What makes a process one process: pids come again.
fn key(event: &Event) -> (u32, String) {
    (event.pid().unwrap_or_default(), event.text("process.creation.time").to_owned())
}

fn is_lost(event: &Event) -> bool {
    event.name() == "procprobe.agent.lost"
}

#[test]
fn all_of_5000_short_processes_are_told_with_exe_args_and_exit_code() {
    const COUNT: usize = 5_000;
    let mark = mark();
    let policy = group("storm", "exit", &mark, "starts: { max: 1000000, within: 1s }");
    let mut daemon = Setup::new().policy(&policy).start();

    let mut parent = Actor::start(ACTOR, &format!("spawn {COUNT} 4 exit {{byte}} {{}}"), &mark);
    parent.told();
    parent.finish();
    daemon.wait_for_count("all exits", COUNT, Event::is_exit);
    assert_eq!(daemon.stop(), Some(0));

    let events = daemon.stream.events();
    let exe = std::fs::canonicalize(ACTOR).unwrap().display().to_string();
    let mut indexes = HashMap::new();
    for start in events.iter().filter(|event| event.is_start()) {
        let args = start.args();
        assert_eq!(start.text("process.executable.path"), exe, "{}", start.0);
        assert_eq!((args.len(), args[0], args[1], args[5]), (6, ACTOR, "exit", mark.as_str()), "{}", start.0);
        let index: u64 = args[3].parse().unwrap();
        assert_eq!(args[2], (index % 256).to_string());
        assert!(indexes.insert(key(start), index).is_none(), "told twice: {}", start.0);
    }
    let mut exits = HashSet::new();
    for exit in events.iter().filter(|event| event.is_exit()) {
        let code = exit.number("process.exit.code");
        assert_eq!(code, indexes.get(&key(exit)).map(|index| index % 256), "{}", exit.0);
        assert!(exits.insert(key(exit)), "told twice: {}", exit.0);
    }
    let mut seen: Vec<u64> = indexes.into_values().collect();
    seen.sort_unstable();
    assert!(seen.iter().copied().eq(0..5_000), "{} of {COUNT} starts were told", seen.len());
    assert_eq!(exits.len(), COUNT);
    daemon.assert_none("nothing may be lost", is_lost);
}

#[test]
fn a_ring_that_overflows_is_told_mended_and_raises_no_false_alarm() {
    let (mark, storm) = (mark(), format!("{}-storm", mark()));
    let mut herd = Actor::start(ACTOR, "herd 3 sleep 600000", &mark);
    herd.told();
    let mut daemon = Setup::new()
        .policy(&group("herd", "sleep", &mark, "count: { min: 3, max: 3 }"))
        .args(["--ring-bytes", "4096"])
        .start();

    let come_and_go = |count: usize| {
        let mut parent = Actor::start(ACTOR, &format!("spawn {count} 8 exit 0"), &storm);
        parent.told();
        parent.finish();
    };
    // A page holds some ten records: it overruns for sure where nobody reads it, and where starting a process takes little,
    // eight at a time overrun it between two looks of the daemon.
    daemon.signal(Signal::STOP);
    come_and_go(50);
    daemon.signal(Signal::CONT);
    come_and_go(at_most(3000));
    let lost = daemon.wait_for("the loss", |event| is_lost(event) && event.text("reason") == "ring_full");
    assert_eq!(lost.text("where"), "kernel", "{}", lost.0);
    assert!(lost.number("count") > Some(0), "{}", lost.0);
    daemon.wait_for("the mending", |event| is_lost(event) && event.attribute("reconciled") == true);

    // The table is right again: another member of the group is one too many, and its end makes it good.
    let mut fourth = Actor::start(ACTOR, "sleep 600000", &mark);
    let firing = daemon.wait_for("too many", |event| event.is_alarm("firing", "herd.count.max"));
    assert_eq!(firing.number("value"), Some(4), "{}", firing.0);
    fourth.signal(Signal::KILL);
    fourth.wait();
    daemon.wait_for("healthy again", |event| event.is_alarm("resolved", "herd.count.max"));
    assert_eq!(daemon.stop(), Some(0));
    daemon.assert_none("three were alive all the time", |event| event.is_alarm("firing", "herd.count.min"));
    herd.finish();
}
