//! What the daemon wants to know of a process.

use aya_ebpf::bindings::BPF_NOEXIST;
use probe_common::maps::{LossReason, Watch};

use crate::maps::WATCHED;
use crate::task::Task;
use crate::{emit, glance};

/// The [`Watch`] bits of a process by its leader; 0 for none.
#[inline(always)]
pub(crate) fn bits_of(leader: Task, tgid: u32) -> u32 {
    entry(tgid).map_or(0, |bits| in_force(bits, leader))
}

/// What stands in the map.
#[inline(always)]
pub(crate) fn entry(tgid: u32) -> Option<u32> {
    // SAFETY: the value is a number that is copied at once.
    unsafe { WATCHED.get(tgid).copied() }
}

/// What a process inherited ended with its first exec: that is seen here, so that the exec program need not look.
#[inline(always)]
pub(crate) fn in_force(bits: u32, leader: Task) -> u32 {
    if bits & Watch::INHERITED == 0 || leader.never_executed() { bits } else { 0 }
}

/// A child of a watched process is watched before it can run, so that none of its ends is told late.
#[inline(always)]
pub(crate) fn inherit(forker: Task, child: u32) {
    let bits = bits_of(forker, forker.tgid());
    if bits == 0 {
        return;
    }
    if WATCHED.insert(child, bits | Watch::INHERITED, u64::from(BPF_NOEXIST)).is_err() {
        emit::lost(LossReason::WatchedFull);
    } else if bits & Watch::USAGE != 0 {
        glance::is_stale();
    }
}
