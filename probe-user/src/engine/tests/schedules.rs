//! Jobs with a schedule: what is in time and what is missed, clocks that are set, reloads.

use std::time::Duration;

use super::jobs::{alone, hourly, job, one_run, set};
use super::world::{World, settings};
use super::*;
use crate::policy::spec::Job;
use crate::time::KTime;

/// Ten seconds before the full hour.
const BEFORE: &str = "0 clock 2026-11-22T00:59:50Z\n 0 scan\n";

/// Only what was missed and what fired, for a job of every hour.
#[track_caller]
fn check_hourly(script: &str, expected: &str) -> World {
    let mut world = World::of(settings(), vec![set(vec![hourly(one_run())])]);
    world.play(script);
    let story: Vec<String> = world
        .story()
        .lines()
        .filter(|line| !line.contains("job.started") && !line.contains("job.succeeded"))
        .map(|line| line.replace(":00+00:00[UTC]", ""))
        .collect();
    assert_eq!(story, tidy(expected).lines().collect::<Vec<_>>(), "{script}");
    world
}

#[test]
fn a_run_in_time_is_well_and_none_is_missed() {
    // The very second, a little early, at the very end.
    for start in ["10", "9.5", "910"] {
        let world = check_hourly(&format!("{BEFORE} {start} run 10 /bin/backup\n {start} exit 10\n 1000"), "");
        assert_eq!(world.told[0].attributes.get("job.scheduled_time"), Some(&"2026-11-22T01:00:00.000000000Z".into()));
    }
    let missed = "910 job.missed backup missed its time: 0 runs for 2026-11-22T01:00 within 15m
                  910 firing backup: 0 runs for 2026-11-22T01:00 within 15m, minimum 1";
    let world = check_hourly(&format!("{BEFORE} 3000"), missed);
    assert_eq!(world.told[1].alarm.as_ref().map(|alarm| &*alarm.name), Some("backup.runs.min"));
    let status = world.engine.status(KTime::from_secs(3000));
    assert_eq!(status.firing, ["backup.runs.min"]);
    let next = status.jobs[0].next.map(|next| next.to_string());
    assert_eq!((status.jobs[0].missed, next.as_deref()), (1, Some("2026-11-22T02:00:00.000000000Z")));
    // Two seconds early is another time's, and that one is not known; late is missed, but ends the alarm.
    check_hourly(&format!("{BEFORE} 8 run 10 /bin/backup\n 8 exit 10\n 1000"), missed);
    let late = format!("{missed}\n 1000 resolved backup runs again; healthy again after 1m 29s");
    let world = check_hourly(&format!("{BEFORE} 1000 run 10 /bin/backup\n 1000 exit 10\n 3000"), &late);
    assert_eq!(world.told[2].attributes.get("job.scheduled_time"), None);
    // Missed again is told again, and fires once.
    check_hourly(
        &format!("{BEFORE} 4600 \n 7220 run 10 /bin/backup"),
        &format!(
            "{missed}
             4510 job.missed backup missed its time: 0 runs for 2026-11-22T02:00 within 15m
             7220 resolved backup runs again; healthy again after 1h 45m"
        ),
    );
}

#[test]
fn too_many_for_one_time_is_an_alarm_until_the_next() {
    check_hourly(
        &format!(
            "{BEFORE} 10 run 10 /bin/backup
             20 exit 10
             2000 run 11 /bin/backup
             2001 exit 11
             3612 run 12 /bin/backup
             3700"
        ),
        "2000 firing backup: 2 runs, maximum 1 for 2026-11-22T01:00
         3609 resolved backup: 0 runs, maximum 1 for 2026-11-22T02:00; healthy again after 26m 49s",
    );
}

#[test]
fn a_time_that_was_not_watched_as_a_whole_is_not_judged() {
    // The daemon starts a second into it.
    check_hourly("0 clock 2026-11-22T01:00:01Z\n 0 scan\n 3000", "");
    // So does the clock.
    check_hourly("0 scan\n 5 clock 2026-11-22T01:00:05Z\n 3000", "");
    // Never without a clock.
    check_hourly("0 scan\n 50000", "");
    // In the start grace.
    let mut world =
        World::of(Settings { start_grace: Duration::from_secs(30), ..settings() }, vec![set(vec![hourly(one_run())])]);
    world.play(&format!("{BEFORE} 3000"));
    assert_eq!(world.story(), "");
    // Records were lost in it: the run may have come and gone. The next time is judged again.
    check_hourly(
        &format!("{BEFORE} 50 lost 3\n 51 scan\n 4600"),
        "50 agent.lost 3 records were lost in the kernel (ring_full); nothing fires until the processes are scanned
         51 agent.lost the process table is right again after 3 records were lost in the kernel (ring_full)
         4510 job.missed backup missed its time: 0 runs for 2026-11-22T02:00 within 15m
         4510 firing backup: 0 runs for 2026-11-22T02:00 within 15m, minimum 1",
    );
    // In doubt over a whole time and into the next: what started for that one is not too much for the other.
    check_hourly(
        &format!(
            "{BEFORE} 11 run 10 /bin/backup
             12 exit 10
             50 lost 3
             3620 run 11 /bin/backup
             3630 scan
             3640 exit 11
             4600"
        ),
        "50 agent.lost 3 records were lost in the kernel (ring_full); nothing fires until the processes are scanned
         3630 agent.lost the process table is right again after 3 records were lost in the kernel (ring_full)",
    );
}

#[test]
fn a_run_that_was_there_before_the_daemon_counts_for_its_time() {
    check_hourly(
        "0 have 10 /bin/backup
         5 clock 2026-11-22T01:00:05Z
         5 scan
         20 run 11 /bin/backup",
        "20 firing backup: 2 runs, maximum 1 for 2026-11-22T01:00",
    );
}

