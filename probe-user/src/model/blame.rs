//! Who killed a process: which of the signals it was sent is the one that it died of.
//!
//! Bounded: the last signal of each number is remembered, [`SIGNALS_MAX`] numbers at most. A signal that arrives after
//! the exit it caused (records of two CPUs) still counts, until the process is closed.

use std::time::Duration;

use super::{KTime, Killer};
use crate::record::SignalSent;

/// Most signal numbers remembered for one process; the least recent is forgotten first.
const SIGNALS_MAX: usize = 8;
/// A handled or blocked signal of so long ago is not what killed it now. SIGKILL waits for nothing but an
/// uninterruptible sleep, however long that takes.
const STILL_DEADLY: Duration = Duration::from_mins(1);
/// SIGKILL.
pub(super) const KILL: u8 = 9;

/// The last signals of a process, one of each number.
#[derive(Debug, Default)]
pub(super) struct Signals(Vec<(KTime, SignalSent)>);

impl Signals {
    /// Remembers a signal, unless a later one of its number is already known.
    pub(super) fn remember(&mut self, at: KTime, signal: &SignalSent) {
        if let Some(known) = self.0.iter_mut().find(|(_, known)| known.number == signal.number) {
            if at >= known.0 {
                *known = (at, signal.clone());
            }
            return;
        }
        if self.0.len() >= SIGNALS_MAX
            && let Some(oldest) = (0..self.0.len()).min_by_key(|place| self.0[*place].0)
        {
            self.0.swap_remove(oldest);
        }
        self.0.push((at, signal.clone()));
    }

    /// Who sent the signal that ended `tgid` at that moment. Nobody did when the kernel raised it or the process sent
    /// it to itself.
    pub(super) fn killer(&self, tgid: u32, number: u8, exited: KTime) -> Option<Killer> {
        let (at, signal) = self.0.iter().find(|(_, signal)| signal.number == number)?;
        let blamed = !signal.by_kernel
            && signal.sender_tgid != tgid
            && *at <= exited
            && (number == KILL || exited.since(*at) <= STILL_DEADLY);
        blamed.then(|| Killer { pid: signal.sender_tgid, uid: signal.sender_uid, comm: signal.sender_comm.clone() })
    }
}
