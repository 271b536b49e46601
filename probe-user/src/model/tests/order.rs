//! Records alone, in order and out of it.

use super::*;

const P: ProcessKey = ProcessKey { tgid: 10, start: KTime::from_millis(100) };
const C: ProcessKey = ProcessKey { tgid: 11, start: KTime::from_millis(200) };
const G: ProcessKey = ProcessKey { tgid: 12, start: KTime::from_millis(300) };

/// A shell that is in the table from the start.
fn seeded() -> (Told, &'static str) {
    (Told::Scan(150, vec![row(P, "/bin/sh", None)]), "seeded 10 /bin/sh:/bin/sh")
}

#[test]
fn a_life_in_order() {
    let table = check([
        seeded(),
        (fork(200, C, P).into(), "forked 11 /bin/sh:forked^10"),
        (exec_child_of(201, C, "/bin/ls", Some(P)).into(), "executed 11 /bin/ls:/bin/ls^10"),
        (exit(210, C, OK).into(), "exited 11"),
        (account(215, C).into(), "closed 11 /bin/ls:/bin/ls^10 code=0 cpu=100 delta=100"),
        (exit(220, P, killed(15)).into(), "exited 10"),
        (account(221, P).into(), "closed 10 /bin/sh:/bin/sh signal=15 cpu=100 delta=0"),
    ]);
    assert_bare(&table);
}

#[test]
fn a_child_shares_what_its_forker_ran() {
    let table = check([
        seeded(),
        (fork(200, C, P).into(), "forked 11 /bin/sh:forked^10"),
        (exec(250, P, "/bin/other").into(), "executed 10 /bin/other:/bin/other"),
        (fork(300, G, C).into(), "forked 12 /bin/sh:forked^11"),
    ]);
    let shared = |key| Arc::as_ptr(&table.get(key).unwrap().program);
    assert_eq!(shared(C), shared(G));
    assert_eq!(table.get(P).unwrap().execs, 1);
    assert_eq!(table.get(P).unwrap().program_since, KTime::from_millis(250));
    assert_eq!(table.children(P).collect::<Vec<_>>(), [C]);
    assert_eq!(table.children(C).collect::<Vec<_>>(), [G]);
}

#[test]
fn a_vforked_child_executes_while_its_parent_waits() {
    check([
        seeded(),
        (fork(200, C, P).into(), "forked 11 /bin/sh:forked^10"),
        (exec_child_of(200, C, "/bin/ls", Some(P)).into(), "executed 11 /bin/ls:/bin/ls^10"),
        (fork(201, G, P).into(), "forked 12 /bin/sh:forked^10"),
    ]);
}

#[test]
fn an_exec_by_another_thread_keeps_the_process() {
    let mut table = check([seeded()]);
    let rows = vec![UsageRow { threads: 9, ..usage::sample(P, 50) }];
    tell(&mut table, &Told::Sample(160, rows));
    assert_eq!(table.get(P).unwrap().threads, 9);
    tell(&mut table, &exec(170, P, "/bin/new").into());
    let process = table.get(P).unwrap();
    assert_eq!((process.threads, process.execs, &*process.program.exe), (1, 1, "/bin/new"));
    assert_eq!(table.len(), 1);
}

#[test]
fn an_exec_without_a_fork_finds_the_process() {
    check([
        (exec(10, C, "/bin/ls").into(), "found 11 /bin/ls:/bin/ls; executed 11 /bin/ls:/bin/ls"),
        (fork(9, C, P).into(), "-"),
        (exec(20, C, "/bin/cat").into(), "executed 11 /bin/cat:/bin/cat"),
    ]);
}

#[test]
fn an_exit_before_its_fork_and_exec() {
    let table = check([
        seeded(),
        (exit(210, C, OK).into(), "found 11 :ended; exited 11"),
        (fork(200, C, P).into(), "redefined 11 /bin/sh:ended^10"),
        (exec_child_of(201, C, "/bin/ls", Some(P)).into(), "redefined 11 /bin/ls:ended^10"),
        (exit(210, C, OK).into(), "-"),
        (account(215, C).into(), "closed 11 /bin/ls:ended^10 code=0 cpu=100 delta=100"),
        (fork(200, C, P).into(), "-"),
        (exec(201, C, "/bin/ls").into(), "-"),
        (exit(210, C, OK).into(), "-"),
        (account(215, C).into(), "-"),
        (Told::Expire(9000), "-"),
    ]);
    assert_eq!(table.len(), 1);
    assert!(table.orphans.is_empty());
}

