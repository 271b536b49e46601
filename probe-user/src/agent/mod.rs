//! What the daemon tells of itself: events about its own life, and what it costs.

mod cost;
mod disk;
mod guard;
mod paths;
mod tell;

pub use cost::{Cost, KernelCost, ProgramCost, own_cost, own_memory, own_time};
pub use disk::{Disk, Stand};
pub use guard::{Guard, Limits, Shed, Step, Usage, steps};
pub use paths::{Paths, Seen};
pub use tell::{
    Heartbeat, Held, Started, heartbeat, lost, lost_numbers, reload_failed, reloaded, shed, started, stopped,
};

use std::time::Duration;

/// How often a heartbeat is told.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(30);
/// The daemon's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
