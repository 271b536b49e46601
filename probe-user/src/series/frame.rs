//! How blocks lie in a file. Pure.
//!
//! ```text
//! file:   "PPmeas" | 's' (values of seconds) or 'm' (of minutes) | version u8 | frames
//! frame:  magic u32 | crc of the rest of the header u32 | crc of the payload u32 | payload length u32 | length unpacked u32
//!         | kind u8, 0 u8 x 3 | first series u32 | last series u32 | from i64 | to i64 | payload, zstd
//! names:  group's number varint | length varint | name, for each
//! runs:   series varint | length varint | run, for each
//! ```
//! All little endian. crc is CRC-32 (IEEE). Several frames can be about one interval; the last of them says so, and what of an
//! interval has no such end was not written whole.

use super::play::Interval;
use super::run::{put, take};

/// What a file begins with; the last byte is the version.
pub(super) const FILE_HEADER: usize = 8;

/// Length of a frame without its payload.
pub(super) const HEADER: usize = 48;
const MAGIC: u32 = u32::from_le_bytes(*b"PPf1");

/// Longest payload, packed or not: what is written is shorter.
const PAYLOAD_MAX: usize = 4 << 20;
/// No interval is longer, in seconds.
const INTERVAL_MAX: i64 = 86_400;
/// Runs are short and many: more effort gains little.
const LEVEL: i32 = 1;

/// Which values a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grain {
    Seconds,
    Minutes,
}

impl Grain {
    /// The first bytes of such a file.
    pub(super) const fn header(self) -> [u8; FILE_HEADER] {
        match self {
            Self::Seconds => *b"PPmeass\x01",
            Self::Minutes => *b"PPmeasm\x01",
        }
    }
}

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Names of groups.
    Names,
    /// Runs, and others of the interval follow.
    Runs,
    /// The last runs of the interval, or none.
    LastRuns,
}

/// What stands in front of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) first: u32,
    pub(super) last: u32,
    pub(super) interval: Interval,
    /// Of the payload as it lies there.
    pub(super) length: usize,
    plain: usize,
    crc: u32,
}

/// A payload is not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame is damaged")]
pub(super) struct Damaged;

/// Appends a frame. The error is one of the compressor's, which has none for what fits into memory.
pub(super) fn write(
    kind: Kind,
    (first, last): (u32, u32),
    interval: Interval,
    payload: &[u8],
    into: &mut Vec<u8>,
) -> std::io::Result<()> {
    let packed = if payload.is_empty() { Vec::new() } else { zstd::bulk::compress(payload, LEVEL)? };
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut rest = Vec::with_capacity(HEADER);
    rest.extend_from_slice(&crc32fast::hash(&packed).to_le_bytes());
    rest.extend_from_slice(&length(&packed));
    rest.extend_from_slice(&length(payload));
    let kind = match kind {
        Kind::Names => 1,
        Kind::Runs => 2,
        Kind::LastRuns => 3,
    };
    rest.extend_from_slice(&[kind, 0, 0, 0]);
    rest.extend_from_slice(&first.to_le_bytes());
    rest.extend_from_slice(&last.to_le_bytes());
    rest.extend_from_slice(&interval.from.to_le_bytes());
    rest.extend_from_slice(&interval.to.to_le_bytes());
    into.extend_from_slice(&MAGIC.to_le_bytes());
    into.extend_from_slice(&crc32fast::hash(&rest).to_le_bytes());
    into.extend_from_slice(&rest);
    into.extend_from_slice(&packed);
    Ok(())
}

impl Frame {
    /// The header that `bytes` begin with, if it is one.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let header = bytes.get(..HEADER)?;
        let sound = u32_at(header, 0)? == MAGIC && u32_at(header, 4)? == crc32fast::hash(header.get(8..)?);
        if !sound {
            return None;
        }
        let kind = match header.get(20..24)? {
            [1, 0, 0, 0] => Kind::Names,
            [2, 0, 0, 0] => Kind::Runs,
            [3, 0, 0, 0] => Kind::LastRuns,
            _ => return None,
        };
        let length = |at| usize::try_from(u32_at(header, at)?).ok().filter(|length| *length <= PAYLOAD_MAX);
        let interval = Interval { from: i64_at(header, 32)?, to: i64_at(header, 40)? };
        let lasts = interval.to.checked_sub(interval.from)?;
        if !(1..=INTERVAL_MAX).contains(&lasts) {
            return None;
        }
        let (first, last) = (u32_at(header, 24)?, u32_at(header, 28)?);
        Some(Self { kind, first, last, interval, length: length(12)?, plain: length(16)?, crc: u32_at(header, 8)? })
    }

    /// Its payload unpacked.
    pub(super) fn unpack(&self, packed: &[u8]) -> Result<Vec<u8>, Damaged> {
        if packed.len() != self.length || crc32fast::hash(packed) != self.crc {
            return Err(Damaged);
        }
        if packed.is_empty() {
            return Ok(Vec::new());
        }
        let plain = zstd::bulk::decompress(packed, self.plain).map_err(|_| Damaged)?;
        if plain.len() == self.plain { Ok(plain) } else { Err(Damaged) }
    }
}

