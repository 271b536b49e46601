//! The head and the tail of a recording, as JSON: what is known of the host, and why the recording ended.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::Host;
use crate::policy::HostLabels;
use crate::policy::spec::{HostFacts, Users};
use crate::time::{ClockReading, KTime, Wall};

/// What a replay must know of the host that was recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Version of the procprobe that recorded.
    pub procprobe: String,
    /// Release of the kernel.
    pub kernel: String,
    /// The host's name.
    pub host_name: String,
    /// As in events.
    pub host_id: String,
    /// As in events.
    pub boot_id: String,
    /// What `hosts` in policies is held against, beside the name.
    pub labels: BTreeMap<String, String>,
    /// CPUs online.
    pub cpus: u32,
    /// Physical memory.
    pub memory_bytes: u64,
    /// Bytes of a page: the kernel side counts in pages.
    pub page_bytes: u64,
    /// User names by number.
    pub users: BTreeMap<u32, String>,
    /// How often usage was sampled.
    pub sample_interval_ms: u64,
    /// Arguments were recorded.
    pub args: bool,
    /// When it began, CLOCK_MONOTONIC ns.
    pub began_mono_ns: u64,
    /// When it began, CLOCK_BOOTTIME ns.
    pub began_boot_ns: u64,
    /// When it began, ns since 1970.
    pub began_wall_ns: i64,
    /// Logs whose lines were recorded.
    #[serde(default)]
    pub logs: Vec<RecordedLog>,
    /// What is known of other hosts was recorded.
    #[serde(default)]
    pub peers: bool,
}

/// A log whose lines were recorded as far as they matched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedLog {
    /// Its name.
    pub name: String,
    /// Its paths, as its policy writes them.
    pub paths: Vec<String>,
}

impl Facts {
    /// The clocks at the beginning.
    pub const fn began(&self) -> ClockReading {
        ClockReading { mono: KTime(self.began_mono_ns), boot_ns: self.began_boot_ns, wall: Wall(self.began_wall_ns) }
    }

    /// Who speaks in the events of a replay.
    pub fn host(&self) -> Host {
        Host { name: self.host_name.clone(), id: self.host_id.clone(), boot_id: self.boot_id.clone() }
    }

    /// What policy files select hosts by.
    pub fn host_labels(&self) -> HostLabels {
        HostLabels { name: self.host_name.clone(), labels: self.labels.clone() }
    }

    /// For shares of the host.
    pub const fn size(&self) -> HostFacts {
        HostFacts { cpus: self.cpus, memory_bytes: self.memory_bytes }
    }

    /// The host's user names.
    pub fn user_names(&self) -> Users {
        let names = self.users.iter().map(|(uid, name)| (*uid, Arc::from(name.as_str())));
        Users(names.collect::<HashMap<_, _>>())
    }
}

/// Why a recording ended, and what it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tail {
    /// Why.
    pub ended: Ended,
    /// When, CLOCK_MONOTONIC ns.
    pub at_mono_ns: u64,
    /// What was written.
    pub written: Written,
}

/// Why a recording ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// Somebody stopped it.
    Stopped,
    /// The time was over.
    Duration,
    /// The file is as large as it may be.
    Full,
}

/// How much a recording holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Kernel records.
    pub records: u64,
    /// Usage rows.
    pub usage_rows: u64,
    /// Records lost.
    pub lost: u64,
    /// Bytes before compression.
    pub raw_bytes: u64,
}
