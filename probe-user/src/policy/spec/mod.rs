//! What a policy says, checked and compiled: the only form in which the engine sees it.
//!
//! POLICY.md is the language. Values are kept in the measure's own unit (processes, cores, bytes, bytes a second, count
//! within a window, seconds of age); shares of the host are resolved by [`Limit::resolve`] against [`HostFacts`].

mod host;
mod job;
mod log;
mod peers;
mod response;
mod trial;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use regex::Regex;

pub use host::{HostBlock, HostBound};
pub use job::{Job, Overlap, Success};
pub use log::Log;
pub use peers::{PeerSelector, PeerSet};
pub use response::{Action, ActionKind, Destination, DestinationKind, Mode, Rate, Response};
pub use trial::{AlarmName, Expectation, Figures, Happening, Looks, PeerStep, Step, Trial, Use};

use super::glob::Glob;
use crate::event::Severity;

/// All policies in force, names unique, sorted by name.
#[derive(Clone, Debug, Default)]
pub struct PolicySet {
    /// Sets of processes.
    pub groups: Vec<Group>,
    /// Cron and batch work.
    pub jobs: Vec<Job>,
    /// Lines of files.
    pub logs: Vec<Log>,
    /// The host itself, one block for each file that has one.
    pub host: Vec<HostBlock>,
    /// Other hosts of the site.
    pub peers: Vec<PeerSet>,
    /// Where alarms are sent, by name.
    pub destinations: BTreeMap<Arc<str>, Arc<Destination>>,
    /// What is done about alarms, by name.
    pub actions: BTreeMap<Arc<str>, Arc<Action>>,
}

impl PolicySet {
    /// Nothing is held against anything.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
            && self.jobs.is_empty()
            && self.logs.is_empty()
            && self.host.is_empty()
            && self.peers.is_empty()
    }

    /// Whether some process belongs somewhere, or not, by its arguments.
    pub fn select_by_args(&self) -> bool {
        let groups = self.groups.iter().flat_map(|group| [Some(&group.select), group.except.as_ref()]);
        let jobs = self.jobs.iter().flat_map(|job| [Some(&job.select), job.except.as_ref()]);
        groups.chain(jobs).flatten().any(|select| !select.args.is_empty())
    }
}

/// Facts about the host that bounds like `25% host` rest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostFacts {
    /// CPUs online.
    pub cpus: u32,
    /// Physical memory.
    pub memory_bytes: u64,
}

/// A set of processes and what must hold of it.
#[derive(Clone, Debug)]
pub struct Group {
    /// Unique over all files.
    pub name: Arc<str>,
    /// Where it was declared, `file:line`.
    pub declared: Arc<str>,
    /// What belongs to it.
    pub select: Selector,
    /// What is taken out again.
    pub except: Option<Selector>,
    /// Descendants of what is selected belong too (unless taken out).
    pub include_children: bool,
    /// What must hold, in the order of the file.
    pub bounds: Vec<Bound>,
    /// What its alarms lead to.
    pub response: Response,
    /// Starts and exits of its processes are told where only those of matched processes are (`events: matched`). A
    /// group that holds every process of the host says no, for it would make every process a matched one.
    pub events: bool,
}

/// All given fields must match; within one field any pattern does.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    /// On the executable.
    pub exe: Vec<PathGlob>,
    /// On the kernel's name of the leader.
    pub comm: Vec<Glob>,
    /// On the arguments joined by spaces.
    pub args: Vec<Regex>,
    /// On the real user id.
    pub user: Vec<User>,
    /// On the cgroup's path; `unit` and `container` are shorthands that end up here.
    pub cgroup: Vec<CgroupPattern>,
    /// The parent belongs to one of these groups.
    pub parent: Vec<Arc<str>>,
    /// Kernel threads are selected only when this says so (and then nothing else is).
    pub kernel_threads: bool,
}

