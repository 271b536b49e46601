//! The members of a group for whoever looks at it.

use std::fmt::Write as _;

use super::*;
use crate::engine::roster::SHOWN_MAX;
use crate::time::KTime;

/// The roster of a group after a script, one member a line.
#[track_caller]
fn check_roster(groups: Vec<Group>, script: &str, name: &str, expected: &str) {
    let world = check(groups, script, "");
    let roster = world.engine.roster(name, KTime::from_secs(9)).unwrap();
    assert_eq!(roster.members, roster.processes.len());
    let mut told = String::new();
    for member in &roster.processes {
        let user = member.user.as_deref().unwrap_or("?");
        let parent = member.parent.unwrap_or_default();
        let _ = write!(told, "{} of {parent} by {user}, {}s, ", member.pid, member.age_seconds);
        let _ =
            writeln!(told, "{:?} {:?}: {}", member.cpu, member.memory_bytes.map(|bytes| bytes >> 20), member.command);
    }
    let expected: Vec<&str> = expected.lines().map(str::trim).collect();
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn members_are_told_with_parents_and_what_is_sampled_of_them() {
    let sampled = group("app", exe("/bin/app"), vec![max(Measure::Cpu, 9.0)]);
    let counted = group("all", exe("/bin/*"), vec![max(Measure::Count, 9.0)]);
    let script = "0 scan
         1 run 10 /bin/app uid=33
         2 run 11 /bin/app from=10 args=app_-x
         2 run 12 /bin/sh from=11
         3 use 10 cpu=100 rss=60
         3 sample
         4 use 10 cpu=600
         4 use 11 rss=1
         4 sample";
    let app = "10 of 1 by www-data, 8s, Some(0.5) Some(60): /bin/app
               11 of 10 by www-data, 7s, Some(0.0) Some(1): app -x";
    check_roster(vec![sampled.clone(), counted.clone()], script, "app", app);
    // A group without samples tells what is known for another one.
    let all = format!("{app}\n12 of 11 by www-data, 7s, None None: /bin/sh");
    check_roster(vec![sampled, counted], script, "all", &all);
}

#[test]
fn there_is_no_roster_of_an_unknown_group() {
    let world = check(vec![group("app", exe("/bin/app"), Vec::new())], "0 scan", "");
    assert_eq!(world.engine.roster("ap", KTime::from_secs(1)), None);
    assert_eq!(world.engine.roster("app", KTime::from_secs(1)).unwrap().members, 0);
}

#[test]
fn of_too_many_members_those_that_use_most_are_told() {
    let mut script = String::from("0 scan\n");
    let last = 100 + SHOWN_MAX + 50;
    for pid in 100..last {
        let _ = writeln!(script, "1 run {pid} /bin/app");
    }
    let _ = writeln!(script, "2 sample\n3 use {} cpu=500\n3 use {} rss=50\n3 sample", last - 1, last - 2);
    let world = check(vec![group("app", exe("/bin/app"), vec![max(Measure::Cpu, 9.0)])], &script, "");
    let roster = world.engine.roster("app", KTime::from_secs(9)).unwrap();
    assert_eq!((roster.members, roster.processes.len()), (SHOWN_MAX + 50, SHOWN_MAX));
    let pids: Vec<usize> = roster.processes.iter().map(|member| member.pid as usize).collect();
    let expected: Vec<usize> = (100..100 + SHOWN_MAX - 2).chain([last - 2, last - 1]).collect();
    assert_eq!(pids, expected);
}
