//! Reads the ring buffer: waits for a wake-up, takes out what is there, decodes it.
//!
//! With a tail ([`super::tail`]) each record is there before it is out of the ring. A daemon that is killed between these two
//! leaves it in both: the one record that can be first in the ring and last in the tail is taken once.
//!
//! A record that does not decode is counted and skipped. The kernel wakes the daemon rarely (see `probe-ebpf`'s `emit`);
//! who drains must look again after the wake gap until nothing is left.

use std::io;

use aya::maps::{MapData, RingBuf};
use probe_common::record::{ARGS_CAP, COMPONENT_CAP, EXE_CAP, Exec, FILENAME_CAP, RecordKind};

use super::convert::Converter;
use super::handover::{last_record, was_told};
use super::shared::Shared;
use super::tail::{self, Kind, Tail};
use crate::readable::Readable;
use crate::record::Record;

/// The kinds that come through the ring, in the order of their numbers, as `procprobe status` names them.
const NAMES: [&str; KINDS] = ["fork", "exec", "exit", "account", "signal", "oom", "rename", "cgroup"];
const KINDS: usize = RecordKind::Cgroup as usize;

/// No record is larger.
const RECORD_MAX: usize = size_of::<Exec>() + EXE_CAP + FILENAME_CAP + ARGS_CAP + COMPONENT_CAP;

/// A tail as it is pinned.
pub type PinnedTail = Tail<Shared>;

/// The ring buffer's reading end.
pub struct Records {
    ring: Readable<RingBuf<MapData>>,
    tail: Option<PinnedTail>,
    /// The tail's last record when this daemon opened it, until the first of the ring has been compared with it.
    last_in_tail: Option<Vec<u8>>,
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
    pub(super) fn new(ring: RingBuf<MapData>, tail: Option<PinnedTail>) -> io::Result<Self> {
        let ring = Readable::new(ring)?;
        let (converter, sequences, stats) =
            (Converter::with_pages(rustix::param::page_size() as u64), Vec::new(), RecordStats::default());
        Ok(Self { ring, last_in_tail: tail.as_ref().and_then(last_record), tail, converter, sequences, stats })
    }

    /// What outlives the daemon, where programs are pinned.
    pub const fn tail(&self) -> Option<&PinnedTail> {
        self.tail.as_ref()
    }

    /// The same, to be written to.
    pub const fn tail_mut(&mut self) -> Option<&mut PinnedTail> {
        self.tail.as_mut()
    }

    /// The record in a frame of the tail; `None`: it cannot be decoded.
    pub fn decode(&mut self, bytes: &[u8]) -> Option<Record> {
        let (header, record) = self.converter.record(bytes).ok()?;
        // Where the numbers of this CPU go on.
        gap(&mut self.sequences, header.cpu, header.seq);
        Some(record)
    }

    /// Forgets what is remembered of the last records only to be quick.
    pub fn forget(&mut self) {
        self.converter.forget();
    }

    /// Waits until the kernel side wakes the daemon.
    pub async fn ready(&self) -> io::Result<()> {
        self.ring.ready().await
    }

    /// Whether no record more can be taken until the tail has room.
    pub fn is_full(&self) -> bool {
        self.tail.as_ref().is_some_and(|tail| tail.room() < tail::size(RECORD_MAX))
    }

    /// Appends what is in the ring to `records`, at most `most` of them, each with its position in the tail (0 without one);
    /// returns how many were taken out.
    pub fn drain(&mut self, most: usize, records: &mut Vec<(u64, Record)>) -> usize {
        let mut taken = 0;
        while taken < most && !self.is_full() {
            let Some(item) = self.ring.get_mut().next() else { break };
            if self.last_in_tail.take().is_some_and(|last| *last == *item) {
                continue;
            }
            if self.tail.as_ref().is_some_and(|tail| was_told(tail, &item)) {
                continue;
            }
            let mut position = 0;
            if let Some(tail) = &mut self.tail {
                position = tail.end();
                tail.append(Kind::Record, &item);
            }
            taken += 1;
            match self.converter.record(&item) {
                Ok((header, record)) => {
                    self.stats.count(header.kind);
                    self.stats.bytes += item.len() as u64;
                    let missing = gap(&mut self.sequences, header.cpu, header.seq);
                    self.stats.gaps = self.stats.gaps.saturating_add_signed(missing);
                    records.push((position, record));
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

/// By how many more, or fewer, records of this CPU are missing with this one: its highest number says how many were sent.
/// One that was interrupted by others comes after them, with its own number or with the last of theirs (see
/// `probe-ebpf`'s `emit`), and is not missing any more.
fn gap(sequences: &mut Vec<u64>, cpu: u32, seq: u64) -> i64 {
    let cpu = cpu as usize;
    if sequences.len() <= cpu {
        // Far more CPUs than Linux has: a number beyond them is a damaged record.
        if cpu >= 1 << 16 {
            return 0;
        }
        sequences.resize(cpu + 1, 0);
    }
    let last = sequences[cpu];
    sequences[cpu] = last.max(seq);
    i64::try_from(seq.saturating_sub(last)).unwrap_or(i64::MAX) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers by CPU in the order in which they come, and how many are missing after all of them.
    fn check(numbers: &[(u32, u64)], missing: u64) {
        let (mut sequences, mut stats) = (Vec::new(), RecordStats::default());
        for (cpu, seq) in numbers {
            stats.gaps = stats.gaps.saturating_add_signed(gap(&mut sequences, *cpu, *seq));
        }
        assert_eq!(stats.gaps, missing, "{numbers:?}");
    }

    #[test]
    fn what_is_missing_is_what_was_sent_and_did_not_come() {
        check(&[], 0);
        check(&[(0, 1), (0, 2), (1, 1), (0, 3), (1, 2)], 0);
        check(&[(0, 1), (0, 5), (3, 2), (0, 6)], 4);
        // One that came late, two that did, one that came late among lost ones.
        check(&[(0, 1), (0, 3), (0, 2), (0, 4)], 0);
        check(&[(0, 3), (0, 2), (0, 1), (0, 4)], 0);
        check(&[(0, 1), (0, 9), (0, 4), (0, 10)], 6);
        // One whose own number was 2, interrupted by two others; it is lost, or one of the others is.
        check(&[(0, 1), (0, 3), (0, 4), (0, 4), (0, 5)], 0);
        check(&[(0, 1), (0, 3), (0, 4), (0, 5)], 1);
        check(&[(0, 1), (0, 4), (0, 4), (0, 5)], 1);
        check(&[(0, 1), (0, 4), (0, 5)], 2);
        // No such processor, no such number.
        check(&[(u32::MAX, 7), (0, u64::MAX), (0, 1)], i64::MAX as u64 - 2);
    }
}
