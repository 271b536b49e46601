//! The durable queue: every event lies here, on disk, before it counts as accepted; forwarders and the local history read
//! it from here.
//!
//! A log of our own, not a database: events come in one order, are read in that order, and go from the old end. So a
//! batch costs one append and one fsync, room is made by removing files, memory does not grow with what waits, and damage
//! stays inside one file.
//!
//! What holds, whatever dies at whatever moment:
//! - what [`Store::append`] acknowledged is read again, in order, until every collector has acknowledged it, unless it was
//!   dropped and counted;
//! - an event has one position for ever; what a crash repeats is the same event with the same id;
//! - a drop is written down before it is done, or before anything behind it is accepted, so that it is told even if the
//!   daemon dies in between;
//! - a damaged file is set aside under another name, what is whole in it is kept, and what is not is counted.
//!
//! When the spool is full: first what every collector has (the history) goes, oldest first; then, with
//! [`WhenFull::DropOldest`], starts and exits of processes from the oldest on, and only when none are left the oldest
//! alarms; with [`WhenFull::DropNewest`] what comes in is refused. Each is counted.

use serde::{Deserialize, Serialize};

pub(crate) mod disk;
mod frame;
mod front;
mod inbox;
mod mend;
pub(crate) mod ram;
mod reader;
mod room;
mod segment;
mod state;
mod store;
#[cfg(test)]
mod tests;
mod writer;

pub use frame::{Class, PAYLOAD_MAX};
pub use front::{Settings, Spool, Status};
pub use inbox::NO_MEMORY;
pub use reader::{Backlog, Gauge, Reader, View};
pub use store::Entry;

/// What a full spool does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// The oldest go.
    #[default]
    DropOldest,
    /// What comes is refused.
    DropNewest,
}

/// Sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// All files together.
    pub max_bytes: u64,
    /// A file is full from here on.
    pub segment_bytes: u64,
    /// What then.
    pub when_full: WhenFull,
}

impl Limits {
    /// For a spool of that size.
    pub fn of(max_bytes: u64, when_full: WhenFull) -> Self {
        const SMALLEST: u64 = 64 << 10;
        const LARGEST: u64 = 4 << 20;
        Self { max_bytes, segment_bytes: (max_bytes / 16).clamp(SMALLEST, LARGEST), when_full }
    }
}

/// What became of events that did not get through, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lost {
    /// Dropped because the spool was full.
    pub full: u64,
    /// In the damaged part of a file; at least so many.
    pub damaged: u64,
    /// Dropped because too many waited for a disk that did not take them.
    pub memory: u64,
    /// Never taken by a collector.
    pub rejected: u64,
}

impl Lost {
    fn plus(self, more: Self) -> Self {
        Self {
            full: self.full.saturating_add(more.full),
            damaged: self.damaged.saturating_add(more.damaged),
            memory: self.memory.saturating_add(more.memory),
            rejected: self.rejected.saturating_add(more.rejected),
        }
    }

    fn less(self, part: Self) -> Self {
        Self {
            full: self.full.saturating_sub(part.full),
            damaged: self.damaged.saturating_sub(part.damaged),
            memory: self.memory.saturating_sub(part.memory),
            rejected: self.rejected.saturating_sub(part.rejected),
        }
    }
}
