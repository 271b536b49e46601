//! Lost records: nothing fires on a table that may be wrong.

use super::world::settings;
use super::*;
use crate::engine::Input;
use crate::record::{Loss, Lost};
use crate::time::KTime;

fn app(bounds: Vec<Bound>) -> Vec<Group> {
    vec![group("app", exe("/bin/app"), bounds)]
}

const LOST: &str =
    "agent.lost 9 records were lost in the kernel (ring_full); nothing fires until the processes are scanned";
const RIGHT: &str = "agent.lost the process table is right again after 9 records were lost in the kernel (ring_full)";

#[test]
fn a_restart_whose_start_was_lost_is_no_alarm() {
    check(
        app(vec![min(Measure::Count, 1.0)]),
        "0 have 10 /bin/app
         0 scan
         5 unseen run 11 /bin/app
         5 lost 9
         5.1 exit 10
         6 scan
         9",
        &format!("5 {LOST}\n 6 {RIGHT}"),
    );
}

#[test]
fn what_the_scan_shows_to_be_broken_fires_and_says_so() {
    check(
        app(vec![min(Measure::Count, 1.0)]),
        "0 have 10 /bin/app
         0 scan
         5 unseen exit 10
         5.5 lost 9
         6 scan
         20 run 11 /bin/app",
        &format!(
            "5.5 {LOST}
             6 {RIGHT}
             6 firing app: 0 processes, minimum 1; 10 ended unseen [degraded]
             20 resolved app: 1 process, minimum 1; healthy again after 14s"
        ),
    );
}

#[test]
fn deadlines_that_pass_in_doubt_wait_for_the_scan() {
    let held = || app(vec![min(Measure::Count, 1.0).hold(2)]);
    let script = "
        0 have 10 /bin/app
        0 scan
        5 exit 10
        6 unseen run 11 /bin/app
        6 lost 9
        8 tick
        9 scan
        60";
    // It was healthy again, though nobody saw it in time.
    check(held(), script, &format!("6 {LOST}\n 9 {RIGHT}"));
    let script = script.replace("6 unseen run 11 /bin/app", "6 unseen run 11 /bin/sh");
    let fired = "9 firing app: 0 processes, minimum 1; 10 exited with code 0 [degraded]";
    check(held(), &script, &format!("6 {LOST}\n 9 {RIGHT}\n {fired}"));
}

#[test]
fn nothing_resolves_in_doubt_either() {
    check(
        app(vec![max(Measure::Count, 1.0)]),
        "0 have 10 /bin/app
         0 scan
         1 run 11 /bin/app
         5 lost 9
         6 exit 11
         7 scan",
        &format!(
            "1 firing app: 2 processes, maximum 1
             5 {LOST}
             7 {RIGHT}
             7 resolved app: 1 process, maximum 1; healthy again after 6s [degraded]"
        ),
    );
}

#[test]
fn repeated_losses_are_one_story_and_their_counts_add_up() {
    let world = check(
        app(vec![]),
        "0 scan
         5 lost 9
         5.1 lost 4
         5.2 lost 2
         6 scan",
        "5 agent.lost 9 records were lost in the kernel (ring_full); nothing fires until the processes are scanned
         6 agent.lost the process table is right again after 15 records were lost in the kernel (ring_full)",
    );
    assert_eq!(world.asked.iter().filter(|asked| asked.contains("scan")).collect::<Vec<_>>(), ["5 scan"]);
    let told: Vec<_> = world
        .told
        .iter()
        .map(|event| ["where", "reason", "count", "reconciled"].map(|name| event.attributes.get(name).unwrap().clone()))
        .collect();
    assert_eq!(
        serde_json::to_value(told).unwrap(),
        serde_json::json!([["kernel", "ring_full", 9, false], ["kernel", "ring_full", 6, true]])
    );
}

#[test]
fn a_loss_that_leaves_the_table_right_is_only_told() {
    let mut world = World::new(settings(), vec![app(vec![min(Measure::Count, 1.0)])]);
    world.play("0 have 10 /bin/app\n 0 scan\n 5 tick");
    let reason = Lost::Kernel(probe_common::maps::LossReason::AccountsFull);
    world.step(Input::Lost(Loss { reason, count: 2 }));
    world.step(Input::Lost(Loss { reason, count: 0 }));
    world.play("6 exit 10");
    let expected = "5 agent.lost 2 records were lost in the kernel (accounts_full); the process table is right
                    6 firing app: 0 processes, minimum 1; 10 exited with code 0";
    assert_eq!(world.story(), tidy(expected));
}

#[test]
fn counts_are_lower_limits_until_the_loss_has_left_the_window() {
    let world = check(
        app(vec![max(Measure::Starts, 0.0).within(20), min(Measure::Exits, 1.0).within(20)]),
        "0 scan
         10 lost 9
         11 scan
         15 run 10 /bin/app
         25 unseen tick
         29 run 11 /bin/app
         30 exit 11
         60 run 12 /bin/app",
        &format!(
            "10 {LOST}
             11 {RIGHT}
             15 firing app: 1 start within 20s, maximum 0; 10 started: /bin/app [degraded]
             49 resolved app: 0 starts within 20s, maximum 0; healthy again after 34s
             50 firing app: 0 exits within 20s, minimum 1; 11 exited with code 0
             60 firing app: 1 start within 20s, maximum 0; 12 started: /bin/app"
        ),
    );
    assert!(!world.engine.status(KTime::from_secs(60)).degraded);
}
