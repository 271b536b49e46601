//! Who belongs, from when on, and what is watched of it.

use super::world::settings;
use super::*;
use crate::engine::{Processes, Verdict};
use crate::policy::select::Field;
use crate::policy::spec::User;
use crate::record::ProcessKey;
use crate::time::KTime;

/// Plays a script and compares the members of each group: `name: pids`.
#[track_caller]
fn check_members(groups: Vec<Group>, script: &str, expected: &str) -> World {
    let mut world = World::new(settings(), vec![groups]);
    world.play(script);
    assert_eq!(world.members(), expected, "{script}");
    world
}

fn counted(name: &str, select: Selector) -> Group {
    group(name, select, vec![max(Measure::Count, 1000.0)])
}

fn family(name: &str, select: Selector) -> Group {
    Group { include_children: true, ..counted(name, select) }
}

fn child_of(parent: &str) -> Selector {
    Selector { parent: vec![parent.into()], ..Selector::default() }
}

#[test]
fn several_groups_and_except() {
    let groups = || {
        vec![
            counted("all", exe("/bin/*")),
            Group { except: Some(args("-t")), ..counted("app", exe("app")) },
            counted("init", Selector { comm: vec![glob("init")], ..Selector::default() }),
        ]
    };
    check_members(groups(), "0 scan\n 1 run 10 /bin/app\n 1 run 11 /bin/app args=app_-t", "all:10,11 app:10 init:1");
    check_members(groups(), "0 scan\n 1 run 10 /bin/app\n 2 exec 10 /usr/bin/x", "all: app: init:1");
    check_members(groups(), "0 scan\n 1 run 10 /bin/app\n 2 exit 10 close=no", "all: app: init:1");
}

#[test]
fn children_belong_and_stay_when_their_ancestors_are_gone() {
    let groups = || vec![Group { except: Some(exe("cron")), ..family("shop", exe("shop")) }];
    let script = "0 scan\n 1 run 10 /bin/shop\n 2 run 11 /bin/sh from=10\n 3 run 12 /bin/sleep from=11\n";
    check_members(groups(), script, "shop:10,11,12");
    check_members(groups(), &format!("{script} 4 exit 10\n 5 exit 11"), "shop:12");
    check_members(groups(), &format!("{script} 4 exec 12 /bin/other"), "shop:10,11,12");
    // Taken out while it runs that, and back by descent; its children of that time are out.
    check_members(groups(), &format!("{script} 4 exec 11 /bin/cron\n 5 run 13 /bin/job from=11"), "shop:10,12");
    check_members(groups(), &format!("{script} 4 exec 11 /bin/cron\n 5 exec 11 /bin/sh"), "shop:10,11,12");
    // Forked before the parent became a member.
    check_members(groups(), "0 scan\n 1 fork 10\n 2 fork 11 from=10\n 3 exec 10 /bin/shop", "shop:10");
    // At the first scan the chain of ancestors decides.
    let there = "0 have 10 /bin/shop\n 0 have 11 /bin/sh from=10\n 0 have 12 /bin/sleep from=11\n 0 scan";
    check_members(groups(), there, "shop:10,11,12");
}

#[test]
fn a_parent_is_one_that_belongs_to_that_group_now() {
    let groups = || vec![counted("worker", child_of("master")), counted("master", exe("master"))];
    let script = "0 scan\n 1 run 10 /bin/master\n 2 fork 11 from=10\n 3 run 12 /bin/sh from=11\n";
    check_members(groups(), script, "worker:11,12 master:10,11");
    check_members(groups(), &format!("{script} 4 exec 11 /bin/sh"), "worker:11 master:10");
    check_members(
        groups(),
        &format!("{script} 4 exec 11 /bin/sh\n 5 exec 11 /bin/master"),
        "worker:11,12 master:10,11",
    );
    check_members(groups(), &format!("{script} 4 exit 10 close=no"), "worker:12 master:11");
    // Chains of parents, and a circle, which the language refuses: neither hangs.
    let chain = vec![counted("a", exe("a")), counted("b", child_of("a")), counted("c", child_of("b"))];
    check_members(
        chain,
        "0 scan\n 1 run 10 /bin/sh\n 2 run 11 /bin/sh from=10\n 3 run 12 /bin/sh from=11\n 4 exec 10 /bin/a",
        "a:10 b:11 c:12",
    );
    let circle = vec![counted("a", child_of("b")), counted("b", child_of("a"))];
    check_members(circle, "0 scan\n 1 run 10 /bin/sh\n 2 run 11 /bin/sh from=10", "a: b:");
}

