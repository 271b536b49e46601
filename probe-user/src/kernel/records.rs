//! Reads the ring buffer: waits for a wake-up, takes out what is there, decodes it.
//!
//! With a tail ([`super::tail`]) each record is there before it is out of the ring. A daemon that is killed between these two
//! leaves it in both: the one record that can be first in the ring and last in the tail is taken once.
//!
//! A record that does not decode is counted and skipped. The kernel wakes the daemon rarely (see `probe-ebpf`'s `emit`);
//! who drains must look again after the wake gap until nothing is left.

use std::io;

use aya::maps::{MapData, RingBuf};
use probe_common::decode::decode;
use probe_common::record::{ARGS_CAP, COMPONENT_CAP, EXE_CAP, Exec, FILENAME_CAP, Header, RecordKind};

use super::convert::Converter;
use super::shared::Shared;
use super::tail::{self, Kind, Tail};
use crate::readable::Readable;
use crate::record::Record;

/// The kinds that come through the ring, in the order of their numbers, as `procprobe status` names them.
const NAMES: [&str; KINDS] = ["fork", "exec", "exit", "account", "signal", "oom", "rename", "cgroup"];
const KINDS: usize = RecordKind::Cgroup as usize;

/// No record is larger.
const RECORD_MAX: usize = size_of::<Exec>() + EXE_CAP + FILENAME_CAP + ARGS_CAP + COMPONENT_CAP;

/// Two programs at one tracepoint tell of the same thing within so long.
const AROUND_NS: u64 = 1_000_000;

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
                    self.stats.gaps += gap(&mut self.sequences, header.cpu, header.seq);
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

/// Whether the programs before these have told the same: everything up to the moment that these took over, and of what
/// happened around that moment an exec, which is the one thing that means something twice.
fn was_told(tail: &PinnedTail, item: &[u8]) -> bool {
    let since = tail.about().since;
    let Some(header) = decode(item).ok().map(|raw| *raw.header()).filter(|_| since > 0) else { return false };
    if header.time <= since || header.kind != RecordKind::Exec as u16 || header.time > since + AROUND_NS {
        return header.time <= since;
    }
    let same = |frame: &tail::Frame| {
        let other = decode(&frame.bytes).ok().map(|raw| *raw.header());
        let near = |other: Header| other.tgid == header.tgid && other.time <= since && other.time + AROUND_NS > since;
        frame.kind == Kind::Record
            && other.is_some_and(near)
            && frame.bytes.get(size_of::<Header>()..) == item.get(size_of::<Header>()..)
    };
    let mut at = tail.settled().position;
    while let Ok(Some((frame, next))) = tail.read(at) {
        if same(&frame) {
            return true;
        }
        at = next;
    }
    false
}

pub(super) fn last_record(tail: &PinnedTail) -> Option<Vec<u8>> {
    let (mut at, mut last) = (tail.settled().position, None);
    while let Ok(Some((frame, next))) = tail.read(at) {
        if frame.kind == Kind::Record {
            last = Some(frame.bytes);
        }
        at = next;
    }
    last
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
