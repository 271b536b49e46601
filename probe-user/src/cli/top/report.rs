//! The daemon's answers as far as they are shown. What is missing in them (an older daemon) is taken as nothing, what is new
//! in them is left out.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::forward;
use crate::notify;
use crate::outlet::Dropped;
use crate::serve::AgentReport;
use crate::spool;

/// `GET /v1/status`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Report {
    /// RFC 3339.
    pub(super) time: String,
    pub(super) unhealthy: Vec<String>,
    pub(super) agent: AgentReport,
    pub(super) engine: Engine,
    pub(super) collectors: Vec<forward::Status>,
    pub(super) spool: spool::Status,
    /// The site in a few numbers, where this host has one.
    pub(super) peers: Option<SiteSummary>,
    pub(super) notify: Vec<notify::Status>,
    pub(super) dropped: Vec<Dropped>,
    pub(super) lost: Vec<Dropped>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Engine {
    pub(super) grace_seconds: Option<f64>,
    pub(super) processes: usize,
    pub(super) degraded: bool,
    pub(super) firing: Vec<String>,
    pub(super) groups: Vec<Group>,
    pub(super) logs: Vec<Group>,
    pub(super) host: Vec<HostBound>,
    pub(super) jobs: Vec<Job>,
    pub(super) peers: Vec<Group>,
}

impl Engine {
    /// Groups, logs and sets of peers.
    pub(super) fn all(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().chain(&self.logs).chain(&self.peers)
    }

    /// Tells the bounds on sets of peers which of them are shares: that stands beside them in the answer.
    pub(super) fn tell_shares(&mut self) {
        for set in &mut self.peers {
            for (bound, share) in set.bounds.iter_mut().zip(&set.shares) {
                bound.is_share = *share;
            }
        }
    }
}

/// A group; or a log, which has no members; or a set of peers, whose members are hosts.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) declared: String,
    pub(super) members: usize,
    pub(super) usage: Option<Usage>,
    pub(super) bounds: Vec<Bound>,
    /// Of a set of peers: whether limit and value of each bound are shares of it.
    shares: Vec<bool>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Usage {
    pub(super) memory_bytes: Option<u64>,
    pub(super) cpu: Option<f64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Bound {
    pub(super) name: String,
    pub(super) measure: String,
    #[serde(rename = "bound")]
    pub(super) side: String,
    pub(super) severity: String,
    pub(super) limit: f64,
    pub(super) value: Option<f64>,
    pub(super) state: Standing,
    pub(super) since_seconds: Option<f64>,
    pub(super) nearness: Option<f64>,
    pub(super) within_seconds: Option<f64>,
    pub(super) lower_limit: bool,
    #[serde(skip)]
    pub(super) is_share: bool,
}

/// A bound on the host, or on what of it has an instance of its own.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct HostBound {
    pub(super) name: String,
    pub(super) severity: String,
    pub(super) instances: Vec<HostInstance>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct HostInstance {
    pub(super) instance: Option<String>,
    pub(super) state: Standing,
    pub(super) since_seconds: Option<f64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Job {
    pub(super) name: String,
    pub(super) declared: String,
    pub(super) schedule: Option<String>,
    pub(super) timezone: Option<String>,
    pub(super) next: Option<String>,
    pub(super) missed: u64,
    pub(super) running: Vec<Run>,
    pub(super) last: Option<LastRun>,
    pub(super) alarms: Vec<JobAlarm>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Run {
    pub(super) pid: u32,
    pub(super) seconds: f64,
    pub(super) processes: usize,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LastRun {
    pub(super) outcome: String,
    pub(super) ended_seconds: f64,
    pub(super) duration_seconds: f64,
    pub(super) cpu_seconds: f64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct JobAlarm {
    pub(super) name: String,
    pub(super) severity: String,
    pub(super) state: Standing,
    pub(super) since_seconds: Option<f64>,
}

/// Where a bound stands; the later, the worse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Standing {
    #[default]
    Healthy = 0,
    Pending = 2,
    Firing = 3,
    /// Also a word that this version does not know.
    #[serde(other)]
    Unknown = 1,
}

impl Standing {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unknown => "unknown",
            Self::Pending => "pending",
            Self::Firing => "FIRING",
        }
    }
}

/// `GET /v1/alarms`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AlarmsOn {
    pub(super) left_out: usize,
    pub(super) alarms: Vec<AlarmOn>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AlarmOn {
    pub(super) name: String,
    pub(super) instance: Option<String>,
    pub(super) event: AlarmEvent,
}

/// The event that told it last.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AlarmEvent {
    pub(super) time: String,
    pub(super) severity: String,
    pub(super) body: String,
    pub(super) attributes: AlarmFacts,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AlarmFacts {
    pub(super) since: String,
    /// Its fields differ by what it is evidence of.
    pub(super) evidence: Vec<serde_json::Map<String, serde_json::Value>>,
}

/// The site in a few numbers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct SiteSummary {
    /// By what is held of them.
    pub(super) members: BTreeMap<String, usize>,
    pub(super) score: u32,
    pub(super) reached: u32,
    pub(super) asked: u32,
    pub(super) isolated: bool,
    pub(super) notes: Vec<String>,
}

impl SiteSummary {
    /// How many are down, of either kind.
    pub(super) fn down(&self) -> usize {
        ["host_down", "agent_down"].iter().filter_map(|verdict| self.members.get(*verdict)).sum()
    }
}

/// `GET /v1/peers`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Peers {
    pub(super) members: Vec<Peer>,
}

/// One host of the site.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Peer {
    pub(super) name: String,
    pub(super) zone: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) address: String,
    pub(super) state: String,
    pub(super) verdict: String,
    pub(super) incident: Option<String>,
    pub(super) since_seconds: f64,
    pub(super) heard_seconds: Option<f64>,
    pub(super) round_trip_seconds: Option<f64>,
    pub(super) collector: String,
    pub(super) myself: bool,
}
