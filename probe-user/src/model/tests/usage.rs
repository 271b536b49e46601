//! Samples, differences, and the balance at the end.

use super::*;
use crate::model::Totals;

const P: ProcessKey = ProcessKey { tgid: 10, start: KTime::from_millis(100) };
const C: ProcessKey = ProcessKey { tgid: 11, start: KTime::from_millis(200) };

/// A sample of one process that has used so much CPU.
pub(super) fn sample(key: ProcessKey, cpu_ns: u64) -> UsageRow {
    UsageRow { key, threads: 1, cpu_ns, wait_ns: 10, read_bytes: 20, write_bytes: 30, rss_bytes: 4096 }
}

fn sampled(now_ms: u64, key: ProcessKey, cpu_ns: u64) -> Told {
    Told::Sample(now_ms, vec![sample(key, cpu_ns)])
}

fn seeded_with(reaped_cpu_ns: u64) -> (Told, &'static str) {
    (Told::Scan(150, vec![TaskRow { reaped_cpu_ns, ..row(P, "/bin/sh", None) }]), "seeded 10 /bin/sh:/bin/sh")
}

#[test]
fn a_forked_process_counts_from_nothing_to_its_account() {
    check([
        seeded_with(0),
        (fork(200, C, P).into(), "forked 11 /bin/sh:forked^10"),
        (sampled(210, C, 40), "used 11 40"),
        (sampled(220, C, 60), "used 11 20"),
        (sampled(230, C, 55), "used 11 0"),
        (sampled(240, C, 65), "used 11 5"),
        (exit(250, C, OK).into(), "exited 11"),
        (sampled(251, C, 66), "-"),
        (account_of(252, C, 90).into(), "closed 11 /bin/sh:forked^10 code=0 cpu=90 delta=25"),
    ]);
}

#[test]
fn a_seeded_process_counts_from_its_first_sample() {
    check([
        seeded_with(0),
        (sampled(210, P, 1000), "used 10 0"),
        (sampled(220, P, 1010), "used 10 10"),
        (exit(230, P, OK).into(), "exited 10"),
        (account_of(231, P, 1025).into(), "closed 10 /bin/sh:/bin/sh code=0 cpu=1025 delta=15"),
    ]);
}

#[test]
fn threads_reaped_before_the_daemon_came_are_added_to_the_account() {
    check([
        seeded_with(500),
        (sampled(210, P, 1000), "used 10 0"),
        (exit(230, P, OK).into(), "exited 10"),
        (account_of(231, P, 1025).into(), "closed 10 /bin/sh:/bin/sh code=0 cpu=~1525 delta=25"),
    ]);
}

#[test]
fn a_seeded_process_that_was_never_sampled_has_an_account_and_no_difference() {
    check([
        seeded_with(0),
        (exit(230, P, OK).into(), "exited 10"),
        (account_of(231, P, 5000).into(), "closed 10 /bin/sh:/bin/sh code=0 cpu=5000 delta=0"),
    ]);
}

#[test]
fn a_fork_told_after_the_scan_makes_the_account_whole() {
    let seed = TaskRow { reaped_cpu_ns: 500, ..row(C, "/bin/sh", None) };
    check([
        (Told::Scan(205, vec![seed]), "seeded 11 /bin/sh:/bin/sh"),
        (fork(200, C, P).into(), "-"),
        (sampled(210, C, 40), "used 11 40"),
        (exit(230, C, OK).into(), "exited 11"),
        (account_of(231, C, 600).into(), "closed 11 /bin/sh:/bin/sh code=0 cpu=600 delta=560"),
    ]);
}

#[test]
fn without_an_account_the_larger_of_exit_and_sample_stands() {
    for (cpu_ns, expected) in [
        (60, "closed 11 /bin/sh:forked^10 code=0 cpu=~70 delta=10"),
        (80, "closed 11 /bin/sh:forked^10 code=0 cpu=~80 delta=0"),
    ] {
        check([
            seeded_with(0),
            (fork(200, C, P).into(), "forked 11 /bin/sh:forked^10"),
            (
                Told::Sample(210, vec![UsageRow { cpu_ns, ..sample(C, 0) }]),
                if cpu_ns == 60 { "used 11 60" } else { "used 11 80" },
            ),
            (exit(250, C, OK).into(), "exited 11"),
            (Told::Expire(2250), expected),
        ]);
    }
}

#[test]
fn a_partial_account_is_never_less_than_what_was_told() {
    let partial = Account { cpu_ns: 30, wait_ns: 0, read_bytes: 500, write_bytes: 0, exact: false };
    let mut table = check([
        (fork(200, C, P).into(), "forked 11 :forked^10"),
        (sampled(210, C, 40), "used 11 40"),
        (exit(250, C, OK).into(), "exited 11"),
    ]);
    let changes = tell(&mut table, &record(251, C, Body::Account(partial)).into());
    let [Change::Closed { account, delta, .. }] = &*changes else { panic!("{changes:?}") };
    let expected = Account { cpu_ns: 40, wait_ns: 10, read_bytes: 500, write_bytes: 30, exact: false };
    assert_eq!(*account, expected);
    assert_eq!(*delta, Totals { read_bytes: 480, ..Totals::default() });
}

#[test]
fn a_sample_updates_memory_and_threads_and_ignores_strangers() {
    let table = check([
        seeded_with(0),
        (Told::Sample(210, vec![sample(C, 5), UsageRow { threads: 7, rss_bytes: 99, ..sample(P, 5) }]), "used 10 0"),
    ]);
    let process = table.get(P).unwrap();
    assert_eq!((process.threads, process.usage.rss_bytes), (7, 99));
    assert_eq!(process.usage.at, Some(KTime::from_millis(210)));
}