#[test]
fn a_clock_that_is_set_misses_nothing_and_judges_nothing_twice() {
    let missed = |at: u32, time: &str| {
        format!(
            "{at} job.missed backup missed its time: 0 runs for 2026-11-22T{time} within 15m
             {at} firing backup: 0 runs for 2026-11-22T{time} within 15m, minimum 1"
        )
    };
    // Forward, or asleep, over the time itself; over its end; within it: the end comes sooner.
    check_hourly(&format!("{BEFORE} 5 clock 2026-11-22T01:10:00Z\n 3000"), "");
    check_hourly(&format!("{BEFORE} 60 clock 2026-11-22T01:20:00Z\n 2400"), "");
    check_hourly(&format!("{BEFORE} 60 clock 2026-11-22T01:05:00Z\n 3000"), &missed(660, "01:00"));
    // Over several times: the next one after that is judged.
    check_hourly(&format!("{BEFORE} 60 clock 2026-11-22T05:30:00Z\n 2800"), &missed(2760, "06:00"));
    // A little, as it always is.
    check_hourly(
        &format!("{BEFORE} 9.2 clock 2026-11-22T00:59:59.9Z\n 3000"),
        &missed(909, "01:00").replace("909 ", "909.3 "),
    );
    // Back before the time: its end comes later, and it is judged once.
    check_hourly(&format!("{BEFORE} 60 clock 2026-11-22T00:30:00Z\n 4000"), &missed(2760, "01:00"));
    // Back after it was met, and cron runs it again: neither missed nor too much.
    let twice =
        "10 run 10 /bin/backup\n 11 exit 10\n 60 clock 2026-11-22T00:59:00Z\n 120 run 11 /bin/backup\n 121 exit 11";
    check_hourly(&format!("{BEFORE} {twice}\n 3000"), "");
    // Back by a year: all begins anew.
    check_hourly(
        &format!("{BEFORE} 60 clock 2025-11-22T00:59:00Z\n 1100"),
        &missed(1020, "01:00").replace("2026", "2025"),
    );
}

#[test]
fn a_reload_keeps_what_says_the_same() {
    let other = Job { name: "other".into(), ..job(vec![]) };
    let sets = || {
        vec![
            set(vec![alone(hourly(vec![min(Measure::Runs, 1.0), max(Measure::Duration, 100.0)]))]),
            // First in the file is another one, and one bound is new.
            set(vec![
                Job { select: args("nothing"), ..other.clone() },
                alone(hourly(vec![max(Measure::Duration, 100.0), min(Measure::Runs, 1.0), max(Measure::Runs, 3.0)])),
            ]),
            set(vec![Job { select: args("ackup"), ..hourly(vec![min(Measure::Runs, 1.0)]) }]),
            set(vec![]),
        ]
    };
    let play = |script: &str, expected: &str| {
        let mut world = World::of(settings(), sets());
        world.play(&format!("{BEFORE} {script}"));
        let story: Vec<String> = world.story().lines().map(|line| line.replace(":00+00:00[UTC]", "")).collect();
        assert_eq!(story, tidy(expected).lines().collect::<Vec<_>>(), "{script}");
        world
    };
    let missed = "910 job.missed backup missed its time: 0 runs for 2026-11-22T01:00 within 15m
                  910 firing backup: 0 runs for 2026-11-22T01:00 within 15m, minimum 1";
    // Scheduled times and alarms go on; the run is the same one.
    play("500 policies 1\n 1000", missed);
    play(
        "910.5 policies 1\n 1000 run 10 /bin/backup\n 1010 policies 0\n 1020 exit 10",
        &format!(
            "{missed}
             1000 job.started backup started: /bin/backup (10)
             1000 resolved backup runs again; healthy again after 1m 29s
             1020 job.succeeded backup succeeded: backup (10) exited with code 0 after 20s; 1 process, 0.00 s of CPU"
        ),
    );
    // Too long at the moment at which it would have been.
    play(
        "20 run 10 /bin/backup\n 50 policies 1\n 130",
        "20 job.started backup started: /bin/backup (10)
         120 job.overran backup: backup (10) still runs after its maximum of 1m 40s
         120 firing backup: backup (10) still runs after its maximum of 1m 40s",
    );
    // Another selection: the run is found again, and no start; its alarm is gone with its bound.
    let world = play(
        "20 run 10 /bin/backup\n 120.5 policies 2\n 130 exit 10 code=9",
        "20 job.started backup started: /bin/backup (10)
         120 job.overran backup: backup (10) still runs after its maximum of 1m 40s
         120 firing backup: backup (10) still runs after its maximum of 1m 40s
         120.5 resolved backup: backup (10) still runs after its maximum of 1m 40s; over after 499ms: policy removed
         130 job.failed backup failed: backup (10) exited with code 9 after 1m 50s; 1 process, 0.00 s of CPU
         130 firing backup: failed backup (10) exited with code 9 after 1m 50s; 1 process, 0.00 s of CPU",
    );
    assert_eq!(world.told[4].attributes.get("process.cpu.exact"), Some(&false.into()));
    // No job at all.
    play(
        "1000 policies 3\n 9000",
        &format!(
            "{missed}\n 1000 resolved backup: 0 runs for 2026-11-22T01:00 within 15m, minimum 1; over after 1m 29s: policy removed"
        ),
    );
    // A job that is new in the middle of a time is judged from the next one on.
    let mut world = World::of(settings(), vec![set(vec![]), set(vec![hourly(one_run())])]);
    world.play(&format!("{BEFORE} 300 policies 1\n 4000"));
    assert_eq!(world.story(), "");
    world.play("4511");
    assert!(world.story().starts_with("4510 job.missed"), "{}", world.story());
}
