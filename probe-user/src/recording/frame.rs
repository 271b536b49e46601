//! Frames: entries compressed together. Each begins with its lengths and can be read without the others; zstd's own
//! checksum (XXH64 of the content) is in each.

use std::io;

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::CParameter;

/// The first bytes of a frame.
const MARK: [u8; 2] = *b"PF";
/// Bytes before the compressed content: mark, kind, a zero, and both lengths.
pub const HEAD_BYTES: usize = 12;
/// A frame is closed when this much is in it.
pub const RAW_FULL: usize = 1 << 20;
/// No frame holds more, which bounds what a reader sets aside: the scan of a host with 100,000 processes is a third.
pub const RAW_MAX: usize = 64 << 20;
/// Fast, and most of what a slower level finds.
const LEVEL: i32 = 3;

/// What is in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// [`super::facts::Facts`], the first frame.
    Facts,
    /// [`super::entry::Entry`]s.
    Entries,
    /// [`super::facts::Tail`], the last frame of a recording that ended by itself.
    Tail,
}

impl Kind {
    const fn number(self) -> u8 {
        match self {
            Self::Facts => 1,
            Self::Entries => 2,
            Self::Tail => 3,
        }
    }

    const fn of(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Facts,
            2 => Self::Entries,
            3 => Self::Tail,
            _ => return None,
        })
    }
}

/// What the head of a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// What is in it.
    pub kind: Kind,
    /// Bytes of its content, compressed.
    pub packed: usize,
    /// Bytes of its content.
    pub raw: usize,
}

/// A frame that cannot be.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Something else is where a frame should begin.
    #[error("no frame begins here")]
    Mark,
    /// No such kind.
    #[error("a frame of the unknown kind {0}")]
    Kind(u8),
    /// Larger than any that is written.
    #[error("a frame claims {bytes} bytes, more than the {RAW_MAX} that one may hold")]
    Large {
        /// What it claims.
        bytes: u64,
    },
    /// The content does not fit its checksum, or is no compressed data.
    #[error("the content of a frame is not what was written: {0}")]
    Content(io::Error),
    /// The content has another length than the head says.
    #[error("a frame says {stated} bytes and holds {found}")]
    Length {
        /// What the head says.
        stated: usize,
        /// What is there.
        found: usize,
    },
}

impl Head {
    /// Checks the head of a frame.
    pub fn read(bytes: [u8; HEAD_BYTES]) -> Result<Self, FrameError> {
        let [m0, m1, kind, zero, p0, p1, p2, p3, r0, r1, r2, r3] = bytes;
        if [m0, m1] != MARK || zero != 0 {
            return Err(FrameError::Mark);
        }
        let kind = Kind::of(kind).ok_or(FrameError::Kind(kind))?;
        let length = |bytes: [u8; 4]| -> Result<usize, FrameError> {
            let claimed = u32::from_le_bytes(bytes);
            let fits = usize::try_from(claimed).ok().filter(|length| *length <= RAW_MAX + RAW_MAX / 8);
            fits.ok_or(FrameError::Large { bytes: claimed.into() })
        };
        let (packed, raw) = (length([p0, p1, p2, p3])?, length([r0, r1, r2, r3])?);
        if raw > RAW_MAX { Err(FrameError::Large { bytes: raw as u64 }) } else { Ok(Self { kind, packed, raw }) }
    }

    fn write(self, bytes: &mut Vec<u8>) {
        let length = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
        bytes.extend_from_slice(&MARK);
        bytes.extend_from_slice(&[self.kind.number(), 0]);
        bytes.extend_from_slice(&length(self.packed));
        bytes.extend_from_slice(&length(self.raw));
    }
}

/// Makes frames.
pub struct Packer {
    compressor: Compressor<'static>,
    packed: Vec<u8>,
}

impl Packer {
    /// Sets aside what compressing needs.
    pub fn new() -> io::Result<Self> {
        let mut compressor = Compressor::new(LEVEL)?;
        compressor.set_parameter(CParameter::ChecksumFlag(true))?;
        Ok(Self { compressor, packed: Vec::new() })
    }

    /// The frame of this content, at most [`RAW_MAX`] bytes of it.
    pub fn pack(&mut self, kind: Kind, raw: &[u8]) -> io::Result<&[u8]> {
        if raw.len() > RAW_MAX {
            return Err(io::Error::other(FrameError::Large { bytes: raw.len() as u64 }));
        }
        let content = self.compressor.compress(raw)?;
        self.packed.clear();
        Head { kind, packed: content.len(), raw: raw.len() }.write(&mut self.packed);
        self.packed.extend_from_slice(&content);
        Ok(&self.packed)
    }
}

/// Opens frames.
pub struct Opener {
    decompressor: Decompressor<'static>,
}

impl Opener {
    /// Sets aside what decompressing needs.
    pub fn new() -> io::Result<Self> {
        Ok(Self { decompressor: Decompressor::new()? })
    }

    /// The content of a frame, put into `raw`.
    pub fn open(&mut self, head: Head, packed: &[u8], raw: &mut Vec<u8>) -> Result<(), FrameError> {
        raw.clear();
        raw.reserve(head.raw);
        let found = self.decompressor.decompress_to_buffer(packed, raw).map_err(FrameError::Content)?;
        if found == head.raw { Ok(()) } else { Err(FrameError::Length { stated: head.raw, found }) }
    }
}
