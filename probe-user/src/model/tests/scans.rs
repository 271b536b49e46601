//! Seeding and reconciling.

use super::*;

const P: ProcessKey = ProcessKey { tgid: 10, start: KTime::from_millis(100) };
const C: ProcessKey = ProcessKey { tgid: 11, start: KTime::from_millis(200) };
const G: ProcessKey = ProcessKey { tgid: 12, start: KTime::from_millis(300) };

fn seeded() -> (Told, &'static str) {
    (Told::Scan(150, vec![row(P, "/bin/sh", None)]), "seeded 10 /bin/sh:/bin/sh")
}

fn scan(began_ms: u64, rows: &[TaskRow]) -> Told {
    Told::Scan(began_ms, rows.to_vec())
}

fn shell() -> TaskRow {
    row(P, "/bin/sh", None)
}

#[test]
fn the_first_scan_seeds_and_what_it_saw_is_not_announced_again() {
    let table = check([
        (fork(200, C, P).into(), "forked 11 :forked^10"),
        (
            scan(250, &[shell(), row(C, "/bin/ls", Some(P)), row(G, "/bin/cat", Some(P))]),
            "seeded 10 /bin/sh:/bin/sh; seeded 12 /bin/cat:/bin/cat^10; redefined 11 /bin/ls:/bin/ls^10",
        ),
        // Forked and executed while the iterator ran.
        (fork(300, G, P).into(), "-"),
        (exec_child_of(301, G, "/bin/cat", Some(P)).into(), "executed 12 /bin/cat:/bin/cat^10"),
        // Older than the scan, told after it.
        (exec(240, P, "/bin/sh").into(), "redefined 10 /bin/sh:/bin/sh"),
        (exec(230, P, "/bin/init").into(), "-"),
        (Told::Args(P, "/bin/sh\0-x"), "-"),
    ]);
    assert_eq!(table.len(), 3);
    assert_eq!(table.get(P).unwrap().execs, 2);
}

#[test]
fn arguments_that_the_scan_read_come_with_the_process() {
    let mut table: Table = Table::new();
    let mut changes = Vec::new();
    let args = vec![(P, "/bin/sh\0-c\0true".into()), (C, "gone".into())];
    table.scan(&Scan { began: KTime::from_millis(150), rows: vec![shell()], args }, &mut changes);
    assert_eq!(changes, [Change::Appeared { key: P, how: Appearance::Seeded }]);
    assert_eq!(table.get(P).unwrap().program.args_list().collect::<Vec<_>>(), ["/bin/sh", "-c", "true"]);
    // A second reading tells nothing new, a third does.
    for (args, told) in [("/bin/sh\0-c\0true", 0), ("sh: idle", 1)] {
        let scan = Scan { began: KTime::from_millis(160), rows: vec![shell()], args: vec![(P, args.into())] };
        changes.clear();
        table.scan(&scan, &mut changes);
        assert_eq!(changes.len(), told, "{changes:?}");
    }
}

#[test]
fn a_lost_fork_is_found_and_a_lost_exit_noticed() {
    let table = check([
        seeded(),
        (fork(200, C, P).into(), "forked 11 /bin/sh:forked^10"),
        (scan(400, &[shell(), row(G, "/bin/cat", Some(P))]), "found 12 /bin/cat:/bin/cat^10; exited 11"),
        (Told::Expire(2400), "closed 11 /bin/sh:forked^10 unknown cpu=~0 delta=0"),
        (exit(390, C, OK).into(), "-"),
    ]);
    assert_eq!(table.get(P).unwrap().exit, None);
    // It is not even a zombie.
    assert_eq!(table.zombies(), 0);
}

#[test]
fn an_exit_told_after_the_scan_that_missed_the_process_fills_in_the_rest() {
    check([
        seeded(),
        (fork(200, C, P).into(), "forked 11 /bin/sh:forked^10"),
        (signal(400, C, 9, 99).into(), "-"),
        (scan(400, &[shell()]), "exited 11"),
        (exit(401, C, killed(9)).into(), "-"),
        (account(402, C).into(), "closed 11 /bin/sh:forked^10 signal=9 killer=99 cpu=100 delta=100"),
    ]);
}

