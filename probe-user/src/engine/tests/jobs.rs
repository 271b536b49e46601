//! Jobs: runs of whole trees, scheduled times, clocks that are set, and what comes of it all.

use std::time::Duration;

use super::world::{World, settings, shown};
use super::*;
use crate::policy::schedule::Schedule;
use crate::policy::spec::{Job, Overlap, PolicySet, Success};
use crate::time::KTime;

/// Whatever has `backup` among its arguments.
fn job(bounds: Vec<Bound>) -> Job {
    Job {
        name: "backup".into(),
        declared: "test.yaml:1".into(),
        select: args("backup"),
        except: None,
        schedule: None,
        start_within: Duration::from_mins(15),
        bounds,
        success: Success::default(),
        overlap: Overlap::Allow,
        response: Response::default(),
    }
}

/// Every hour, in UTC.
fn hourly(bounds: Vec<Bound>) -> Job {
    Job { schedule: Some(Schedule::parse("0 * * * *", Some("UTC")).unwrap()), ..job(bounds) }
}

fn one_run() -> Vec<Bound> {
    vec![min(Measure::Runs, 1.0), max(Measure::Runs, 1.0)]
}

fn alone(job: Job) -> Job {
    Job { overlap: Overlap::Forbid, ..job }
}

fn set(jobs: Vec<Job>) -> PolicySet {
    PolicySet { jobs, ..PolicySet::default() }
}

/// Plays a script and compares the events that it makes.
#[track_caller]
fn check(job: Job, script: &str, expected: &str) -> World {
    let mut world = World::of(settings(), vec![set(vec![job])]);
    world.play(script);
    assert_eq!(world.story(), tidy(expected), "{script}");
    world
}

#[test]
fn a_run_is_the_whole_tree_of_who_started_it() {
    let world = check(
        alone(job(vec![])),
        "0 scan
         5 run 10 /bin/sh args=sh_-c_backup.sh
         6 run 11 /bin/bash from=10 args=bash_backup.sh
         6 run 12 /usr/bin/rsync from=11 args=rsync
         7 exit 12 cpu=1500
         8 exec 11 /bin/cat
         9 exit 11 cpu=250
         10 exit 10 cpu=50",
        "5 job.started backup started: sh -c backup.sh (10)
         10 job.succeeded backup succeeded: sh (10) exited with code 0 after 5s; 3 processes, 1.80 s of CPU",
    );
    let end = &world.told[1].attributes;
    assert_eq!(end.get("process.cpu.time"), Some(&1.8.into()));
    assert_eq!(end.get("process.cpu.exact"), None);
    assert_eq!(end.get("job.processes"), Some(&3.into()));
    assert_eq!(end.get("duration"), Some(&5.into()));
    assert_eq!(end.get("process.exit.code"), Some(&0.into()));
    assert_eq!(end.get("groups"), Some(&serde_json::json!([])));
    // The end is told at once, those inside the run need not be.
    assert!(world.asked.contains(&"5 watch 10 exit".to_owned()), "{:?}", world.asked);
    assert!(world.engine.status(KTime::from_secs(11)).groups.is_empty());
}

#[test]
fn who_starts_a_run_stays_in_it_whatever_it_executes() {
    check(
        job(vec![]),
        "0 scan
         5 run 10 /bin/sh args=sh_-c_backup.sh
         6 exec 10 /usr/bin/rsync
         7 run 11 /usr/bin/ssh from=10
         8 exit 11 cpu=10
         9 exit 10 code=3",
        "5 job.started backup started: sh -c backup.sh (10)
         9 job.failed backup failed: sh (10) exited with code 3 after 4s; 2 processes, 0.01 s of CPU
         9 firing backup: failed sh (10) exited with code 3 after 4s; 2 processes, 0.01 s of CPU",
    );
}

#[test]
fn a_bad_end_is_an_alarm_until_a_good_one() {
    let world = check(
        Job { success: Success { exit_codes: vec![0, 4], signals: vec![15], ..Success::default() }, ..job(vec![]) },
        "0 scan
         5 run 10 /bin/backup rss=7
         6 exit 10 sig=KILL by=99/bash
         7 run 11 /bin/backup
         8 exit 11 code=1
         9 run 12 /bin/backup
         10 exit 12 code=4
         11 run 13 /bin/backup
         12 exit 13 sig=TERM",
        "5 job.started backup started: /bin/backup (10)
         6 job.failed backup failed: backup (10) killed by SIGKILL from 99 (bash) after 1s; 1 process, 0.00 s of CPU
         6 firing backup: failed backup (10) killed by SIGKILL from 99 (bash) after 1s; 1 process, 0.00 s of CPU
         7 job.started backup started: /bin/backup (11)
         8 job.failed backup failed: backup (11) exited with code 1 after 1s; 1 process, 0.00 s of CPU
         9 job.started backup started: /bin/backup (12)
         10 job.succeeded backup succeeded: backup (12) exited with code 4 after 1s; 1 process, 0.00 s of CPU
         10 resolved backup: succeeded backup (12) exited with code 4 after 1s; 1 process, 0.00 s of CPU; healthy again after 4s
         11 job.started backup started: /bin/backup (13)
         12 job.succeeded backup succeeded: backup (13) killed by SIGTERM after 1s; 1 process, 0.00 s of CPU",
    );
    let alarm = &world.told[2];
    assert_eq!(alarm.alarm.as_ref().map(|alarm| &*alarm.name), Some("backup.success"));
    assert_eq!(alarm.attributes.get("policy.kind"), Some(&"job".into()));
    let evidence = alarm.attributes.0.iter().find(|(name, _)| *name == "evidence").unwrap();
    let evidence = shown(&evidence.1);
    for part in ["process.pid=10", "process.exit.signal=\"SIGKILL\"", "killer.pid=99", "process.memory.peak=7340032"] {
        assert!(evidence.contains(part), "{evidence}");
    }
}

