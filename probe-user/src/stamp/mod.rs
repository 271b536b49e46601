//! Gives each event its place in the stream: id, sequence number, wall time, host.
//!
//! The sequence number rises by one for every event of a boot of a host, whatever restarts in between. It is kept in the
//! state directory ([`ledger`]): numbers are reserved ahead in blocks by a thread of its own ([`reserve`]), so that each
//! reservation is on disk before its first number is used, and a clean end writes the exact next number. After a crash the
//! stream goes on at the end of the reserved block: never back, so that a receiver that drops repeats by id drops nothing
//! new. The gap is at most [`BLOCK`] numbers, `agent.started` says where it comes from ([`Resumed`]), and an `agent.lost`
//! names the numbers from the last accepted event on ([`Gap`]), so that a receiver can account for each of them.
//!
//! Nobody waits for the disk: while it stands still for longer than half a block lasts, numbers are used unreserved. Events
//! that it accepted all the same are known by the spool, and the next run goes on behind them ([`Stamper::take_up`]).
//!
//! Where the file cannot be kept or read, numbers start at the time since boot in units of 100 us: above anything that an
//! earlier run of this boot can have used (unless it told more than 10,000 events a second over its whole life), without
//! any memory of it. That is told as a note.

mod ledger;
mod reserve;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::event::{Event, Host, Stamped};
use crate::time::ClockReading;
use ledger::{Entry, Found, Ledger};
use reserve::Reserver;

/// How many sequence numbers are reserved at most. The next reservation is asked for when half of them are used, which
/// at 50,000 events a second leaves a disk 160 ms.
pub const BLOCK: u64 = 16_384;

/// Memory that lines are cut from.
const CHUNK_BYTES: usize = 64 << 10;

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

/// What [`Stamper::take_up`] wants to know of an event.
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
    /// First number that no reservation was asked for.
    limit: u64,
    reserver: Option<Reserver>,
    resumed: Resumed,
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
        let mut stamper = Self { next, resumed, ..Self::forgetful(host) };
        stamper.limit = next.saturating_add(BLOCK);
        let entry = stamper.entry(stamper.limit, false);
        stamper.reserver = ledger.map(Reserver::new);
        if let Some(Err(error)) = stamper.reserver.as_ref().map(|reserver| reserver.write(&entry)) {
            notes.push(format!("state directory {}: {error}; a restart may repeat event numbers", state_dir.display()));
        }
        Ok((stamper, notes))
    }

    /// Numbers from 1 without any memory: for events that nobody else ever gets.
    pub fn forgetful(host: Host) -> Self {
        let prefix = format!("{}:{}:", host.id, host.boot_id);
        Self { host: Arc::new(host), prefix, next: 1, limit: u64::MAX, reserver: None, resumed: Resumed::FirstOfBoot }
    }

    /// How this run goes on after the last one.
    pub const fn resumed(&self) -> Resumed {
        self.resumed
    }

    /// Goes on behind the last event that was accepted, given as a line of JSON. What is returned are the numbers between it
    /// and the first of this run: those of events that were stamped and not accepted, and those that were never given.
    pub fn take_up(&mut self, last: Option<&[u8]>) -> Option<Gap> {
        let accepted = self.accepted(last);
        self.next = self.next.max(accepted.saturating_add(1));
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

    /// Gives the event the next place.
    pub fn stamp(&mut self, event: Event, clock: &ClockReading) -> Stamped {
        if self.limit.saturating_sub(self.next) <= BLOCK / 2 {
            self.limit = self.next.saturating_add(BLOCK);
            let entry = self.entry(self.limit, false);
            if let Some(reserver) = &mut self.reserver {
                reserver.ask(entry);
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
            attributes: event.attributes,
            clock: *clock,
        }
    }

    /// Writes the exact next number, so that the next run leaves no gap.
    pub fn close(mut self) -> std::io::Result<()> {
        let entry = self.entry(self.next, true);
        self.reserver.take().map_or(Ok(()), |reserver| reserver.close(&entry))
    }

    fn entry(&self, next: u64, clean: bool) -> Entry {
        Entry { boot_id: self.host.boot_id.clone(), next, clean }
    }
}

/// Makes lines of events. Under load the memory of each would be allocated here and freed by another thread, which the C
/// library is slow at: lines are cut from common chunks, which are freed when their last line is gone.
#[derive(Debug, Default)]
pub struct Lines {
    /// The line that is being made: JSON is written in a hundred small pieces, for which a plain vector is the fastest.
    line: Vec<u8>,
    chunk: BytesMut,
}

impl Lines {
    /// The event as one line of JSON with its newline, made once and shared by all sinks.
    pub fn line(&mut self, stamped: &Stamped) -> Result<Bytes, serde_json::Error> {
        self.line.clear();
        self.line.shrink_to(CHUNK_BYTES);
        serde_json::to_writer(&mut self.line, stamped)?;
        self.line.push(b'\n');
        if self.chunk.capacity() < self.line.len() {
            self.chunk = BytesMut::with_capacity(CHUNK_BYTES.max(self.line.len()));
        }
        self.chunk.extend_from_slice(&self.line);
        Ok(self.chunk.split().freeze())
    }
}

/// The event as one line by itself, for one that may be kept for long.
pub fn line(stamped: &Stamped) -> Result<Bytes, serde_json::Error> {
    let mut line = serde_json::to_vec(stamped)?;
    line.push(b'\n');
    Ok(line.into_boxed_slice().into())
}
