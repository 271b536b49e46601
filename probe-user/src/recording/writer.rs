//! Writes a recording: entries gather in memory and go to the file as a frame when enough are there or the recorder says
//! so. The file never grows beyond its limit: a frame that would not fit is not written, and the writer says that it is
//! full.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::entry::Entry;
use super::facts::{Ended, Facts, Tail, Written};
use super::frame::{Kind, Packer, RAW_FULL, RAW_MAX};
use super::{MAGIC, VERSION};
use crate::time::KTime;

/// Kept free for the tail.
const TAIL_BYTES: u64 = 1024;

/// A recording in the making.
pub struct Writer<W> {
    out: W,
    packer: Packer,
    entries: Vec<u8>,
    bytes: u64,
    max_bytes: u64,
    written: Written,
    full: bool,
}

impl Writer<File> {
    /// Makes the file, readable by its owner alone: arguments can hold secrets. One that is there already stays.
    pub fn create(path: &Path, facts: &Facts, max_bytes: u64) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        Self::new(file, facts, max_bytes)
    }

    /// Waits until everything is on the disk.
    pub fn sync(&mut self) -> io::Result<()> {
        self.out.sync_all()
    }
}

impl<W: Write> Writer<W> {
    /// Writes the head.
    pub fn new(mut out: W, facts: &Facts, max_bytes: u64) -> io::Result<Self> {
        let mut packer = Packer::new()?;
        let mut head = MAGIC.to_vec();
        head.extend_from_slice(&VERSION.to_le_bytes());
        head.extend_from_slice(&[byte_order(), 0]);
        head.extend_from_slice(&probe_common::ABI_VERSION.to_le_bytes());
        head.extend_from_slice(packer.pack(Kind::Facts, &serde_json::to_vec(facts)?)?);
        out.write_all(&head)?;
        let bytes = head.len() as u64;
        Ok(Self { out, packer, entries: Vec::new(), bytes, max_bytes, written: Written::default(), full: false })
    }

    /// Adds an entry, had at `now`. Without effect once the file is full.
    pub fn put(&mut self, now: KTime, entry: &Entry<'_>) -> io::Result<()> {
        if self.full {
            return Ok(());
        }
        let before = self.entries.len();
        entry.write(now, &mut self.entries);
        if self.entries.len() > RAW_MAX {
            // This one alone made it too large: what came before it goes first.
            let last = self.entries.split_off(before);
            self.flush()?;
            self.entries = last;
        }
        match entry {
            Entry::Sample(rows) => self.written.usage_rows += rows.len() as u64,
            Entry::Lost(loss) => self.written.lost = self.written.lost.saturating_add(loss.count),
            _ => {}
        }
        if self.entries.len() >= RAW_FULL { self.flush() } else { Ok(()) }
    }

    /// Counts kernel records that were put in.
    pub fn count_records(&mut self, records: u64) {
        self.written.records += records;
    }

    /// Writes what has gathered, as one frame.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.entries.is_empty() || self.full {
            return Ok(());
        }
        let frame = self.packer.pack(Kind::Entries, &self.entries)?;
        let bytes = self.bytes.saturating_add(frame.len() as u64);
        if bytes.saturating_add(TAIL_BYTES) > self.max_bytes {
            self.full = true;
            self.entries = Vec::new();
            return Ok(());
        }
        self.out.write_all(frame)?;
        self.bytes = bytes;
        self.written.raw_bytes += self.entries.len() as u64;
        self.entries.clear();
        Ok(())
    }

    /// What it was written to.
    #[cfg(test)]
    pub(crate) fn into_inner(self) -> W {
        self.out
    }

    /// The limit is reached: nothing more goes in.
    pub const fn is_full(&self) -> bool {
        self.full
    }

    /// Bytes in the file.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What went in so far.
    pub const fn written(&self) -> Written {
        self.written
    }

    /// Writes what is left and the tail.
    pub fn finish(&mut self, at: KTime, ended: Ended) -> io::Result<()> {
        self.flush()?;
        let ended = if self.full { Ended::Full } else { ended };
        let tail = Tail { ended, at_mono_ns: at.0, written: self.written };
        let frame = self.packer.pack(Kind::Tail, &serde_json::to_vec(&tail)?)?;
        self.out.write_all(frame)?;
        self.bytes += frame.len() as u64;
        self.out.flush()
    }
}

/// How this machine writes its numbers.
pub(super) const fn byte_order() -> u8 {
    if cfg!(target_endian = "little") { 1 } else { 2 }
}
