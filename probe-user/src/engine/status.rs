//! What `procprobe status` shows of the engine: each group with its bounds, what is firing, what was lost.

use serde::Serialize;

use super::Engine;
use super::group::{BoundState, GroupState};
use super::hosts::HostBoundStatus;
pub use super::jobs::status::{JobAlarmStatus, JobStatus, LastRunStatus, RunStatus};
pub use super::measures::GroupUsage;
use super::timers::Slot;
use crate::event::Severity;
use crate::policy::bound::{Machine, Phase, Rule};
use crate::policy::spec::{Measure, Side};
use crate::time::KTime;

/// The engine at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Status {
    /// The first scan has come: policies are judged.
    pub started: bool,
    /// Seconds until the start grace is over; absent afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_seconds: Option<f64>,
    /// Processes in the table, also those whose account is not closed yet.
    pub processes: usize,
    /// Records were lost and the scan that puts the table right has not come: nothing is judged.
    pub degraded: bool,
    /// Seconds since that loss.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub degraded_seconds: Option<f64>,
    /// Records lost since the start, by reason.
    pub losses: Vec<LossStatus>,
    /// Breaches that healed before they fired, over all bounds.
    pub dips_healed: u64,
    /// Names of the bounds that are firing, in the order of the groups, then of the jobs.
    pub firing: Vec<String>,
    /// Each group, sorted as the policies are.
    pub groups: Vec<GroupStatus>,
    /// Each log, likewise.
    pub logs: Vec<LogStatus>,
    /// The bounds on the host itself, in the order of the files.
    pub host: Vec<HostBoundStatus>,
    /// The sets of peers, likewise.
    pub peers: Vec<PeerSetStatus>,
    /// Each job, sorted as the policies are.
    pub jobs: Vec<JobStatus>,
    /// Actions that were ordered and have not ended, the oldest first.
    pub actions: Vec<ActionStatus>,
}

/// An action under way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ActionStatus {
    /// The action's name.
    pub name: String,
    /// The alarm that led to it.
    pub alarm: String,
    /// Of what it is, of an alarm that can be of several things.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The policy whose alarm that is.
    pub policy: String,
    /// Seconds since it was ordered.
    pub since_seconds: f64,
}

/// Records lost for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LossStatus {
    /// The word of `procprobe.agent.lost`.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// One group.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupStatus {
    /// The policy's name.
    pub name: String,
    /// Where it was declared, `file:line`.
    pub declared: String,
    /// Members alive.
    pub members: usize,
    /// What they use, where that is sampled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<GroupUsage>,
    /// Its bounds, in the order of the file.
    pub bounds: Vec<BoundStatus>,
}

/// One log.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LogStatus {
    /// The policy's name.
    pub name: String,
    /// Where it was declared, `file:line`.
    pub declared: String,
    /// Lines that matched since the daemon watches.
    pub matched: u64,
    /// Seconds for which it is silent; absent while it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quiet_seconds: Option<f64>,
    /// Its bounds, in the order of the file.
    pub bounds: Vec<BoundStatus>,
}

/// One set of peers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PeerSetStatus {
    /// The policy's name.
    pub name: String,
    /// Where it was declared, `file:line`.
    pub declared: String,
    /// Hosts of it that have not said that they end; absent before anything is known of others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<usize>,
    /// Of these, hosts that are down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hosts_down: Option<usize>,
    /// Of these, hosts whose daemon is down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agents_down: Option<usize>,
    /// Hosts that said that they end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<usize>,
    /// Of each bound, whether limit and value are shares of the members.
    pub shares: Vec<bool>,
    /// Its bounds, in the order of the file.
    pub bounds: Vec<BoundStatus>,
}