#[test]
fn rewritten_arguments_are_looked_at_again() {
    let groups = || vec![counted("master", args("master process")), counted("worker", args("worker process"))];
    let script = "
        0 scan
        1.001 run 10 /usr/sbin/nginx args=nginx:_master_process
        2.001 fork 11 from=10
        2.01 title 11 nginx: worker process
    ";
    // Until somebody looks, it is what it was forked from.
    check_members(groups(), &format!("{script} 2.04"), "master:10,11 worker:");
    let world = check_members(groups(), &format!("{script} 2.35"), "master:10 worker:11");
    assert_eq!(world.asked.iter().filter(|asked| asked.contains("look 11")).collect::<Vec<_>>(), ["2.325 look 11"]);
    // Late: found at half a second, at 5 s, and then at common moments until the program is 5 minutes old.
    let world = check_members(groups(), "0 scan\n 2.001 fork 11\n 3000", "master: worker:");
    let looks: Vec<_> = world.asked.iter().filter(|asked| asked.contains("look 11")).collect();
    let common: Vec<String> = (1..=10).map(|n| format!("{} look 11", n * 30)).collect();
    assert_eq!(looks[..3], ["2.325 look 11", "2.75 look 11", "8 look 11"]);
    assert_eq!(looks[3..], common.iter().collect::<Vec<_>>());
    // Who has ended is not looked at, and nobody wakes up for it.
    let mut world = check_members(groups(), "0 scan\n 2.001 fork 11\n 2.01 exit 11", "master: worker:");
    world.asked.clear();
    world.wake_until(KTime::from_secs(3000));
    assert!(!world.asked.iter().any(|asked| asked.contains("look 11")), "{:?}", world.asked);
}

/// nginx starts its workers by fork, makes them another user, and gives them a title: none of it is told.
#[test]
fn who_becomes_another_user_is_looked_at_again() {
    let groups = || {
        let by_user = |user| Selector { user: vec![User::Uid(user)], ..args("worker") };
        vec![counted("root", Selector { user: vec![User::Uid(0)], ..exe("nginx") }), counted("worker", by_user(33))]
    };
    let script = "
        0 scan
        1.001 run 10 /usr/sbin/nginx args=nginx:_master
        2.001 fork 11 from=10
        2.01 setuid 11 33
        2.01 title 11 nginx: worker
    ";
    check_members(groups(), &format!("{script} 2.04"), "root:10,11 worker:");
    check_members(groups(), &format!("{script} 2.35"), "root:10 worker:11");
    // Only root can become another user: nobody else is looked at for that.
    let world = check_members(groups(), "0 scan\n 1 run 10 /bin/worker uid=34\n 60", "root: worker:");
    assert!(!world.asked.iter().any(|asked| asked.contains("look 10")), "{:?}", world.asked);
}

#[test]
fn a_storm_of_candidates_is_looked_at_in_portions() {
    let mut world = World::new(settings(), vec![vec![counted("job", args("job"))]]);
    world.play("0 scan");
    for pid in 100..700 {
        world.play(&format!("1.001 fork {pid}"));
    }
    world.asked.clear();
    world.wake_until(KTime::from_millis(1_325));
    assert_eq!(world.asked.len(), 256);
    world.wake_until(KTime::from_millis(1_425));
    assert_eq!(world.asked.len(), 600);
}

#[test]
fn entering_by_new_arguments_is_one_start() {
    let groups = || vec![group("worker", args("worker"), vec![max(Measure::Starts, 99.0).within(600)])];
    let starts = |script: &str| {
        let world = check(groups(), script, "");
        world.engine.status(KTime::from_secs(60)).groups[0].bounds[0].value
    };
    assert_eq!(starts("0 scan\n 1 fork 10\n 1.01 title 10 worker\n 2"), Some(1.0));
    assert_eq!(
        starts("0 scan\n 1 fork 10\n 1.01 title 10 worker\n 1.4 title 10 idle\n 2 title 10 worker\n 9"),
        Some(1.0)
    );
    assert_eq!(starts("0 have 10\n 0 scan\n 0 title 10 worker\n 1"), Some(0.0), "was there before");
}

