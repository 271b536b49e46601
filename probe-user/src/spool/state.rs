//! What the spool remembers beside the events: where each collector goes on, and which losses are still to be told.
//!
//! One small file with two places. Written is always the one that is not known to be on disk: a crash tears that one and
//! leaves the other. It is written in place, so that a disk without any room left still takes it.

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};

use super::Lost;
use super::disk::Disk;

const FILE: &str = "state";

/// Length of a place: `crc u32 | generation u64 | length u32 | JSON`, padded with zeros.
const PLACE: usize = 16 << 10;
const HEADER: usize = 16;

/// What is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// The next position that each collector wants.
    pub(super) sinks: BTreeMap<String, u64>,
    /// Lost and not told yet.
    pub(super) lost: Lost,
}

/// The file.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Of the last writing.
    generation: u64,
    /// The place that is on disk for certain is the second one.
    second_is_safe: bool,
}

/// What the last run left.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    State(State),
    /// A file of which neither place is whole.
    Damaged,
}

impl Memory {
    /// Reads the file, or makes it.
    pub(super) fn open(disk: &mut impl Disk) -> io::Result<(Self, Found)> {
        let length = disk.list()?.into_iter().find_map(|(name, length)| (name == FILE).then_some(length));
        let bytes = if length.is_some() { disk.read(FILE, 0, 2 * PLACE)? } else { Vec::new() };
        let places = bytes.chunks(PLACE).enumerate().filter_map(|(place, bytes)| Some((place, parse(bytes)?)));
        if let Some((place, (generation, state))) = places.max_by_key(|(_, (generation, _))| *generation) {
            // What was read may be in the kernel's memory alone.
            disk.sync(FILE)?;
            return Ok((Self { generation, second_is_safe: place == 1 }, Found::State(state)));
        }
        // The room is taken now, so that no writing needs any later.
        disk.create(FILE)?;
        disk.write(FILE, 0, &vec![0; 2 * PLACE])?;
        disk.sync(FILE)?;
        disk.sync_names()?;
        let was_written = bytes.iter().any(|byte| *byte != 0);
        Ok((Self::default(), if was_written { Found::Damaged } else { Found::Nothing }))
    }

    /// Writes the state; with `sync` it is on disk on return.
    pub(super) fn write(&mut self, disk: &mut impl Disk, state: &State, sync: bool) -> io::Result<()> {
        let json = serde_json::to_vec(state).map_err(io::Error::other)?;
        if json.len() > PLACE - HEADER {
            return Err(io::Error::other("too many collectors to remember"));
        }
        let generation = self.generation + 1;
        let mut bytes = vec![0; 4];
        bytes.extend_from_slice(&generation.to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(json.len()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend_from_slice(&json);
        let sum = crc32fast::hash(bytes.get(4..).unwrap_or_default());
        bytes.splice(..4, sum.to_le_bytes());
        disk.write(FILE, if self.second_is_safe { 0 } else { PLACE as u64 }, &bytes)?;
        self.generation = generation;
        if sync {
            disk.sync(FILE)?;
            self.second_is_safe = !self.second_is_safe;
        }
        Ok(())
    }
}

fn parse(place: &[u8]) -> Option<(u64, State)> {
    let sum = u32::from_le_bytes(place.get(..4)?.try_into().ok()?);
    let generation = u64::from_le_bytes(place.get(4..12)?.try_into().ok()?);
    let length = usize::try_from(u32::from_le_bytes(place.get(12..16)?.try_into().ok()?)).ok()?;
    if sum != crc32fast::hash(place.get(4..HEADER.checked_add(length)?)?) {
        return None;
    }
    Some((generation, serde_json::from_slice(place.get(HEADER..HEADER + length)?).ok()?))
}
