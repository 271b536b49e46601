//! `sched_process_fork`: a new thread group. Threads (tgid and tid differ) are told by the samples' thread count.

use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use probe_common::maps::{LossReason, Watch};
use probe_common::record::{Fork, RecordKind};

use crate::emit::{self, Urgency};
use crate::glance;
use crate::log::told;
use crate::maps::WATCHED;
use crate::task::Task;

/// Arguments: the forking task, the child. The child does not run yet.
#[btf_tracepoint(function = "sched_process_fork")]
pub fn process_fork(ctx: BtfTracePointContext) -> i32 {
    let forker = Task(ctx.arg::<*const u8>(0));
    let child = Task(ctx.arg::<*const u8>(1));
    let tgid = child.tgid();
    if child.tid() != tgid {
        return 0;
    }
    inherit_watch(forker.tgid(), tgid);
    let forker = forker.group_leader();
    let header = emit::header::<Fork>(RecordKind::Fork, child.record_flags(), tgid, child.start_time());
    let fork = Fork {
        header,
        identity: child.identity(),
        forker_tgid: forker.tgid(),
        reserved: 0,
        forker_start_time: forker.start_time(),
    };
    let sent = emit::record(&fork, header.time, Urgency::Batched);
    told!(ctx, "fork", tgid, sent);
    crate::cgroup::tell(child, fork.identity.cgroup_id, &header);
    0
}

/// A child of a watched process is watched before it can run, so that none of its ends is told late.
#[inline(always)]
fn inherit_watch(forker: u32, child: u32) {
    // SAFETY: the value is a number that is copied at once.
    let Some(bits) = (unsafe { WATCHED.get(forker).copied() }) else { return };
    if WATCHED.insert(child, bits | Watch::INHERITED, u64::from(BPF_NOEXIST)).is_err() {
        emit::lost(LossReason::WatchedFull);
    } else if bits & Watch::USAGE != 0 {
        glance::is_stale();
    }
}