#[test]
fn the_end_waits_for_accounts_but_not_for_ever() {
    let world = check(
        job(vec![]),
        "0 scan
         5 run 10 /bin/backup
         6 run 11 /bin/gzip from=10
         7 exit 11 close=no
         8 exit 10 cpu=10
         20",
        "5 job.started backup started: /bin/backup (10)
         8 job.succeeded backup succeeded: backup (10) exited with code 0 after 3s; 2 processes, 0.01 s of CPU",
    );
    assert_eq!(world.told[1].attributes.get("process.cpu.exact"), Some(&false.into()));
}

#[test]
fn what_a_run_leaves_behind_is_no_run() {
    let world = check(
        alone(job(vec![])),
        "0 scan
         5 run 10 /bin/sh args=sh_backup.sh
         6 run 11 /bin/sh from=10 args=sh_backup.sh_--linger
         7 exit 10
         8 run 12 /bin/sh from=11 args=sh_backup.sh_again
         9 exit 12 code=1
         10 exit 11 code=1",
        "5 job.started backup started: sh backup.sh (10)
         7 job.succeeded backup succeeded: sh (10) exited with code 0 after 2s; 2 processes, 0.00 s of CPU",
    );
    assert_eq!(world.told[1].attributes.get("job.processes_left"), Some(&1.into()));
}

#[test]
fn a_parent_that_matches_later_takes_its_childs_run_in() {
    check(
        alone(job(vec![])),
        "0 scan
         5 fork 10
         5 run 11 /bin/sh from=10 args=sh_backup.sh
         5.001 exec 10 /bin/sh args=sh_-c_backup.sh
         6 exit 11 code=1 cpu=20
         7 exit 10",
        "5 job.started backup started: sh backup.sh (11)
         5.001 job.started backup started: sh -c backup.sh (10)
         7 job.succeeded backup succeeded: sh (10) exited with code 0 after 1.9s; 2 processes, 0.02 s of CPU",
    );
}

#[test]
fn except_is_no_run() {
    check(
        Job { except: Some(args("dry-run")), ..job(vec![]) },
        "0 scan
         5 run 10 /bin/sh args=backup_--dry-run
         6 exit 10 code=1",
        "",
    );
}

#[test]
fn runs_may_be_told_not_to_overlap() {
    let script = "0 scan
         5 run 10 /bin/backup
         6 run 11 /bin/backup
         7 run 12 /bin/backup
         8 exit 10
         9 exit 11
         10 exit 12";
    let world = check(
        alone(job(vec![])),
        script,
        "5 job.started backup started: /bin/backup (10)
         6 job.started backup started: /bin/backup (11)
         6 job.overlapped backup: backup (11) started while another run goes on
         6 firing backup: 2 runs, maximum 1 at once
         7 job.started backup started: /bin/backup (12)
         7 job.overlapped backup: backup (12) started while 2 other runs go on
         8 job.succeeded backup succeeded: backup (10) exited with code 0 after 3s; 1 process, 0.00 s of CPU
         9 resolved backup: 1 run, maximum 1 at once; healthy again after 3s
         9 job.succeeded backup succeeded: backup (11) exited with code 0 after 3s; 1 process, 0.00 s of CPU
         10 job.succeeded backup succeeded: backup (12) exited with code 0 after 3s; 1 process, 0.00 s of CPU",
    );
    assert_eq!(world.told[3].alarm.as_ref().map(|alarm| &*alarm.name), Some("backup.overlap"));
    let mut world = World::of(settings(), vec![set(vec![job(vec![])])]);
    world.play(script);
    assert!(!world.story().contains("overlap") && !world.story().contains("firing"), "{}", world.story());
}

