//! `task_rename`: a process gave itself another name, by prctl or through /proc. An exec comes this way too; it is left to
//! the exec record, with which the new name reaches the daemon together with the new program.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use probe_common::record::{COMM_LEN, RecordKind, Rename};

use crate::emit::{self, Urgency};
use crate::log::told;
use crate::task::{Task, read};

/// Arguments: the task, its new comm. The task still has the old one.
#[btf_tracepoint(function = "task_rename")]
pub fn process_rename(ctx: BtfTracePointContext) -> i32 {
    let task = Task(ctx.arg::<*const u8>(0));
    let tgid = task.tgid();
    if task.tid() != tgid || task.is_in_execve() {
        return 0;
    }
    let header = emit::header::<Rename>(RecordKind::Rename, task.record_flags(), tgid, task.start_time());
    let comm: [u8; COMM_LEN] = read(ctx.arg::<*const u8>(1), 0);
    let sent = emit::record(&Rename { header, comm }, &header, Urgency::Batched);
    told!(ctx, "rename", tgid, sent);
    0
}
