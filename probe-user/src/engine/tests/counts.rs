//! `count`: judged on the event itself, at the event's time.

use std::time::Duration;

use super::world::settings;
use super::*;
use crate::policy::spec::User;

fn nginx(bounds: Vec<Bound>) -> Vec<Group> {
    vec![group("nginx", exe("/usr/sbin/nginx"), bounds)]
}

#[test]
fn the_test_of_the_policy_language_itself() {
    let select = Selector {
        user: vec![User::Name("www-data".into())],
        args: args("worker process").args,
        ..exe("/usr/sbin/nginx")
    };
    let groups = || {
        vec![Group {
            except: Some(args("-t")),
            ..group(
                "nginx",
                select.clone(),
                vec![min(Measure::Count, 2.0).hold(10), max(Measure::Count, 64.0).hold(10)],
            )
        }]
    };
    let script = "
        0 scan
        0 run 10 /usr/sbin/nginx uid=33 args=nginx:_worker_process
        0 run 11 /usr/sbin/nginx uid=33 args=nginx:_worker_process
        60 exit 11 sig=KILL by=99/bash
    ";
    check(groups(), &format!("{script} 69"), "");
    let fired = "70 firing nginx: 1 process, minimum 2; 11 killed by SIGKILL from 99 (bash)";
    let world = check(groups(), &format!("{script} 71"), fired);
    assert_eq!(world.engine.status(KTime::from_secs(71)).firing, ["nginx.count.min"]);
    // A quick restart is no alarm.
    let script = format!("{script} 65 run 12 /usr/sbin/nginx uid=33 args=nginx:_worker_process\n 100");
    let world = check(groups(), &script, "");
    assert_eq!(world.engine.status(KTime::from_secs(100)).dips_healed, 1);
}

use crate::time::KTime;

#[test]
fn without_for_it_fires_on_the_exit_and_resolves_on_the_start() {
    check(
        nginx(vec![min(Measure::Count, 1.0)]),
        "0 have 10 /usr/sbin/nginx
         0 scan
         5.25 exit 10 code=3
         9 run 11 /usr/sbin/nginx",
        "5.25 firing nginx: 0 processes, minimum 1; 10 exited with code 3
         9 resolved nginx: 1 process, minimum 1; healthy again after 3.7s",
    );
}

#[test]
fn too_many_show_the_youngest() {
    let world = check(
        nginx(vec![max(Measure::Count, 1.0)]),
        "0 have 10 /usr/sbin/nginx
         0 scan
         5 run 11 /usr/sbin/nginx
         6 exit 10",
        "5 firing nginx: 2 processes, maximum 1
         6 resolved nginx: 1 process, maximum 1; healthy again after 1s",
    );
    let evidence = world.told[0].attributes.0.iter().find(|(name, _)| *name == "evidence").unwrap();
    let pids = world::shown(&evidence.1);
    assert!(pids.starts_with("[process.pid=11 ") && pids.contains("| process.pid=10 "), "{pids}");
}

#[test]
fn a_declared_group_without_a_process_is_a_count_of_0() {
    check(nginx(vec![min(Measure::Count, 1.0)]), "3 scan", "3 firing nginx: 0 processes, minimum 1");
}

#[test]
fn nothing_fires_before_the_first_scan_and_the_start_grace() {
    let grace = |secs| Settings { start_grace: Duration::from_secs(secs), ..settings() };
    let bounds = || nginx(vec![min(Measure::Count, 1.0)]);
    check_with(grace(10), bounds(), "1 tick\n 9 tick", "");
    check_with(grace(10), bounds(), "3 scan\n 12 tick", "");
    check_with(grace(10), bounds(), "3 scan\n 14", "13 firing nginx: 0 processes, minimum 1");
    // Started in time.
    check_with(grace(10), bounds(), "3 scan\n 8 run 10 /usr/sbin/nginx\n 20", "");
    // The breach is as old as it is: grace or `for`, whichever ends later.
    let held = |secs| nginx(vec![min(Measure::Count, 1.0).hold(secs)]);
    check_with(grace(10), held(4), "3 scan\n 20", "13 firing nginx: 0 processes, minimum 1");
    let world = check_with(grace(10), held(14), "3 scan\n 20", "17 firing nginx: 0 processes, minimum 1");
    assert_eq!(world::shown(&world.told[0].attributes.0.iter().find(|(name, _)| *name == "since").unwrap().1), "3");
}

