//! Chance from a seed: the run's own, apart from that of its nodes. And a signature that costs nothing.

use crate::core::Signer;

/// Numbers that follow from a seed.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(spread(seed ^ 0x5eed))
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        spread(self.0)
    }

    /// One of `0..count`.
    pub fn below(&mut self, count: usize) -> usize {
        usize::try_from((u128::from(self.number()) * count as u128) >> 64).unwrap_or(0)
    }

    /// Between two numbers, the first included.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        let span = to.saturating_sub(from).max(1);
        from + u64::try_from((u128::from(self.number()) * u128::from(span)) >> 64).unwrap_or(0)
    }

    /// True in so many of a million.
    pub fn of_million(&mut self, part: u64) -> bool {
        part > 0 && self.between(0, 1_000_000) < part
    }
}

fn spread(number: u64) -> u64 {
    let mut z = number;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A hash of the key and the bytes: nobody in a simulation breaks it.
#[derive(Clone, Debug)]
pub struct Seal {
    /// Whose.
    pub key: [u8; 32],
}

impl Signer for Seal {
    fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        seal(&self.key, bytes)
    }

    fn verify(&self, key: &[u8; 32], bytes: &[u8], signature: &[u8; 64]) -> bool {
        seal(key, bytes) == *signature
    }
}

fn seal(key: &[u8; 32], bytes: &[u8]) -> [u8; 64] {
    let mut hash = hash(0, key);
    hash = self::hash(hash, bytes);
    let mut signature = [0; 64];
    for chunk in signature.chunks_mut(8) {
        hash = spread(hash.wrapping_add(1));
        chunk.copy_from_slice(&hash.to_be_bytes());
    }
    signature
}

/// A number for bytes.
pub fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let mut hash = seed ^ bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word.iter_mut().zip(chunk).for_each(|(place, byte)| *place = *byte);
        hash = spread(hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from_le_bytes(word));
    }
    hash
}
