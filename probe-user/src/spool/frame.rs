//! How one event lies in a segment, and what ends a segment that is full. Pure.
//!
//! ```text
//! frame:  magic u32 | crc u32 | length u32 | class u8, 0 u8 x 3 | position u64 | wall i64 | settled u64 | payload
//! seal:   magic u32 | crc u32 | frames u32 | process frames u32 | last position u64 | first wall i64 | last wall i64
//! ```
//! All little endian. `crc` is CRC-32 (IEEE) over everything behind it. `settled` is the length of the segment that was on
//! disk for certain before the batch of this frame was written: damage before it hit something that had been accepted, damage
//! behind it is a batch that a crash cut off.

use crate::event::name;

/// Longest payload; an event is far shorter.
pub const PAYLOAD_MAX: usize = 1 << 20;

/// Length of a frame without its payload.
pub(super) const HEADER: usize = 40;

/// Length of a seal.
pub(super) const SEAL: usize = 40;

const FRAME_MAGIC: u32 = u32::from_le_bytes(*b"PPe1");
const SEAL_MAGIC: u32 = u32::from_le_bytes(*b"PPs1");

/// What goes first when room is short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Starts and exits of processes: many, and the first to go.
    Process,
    /// Everything else: alarms and what the daemon says of itself.
    Alarm,
    /// What tells of losses: without it they would be silent, so it has some room of its own.
    Loss,
}

impl Class {
    /// The class of an event's name.
    pub fn of(event: &str) -> Self {
        match event {
            name::PROCESS_FORK | name::PROCESS_START | name::PROCESS_EXIT => Self::Process,
            name::AGENT_LOST => Self::Loss,
            _ => Self::Alarm,
        }
    }

    const fn to_byte(self) -> u8 {
        match self {
            Self::Process => 0,
            Self::Alarm => 1,
            Self::Loss => 2,
        }
    }
}

/// What stands in front of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) class: Class,
    /// Rises by one for every event ever put into the spool.
    pub(super) position: u64,
    /// When it happened, ns since 1970.
    pub(super) wall: i64,
    pub(super) settled: u64,
    /// Of the payload.
    pub(super) length: usize,
}

impl Frame {
    /// Appends frame and payload. A payload longer than [`PAYLOAD_MAX`] must not come here.
    pub(super) fn write(&self, payload: &[u8], into: &mut Vec<u8>) {
        let begin = into.len();
        into.extend_from_slice(&FRAME_MAGIC.to_le_bytes());
        into.extend_from_slice(&[0; 4]);
        into.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes());
        into.extend_from_slice(&[self.class.to_byte(), 0, 0, 0]);
        into.extend_from_slice(&self.position.to_le_bytes());
        into.extend_from_slice(&self.wall.to_le_bytes());
        into.extend_from_slice(&self.settled.to_le_bytes());
        into.extend_from_slice(payload);
        sign(into, begin);
    }

    /// The frame at the beginning of `bytes` with its payload, if it is whole and right.
    pub(super) fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let header = bytes.get(..HEADER)?;
        if u32_at(header, 0)? != FRAME_MAGIC {
            return None;
        }
        let length = usize::try_from(u32_at(header, 8)?).ok().filter(|length| *length <= PAYLOAD_MAX)?;
        let payload = bytes.get(HEADER..HEADER + length)?;
        let class = match header.get(12..16)? {
            [0, 0, 0, 0] => Class::Process,
            [1, 0, 0, 0] => Class::Alarm,
            [2, 0, 0, 0] => Class::Loss,
            _ => return None,
        };
        if u32_at(header, 4)? != crc(bytes.get(8..HEADER + length)?) {
            return None;
        }
        let [position, wall, settled] = [16, 24, 32].map(|offset| u64_at(header, offset));
        Some((Self { class, position: position?, wall: wall?.cast_signed(), settled: settled?, length }, payload))
    }

    /// Length with the payload.
    pub(super) const fn size(&self) -> usize {
        HEADER + self.length
    }
}

/// What a full segment ends with, so that nobody has to read it to know what is in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seal {
    pub(super) frames: u32,
    pub(super) process_frames: u32,
    pub(super) last_position: u64,
    pub(super) first_wall: i64,
    pub(super) last_wall: i64,
}

