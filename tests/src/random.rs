//! Numbers for moments that a test must not choose.

use std::time::SystemTime;

/// Numbers that nobody could know beforehand, and that can be had again.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// From `PROCPROBE_SEED`, else from the clock; printed, so that a run can be had again.
    pub fn new() -> Self {
        let seed = std::env::var("PROCPROBE_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            now.as_secs() ^ u64::from(now.subsec_nanos()) << 32
        });
        println!("PROCPROBE_SEED={seed}");
        Self(seed | 1)
    }

    /// One of 0 to `most` - 1.
    pub fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

impl Default for Random {
    fn default() -> Self {
        Self::new()
    }
}
