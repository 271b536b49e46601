//! The history summed up, event by event. Pure: no clock, no socket. Bounded: of what there are too many kinds of, those that
//! came first are told apart and the others counted together.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use serde::Serialize;

use super::told::{Facts, Told};
use crate::event::name;

/// Most alarms, jobs, programs and kinds of losses that are told apart, of each.
const KINDS_MAX: usize = 10_000;
/// Programs that are told.
const TOP: usize = 10;
/// So often within [`FLAPPING_WITHIN_SECONDS`] an alarm comes and goes too often to mean much.
const FLAPPING_TIMES: usize = 3;
const FLAPPING_WITHIN_SECONDS: f64 = 3600.0;
/// Whoever lived for less is seen by nobody who only looks from time to time.
const SHORT_SECONDS: f64 = 1.0;

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Summary {
    pub(super) host: String,
    /// Time of the first and the last event.
    pub(super) first: Option<String>,
    pub(super) last: Option<String>,
    pub(super) events: u64,
    /// Lines that are no event of this version.
    pub(super) not_understood: u64,
    /// What was of too many kinds to be told apart.
    pub(super) not_told_apart: u64,
    pub(super) alarms: Vec<Alarm>,
    pub(super) jobs: Vec<Job>,
    pub(super) processes: Processes,
    /// Those whose processes used most CPU time, of processes that have ended.
    pub(super) top_cpu: Vec<Program>,
    pub(super) losses: Vec<Loss>,
    pub(super) daemon: Daemon,
}

/// One bound.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Alarm {
    pub(super) policy: String,
    pub(super) kind: String,
    pub(super) measure: String,
    pub(super) bound: String,
    pub(super) limit: serde_json::Value,
    pub(super) severity: String,
    /// How often it began.
    pub(super) fired: u64,
    pub(super) resolved: u64,
    /// Of those that are over.
    pub(super) firing_seconds: f64,
    pub(super) longest_seconds: f64,
    /// It began more often than it ended.
    pub(super) on: bool,
    /// It fired three times within an hour.
    pub(super) flapping: bool,
    /// The last sentence that told it.
    pub(super) last: String,
    #[serde(skip)]
    lately: VecDeque<Timestamp>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Job {
    pub(super) name: String,
    pub(super) succeeded: u64,
    pub(super) failed: u64,
    pub(super) missed: u64,
    pub(super) overran: u64,
    pub(super) overlapped: u64,
    pub(super) longest_seconds: f64,
    pub(super) cpu_seconds: f64,
}

/// Processes whose start or end was told.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Processes {
    pub(super) started: u64,
    pub(super) ended: u64,
    /// Lived for less than a second.
    pub(super) short_lived: u64,
    /// Ended with another code than 0.
    pub(super) failed: u64,
    pub(super) by_signal: u64,
    pub(super) by_oom: u64,
    pub(super) cpu_seconds: f64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Program {
    #[serde(rename = "program")]
    pub(super) name: String,
    pub(super) ended: u64,
    pub(super) cpu_seconds: f64,
    pub(super) peak_bytes: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Loss {
    #[serde(rename = "where")]
    pub(super) place: String,
    pub(super) reason: String,
    pub(super) count: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Daemon {
    pub(super) started: u64,
    pub(super) stopped: u64,
    pub(super) reloaded: u64,
    pub(super) refused_reloads: u64,
    /// How often it left something out to keep within its limits, or took it in again.
    pub(super) shed: u64,
    pub(super) collector_down: u64,
    pub(super) disk_failing: u64,
}

/// Takes events in.
#[derive(Debug, Default)]
pub(super) struct Adder {
    sum: Summary,
    alarms: BTreeMap<String, Alarm>,
    jobs: BTreeMap<String, Job>,
    programs: BTreeMap<String, Program>,
    losses: BTreeMap<(String, String), Loss>,
}

/// The entry of this key, as long as there is room.
fn entry<'a, K: Ord, T: Default>(map: &'a mut BTreeMap<K, T>, key: K, too_many: &mut u64) -> Option<&'a mut T> {
    if map.len() >= KINDS_MAX && !map.contains_key(&key) {
        *too_many += 1;
        return None;
    }
    Some(map.entry(key).or_default())
}

impl Adder {
    /// One line of the history.
    pub(super) fn line(&mut self, line: &[u8]) {
        match serde_json::from_slice(line) {
            Ok(told) => self.add(&told),
            Err(_) => self.sum.not_understood += 1,
        }
    }

    fn add(&mut self, told: &Told) {
        let sum = &mut self.sum;
        sum.events += 1;
        if sum.host != told.host.name {
            sum.host.clone_from(&told.host.name);
        }
        if sum.first.is_none() {
            sum.first = Some(told.time.clone());
        }
        sum.last = Some(told.time.clone());
        match told.name.as_str() {
            name::PROCESS_START => sum.processes.started += 1,
            name::PROCESS_EXIT => self.exit(&told.attributes),
            name::POLICY_FIRING | name::POLICY_RESOLVED => self.alarm(told),
            name::AGENT_LOST => self.loss(&told.attributes),
            name::AGENT_STARTED => sum.daemon.started += 1,
            name::AGENT_STOPPED => sum.daemon.stopped += 1,
            name::AGENT_RELOADED => sum.daemon.reloaded += 1,
            name::AGENT_RELOAD_FAILED => sum.daemon.refused_reloads += 1,
            name::AGENT_SHED => sum.daemon.shed += 1,
            name::PATH_DOWN => sum.daemon.collector_down += 1,
            name::SPOOL_FAILING => sum.daemon.disk_failing += 1,
            other if other.starts_with("procprobe.job.") => self.job(other, &told.attributes),
            _ => {}
        }
    }

