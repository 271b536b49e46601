//! Recordings: what the kernel told, kept in a file, so that policies can be held against it later.
//!
//! - [`facts`]: what the file's head says of the host, and its tail of why it ended.
//! - [`entry`]: one input of the engine as bytes, records and scan rows as the kernel wrote them.
//! - [`frame`]: many entries compressed together, each frame readable by itself.
//! - [`writer`] and [`reader`]: the file.
//!
//! A file is hostile: whatever it claims is checked before it is believed, and what a reader holds in memory is bounded
//! ([`frame::RAW_MAX`]). A last frame that was not written whole is left out and told; any other damage is an error that
//! names the place.

pub mod entry;
pub mod facts;
pub mod frame;
pub mod reader;
mod scalar;
#[cfg(test)]
mod tests;
pub mod writer;

use std::io;

/// The first bytes of a recording.
pub const MAGIC: &[u8; 8] = b"procprec";

/// Version of everything in this module; the kernel side's own is [`probe_common::ABI_VERSION`].
pub const VERSION: u16 = 1;

/// Why a recording cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Another kind of file.
    #[error("is no recording: it does not begin with `procprec`")]
    NotARecording,
    /// Written by another version.
    #[error("is a recording of format {found}, this procprobe reads format {VERSION}: use the one that recorded it")]
    Version {
        /// What the file says.
        found: u16,
    },
    /// The kernel side's records have another shape.
    #[error(
        "holds kernel records of version {found}, this procprobe reads version {}: use the one that recorded it",
        probe_common::ABI_VERSION
    )]
    Abi {
        /// What the file says.
        found: u32,
    },
    /// Numbers are the other way round.
    #[error("was recorded on a machine with another byte order: replay it on one of the same kind")]
    ByteOrder,
    /// The head cannot be understood.
    #[error("is damaged: its head {0}")]
    Facts(String),
    /// Something between the head and the last frame is wrong.
    #[error("is damaged at byte {at}: {why}")]
    Damaged {
        /// Where the frame begins.
        at: u64,
        /// What is wrong with it.
        why: String,
    },
}
