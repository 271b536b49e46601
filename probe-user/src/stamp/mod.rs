//! Gives each event its place in the stream: id, sequence number, wall time, host.
//!
//! The sequence number rises by one for every event of a boot of a host, whatever restarts in between. It is kept in the
//! state directory ([`ledger`]): numbers are reserved ahead in blocks, each reservation is on disk before its first
//! number is used, and a clean end writes the exact next number. After a crash the stream goes on at the end of the
//! reserved block: never back, so that a receiver that drops repeats by id drops nothing new. The gap is at most
//! [`BLOCK`] numbers, `agent.started` says where it comes from ([`Resumed`]), and an `agent.lost` names the numbers from the
//! last accepted event on ([`Gap`]), so that a receiver can account for each of them.
//!
//! Where the file cannot be kept or read, numbers start at the time since boot in units of 100 us: above anything that an
//! earlier run of this boot can have used (unless it told more than 10,000 events a second over its whole life), without
//! any memory of it. That is told as a note.

mod ledger;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{BufMut as _, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::event::{Event, Host, Stamped};
use crate::time::ClockReading;
use ledger::{Entry, Found, Ledger};

/// How many sequence numbers one write to the disk reserves.
pub const BLOCK: u64 = 4096;

/// How the stream goes on after the last run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Resumed {
    /// The first run of this boot: numbers start at 1.
    FirstOfBoot,
    /// The last run ended cleanly: no gap.
    Clean,
    /// The last run ended without a word: a gap of at most [`BLOCK`] numbers that were never given to an event.
    AfterCrash,
    /// Nothing is known of the last run: numbers start at the time since boot.
    Unknown,
}

impl Resumed {
    /// The word used in `procprobe.agent.started`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FirstOfBoot => "first_of_boot",
            Self::Clean => "clean",
            Self::AfterCrash => "after_crash",
            Self::Unknown => "unknown",
        }
    }
}

/// Numbers that no event on disk has, and that none will get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Why, in a word: `crash`; `unwritten`, when the last run ended cleanly but without getting its events on disk;
    /// `unknown`.
    pub reason: &'static str,
    /// First number.
    pub first: u64,
    /// Last number.
    pub last: u64,
}

/// What [`Stamper::gap`] wants to know of an event.
#[derive(Deserialize)]
struct Place {
    seq: u64,
    host: Boot,
}

#[derive(Deserialize)]
struct Boot {
    #[serde(rename = "boot.id")]
    boot_id: String,
}

/// Why there can be no stamper.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Two daemons would give the same numbers to different events.
    #[error("another procprobe uses the state directory {}; give this one its own with --state-dir", .0.display())]
    InUse(PathBuf),
}

/// Stamps events; one for the life of the daemon.
#[derive(Debug)]
pub struct Stamper {
    host: Arc<Host>,
    prefix: String,
    next: u64,
    /// First number that is not reserved.
    limit: u64,
    ledger: Option<Ledger>,
    resumed: Resumed,
    reserve_failed: bool,
}

impl Stamper {
    /// Takes the stream up where the last run left it. `boot_ns` is CLOCK_BOOTTIME now. The notes say what is degraded.
    pub fn open(host: Host, state_dir: &Path, boot_ns: u64) -> Result<(Self, Vec<String>), OpenError> {
        let mut notes = Vec::new();
        let without_memory = (boot_ns / 100_000).max(1);
        let (ledger, next, resumed) = match Ledger::open(state_dir) {
            Err(ledger::Error::Locked) => return Err(OpenError::InUse(state_dir.to_owned())),
            Err(ledger::Error::Io(error)) => {
                notes.push(format!(
                    "state directory {}: {error}; event numbers start at {without_memory} and a restart starts anew",
                    state_dir.display()
                ));
                (None, without_memory, Resumed::Unknown)
            }
            Ok((ledger, found)) => {
                let (next, resumed) = match found {
                    Found::Nothing => (1, Resumed::FirstOfBoot),
                    Found::Entry(entry) if entry.boot_id != host.boot_id => (1, Resumed::FirstOfBoot),
                    Found::Entry(entry) if entry.clean => (entry.next, Resumed::Clean),
                    Found::Entry(entry) => (entry.next, Resumed::AfterCrash),
                    Found::Damaged { why, kept } => {
                        notes.push(format!(
                            "the event numbers in {} were damaged ({why}), kept as {}; numbers start at {without_memory}",
                            state_dir.display(),
                            kept.display()
                        ));
                        (without_memory, Resumed::Unknown)
                    }
                };
                (Some(ledger), next, resumed)
            }
        };
        let prefix = format!("{}:{}:", host.id, host.boot_id);
        let mut stamper =
            Self { host: Arc::new(host), prefix, next, limit: next, ledger, resumed, reserve_failed: false };
        if let Some(error) = stamper.reserve() {
            notes.push(format!("state directory {}: {error}; a restart may repeat event numbers", state_dir.display()));
        }
        Ok((stamper, notes))
    }

