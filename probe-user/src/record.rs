//! What the kernel told, in the daemon's own types: owned, checked, without layouts.
//!
//! Produced by [`crate::kernel`] from the wire structs of `probe-common`, consumed by [`crate::model`]. Text from
//! processes is hostile: here it is valid UTF-8 (invalid bytes replaced) and bounded; control characters are still in
//! it, [`crate::event`] escapes them on the way out.

mod comm;
mod host;
mod peer;

use std::sync::Arc;

use probe_common::maps::LossReason;

pub use comm::Comm;
pub use host::*;
pub use peer::*;

use crate::time::KTime;

/// A process for the life of a boot: PIDs are reused, start times tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessKey {
    /// Thread group id, in the initial PID namespace.
    pub tgid: u32,
    /// `task_struct.start_time` of the group's leader.
    pub start: KTime,
}

/// Who a process is, apart from its program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The parent; `None` for pid 1, kthreadd and the idle task.
    pub parent: Option<ProcessKey>,
    /// CLOCK_BOOTTIME ns at which the process started.
    pub start_boot_ns: u64,
    /// Id of its cgroup in the unified hierarchy.
    pub cgroup_id: u64,
    /// Real user id.
    pub uid: u32,
    /// Real group id.
    pub gid: u32,
    /// The leader's comm, at most 15 bytes.
    pub comm: Comm,
    /// `PF_KTHREAD`.
    pub kernel_thread: bool,
}

/// What a process executes; shared by a process and the children it forked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// Absolute path as /proc/PID/exe names it (for a script, its interpreter); empty when there is none.
    pub exe: Arc<str>,
    /// The path as it was executed (for a script, the script); empty when not seen.
    pub filename: Arc<str>,
    /// Arguments separated by NUL, without a closing one.
    pub args: Box<str>,
    /// How many arguments there are, also those cut off.
    pub args_count: u32,
    /// The arguments are longer than what was taken along.
    pub args_cut: bool,
}

impl Program {
    /// The arguments as people write them, joined by spaces.
    pub fn joined_args(&self) -> String {
        self.args.replace('\0', " ")
    }

    /// The arguments one by one; none for a program without any.
    pub fn args_list(&self) -> impl Iterator<Item = &str> {
        self.args.split('\0').filter(|_| !self.args.is_empty())
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// It returned this code.
    Code(u8),
    /// This signal killed it.
    Signal {
        /// Signal number.
        number: u8,
        /// It left a core dump.
        core_dumped: bool,
    },
}

impl ExitStatus {
    /// From the kernel's wait status.
    pub const fn from_wait(status: i32) -> Self {
        let [low, code, ..] = status.to_le_bytes();
        match low & 0x7f {
            0 => Self::Code(code),
            number => Self::Signal { number, core_dumped: low & 0x80 != 0 },
        }
    }

    /// A non-zero exit code or a signal.
    pub const fn is_failure(self) -> bool {
        !matches!(self, Self::Code(0))
    }
}

/// What a process used in its whole life (as far as the daemon could see it).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// CPU time.
    pub cpu_ns: u64,
    /// Time runnable but waiting for a CPU.
    pub wait_ns: u64,
    /// Bytes read from storage.
    pub read_bytes: u64,
    /// Bytes written to storage.
    pub write_bytes: u64,
    /// False when threads were missed (their account found no room) or the figure predates the last time slice.
    pub exact: bool,
}

/// One record of the ring buffer. `P` is how it names a program: itself, unless it is on its way between threads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<P = Arc<Program>> {
    /// When it happened.
    pub at: KTime,
    /// The process that it is about. For [`Body::Oom`] on kernels before 6.8 `tgid` is a tid and `start` is 0.
    pub key: ProcessKey,
    /// What happened.
    pub body: Body<P>,
}

#[cfg(test)]
impl<P> Record<P> {
    /// The same, naming its program otherwise.
    pub(crate) fn with_program<Q>(self, program: impl FnOnce(P) -> Q) -> Record<Q> {
        let body = match self.body {
            Body::Fork { identity, forker } => Body::Fork { identity, forker },
            Body::Exec { identity, program: named } => Body::Exec { identity, program: program(named) },
            Body::Exit { status, peak_rss_bytes, cpu_ns, comm, uid, parent_tgid } => {
                Body::Exit { status, peak_rss_bytes, cpu_ns, comm, uid, parent_tgid }
            }
            Body::Account(account) => Body::Account(account),
            Body::Signal(signal) => Body::Signal(signal),
            Body::Oom => Body::Oom,
            Body::Rename { comm } => Body::Rename { comm },
            Body::Cgroup { id, path } => Body::Cgroup { id, path },
        };
        Record { at: self.at, key: self.key, body }
    }
}

/// What happened to the process of a [`Record`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body<P = Arc<Program>> {
    /// It came to be, running its forker's program.
    Fork {
        /// Of the child.
        identity: Identity,
        /// Who forked it: the parent, unless `CLONE_PARENT` was used.
        forker: ProcessKey,
    },
    /// It runs a new program.
    Exec {
        /// With the new comm.
        identity: Identity,
        /// The new program.
        program: P,
    },
    /// Its last thread ended.
    Exit {
        /// How.
        status: ExitStatus,
        /// Peak of its resident memory.
        peak_rss_bytes: u64,
        /// CPU time so far, not exact.
        cpu_ns: u64,
        /// The comm and uid, for a process that was never seen before.
        comm: Comm,
        /// Real user id.
        uid: u32,
        /// The parent's tgid.
        parent_tgid: u32,
    },
    /// All its threads are freed: this is what it used.
    Account(Account),
    /// A signal that may end it was generated (only for watched processes).
    Signal(SignalSent),
    /// The OOM killer chose it.
    Oom,
    /// Its leader has a new comm.
    Rename {
        /// The new one.
        comm: Comm,
    },
    /// The path of a cgroup id.
    Cgroup {
        /// The id.
        id: u64,
        /// The path inside the unified hierarchy, starting with "/".
        path: Arc<str>,
    },
}