/// A glob on an executable's path.
#[derive(Clone, Debug)]
pub struct PathGlob {
    /// The pattern has no "/": it is held against the file's name alone.
    pub name_only: bool,
    /// The compiled pattern.
    pub glob: Glob,
}

/// A user of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum User {
    /// By name, looked up among [`Users`] when a process is matched.
    Name(Box<str>),
    /// By number.
    Uid(u32),
}

/// The host's user names; an input like any other, read again at each reload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Users(pub std::collections::HashMap<u32, Arc<str>>);

/// A pattern on a cgroup's path.
#[derive(Clone, Debug)]
pub enum CgroupPattern {
    /// `cgroup:` a glob on the whole path.
    Path(Glob),
    /// `unit:` a component of the path is this unit (with `.service` added where it has no suffix).
    Unit(Box<str>),
    /// `container:` a component holds this container id or a prefix of it of at least 12 digits.
    Container(Box<str>),
}

/// What is measured of a group, a job, a log, the host or peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Measure {
    /// Processes alive.
    Count,
    /// Threads alive.
    Threads,
    /// CPU used, in cores.
    Cpu,
    /// Time runnable but waiting, in cores.
    CpuWait,
    /// Resident memory, in bytes.
    Memory,
    /// Storage read, bytes a second.
    Read,
    /// Storage written, bytes a second.
    Write,
    /// Processes that entered the group within a window.
    Starts,
    /// Processes of the group that ended within a window.
    Exits,
    /// Of these, those with a non-zero code or a signal.
    Failures,
    /// Processes of the group that the OOM killer chose within a window.
    OomKills,
    /// How long a process has lived, in seconds; always per process.
    Age,
    /// Of a job: runs for each scheduled time, or within a window where there is no schedule.
    Runs,
    /// Of a job: how long a run takes, in seconds.
    Duration,
    /// Of a log: matching lines within a window.
    Lines,
    /// Of the host: CPU used, as a share of all CPUs.
    HostCpu,
    /// Of the host: the load average of one minute.
    Load,
    /// Of the host: memory that can be had without swapping, in bytes or as a share.
    MemoryAvailable,
    /// Of the host: swap in use, in bytes or as a share.
    SwapUsed,
    /// Of the host: space left for users of a file system, in bytes or as a share.
    DiskFree,
    /// Of the host: inodes left of a file system, or as a share.
    InodesFree,
    /// Of the host: processes alive (thread groups).
    Processes,
    /// Of the host: share of time in which some task waited for a CPU (PSI).
    PressureCpu,
    /// Of the host: the same for memory.
    PressureMemory,
    /// Of the host: the same for storage.
    PressureIo,
    /// Of the host: bytes a second received by an interface.
    NetworkReceive,
    /// Of the host: bytes a second sent by an interface.
    NetworkTransmit,
    /// Of peers: hosts that live, or their share.
    Alive,
    /// Of peers: hosts that are down, or their share.
    Down,
    /// Of peers: hosts whose daemon is down though they answer, or their share.
    AgentsDown,
}

impl Measure {
    /// Those of a group, in the order of POLICY.md.
    pub const GROUP: [Self; 12] = [
        Self::Count,
        Self::Threads,
        Self::Cpu,
        Self::CpuWait,
        Self::Memory,
        Self::Read,
        Self::Write,
        Self::Starts,
        Self::Exits,
        Self::Failures,
        Self::OomKills,
        Self::Age,
    ];

    /// Those of the host, in the order of POLICY.md.
    pub const HOST: [Self; 12] = [
        Self::HostCpu,
        Self::Load,
        Self::MemoryAvailable,
        Self::SwapUsed,
        Self::DiskFree,
        Self::InodesFree,
        Self::Processes,
        Self::PressureCpu,
        Self::PressureMemory,
        Self::PressureIo,
        Self::NetworkReceive,
        Self::NetworkTransmit,
    ];

