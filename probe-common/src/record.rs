//! The records, as they lie in the ring buffer and in the iterators' output.
//!
//! Each starts with a [`Header`]. Those with text end in a tail of bytes whose lengths are in the fixed part. Numbers
//! are in the machine's byte order: both sides run on the same machine. Times are CLOCK_MONOTONIC nanoseconds unless
//! the name says otherwise. `(tgid, start_time)` names a process for the life of a boot: PIDs are reused.

/// Bytes of `task_struct.comm` (`TASK_COMM_LEN`).
pub const COMM_LEN: usize = 16;
/// Most bytes of arguments in one record.
pub const ARGS_CAP: usize = 4096;
/// Most bytes of the path as executed in one record.
pub const FILENAME_CAP: usize = 512;
/// Most bytes of the executable's path components in one record.
pub const EXE_CAP: usize = 1024;
/// Most bytes of a cgroup's path components in one record.
pub const CGROUP_CAP: usize = 1024;
/// Most components of a path that the kernel side walks.
pub const PATH_DEPTH: usize = 24;
/// Most bytes of one component, with its closing NUL (`NAME_MAX` + 1).
pub const COMPONENT_CAP: usize = 256;

/// What a record tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum RecordKind {
    /// [`Fork`]: a new thread group.
    Fork = 1,
    /// [`Exec`]: a thread group runs a new program.
    Exec = 2,
    /// [`Exit`]: the last thread of a group ended.
    Exit = 3,
    /// [`Account`]: all threads of a group are freed, its account is closed.
    Account = 4,
    /// [`Signal`]: a signal that may end a watched process was generated.
    Signal = 5,
    /// [`Oom`]: the kernel's OOM killer chose this process.
    Oom = 6,
    /// [`Rename`]: a group's leader changed its comm.
    Rename = 7,
    /// [`Cgroup`]: the path of a cgroup that a record before or after it names by id.
    Cgroup = 8,
    /// [`Task`]: one living process or zombie, from the scan iterator.
    Task = 9,
    /// [`Usage`]: one living thread of a watched process, from the sample iterator.
    Usage = 10,
    /// [`GlanceEnd`]: the glance iterator has looked at every process that it knows.
    GlanceEnd = 11,
}

impl RecordKind {
    /// The kind with this number.
    pub const fn from_u16(kind: u16) -> Option<Self> {
        Some(match kind {
            1 => Self::Fork,
            2 => Self::Exec,
            3 => Self::Exit,
            4 => Self::Account,
            5 => Self::Signal,
            6 => Self::Oom,
            7 => Self::Rename,
            8 => Self::Cgroup,
            9 => Self::Task,
            10 => Self::Usage,
            11 => Self::GlanceEnd,
            _ => return None,
        })
    }
}

/// Bits of [`Header::flags`].
pub struct Flags;

impl Flags {
    /// The process is a kernel thread (`PF_KTHREAD`).
    pub const KERNEL_THREAD: u16 = 1;
    /// The executable's path was cut: deeper than [`PATH_DEPTH`] or longer than [`EXE_CAP`].
    pub const EXE_CUT: u16 = 1 << 1;
    /// The arguments could not be read from the process's memory.
    pub const ARGS_UNREADABLE: u16 = 1 << 2;
    /// The account may miss threads: while the process lived, the entry of some process found no room.
    pub const ACCOUNT_PARTIAL: u16 = 1 << 3;
    /// The process is a zombie: ended, not yet waited for.
    pub const ZOMBIE: u16 = 1 << 4;
    /// The cgroup's path was cut: deeper than [`PATH_DEPTH`] or longer than [`CGROUP_CAP`].
    pub const CGROUP_CUT: u16 = 1 << 5;
    /// The glance cannot tell of every watched process: a sample is needed.
    pub const STALE: u16 = 1 << 6;
}

/// The start of every record.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// A [`RecordKind`].
    pub kind: u16,
    /// [`Flags`].
    pub flags: u16,
    /// Bytes of the whole record, this header and the tail included.
    pub size: u32,
    /// The CPU that wrote the record; `seq` counts for each CPU on its own.
    pub cpu: u32,
    /// The process (thread group).
    pub tgid: u32,
    /// How many records its CPU had tried to deliver by then: its highest value less what came is what was lost. Two records
    /// share one where the second interrupted the first. 0 in iterator output.
    pub seq: u64,
    /// When it happened. 0 in iterator output.
    pub time: u64,
    /// Start time of the group's leader; with `tgid` the identity of the process.
    pub start_time: u64,
}

/// Who a process is, apart from its program; part of [`Fork`], [`Exec`] and [`Task`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Start time of the parent (`real_parent`'s group leader).
    pub parent_start_time: u64,
    /// Start of this process on CLOCK_BOOTTIME, which also counts suspended time.
    pub start_boottime: u64,
    /// Id of the cgroup in the unified (v2) hierarchy.
    pub cgroup_id: u64,
    /// The parent's tgid.
    pub parent_tgid: u32,
    /// Real user id in the initial user namespace.
    pub uid: u32,
    /// Real group id in the initial user namespace.
    pub gid: u32,
    /// Keeps the struct's size a multiple of 8.
    pub reserved: u32,
    /// The leader's comm, NUL-padded.
    pub comm: [u8; COMM_LEN],
}

