//! Read-only globals: the daemon sets them before the programs load, the verifier then knows them as constants.

use core::ptr::read_volatile;

use probe_common::layout::KernelLayout;

#[unsafe(no_mangle)]
pub(crate) static LAYOUT: KernelLayout = KernelLayout::UNRESOLVED;
#[unsafe(no_mangle)]
static WAKE_GAP_NS: u64 = 0;
#[unsafe(no_mangle)]
static WAKE_FILL_BYTES: u64 = 0;
#[unsafe(no_mangle)]
static BATCHED_FILL_BYTES: u64 = 0;
#[unsafe(no_mangle)]
static ARGS_MAX: u32 = 0;

/// Reads one word of the layout. A macro, because the read must be of the static itself for the compiler not to fold it.
macro_rules! layout {
    ($field:ident) => {
        $crate::globals::word(&raw const $crate::globals::LAYOUT.$field)
    };
}
pub(crate) use layout;

/// Reads a word of a global as the loader set it.
#[inline(always)]
pub(crate) fn word(place: *const u32) -> usize {
    // SAFETY: every caller points into a static of this file; volatile, because the loader changes it after compilation.
    unsafe { read_volatile(place) as usize }
}

/// See [`probe_common::layout::WAKE_GAP_GLOBAL`].
#[inline(always)]
pub(crate) fn wake_gap_ns() -> u64 {
    // SAFETY: a static of this file.
    unsafe { read_volatile(&raw const WAKE_GAP_NS) }
}

/// See [`probe_common::layout::WAKE_FILL_GLOBAL`].
#[inline(always)]
pub(crate) fn wake_fill_bytes() -> u64 {
    // SAFETY: a static of this file.
    unsafe { read_volatile(&raw const WAKE_FILL_BYTES) }
}

/// See [`probe_common::layout::BATCHED_FILL_GLOBAL`].
#[inline(always)]
pub(crate) fn batched_fill_bytes() -> u64 {
    // SAFETY: a static of this file.
    unsafe { read_volatile(&raw const BATCHED_FILL_BYTES) }
}

/// See [`probe_common::layout::ARGS_MAX_GLOBAL`].
#[inline(always)]
pub(crate) fn args_max() -> usize {
    word(&raw const ARGS_MAX)
}