    fn exit(&mut self, facts: &Facts) {
        let processes = &mut self.sum.processes;
        let cpu_seconds = facts.cpu_seconds.unwrap_or(0.0);
        processes.ended += 1;
        processes.cpu_seconds += cpu_seconds;
        processes.short_lived += u64::from(facts.lived_seconds.is_some_and(|lived| lived < SHORT_SECONDS));
        processes.failed += u64::from(facts.exit_code.is_some_and(|code| code != 0));
        processes.by_signal += u64::from(facts.exit_signal.is_some() && !facts.oom);
        processes.by_oom += u64::from(facts.oom);
        let name = if facts.exe.is_empty() { &facts.comm } else { &facts.exe };
        let Some(program) = entry(&mut self.programs, name.clone(), &mut self.sum.not_told_apart) else { return };
        program.name.clone_from(name);
        program.ended += 1;
        program.cpu_seconds += cpu_seconds;
        program.peak_bytes = program.peak_bytes.max(facts.peak_bytes.unwrap_or(0));
    }

    fn alarm(&mut self, told: &Told) {
        let facts = &told.attributes;
        let limit = facts.limit.to_string();
        let key = [&facts.kind, &facts.policy, &facts.measure, &facts.bound, &limit].map(String::as_str);
        let Some(alarm) = entry(&mut self.alarms, key.join("\u{1f}"), &mut self.sum.not_told_apart) else { return };
        if alarm.policy.is_empty() {
            alarm.kind.clone_from(&facts.kind);
            alarm.policy.clone_from(&facts.policy);
            alarm.measure.clone_from(&facts.measure);
            alarm.bound.clone_from(&facts.bound);
            alarm.limit = facts.limit.clone();
        }
        alarm.severity.clone_from(&told.severity);
        alarm.last.clone_from(&told.body);
        if told.name == name::POLICY_RESOLVED {
            let lasted = facts.duration.unwrap_or(0.0);
            alarm.resolved += 1;
            alarm.firing_seconds += lasted;
            alarm.longest_seconds = alarm.longest_seconds.max(lasted);
        } else if !facts.repeated {
            alarm.fired += 1;
            alarm.fire(&told.time);
        }
    }

    fn job(&mut self, what: &str, facts: &Facts) {
        let Some(job) = entry(&mut self.jobs, facts.job.clone(), &mut self.sum.not_told_apart) else { return };
        job.name.clone_from(&facts.job);
        match what {
            name::JOB_SUCCEEDED => job.succeeded += 1,
            name::JOB_FAILED => job.failed += 1,
            name::JOB_MISSED => job.missed += 1,
            name::JOB_OVERRAN => job.overran += 1,
            name::JOB_OVERLAPPED => job.overlapped += 1,
            _ => {}
        }
        if matches!(what, name::JOB_SUCCEEDED | name::JOB_FAILED) {
            job.longest_seconds = job.longest_seconds.max(facts.duration.unwrap_or(0.0));
            job.cpu_seconds += facts.cpu_seconds.unwrap_or(0.0);
        }
    }

    fn loss(&mut self, facts: &Facts) {
        let key = (facts.place.clone(), facts.reason.clone());
        let Some(loss) = entry(&mut self.losses, key, &mut self.sum.not_told_apart) else { return };
        loss.place.clone_from(&facts.place);
        loss.reason.clone_from(&facts.reason);
        loss.count = loss.count.saturating_add(facts.count);
    }

    /// The worst first.
    pub(super) fn summary(self) -> Summary {
        let mut alarms: Vec<Alarm> = self.alarms.into_values().collect();
        for alarm in &mut alarms {
            alarm.on = alarm.fired > alarm.resolved;
        }
        alarms.sort_by(|a, b| b.fired.cmp(&a.fired).then_with(|| b.firing_seconds.total_cmp(&a.firing_seconds)));
        let mut programs: Vec<Program> = self.programs.into_values().collect();
        programs.sort_by(|a, b| b.cpu_seconds.total_cmp(&a.cpu_seconds).then_with(|| b.ended.cmp(&a.ended)));
        programs.truncate(TOP);
        let mut losses: Vec<Loss> = self.losses.into_values().collect();
        losses.sort_by_key(|loss| std::cmp::Reverse(loss.count));
        Summary { alarms, jobs: self.jobs.into_values().collect(), top_cpu: programs, losses, ..self.sum }
    }
}

impl Alarm {
    fn fire(&mut self, time: &str) {
        let Ok(time) = time.parse::<Timestamp>() else { return };
        if self.lately.len() == FLAPPING_TIMES {
            self.lately.pop_front();
        }
        self.lately.push_back(time);
        let apart = self.lately.front().map_or(0.0, |first| time.duration_since(*first).as_secs_f64());
        self.flapping |= self.lately.len() == FLAPPING_TIMES && apart <= FLAPPING_WITHIN_SECONDS;
    }

    /// `web.count.min`
    pub(super) fn name(&self) -> String {
        [self.policy.as_str(), &self.measure, &self.bound].join(".")
    }
}