#[test]
fn an_account_that_waited_closes_at_the_scan() {
    check([
        seeded(),
        (account(160, P).into(), "-"),
        (scan(170, &[]), "exited 10; closed 10 /bin/sh:/bin/sh unknown cpu=100 delta=0"),
        (scan(180, &[shell()]), "-"),
    ]);
}

#[test]
fn what_started_after_the_scan_began_may_be_missing_from_it() {
    check([
        seeded(),
        (fork(200, C, P).into(), "forked 11 /bin/sh:forked^10"),
        (scan(200, &[shell()]), "-"),
        (scan(201, &[shell()]), "exited 11"),
    ]);
}

#[test]
fn nothing_that_ended_comes_back() {
    let child = row(C, "/bin/ls", Some(P));
    let table = check([
        seeded(),
        (fork(200, C, P).into(), "forked 11 /bin/sh:forked^10"),
        (exit(390, C, OK).into(), "exited 11"),
        (scan(400, &[shell(), child.clone()]), "-"),
        (account(402, C).into(), "closed 11 /bin/sh:forked^10 code=0 cpu=100 delta=100"),
        (scan(410, &[shell(), child]), "-"),
    ]);
    assert_eq!(table.len(), 1);
}

#[test]
fn zombies_end_what_was_known_and_are_counted() {
    let table = check([
        seeded(),
        (fork(200, C, P).into(), "forked 11 /bin/sh:forked^10"),
        (scan(400, &[shell(), zombie(C, killed(15)), zombie(G, OK)]), "exited 11"),
        (scan(410, &[shell(), zombie(C, killed(15)), zombie(G, OK)]), "-"),
        (Told::Expire(2400), "closed 11 /bin/sh:forked^10 signal=15 cpu=~0 delta=0"),
        (scan(2500, &[shell(), zombie(C, killed(15)), zombie(G, OK)]), "-"),
    ]);
    assert_eq!((table.len(), table.zombies()), (1, 2));
}

#[test]
fn an_exit_told_after_the_scan_that_saw_the_zombie_fills_in_the_rest() {
    let mut table = check([
        seeded(),
        (scan(400, &[zombie(P, killed(15))]), "exited 10"),
        (signal(399, P, 15, 99).into(), "-"),
        (exit(399, P, killed(15)).into(), "-"),
    ]);
    let process = table.get(P).unwrap().exit.as_ref().unwrap();
    assert_eq!((process.at, process.peak_rss_bytes), (KTime::from_millis(399), 4096));
    assert_eq!(process.killer.as_ref().unwrap().pid, 99);
    tell(&mut table, &account(401, P).into());
    assert_bare(&table);
    assert_eq!(table.zombies(), 0);
}

#[test]
fn a_reused_tgid_in_a_scan_ends_the_one_before() {
    let again = key(11, 500);
    check([
        seeded(),
        (fork(200, C, P).into(), "forked 11 /bin/sh:forked^10"),
        (
            scan(600, &[shell(), row(again, "/bin/ls", Some(P))]),
            "exited 11; closed 11 /bin/sh:forked^10 unknown cpu=~0 delta=0; found 11 /bin/ls:/bin/ls^10",
        ),
        (scan(610, &[shell(), row(again, "/bin/ls", Some(P)), row(C, "/bin/sh", Some(P))]), "-"),
    ]);
}

#[test]
fn a_lost_exec_is_announced_once() {
    let table = check([
        seeded(),
        (scan(400, &[row(P, "/bin/new", None)]), "executed 10 /bin/new:/bin/new"),
        (scan(410, &[row(P, "/bin/new", None)]), "-"),
        // Its record was not lost: the iterator was quicker.
        (exec(401, P, "/bin/new").into(), "redefined 10 /bin/new:/bin/new"),
        (exec(402, P, "/bin/new").into(), "executed 10 /bin/new:/bin/new"),
    ]);
    let process = table.get(P).unwrap();
    assert_eq!((process.execs, &*process.program.args), (2, "/bin/new\0-x"));
}

#[test]
fn the_first_of_two_execs_during_a_scan_is_still_told() {
    let table = check([
        seeded(),
        (scan(400, &[row(P, "/bin/b", None)]), "executed 10 /bin/b:/bin/b"),
        (exec(401, P, "/bin/a").into(), "executed 10 /bin/a:/bin/a"),
        (exec(402, P, "/bin/b").into(), "redefined 10 /bin/b:/bin/b"),
    ]);
    assert_eq!(table.get(P).unwrap().execs, 2);
}