#[test]
fn everything_backwards() {
    let table = check([
        seeded(),
        (account(215, C).into(), "-"),
        (exit(210, C, OK).into(), "found 11 ?; exited 11; closed 11 :ended code=0 cpu=100 delta=100"),
        (exec(201, C, "/bin/ls").into(), "-"),
        (fork(200, C, P).into(), "-"),
    ]);
    assert_eq!(table.len(), 1);
}

#[test]
fn an_account_before_its_exit_is_kept_for_it() {
    check([
        seeded(),
        (account(160, P).into(), "-"),
        (account_of(160, P, 999).into(), "-"),
        (exit(159, P, OK).into(), "exited 10; closed 10 /bin/sh:/bin/sh code=0 cpu=100 delta=0"),
    ]);
}

#[test]
fn an_account_whose_exit_was_lost_ends_the_process() {
    let mut table = check([seeded(), (account(160, P).into(), "-"), (Told::Expire(2159), "-")]);
    assert_eq!(table.next_expiry(), Some(KTime::from_millis(2160)));
    let changes = tell(&mut table, &Told::Expire(2160));
    assert_eq!(changes[0], Change::Exited { key: P });
    assert!(matches!(&changes[1], Change::Closed { account, .. } if account.exact), "{changes:?}");
    assert_bare(&table);
    assert_eq!(table.next_expiry(), None);
}

#[test]
fn a_process_that_nobody_waits_for_is_closed_after_the_grace() {
    let table = check([
        seeded(),
        (exit(1000, P, OK).into(), "exited 10"),
        (Told::Expire(2999), "-"),
        (Told::Expire(3000), "closed 10 /bin/sh:/bin/sh code=0 cpu=~70 delta=0"),
    ]);
    assert_bare(&table);
    assert_eq!(table.zombies(), 1);
}

#[test]
fn a_late_account_of_a_zombie_only_stops_it_from_being_counted() {
    let table = check([
        seeded(),
        (exit(1000, P, OK).into(), "exited 10"),
        (Told::Expire(3000), "closed 10 /bin/sh:/bin/sh code=0 cpu=~70 delta=0"),
        (account(5000, P).into(), "-"),
    ]);
    assert_eq!(table.zombies(), 0);
}

#[test]
fn a_reused_tgid_ends_the_process_whose_exit_was_lost() {
    let again = key(11, 500);
    let table = check([
        seeded(),
        (fork(200, C, P).into(), "forked 11 /bin/sh:forked^10"),
        (
            fork(500, again, P).into(),
            "exited 11; closed 11 /bin/sh:forked^10 unknown cpu=~0 delta=0; forked 11 /bin/sh:forked^10",
        ),
        (exit(210, C, OK).into(), "-"),
        (account(211, C).into(), "-"),
        (exec(202, C, "/bin/stale").into(), "-"),
        (fork(190, key(11, 190), P).into(), "-"),
        (exit(190, key(11, 190), OK).into(), "-"),
    ]);
    assert_eq!(table.of_tgid(11).unwrap().key, again);
    assert_eq!(table.children(P).collect::<Vec<_>>(), [again]);
}

#[test]
fn a_reused_tgid_leaves_the_exited_one_to_its_account() {
    let again = key(11, 500);
    let table = check([
        seeded(),
        (fork(200, C, P).into(), "forked 11 /bin/sh:forked^10"),
        (exit(210, C, OK).into(), "exited 11"),
        (exec(501, again, "/bin/new").into(), "found 11 /bin/new:/bin/new; executed 11 /bin/new:/bin/new"),
        (exec_child_of(201, C, "/bin/old", Some(P)).into(), "redefined 11 /bin/old:/bin/old^10"),
        (account(502, C).into(), "closed 11 /bin/old:/bin/old^10 code=0 cpu=100 delta=100"),
    ]);
    assert_eq!(table.of_tgid(11).unwrap().key, again);
    assert_eq!(table.len(), 2);
}

#[test]
fn a_child_told_before_its_forker_gets_the_program_later() {
    check([
        seeded(),
        (fork(300, G, C).into(), "forked 12 :forked^11"),
        (fork(200, C, P).into(), "forked 11 /bin/sh:forked^10; redefined 12 /bin/sh:forked^11"),
        (
            exec_child_of(250, C, "/bin/ls", Some(P)).into(),
            "executed 11 /bin/ls:/bin/ls^10; redefined 12 /bin/ls:forked^11",
        ),
    ]);
}

#[test]
fn a_child_forked_before_an_exec_that_is_told_first() {
    check([
        seeded(),
        (exec(250, P, "/bin/new").into(), "executed 10 /bin/new:/bin/new"),
        (fork(200, C, P).into(), "forked 11 /bin/sh:forked^10"),
    ]);
}

