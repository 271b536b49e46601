//! `sched_process_free`: the exact account of a process, closed when the last of its threads is freed.
//!
//! At a thread's exit its running slice is not yet in the scheduler's ledger; when the task is freed, after the RCU grace
//! period, it is. The kernel keeps no sum of the freed (`signal->sum_sched_runtime` lacks the last slice of threads that
//! reap themselves), so a group with more than one thread gets an entry in `ACCOUNTS` at its first thread's end. A group
//! that only ever had one thread needs none.

use core::arch::asm;

use aya_ebpf::bindings::BPF_ANY;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use probe_common::maps::{GroupAccount, LossReason};
use probe_common::record::{Account, RecordKind};

use crate::emit::{self, Urgency};
use crate::log::told;
use crate::maps::ACCOUNTS;
use crate::task::Task;

/// Added to a counter, it counts down.
const MINUS_ONE: u64 = u64::MAX;

/// A thread passed its exit: it will be freed later. Called before the group's exit is told.
#[inline(always)]
pub(crate) fn thread_ended(tgid: u32, tid: u32, start_time: u64, last: bool) {
    let known = ACCOUNTS.get_ptr_mut(tgid);
    let account = match known {
        // SAFETY: the pointer is into the map and was checked.
        Some(account) if unsafe { (*account).start_time } == start_time => account,
        // No entry, or one that an earlier process of this number left behind.
        _ => {
            if last && tid == tgid {
                if known.is_some() {
                    let _ = ACCOUNTS.remove(tgid);
                }
                return;
            }
            let fresh = GroupAccount { start_time, ..GroupAccount::default() };
            if ACCOUNTS.insert(tgid, fresh, u64::from(BPF_ANY)).is_err() {
                emit::lost(LossReason::AccountsFull);
                return;
            }
            let Some(account) = ACCOUNTS.get_ptr_mut(tgid) else { return };
            account
        }
    };
    // SAFETY: the pointer is into the map and was checked; other CPUs touch these counters only by atomic additions.
    unsafe {
        add(&raw mut (*account).pending, 1);
        if last {
            add(&raw mut (*account).dead, 1);
        }
    }
}

/// Argument: the task, after the grace period; nobody else refers to it any more.
#[btf_tracepoint(function = "sched_process_free")]
pub fn process_free(ctx: BtfTracePointContext) -> i32 {
    let task = Task(ctx.arg::<*const u8>(0));
    let tgid = task.tgid();
    let Some(account) = ACCOUNTS.get_ptr_mut(tgid) else {
        // A thread without an entry ended before the daemon attached; a leader without one was alone.
        if task.tid() == tgid {
            let sent = tell(task, task.start_time(), &GroupAccount { threads: 1, ..of(task) });
            told!(ctx, "account", tgid, sent);
        }
        return 0;
    };
    // SAFETY: the pointer is into the map and was checked; other CPUs touch these counters only by atomic additions.
    unsafe {
        let freed = of(task);
        add(&raw mut (*account).cpu_ns, freed.cpu_ns);
        add(&raw mut (*account).wait_ns, freed.wait_ns);
        add(&raw mut (*account).read_bytes, freed.read_bytes);
        add(&raw mut (*account).write_bytes, freed.write_bytes);
        add(&raw mut (*account).threads, 1);
        add(&raw mut (*account).pending, MINUS_ONE);
        // Two CPUs can both come to zero here: the daemon drops the repeat.
        if (*account).dead != 0 && ((*account).pending as i64) <= 0 {
            let sum = *account;
            let sent = tell(task, sum.start_time, &sum);
            told!(ctx, "account", tgid, sent);
            let _ = ACCOUNTS.remove(tgid);
        }
    }
    0
}

/// What one thread used.
#[inline(always)]
fn of(task: Task) -> GroupAccount {
    GroupAccount {
        cpu_ns: task.cpu_ns(),
        wait_ns: task.wait_ns(),
        read_bytes: task.read_bytes(),
        write_bytes: task.write_bytes(),
        ..GroupAccount::default()
    }
}

#[inline(always)]
fn tell(task: Task, start_time: u64, sum: &GroupAccount) -> bool {
    let header = emit::header::<Account>(RecordKind::Account, task.record_flags(), task.tgid(), start_time);
    let account = Account {
        header,
        cpu_ns: sum.cpu_ns,
        wait_ns: sum.wait_ns,
        read_bytes: sum.read_bytes,
        write_bytes: sum.write_bytes,
        threads: sum.threads,
    };
    emit::record(&account, header.time, Urgency::Batched)
}

/// Adds atomically. The compiler's own atomics do not exist for this target, and 5.10 knows only the addition that gives
/// nothing back: exactly this instruction.
///
/// # Safety
/// `counter` points to 8 bytes, aligned to 8, in a map's value.
#[inline(always)]
unsafe fn add(counter: *mut u64, amount: u64) {
    // SAFETY: the caller vouches for the pointer.
    unsafe { asm!("lock *(u64 *)({counter} + 0) += {amount}", counter = in(reg) counter, amount = in(reg) amount) };
}
