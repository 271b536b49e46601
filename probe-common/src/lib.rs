//! The one definition of everything that crosses from the kernel programs to the daemon.
//!
//! Constraints: `no_std`, no dependencies, no `bool`, `Option` or `usize` in a shared struct, every padding byte named.
//! The kernel side writes these structs in place; the daemon never transmutes, it decodes field by field and checks
//! ([`decode`]). A change of any layout must raise [`ABI_VERSION`]: tests hold the golden bytes.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod decode;
pub mod encode;
mod fields;
pub mod layout;
pub mod maps;
pub mod record;

/// Version of every shape in this crate; part of the path under which maps may be pinned.
pub const ABI_VERSION: u32 = 1;
