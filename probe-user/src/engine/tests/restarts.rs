//! Another daemon goes on: alarms that are on stay on without another word, or are over, and then that is told.

use serde_json::Map;

use super::world::settings;
use super::*;
use crate::engine::{Processes, Standing};
use crate::time::KTime;

type Policies = fn() -> Vec<Group>;

/// An alarm that is on since a second, of the group as a whole or of a process.
fn on(name: &str, instance: Option<&str>, since: u64) -> Standing {
    let facts = Map::from_iter([("policy.name".to_owned(), "app".into()), ("limit".to_owned(), 2.into())]);
    Standing {
        name: name.into(),
        instance: instance.map(Into::into),
        since: KTime::from_secs(since).0,
        value: Some(3.0),
        notified: false,
        severity: "warning".to_owned(),
        facts,
    }
}

fn at_most_two() -> Vec<Group> {
    vec![group("app", exe("/bin/app"), vec![max(Measure::Count, 2.0)])]
}

const THREE: &str = "0 have 10 /bin/app\n 0 have 11 /bin/app\n 0 have 12 /bin/app\n 0 scan";

/// What the second daemon tells, and the state that the alarm's bound is in at the end.
#[track_caller]
fn check_restart(
    (before, after): (Vec<Group>, Vec<Group>),
    first: &str,
    alarms: Vec<Standing>,
    second: &str,
    expected: &str,
) -> World {
    let settings = Settings { processes: Processes::Matched, ..settings() };
    let mut world = World::new(settings, vec![before, after]);
    world.play(first);
    world.restart(1, alarms);
    world.play(second);
    assert_eq!(world.story(), tidy(expected), "{first}, then {second}");
    world
}

#[test]
fn an_alarm_that_still_holds_is_on_without_a_word() {
    let policies = || (at_most_two(), at_most_two());
    let alarms = || vec![on("app.count.max", None, 1)];
    check_restart(policies(), THREE, alarms(), "5 scan\n 60", "");
    // Its beginning is what it was.
    check_restart(
        policies(),
        THREE,
        alarms(),
        "5 scan
         9 exit 12 sig=KILL",
        "9 resolved app: 2 processes, maximum 2; healthy again after 8s
         9 process.exit app (12) killed by SIGKILL after 8.9s",
    );
    // Without it, the same fires.
    check_restart(policies(), THREE, Vec::new(), "5 scan", "5 firing app: 3 processes, maximum 2");
}

#[test]
fn what_healed_while_nobody_looked_is_over_once() {
    check_restart(
        (at_most_two(), at_most_two()),
        THREE,
        vec![on("app.count.max", None, 1)],
        "3@5 exit 12
         5 scan
         60",
        "3 process.exit app (12) exited with code 0 after 2.9s
         5 resolved app: 2 processes, maximum 2; healthy again after 4s",
    );
    // So it is where nothing was told of it.
    check_restart(
        (at_most_two(), at_most_two()),
        THREE,
        vec![on("app.count.max", None, 1)],
        "3 unseen exit 12
         5 scan
         60",
        "3 process.exit app (12) ended unseen after 2.9s
         5 resolved app: 2 processes, maximum 2; healthy again after 4s",
    );
    // What fell and rose again meanwhile fires for nobody.
    check_restart(
        (at_most_two(), at_most_two()),
        "0 have 10 /bin/app\n 0 scan",
        Vec::new(),
        "2@5 run 11 /bin/app
         2@5 run 12 /bin/app
         3@5 exit 12
         5 scan",
        "2 process.start app (11) started: /bin/app
         2 process.start app (12) started: /bin/app
         3 process.exit app (12) exited with code 0 after 1s",
    );
}

#[test]
fn what_cannot_hold_any_more_is_over_with_the_reason() {
    let each = || vec![group("app", exe("/bin/app"), vec![max(Measure::Age, 1.0).each()])];
    let other = || vec![group("other", exe("/bin/other"), vec![])];
    let table: &[(Policies, &str, &str, &str)] = &[
        (other, "app.age.max", "", "policy removed"),
        (other, "app.age.max", "11", "exit"),
        (each, "app.age.max", "77", "exit"),
        (each, "app.age.max", "1", "left the group"),
        (each, "app.age.max", "no number", "exit"),
        (at_most_two, "app.count.max", "11", "policy changed"),
        (each, "app.age.max", "", "policy changed"),
    ];
    for (after, name, instance, reason) in table {
        let alarm = on(name, Some(*instance).filter(|instance| !instance.is_empty()), 1);
        let mut world = World::new(settings(), vec![each(), after()]);
        world.play("0 have 11 /bin/app\n 0 scan");
        world.restart(1, vec![alarm]);
        world.play("5 scan");
        let ends: Vec<_> = world.told.iter().filter(|event| event.name.ends_with("resolved")).collect();
        let [end] = &ends[..] else { panic!("{instance:?}, {reason}: {}", world.story()) };
        assert_eq!(end.attributes.get("reason"), Some(&(*reason).into()), "{instance:?}: {}", world.story());
        assert_eq!(end.attributes.get("limit"), Some(&2.into()), "what is known of it is told again");
        assert_eq!(end.body, format!("app: {name} is over after 4s: {reason}"));
    }
}

#[test]
fn a_younger_process_of_the_same_number_is_another_one() {
    let each = || vec![group("app", exe("/bin/app"), vec![max(Measure::Age, 100.0).each()])];
    let world = check_restart(
        (each(), each()),
        "0 scan\n 3 run 11 /bin/app",
        vec![on("app.age.max", Some("11"), 1)],
        "5 scan",
        "5 resolved app: app.age.max is over after 4s: exit",
    );
    assert_eq!(world.members(), "app:11");
}