#[test]
fn of_two_execs_the_later_one_stands() {
    let table = check([
        seeded(),
        (exec(300, P, "/bin/second").into(), "executed 10 /bin/second:/bin/second"),
        (exec(200, P, "/bin/first").into(), "-"),
    ]);
    assert_eq!(table.get(P).unwrap().execs, 2);
}

#[test]
fn kernel_threads_have_no_program() {
    let kthreadd = key(2, 1);
    let kernel = |comm| Identity { kernel_thread: true, ..identity(comm, Some(kthreadd)) };
    let spawn = |at, key| record(at, key, Body::Fork { identity: kernel("kworker"), forker: kthreadd });
    let seed = TaskRow { identity: Identity { parent: None, ..kernel("kthreadd") }, ..row(kthreadd, "", None) };
    let table = check([
        (Told::Scan(150, vec![seed]), "seeded 2 :kthreadd"),
        (spawn(200, C).into(), "forked 11 :kworker^2"),
        (exit(210, C, OK).into(), "exited 11"),
    ]);
    assert!(table.iter().all(|process| process.identity.kernel_thread));
    assert!(table.iter().all(|process| Arc::ptr_eq(&process.program, &table.nothing)));
}

#[test]
fn a_rename_counts_unless_an_exec_came_after_it() {
    check([
        seeded(),
        (rename(200, P, "master").into(), "redefined 10 /bin/sh:master"),
        (rename(201, P, "master").into(), "-"),
        (exec(300, P, "/bin/new").into(), "executed 10 /bin/new:/bin/new"),
        (rename(250, P, "late").into(), "-"),
        (rename(301, C, "nobody").into(), "-"),
    ]);
}

#[test]
fn a_cgroup_reaches_those_that_wait_for_it() {
    let moved = Identity { cgroup_id: 9, ..identity("forked", Some(P)) };
    let born = record(200, C, Body::Fork { identity: moved.clone(), forker: P });
    let born_later = record(300, G, Body::Fork { identity: moved, forker: C });
    let table = check([
        seeded(),
        (born.into(), "forked 11 /bin/sh:forked^10"),
        (cgroup(8, "/other").into(), "-"),
        (cgroup(9, "/web").into(), "redefined 11 /bin/sh:forked^10@/web"),
        (cgroup(9, "/web").into(), "-"),
        (born_later.into(), "forked 12 /bin/sh:forked^10@/web"),
        (exec_child_of(310, G, "/bin/ls", Some(C)).into(), "executed 12 /bin/ls:/bin/ls^11"),
    ]);
    assert_eq!(table.cgroups.sizes().1, 0);
}

#[test]
fn rewritten_arguments_belong_to_one_process() {
    let table = check([
        seeded(),
        (fork(200, C, P).into(), "forked 11 /bin/sh:forked^10"),
        (Told::Args(C, "sh: worker process\0\0\0"), "redefined 11 /bin/sh:forked^10"),
        (Told::Args(C, "sh: worker process"), "-"),
        (Told::Args(G, "nobody"), "-"),
    ]);
    let program = &table.get(C).unwrap().program;
    assert_eq!((&*program.args, program.args_count), ("sh: worker process", 1));
    assert_eq!(&*table.get(P).unwrap().program.args, "");
}

#[test]
fn a_parents_exec_leaves_its_childrens_titles_alone() {
    let table = check([
        seeded(),
        (fork(200, C, P).into(), "forked 11 /bin/sh:forked^10"),
        (Told::Args(C, "sh: worker"), "redefined 11 /bin/sh:forked^10"),
        (fork(210, G, P).into(), "forked 12 /bin/sh:forked^10"),
        (Told::Args(P, "sh: master"), "redefined 10 /bin/sh:/bin/sh"),
        (exec(250, P, "/bin/new").into(), "executed 10 /bin/new:/bin/new"),
        // Told late, so that children are looked at again.
        (exec(205, P, "/bin/old").into(), "redefined 12 /bin/old:forked^10"),
    ]);
    assert_eq!(&*table.get(C).unwrap().program.args, "sh: worker");
}

/// What it is about, the records before the exit, the exit's status, the records after it, and the cause told.
type Case<'a> = (&'a str, &'a [Record], ExitStatus, &'a [Record], &'a str);

/// The killer that the closing names, after these records and an exit of [`P`] by `status` at 100 s.
fn killer(records: &[Record], status: ExitStatus, after: &[Record]) -> String {
    let mut table = Table::new();
    tell(&mut table, &Told::Scan(150, vec![row(P, "/bin/sh", None)]));
    let end = [exit(100_000, P, status)];
    for record in records.iter().chain(&end).chain(after) {
        tell(&mut table, &record.clone().into());
    }
    let changes = tell(&mut table, &account(100_001, P).into());
    let text = words(&table, changes.last().unwrap());
    let cause = text.split(" signal=").nth(1).or(text.split(" code=").nth(1)).unwrap();
    cause.split(" cpu=").next().unwrap().to_owned()
}

