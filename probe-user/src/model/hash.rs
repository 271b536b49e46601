//! Hash maps for keys that the kernel numbers itself (tgids, start times, cgroup ids) or that come from policies.
//!
//! Two reasons to leave the standard hasher: it costs more than the rest of a look-up, and its random seed would make
//! the order of [`super::Table::iter`] differ from run to run, while the same trace must give the same effects. The
//! kernel's numbers come in sequence and names are chosen by whoever writes policies, so nobody can pick many that collide;
//! a worst case costs time, not truth.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// A map from kernel numbers.
pub(crate) type Map<K, V> = HashMap<K, V, BuildHasherDefault<NumberHasher>>;
/// A set of kernel numbers.
pub(crate) type Set<K> = HashSet<K, BuildHasherDefault<NumberHasher>>;

/// Maps smaller than this are left as they are by [`trim`].
const WORTH_TRIMMING: usize = 1024;

/// Multiplies and folds, so that neighbouring numbers land far apart in the low bits (the bucket) and in the high ones
/// (the tag) alike.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut last = [0; 8];
            last.iter_mut().zip(rest).for_each(|(place, byte)| *place = *byte);
            self.write_u64(u64::from_le_bytes(last));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(u64::from(number));
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        // The odd constant is 2^64 divided by the golden ratio.
        let mixed = (self.0.rotate_left(29) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }

    fn finish(&self) -> u64 {
        self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(20)
    }
}

/// Gives memory back after a burst: maps grow by doubling and never shrink by themselves. Called at each removal, it
/// moves entries only after seven eighths of the room have become empty.
pub(crate) fn trim<K: Eq + Hash, V>(map: &mut Map<K, V>) {
    if map.capacity() > WORTH_TRIMMING && map.len() < map.capacity() / 8 {
        map.shrink_to(map.len() * 2);
    }
}

/// The same for a set.
pub(crate) fn trim_set<K: Eq + Hash>(set: &mut Set<K>) {
    if set.capacity() > WORTH_TRIMMING && set.len() < set.capacity() / 8 {
        set.shrink_to(set.len() * 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::ProcessKey;
    use crate::time::KTime;

    #[test]
    fn neighbours_spread_over_buckets_and_tags() {
        let hash = |tgid: u32, start: u64| {
            let mut hasher = NumberHasher::default();
            ProcessKey { tgid, start: KTime(start) }.hash(&mut hasher);
            hasher.finish()
        };
        let hashes: Vec<u64> = (0..4096).map(|n| hash(n, u64::from(n) * 1_000_000)).collect();
        let buckets: HashSet<u64> = hashes.iter().map(|hash| hash & 4095).collect();
        let tags: HashSet<u64> = hashes.iter().map(|hash| hash >> 57).collect();
        // A random function fills 63 % of as many buckets as there are keys.
        assert!(buckets.len() > 2300, "{} buckets of 4096", buckets.len());
        assert_eq!(tags.len(), 128);
    }

    #[test]
    fn a_burst_gives_its_memory_back() {
        let mut map = Map::<u32, u64>::default();
        map.extend((0..100_000).map(|n| (n, 0)));
        for n in 10..100_000 {
            map.remove(&n);
            trim(&mut map);
        }
        assert!(map.capacity() <= 2 * WORTH_TRIMMING, "room for {}", map.capacity());
        assert_eq!(map.len(), 10);
    }
}
