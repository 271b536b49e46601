//! `starts`, `exits`, `failures`, `oom_kills`: how many within a window.

use super::world::settings;
use super::*;
use crate::time::KTime;

fn app(bounds: Vec<Bound>) -> Vec<Group> {
    vec![group("app", exe("/bin/app"), bounds)]
}

#[test]
fn a_crash_loop_is_told_by_its_starts_and_its_failures() {
    check(
        app(vec![max(Measure::Starts, 2.0).within(60), max(Measure::Failures, 2.0).within(60)]),
        "0 scan
         10 run 10 /bin/app
         11 exit 10 code=1
         20 run 11 /bin/app
         21 exit 11 code=2
         30 run 12 /bin/app
         31 exit 12 sig=ABRT
         200",
        "30 firing app: 3 starts within 1m, maximum 2; 12 started: /bin/app, 11 exited with code 2, 1 more
         31 firing app: 3 failures within 1m, maximum 2; 12 killed by SIGABRT, 11 exited with code 2, 1 more
         70 resolved app: 2 starts within 1m, maximum 2; healthy again after 40s
         71 resolved app: 2 failures within 1m, maximum 2; healthy again after 40s",
    );
}

#[test]
fn only_what_ends_badly_is_a_failure() {
    check(
        app(vec![max(Measure::Exits, 1.0).within(10), max(Measure::Failures, 0.0).within(10)]),
        "0 have 10 /bin/app
         0 have 11 /bin/app
         0 scan
         5 exit 10
         6 exit 11 sig=TERM",
        "6 firing app: 2 exits within 10s, maximum 1; 11 killed by SIGTERM, 10 exited with code 0
         6 firing app: 1 failure within 10s, maximum 0; 11 killed by SIGTERM",
    );
}

#[test]
fn a_minimum_needs_one_whole_window() {
    let beat = || app(vec![min(Measure::Starts, 1.0).within(60)]);
    check(beat(), "5 scan\n 64", "");
    check(beat(), "5 scan\n 200", "65 firing app: 0 starts within 1m, minimum 1");
    // One start in the first window; the breach begins when it has left the window.
    check(
        beat(),
        "5 scan
         40 run 10 /bin/app
         41 exit 10
         99
         200
         210 run 11 /bin/app",
        "100 firing app: 0 starts within 1m, minimum 1; 10 exited with code 0
         210 resolved app: 1 start within 1m, minimum 1; healthy again after 1m 50s",
    );
    check(
        app(vec![min(Measure::Exits, 1.0).within(60).hold(10)]),
        "5 scan\n 200",
        "75 firing app: 0 exits within 1m, minimum 1",
    );
}

#[test]
fn a_count_that_falls_by_itself_ends_its_breach_in_time() {
    // Three starts within 10 s: too many from 4 until 12, when the one of second 2 leaves.
    let script = "0 scan\n 2 run 10 /bin/app\n 3 run 11 /bin/app\n 4 run 12 /bin/app\n 60";
    let held = |secs| app(vec![max(Measure::Starts, 2.0).within(10).hold(secs)]);
    check(held(9), script, "");
    let told = "11 firing app: 3 starts within 10s, maximum 2; 12 started: /bin/app, 11 started: /bin/app, 1 more
                12 resolved app: 2 starts within 10s, maximum 2; healthy again after 8s";
    check(held(7), script, told);
    // At the deadline the present count is told, not the one that began the breach.
    let script = "0 scan\n 2 run 10 /bin/app\n 3 run 11 /bin/app\n 4 run 12 /bin/app\n 60";
    check(
        app(vec![max(Measure::Starts, 1.0).within(10).hold(9)]),
        script,
        "12 firing app: 2 starts within 10s, maximum 1; 12 started: /bin/app, 11 started: /bin/app, 1 more
         13 resolved app: 1 start within 10s, maximum 1; healthy again after 10s",
    );
}

#[test]
fn hysteresis_of_a_count_ends_when_it_has_fallen_far_enough() {
    let bound = Bound { clear: Some(Limit::Absolute(0.0)), ..max(Measure::Starts, 1.0).within(10) };
    check(
        app(vec![bound]),
        "0 scan\n 2 run 10 /bin/app\n 5 run 11 /bin/app\n 60",
        "5 firing app: 2 starts within 10s, maximum 1; 11 started: /bin/app, 10 started: /bin/app
         15 resolved app: 0 starts within 10s, maximum 1; healthy again after 10s",
    );
}

#[test]
fn a_start_is_a_process_entering_by_fork_or_exec() {
    let starts = |script: &str| {
        let mut world = World::new(settings(), vec![app(vec![max(Measure::Starts, 99.0).within(60)])]);
        world.play(script);
        world.engine.status(KTime::from_secs(10)).groups[0].bounds[0].value
    };
    assert_eq!(starts("0 have 10 /bin/app\n 0 scan"), Some(0.0), "was there before");
    assert_eq!(starts("0 scan\n 1 run 10 /bin/app"), Some(1.0), "an exec brings it in");
    assert_eq!(starts("0 have 10 /bin/app\n 0 scan\n 1 fork 11 from=10"), Some(1.0), "a fork of a member");
    assert_eq!(starts("0 scan\n 1 run 10 /bin/app\n 2 exec 10 /bin/app"), Some(1.0), "an exec that keeps it inside");
    assert_eq!(starts("0 scan\n 1 run 10 /bin/app\n 2 exec 10 /bin/sh\n 3 exec 10 /bin/app"), Some(2.0), "out and in");
    assert_eq!(starts("0 scan\n 1 unseen fork 10\n 2 exec 10 /bin/app"), Some(1.0), "its fork was lost");
    assert_eq!(starts("0 scan\n 1 unseen run 10 /bin/app\n 2 lost 2\n 3 scan"), Some(0.0), "only found");
}

#[test]
fn oom_kills_name_the_victim() {
    check(
        app(vec![max(Measure::OomKills, 0.0).within(60), min(Measure::Count, 1.0)]),
        "0 have 10 /bin/app
         0 scan
         5 oom 10
         5.1 exit 10 sig=KILL",
        "5 firing app: 1 OOM kill within 1m, maximum 0; 10 (app) chosen by the OOM killer
         5.1 firing app: 0 processes, minimum 1; 10 killed by the OOM killer",
    );
}
