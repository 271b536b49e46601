//! Other policies: what stayed the same keeps its state.

use super::world::settings;
use super::*;
use crate::time::KTime;

#[track_caller]
fn check_reload(before: Vec<Group>, after: Vec<Group>, script: &str, expected: &str) -> World {
    let mut world = World::new(settings(), vec![before, after]);
    world.play(script);
    assert_eq!(world.story(), tidy(expected), "{script}");
    world
}

fn app(bounds: Vec<Bound>) -> Vec<Group> {
    vec![group("app", exe("/bin/app"), bounds)]
}

/// Sorts before `app`, so that every index moves.
fn first() -> Group {
    group("aaa", exe("/bin/aaa"), vec![max(Measure::Count, 5.0), max(Measure::Starts, 5.0).within(9)])
}

#[test]
fn a_breach_keeps_its_beginning() {
    let bounds = || app(vec![min(Measure::Count, 1.0).hold(10)]);
    let after = || vec![first(), bounds().remove(0)];
    check_reload(bounds(), after(), "0 scan\n 5 policies 1\n 30", "10 firing app: 0 processes, minimum 1");
    check_reload(
        bounds(),
        after(),
        "0 scan\n 15 policies 1\n 30 run 10 /bin/app",
        "10 firing app: 0 processes, minimum 1
         30 resolved app: 1 process, minimum 1; healthy again after 30s",
    );
    // Another place in the file is no other bound; another limit is.
    let moved = || {
        let mut moved = after();
        moved[1].bounds.insert(0, max(Measure::Count, 7.0));
        moved[1].bounds[1].declared = "test.yaml:77".into();
        moved
    };
    check_reload(bounds(), moved(), "0 scan\n 15 policies 1\n 30", "10 firing app: 0 processes, minimum 1");
    let other = app(vec![min(Measure::Count, 2.0).hold(10)]);
    check_reload(
        bounds(),
        other,
        "0 scan\n 15 policies 1\n 30",
        "10 firing app: 0 processes, minimum 1
         15 resolved app; over after 15s: policy removed
         25 firing app: 0 processes, minimum 2",
    );
}

#[test]
fn alarms_of_policies_that_are_gone_end() {
    let world = check_reload(
        app(vec![max(Measure::Memory, world::MIB).each(), min(Measure::Count, 2.0)]),
        vec![first()],
        "0 have 10 /bin/app
         0 scan
         1 use 10 rss=5
         1 sample
         2 policies 1
         9",
        "0 firing app: 1 process, minimum 2
         1 firing app: app (10): 5 MiB of memory, maximum 1 MiB
         2 resolved app: app (10); over after 1s: policy removed
         2 resolved app; over after 2s: policy removed",
    );
    assert_eq!(world.watched(), "");
    assert!(world.asked.contains(&"2 sampling false".to_owned()), "{:?}", world.asked);
}

#[test]
fn per_process_alarms_and_windows_are_kept() {
    let bounds = || {
        app(vec![
            max(Measure::Memory, world::MIB).each(),
            max(Measure::Starts, 1.0).within(60),
            max(Measure::Age, 100.0),
        ])
    };
    check_reload(
        bounds(),
        vec![first(), bounds().remove(0)],
        "0 scan
         1 run 10 /bin/app
         2 use 10 rss=5
         2 sample
         3 policies 1
         4 run 11 /bin/app
         4 use 11 rss=0
         5 use 10 rss=1
         5 sample
         90
         110",
        "2 firing app: app (10): 5 MiB of memory, maximum 1 MiB
         4 firing app: 2 starts within 1m, maximum 1; 11 started: /bin/app, 10 started: /bin/app
         5 resolved app: app (10): 1 MiB of memory, maximum 1 MiB; healthy again after 3s
         61 resolved app: 1 start within 1m, maximum 1; healthy again after 57s
         101 firing app: app (10): 1m 40s old, maximum 1m 40s
         104 firing app: app (11): 1m 40s old, maximum 1m 40s",
    );
}

#[test]
fn everything_is_matched_anew_and_nothing_counts_as_a_start() {
    let world = check_reload(
        app(vec![]),
        vec![group(
            "new",
            exe("/bin/new"),
            vec![max(Measure::Starts, 0.0).within(60), min(Measure::Count, 1.0), min(Measure::Starts, 1.0).within(60)],
        )],
        "0 have 10 /bin/app
         0 have 11 /bin/new
         0 scan
         5 policies 1
         100",
        "65 firing new: 0 starts within 1m, minimum 1",
    );
    assert_eq!((world.members().as_str(), world.watched().as_str()), ("new:11", "11:exit"));
    // Back again: the first policies know the others' processes as theirs.
    let mut world = world;
    world.play("101 policies 0");
    assert_eq!((world.members().as_str(), world.watched().as_str()), ("app:10", "10:exit"));
}

#[test]
fn descent_outlives_a_reload_as_long_as_the_group_selects_the_same() {
    let family = |bounds| vec![Group { include_children: true, ..app(bounds).remove(0) }];
    let script = "0 scan\n 1 run 10 /bin/app\n 2 run 11 /bin/sh from=10\n 3 exit 10\n 5 policies 1";
    let world = check_reload(family(vec![]), family(vec![max(Measure::Count, 9.0)]), script, "");
    assert_eq!(world.members(), "app:11");
    // Selected otherwise: only what lives can tell.
    let other = || vec![Group { select: exe("app"), ..family(vec![]).remove(0) }];
    let world = check_reload(family(vec![]), other(), script, "");
    assert_eq!(world.members(), "app:");
    let world = check_reload(family(vec![]), other(), &script.replace("3 exit 10", ""), "");
    assert_eq!(world.members(), "app:10,11");
    assert_eq!(world.engine.status(KTime::from_secs(5)).groups[0].members, 2);
}
