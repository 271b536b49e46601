//! Two of the task iterators: who is there (scan), and what the watched ones use (sample). The third is [`glance`].
//!
//! They run only when the daemon reads from them, in its own context, over all tasks of the host. aya-ebpf has no macro
//! for iterators: the section name is all that the loader needs.

use aya_ebpf::helpers::generated::bpf_seq_write;
use core::ffi::c_void;
use probe_common::maps::Watch;
use probe_common::record::{CGROUP_CAP, EXE_CAP, Flags, Header, RecordKind, Task as TaskRecord, Usage};

use crate::maps::{ACCOUNTS, SCAN_SCRATCH};
use crate::task::{Cursor, Extent, Task, copy_cgroup_path, copy_exe_path};
use crate::{glance, watch};

/// `struct bpf_iter_meta`, of which the first two fields are all we need.
#[repr(C)]
pub struct IterMeta {
    pub(crate) seq: *mut c_void,
    /// Another one for each open iterator.
    pub(crate) session: u64,
}

/// `struct bpf_iter__task`: the context of an `iter/task` program. `task` is null in the last call.
#[repr(C)]
pub struct IterTask {
    pub(crate) meta: *mut IterMeta,
    pub(crate) task: *const u8,
}

/// Writes a [`TaskRecord`] for each thread group.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
extern "C" fn scan(ctx: *mut IterTask) -> i32 {
    // SAFETY: the kernel calls with a valid context; the verifier knows its shape.
    let (seq, task) = unsafe { ((*(*ctx).meta).seq, (*ctx).task) };
    if task.is_null() {
        return 0;
    }
    let task = Task(task);
    let tgid = task.tgid();
    if task.tid() != tgid {
        return 0;
    }
    let (mm, signal, cgroup) = (task.mm(), task.signal(), task.cgroup());
    let identity = task.identity(cgroup);
    let Some(scratch) = SCAN_SCRATCH.get_ptr_mut(0) else { return 0 };
    // SAFETY: the pointer is into this CPU's own value and was checked; both paths are bounded by their caps, and the
    // tail has room for both and the walks' slack.
    unsafe {
        let tail = (&raw mut (*scratch).tail).cast::<u8>();
        let mut flags = task.record_flags();
        let cursor = Cursor::start(&raw mut (*scratch).cursors[0]);
        if copy_exe_path::<EXE_CAP>(mm, tail, cursor) == Extent::Cut {
            flags |= Flags::EXE_CUT;
        }
        let exe_len = cursor.length();
        if exe_len > EXE_CAP {
            return 0;
        }
        let cursor = Cursor::start(&raw mut (*scratch).cursors[1]);
        if copy_cgroup_path::<CGROUP_CAP>(cgroup, tail.add(exe_len), cursor) == Extent::Cut {
            flags |= Flags::CGROUP_CUT;
        }
        let cgroup_len = cursor.length();
        if cgroup_len > CGROUP_CAP {
            return 0;
        }
        // A leader that ended before its threads is a zombie, its process is not.
        if task.exit_state() != 0 && signal.live() == 0 {
            flags |= Flags::ZOMBIE;
        }
        let size = size_of::<TaskRecord>() + exe_len + cgroup_len;
        (*scratch).task = TaskRecord {
            header: header(RecordKind::Task, flags, size, tgid, task.start_time()),
            identity,
            threads: signal.threads(),
            status: signal.wait_status(task),
            reaped_cpu_ns: signal.reaped_cpu_ns(),
            exe_len: exe_len as u16,
            cgroup_len: cgroup_len as u16,
            reserved: 0,
        };
        // When the buffer overflows the kernel calls again for the same task.
        bpf_seq_write(seq.cast(), scratch.cast(), size as u32);
    }
    0
}

/// Writes a [`Usage`] for each thread of each process that is watched for its usage, and notes where each process is
/// for the glances that follow.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
extern "C" fn sample(ctx: *mut IterTask) -> i32 {
    // SAFETY: the kernel calls with a valid context; the verifier knows its shape.
    let (seq, session, task) = unsafe { ((*(*ctx).meta).seq, (*(*ctx).meta).session, (*ctx).task) };
    if task.is_null() {
        return 0;
    }
    let task = Task(task);
    let tgid = task.tgid();
    let (leader, signal, mm) = (task.group_leader(), task.signal(), task.mm());
    if watch::bits_of(leader, tgid) & Watch::USAGE == 0 {
        return 0;
    }
    let tid = task.tid();
    // SAFETY: the value is copied at once.
    let account = if tid == tgid { unsafe { ACCOUNTS.get(tgid).copied() } } else { None };
    let gone = account.unwrap_or_default();
    let row = Usage {
        header: header(RecordKind::Usage, 0, size_of::<Usage>(), tgid, leader.start_time()),
        tid,
        threads: signal.threads(),
        cpu_ns: task.cpu_ns(),
        wait_ns: task.wait_ns(),
        read_bytes: task.read_bytes(),
        write_bytes: task.write_bytes(),
        rss_pages: mm.rss_pages(),
        gone_cpu_ns: gone.cpu_ns,
        gone_wait_ns: gone.wait_ns,
        gone_read_bytes: gone.read_bytes,
        gone_write_bytes: gone.write_bytes,
    };
    // SAFETY: a plain struct on the stack.
    let failed =
        unsafe { bpf_seq_write(seq.cast(), (&raw const row).cast_mut().cast(), size_of::<Usage>() as u32) != 0 };
    // When the buffer overflows the kernel calls again for the same task.
    if !failed && tid == tgid {
        glance::enrol(task, signal, &row, session, account.is_none());
    }
    0
}

/// Rows of an iterator have no sequence, for what cannot be written is written at the next read, and no time but that
/// of the reading.
#[inline(always)]
pub(crate) fn header(kind: RecordKind, flags: u16, size: usize, tgid: u32, start_time: u64) -> Header {
    Header { kind: kind as u16, flags, size: size as u32, cpu: 0, tgid, seq: 0, time: 0, start_time }
}
