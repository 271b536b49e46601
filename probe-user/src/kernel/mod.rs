//! The kernel as a source: loads and attaches the programs, reads their records and iterators, sets what they watch.
//!
//! [`loader`] is the only file that loads or attaches anything (with [`pinned`], for what outlives the daemon); [`layout`] decides beforehand whether this kernel can
//! carry it, from [`btf`] alone. What comes out are [`crate::record`] types. When a source fails for good the daemon
//! must end: it would otherwise report a quiet host.

pub mod btf;
pub(crate) mod convert;
mod handover;
pub mod layout;
pub mod left_out;
pub mod loader;
#[cfg(feature = "kernel-log")]
mod log;
pub mod losses;
pub mod object;
mod pinned;
pub mod pins;
mod programs;
pub mod records;
pub mod reread;
pub mod sampler;
mod shared;
pub mod tail;
mod texts;
pub mod watched;
