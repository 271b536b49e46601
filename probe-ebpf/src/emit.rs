//! Delivery: numbers each record, puts it into the ring, decides whether the daemon is woken, counts what finds no room.
//!
//! A wake-up costs thirty times the record (an interrupt and a context switch), so only a record that somebody waits for
//! forces one. The others wake the daemon when the last wake-up is long enough ago or the ring fills up; the daemon
//! looks again after the gap, so none lies longer than that.

use aya_ebpf::bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use aya_ebpf::helpers::{bpf_get_smp_processor_id, bpf_ktime_get_ns, bpf_ringbuf_output};
use probe_common::maps::LossReason;
use probe_common::record::{Header, RecordKind};

use crate::globals;
use crate::maps::{CPU_STATE, LAST_WAKE, RECORDS};

/// How full the ring is stands in memory that the daemon writes: each CPU looks at it with one record in so many. The
/// ring has room for what all of them write meanwhile.
const FILL_EVERY: u64 = 8;

/// Does anybody wait for the record?
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// It can lie until the next drain.
    Batched,
    /// The daemon is woken at once.
    Now,
}

/// The header of the next record of this CPU.
#[inline(always)]
pub(crate) fn header<T>(kind: RecordKind, flags: u16, tgid: u32, start_time: u64) -> Header {
    // SAFETY: these helpers have no preconditions.
    let (cpu, time) = unsafe { (bpf_get_smp_processor_id() as u32, bpf_ktime_get_ns()) };
    Header { kind: kind as u16, flags, size: size_of::<T>() as u32, cpu, tgid, seq: next_seq(), time, start_time }
}

/// Counts up without an atomic fetch, which 5.10 lacks. An interrupt between the read and the write can make two records
/// share a number; the daemon looks only for gaps, and this makes none.
#[inline(always)]
fn next_seq() -> u64 {
    let Some(state) = CPU_STATE.get_ptr_mut(0) else { return 0 };
    // SAFETY: the pointer is into this CPU's own value and was checked.
    unsafe {
        let seq = (*state).seq + 1;
        (*state).seq = seq;
        seq
    }
}

/// Delivers a record of fixed size; `header` is the one in it.
#[inline(always)]
pub(crate) fn record<T>(record: &T, header: &Header, urgency: Urgency) -> bool {
    // SAFETY: a reference to a plain struct without padding.
    unsafe { bytes(core::ptr::from_ref(record).cast(), size_of::<T>(), header, urgency) }
}

/// Delivers `size` bytes that start with this header.
///
/// # Safety
/// `size` initialised bytes stand at `start`.
#[inline(always)]
pub(crate) unsafe fn bytes(start: *const u8, size: usize, header: &Header, urgency: Urgency) -> bool {
    let flags = wake_flags(header, urgency);
    // SAFETY: the caller vouches for the bytes; the verifier checks them against the map or the stack.
    let sent = unsafe {
        bpf_ringbuf_output((&raw const RECORDS).cast_mut().cast(), start.cast_mut().cast(), size as u64, flags) == 0
    };
    if !sent {
        lost(LossReason::RingFull);
    }
    sent
}

#[inline(always)]
fn wake_flags(header: &Header, urgency: Urgency) -> u64 {
    let now = header.time;
    let Some(last) = LAST_WAKE.get_ptr_mut(0) else { return 0 };
    // SAFETY: the pointer is into the map's one value and was checked. Two CPUs may both wake; that does no harm.
    unsafe {
        if urgency == Urgency::Now || now.wrapping_sub(*last) > globals::wake_gap_ns() {
            *last = now;
            return u64::from(BPF_RB_FORCE_WAKEUP);
        }
    }
    if header.seq.is_multiple_of(FILL_EVERY) && RECORDS.query(u64::from(BPF_RB_AVAIL_DATA)) > globals::wake_fill_bytes()
    {
        u64::from(BPF_RB_FORCE_WAKEUP)
    } else {
        u64::from(BPF_RB_NO_WAKEUP)
    }
}

/// Counts what could not be delivered.
#[inline(always)]
pub(crate) fn lost(reason: LossReason) {
    if let Some(state) = CPU_STATE.get_ptr_mut(0) {
        // SAFETY: the pointer is into this CPU's own value and was checked; the index is below LOSS_REASONS.
        unsafe { (*state).lost[reason as usize] += 1 };
    }
}
