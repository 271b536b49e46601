//! `mark_victim`: the kernel's OOM killer chose a process.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use probe_common::record::{Oom, RecordKind};

use crate::emit::{self, Urgency};
use crate::globals::layout;
use crate::log::told;
use crate::task::Task;

/// Argument: from 6.8 on the victim's task, before that its tid. The layout says which.
#[btf_tracepoint(function = "mark_victim")]
pub fn oom_victim(ctx: BtfTracePointContext) -> i32 {
    let (tgid, start_time) = if layout!(mark_victim_has_task) == 1 {
        let victim = Task(ctx.arg::<*const u8>(0)).group_leader();
        (victim.tgid(), victim.start_time())
    } else {
        (ctx.arg::<u32>(0), 0)
    };
    let header = emit::header::<Oom>(RecordKind::Oom, 0, tgid, start_time);
    let sent = emit::record(&Oom { header }, &header, Urgency::Batched);
    told!(ctx, "oom", tgid, sent);
    0
}
