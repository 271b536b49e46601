//! Random histories of runs, held against what follows from each run's start and end alone.

use std::fmt::Write as _;
use std::time::Duration;

use proptest::prelude::*;

use super::jobs::{alone, hourly, set};
use super::world::{World, settings};
use super::*;
use crate::policy::spec::Job;

/// One run, in ms; the first scheduled time is at 10 s, another one each hour.
#[derive(Clone, Debug)]
struct Planned {
    start: u64,
    end: u64,
    code: u8,
    /// It starts a process that would match as well.
    nested: bool,
}

const FIRST: u64 = 10_000;
const HOUR: u64 = 3_600_000;
const HORIZON: u64 = 5 * HOUR;

fn planned() -> impl Strategy<Value = Planned> {
    // Mostly about the full hour, where it matters.
    let start = prop_oneof![
        (0..5_u64, 0..3_000_u64).prop_map(|(hour, near)| FIRST + hour * HOUR + near * 2).prop_map(|at| at - 3_000),
        (0..5_u64, 0..70_u64).prop_map(|(hour, near)| FIRST + hour * HOUR + near * 1_000 + 25_000),
        1..HORIZON,
    ];
    let length = prop_oneof![2..2_000_u64, 2..HOUR, Just(600_000_u64)];
    (start, length, prop_oneof![Just(0_u8), Just(1)], any::<bool>()).prop_map(|(start, length, code, nested)| Planned {
        start: start.max(1),
        end: start.max(1) + length,
        code,
        nested,
    })
}

/// What must be told: ms, the event, the pid where it is about a run.
type Told = (u64, String, Option<u32>);

/// Judged run by run and time by time; nothing here knows of steps, deadlines or machines.
struct Oracle<'a> {
    runs: &'a [Planned],
    within: u64,
    longest: u64,
    min: usize,
    max: usize,
}

impl Oracle<'_> {
    fn pid(index: usize) -> u32 {
        u32::try_from(10 + 2 * index).unwrap()
    }

    fn times() -> Vec<u64> {
        (0..6).map(|hour| FIRST + hour * HOUR).collect()
    }

    fn tell(&self) -> Vec<Told> {
        let mut told = Vec::new();
        self.tell_runs(&mut told);
        self.tell_success(&mut told);
        self.tell_overlap(&mut told);
        self.tell_times(&mut told);
        told.retain(|(at, ..)| *at <= HORIZON);
        told.sort();
        told
    }

    fn tell_runs(&self, told: &mut Vec<Told>) {
        for (index, run) in self.runs.iter().enumerate() {
            let pid = Some(Self::pid(index));
            told.push((run.start, "job.started".into(), pid));
            told.push((run.end, if run.code == 0 { "job.succeeded" } else { "job.failed" }.into(), pid));
            if run.end - run.start > self.longest {
                told.push((run.start + self.longest, "job.overran".into(), pid));
                told.push((run.start + self.longest, "fired backup.duration.max".into(), pid));
                told.push((run.end, "resolved backup.duration.max".into(), pid));
            }
        }
    }

    fn tell_success(&self, told: &mut Vec<Told>) {
        let mut ends: Vec<(u64, u8)> = self.runs.iter().map(|run| (run.end, run.code)).collect();
        ends.sort_unstable();
        let mut bad = false;
        for (end, code) in ends {
            if bad != (code != 0) {
                bad = code != 0;
                told.push((end, format!("{} backup.success", if bad { "fired" } else { "resolved" }), None));
            }
        }
    }

    fn tell_overlap(&self, told: &mut Vec<Told>) {
        let running = |at: u64| self.runs.iter().filter(|run| run.start <= at && at < run.end).count();
        for (index, run) in self.runs.iter().enumerate() {
            if running(run.start) > 1 {
                told.push((run.start, "job.overlapped".into(), Some(Self::pid(index))));
            }
        }
        let mut moments: Vec<u64> = self.runs.iter().flat_map(|run| [run.start, run.end]).collect();
        moments.sort_unstable();
        let mut firing = false;
        for at in moments {
            if firing != (running(at) > 1) {
                firing = !firing;
                told.push((at, format!("{} backup.overlap", if firing { "fired" } else { "resolved" }), None));
            }
        }
    }

    fn tell_times(&self, told: &mut Vec<Told>) {
        // What starts before the first time belongs to one that nobody watched begin.
        let early = self.runs.iter().map(|run| run.start).filter(|at| *at < FIRST - 1_000).nth(self.max);
        if let Some(at) = early {
            told.push((at, "fired backup.runs.max".into(), None));
            told.push((FIRST - 1_000, "resolved backup.runs.max".into(), None));
        }
        let mut missing = false;
        for time in Self::times() {
            let next = time + HOUR - 1_000;
            let starts: Vec<u64> =
                self.runs.iter().map(|run| run.start).filter(|at| (time - 1_000..next).contains(at)).collect();
            let deadline = (time + self.within).min(next);
            let in_time = starts.iter().filter(|at| **at <= time + self.within).count();
            let enough = starts.get(self.min - 1).copied();
            let missed = in_time < self.min;
            // An older alarm ends with the start that makes it enough, in time or not.
            if let Some(at) = enough.filter(|_| missing && !missed) {
                told.push((at, "resolved backup.runs.min".into(), None));
                missing = false;
            }
            if missed && deadline <= HORIZON {
                told.push((deadline, "job.missed".into(), None));
                if !missing {
                    told.push((deadline, "fired backup.runs.min".into(), None));
                }
                missing = enough.is_none();
                if let Some(at) = enough {
                    told.push((at, "resolved backup.runs.min".into(), None));
                }
            }
            if let Some(at) = starts.get(self.max) {
                told.push((*at, "fired backup.runs.max".into(), None));
                told.push((next, "resolved backup.runs.max".into(), None));
            }
        }
    }
}