impl Seal {
    /// Takes a frame into account.
    pub(super) fn count(&mut self, frame: &Frame) {
        if self.frames == 0 {
            self.first_wall = frame.wall;
        }
        self.frames = self.frames.saturating_add(1);
        self.process_frames = self.process_frames.saturating_add(u32::from(frame.class == Class::Process));
        self.last_position = frame.position;
        self.last_wall = self.last_wall.max(frame.wall);
    }

    pub(super) fn write(&self, into: &mut Vec<u8>) {
        let begin = into.len();
        into.extend_from_slice(&SEAL_MAGIC.to_le_bytes());
        into.extend_from_slice(&[0; 4]);
        into.extend_from_slice(&self.frames.to_le_bytes());
        into.extend_from_slice(&self.process_frames.to_le_bytes());
        into.extend_from_slice(&self.last_position.to_le_bytes());
        into.extend_from_slice(&self.first_wall.to_le_bytes());
        into.extend_from_slice(&self.last_wall.to_le_bytes());
        sign(into, begin);
    }

    /// The seal that `bytes` are, if they are one.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; SEAL] = bytes.try_into().ok()?;
        if u32_at(bytes, 0)? != SEAL_MAGIC || u32_at(bytes, 4)? != crc(bytes.get(8..)?) {
            return None;
        }
        Some(Self {
            frames: u32_at(bytes, 8)?,
            process_frames: u32_at(bytes, 12)?,
            last_position: u64_at(bytes, 16)?,
            first_wall: u64_at(bytes, 24)?.cast_signed(),
            last_wall: u64_at(bytes, 32)?.cast_signed(),
        })
    }
}

/// Puts the checksum of what follows it behind the magic number.
fn sign(bytes: &mut [u8], begin: usize) {
    let sum = bytes.get(begin + 8..).map(crc).unwrap_or_default();
    if let Some(place) = bytes.get_mut(begin + 4..begin + 8) {
        place.copy_from_slice(&sum.to_le_bytes());
    }
}

fn crc(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..offset + 4)?.try_into().ok().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    bytes.get(offset..offset + 8)?.try_into().ok().map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(payload: &[u8]) -> (Frame, Vec<u8>) {
        let frame = Frame { class: Class::Alarm, position: 7, wall: -3, settled: 99, length: payload.len() };
        let mut bytes = Vec::new();
        frame.write(payload, &mut bytes);
        (frame, bytes)
    }

    #[test]
    fn the_layout_stays_what_it_is() {
        let (_, bytes) = frame(b"{}\n");
        let expected = "50506531 7f3d0ca9 03000000 01000000 0700000000000000 fdffffffffffffff 6300000000000000 7b7d0a";
        let mut shown = String::new();
        for byte in &bytes {
            let _ = std::fmt::Write::write_fmt(&mut shown, format_args!("{byte:02x}"));
        }
        assert_eq!(shown[16..], expected.replace(' ', "")[16..]);
        assert_eq!(bytes.len(), HEADER + 3);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(payload in prop::collection::vec(any::<u8>(), 0..200), more in any::<[u8; 9]>()) {
            let (frame, mut bytes) = frame(&payload);
            prop_assert_eq!(bytes.len(), frame.size());
            bytes.extend_from_slice(&more);
            prop_assert_eq!(Frame::read(&bytes), Some((frame, &payload[..])));
        }

        #[test]
        fn a_changed_or_missing_byte_is_noticed(
            payload in prop::collection::vec(any::<u8>(), 0..60),
            at in any::<prop::sample::Index>(),
            flip in 1..=255_u8,
        ) {
            let (_, mut bytes) = frame(&payload);
            let at = at.index(bytes.len());
            prop_assert_eq!(Frame::read(&bytes[..at]), None);
            bytes[at] ^= flip;
            prop_assert_eq!(Frame::read(&bytes), None);
        }

        #[test]
        fn seals_too(frames in any::<u32>(), last_position in any::<u64>(), at in 0..SEAL, flip in 1..=255_u8) {
            let seal = Seal { frames, process_frames: 3, last_position, first_wall: -5, last_wall: 5 };
            let mut bytes = Vec::new();
            seal.write(&mut bytes);
            prop_assert_eq!(Seal::read(&bytes), Some(seal));
            bytes[at] ^= flip;
            prop_assert_eq!(Seal::read(&bytes), None);
        }
    }
}
