//! Reads the ring buffer: waits for a wake-up, takes out what is there, decodes it.
//!
//! A record that does not decode is counted and skipped. The kernel wakes the daemon rarely (see `probe-ebpf`'s `emit`);
//! who drains must look again after the wake gap until nothing is left.

use std::io;

use aya::maps::{MapData, RingBuf};
use probe_common::record::RecordKind;

use super::convert::Converter;
use crate::readable::Readable;
use crate::record::Record;

/// The kinds that come through the ring, in the order of their numbers, as `procprobe status` names them.
const NAMES: [&str; KINDS] = ["fork", "exec", "exit", "account", "signal", "oom", "rename", "cgroup"];
const KINDS: usize = RecordKind::Cgroup as usize;

/// The ring buffer's reading end.
pub struct Records {
    ring: Readable<RingBuf<MapData>>,
    converter: Converter,
    /// Last sequence number by CPU.
    sequences: Vec<u64>,
    stats: RecordStats,
}

/// What went through the ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordStats {
    /// Records decoded, by the number of their kind.
    kinds: [u64; KINDS],
    /// Bytes of them.
    pub bytes: u64,
    /// Records that could not be decoded.
    pub undecodable: u64,
    /// Sequence numbers that never came: what the kernel side counts as lost, seen from here.
    pub gaps: u64,
}

impl RecordStats {
    /// How many were decoded.
    pub fn total(&self) -> u64 {
        self.kinds.iter().sum()
    }

    /// How many of each kind, by its name.
    pub fn by_kind(&self) -> Vec<(String, u64)> {
        NAMES.iter().zip(self.kinds).map(|(name, count)| ((*name).to_owned(), count)).collect()
    }

    fn count(&mut self, kind: u16) {
        // Kinds start at 1.
        if let Some(count) = usize::from(kind).checked_sub(1).and_then(|index| self.kinds.get_mut(index)) {
            *count += 1;
        }
    }
}

impl Records {
    /// Must be called inside a tokio runtime.
    pub(super) fn new(ring: RingBuf<MapData>) -> io::Result<Self> {
        let ring = Readable::new(ring)?;
        Ok(Self {
            ring,
            converter: Converter::with_pages(rustix::param::page_size() as u64),
            sequences: Vec::new(),
            stats: RecordStats::default(),
        })
    }

    /// Waits until the kernel side wakes the daemon.
    pub async fn ready(&self) -> io::Result<()> {
        self.ring.ready().await
    }

    /// Appends what is in the ring to `records`, at most `most` of them; returns how many were taken out.
    pub fn drain(&mut self, most: usize, records: &mut Vec<Record>) -> usize {
        let ring = self.ring.get_mut();
        let mut taken = 0;
        while taken < most {
            let Some(item) = ring.next() else { break };
            taken += 1;
            match self.converter.record(&item) {
                Ok((header, record)) => {
                    self.stats.count(header.kind);
                    self.stats.bytes += item.len() as u64;
                    self.stats.gaps += gap(&mut self.sequences, header.cpu, header.seq);
                    records.push(record);
                }
                Err(error) => {
                    self.stats.undecodable += 1;
                    tracing::warn!(%error, "a kernel record cannot be decoded");
                }
            }
        }
        taken
    }

    /// Hands over the bytes of what is in the ring, at most `most` records, undecoded: for a recording. Returns how many
    /// were taken out.
    pub fn drain_raw(&mut self, most: usize, mut take: impl FnMut(&[u8])) -> usize {
        let ring = self.ring.get_mut();
        let mut taken = 0;
        while taken < most {
            let Some(item) = ring.next() else { break };
            taken += 1;
            take(&item);
        }
        taken
    }

    /// What went through so far.
    pub const fn stats(&self) -> RecordStats {
        self.stats
    }
}

/// How many numbers of this CPU were left out before `seq`. A repeated number is no gap: see `probe-ebpf`'s `emit`.
fn gap(sequences: &mut Vec<u64>, cpu: u32, seq: u64) -> u64 {
    let cpu = cpu as usize;
    if sequences.len() <= cpu {
        // Far more CPUs than Linux has: a number beyond them is a damaged record.
        if cpu >= 1 << 16 {
            return 0;
        }
        sequences.resize(cpu + 1, 0);
    }
    let last = std::mem::replace(&mut sequences[cpu], seq);
    seq.saturating_sub(last.saturating_add(1))
}
