//! The wall clock is set, or the host sleeps: whatever lasts, or is counted within a time, goes by the kernel's clock.

use super::jobs::{job, set};
use super::world::{World, settings};
use super::*;
use crate::policy::spec::PolicySet;

/// A bound of each kind that time turns, and one of a job without a schedule for each kind that it has.
fn policies() -> PolicySet {
    let bounds = vec![
        max(Measure::Starts, 2.0).within(60),
        min(Measure::Exits, 1.0).within(40),
        max(Measure::Failures, 0.0).within(20).hold(5),
        Bound { keep_firing: Duration::from_secs(30), ..min(Measure::Count, 1.0).hold(10) },
        max(Measure::Age, 90.0),
        max(Measure::Cpu, 0.5),
    ];
    let app = Group {
        response: Response { repeat: Some(Duration::from_mins(2)), ..Response::default() },
        ..group("app", exe("/bin/app"), bounds)
    };
    let of_runs = vec![max(Measure::Duration, 50.0), min(Measure::Runs, 1.0).within(100)];
    PolicySet { groups: vec![app], ..set(vec![job(of_runs)]) }
}

const SCRIPT: [&str; 19] = [
    "0 scan",
    "2 run 10 /bin/app",
    "3 use 10 cpu=100",
    "3 sample",
    "4 use 10 cpu=1000",
    "4 sample",
    "5 sample",
    "6 exit 10 code=1",
    "9 run 20 /bin/sh args=sh_-c_backup.sh",
    "30 run 11 /bin/app",
    "31 run 12 /bin/app",
    "45 exit 12",
    "70 exit 20",
    "130 exit 11",
    "170 run 13 /bin/app",
    "175",
    "250 sample",
    "400 exit 13",
    "500",
];

fn story(script: &[String]) -> String {
    let mut world = World::of(settings(), vec![policies()]);
    world.play(&script.join("\n"));
    world.story()
}

#[test]
fn a_clock_that_is_set_changes_nothing_that_lasts_or_is_counted() {
    let untouched = story(&SCRIPT.map(str::to_owned));
    for kind in [
        "starts within",
        "exits within",
        "failure",
        "0 processes",
        "old, maximum",
        "cores",
        "0 runs",
        "still runs",
        "[repeated]",
    ] {
        assert!(untouched.contains(kind), "nothing of {kind} in\n{untouched}");
    }
    // Ahead and back by a second, an hour, years; once only, and at every moment.
    let clocks = [
        "2026-11-22T01:00:00Z",
        "2026-11-22T01:00:01Z",
        "2026-11-22T00:00:00Z",
        "2037-01-01T00:00:00Z",
        "1971-01-01T00:00:00Z",
    ];
    for first in 0..clocks.len() {
        let mut script = Vec::new();
        for (index, line) in SCRIPT.iter().enumerate() {
            let second = line.split(' ').next().unwrap_or_default();
            script.push(format!("{second} clock {}", clocks[(first + index) % clocks.len()]));
            script.push((*line).to_owned());
        }
        assert_eq!(story(&script), untouched, "{script:#?}");
    }
    for (at, line) in SCRIPT.iter().enumerate() {
        let second = line.split(' ').next().unwrap_or_default();
        let mut script = SCRIPT.map(str::to_owned).to_vec();
        script.insert(at, format!("{second} clock 1999-12-31T23:59:59Z"));
        script.insert(0, "0 clock 2026-11-22T01:00:00Z".to_owned());
        assert_eq!(story(&script), untouched, "{script:#?}");
    }
}