#[test]
fn too_long_fires_while_it_runs() {
    let bounds = vec![max(Measure::Duration, 60.0)];
    let world = check(
        Job {
            response: Response { repeat: Some(Duration::from_mins(1)), ..Response::default() },
            ..job(bounds.clone())
        },
        "0 scan
         5 run 10 /bin/backup
         30 run 11 /bin/backup
         40 exit 11
         150 exit 10",
        "5 job.started backup started: /bin/backup (10)
         30 job.started backup started: /bin/backup (11)
         40 job.succeeded backup succeeded: backup (11) exited with code 0 after 10s; 1 process, 0.00 s of CPU
         65 job.overran backup: backup (10) still runs after its maximum of 1m
         65 firing backup: backup (10) still runs after its maximum of 1m
         125 firing backup: backup (10) still runs after its maximum of 1m [repeated]
         150 resolved backup: backup (10) still runs after its maximum of 1m; over after 1m 24s: the run has ended
         150 job.succeeded backup succeeded: backup (10) exited with code 0 after 2m 25s; 1 process, 0.00 s of CPU",
    );
    let alarm = world.told[4].alarm.as_ref().unwrap();
    assert_eq!((&*alarm.name, alarm.instance.as_deref()), ("backup.duration.max", Some("10")));
    // One that was running before the daemon is as old as it is; exactly its maximum is not too long.
    check(job(bounds.clone()), "0 have 10 /bin/backup\n 20 scan\n 60", "");
    check(
        job(bounds),
        "0 have 10 /bin/backup
         20 scan
         61",
        "60 job.overran backup: backup (10) still runs after its maximum of 1m
         60 firing backup: backup (10) still runs after its maximum of 1m",
    );
}

#[test]
fn too_short_is_known_at_the_end() {
    check(
        job(vec![min(Measure::Duration, 60.0)]),
        "0 scan
         5 run 10 /bin/backup
         6 exit 10
         10 run 11 /bin/backup
         70 exit 11",
        "5 job.started backup started: /bin/backup (10)
         6 job.succeeded backup succeeded: backup (10) exited with code 0 after 1s; 1 process, 0.00 s of CPU
         6 firing backup: backup (10) took 1s, minimum 1m
         10 job.started backup started: /bin/backup (11)
         70 job.succeeded backup succeeded: backup (11) exited with code 0 after 1m; 1 process, 0.00 s of CPU
         70 resolved backup: backup (11) took 1m, minimum 1m; healthy again after 1m 4s",
    );
}

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
    assert_eq!((status.jobs[0].missed, status.jobs[0].next.as_deref()), (1, Some("2026-11-22T02:00:00.000000000Z")));
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
fn without_a_schedule_runs_are_counted_within_a_time() {
    check(
        job(vec![max(Measure::Runs, 1.0).within(60)]),
        "0 scan
         5 run 10 /bin/backup
         6 exit 10 code=0
         30 run 11 /bin/backup
         31 exit 11
         100",
        "5 job.started backup started: /bin/backup (10)
         6 job.succeeded backup succeeded: backup (10) exited with code 0 after 1s; 1 process, 0.00 s of CPU
         30 job.started backup started: /bin/backup (11)
         30 firing backup: 2 runs, maximum 1 within 1m
         31 job.succeeded backup succeeded: backup (11) exited with code 0 after 1s; 1 process, 0.00 s of CPU
         65 resolved backup: 1 run, maximum 1 within 1m; healthy again after 35s",
    );
    // A whole window must have been watched.
    check(
        job(vec![min(Measure::Runs, 1.0).within(60)]),
        "0 have 10 /bin/sleep
         3 scan
         20 run 11 /bin/backup
         21 exit 11
         100 run 12 /bin/backup
         300",
        "20 job.started backup started: /bin/backup (11)
         21 job.succeeded backup succeeded: backup (11) exited with code 0 after 1s; 1 process, 0.00 s of CPU
         80 firing backup: 0 runs, minimum 1 within 1m
         100 job.started backup started: /bin/backup (12)
         100 resolved backup: 1 run, minimum 1 within 1m; healthy again after 20s
         160 firing backup: 0 runs, minimum 1 within 1m",
    );
    check(job(vec![min(Measure::Runs, 1.0).within(60)]), "3 scan\n 62", "");
    check(
        job(vec![min(Measure::Runs, 1.0).within(60)]),
        "3 scan\n 63",
        "63 firing backup: 0 runs, minimum 1 within 1m",
    );
}

#[test]
fn an_end_that_was_lost_is_neither_good_nor_bad() {
    let world = check(
        job(vec![]),
        "0 scan
         5 run 10 /bin/backup
         6 lost 1
         7 unseen exit 10 close=no
         8 scan
         30",
        "5 job.started backup started: /bin/backup (10)
         6 agent.lost 1 record was lost in the kernel (ring_full); nothing fires until the processes are scanned
         8 agent.lost the process table is right again after 1 record was lost in the kernel (ring_full)",
    );
    let status = &world.engine.status(KTime::from_secs(30)).jobs[0];
    assert_eq!(status.last.as_ref().map(|last| last.outcome), Some("unknown"));
    assert!(status.running.is_empty());
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
