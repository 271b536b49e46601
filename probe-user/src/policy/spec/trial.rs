//! Tests of policies: what happens on a host, and which alarms that must lead to.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{HostFacts, Limit, User};
use crate::record::{ExitStatus, PeerStanding};
use crate::time::Wall;

/// One test.
#[derive(Clone, Debug)]
pub struct Trial {
    /// What it shows.
    pub name: Arc<str>,
    /// Where it was declared, `file:line`.
    pub declared: Arc<str>,
    /// Names of the groups, jobs, logs and sets of peers that are loaded.
    pub policies: BTreeSet<Arc<str>>,
    /// The `host` blocks of its file are loaded too.
    pub host: bool,
    /// Wall clock at 0s.
    pub clock: Wall,
    /// Nothing fires before so long after 0s.
    pub start_grace: Duration,
    /// The host it plays on.
    pub facts: HostFacts,
    /// In the order of time.
    pub steps: Vec<Step>,
    /// In the order of time.
    pub expect: Vec<Expectation>,
}

/// Something that happens.
#[derive(Clone, Debug)]
pub struct Step {
    /// When, from the start of the daemon.
    pub at: Duration,
    /// What.
    pub what: Happening,
}

/// What happens.
#[derive(Clone, Debug)]
pub enum Happening {
    /// A process starts.
    Start {
        /// Its pid.
        pid: u32,
        /// Its parent's.
        parent: u32,
        /// What it executes; `None`: it goes on with its parent's program.
        program: Option<Looks>,
        /// It is a kernel thread.
        kernel: bool,
    },
    /// A process executes something else.
    Exec {
        /// Its pid.
        pid: u32,
        /// What.
        program: Looks,
    },
    /// A process ends.
    Exit {
        /// Its pid.
        pid: u32,
        /// How.
        status: ExitStatus,
        /// Who sent the signal.
        killer: Option<Arc<str>>,
        /// The OOM killer chose it.
        oom: bool,
    },
    /// What a process uses changes.
    Usage {
        /// Its pid.
        pid: u32,
        /// To what.
        usage: Use,
    },
    /// Lines appear.
    Log {
        /// In this file.
        path: Arc<str>,
        /// This line.
        line: Arc<str>,
        /// So often.
        times: u32,
    },
    /// Figures of the host change.
    Host(Figures),
    /// What is held of hosts of the site changes.
    Peer(PeerStep),
    /// The wall clock is set by so many nanoseconds.
    ClockJump(i64),
    /// The host sleeps for so long.
    Suspend(Duration),
    /// So many records are lost.
    Lose(u32),
}

/// What a process looks like to a selector; what is not given has a default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Looks {
    /// Path of the executable.
    pub exe: Option<Arc<str>>,
    /// Arguments joined by spaces.
    pub args: Option<Arc<str>>,
    /// The kernel's name.
    pub comm: Option<Arc<str>>,
    /// The real user.
    pub user: Option<User>,
    /// Path of the cgroup.
    pub cgroup: Option<Arc<str>>,
}

/// What a process uses; what is not given stays as it was.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Use {
    /// In cores.
    pub cpu: Option<Limit>,
    /// In cores.
    pub cpu_wait: Option<Limit>,
    /// In bytes.
    pub memory: Option<Limit>,
    /// How many.
    pub threads: Option<u32>,
    /// In bytes a second.
    pub read: Option<u64>,
    /// In bytes a second.
    pub write: Option<u64>,
}

/// Hosts of the site and what is held of them; what is not given stays as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerStep {
    /// Their names.
    pub names: Vec<Arc<str>>,
    /// Where they stand.
    pub zone: Option<Arc<str>>,
    /// What they say of themselves.
    pub labels: Option<Vec<(Arc<str>, Arc<str>)>>,
    /// What is held of them.
    pub standing: PeerStanding,
}

/// Figures of the host; what is not given stays as it was. A [`Limit::HostShare`] is a share of the total.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// As a share of all CPUs.
    pub cpu: Option<f64>,
    /// Of one minute.
    pub load: Option<f64>,
    /// In bytes or as a share.
    pub memory_available: Option<Limit>,
    /// In bytes or as a share.
    pub swap_used: Option<Limit>,
    /// Of each mount point.
    pub disk_free: Vec<(Arc<str>, Limit)>,
    /// Of each mount point.
    pub inodes_free: Vec<(Arc<str>, Limit)>,
    /// As a share of time.
    pub pressure_cpu: Option<f64>,
    /// As a share of time.
    pub pressure_memory: Option<f64>,
    /// As a share of time.
    pub pressure_io: Option<f64>,
    /// In bytes a second, of each interface.
    pub network_receive: Vec<(Arc<str>, u64)>,
    /// In bytes a second, of each interface.
    pub network_transmit: Vec<(Arc<str>, u64)>,
}

/// What must be the case at a moment.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// When, from the start of the daemon.
    pub at: Duration,
    /// Where it was declared, `file:line`.
    pub declared: Arc<str>,
    /// Exactly these alarms are on.
    pub firing: Option<Vec<AlarmName>>,
    /// Exactly these ended since the last expectation.
    pub resolved: Option<Vec<AlarmName>>,
    /// Exactly these events of jobs and logs were told since the last expectation, in order; without `procprobe.`.
    pub events: Option<Vec<Arc<str>>>,
    /// Exactly these actions were taken since the last expectation, in order.
    pub actions: Option<Vec<Arc<str>>>,
}

/// An alarm, as an expectation names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AlarmName {
    /// `nginx.count.min`
    pub name: Arc<str>,
    /// A pid, a mount point, an interface; `None`: whatever of it.
    pub instance: Option<Arc<str>>,
}
