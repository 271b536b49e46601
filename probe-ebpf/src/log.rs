//! What the programs say of themselves, in diagnosis builds only: a line for each record, and whether it found room.
//!
//! Off, nothing of it is in the object: aya-log takes a second ring and thousands of instructions.

/// Says that a record was made.
#[cfg(feature = "kernel-log")]
macro_rules! told {
    ($ctx:expr, $what:literal, $tgid:expr, $sent:expr) => {
        if $sent {
            aya_log_ebpf::debug!(&$ctx, "{} {}", $what, $tgid)
        } else {
            aya_log_ebpf::warn!(&$ctx, "{} {} found no room", $what, $tgid)
        }
    };
}

/// Says nothing.
#[cfg(not(feature = "kernel-log"))]
macro_rules! told {
    ($ctx:expr, $what:literal, $tgid:expr, $sent:expr) => {
        let _ = (&$ctx, $what, $tgid, $sent);
    };
}

pub(crate) use told;
