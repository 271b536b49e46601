//! CPU time as the daemon tells it, held against what the kernel charged.

use procprobe_tests::actor::{Actor, group};
use procprobe_tests::cgroup::PlainCgroup;
use procprobe_tests::cputime::CpuTime;
use procprobe_tests::daemon::{Setup, at_most};
use procprobe_tests::event::Event;
use procprobe_tests::mark;

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");

/// Runs so many `burn` children and compares the sum of their exits' CPU time with `getrusage(RUSAGE_CHILDREN)`, or with what
/// the scheduler charged their cgroup where they have more than one thread: what the parent is told then lacks the last
/// slices of threads that nobody waits for.
fn check(count: usize, burn: &str, threads: usize) {
    let count = at_most(count);
    let mark = mark();
    let policy = group("burners", "burn", &mark, "starts: { max: 1000000, within: 1s }");
    let daemon = Setup::new().policy(&policy).start();
    let cgroup = PlainCgroup::new(&mark).unwrap_or_else(|error| panic!("{error}"));
    let spawn = format!("within {} spawn {count} 2 burn {burn}", cgroup.path().display());
    let mut parent = Actor::start(ACTOR, &spawn, &mark);
    let (waited_for, charged) = (parent.told(), parent.told());
    parent.finish();
    let exits = daemon.wait_for_count("all exits", count, Event::is_exit);
    assert_eq!(exits.len(), count);
    let truth = if threads == 1 {
        Actor::told_number(&waited_for, "children_cpu_ns")
    } else {
        Actor::told_number(&charged, "others_cpu_ns")
    };
    CpuTime::of(&exits).assert_is(std::time::Duration::from_nanos(truth).as_secs_f64(), threads);
}

#[test]
fn cpu_time_of_short_processes_is_exact() {
    check(300, "5", 1);
}

#[test]
fn cpu_time_of_all_threads_is_in_the_account() {
    check(40, "5 4", 4);
}

#[test]
fn cpu_time_of_processes_that_do_next_to_nothing_is_not_lost() {
    check(300, "0", 1);
}

#[test]
fn a_group_that_uses_too_much_cpu_fires_and_names_who() {
    let mark = mark();
    let policy = group("busy", "burn", &mark, "cpu: { max: 0.2 cores }");
    let daemon = Setup::new().policy(&policy).args(["--sample-interval", "200ms"]).start();
    let burner = Actor::start(ACTOR, "burn 20000 2", &mark);
    let firing = daemon.wait_for("the alarm", |event| event.is_alarm("firing", "busy.cpu.max"));
    assert!(firing.float("value") > Some(0.2) && firing.float("limit") == Some(0.2), "{}", firing.0);
    let named = firing.evidence().iter().any(|process| process["process.pid"] == burner.pid());
    assert!(named, "{}", firing.0);
    drop(burner);
    daemon.wait_for("healthy again", |event| event.is_alarm("resolved", "busy.cpu.max"));
}