#[test]
fn the_killer_is_who_sent_the_signal_it_died_of() {
    let fault = |at| {
        let Body::Signal(sent) = signal(at, P, 11, 10).body else { unreachable!() };
        record(at, P, Body::Signal(SignalSent { by_kernel: true, ..sent }))
    };
    let oom = record(99_999, P, Body::Oom);
    let bare_oom = record(99_999, ProcessKey { tgid: 10, start: KTime(0) }, Body::Oom);
    let cases: [Case; 14] = [
        ("sent by 99", &[signal(99_000, P, 15, 99)], killed(15), &[], "15 killer=99"),
        ("another number", &[signal(99_000, P, 15, 99)], killed(9), &[], "9"),
        ("another number last", &[signal(99_000, P, 9, 99), signal(99_500, P, 15, 98)], killed(9), &[], "9 killer=99"),
        (
            "the last of its number",
            &[signal(98_000, P, 15, 98), signal(99_000, P, 15, 99)],
            killed(15),
            &[],
            "15 killer=99",
        ),
        (
            "the last, told first",
            &[signal(99_000, P, 15, 99), signal(98_000, P, 15, 98)],
            killed(15),
            &[],
            "15 killer=99",
        ),
        ("itself", &[signal(99_000, P, 6, 10)], killed(6), &[], "6"),
        ("a fault", &[fault(99_000)], killed(11), &[], "11"),
        ("just young enough", &[signal(40_000, P, 15, 99)], killed(15), &[], "15 killer=99"),
        ("handled long ago", &[signal(39_999, P, 15, 99)], killed(15), &[], "15"),
        ("SIGKILL long ago", &[signal(1000, P, 9, 99)], killed(9), &[], "9 killer=99"),
        ("told late", &[], killed(9), &[signal(99_000, P, 9, 99)], "9 killer=99"),
        ("sent to the dead", &[signal(99_000, P, 9, 99)], killed(9), &[signal(100_001, P, 9, 98)], "9 killer=99"),
        ("the OOM killer", &[bare_oom, signal(99_000, P, 9, 99)], killed(9), &[], "9 oom"),
        ("a victim that left by itself", &[oom], ExitStatus::Code(3), &[], "3"),
    ];
    for (name, before, status, after, expected) in cases {
        assert_eq!(killer(before, status, after), expected, "{name}");
    }
    let late = record(100_000, P, Body::Oom);
    assert_eq!(killer(&[signal(99_000, P, 9, 99)], killed(9), &[late]), "9 oom");
}

#[test]
fn an_oom_victim_is_told_once() {
    let oom = |tgid| Told::from(record(160, ProcessKey { tgid, start: KTime(0) }, Body::Oom));
    check([seeded(), (oom(10), "oom 10"), (oom(10), "-"), (record(160, P, Body::Oom).into(), "-"), (oom(77), "-")]);
}

#[test]
fn signals_of_many_numbers_stay_bounded() {
    let mut table = check([seeded()]);
    for number in 1..=64 {
        tell(&mut table, &signal(200 + u64::from(number), P, number, 99).into());
    }
    assert_eq!(table.get(P).unwrap().last_signal.as_ref().unwrap().1.number, 64);
    let changes = tell(&mut table, &exit(300, P, killed(60)).into());
    assert_eq!(changes.len(), 1);
    assert_eq!(table.get(P).unwrap().exit.as_ref().unwrap().killer.as_ref().unwrap().pid, 99);
}

#[test]
fn accounts_of_strangers_stay_bounded() {
    let mut table = Table::new();
    for tgid in 0..10_000 {
        tell(&mut table, &account(u64::from(tgid), key(tgid, 1)).into());
    }
    assert_eq!(table.orphans.len(), super::super::close::ORPHANS_MAX);
    tell(&mut table, &Told::Expire(20_000));
    assert!(table.orphans.is_empty());
}

#[test]
fn a_long_churn_leaves_nothing_behind() {
    let mut table = check([seeded()]);
    for n in 0..20_000_u32 {
        let child = key(1000 + n % 5000, 1000 + u64::from(n));
        let at = 1000 + u64::from(n);
        for record in [fork(at, child, P), exec(at, child, "/bin/ls"), exit(at, child, OK), account(at, child)] {
            tell(&mut table, &record.into());
        }
    }
    assert_eq!(table.len(), 1);
    tell(&mut table, &exit(90_000, P, OK).into());
    tell(&mut table, &account(90_000, P).into());
    assert_bare(&table);
}