/// One bound of a policy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BoundStatus {
    /// `group.measure.side`, with `.1`, `.2` where several share that.
    pub name: String,
    /// `count`, `cpu` and so on.
    pub measure: &'static str,
    /// `min` or `max`.
    pub bound: &'static str,
    /// Of the events that it raises.
    pub severity: Severity,
    /// In the measure's own unit (processes, cores, bytes, bytes a second, seconds).
    pub limit: f64,
    /// The present value; of a bound per process that of the worst process. Absent while unknown.
    pub value: Option<f64>,
    /// Of a bound per process the worst of them.
    pub state: State,
    /// Seconds since the breach began; absent when healthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_seconds: Option<f64>,
    /// How near the value is to the limit: value by limit of a max, limit by value of a min; 1 is the limit, above is a
    /// breach. Absent while unknown and where there is no such ratio.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearness: Option<f64>,
    /// Seconds of the window of a counted measure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within_seconds: Option<f64>,
    /// The count may be too low, for records were lost.
    pub lower_limit: bool,
    /// Breaches that healed before they fired.
    pub dips_healed: u64,
    /// How many processes are in each state, of a bound per process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<Each>,
}

/// Where a bound stands; the later, the worse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Within its limit, or not judged yet.
    #[default]
    Healthy,
    /// It cannot be judged now; only where the value comes from outside the process table.
    Unknown,
    /// In breach, not for long enough.
    Pending,
    /// An alarm.
    Firing,
}

impl State {
    fn of(machine: &Machine) -> Self {
        Self::of_phase(machine.phase())
    }

    /// Where a machine stands.
    pub(super) const fn of_phase(phase: Phase) -> Self {
        match phase {
            Phase::Healthy => Self::Healthy,
            Phase::Pending { .. } => Self::Pending,
            Phase::Firing { .. } | Phase::Cooling { .. } => Self::Firing,
        }
    }
}

/// Processes by the state of a bound that is judged per process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Each {
    /// Within the limit.
    pub healthy: usize,
    /// In breach, not for long enough.
    pub pending: usize,
    /// Alarms.
    pub firing: usize,
}

impl Engine {
    /// How everything stands at `now`.
    pub fn status(&self, now: KTime) -> Status {
        let groups = self.groups.iter().enumerate().filter(|(_, group)| group.job.is_none());
        let groups: Vec<GroupStatus> = groups.map(|(index, group)| self.group_status(index, group, now)).collect();
        let jobs = self.job_statuses(now);
        let logs = self.logs.status(now);
        let peers = self.peers.status(now);
        let bounds = || {
            let of_logs = logs.iter().flat_map(|log| &log.bounds);
            groups.iter().flat_map(|group| &group.bounds).chain(of_logs).chain(peers.iter().flat_map(|set| &set.bounds))
        };
        let host = self.hosts.status(now);
        let is_firing = |bound: &&HostBoundStatus| bound.instances.iter().any(|each| each.state == State::Firing);
        let firing_of_host = host.iter().filter(is_firing).map(|bound| bound.name.clone());
        let losses = self.losses.total();
        Status {
            started: self.started.is_some(),
            grace_seconds: (self.started.is_some() && self.gate > now).then(|| self.gate.since(now).as_secs_f64()),
            processes: self.table.len(),
            degraded: self.losses.in_doubt(),
            degraded_seconds: self.losses.doubt_since().map(|since| now.since(since).as_secs_f64()),
            losses: losses
                .iter()
                .map(|(reason, count)| LossStatus { reason: (*reason).to_owned(), count: *count })
                .collect(),
            dips_healed: bounds().map(|bound| bound.dips_healed).sum::<u64>()
                + jobs.iter().flat_map(|job| &job.alarms).map(|alarm| alarm.dips_healed).sum::<u64>()
                + host.iter().flat_map(|bound| &bound.instances).map(|each| each.dips_healed).sum::<u64>(),
            firing: bounds()
                .filter(|bound| bound.state == State::Firing)
                .map(|bound| bound.name.clone())
                .chain(jobs.iter().flat_map(JobStatus::firing))
                .chain(firing_of_host)
                .collect(),
            groups,
            logs,
            jobs,
            peers,
            host,
            actions: self.acts.status(now),
        }
    }