/// `sched_process_fork`, when the child is a new thread group.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fork {
    /// Of the child.
    pub header: Header,
    /// Of the child.
    pub identity: Identity,
    /// Who called fork, `parent_tgid` unless `CLONE_PARENT` was used: its program is the child's program.
    pub forker_tgid: u32,
    /// Keeps the struct's size a multiple of 8.
    pub reserved: u32,
    /// Start time of the forker.
    pub forker_start_time: u64,
}

/// `sched_process_exec`. Tail: executable's components, filename as executed, arguments.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exec {
    /// Of the process, with the new program.
    pub header: Header,
    /// Of the process, with the new program's comm.
    pub identity: Identity,
    /// Number of arguments (`bprm->argc`).
    pub args_count: u32,
    /// Bytes of all arguments with their NULs, of which `args_len` are in the tail.
    pub args_bytes: u32,
    /// Bytes of the executable's path in the tail: components from the leaf to the root, each closed by a NUL.
    pub exe_len: u16,
    /// Bytes of the path as it was executed, in the tail, without a NUL.
    pub filename_len: u16,
    /// Bytes of the arguments in the tail, separated by NULs.
    pub args_len: u16,
    /// Keeps the struct's size a multiple of 8.
    pub reserved: u16,
}

/// `sched_process_exit` of a group's last thread.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exit {
    /// Of the process.
    pub header: Header,
    /// As `wait` returns it: signal in bits 0 to 6, core dumped in bit 7, exit code in bits 8 to 15.
    pub status: i32,
    /// The parent's tgid.
    pub parent_tgid: u32,
    /// Real user id.
    pub uid: u32,
    /// Keeps the struct's size a multiple of 8.
    pub reserved: u32,
    /// Most resident pages that the process ever had.
    pub max_rss_pages: u64,
    /// CPU time as far as it is known now: lacks the running slice. The exact one comes with [`Account`].
    pub cpu_ns: u64,
    /// The leader's comm.
    pub comm: [u8; COMM_LEN],
}

/// `sched_process_free` of a group's last thread: what the whole group used in its life since the daemon attached.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Of the process.
    pub header: Header,
    /// CPU time, exact.
    pub cpu_ns: u64,
    /// Time runnable but waiting for a CPU.
    pub wait_ns: u64,
    /// Bytes read from storage.
    pub read_bytes: u64,
    /// Bytes written to storage.
    pub write_bytes: u64,
    /// Threads in this account.
    pub threads: u64,
}

/// `signal_generate` for a watched process.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signal {
    /// Of the target.
    pub header: Header,
    /// Signal number.
    pub signal: i32,
    /// `si_code`: above 0 the kernel raised it (a fault), 0 or below a process sent it.
    pub code: i32,
    /// Who sent it (the running process when it was generated).
    pub sender_tgid: u32,
    /// The sender's real user id.
    pub sender_uid: u32,
    /// The sender's comm.
    pub sender_comm: [u8; COMM_LEN],
}

/// `mark_victim`. The header's `start_time` is 0 where the kernel gives no task (before 6.8), and `tgid` is then the
/// victim's tid.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Oom {
    /// Of the victim.
    pub header: Header,
}

/// `task_rename` of a group's leader.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rename {
    /// Of the process.
    pub header: Header,
    /// The new comm.
    pub comm: [u8; COMM_LEN],
}

/// A cgroup's path, told once for each id. Tail: components from the leaf to the root, each closed by a NUL.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cgroup {
    /// Of the process in whose record the id turned up first.
    pub header: Header,
    /// The id.
    pub cgroup_id: u64,
    /// Bytes of the path in the tail.
    pub path_len: u16,
    /// Keeps the struct's size a multiple of 8.
    pub reserved: [u16; 3],
}

/// One process, from the scan iterator. Tail: executable's components, cgroup's components.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Task {
    /// Of the process.
    pub header: Header,
    /// Of the process.
    pub identity: Identity,
    /// Threads alive.
    pub threads: u32,
    /// Exit status as in [`Exit::status`]; only of a zombie.
    pub status: i32,
    /// CPU time of threads that were reaped before, as far as the kernel keeps it; lacks their last slices.
    pub reaped_cpu_ns: u64,
    /// Bytes of the executable's path in the tail.
    pub exe_len: u16,
    /// Bytes of the cgroup's path in the tail.
    pub cgroup_len: u16,
    /// Keeps the struct's size a multiple of 8.
    pub reserved: u32,
}

/// One thread of a watched process, from the sample iterator; or all threads of one, summed, from the glance iterator.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Of the process.
    pub header: Header,
    /// The thread; the leader's equals the tgid, and so does that of a sum.
    pub tid: u32,
    /// Threads alive in the group.
    pub threads: u32,
    /// CPU time of this thread.
    pub cpu_ns: u64,
    /// Run-queue wait of this thread.
    pub wait_ns: u64,
    /// Bytes read from storage by this thread.
    pub read_bytes: u64,
    /// Bytes written to storage by this thread.
    pub write_bytes: u64,
    /// Resident pages of the process; the same for each of its threads.
    pub rss_pages: u64,
    /// CPU time of the group's threads that were freed since the daemon attached; only in the leader's row.
    pub gone_cpu_ns: u64,
    /// Their run-queue wait; only in the leader's row.
    pub gone_wait_ns: u64,
    /// Bytes they read; only in the leader's row.
    pub gone_read_bytes: u64,
    /// Bytes they wrote; only in the leader's row.
    pub gone_write_bytes: u64,
}

/// The end of a glance.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GlanceEnd {
    /// Of no process; [`Flags::STALE`] may be set.
    pub header: Header,
}
