//! `sched_process_exec`: a process runs a new program. What it is travels with the record, so that a process that is
//! gone a millisecond later is as well known as one that stays.

use aya_ebpf::helpers::generated::{bpf_probe_read_kernel_str, bpf_probe_read_user};
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use probe_common::maps::LeftOut;
use probe_common::record::{ARGS_CAP, EXE_CAP, Exec, FILENAME_CAP, Flags, RecordKind};

use crate::emit::{self, Urgency};
use crate::log::told;
use crate::maps::{EXEC_SCRATCH, LEFT_OUT};
use crate::task::{Binprm, Cursor, Extent, Task, copy_exe_path};
use crate::{cgroup, globals};

/// Arguments: the task, its old tid, the `linux_binprm`. The new image is in place, on a fresh stack whose pages are
/// there: on entry to execve the arguments could not be read from a child that has just been forked.
#[btf_tracepoint(function = "sched_process_exec")]
pub fn process_exec(ctx: BtfTracePointContext) -> i32 {
    let task = Task(ctx.arg::<*const u8>(0));
    let binprm = Binprm(ctx.arg::<*const u8>(2));
    let tgid = task.tgid();
    let Some(scratch) = EXEC_SCRATCH.get_ptr_mut(0) else { return 0 };
    let mm = task.mm();
    let cgroup = task.cgroup();
    let identity = task.identity(cgroup);
    let mut header =
        emit::header::<Exec>(RecordKind::Exec, task.record_flags(), tgid, task.group_leader().start_time());
    // SAFETY: the pointer is into this CPU's own value and was checked; each part below is bounded by its cap, and the
    // tail has room for all caps and the walk's slack.
    unsafe {
        let tail = (&raw mut (*scratch).tail).cast::<u8>();
        let cursor = Cursor::start(&raw mut (*scratch).cursor);
        if copy_exe_path::<EXE_CAP>(mm, tail, cursor) == Extent::Cut {
            header.flags |= Flags::EXE_CUT;
        }
        let exe_len = cursor.length();
        if exe_len > EXE_CAP {
            return 0;
        }
        let filename_len = copy_filename(binprm, tail.add(exe_len));
        if filename_len >= FILENAME_CAP {
            return 0;
        }
        let (args_start, args_bytes) = mm.args();
        let args_len = copy_args(args_start, args_bytes, tail.add(exe_len + filename_len)).unwrap_or_else(|| {
            header.flags |= Flags::ARGS_UNREADABLE;
            0
        });
        if args_len >= ARGS_CAP {
            return 0;
        }
        let tail_len = exe_len + filename_len + args_len;
        header.size += tail_len as u32;
        (*scratch).exec = Exec {
            header,
            identity,
            args_count: binprm.argc(),
            args_bytes: if args_bytes > u64::from(u32::MAX) { u32::MAX } else { args_bytes as u32 },
            exe_len: exe_len as u16,
            filename_len: filename_len as u16,
            args_len: args_len as u16,
            reserved: 0,
        };
        let sent = emit::bytes(scratch.cast(), size_of::<Exec>() + tail_len, &header, Urgency::Batched);
        told!(ctx, "exec", tgid, sent);
    }
    cgroup::tell(cgroup, identity.cgroup_id, &header);
    0
}

/// Copies the path as it was executed; its length without the closing NUL.
///
/// # Safety
/// `FILENAME_CAP` bytes stand at `target`.
#[inline(always)]
unsafe fn copy_filename(binprm: Binprm, target: *mut u8) -> usize {
    // SAFETY: the caller vouches for the room.
    let written = unsafe { bpf_probe_read_kernel_str(target.cast(), FILENAME_CAP as u32, binprm.filename().cast()) };
    if written > 0 && written <= FILENAME_CAP as i64 { written as usize - 1 } else { 0 }
}

#[inline(always)]
fn is_left_out(what: u32) -> bool {
    // SAFETY: the pointer is into the map's one value and was checked; the daemon writes it meanwhile.
    LEFT_OUT.get_ptr(0).is_some_and(|bits| unsafe { bits.read_volatile() } & what != 0)
}

/// Copies the first bytes of the arguments; `None` when they cannot be read.
///
/// # Safety
/// `ARGS_CAP` bytes stand at `target`.
#[inline(always)]
unsafe fn copy_args(start: u64, bytes: u64, target: *mut u8) -> Option<usize> {
    let mut length = if is_left_out(LeftOut::ARGS) { 0 } else { globals::args_max() };
    if length > bytes as usize {
        length = bytes as usize;
    }
    if length > ARGS_CAP - 1 {
        length = ARGS_CAP - 1;
    }
    if length == 0 {
        return Some(0);
    }
    // SAFETY: the caller vouches for the room; the source is checked by the helper.
    let failed = unsafe { bpf_probe_read_user(target.cast(), length as u32, start as *const _) != 0 };
    if failed { None } else { Some(length) }
}
