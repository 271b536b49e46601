//! Names of the maps and globals, and the values kept in the maps.
//!
//! The kernel side declares its maps under exactly these names; the daemon finds them by them.

/// Ring buffer with every record.
pub const RECORDS: &str = "RECORDS";
/// Hash of tgid to [`Watch`] bits.
pub const WATCHED: &str = "WATCHED";
/// Per-CPU array with one [`CpuState`].
pub const CPU_STATE: &str = "CPU_STATE";
/// Hash of tgid to the account of its threads that are gone.
pub const ACCOUNTS: &str = "ACCOUNTS";
/// Array with one number, [`LeftOut`] bits.
pub const LEFT_OUT: &str = "LEFT_OUT";

/// Why the kernel side could not deliver a record. The number is the index into [`CpuState::lost`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum LossReason {
    /// The ring buffer had no room.
    RingFull = 0,
    /// The hash of threads' accounts had no room: the CPU time of threads that ended before the last one is missing.
    AccountsFull = 1,
    /// The hash of watched processes had no room for a child: its exit wakes nobody and waits for the next drain.
    WatchedFull = 2,
}

impl LossReason {
    /// All of them, in the order of their index.
    pub const ALL: [Self; 3] = [Self::RingFull, Self::AccountsFull, Self::WatchedFull];

    /// The word used in `procprobe.agent.lost`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RingFull => "ring_full",
            Self::AccountsFull => "accounts_full",
            Self::WatchedFull => "watched_full",
        }
    }
}

/// Number of loss counters, [`LossReason::ALL`]`.len()`.
pub const LOSS_REASONS: usize = LossReason::ALL.len();

/// What each CPU keeps for itself; to the daemon it is `[u64; 1 + LOSS_REASONS]`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuState {
    /// How many records this CPU tried to deliver: the sequence number of the last one.
    pub seq: u64,
    /// Records not delivered, by [`LossReason`].
    pub lost: [u64; LOSS_REASONS],
    /// Not 0: so much waited in the ring when this CPU last looked that it looks again with each record.
    pub crowded: u64,
}

/// What the daemon does without for now, to stay within its limits; bits of the value in [`LEFT_OUT`].
pub struct LeftOut;

impl LeftOut {
    /// No arguments in exec records: they count as cut.
    pub const ARGS: u32 = 1;
}

/// What the daemon wants to know of a process; bits of the value in [`WATCHED`].
pub struct Watch;

impl Watch {
    /// Its exit wakes the daemon at once.
    pub const EXIT: u32 = 1;
    /// The sample iterator reports its usage.
    pub const USAGE: u32 = 1 << 1;
    /// Signals that may end it are recorded with their sender.
    pub const SIGNALS: u32 = 1 << 2;
    /// Set by the fork program: the bits are its forker's. They count until the first exec, for a new program is nobody's
    /// heir; the daemon decides anew when it reads of the exec. Otherwise every child of a watched shell would wake it at
    /// its exit.
    pub const INHERITED: u32 = 1 << 3;
}

/// The account of a thread group whose threads are ending, kept in [`ACCOUNTS`] until the last one is freed.
///
/// `pending` counts threads that passed `sched_process_exit` and are not freed yet.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupAccount {
    /// Start time of the group's leader, CLOCK_MONOTONIC ns.
    pub start_time: u64,
    /// CPU time of the freed threads, ns.
    pub cpu_ns: u64,
    /// Run-queue wait of the freed threads, ns.
    pub wait_ns: u64,
    /// Bytes that the freed threads caused to be read from storage.
    pub read_bytes: u64,
    /// Bytes that the freed threads caused to be written to storage.
    pub write_bytes: u64,
    /// Threads that have ended and are not freed yet, as a signed number: an end before the daemon attached makes it -1.
    pub pending: u64,
    /// Threads freed.
    pub threads: u64,
    /// Not 0 once the last thread has ended.
    pub dead: u64,
}
