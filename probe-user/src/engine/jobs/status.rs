//! Jobs as `procprobe status` shows them.

use serde::Serialize;

use super::alarm::Alarm;
use super::{Ended, JobState, Jobs};
use crate::engine::Engine;
use crate::engine::held::Held;
use crate::engine::status::{State, begun};
use crate::event::Severity;
use crate::time::{KTime, Wall};

/// One job.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JobStatus {
    /// The policy's name.
    pub name: String,
    /// Where it was declared, `file:line`.
    pub declared: String,
    /// The cron expression; absent for a job without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// The zone's name, as far as it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// The next scheduled time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Wall>,
    /// Scheduled times missed since the daemon started.
    pub missed: u64,
    /// Runs that go on, the oldest first.
    pub running: Vec<RunStatus>,
    /// The last run that ended; absent before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<LastRunStatus>,
    /// What is demanded of it, in the order of the file.
    pub alarms: Vec<JobAlarmStatus>,
}

/// A run that goes on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunStatus {
    /// Of its first process.
    pub pid: u32,
    /// Since its start.
    pub seconds: f64,
    /// Processes of its tree that live.
    pub processes: usize,
}

/// A run that has ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LastRunStatus {
    /// Of its first process.
    pub pid: u32,
    /// `succeeded`, `failed`, or `unknown` where its end was lost.
    pub outcome: &'static str,
    /// Since its end.
    pub ended_seconds: f64,
    /// How long it took.
    pub duration_seconds: f64,
    /// CPU time of its tree.
    pub cpu_seconds: f64,
}

/// One demand on a job.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JobAlarmStatus {
    /// `backup.runs.min`, `backup.success`.
    pub name: String,
    /// `runs`, `duration` and so on; `success` and `overlap` where no bound is meant.
    pub measure: &'static str,
    /// `min` or `max`, of a bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound: Option<&'static str>,
    /// Of the events that it raises.
    pub severity: Severity,
    /// Of a demand on each run that of the worst.
    pub state: State,
    /// Seconds since the breach began; absent when healthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_seconds: Option<f64>,
    /// Breaches that healed before they fired.
    pub dips_healed: u64,
}

impl JobStatus {
    /// Names of its alarms.
    pub(in crate::engine) fn firing(&self) -> impl Iterator<Item = String> {
        self.alarms.iter().filter(|alarm| alarm.state == State::Firing).map(|alarm| alarm.name.clone())
    }
}

impl Engine {
    /// Every job, sorted as the policies are.
    pub(in crate::engine) fn job_statuses(&self, now: KTime) -> Vec<JobStatus> {
        self.jobs.statuses(now)
    }
}

impl Jobs {
    fn statuses(&self, now: KTime) -> Vec<JobStatus> {
        self.all.iter().map(|job| job.status(now)).collect()
    }
}

impl JobState {
    fn status(&self, now: KTime) -> JobStatus {
        let schedule = self.spec.schedule.as_ref();
        let running = self.running().into_iter().map(|run| RunStatus {
            pid: run.root.tgid,
            seconds: now.since(run.start).as_secs_f64(),
            processes: run.living.len(),
        });
        JobStatus {
            name: self.spec.name.to_string(),
            declared: self.spec.declared.to_string(),
            schedule: schedule.map(|schedule| schedule.as_str().to_owned()),
            timezone: schedule.map(|schedule| schedule.zone().to_owned()),
            next: self.slots.as_ref().and_then(super::Slots::next),
            missed: self.missed,
            running: running.collect(),
            last: self.last.as_ref().map(|last| last.status(now)),
            alarms: self.alarms.iter().map(|alarm| alarm.status(now)).collect(),
        }
    }
}

impl Ended {
    fn status(&self, now: KTime) -> LastRunStatus {
        LastRunStatus {
            pid: self.root.tgid,
            outcome: self.outcome.as_str(),
            ended_seconds: now.since(self.exit.at).as_secs_f64(),
            duration_seconds: self.duration.as_secs_f64(),
            cpu_seconds: self.used.cpu_ns as f64 / 1e9,
        }
    }
}

impl Alarm {
    fn status(&self, now: KTime) -> JobAlarmStatus {
        let machines = || self.each.values().chain([&self.held]);
        let state = machines().map(|held| State::of_phase(held.phase())).max().unwrap_or_default();
        let since = machines()
            .filter(|held| State::of_phase(held.phase()) == state)
            .filter_map(|held| begun(held.phase()))
            .min();
        JobAlarmStatus {
            name: self.name.to_string(),
            measure: self.measure(),
            bound: self.side(),
            severity: self.severity(),
            state,
            since_seconds: since.map(|since| now.since(since).as_secs_f64()),
            dips_healed: machines().map(Held::dips).sum(),
        }
    }
}
