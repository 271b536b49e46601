//! The maps, under the names of `probe_common::maps`.

use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf};
use probe_common::maps::{CpuState, GroupAccount};
use probe_common::record::{ARGS_CAP, CGROUP_CAP, COMPONENT_CAP, Cgroup, EXE_CAP, Exec, FILENAME_CAP, Task};

/// Every record; the loader may choose another size.
#[map]
pub(crate) static RECORDS: RingBuf = RingBuf::with_byte_size(4 << 20, 0);

/// tgid to [`probe_common::maps::Watch`] bits. Written by the daemon; by the fork program for children.
#[map]
pub(crate) static WATCHED: HashMap<u32, u32> = HashMap::with_max_entries(65_536, BPF_F_NO_PREALLOC);

/// Sequence numbers and loss counters.
#[map]
pub(crate) static CPU_STATE: PerCpuArray<CpuState> = PerCpuArray::with_max_entries(1, 0);

/// tgid to the account of a group with more than one thread.
#[map]
pub(crate) static ACCOUNTS: HashMap<u32, GroupAccount> = HashMap::with_max_entries(65_536, BPF_F_NO_PREALLOC);

/// How many entries of [`ACCOUNTS`] there are for tgids of the same remainder. Nearly always none: neighbours share a
/// cache line here, where the hash would fetch one from memory for each process that is freed.
#[map]
pub(crate) static ACCOUNT_COUNTS: Array<u64> = Array::with_max_entries(ACCOUNT_COUNTS_LEN, 0);

/// A power of two.
pub(crate) const ACCOUNT_COUNTS_LEN: u32 = 4_096;

/// When an entry of [`ACCOUNTS`] last found no room, CLOCK_MONOTONIC ns; 0 for never.
#[map]
pub(crate) static LAST_REFUSED: Array<u64> = Array::with_max_entries(1, 0);

/// When the daemon was last woken, CLOCK_MONOTONIC ns.
#[map]
pub(crate) static LAST_WAKE: Array<u64> = Array::with_max_entries(1, 0);

/// Ids of the cgroups whose path was told. When it forgets one, the path is told again.
#[map]
pub(crate) static CGROUPS_TOLD: LruHashMap<u64, u8> = LruHashMap::with_max_entries(8_192, 0);

/// The cgroup of the last process that started on this CPU, once its path was told: the next one's is mostly the same.
#[map]
pub(crate) static CGROUP_LAST: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// Where an exec record is put together. The program is not entered again on a CPU on which it runs.
#[map]
pub(crate) static EXEC_SCRATCH: PerCpuArray<ExecScratch> = PerCpuArray::with_max_entries(1, 0);

/// Where a cgroup record is put together.
#[map]
pub(crate) static CGROUP_SCRATCH: PerCpuArray<CgroupScratch> = PerCpuArray::with_max_entries(1, 0);

/// Where the scan iterator puts a row together. Apart from the others, for an iterator can be interrupted by them.
#[map]
pub(crate) static SCAN_SCRATCH: PerCpuArray<ScanScratch> = PerCpuArray::with_max_entries(1, 0);

/// The processes that the last sample met, for [`crate::glance`] to find them by their addresses.
#[map]
pub(crate) static ROSTER: Array<RosterEntry> = Array::with_max_entries(ROSTER_CAP, 0);

/// [`probe_common::maps::LeftOut`] bits, written by the daemon.
#[map]
pub(crate) static LEFT_OUT: Array<u32> = Array::with_max_entries(1, 0);

/// How far the iterators are.
#[map]
pub(crate) static PROGRESS: Array<Progress> = Array::with_max_entries(1, 0);

/// Most processes that are found again without a sample. With more of them every look is a sample.
pub(crate) const ROSTER_CAP: u32 = 16_384;

/// Entries are allocated when needed: most hosts need few of so many.
const BPF_F_NO_PREALLOC: u32 = 1;

/// A path is read component by component, each with room for the longest: hence the slack behind the cap.
#[repr(C)]
pub(crate) struct ExecScratch {
    pub(crate) exec: Exec,
    pub(crate) tail: [u8; EXE_CAP + COMPONENT_CAP + FILENAME_CAP + ARGS_CAP],
    pub(crate) cursor: u32,
}

#[repr(C)]
pub(crate) struct CgroupScratch {
    pub(crate) cgroup: Cgroup,
    pub(crate) tail: [u8; CGROUP_CAP + COMPONENT_CAP],
    pub(crate) cursor: u32,
}

#[repr(C)]
pub(crate) struct ScanScratch {
    pub(crate) task: Task,
    pub(crate) tail: [u8; EXE_CAP + CGROUP_CAP + 2 * COMPONENT_CAP],
    pub(crate) cursors: [u32; 2],
}

/// A process as a sample met it.
#[repr(C)]
pub(crate) struct RosterEntry {
    /// Address of its leader's `task_struct`.
    pub(crate) leader: u64,
    /// Address of its `signal_struct`, which it keeps whichever thread executes another program.
    pub(crate) signal: u64,
    /// Start time of its leader; with `tgid` the proof that the addresses still mean this process.
    pub(crate) start_time: u64,
    /// CPU time as it was last told, ns: of the leader when it is alone, of the whole group otherwise.
    pub(crate) cpu_ns: u64,
    pub(crate) tgid: u32,
    /// Not 0 when it has one thread and never had another.
    pub(crate) alone: u32,
}

/// How far the sample and glance iterators are. Only the daemon runs them, one at a time; the fork program
/// sets `stale` meanwhile.
#[repr(C)]
pub(crate) struct Progress {
    /// The sample that filled the roster, as the kernel numbers open iterators.
    pub(crate) sample: u64,
    /// Processes that it met; those beyond the cap are not in the roster.
    pub(crate) met: u32,
    /// Index of the process that the glance is at; [`crate::glance::OVER`] when the next call begins a glance.
    pub(crate) next: u32,
    /// The entry of the list of threads that it is at; 0 before the list.
    pub(crate) at: u64,
    /// The first thread of that list.
    pub(crate) first: u64,
    /// The `mm_struct` of the first thread that has one.
    pub(crate) mm: u64,
    /// Sums over the threads so far.
    pub(crate) cpu_ns: u64,
    pub(crate) wait_ns: u64,
    pub(crate) read_bytes: u64,
    pub(crate) write_bytes: u64,
    /// Not 0 when the process has used something and everything of it is being read.
    pub(crate) thorough: u32,
    /// Not 0 when a process is watched that the sample did not meet.
    pub(crate) stale: u32,
}
