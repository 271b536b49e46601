//! `sched_process_exit`: when the last thread of a group ends, the process has ended. This is what count bounds wait for.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use probe_common::maps::Watch;
use probe_common::record::{Exit, RecordKind};

use crate::account;
use crate::emit::{self, Urgency};
use crate::log::told;
use crate::maps::WATCHED;
use crate::task::Task;

/// Argument: the task. From 6.16 on a second one says whether the group is dead; before, and here always, the count of
/// live threads tells, which two threads can both see at zero: the daemon drops the repeat.
#[btf_tracepoint(function = "sched_process_exit")]
pub fn process_exit(ctx: BtfTracePointContext) -> i32 {
    let task = Task(ctx.arg::<*const u8>(0));
    let tgid = task.tgid();
    let signal = task.signal();
    let last = signal.live() == 0;
    let leader = task.group_leader();
    account::thread_ended(tgid, task.tid(), leader.start_time(), last);
    if !last {
        return 0;
    }
    // SAFETY: the value is a number that is copied at once.
    let watch = unsafe { WATCHED.get(tgid).copied() };
    let urgency = match watch {
        Some(bits) if bits & Watch::EXIT != 0 => Urgency::Now,
        _ => Urgency::Batched,
    };
    let header = emit::header::<Exit>(RecordKind::Exit, task.record_flags(), tgid, leader.start_time());
    let exit = Exit {
        header,
        status: task.wait_status(),
        parent_tgid: task.real_parent().tgid(),
        uid: task.uid(),
        reserved: 0,
        max_rss_pages: signal.max_rss_pages(),
        cpu_ns: task.cpu_ns() + signal.reaped_cpu_ns(),
        comm: leader.comm(),
    };
    let sent = emit::record(&exit, header.time, urgency);
    told!(ctx, "exit", tgid, sent);
    if watch.is_some() {
        // Already gone when the daemon was faster.
        let _ = WATCHED.remove(tgid);
    }
    0
}
