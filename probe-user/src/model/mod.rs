//! Every process of the host, kept right from records, scans and samples. Pure: time comes in as an argument.
//!
//! What holds, whatever order the records come in:
//! - a process is in the table once, by [`ProcessKey`], from its fork (or the first record or scan that names it) until
//!   its account is closed;
//! - each process that was announced ([`Change::Appeared`]) ends in exactly one [`Change::Closed`];
//! - the table's size follows the number of processes alive, whatever the churn.

mod blame;
mod cgroups;
mod close;
mod deadlines;
mod descent;
pub(crate) mod hash;
mod kin;
mod known;
mod life;
mod recent;
mod scan;
mod slice;
mod store;
mod table;
#[cfg(test)]
mod tests;
mod usage;

use std::sync::Arc;

pub use close::ACCOUNT_GRACE;
pub use known::{Known, Origin};
pub use store::Closed;
pub use table::Table;

use crate::record::{Account, Comm, ExitStatus, Identity, ProcessKey, Program, SignalSent};
use crate::time::KTime;

/// One process.
#[derive(Clone, Debug, PartialEq)]
pub struct Process {
    /// Which.
    pub key: ProcessKey,
    /// Who. After a `Rename` the comm is the new one; `parent` follows the kernel's reparenting only at a scan.
    pub identity: Identity,
    /// What it executes; shared with its forker until it executes something itself.
    pub program: Arc<Program>,
    /// Path of its cgroup, "" while unknown.
    pub cgroup: Arc<str>,
    /// When its present program was started: its last exec, or its fork.
    pub program_since: KTime,
    /// How often it executed a program, as far as seen.
    pub execs: u32,
    /// Threads alive, as last sampled or scanned; 1 at the fork.
    pub threads: u32,
    /// Usage as last sampled, and the peak known at exit.
    pub usage: Usage,
    /// The last signal that may end it.
    pub last_signal: Option<(KTime, SignalSent)>,
    /// The OOM killer chose it.
    pub oom: bool,
    /// Set once its last thread is gone.
    pub exit: Option<Exit>,
}

/// Usage of a living process: totals that never fall, and its present memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// When it was sampled; `None` before the first time.
    pub at: Option<KTime>,
    /// CPU time in ns, run-queue wait in ns, storage bytes read and written.
    pub totals: Totals,
    /// Resident memory.
    pub rss_bytes: u64,
}

/// What rises over a process's life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// CPU time.
    pub cpu_ns: u64,
    /// Time runnable but waiting for a CPU.
    pub wait_ns: u64,
    /// Bytes read from storage.
    pub read_bytes: u64,
    /// Bytes written to storage.
    pub write_bytes: u64,
}

/// How and when a process ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Exit {
    /// When its last thread ended.
    pub at: KTime,
    /// How; `None` when its end was only noticed (a scan after a loss no longer found it).
    pub status: Option<ExitStatus>,
    /// Who killed it, when a signal did and its sender was recorded.
    pub killer: Option<Killer>,
    /// The OOM killer did.
    pub oom: bool,
    /// Peak of its resident memory; 0 when unknown.
    pub peak_rss_bytes: u64,
}

/// Who sent the signal that ended a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Killer {
    /// Its tgid.
    pub pid: u32,
    /// Its real user id.
    pub uid: u32,
    /// Its comm.
    pub comm: Comm,
}

/// What a record, scan or sample changed, in order. Consumers look the process up in the table by its key; a process of
/// [`Change::Closed`] is handed over, for it is no longer in the table. One call can end what it began: a process that
/// appeared in it and is not in the table any more has its `Closed` later in the same list.
#[derive(Debug, PartialEq)]
pub enum Change<T = ()> {
    /// It is in the table now.
    Appeared {
        /// Which.
        key: ProcessKey,
        /// How it came.
        how: Appearance,
    },
    /// It runs a new program.
    Executed {
        /// Which.
        key: ProcessKey,
    },
    /// Its comm, user, program, arguments, parent or cgroup are known anew, without an exec to tell of: selectors must
    /// look again.
    Redefined {
        /// Which.
        key: ProcessKey,
    },
    /// Its last thread is gone; its account is still open. The status is unknown when only the absence was noticed; the
    /// process of [`Change::Closed`] has it if the exit record came after all.
    Exited {
        /// Which.
        key: ProcessKey,
    },
    /// The OOM killer chose it.
    OomVictim {
        /// Which.
        key: ProcessKey,
    },
    /// Usage was sampled: what was used since the last time (or since the process was first seen).
    Used {
        /// Which.
        key: ProcessKey,
        /// The difference.
        delta: Totals,
    },
    /// The end: exited and accounted for, and gone from the table.
    Closed {
        /// The process as it was at last.
        process: Closed<T>,
        /// What it used in its whole life.
        account: Account,
        /// What it used after its last sample: to be added to what [`Change::Used`] said before. Nothing for a process
        /// that a scan brought and that was never sampled.
        delta: Totals,
    },
}

/// How a process came into the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appearance {
    /// Its fork was recorded.
    Forked,
    /// It was there when the daemon first looked.
    Seeded,
    /// A scan after a loss found it, or a later record named it: its fork was lost.
    Found,
}
