//! Chance from a seed, and hashing that a sender of hostile identities cannot foresee.

use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use super::PeerId;

/// Spreads every bit of a number over all of them.
pub(super) const fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number for an identity, the same on every node.
pub(super) fn number_of(id: &PeerId) -> u64 {
    let all = u128::from_be_bytes(id.0);
    #[expect(clippy::cast_possible_truncation, reason = "the two halves are meant")]
    let (high, low) = ((all >> 64) as u64, all as u64);
    mix(mix(high) ^ low)
}

/// A number for bytes, under a seed.
pub(super) fn number_of_bytes(seed: u64, bytes: &[u8]) -> u64 {
    let mut hash = mix(seed ^ bytes.len() as u64);
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word.iter_mut().zip(chunk).for_each(|(place, byte)| *place = *byte);
        hash = mix(hash ^ u64::from_le_bytes(word));
    }
    hash
}

/// Numbers that look like chance and follow from the seed.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    pub(super) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// One of `0..count`; 0 where there is none.
    pub(super) fn below(&mut self, count: usize) -> usize {
        let wide = u128::from(self.number()) * count as u128;
        usize::try_from(wide >> 64).unwrap_or(0)
    }

    /// Between half of it and one and a half.
    pub(super) fn around(&mut self, duration: Duration) -> Duration {
        let permille = 500 + u32::try_from(self.below(1000)).unwrap_or(0);
        duration * permille / 1000
    }

    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// Makes [`IdHasher`]s of one seed.
#[derive(Clone, Copy, Debug)]
pub(super) struct IdHash(pub(super) u64);

/// Hashes identities, which are random already unless somebody chose them.
#[derive(Debug)]
pub(super) struct IdHasher(u64);

impl BuildHasher for IdHash {
    type Hasher = IdHasher;

    fn build_hasher(&self) -> IdHasher {
        IdHasher(self.0)
    }
}

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = number_of_bytes(self.0, bytes);
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = mix(self.0 ^ number);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }
}
