//! Delivery: numbers each record, puts it into the ring, decides whether the daemon is woken, counts what finds no room.
//!
//! A wake-up costs thirty times the record (an interrupt and a context switch), so only a record that somebody waits for
//! forces one. The others wake the daemon when the last wake-up is long enough ago or the ring fills up; the daemon
//! looks again after the gap, so none lies longer than that.
//!
//! In a storm that the daemon cannot follow, the last eighth of the ring is kept for what somebody waits for: starts are
//! lost before the ends of watched processes.

use aya_ebpf::bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use aya_ebpf::helpers::{bpf_get_smp_processor_id, bpf_ktime_get_ns, bpf_ringbuf_output};
use probe_common::maps::LossReason;
use probe_common::record::{Header, RecordKind};

use crate::counter::add;
use crate::globals;
use crate::maps::{CPU_STATE, LAST_WAKE, RECORDS};

/// How full the ring is stands in memory that the daemon writes: each CPU looks at it with one record in so many, and with
/// each one while much is waiting. The ring has room for what all of them write meanwhile.
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

/// Counts up without an atomic fetch, which 5.10 lacks. In an interrupt between the two instructions, freed processes are
/// told: their numbers come first, and the last of them is this record's too. No step is ever lost by that, so that the
/// highest number is how many were sent, which is what the daemon compares with how many came.
#[inline(always)]
fn next_seq() -> u64 {
    let Some(state) = CPU_STATE.get_ptr_mut(0) else { return 0 };
    // SAFETY: the pointer is into this CPU's own value and was checked.
    unsafe {
        let seq = &raw mut (*state).seq;
        add(seq, 1);
        seq.read_volatile()
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
    let sent = match admit(size as u64, header, urgency) {
        None => false,
        // SAFETY: the caller vouches for the bytes; the verifier checks them against the map or the stack.
        Some(flags) => unsafe {
            bpf_ringbuf_output((&raw const RECORDS).cast_mut().cast(), start.cast_mut().cast(), size as u64, flags) == 0
        },
    };
    if !sent {
        lost(LossReason::RingFull);
    }
    sent
}

/// Whether the record may have what room there is, and how it wakes the daemon.
#[inline(always)]
fn admit(size: u64, header: &Header, urgency: Urgency) -> Option<u64> {
    let now = header.time;
    let state = CPU_STATE.get_ptr_mut(0)?;
    let last = LAST_WAKE.get_ptr_mut(0)?;
    // SAFETY: the pointers are into this CPU's own value and into the map's one value, and were checked. Two CPUs may both
    // wake; that does no harm.
    unsafe {
        let looks = header.seq.is_multiple_of(FILL_EVERY);
        let mut wakes = urgency == Urgency::Now || now.wrapping_sub(*last) > globals::wake_gap_ns();
        if looks || (*state).crowded != 0 {
            let waiting = RECORDS.query(u64::from(BPF_RB_AVAIL_DATA));
            let crowded = waiting > globals::wake_fill_bytes();
            (*state).crowded = u64::from(crowded);
            if urgency == Urgency::Batched && waiting + size > globals::batched_fill_bytes() {
                // Nobody is woken by what is not there; the daemon looks again by itself while it finds anything.
                return None;
            }
            wakes |= looks && crowded;
        }
        if !wakes {
            return Some(u64::from(BPF_RB_NO_WAKEUP));
        }
        *last = now;
        Some(u64::from(BPF_RB_FORCE_WAKEUP))
    }
}

/// Counts what could not be delivered.
#[inline(always)]
pub(crate) fn lost(reason: LossReason) {
    if let Some(state) = CPU_STATE.get_ptr_mut(0) {
        // SAFETY: the pointer is into this CPU's own value and was checked; the index is below LOSS_REASONS.
        unsafe { add(&raw mut (*state).lost[reason as usize], 1) };
    }
}
