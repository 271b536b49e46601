//! The third task iterator: which of the watched processes used anything since they were last told of.
//!
//! Walking over all tasks of a host costs half a microsecond for each even when nothing is done with them, and most
//! processes sleep most of the time. A sample therefore notes where the processes are that it met ([`ROSTER`]), and a
//! glance goes there directly: one number for each, the CPU time, says whether anything of it can have changed, for
//! whoever does nothing neither waits for a CPU, nor reads, nor writes, nor takes memory, nor starts threads. Memory can
//! be taken from a sleeping process, so a real sample is due now and then.
//!
//! An address may have been freed since it was noted. Reading there is harmless, and a process is only told when tgid
//! and start time found there are those that were noted. When they are not although the process is watched, or when a
//! group has more threads than one call can walk, the glance says that it is stale and the daemon takes a sample.
//!
//! The iterator's own walk over the tasks serves to be called often enough: each call passes over up to [`ASLEEP`]
//! processes that did nothing and does [`STEPS`] steps, whatever task it is called for, and the daemon stops reading at
//! the [`GlanceEnd`]. The next glance goes on with the same iterator where this one stopped, and with another where it
//! ends: what task a call comes with never matters. Everything that the steps change lives in map memory, for the reason
//! given in [`crate::task`]'s paths.

use aya_ebpf::helpers::generated::bpf_seq_write;
use core::ffi::c_void;
use probe_common::maps::Watch;
use probe_common::record::{Flags, GlanceEnd, RecordKind, Usage};

use crate::iter::{IterTask, header};
use crate::maps::{ACCOUNTS, PROGRESS, Progress, ROSTER, RosterEntry, WATCHED};
use crate::task::{NotedSignal, NotedTask, SignalStruct, Task, next_in_list, previous_in_list, rss_pages};

/// Processes of one thread that one call passes over when they did nothing. Dear is the next call, which comes with a task
/// of the iterator's own that nobody has touched for a second.
const ASLEEP: u32 = 64;
/// Steps in one call. All rows that they can write must fit the kernel's buffer of 32 KiB: a row takes three.
const STEPS: u32 = 16;
/// The number of a process that nobody has: the glance is over.
pub(crate) const OVER: u32 = u32::MAX;

/// Notes where a process is that a sample has just told of. `row` is its leader's.
#[inline(always)]
pub(crate) fn enrol(leader: Task, signal: SignalStruct, row: &Usage, session: u64, never_had_others: bool) {
    let Some(progress) = PROGRESS.get_ptr_mut(0) else { return };
    // SAFETY: the pointers are into the maps and were checked; nothing else runs that uses them.
    unsafe {
        if (*progress).sample != session {
            (*progress).sample = session;
            (*progress).met = 0;
            (*progress).stale = 0;
            (*progress).next = OVER;
        }
        let index = (*progress).met;
        (*progress).met = index + 1;
        let Some(entry) = ROSTER.get_ptr_mut(index) else { return };
        let alone = never_had_others && row.threads == 1;
        *entry = RosterEntry {
            leader: leader.address(),
            signal: signal.address(),
            start_time: row.header.start_time,
            // The sum of several threads is not known here: the first glance tells it.
            cpu_ns: if alone { row.cpu_ns } else { u64::MAX },
            tgid: row.header.tgid,
            alone: u32::from(alone),
        };
    }
}

/// A process was forked whose usage is watched from its start.
#[inline(always)]
pub(crate) fn is_stale() {
    if let Some(progress) = PROGRESS.get_ptr_mut(0) {
        // SAFETY: the pointer is into the map and was checked.
        unsafe { (&raw mut (*progress).stale).write_volatile(1) };
    }
}

/// What comes after a step.
#[derive(PartialEq, Eq)]
enum Then {
    Another,
    Rest,
}

