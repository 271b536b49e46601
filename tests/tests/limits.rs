//! The daemon holds itself to its own limits of CPU and memory: what it leaves out, in which order, and that it says so.

use procprobe_tests::actor::{Actor, group};
use procprobe_tests::daemon::{Daemon, PATIENCE, Setup};
use procprobe_tests::event::Event;
use procprobe_tests::mark;
use rustix::process::Signal;

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");

/// What each `procprobe.agent.shed` so far says is left out.
fn sheds(daemon: &Daemon) -> Vec<Vec<String>> {
    daemon.stream.events().iter().filter(|event| event.name() == "procprobe.agent.shed").map(left_out).collect()
}

fn left_out(event: &Event) -> Vec<String> {
    let list = event.attribute("left_out").as_array().unwrap_or_else(|| panic!("no list in {}", event.0));
    list.iter().map(|step| step.as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn over_its_memory_it_leaves_out_one_thing_after_the_other_and_goes_on_judging() {
    let mark = mark();
    let mut herd = Actor::start(ACTOR, "herd 2 sleep 600000", &mark);
    herd.told();
    // No daemon lives in so little: every look is one at which it is over.
    let policy = group("herd", "sleep", &mark, "count: { min: 2 }\n    memory: { max: 1000GiB }");
    let daemon = Setup::new().policy(&policy).limits("100%", "1MiB").start();
    let shed = daemon.wait_for("samples are left out", |event| {
        event.name() == "procprobe.agent.shed" && left_out(event).contains(&"1 of 2 samples".to_owned())
    });
    assert_eq!(shed.0["severity"], "warning");
    assert!(shed.body().contains("over its own limits"), "{}", shed.body());
    // The group is selected by its arguments: these are never left out.
    let processes = "events about processes".to_owned();
    assert_eq!(sheds(&daemon), [vec![processes.clone()], vec![processes, "1 of 2 samples".to_owned()]]);
    let status = daemon.status();
    let degraded = status["agent"]["degraded"].to_string();
    assert!(degraded.contains("to stay within its own limits it leaves out events about processes"), "{degraded}");

    herd.finish();
    let firing = daemon.wait_for("the alarm", |event| event.is_alarm("firing", "herd.count.min"));
    assert!(firing.number("value") < Some(2), "{}", firing.0);
    daemon.assert_none("an event about a process", Event::is_exit);
}

#[test]
fn over_its_cpu_it_leaves_arguments_out_and_takes_them_in_again() {
    let mark = mark();
    // By its path: what is selected by its arguments keeps them.
    let policy =
        format!("groups:\n  actors:\n    match: {{ exe: {ACTOR} }}\n    starts: {{ max: 1000000, within: 1m }}\n");
    let daemon = Setup::new().policy(&policy).limits("0.5%", "16GiB").start();
    // A steady load, no flood: what thousands leave behind in the table and in the window of `starts` costs again when it
    // runs out, and would keep the daemon over its limit long after.
    let mut load = Actor::start(ACTOR, "pace 60 600000", &mark);
    let is_shed = |event: &Event| event.name() == "procprobe.agent.shed";
    let first = daemon.wait_for("arguments are left out", is_shed);
    assert_eq!(left_out(&first), ["arguments of new processes"]);
    assert!(first.body().contains("of a core, limit 0.50 %"), "{}", first.body());
    let bare = daemon.wait_for("a start without arguments", |event| {
        event.is_start() && event.seq() > first.seq() && event.args().is_empty()
    });
    assert!(bare.number("process.args_count") > Some(0), "{}", bare.0);
    load.signal(Signal::KILL);
    load.wait();
    // Some looks at each of the steps that were taken meanwhile.
    let recovered = daemon.stream.find("nothing is left out any more", PATIENCE * 4, |events| {
        events.iter().find(|event| is_shed(event) && left_out(event).is_empty()).cloned()
    });
    assert_eq!(recovered.0["severity"], "info");
    Actor::start(ACTOR, "exit 0", &mark).finish();
    daemon.wait_for("a start with arguments", |event| {
        event.is_start() && event.seq() > recovered.seq() && event.has_arg("exit")
    });
}
