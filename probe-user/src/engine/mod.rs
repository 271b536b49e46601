//! The core: one function from inputs to effects. No clock, no I/O, no spawned task.
//!
//! [`Engine::step`] takes the moment and one [`Input`], and pushes what is to be done into a list of [`Effect`]s. The
//! same inputs give the same effects, whether they come from the kernel, from a recording or from a test.

use std::sync::Arc;
use std::time::Duration;

use regex::Regex;

use crate::event::Event;
use crate::policy::spec::{HostFacts, PolicySet, Users};
use crate::record::{Loss, ProcessKey, Record, Scan, UsageRow};
use crate::time::KTime;

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

/// Everything that the engine can be told.
#[derive(Clone, Debug)]
pub enum Input {
    /// A record of the ring buffer.
    Record(Record),
    /// Everything that lives: at the start, and after each loss when the engine asked for it.
    Scan(Scan),
    /// Usage of the processes that the engine asked to be sampled ([`Watch::usage`]).
    Sample(Vec<UsageRow>),
    /// The arguments of a process, read from its memory because the engine asked ([`Effect::ReadArgs`]); `None` when
    /// it was gone.
    Args {
        /// Which.
        key: ProcessKey,
        /// Separated by NUL, without a closing one.
        args: Option<Box<str>>,
    },
    /// Records were lost. Until the next [`Input::Scan`] nothing new fires.
    Lost(Loss),
    /// Other policies from now on; what was firing under the same name and bound keeps firing.
    Policies(Arc<PolicySet>, Arc<Users>),
    /// The moment of the last [`Effect::WakeAt`] has come.
    Tick,
}

/// Everything that the engine can want done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Tell the world.
    Emit(Event),
    /// Set what the kernel side watches of a process; [`Watch::NONE`] takes it out.
    Watch(ProcessKey, Watch),
    /// Call [`Engine::step`] with [`Input::Tick`] at this moment, if nothing earlier was asked for; one outstanding
    /// moment is enough, a new one replaces it. `None`: nothing is waited for.
    WakeAt(Option<KTime>),
    /// Run the scan iterator and hand in [`Input::Scan`] before any further record.
    Scan,
    /// Read the arguments from the process's memory (it may have rewritten them) and hand in [`Input::Args`].
    ReadArgs(ProcessKey),
    /// Sample usage at the configured interval, or stop doing so.
    Sampling(bool),
}

/// What the kernel side is to watch of one process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// Its exit wakes the daemon at once, and signals that may end it are recorded.
    pub exit: bool,
    /// The sample iterator reports it.
    pub usage: bool,
}

impl Watch {
    /// Nothing.
    pub const NONE: Self = Self { exit: false, usage: false };
}
