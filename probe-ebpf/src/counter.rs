//! Counters in maps that several CPUs, or a program and the one that interrupts it, count up.
//!
//! The compiler's own atomics do not exist for this target, and 5.10 knows only the addition that gives nothing back: exactly
//! this instruction.

use core::arch::asm;

/// Adds atomically.
///
/// # Safety
/// `counter` points to 8 bytes, aligned to 8, in a map's value.
#[inline(always)]
pub(crate) unsafe fn add(counter: *mut u64, amount: u64) {
    // SAFETY: the caller vouches for the pointer.
    unsafe { asm!("lock *(u64 *)({counter} + 0) += {amount}", counter = in(reg) counter, amount = in(reg) amount) };
}
