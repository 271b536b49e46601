//! What the engine can be told.

use std::sync::Arc;
use std::time::Duration;

use regex::Regex;

use crate::policy::spec::{HostFacts, PolicySet, Users};
use crate::record::{Acted, HostSample, LogLines, Loss, PeerNews, ProcessKey, Record, Reread, Scan, UsageRow};
use crate::time::ClockReading;

/// What the engine is told once, at its start (and, but for `host`, again at a reload).
#[derive(Clone, Debug)]
pub struct Settings {
    /// For shares of the host.
    pub host: HostFacts,
    /// Nothing fires before so long after the first scan.
    pub start_grace: Duration,
    /// For which processes start and exit are told.
    pub processes: Processes,
    /// Forks that have not executed anything are told too.
    pub forks: bool,
    /// Arguments are told; policies see them in any case.
    pub args: bool,
    /// What matches in an argument is replaced by `[redacted]` before it is told.
    pub redact: Vec<Regex>,
}

/// `events.processes`: policies see all processes in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Processes {
    /// Those that belong to a group.
    #[default]
    Matched,
    /// Every one.
    All,
    /// None.
    None,
}

impl Processes {
    /// As in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Matched => "matched",
            Self::All => "all",
            Self::None => "none",
        }
    }
}

/// Everything that the engine can be told.
#[derive(Clone, Debug)]
pub enum Input {
    /// A record of the ring buffer.
    Record(Record),
    /// What an earlier daemon knew: before anything else.
    Restored(Box<super::Restored>),
    /// Everything that lives: at the start, and after each loss when the engine asked for it.
    Scan(Scan),
    /// Usage of the processes that the engine asked to be sampled ([`super::Watch::usage`]). Of one that had a row before and
    /// has none here, nothing has changed.
    Sample(Vec<UsageRow>),
    /// What a process says of itself now, read because the engine asked ([`super::Effect::Reread`]).
    Reread {
        /// Which.
        key: ProcessKey,
        /// `None` when it was gone.
        found: Option<Reread>,
    },
    /// Lines that matched a log.
    Lines(LogLines),
    /// Figures of the host ([`PolicySet::host`] says which are wanted).
    Host(Box<HostSample>),
    /// What is known of the site's other hosts, and what this one found out about them.
    Peers(PeerNews),
    /// What became of an [`super::Effect::Act`].
    Acted(Acted),
    /// How kernel time and wall time relate: before anything else, and whenever that has changed by more than noise.
    Clock(ClockReading),
    /// Records were lost. Until the next [`Input::Scan`] nothing new fires.
    Lost(Loss),
    /// Other policies from now on; what was firing under the same name and bound keeps firing.
    Policies(Arc<PolicySet>, Arc<Users>),
    /// The moment of the last [`super::Effect::WakeAt`] has come.
    Tick,
}
