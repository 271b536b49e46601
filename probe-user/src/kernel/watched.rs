//! Tells the kernel side which processes somebody waits for.
//!
//! The map is bounded. When it is full a process is simply not watched: its exit is told with the next drain instead of
//! at once. That is said once.

use std::collections::HashSet;

use aya::maps::{HashMap, MapData, MapError};
use probe_common::maps::Watch as Bits;

use crate::engine::Watch;
use crate::record::ProcessKey;

/// The kernel's map of watched processes.
pub struct Watched {
    map: HashMap<MapData, u32, u32>,
    /// What is in the map because of us; children that inherited an entry are not in here until the engine names them.
    set: HashSet<u32>,
    /// A refusal has been said.
    told: bool,
}

impl Watched {
    pub(super) fn new(map: HashMap<MapData, u32, u32>) -> Self {
        Self { map, set: HashSet::new(), told: false }
    }

    /// Watches a process for a recording: its usage and who kills it, but without waking the recorder at its exit.
    pub fn record(&mut self, tgid: u32) {
        self.put(tgid, Bits::USAGE | Bits::SIGNALS);
    }

    /// Sets what is watched of a process.
    pub fn set(&mut self, key: ProcessKey, watch: Watch) {
        if watch == Watch::NONE {
            self.set.remove(&key.tgid);
            self.remove(key.tgid);
            return;
        }
        self.put(key.tgid, bits(watch));
    }

    fn put(&mut self, tgid: u32, bits: u32) {
        match self.map.insert(tgid, bits, 0) {
            Ok(()) => {
                self.set.insert(tgid);
            }
            Err(error) => {
                if !std::mem::replace(&mut self.told, true) {
                    tracing::warn!(%error, tgid, "cannot watch a process; its exit will be told up to a drain later");
                }
            }
        }
    }

    /// Takes out what an earlier daemon watched and this one does not.
    pub fn forget_others(&mut self, watches: impl Fn(u32) -> bool) {
        let strange = |tgid: &u32| !self.set.contains(tgid) && !watches(*tgid);
        let others: Vec<u32> = self.map.keys().filter_map(Result::ok).filter(strange).collect();
        for tgid in others {
            self.remove(tgid);
        }
    }

    /// The process is gone. The exit program has taken it out; but when the daemon put it in after that, for it had not
    /// read of the exit yet, the entry would stay and meet the next process of that number.
    pub fn exited(&mut self, tgid: u32) {
        if self.set.remove(&tgid) {
            self.remove(tgid);
        }
    }

    fn remove(&mut self, tgid: u32) {
        match self.map.remove(&tgid) {
            Ok(()) | Err(MapError::KeyNotFound) => {}
            // Deleting what is not there is the ordinary case after an exit; aya reports it as a failed system call.
            Err(MapError::SyscallError(error)) if error.io_error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(%error, tgid, "cannot take a process out of the watched ones"),
        }
    }
}

fn bits(watch: Watch) -> u32 {
    let exit = if watch.exit { Bits::EXIT | Bits::SIGNALS } else { 0 };
    let usage = if watch.usage { Bits::USAGE } else { 0 };
    exit | usage
}
