//! Tells the kernel side what to leave out, so that the daemon stays within its limits.
//!
//! Where the map cannot be written everything goes on being recorded, which is said.

use aya::maps::{Array, MapData};
use probe_common::maps::LeftOut as Bits;

/// The kernel's switch.
pub struct LeftOut {
    map: Array<MapData, u32>,
}

impl LeftOut {
    pub(super) const fn new(map: Array<MapData, u32>) -> Self {
        Self { map }
    }

    /// Whether exec records come without arguments.
    pub fn args(&mut self, left_out: bool) {
        let bits = if left_out { Bits::ARGS } else { 0 };
        if let Err(error) = self.map.set(0, bits, 0) {
            tracing::warn!(%error, "the kernel programs cannot be told to leave arguments out or to take them in");
        }
    }
}