fn play(runs: &[Planned], job: Job) -> Vec<Told> {
    let mut moments: Vec<(u64, String)> = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        let pid = Oracle::pid(index);
        moments.push((run.start, format!("run {pid} /bin/sh args=sh_backup")));
        if run.nested {
            moments.push((run.start + 1, format!("run {} /bin/sh from={pid} args=sh_backup_-v", pid + 1)));
            moments.push((run.end - 1, format!("exit {} code=9", pid + 1)));
        }
        moments.push((run.end, format!("exit {pid} code={}", run.code)));
    }
    moments.retain(|(at, _)| *at <= HORIZON);
    moments.sort_by_key(|(at, _)| *at);
    let mut script = "0 clock 2026-11-22T00:59:50Z\n 0 scan\n".to_owned();
    for (at, what) in moments {
        let _ = writeln!(script, "{}.{:03} {what}", at / 1_000, at % 1_000);
    }
    let _ = writeln!(script, "{}.001", HORIZON / 1_000);
    let mut world = World::of(settings(), vec![set(vec![job])]);
    world.play(&script);
    let mut told: Vec<Told> = world
        .told
        .iter()
        .map(|event| {
            let what = match &event.alarm {
                Some(alarm) => format!("{:?} {}", alarm.turn, alarm.name).to_lowercase(),
                None => event.name.trim_start_matches("procprobe.").to_owned(),
            };
            let pid = event.attributes.get("process.pid").and_then(serde_json::Value::as_u64);
            (event.at.0 / 1_000_000, what, pid.map(|pid| u32::try_from(pid).unwrap()))
        })
        .collect();
    told.sort();
    told
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn any_history_is_told_as_what_it_is(
        mut runs in prop::collection::vec(planned(), 0..14),
        within in prop::sample::select(vec![30_u64, 900, 3_600]),
        longest in prop::sample::select(vec![1_u64, 600]),
        min_runs in 1..3_usize,
        max_runs in 2..4_usize,
    ) {
        // Each moment is one run's.
        let mut taken = std::collections::BTreeSet::new();
        runs.retain(|run| (run.start..run.start + 2).chain(run.end - 1..=run.end).all(|at| taken.insert(at)));
        runs.sort_by_key(|run| run.start);
        let bounds = vec![
            min(Measure::Runs, min_runs as f64),
            max(Measure::Runs, max_runs as f64),
            max(Measure::Duration, longest as f64),
        ];
        let job = Job { start_within: Duration::from_secs(within), ..alone(hourly(bounds)) };
        let oracle =
            Oracle { runs: &runs, within: within * 1_000, longest: longest * 1_000, min: min_runs, max: max_runs };
        prop_assert_eq!(play(&runs, job), oracle.tell(), "{:?}", runs);
    }
}
