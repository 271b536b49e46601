//! One file of the spool: what is known of it, and what a reader finds in it.

use std::io;

use super::disk::Disk;
use super::frame::{Frame, HEADER, PAYLOAD_MAX, SEAL, Seal};

/// Read at a time; a frame always fits.
const STEP: usize = 256 << 10;
const CHUNK: usize = (HEADER + PAYLOAD_MAX).next_power_of_two();

/// A file of frames, named after the position at which it begins.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) name: String,
    /// Nothing in it has a lower position.
    pub(super) first: u64,
    /// Length of its frames that are on disk for certain.
    pub(super) bytes: u64,
    /// What is in it, so far.
    pub(super) holds: Seal,
    /// Its end is written: it only changes by being thinned.
    pub(super) sealed: bool,
    /// Rises when its frames move: places in it that somebody remembers are void.
    pub(super) moved: u32,
}

impl Segment {
    /// One that is still to be written.
    pub(super) fn new(first: u64) -> Self {
        Self { name: name_of(first), first, bytes: 0, holds: Seal::default(), sealed: false, moved: 0 }
    }

    /// Length of the file.
    pub(super) const fn size(&self) -> u64 {
        self.bytes + if self.sealed { SEAL as u64 } else { 0 }
    }

    /// Highest position in it; below [`Segment::first`] when it is empty.
    pub(super) const fn last(&self) -> u64 {
        if self.holds.frames == 0 { self.first.saturating_sub(1) } else { self.holds.last_position }
    }
}

/// `00000000000004d2.seg`, so that names sort as positions do.
pub(super) fn name_of(first: u64) -> String {
    format!("{first:016x}.seg")
}

/// The position in a segment's name.
pub(super) fn first_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}

/// Why reading stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// At the end.
    End,
    /// The reader had enough.
    Enough,
    /// There is no frame here.
    NoFrame,
}

/// Reads frames from `offset` up to `end`, and hands each with its offset and payload to `take` until that says no.
/// Returns where it stopped: behind the last frame that was taken.
pub(super) fn frames(
    disk: &impl Disk,
    name: &str,
    mut offset: u64,
    end: u64,
    mut take: impl FnMut(u64, &Frame, &[u8]) -> bool,
) -> io::Result<(u64, Stop)> {
    let mut step = STEP;
    while offset < end {
        let wanted = usize::try_from(end - offset).unwrap_or(usize::MAX).min(step);
        let chunk = disk.read(name, offset, wanted)?;
        let mut rest = chunk.as_slice();
        let before = offset;
        while let Some((frame, payload)) = Frame::read(rest) {
            if !take(offset, &frame, payload) {
                return Ok((offset, Stop::Enough));
            }
            offset += frame.size() as u64;
            rest = rest.get(frame.size()..).unwrap_or_default();
        }
        if rest.is_empty() && chunk.len() == wanted {
            continue;
        }
        if offset == before && chunk.len() == step && step < CHUNK {
            step = CHUNK;
            continue;
        }
        step = STEP;
        // What is left may be the beginning of a frame that goes on behind the chunk.
        if offset == before || chunk.len() < wanted || offset + rest.len() as u64 >= end {
            return Ok((offset, Stop::NoFrame));
        }
    }
    Ok((offset, Stop::End))
}

/// What a segment whose end is not sealed turned out to hold.
#[derive(Debug)]
pub(super) struct Found {
    /// Counts of the frames that are whole, from the beginning on.
    pub(super) holds: Seal,
    /// Where they end.
    pub(super) end: u64,
    /// Behind that something that was accepted is damaged.
    pub(super) damaged: bool,
}

/// Reads a segment of that length to find out where it ends.
pub(super) fn survey(disk: &impl Disk, name: &str, length: u64) -> io::Result<Found> {
    let mut holds = Seal::default();
    let (end, stop) = frames(disk, name, 0, length, |_, frame, _| {
        holds.count(frame);
        true
    })?;
    // Something behind it that was written later, and knew of more than what is whole here.
    let damaged =
        stop == Stop::NoFrame && next_frame(disk, name, end, length)?.is_some_and(|(_, settled)| settled > end);
    Ok(Found { holds, end, damaged })
}

/// The next whole frame behind a place that holds none: its offset, and how much was settled before it.
pub(super) fn next_frame(disk: &impl Disk, name: &str, from: u64, end: u64) -> io::Result<Option<(u64, u64)>> {
    let mut offset = from + 1;
    while offset < end {
        let wanted = usize::try_from(end - offset).unwrap_or(usize::MAX).min(2 * CHUNK);
        let chunk = disk.read(name, offset, wanted)?;
        // A frame that begins in the second half is looked at when that is the first.
        let last = if chunk.len() == 2 * CHUNK { CHUNK } else { chunk.len() };
        for place in 0..last {
            if let Some((frame, _)) = chunk.get(place..).and_then(Frame::read) {
                return Ok(Some((offset + place as u64, frame.settled)));
            }
        }
        offset += last.max(1) as u64;
    }
    Ok(None)
}

/// The seal at the end of a file of that length, and where the frames end.
pub(super) fn seal_of(disk: &impl Disk, name: &str, length: u64) -> io::Result<Option<(Seal, u64)>> {
    let Some(frames_end) = length.checked_sub(SEAL as u64) else { return Ok(None) };
    Ok(Seal::read(&disk.read(name, frames_end, SEAL)?).map(|seal| (seal, frames_end)))
}
