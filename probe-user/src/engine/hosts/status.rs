//! What `procprobe status` shows of the host's bounds.

use serde::Serialize;

use super::super::status::{State, begun, nearness};
use super::Hosts;
use super::bound::{HostState, Instance};
use super::values::Lack;
use crate::event::Severity;
use crate::time::KTime;

/// One bound on the host.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HostBoundStatus {
    /// `host.measure.side`, with `.1`, `.2` where several share that.
    pub name: String,
    /// Where it was declared, `file:line`.
    pub declared: String,
    /// `memory_available`, `disk_free` and so on.
    pub measure: &'static str,
    /// `min` or `max`.
    pub bound: &'static str,
    /// Of the events that it raises.
    pub severity: Severity,
    /// In the measure's own unit, or a share of the total.
    pub limit: f64,
    /// Limit and values are shares, 0.1 for 10%.
    pub share: bool,
    /// What it is held against: each mount or interface, or the host as a whole. Empty before the first sample, and
    /// where no mount or interface matches.
    pub instances: Vec<HostInstanceStatus>,
}

/// One thing held against a bound.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HostInstanceStatus {
    /// Mount point or interface; absent for the host as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The present value; absent while unknown.
    pub value: Option<f64>,
    /// Where it stands.
    pub state: State,
    /// Seconds since the breach began; absent when healthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_seconds: Option<f64>,
    /// How near the value is to the limit, as for groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearness: Option<f64>,
    /// Why it is not judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<&'static str>,
    /// Breaches that healed before they fired.
    pub dips_healed: u64,
}

impl Hosts {
    /// How each bound stands at `now`.
    pub(in super::super) fn status(&self, now: KTime) -> Vec<HostBoundStatus> {
        self.bounds.iter().map(|bound| bound.status(now)).collect()
    }
}

impl HostState {
    fn status(&self, now: KTime) -> HostBoundStatus {
        let spec = &self.spec.bound;
        let instances =
            self.instances.iter().map(|(key, instance)| Self::instance_status(key.as_deref(), instance, now));
        HostBoundStatus {
            name: self.name.to_string(),
            declared: spec.declared.to_string(),
            measure: spec.measure.as_str(),
            bound: spec.side.as_str(),
            severity: spec.severity,
            limit: self.rule.limit,
            share: self.is_share(),
            instances: instances.collect(),
        }
    }

    fn instance_status(key: Option<&str>, instance: &Instance, now: KTime) -> HostInstanceStatus {
        let held = &instance.held;
        let value = held.value().filter(|_| instance.lack.is_none());
        let phase = held.phase();
        let state = State::of_phase(phase);
        HostInstanceStatus {
            instance: key.map(str::to_owned),
            value,
            state: if instance.lack.is_some() { state.max(State::Unknown) } else { state },
            since_seconds: begun(phase).map(|since| now.since(since).as_secs_f64()),
            nearness: value.and_then(|value| nearness(held.rule(), value)),
            unknown: instance.lack.map(|lack| match lack {
                Lack::NotMeasured => "not on this kernel",
                Lack::NoAnswer => "does not answer",
                Lack::Missing => "not there",
                Lack::InDoubt => "records were lost",
            }),
            dips_healed: held.dips(),
        }
    }
}