#[test]
fn an_exec_long_after_the_scan_is_another_one() {
    check([
        seeded(),
        (scan(400, &[row(P, "/bin/new", None)]), "executed 10 /bin/new:/bin/new"),
        (exec(1400, P, "/bin/new").into(), "executed 10 /bin/new:/bin/new"),
    ]);
}

#[test]
fn a_child_of_a_lost_exec_did_not_execute_anything() {
    // The rows in any order: the parent's exec was lost, the child was forked after it.
    for swap in [false, true] {
        let mut rows = vec![row(P, "/bin/new", None), row(C, "/bin/new", Some(P))];
        if swap {
            rows.swap(0, 1);
        }
        check([
            seeded(),
            (fork(200, C, P).into(), "forked 11 /bin/sh:forked^10"),
            (scan(400, &rows), "executed 10 /bin/new:/bin/new; redefined 11 /bin/new:/bin/new^10"),
        ]);
    }
}

#[test]
fn whatever_a_selector_sees_is_brought_up_to_date() {
    let cases: [(&str, TaskRow, &str); 6] = [
        ("nothing", shell(), "-"),
        ("comm", TaskRow { identity: identity("other", None), ..shell() }, "redefined 10 /bin/sh:other"),
        ("parent", row(P, "/bin/sh", Some(key(1, 0))), "redefined 10 /bin/sh:/bin/sh^1"),
        (
            "uid",
            TaskRow { identity: Identity { uid: 0, ..identity("/bin/sh", None) }, ..shell() },
            "redefined 10 /bin/sh:/bin/sh",
        ),
        (
            "cgroup",
            TaskRow {
                cgroup: "/web".into(),
                identity: Identity { cgroup_id: 9, ..identity("/bin/sh", None) },
                ..shell()
            },
            "redefined 10 /bin/sh:/bin/sh@/web",
        ),
        ("no executable any more", TaskRow { exe: "".into(), ..shell() }, "-"),
    ];
    for (name, row, expected) in cases {
        let mut table = check([seeded()]);
        let changes = tell(&mut table, &Told::Scan(400, vec![row]));
        let said: Vec<String> = changes.iter().map(|change| words(&table, change)).collect();
        let said = if said.is_empty() { "-".to_owned() } else { said.join("; ") };
        assert_eq!(said, expected, "{name}");
    }
}

#[test]
fn an_orphan_gets_its_new_parent_at_a_scan() {
    let init = key(1, 0);
    let table = check([
        (
            scan(250, &[row(init, "/init", None), shell(), row(C, "/bin/ls", Some(P))]),
            "seeded 1 /init:/init; seeded 10 /bin/sh:/bin/sh; seeded 11 /bin/ls:/bin/ls^10",
        ),
        (exit(260, P, OK).into(), "exited 10"),
        (account(261, P).into(), "closed 10 /bin/sh:/bin/sh code=0 cpu=100 delta=0"),
        (scan(300, &[row(init, "/init", None), row(C, "/bin/ls", Some(init))]), "redefined 11 /bin/ls:/bin/ls^1"),
    ]);
    assert_eq!(table.children(P).count(), 0);
    assert_eq!(table.children(init).collect::<Vec<_>>(), [C]);
}

#[test]
fn all_of_a_cgroup_share_the_text_of_its_path_through_every_scan() {
    // Each row comes with a text of its own, as the iterator tells it.
    let row = |key, exe| TaskRow {
        cgroup: String::from("/web").into(),
        identity: Identity { cgroup_id: 9, ..identity(exe, None) },
        ..row(key, exe, None)
    };
    let rows = || vec![row(P, "/bin/sh"), row(C, "/bin/ls")];
    let mut table: Table = Table::new();
    let mut texts = Vec::new();
    for began in [350, 360] {
        tell(&mut table, &Told::Scan(began, rows()));
        texts.extend([P, C].map(|key| Arc::clone(&table.get(key).unwrap().cgroup)));
    }
    assert_eq!(&*texts[0], "/web");
    assert!(texts.iter().all(|text| Arc::ptr_eq(text, &texts[0])), "{texts:?}");
}