/// Writes a [`Usage`] for each process that used anything, its threads summed, and a [`GlanceEnd`].
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
extern "C" fn glance(ctx: *mut IterTask) -> i32 {
    // SAFETY: the kernel calls with a valid context; the verifier knows its shape.
    let (seq, task) = unsafe { ((*(*ctx).meta).seq, (*ctx).task) };
    if task.is_null() {
        return 0;
    }
    let Some(progress) = PROGRESS.get_ptr_mut(0) else { return 0 };
    // SAFETY: the pointer is into the map and was checked; nothing else runs that uses it.
    unsafe {
        if (*progress).next == OVER {
            (*progress).next = 0;
            (*progress).at = 0;
            (*progress).thorough = 0;
        }
        if (&raw const (*progress).stale).read_volatile() != 0 || !still_there(progress) {
            end(progress, seq, Flags::STALE);
            return 0;
        }
        if (*progress).at == 0 && (*progress).thorough == 0 {
            pass_over(progress);
        }
        for _ in 0..STEPS {
            if step(progress, seq) == Then::Rest {
                return 0;
            }
        }
    }
    0
}

/// A list of threads may change between two calls. False when the one at which the last call stopped is not in the list
/// any more.
///
/// # Safety
/// `progress` is the map's value.
#[inline(always)]
unsafe fn still_there(progress: *mut Progress) -> bool {
    // SAFETY: the caller vouches for `progress`; `entry` is into the map and checked.
    unsafe {
        let at = (*progress).at;
        if at == 0 {
            return true;
        }
        let Some(entry) = ROSTER.get_ptr_mut((*progress).next) else { return false };
        let signal = NotedSignal((*entry).signal);
        let is_in_a_list = next_in_list(previous_in_list(at)) == at;
        is_in_a_list && (at == signal.thread_head() || NotedTask::of_thread_node(at).signal() == signal.0)
    }
}

/// Goes on to the next process that did something, or that has, or had, several threads. Nothing but the number of the
/// process changes, so that the verifier has one state for each of [`ASLEEP`] turns.
///
/// # Safety
/// `progress` is the map's value, and no process is being looked at.
#[inline(always)]
unsafe fn pass_over(progress: *mut Progress) {
    // SAFETY: the caller vouches for `progress`; `entry` is into the map and checked. Volatile as in a step.
    unsafe {
        for _ in 0..ASLEEP {
            let index = (&raw const (*progress).next).read_volatile();
            if index >= (&raw const (*progress).met).read_volatile() {
                return;
            }
            let Some(entry) = ROSTER.get_ptr_mut(index) else { return };
            if (*entry).alone == 0 || NotedTask((*entry).leader).cpu_ns() != (*entry).cpu_ns {
                return;
            }
            (&raw mut (*progress).next).write_volatile(index + 1);
        }
    }
}

/// Looks at one thread, or at the beginning or end of a list of threads.
///
/// # Safety
/// `progress` is the map's value, `seq` what the iterator was called with.
#[inline(always)]
unsafe fn step(progress: *mut Progress, seq: *mut c_void) -> Then {
    // SAFETY: the caller vouches for `progress`; `entry` is into the map and checked. Volatile, so that no number stays
    // in a register from step to step.
    unsafe {
        let index = (&raw const (*progress).next).read_volatile();
        let met = (&raw const (*progress).met).read_volatile();
        if index >= met {
            end(progress, seq, 0);
            return Then::Rest;
        }
        let Some(entry) = ROSTER.get_ptr_mut(index) else {
            end(progress, seq, Flags::STALE);
            return Then::Rest;
        };
        let signal = NotedSignal((*entry).signal);
        let at = (&raw const (*progress).at).read_volatile();
        let thorough = (&raw const (*progress).thorough).read_volatile() != 0;
        if at == 0 {
            if (*entry).alone != 0 && !thorough {
                if NotedTask((*entry).leader).cpu_ns() == (*entry).cpu_ns {
                    (*progress).next = index + 1;
                } else {
                    (*progress).thorough = 1;
                }
                return Then::Another;
            }
            let first = next_in_list(signal.thread_head());
            (*progress).at = first;
            (*progress).first = NotedTask::of_thread_node(first).0;
            (*progress).mm = 0;
            (*progress).cpu_ns = 0;
            (*progress).wait_ns = 0;
            (*progress).read_bytes = 0;
            (*progress).write_bytes = 0;
            return Then::Another;
        }
        if at != signal.thread_head() {
            let thread = NotedTask::of_thread_node(at);
            (*progress).cpu_ns += thread.cpu_ns();
            if thorough {
                (*progress).wait_ns += thread.wait_ns();
                (*progress).read_bytes += thread.read_bytes();
                (*progress).write_bytes += thread.write_bytes();
                if (*progress).mm == 0 {
                    (*progress).mm = thread.mm();
                }
            }
            (*progress).at = next_in_list(at);
            return Then::Another;
        }
        (*progress).at = 0;
        if !thorough && (*progress).cpu_ns + gone_cpu_ns((*entry).tgid) != (*entry).cpu_ns {
            (*progress).thorough = 1;
            return Then::Another;
        }
        (*progress).next = index + 1;
        if thorough {
            (*progress).thorough = 0;
            if !tell(progress, entry, signal, seq) {
                end(progress, seq, Flags::STALE);
                return Then::Rest;
            }
        }
        Then::Another
    }
}

