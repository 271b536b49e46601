//! `sched_process_fork`: a new thread group. Threads (tgid and tid differ) are told by the samples' thread count.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use probe_common::record::{Fork, RecordKind};

use crate::emit::{self, Urgency};
use crate::log::told;
use crate::task::Task;
use crate::watch;

/// Arguments: the forking task, the child. The child does not run yet.
#[btf_tracepoint(function = "sched_process_fork")]
pub fn process_fork(ctx: BtfTracePointContext) -> i32 {
    let forker = Task(ctx.arg::<*const u8>(0));
    let child = Task(ctx.arg::<*const u8>(1));
    let tgid = child.tgid();
    if child.tid() != tgid {
        return 0;
    }
    let forker = forker.group_leader();
    let cgroup = child.cgroup();
    let identity = child.identity(cgroup);
    watch::inherit(forker, tgid);
    let header = emit::header::<Fork>(RecordKind::Fork, child.record_flags(), tgid, child.start_time());
    let fork =
        Fork { header, identity, forker_tgid: forker.tgid(), reserved: 0, forker_start_time: forker.start_time() };
    let sent = emit::record(&fork, &header, Urgency::Batched);
    told!(ctx, "fork", tgid, sent);
    crate::cgroup::tell(cgroup, fork.identity.cgroup_id, &header);
    0
}