/// A signal on its way to a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignalSent {
    /// Signal number.
    pub number: u8,
    /// The kernel raised it itself (`si_code` above 0: a fault, the OOM killer, a terminal), nobody sent it.
    pub by_kernel: bool,
    /// The process that ran when it was generated.
    pub sender_tgid: u32,
    /// Its real user id.
    pub sender_uid: u32,
    /// Its comm.
    pub sender_comm: Comm,
}

/// One process as the scan iterator found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskRow {
    /// Which.
    pub key: ProcessKey,
    /// Who.
    pub identity: Identity,
    /// The executable's path, empty for a kernel thread.
    pub exe: Arc<str>,
    /// The path of its cgroup.
    pub cgroup: Arc<str>,
    /// Threads alive.
    pub threads: u32,
    /// It has ended and waits to be waited for.
    pub zombie: Option<ExitStatus>,
    /// CPU time of its threads that were gone before the scan.
    pub reaped_cpu_ns: u64,
}

/// Everything that lives, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Read before the iterator ran: what started later may be missing, what the ring told until then is in it.
    pub began: KTime,
    /// Every thread group with a leader in the task list.
    pub rows: Vec<TaskRow>,
    /// Arguments of the processes that the table did not know, read from their memory; same separators as
    /// [`Program::args`].
    pub args: Vec<(ProcessKey, Box<str>)>,
}

/// What a process says of itself at a second look: it can change both without telling anyone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reread {
    /// Its arguments; same separators as [`Program::args`].
    pub args: Box<str>,
    /// Its real user id, where that could be read.
    pub uid: Option<u32>,
}

/// Usage of one watched process, its living threads summed, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageRow {
    /// Which.
    pub key: ProcessKey,
    /// Threads alive.
    pub threads: u32,
    /// CPU time of the living threads and of those freed since the daemon attached; rises, but for threads that are
    /// between their end and their freeing.
    pub cpu_ns: u64,
    /// Run-queue wait, likewise.
    pub wait_ns: u64,
    /// Bytes read from storage, likewise.
    pub read_bytes: u64,
    /// Bytes written to storage, likewise.
    pub write_bytes: u64,
    /// Resident memory.
    pub rss_bytes: u64,
}

/// Records that did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Why.
    pub reason: Lost,
    /// How many.
    pub count: u64,
}

/// Why a record did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lost {
    /// The kernel side counted it.
    Kernel(LossReason),
    /// A program was entered while it ran on the same CPU; the kernel skipped it (`recursion_misses`).
    Recursion,
    /// A record could not be decoded.
    Undecodable,
}

impl Lost {
    /// Everything that can happen to a record.
    pub fn all() -> impl Iterator<Item = Self> {
        LossReason::ALL.into_iter().map(Self::Kernel).chain([Self::Recursion, Self::Undecodable])
    }

    /// The word used in `procprobe.agent.lost`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kernel(reason) => reason.as_str(),
            Self::Recursion => "recursion",
            Self::Undecodable => "undecodable",
        }
    }

    /// Whether the process table may be wrong after it. Accounts and wake-ups that found no room leave it right.
    pub const fn harms_table(self) -> bool {
        !matches!(self, Self::Kernel(LossReason::AccountsFull | LossReason::WatchedFull))
    }
}

/// Lines of one file that matched one log, since the last such message about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLines {
    /// Name of the log.
    pub log: Arc<str>,
    /// Absolute path of the file.
    pub path: Arc<str>,
    /// How many lines matched; those in `first` included.
    pub count: u64,
    /// The first of them, bounded in number.
    pub first: Vec<LogLine>,
}

/// One line that matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// The keyword or expression that was found, as the policy writes it.
    pub keyword: Arc<str>,
    /// The line without its end: valid UTF-8, bounded, control characters still in it.
    pub text: Box<str>,
}

/// What became of an action that was ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acted {
    /// The order's number.
    pub order: u64,
    /// What became of it.
    pub outcome: Outcome,
}

/// How an action ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The program ended by itself or was killed.
    Ran {
        /// How; `None` where that could not be learnt.
        status: Option<ExitStatus>,
        /// It was killed because it took too long.
        timed_out: bool,
        /// How long it took, in ns.
        took_ns: u64,
        /// The end of what it wrote, valid UTF-8, bounded.
        output: Box<str>,
    },
    /// Processes were signalled.
    Signalled {
        /// Which.
        pids: Vec<u32>,
        /// Which of these needed SIGKILL.
        killed: Vec<u32>,
        /// Which of these were alive when the daemon ended, before SIGKILL was due: it was not sent.
        left: Vec<u32>,
        /// Those that were gone or somebody else by then.
        gone: Vec<u32>,
    },
    /// It could not be done.
    Failed {
        /// Why.
        why: Box<str>,
    },
}
