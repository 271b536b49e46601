//! Reads a recording frame by frame. What is held is one frame, packed; open ones are the caller's.

use std::io::{self, ErrorKind, Read};

use super::facts::{Facts, Tail};
use super::frame::{FrameError, HEAD_BYTES, Head, Kind, Opener};
use super::writer::byte_order;
use super::{MAGIC, ReadError, VERSION};

/// An open recording.
pub struct Reader<R> {
    input: R,
    opener: Opener,
    packed: Vec<u8>,
    /// Where the next frame begins.
    at: u64,
    facts: Facts,
    tail: Option<Tail>,
    torn: Option<u64>,
}

impl<R: Read> Reader<R> {
    /// Reads the head.
    pub fn open(mut input: R) -> Result<Self, ReadError> {
        let mut head = [0; 16];
        match input.read_exact(&mut head) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(ReadError::NotARecording),
            done => done?,
        }
        let [magic @ .., v0, v1, order, _, a0, a1, a2, a3] = head;
        if magic != *MAGIC {
            return Err(ReadError::NotARecording);
        }
        let (version, abi) = (u16::from_le_bytes([v0, v1]), u32::from_le_bytes([a0, a1, a2, a3]));
        if version != VERSION {
            return Err(ReadError::Version { found: version });
        }
        if order != byte_order() {
            return Err(ReadError::ByteOrder);
        }
        if abi != probe_common::ABI_VERSION {
            return Err(ReadError::Abi { found: abi });
        }
        let mut opener = Opener::new()?;
        let (mut packed, mut raw) = (Vec::new(), Vec::new());
        let at = head.len() as u64;
        let found = match read_frame(&mut input, &mut opener, &mut packed, &mut raw) {
            Ok(found) => found.ok_or_else(|| ReadError::Facts("is missing".into()))?,
            Err(Bad::Io(error)) => return Err(error.into()),
            Err(Bad::Torn) => return Err(ReadError::Facts("is cut off".into())),
            Err(Bad::Frame(error)) => return Err(ReadError::Facts(error.to_string())),
        };
        if found.kind != Kind::Facts {
            return Err(ReadError::Facts("is missing".into()));
        }
        let facts =
            serde_json::from_slice(&raw).map_err(|error| ReadError::Facts(format!("is unreadable: {error}")))?;
        let at = at + (HEAD_BYTES + found.packed) as u64;
        Ok(Self { input, opener, packed, at, facts, tail: None, torn: None })
    }

    /// What the head says of the host.
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The entries of the next frame, put into `raw`, and where it begins; `None` at the end.
    pub fn take_frame(&mut self, raw: &mut Vec<u8>) -> Result<Option<u64>, ReadError> {
        if self.tail.is_some() || self.torn.is_some() {
            return Ok(None);
        }
        let at = self.at;
        let damaged = |why: String| ReadError::Damaged { at, why };
        match read_frame(&mut self.input, &mut self.opener, &mut self.packed, raw) {
            Ok(None) => Ok(None),
            Ok(Some(head)) => {
                self.at += (HEAD_BYTES + head.packed) as u64;
                match head.kind {
                    Kind::Entries => Ok(Some(at)),
                    Kind::Tail => {
                        let tail = serde_json::from_slice(raw);
                        self.tail = Some(tail.map_err(|error| damaged(format!("its tail is unreadable: {error}")))?);
                        Ok(None)
                    }
                    Kind::Facts => Err(damaged("a second head".into())),
                }
            }
            Err(Bad::Io(error)) => Err(error.into()),
            Err(Bad::Torn) => {
                self.torn = Some(at);
                Ok(None)
            }
            // The last frame of a file whose writer died with the machine can be anything.
            Err(Bad::Frame(_)) if is_at_end(&mut self.input)? => {
                self.torn = Some(at);
                Ok(None)
            }
            Err(Bad::Frame(error)) => Err(damaged(error.to_string())),
        }
    }

    /// Why the recording ended; `None` when its writer could not say so.
    pub const fn tail(&self) -> Option<&Tail> {
        self.tail.as_ref()
    }

    /// Where a frame begins that is not whole.
    pub const fn torn(&self) -> Option<u64> {
        self.torn
    }
}

enum Bad {
    Io(io::Error),
    /// The file ends inside it.
    Torn,
    Frame(FrameError),
}

/// The next frame, its content in `raw`; `None` where the file ends.
fn read_frame(
    input: &mut impl Read,
    opener: &mut Opener,
    packed: &mut Vec<u8>,
    raw: &mut Vec<u8>,
) -> Result<Option<Head>, Bad> {
    packed.clear();
    match take(input, HEAD_BYTES, packed)? {
        0 => return Ok(None),
        HEAD_BYTES => {}
        _ => return Err(Bad::Torn),
    }
    let head: [u8; HEAD_BYTES] = packed.as_slice().try_into().map_err(|_| Bad::Torn)?;
    let head = Head::read(head).map_err(Bad::Frame)?;
    packed.clear();
    // Grows with what is there, not with what the head claims.
    if take(input, head.packed, packed)? < head.packed {
        return Err(Bad::Torn);
    }
    opener.open(head, packed, raw).map_err(Bad::Frame)?;
    Ok(Some(head))
}

/// Appends so many bytes, fewer only at the end of the file; returns how many.
fn take(input: &mut impl Read, most: usize, bytes: &mut Vec<u8>) -> Result<usize, Bad> {
    input.by_ref().take(most as u64).read_to_end(bytes).map_err(Bad::Io)
}

/// Whether nothing but zeros follows: some file systems fill up so what was never written.
fn is_at_end(input: &mut impl Read) -> io::Result<bool> {
    let mut bytes = [0; 4096];
    loop {
        match input.read(&mut bytes) {
            Ok(0) => return Ok(true),
            Ok(read) if bytes.iter().take(read).all(|byte| *byte == 0) => {}
            Ok(_) => return Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
