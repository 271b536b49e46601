//! Gives memory back after the start.
//!
//! Loading the programs reads megabytes of type information. glibc keeps what was freed for the next such need, which
//! never comes: 12 MB of a daemon that lives in 6.

/// Returns freed heap memory to the system, where the C library is one that would keep it.
pub(super) fn trim() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "there is no safe way to call the C library's malloc_trim")]
    // SAFETY: malloc_trim has no preconditions; it only returns pages that hold no live allocation.
    unsafe {
        libc::malloc_trim(0);
    }
}
