//! `sched_process_free`: the exact account of a process, closed when the last of its threads is freed.
//!
//! At a thread's exit its running slice is not yet in the scheduler's ledger; when the task is freed, after the RCU grace
//! period, it is. The kernel keeps no sum of the freed (`signal->sum_sched_runtime` lacks the last slice of threads that
//! reap themselves), so a group with more than one thread gets an entry in `ACCOUNTS` at its first thread's end. A group
//! that only ever had one thread needs none.

use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use probe_common::maps::{GroupAccount, LossReason};
use probe_common::record::{Account, Flags, RecordKind};

use crate::counter::add;
use crate::emit::{self, Urgency};
use crate::log::told;
use crate::maps::{ACCOUNT_COUNTS, ACCOUNT_COUNTS_LEN, ACCOUNTS, LAST_REFUSED};
use crate::task::Task;

/// Added to a counter, it counts down.
const MINUS_ONE: u64 = u64::MAX;

/// A thread passed its exit: it will be freed later. Called before the group's exit is told, and not at all for a group
/// that never had another thread.
#[inline(always)]
pub(crate) fn thread_ended(tgid: u32, start_time: u64, last: bool) {
    let Some(account) = of_group(tgid, start_time) else {
        emit::lost(LossReason::AccountsFull);
        if let Some(refused) = LAST_REFUSED.get_ptr_mut(0) {
            // SAFETY: the pointer is into the map's one value and was checked; this helper has no preconditions.
            unsafe { (&raw mut *refused).write_volatile(bpf_ktime_get_ns()) };
        }
        return;
    };
    // SAFETY: the pointer is into the map and was checked; other CPUs touch these counters only by atomic additions.
    unsafe {
        add(&raw mut (*account).pending, 1);
        if last {
            add(&raw mut (*account).dead, 1);
        }
    }
}

/// The entry of a group, made when there is none.
#[inline(always)]
fn of_group(tgid: u32, start_time: u64) -> Option<*mut GroupAccount> {
    if let Some(account) = ACCOUNTS.get_ptr_mut(tgid) {
        // SAFETY: the pointer is into the map and was checked.
        if unsafe { (*account).start_time } == start_time {
            return Some(account);
        }
        // An earlier process of this number left it behind.
        remove(tgid);
    }
    // Two threads can come here at once on two CPUs: the one that is refused finds the other's entry.
    let fresh = GroupAccount { start_time, ..GroupAccount::default() };
    // Counted first, so that whoever sees the entry sees the count.
    count(tgid, 1);
    if ACCOUNTS.insert(tgid, fresh, u64::from(BPF_NOEXIST)).is_err() {
        count(tgid, MINUS_ONE);
    }
    ACCOUNTS.get_ptr_mut(tgid)
}

/// Removes a group's entry.
#[inline(always)]
fn remove(tgid: u32) {
    // Another CPU can be first.
    if ACCOUNTS.remove(tgid).is_ok() {
        count(tgid, MINUS_ONE);
    }
}

#[inline(always)]
fn count(tgid: u32, amount: u64) {
    if let Some(count) = ACCOUNT_COUNTS.get_ptr_mut(tgid & (ACCOUNT_COUNTS_LEN - 1)) {
        // SAFETY: the pointer is into the map and was checked.
        unsafe { add(count, amount) };
    }
}

/// A group's entry, looked for only when there can be one.
#[inline(always)]
fn find(tgid: u32) -> Option<*mut GroupAccount> {
    let count = ACCOUNT_COUNTS.get_ptr_mut(tgid & (ACCOUNT_COUNTS_LEN - 1))?;
    // SAFETY: the pointer is into the map and was checked.
    if unsafe { count.read_volatile() } == 0 { None } else { ACCOUNTS.get_ptr_mut(tgid) }
}

/// Argument: the task, after the grace period; nobody else refers to it any more.
#[btf_tracepoint(function = "sched_process_free")]
pub fn process_free(ctx: BtfTracePointContext) -> i32 {
    let task = Task(ctx.arg::<*const u8>(0));
    let tgid = task.tgid();
    let leads = task.tid() == tgid;
    let known = find(tgid).filter(|account| {
        // SAFETY: the pointer is into the map and was checked.
        let left_behind = leads && unsafe { (**account).start_time } != task.start_time();
        if left_behind {
            remove(tgid);
        }
        !left_behind
    });
    let Some(account) = known else {
        // A thread without an entry ended before the daemon attached, or found no room; a leader without one was alone.
        if leads {
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
            remove(tgid);
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
    let mut flags = task.record_flags();
    if may_miss_threads(start_time) {
        flags |= Flags::ACCOUNT_PARTIAL;
    }
    let header = emit::header::<Account>(RecordKind::Account, flags, task.tgid(), start_time);
    let account = Account {
        header,
        cpu_ns: sum.cpu_ns,
        wait_ns: sum.wait_ns,
        read_bytes: sum.read_bytes,
        write_bytes: sum.write_bytes,
        threads: sum.threads,
    };
    emit::record(&account, &header, Urgency::Batched)
}

/// While it lived, an entry found no room. It may have been another's, or it may never have had threads: that is not
/// known any more, for what would hold it found no room.
#[inline(always)]
fn may_miss_threads(start_time: u64) -> bool {
    let Some(refused) = LAST_REFUSED.get_ptr_mut(0) else { return false };
    // SAFETY: the pointer is into the map's one value and was checked.
    unsafe { (&raw const *refused).read_volatile() >= start_time }
}