#[test]
fn a_record_is_judged_at_its_own_time_however_late_it_comes() {
    // Handed in together at 16: the dip healed at 14.9, before its deadline.
    let script = "
        0 have 10 /usr/sbin/nginx
        0 scan
        5@5 exit 10
        14.9@16 run 11 /usr/sbin/nginx
        30";
    let held = || nginx(vec![min(Measure::Count, 1.0).hold(10)]);
    let mut world = World::new(settings(), vec![held()]);
    // The tick of the deadline comes late too: no waking before the record.
    for line in script.lines().filter(|line| !line.trim().is_empty()) {
        if line.contains("14.9@16") {
            world.step_late(line.trim());
        } else {
            world.play(line);
        }
    }
    assert_eq!(world.story(), "");
    // Healed after it: both are told, each at its time.
    check(
        held(),
        "0 have 10 /usr/sbin/nginx
         0 scan
         5 exit 10
         15.5@16 run 11 /usr/sbin/nginx",
        "15 firing nginx: 0 processes, minimum 1; 10 exited with code 0
         15.5 resolved nginx: 1 process, minimum 1; healthy again after 10.5s",
    );
}

#[test]
fn records_that_run_backwards_are_held_still() {
    check(
        nginx(vec![min(Measure::Count, 1.0)]),
        "0 have 10 /usr/sbin/nginx
         0 scan
         5@5.1 exit 10
         4.9@5.1 run 11 /usr/sbin/nginx",
        "5 firing nginx: 0 processes, minimum 1; 10 exited with code 0
         5 resolved nginx: 1 process, minimum 1; healthy again after 0s",
    );
}

#[test]
fn an_alarm_is_repeated_until_it_is_over() {
    let groups = vec![Group {
        response: Response { repeat: Some(Duration::from_mins(1)), ..Response::default() },
        ..nginx(vec![min(Measure::Count, 1.0)]).remove(0)
    }];
    check(
        groups,
        "0 scan
         130 run 10 /usr/sbin/nginx
         400",
        "0 firing nginx: 0 processes, minimum 1
         60 firing nginx: 0 processes, minimum 1 [repeated]
         120 firing nginx: 0 processes, minimum 1 [repeated]
         130 resolved nginx: 1 process, minimum 1; healthy again after 2m 10s",
    );
}

#[test]
fn the_sentence_names_the_last_departures_and_counts_the_others() {
    check(
        nginx(vec![min(Measure::Count, 4.0).hold(5)]),
        "0 have 10 /usr/sbin/nginx
         0 have 11 /usr/sbin/nginx
         0 have 12 /usr/sbin/nginx
         0 have 13 /usr/sbin/nginx
         0 scan
         1 exit 10
         2 exit 11 sig=SEGV
         3 exec 12 /bin/sh
         9",
        "6 firing nginx: 1 process, minimum 4; 12 left the group and runs sh, 11 killed by SIGSEGV, 1 more",
    );
    // What ended long before the breach explains nothing.
    check(
        nginx(vec![min(Measure::Count, 1.0)]),
        "0 have 10 /usr/sbin/nginx
         0 have 11 /usr/sbin/nginx
         0 scan
         1 exit 10 code=7
         60 exit 11 code=8",
        "60 firing nginx: 0 processes, minimum 1; 11 exited with code 8",
    );
}

#[test]
fn a_pid_reused_before_its_exit_was_known_counts_once() {
    check(
        nginx(vec![min(Measure::Count, 1.0), max(Measure::Count, 1.0)]),
        "0 have 10 /usr/sbin/nginx
         0 scan
         5 unseen fork 10
         5 unseen exec 10 /bin/sh
         6 exec 10 /bin/sh",
        "6 firing nginx: 0 processes, minimum 1; 10 ended unseen",
    );
}

#[test]
fn what_was_closed_in_the_step_of_its_exit_is_gone_too() {
    // The account came first, as it can from another CPU.
    check(
        nginx(vec![min(Measure::Count, 1.0)]),
        "0 have 10 /usr/sbin/nginx
         0 scan
         5 close 10
         5.001 exit 10 close=no",
        "5.001 firing nginx: 0 processes, minimum 1; 10 exited with code 0",
    );
}