    fn group_status(&self, index: usize, group: &GroupState, now: KTime) -> GroupStatus {
        let bounds = (0..group.bounds.len()).filter_map(|bound| {
            let slot = Slot { group: index, bound, key: None };
            self.bound(slot).map(|(group, bound)| self.bound_status(slot, group, bound, now))
        });
        GroupStatus {
            name: group.spec.name.to_string(),
            declared: group.spec.declared.to_string(),
            members: group.members.len(),
            usage: group.usage(),
            bounds: bounds.collect(),
        }
    }

    /// What a bound would be held against now; of a bound per process the worst process's value.
    pub(super) fn present_value(group: &GroupState, bound: &BoundState, now: KTime) -> Option<f64> {
        let window = bound.window.and_then(|window| group.windows.get(window)).map(|counted| &counted.window);
        let age = |start: KTime| now.since(start).as_secs_f64();
        let rule = &bound.rule;
        match (bound.spec.measure, window) {
            (Measure::Count, _) => Some(group.members.len() as f64),
            (_, Some(window)) => Some(window.count(now) as f64),
            (Measure::Age, _) => worst(rule, group.members.iter().map(|key| age(key.start))),
            _ if bound.is_per_process() => worst(rule, bound.each.values().filter_map(|judge| judge.machine.value())),
            _ => bound.whole.machine.value(),
        }
    }

    fn bound_status(&self, slot: Slot, group: &GroupState, bound: &BoundState, now: KTime) -> BoundStatus {
        let (spec, rule) = (&bound.spec, &bound.rule);
        let window = bound.window.and_then(|window| group.windows.get(window)).map(|counted| &counted.window);
        let value = Self::present_value(group, bound, now);
        let machines = || bound.each.values().map(|judge| &judge.machine).chain([&bound.whole.machine]);
        let state = machines().map(State::of).max().unwrap_or_default();
        let since =
            machines().filter(|machine| State::of(machine) == state).filter_map(|machine| begun(machine.phase())).min();
        BoundStatus {
            name: bound.name.to_string(),
            measure: spec.measure.as_str(),
            bound: spec.side.as_str(),
            severity: spec.severity,
            limit: rule.limit,
            value,
            state,
            since_seconds: since.map(|since| now.since(since).as_secs_f64()),
            nearness: value.and_then(|value| nearness(rule, value)),
            within_seconds: window.map(|window| window.within().as_secs_f64()),
            lower_limit: window.is_some() && self.is_degraded(slot, now),
            dips_healed: bound.dips,
            processes: bound.is_per_process().then(|| each(group, bound)),
        }
    }
}

/// When the breach began.
pub(super) fn begun(phase: Phase) -> Option<KTime> {
    match phase {
        Phase::Healthy => None,
        Phase::Pending { since, .. } | Phase::Firing { since } | Phase::Cooling { since, .. } => Some(since),
    }
}

fn each(group: &GroupState, bound: &BoundState) -> Each {
    let mut each = Each::default();
    for judge in bound.each.values() {
        match State::of(&judge.machine) {
            State::Healthy | State::Unknown => {}
            State::Pending => each.pending += 1,
            State::Firing => each.firing += 1,
        }
    }
    each.healthy = group.members.len().saturating_sub(each.pending + each.firing);
    each
}

fn worst(rule: &Rule, values: impl Iterator<Item = f64>) -> Option<f64> {
    match rule.side {
        Side::Min => values.min_by(f64::total_cmp),
        Side::Max => values.max_by(f64::total_cmp),
    }
}

/// Value by limit of a max, limit by value of a min; `None` where there is no such ratio.
pub(super) fn nearness(rule: &Rule, value: f64) -> Option<f64> {
    let (part, whole) = match rule.side {
        Side::Min => (rule.limit, value),
        Side::Max => (value, rule.limit),
    };
    (whole > 0.0).then(|| part / whole)
}
