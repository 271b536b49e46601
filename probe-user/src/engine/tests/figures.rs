//! What measures come to, asked of the groups that are marked as changed alone: nothing changes without a mark.

use std::collections::BTreeMap;

use super::*;
use crate::engine::{Line, Measured};
use crate::time::KTime;

type Seen = BTreeMap<(usize, &'static str), Measured>;

fn take(world: &mut World, now: KTime, seen: &mut Seen) {
    world.engine.moved(now, |group, _, measured| {
        for measure in Measure::GROUP {
            let now = measured(measure);
            if now != Measured::AsBefore {
                seen.insert((group, measure.as_str()), now);
            }
        }
    });
}

fn groups() -> Vec<Group> {
    vec![
        group("app", exe("/bin/app"), vec![max(Measure::Cpu, 9.0), max(Measure::Failures, 2.0).within(20)]),
        group("counted", exe("/bin/*"), vec![min(Measure::Count, 1.0)]),
        group("free", exe("/bin/tool"), Vec::new()),
    ]
}

#[test]
fn nothing_changes_without_a_mark() {
    let mut world = World::new(settings(), vec![groups()]);
    let (mut seen, mut all) = (Seen::new(), Seen::new());
    let script = "0 have 10 /bin/app
        0 scan
        1 use 10 cpu=100 rss=60 threads=5
        1 sample
        2 run 11 /bin/tool
        3 use 10 cpu=600 rss=70
        3 sample
        4 exit 11
        5 run 12 /bin/app
        6 sample
        7 exit 12 code=1
        8 sample
        9 exit 10 cpu=700
        10 sample
        11 sample
        40";
    for line in script.lines() {
        world.play(line);
        let now = KTime::from_secs(line.split_whitespace().next().unwrap().parse().unwrap());
        take(&mut world, now, &mut seen);
        world.engine.all_moved();
        take(&mut world, now, &mut all);
        assert_eq!(seen, all, "{line}");
        assert!(!world.engine.has_moved() || seen.is_empty(), "{line}");
    }
    let value = |group: usize, measure: &'static str| seen[&(group, measure)];
    assert_eq!((value(0, "count"), value(0, "cpu")), (Measured::Value(0.0), Measured::Value(0.0)));
    assert_eq!(
        (value(0, "failures"), value(0, "exits")),
        (Measured::Value(0.0), Measured::Unmeasured),
        "out of its window"
    );
    assert_eq!((value(1, "count"), value(1, "cpu")), (Measured::Value(0.0), Measured::Unmeasured));
    assert_eq!(value(2, "count"), Measured::Value(0.0));
}

#[test]
fn a_window_is_asked_again_while_something_is_in_it() {
    let mut world = World::new(settings(), vec![groups()]);
    let mut seen = Seen::new();
    world.play("0 scan\n1 run 10 /bin/app\n2 exit 10 code=1");
    for (second, expected) in [(3, 1.0), (21, 1.0), (23, 0.0)] {
        take(&mut world, KTime::from_secs(second), &mut seen);
        assert_eq!(seen[&(0, "failures")], Measured::Value(expected), "{second}");
    }
}

#[test]
fn bounds_are_lines_but_for_those_on_each_process() {
    let each = Bound { per: Per::Process, ..max(Measure::Memory, 5.0) };
    let bounds = vec![max(Measure::Cpu, 9.0), each, min(Measure::Count, 2.0)];
    let world = World::new(settings(), vec![vec![group("app", exe("/bin/app"), bounds)]]);
    let line = |measure, side, limit| Line { measure, side, limit, severity: Severity::Warning };
    let expected = vec![line(Measure::Cpu, Side::Max, 9.0), line(Measure::Count, Side::Min, 2.0)];
    assert_eq!(world.engine.lines("app"), Some(expected));
    assert_eq!(world.engine.lines("other"), None);
}