#[test]
fn only_members_are_watched() {
    let groups = || {
        vec![
            group("app", exe("app"), vec![min(Measure::Count, 1.0)]),
            group("big", exe("big"), vec![max(Measure::Memory, 1e12)]),
            group("all", exe("/**"), vec![max(Measure::Count, 1e6)]),
        ]
    };
    let watched = |script: &str| {
        let mut world = World::new(settings(), vec![groups()]);
        world.play(script);
        world
    };
    assert_eq!(watched("0 have 10 /bin/app\n 0 have 11 /bin/big\n 0 scan").watched(), "10:exit 11:both");
    assert_eq!(watched("0 scan\n 1 run 10 /bin/app\n 2 exec 10 /bin/sh").watched(), "");
    // A fork takes the watch along in the kernel: nothing to do for a member, to be undone for who is none.
    let world = watched("0 scan\n 1 run 10 /bin/app\n 5 fork 11 from=10");
    assert_eq!(
        (world.watched().as_str(), world.asked.as_slice()),
        ("10:exit 11:exit", ["1 watch 10 exit".to_owned()].as_slice())
    );
    let world = watched("0 scan\n 1 run 10 /bin/app\n 5 fork 11 from=10\n 5 exec 11 /bin/sh");
    assert_eq!(world.asked, ["1 watch 10 exit", "5 watch 11 none"]);
    // Forked so soon after that nobody knows: said explicitly.
    let world = watched("0 scan\n 1 run 10 /bin/app\n 1.05 fork 11 from=10");
    assert_eq!(world.asked, ["1 watch 10 exit", "1.05 watch 11 exit"]);
}

#[test]
fn explains_each_group() {
    let groups = vec![
        counted("app", exe("app")),
        Group { except: Some(args("-t")), ..counted("tested", exe("app")) },
        family("family", exe("shop")),
        counted("other", Selector { user: vec![User::Uid(7)], ..exe("app") }),
        counted("titled", args("zzz")),
    ];
    let mut world = World::new(settings(), vec![groups]);
    world.play("0 scan\n 1 run 9 /bin/shop\n 2 run 10 /bin/app from=9 args=app_-t");
    let key = ProcessKey { tgid: 10, start: KTime::from_secs(2) };
    let verdicts: Vec<_> = world.engine.explain(key).into_iter().map(|one| (one.group, one.verdict)).collect();
    let expected = [
        ("app", Verdict::Selected),
        ("tested", Verdict::TakenOut),
        ("family", Verdict::Descends),
        ("other", Verdict::KeptOut { field: Field::User }),
        ("titled", Verdict::KeptOut { field: Field::Args }),
    ];
    assert_eq!(verdicts, expected.map(|(name, verdict)| (name.to_owned(), verdict)));
    let json = serde_json::to_value(&world.engine.explain(key)[3]).unwrap();
    assert_eq!(json["verdict"], "kept_out");
    assert_eq!(json["field"], "user");
    assert!(world.engine.explain(ProcessKey { tgid: 77, ..key }).is_empty());
}

#[test]
fn thousands_of_policies_are_not_all_asked() {
    // Exact figures belong to the benchmark; here only that look-ups find what asking everybody would.
    let mut groups: Vec<Group> = (0..500).map(|n| counted(&format!("g{n}"), exe(&format!("/opt/*/app{n}")))).collect();
    groups.push(counted("named", Selector { comm: vec![glob("app7"), glob("zzz")], ..Selector::default() }));
    groups.push(counted("wild", exe("/opt/**/app?")));
    let mut world = World::new(Settings { processes: Processes::Matched, ..settings() }, vec![groups]);
    world.play("0 scan\n 1 run 10 /opt/x/app7");
    assert_eq!(world.told[0].attributes.get("groups"), Some(&serde_json::json!(["g7", "named", "wild"])));
}