/// Tells what a process used; false when it is not to be found where it should be.
///
/// # Safety
/// `progress` and `entry` are the maps' values, `seq` what the iterator was called with.
#[inline(always)]
unsafe fn tell(progress: *mut Progress, entry: *mut RosterEntry, signal: NotedSignal, seq: *mut c_void) -> bool {
    // SAFETY: the caller vouches for the pointers; what the hashes give is copied at once.
    unsafe {
        let (tgid, start_time) = ((*entry).tgid, (*entry).start_time);
        match WATCHED.get(tgid).copied() {
            Some(bits) if bits & Watch::USAGE != 0 => {}
            // It has ended, or nobody asks any more.
            _ => return true,
        }
        let account = ACCOUNTS.get(tgid).copied();
        let gone = account.unwrap_or_default();
        let threads = signal.threads();
        let row = Usage {
            header: header(RecordKind::Usage, 0, size_of::<Usage>(), tgid, start_time),
            tid: tgid,
            threads,
            cpu_ns: (*progress).cpu_ns,
            wait_ns: (*progress).wait_ns,
            read_bytes: (*progress).read_bytes,
            write_bytes: (*progress).write_bytes,
            rss_pages: rss_pages((*progress).mm),
            gone_cpu_ns: gone.cpu_ns,
            gone_wait_ns: gone.wait_ns,
            gone_read_bytes: gone.read_bytes,
            gone_write_bytes: gone.write_bytes,
        };
        // After everything else was read, so that it holds for all of it.
        let first = NotedTask((*progress).first);
        if first.tgid() != tgid || first.group_leader().start_time() != start_time {
            return false;
        }
        (*entry).alone = u32::from(account.is_none() && threads == 1);
        (*entry).cpu_ns = row.cpu_ns + row.gone_cpu_ns;
        bpf_seq_write(seq.cast(), (&raw const row).cast_mut().cast(), size_of::<Usage>() as u32);
    }
    true
}

/// CPU time of a group's threads that were freed.
#[inline(always)]
fn gone_cpu_ns(tgid: u32) -> u64 {
    // SAFETY: the value is copied at once.
    unsafe { ACCOUNTS.get(tgid).map_or(0, |account| account.cpu_ns) }
}

/// Says that the glance is over.
///
/// # Safety
/// `progress` is the map's value, `seq` what the iterator was called with.
#[inline(always)]
unsafe fn end(progress: *mut Progress, seq: *mut c_void, flags: u16) {
    // SAFETY: the caller vouches for the pointers; a plain struct on the stack.
    unsafe {
        (*progress).next = OVER;
        let row = GlanceEnd { header: header(RecordKind::GlanceEnd, flags, size_of::<GlanceEnd>(), 0, 0) };
        bpf_seq_write(seq.cast(), (&raw const row).cast_mut().cast(), size_of::<GlanceEnd>() as u32);
    }
}