/// Appends a number and the bytes that belong to it.
pub(super) fn put_entry(number: u32, bytes: &[u8], to: &mut Vec<u8>) {
    put(to, u64::from(number));
    put(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

/// Reads numbers and what belongs to them.
pub(super) fn entries(mut payload: &[u8]) -> impl Iterator<Item = Result<(u32, &[u8]), Damaged>> {
    std::iter::from_fn(move || {
        if payload.is_empty() {
            return None;
        }
        let entry = entry(&mut payload);
        if entry.is_err() {
            payload = &[];
        }
        Some(entry)
    })
}

fn entry<'a>(from: &mut &'a [u8]) -> Result<(u32, &'a [u8]), Damaged> {
    let number = take(from).ok().and_then(|number| u32::try_from(number).ok()).ok_or(Damaged)?;
    let length = take(from).ok().and_then(|length| usize::try_from(length).ok()).ok_or(Damaged)?;
    let (bytes, rest) = from.split_at_checked(length).ok_or(Damaged)?;
    *from = rest;
    Ok((number, bytes))
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..offset + 4)?.try_into().ok().map(u32::from_le_bytes)
}

fn i64_at(bytes: &[u8], offset: usize) -> Option<i64> {
    bytes.get(offset..offset + 8)?.try_into().ok().map(i64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INTERVAL: Interval = Interval { from: 1_000, to: 1_055 };

    fn frame(payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(Kind::Runs, (16, 47), INTERVAL, payload, &mut bytes).unwrap();
        bytes
    }

    /// The payload, if header and payload are right.
    fn read(bytes: &[u8]) -> Option<Vec<u8>> {
        let frame = Frame::read(bytes)?;
        frame.unpack(bytes.get(HEADER..HEADER + frame.length)?).ok()
    }

    #[test]
    fn the_layout_stays_what_it_is() {
        let bytes = frame(&[]);
        let expected =
            "50506631 00000000 00000000 00000000 00000000 02000000 10000000 2f000000 e803000000000000 1f04000000000000";
        let shown = bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = std::fmt::Write::write_fmt(&mut text, format_args!("{byte:02x}"));
            text
        });
        let expected = expected.replace(' ', "");
        assert_eq!((&shown[..8], &shown[16..]), (&expected[..8], &expected[16..]));
        assert_eq!(&Grain::Minutes.header(), b"PPmeasm\x01");
    }

    #[test]
    fn intervals_that_nobody_writes_are_refused() {
        for (from, to) in [(5, 5), (6, 5), (0, INTERVAL_MAX + 1), (i64::MIN, i64::MAX)] {
            let mut bytes = Vec::new();
            write(Kind::Names, (0, 0), Interval { from, to }, &[], &mut bytes).unwrap();
            assert_eq!(Frame::read(&bytes), None, "{from} {to}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(payload in prop::collection::vec(any::<u8>(), 0..300), more in any::<[u8; 9]>()) {
            let mut bytes = frame(&payload);
            bytes.extend_from_slice(&more);
            prop_assert_eq!(read(&bytes), Some(payload));
        }

        #[test]
        fn a_changed_or_missing_byte_is_noticed(
            payload in prop::collection::vec(any::<u8>(), 0..60),
            at in any::<prop::sample::Index>(),
            flip in 1..=255_u8,
        ) {
            let mut bytes = frame(&payload);
            let at = at.index(bytes.len());
            prop_assert_eq!(read(&bytes[..at]), None);
            bytes[at] ^= flip;
            prop_assert_eq!(read(&bytes), None);
        }

        #[test]
        fn entries_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..80), run in prop::collection::vec(any::<u8>(), 0..9)) {
            let _ = entries(&bytes).count();
            let mut payload = Vec::new();
            put_entry(77, &run, &mut payload);
            put_entry(u32::MAX, &run, &mut payload);
            let all: Vec<_> = entries(&payload).collect();
            prop_assert_eq!(all, vec![Ok((77, &run[..])), Ok((u32::MAX, &run[..]))]);
        }
    }
}