    /// Those of peers.
    pub const PEERS: [Self; 3] = [Self::Alive, Self::Down, Self::AgentsDown];

    /// The key in a policy file, and the `measure` of an event.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Threads => "threads",
            Self::Cpu | Self::HostCpu => "cpu",
            Self::CpuWait => "cpu_wait",
            Self::Memory => "memory",
            Self::Read => "read",
            Self::Write => "write",
            Self::Starts => "starts",
            Self::Exits => "exits",
            Self::Failures => "failures",
            Self::OomKills => "oom_kills",
            Self::Age => "age",
            Self::Runs => "runs",
            Self::Duration => "duration",
            Self::Lines => "lines",
            Self::Load => "load",
            Self::MemoryAvailable => "memory_available",
            Self::SwapUsed => "swap_used",
            Self::DiskFree => "disk_free",
            Self::InodesFree => "inodes_free",
            Self::Processes => "processes",
            Self::PressureCpu => "pressure_cpu",
            Self::PressureMemory => "pressure_memory",
            Self::PressureIo => "pressure_io",
            Self::NetworkReceive => "network_receive",
            Self::NetworkTransmit => "network_transmit",
            Self::Alive => "alive",
            Self::Down => "down",
            Self::AgentsDown => "agents_down",
        }
    }

    /// Counted within a window (`within` is mandatory).
    pub const fn is_windowed(self) -> bool {
        matches!(self, Self::Starts | Self::Exits | Self::Failures | Self::OomKills | Self::Lines)
    }

    /// Known only by sampling.
    pub const fn is_sampled(self) -> bool {
        matches!(self, Self::Threads | Self::Cpu | Self::CpuWait | Self::Memory | Self::Read | Self::Write)
    }
}

/// Which end of a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Below it is a breach.
    Min,
    /// Above it is a breach.
    Max,
}

impl Side {
    /// The key in a policy file, and the `bound` of an event.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Min => "min",
            Self::Max => "max",
        }
    }
}

/// Of what a bound is judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Per {
    /// The group's sum.
    #[default]
    Group,
    /// Each process by itself.
    Process,
}

/// One end of one bound: `{min: 2, max: 64}` is two of these, with the same conditions.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// What is measured.
    pub measure: Measure,
    /// Which end.
    pub side: Side,
    /// Inclusive: the limit itself is healthy.
    pub limit: Limit,
    /// Once firing, healthy again only from here on (`clear_below` of a max, `clear_above` of a min); inclusive.
    pub clear: Option<Limit>,
    /// Must be breached so long before it fires.
    pub hold: Duration,
    /// Stays firing so long after the last breach.
    pub keep_firing: Duration,
    /// The window of a counted measure; zero for the others.
    pub within: Duration,
    /// Of what.
    pub per: Per,
    /// How bad.
    pub severity: Severity,
    /// Where it was declared, `file:line`.
    pub declared: Arc<str>,
}

/// A bound's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// In the measure's own unit.
    Absolute(f64),
    /// A share of the host's CPUs or memory, 0.25 for `25% host`. Of a host's `load`: for each CPU.
    HostShare(f64),
}

impl Limit {
    /// In the measure's own unit, on this host.
    pub fn resolve(self, measure: Measure, host: &HostFacts) -> f64 {
        match (self, measure) {
            (Self::Absolute(value), _) => value,
            (Self::HostShare(share), Measure::Memory) => share * host.memory_bytes as f64,
            // These are judged as shares.
            (
                Self::HostShare(share),
                Measure::HostCpu
                | Measure::MemoryAvailable
                | Measure::SwapUsed
                | Measure::DiskFree
                | Measure::InodesFree
                | Measure::PressureCpu
                | Measure::PressureMemory
                | Measure::PressureIo
                | Measure::Alive
                | Measure::Down
                | Measure::AgentsDown,
            ) => share,
            (Self::HostShare(share), _) => share * f64::from(host.cpus),
        }
    }
}
