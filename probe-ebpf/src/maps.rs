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

/// When the daemon was last woken, CLOCK_MONOTONIC ns.
#[map]
pub(crate) static LAST_WAKE: Array<u64> = Array::with_max_entries(1, 0);

/// Ids of the cgroups whose path was told. When it forgets one, the path is told again.
#[map]
pub(crate) static CGROUPS_TOLD: LruHashMap<u64, u8> = LruHashMap::with_max_entries(8_192, 0);

/// Where an exec record is put together. The program is not entered again on a CPU on which it runs.
#[map]
pub(crate) static EXEC_SCRATCH: PerCpuArray<ExecScratch> = PerCpuArray::with_max_entries(1, 0);

/// Where a cgroup record is put together.
#[map]
pub(crate) static CGROUP_SCRATCH: PerCpuArray<CgroupScratch> = PerCpuArray::with_max_entries(1, 0);

/// Where the scan iterator puts a row together. Apart from the others, for an iterator can be interrupted by them.
#[map]
pub(crate) static SCAN_SCRATCH: PerCpuArray<ScanScratch> = PerCpuArray::with_max_entries(1, 0);

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
