//! What the engine can want done.

use std::sync::Arc;

use crate::event::Event;
use crate::policy::spec::Action;
use crate::record::ProcessKey;
use crate::time::KTime;

/// Everything that the engine can want done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Tell the world.
    Emit(Event),
    /// Set what the kernel side watches of a process; [`Watch::NONE`] takes it out.
    Watch(ProcessKey, Watch),
    /// Call [`super::Engine::step`] with [`super::Input::Tick`] at this moment, if nothing earlier was asked for; one outstanding
    /// moment is enough, a new one replaces it. `None`: nothing is waited for.
    WakeAt(Option<KTime>),
    /// Run the scan iterator and hand in [`super::Input::Scan`] before any further record.
    Scan,
    /// Look again at what a process can change without telling anyone, and hand in [`super::Input::Reread`].
    Reread {
        /// Which.
        key: ProcessKey,
        /// Its user matters to some policy: that is a larger file to read.
        user: bool,
    },
    /// Sample usage at the configured interval, or stop doing so.
    Sampling(bool),
    /// Do something about an alarm, and hand in [`super::Input::Acted`] when that has ended.
    Act(Order),
}

/// Something to be done about an alarm.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// Its number, rising.
    pub number: u64,
    /// What.
    pub action: Arc<Action>,
    /// The processes to signal; none for an action that runs a program.
    pub targets: Vec<Target>,
    /// The alarm's facts, for the program's environment: name without prefix, value.
    pub facts: Vec<(&'static str, String)>,
}

/// A process to signal, as it can be told apart from a later one of the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Which.
    pub key: ProcessKey,
    /// CLOCK_BOOTTIME ns at which it started.
    pub start_boot_ns: u64,
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
