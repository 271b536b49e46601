//! What of an event is summed up.

use serde::Deserialize;
use serde_json::Value;

/// One event of the local history.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Told {
    /// RFC 3339.
    pub(super) time: String,
    pub(super) severity: String,
    pub(super) name: String,
    pub(super) body: String,
    pub(super) host: Host,
    pub(super) attributes: Facts,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Host {
    #[serde(rename = "host.name")]
    pub(super) name: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Facts {
    #[serde(rename = "policy.name")]
    pub(super) policy: String,
    #[serde(rename = "policy.kind")]
    pub(super) kind: String,
    pub(super) measure: String,
    pub(super) bound: String,
    /// A number, where there is one.
    pub(super) limit: Value,
    pub(super) repeated: bool,
    pub(super) duration: Option<f64>,
    #[serde(rename = "job.name")]
    pub(super) job: String,
    #[serde(rename = "process.executable.path")]
    pub(super) exe: String,
    #[serde(rename = "process.command")]
    pub(super) comm: String,
    #[serde(rename = "process.cpu.time")]
    pub(super) cpu_seconds: Option<f64>,
    #[serde(rename = "process.memory.peak")]
    pub(super) peak_bytes: Option<u64>,
    #[serde(rename = "process.uptime")]
    pub(super) lived_seconds: Option<f64>,
    #[serde(rename = "process.exit.code")]
    pub(super) exit_code: Option<i64>,
    #[serde(rename = "process.exit.signal")]
    pub(super) exit_signal: Option<String>,
    pub(super) oom: bool,
    #[serde(rename = "where")]
    pub(super) place: String,
    pub(super) reason: String,
    pub(super) count: u64,
}
