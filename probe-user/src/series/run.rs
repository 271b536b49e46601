//! How the points of one series lie in memory and in files: varints, each time and value as the difference to the one before.
//!
//! A run is about an interval that begins with tick 0, and can be read by itself: its first value is a difference to 0.
//! ```text
//! point: ticks since the last one * 4 + kind | value - last value, zigzag | kind 1 only: value - lowest | highest - value
//! ```
//! Kind 0 is a value that holds from its tick on, 1 one that was left for others within its tick, 2 says that nothing is
//! known from here on. What is no run ends with an error, and never with a value larger than any that is written.

use super::figure::QUANTA_MAX;

/// What is known from a tick on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// This value.
    Flat(u64),
    /// This value; within the tick others from `lo` to `hi`.
    Spread {
        /// The lowest.
        lo: u64,
        /// What holds after it; of a minute its mean.
        mid: u64,
        /// The highest.
        hi: u64,
    },
    /// Nothing.
    Unknown,
}

impl What {
    /// The shortest way to say it. `lo`, `mid` and `hi` are put in order.
    pub(super) fn of(lo: u64, mid: u64, hi: u64) -> Self {
        let (lo, hi) = (lo.min(mid), hi.max(mid));
        if lo == hi { Self::Flat(mid) } else { Self::Spread { lo, mid, hi } }
    }
}

/// What a run is no more than.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a run of points is damaged")]
pub(super) struct NoRun;

/// Where the next point of a run is written from.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pen {
    tick: u32,
    value: u64,
}

impl Pen {
    /// Appends a point, not before the last one.
    pub(super) fn write(&mut self, tick: u32, what: What, to: &mut Vec<u8>) {
        let after = u64::from(tick.saturating_sub(self.tick));
        self.tick = self.tick.max(tick);
        let (kind, value) = match what {
            What::Flat(value) => (0, Some(value)),
            What::Spread { mid, .. } => (1, Some(mid)),
            What::Unknown => (2, None),
        };
        put(to, after << 2 | kind);
        if let Some(value) = value {
            put(to, zigzag(value.cast_signed() - self.value.cast_signed()));
            self.value = value;
        }
        if let What::Spread { lo, mid, hi } = what {
            put(to, mid - lo);
            put(to, hi - mid);
        }
    }
}

/// Reads the points of a run.
#[derive(Clone, Debug)]
pub(super) struct Points<'a> {
    bytes: &'a [u8],
    tick: u32,
    value: u64,
}

impl<'a> Points<'a> {
    pub(super) const fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, tick: 0, value: 0 }
    }

    fn next_point(&mut self) -> Result<(u32, What), NoRun> {
        let head = take(&mut self.bytes)?;
        let after = u32::try_from(head >> 2).map_err(|_| NoRun)?;
        self.tick = self.tick.checked_add(after).ok_or(NoRun)?;
        let what = match head & 3 {
            kind @ (0 | 1) => {
                let difference = unzigzag(take(&mut self.bytes)?);
                self.value = self.value.checked_add_signed(difference).filter(|v| *v <= QUANTA_MAX).ok_or(NoRun)?;
                let mid = self.value;
                if kind == 0 {
                    What::Flat(mid)
                } else {
                    let lo = mid.checked_sub(take(&mut self.bytes)?).ok_or(NoRun)?;
                    let hi = mid.checked_add(take(&mut self.bytes)?).filter(|v| *v <= QUANTA_MAX).ok_or(NoRun)?;
                    What::Spread { lo, mid, hi }
                }
            }
            2 => What::Unknown,
            _ => return Err(NoRun),
        };
        Ok((self.tick, what))
    }
}

impl Iterator for Points<'_> {
    type Item = Result<(u32, What), NoRun>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.bytes.is_empty() {
            return None;
        }
        let point = self.next_point();
        if point.is_err() {
            self.bytes = &[];
        }
        Some(point)
    }
}

/// Appends a number, seven bits to the byte, the low ones first.
pub(super) fn put(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    to.push(number.to_le_bytes()[0]);
}

/// Takes a number off the front.
pub(super) fn take(from: &mut &[u8]) -> Result<u64, NoRun> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first().ok_or(NoRun)?;
        *from = rest;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return Err(NoRun);
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(NoRun)
}

const fn zigzag(number: i64) -> u64 {
    (number << 1).cast_unsigned() ^ (number >> 63).cast_unsigned()
}

const fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn what() -> impl Strategy<Value = What> {
        let value = || prop_oneof![0..5_u64, 0..=QUANTA_MAX];
        prop_oneof![
            3 => value().prop_map(What::Flat),
            2 => (value(), value(), value()).prop_map(|(lo, mid, hi)| What::of(lo, mid, hi)),
            1 => Just(What::Unknown),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(points in prop::collection::vec((prop_oneof![0..3_u32, 0..9_000_u32], what()), 0..40)) {
            let (mut pen, mut run, mut tick) = (Pen::default(), Vec::new(), 0);
            let mut expected = Vec::new();
            for (after, what) in points {
                tick += after;
                pen.write(tick, what, &mut run);
                expected.push(Ok((tick, what)));
            }
            prop_assert_eq!(Points::of(&run).collect::<Vec<_>>(), expected);
        }

        #[test]
        fn anything_is_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            for point in Points::of(&bytes).flatten() {
                if let (_, What::Flat(value) | What::Spread { hi: value, .. }) = point {
                    prop_assert!(value <= QUANTA_MAX);
                }
            }
        }

        #[test]
        fn any_number(number in any::<u64>()) {
            let mut bytes = Vec::new();
            put(&mut bytes, number);
            prop_assert_eq!(take(&mut &bytes[..]), Ok(number));
            prop_assert_eq!(zigzag(unzigzag(number)), number);
        }
    }

    #[test]
    fn a_value_that_stays_takes_no_byte_and_one_that_moves_two() {
        let (mut pen, mut run) = (Pen::default(), Vec::new());
        pen.write(0, What::Flat(1000), &mut run);
        let first = run.len();
        pen.write(1, What::Flat(1030), &mut run);
        assert_eq!((first, run.len()), (3, 5));
    }

    #[test]
    fn damage_is_an_error() {
        for bytes in [
            &[3][..],
            &[0],
            &[0x80],
            &[0, 1],
            &[1, 2, 3, 0],
            &[0xff; 11],
            &[0, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
        ] {
            assert_eq!(Points::of(bytes).last(), Some(Err(NoRun)), "{bytes:?}");
        }
    }
}
