//! `sched_process_exit`: when the last thread of a group ends, the process has ended. This is what count bounds wait for.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use probe_common::maps::Watch;
use probe_common::record::{Exit, RecordKind};

use crate::emit::{self, Urgency};
use crate::log::told;
use crate::maps::WATCHED;
use crate::task::Task;
use crate::{account, watch};

/// Argument: the task. From 6.16 on a second one says whether the group is dead; before, and here always, the count of
/// live threads tells, which two threads can both see at zero: the daemon drops the repeat.
#[btf_tracepoint(function = "sched_process_exit")]
pub fn process_exit(ctx: BtfTracePointContext) -> i32 {
    let task = Task(ctx.arg::<*const u8>(0));
    let tgid = task.tgid();
    let signal = task.signal();
    let leader = task.group_leader();
    let (parent_tgid, uid) = (task.real_parent().tgid(), task.uid());
    let last = signal.live() == 0;
    if !(last && signal.never_had_others()) {
        account::thread_ended(tgid, leader.start_time(), last);
    }
    if !last {
        return 0;
    }
    let entry = watch::entry(tgid);
    let is_waited_for = entry.is_some_and(|bits| watch::in_force(bits, leader) & Watch::EXIT != 0);
    let urgency = if is_waited_for { Urgency::Now } else { Urgency::Batched };
    let header = emit::header::<Exit>(RecordKind::Exit, task.record_flags(), tgid, leader.start_time());
    let exit = Exit {
        header,
        status: signal.wait_status(leader),
        parent_tgid,
        uid,
        reserved: 0,
        max_rss_pages: signal.max_rss_pages(),
        cpu_ns: task.cpu_ns() + signal.reaped_cpu_ns(),
        comm: leader.comm(),
    };
    let sent = emit::record(&exit, &header, urgency);
    told!(ctx, "exit", tgid, sent);
    if entry.is_some() {
        // Already gone when the daemon was faster.
        let _ = WATCHED.remove(tgid);
    }
    0
}