    /// Numbers from 1 without any memory: for events that nobody else ever gets.
    pub fn forgetful(host: Host) -> Self {
        let prefix = format!("{}:{}:", host.id, host.boot_id);
        Self {
            host: Arc::new(host),
            prefix,
            next: 1,
            limit: u64::MAX,
            ledger: None,
            resumed: Resumed::FirstOfBoot,
            reserve_failed: false,
        }
    }

    /// How this run goes on after the last one.
    pub const fn resumed(&self) -> Resumed {
        self.resumed
    }

    /// The numbers between the last event that was accepted, as a line of JSON, and the first of this run: those of events
    /// that were stamped and not accepted, and those that were never given.
    pub fn gap(&self, last: Option<&[u8]>) -> Option<Gap> {
        let accepted = self.accepted(last);
        let reason = match self.resumed {
            Resumed::AfterCrash => "crash",
            Resumed::Clean => "unwritten",
            Resumed::FirstOfBoot | Resumed::Unknown => "unknown",
        };
        let (first, last) = (accepted.saturating_add(1), self.next.saturating_sub(1));
        (first <= last).then_some(Gap { reason, first, last })
    }

    /// The number of the last event that was accepted, as a line of JSON; 0 when there is none of this boot.
    pub fn accepted(&self, last: Option<&[u8]>) -> u64 {
        let place = last.and_then(|line| serde_json::from_slice::<Place>(line).ok());
        place.filter(|place| place.host.boot_id == self.host.boot_id).map_or(0, |place| place.seq)
    }

    /// Who speaks.
    pub fn host(&self) -> &Arc<Host> {
        &self.host
    }

    /// The number of the next event.
    pub const fn next_seq(&self) -> u64 {
        self.next
    }

    /// Gives the event the next place. Once every [`BLOCK`] events this writes a small file and waits for the disk.
    pub fn stamp(&mut self, event: Event, clock: &ClockReading) -> Stamped {
        if self.next >= self.limit {
            match self.reserve() {
                Some(error) if !self.reserve_failed => {
                    self.reserve_failed = true;
                    tracing::warn!(%error, "event numbers cannot be reserved; a crash now may repeat some");
                }
                Some(_) => {}
                None => self.reserve_failed = false,
            }
        }
        let seq = self.next;
        self.next += 1;
        Stamped {
            id: format!("{}{seq:012}", self.prefix),
            seq,
            time: clock.wall_of(event.at).rfc3339(),
            name: event.name,
            severity: event.severity,
            body: event.body,
            host: Arc::clone(&self.host),
            attributes: event.attributes.to_json(clock),
        }
    }

    /// Writes the exact next number, so that the next run leaves no gap.
    pub fn close(mut self) -> std::io::Result<()> {
        let entry = self.entry(self.next, true);
        self.ledger.as_mut().map_or(Ok(()), |ledger| ledger.write(&entry))
    }

    /// Reserves the next block. On failure the numbers are used all the same: an event without a number is no event.
    fn reserve(&mut self) -> Option<std::io::Error> {
        self.limit = self.next.saturating_add(BLOCK);
        let entry = self.entry(self.limit, false);
        self.ledger.as_mut().and_then(|ledger| ledger.write(&entry).err())
    }

    fn entry(&self, next: u64, clean: bool) -> Entry {
        Entry { boot_id: self.host.boot_id.clone(), next, clean }
    }
}

/// The event as one line of JSON with its newline, made once and shared by all sinks.
pub fn line(stamped: &Stamped) -> Result<Bytes, serde_json::Error> {
    let mut writer = BytesMut::with_capacity(1024).writer();
    serde_json::to_writer(&mut writer, stamped)?;
    let mut line = writer.into_inner();
    line.put_u8(b'\n');
    Ok(line.freeze())
}
