//! What waits in memory for the disk, and the account of what was lost.
//!
//! Bounded in bytes: what finds no room (a disk that stands still) is dropped and counted, starts and exits first. A loss is
//! told by an event that comes in here too; the store forgets the loss once that event is on disk.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::store::Entry;
use super::writer::Files;
use super::{Class, Lost};
use crate::outlet::Tally;

/// The name of this place in `procprobe.agent.lost`.
const PLACE: &str = "spool";

/// Why events are dropped while the disk takes none.
pub const NO_MEMORY: &str = "memory_full";

/// What an entry costs in memory beside its own bytes.
const OVERHEAD: usize = 96;

/// A disk that takes longer than that for a batch stands still.
pub(super) const STILL: Duration = Duration::from_secs(10);

impl Entry {
    const fn cost(&self) -> usize {
        self.line.len() + OVERHEAD
    }
}

/// The disk refuses.
#[derive(Debug)]
pub(super) struct Failing {
    /// What it says.
    pub(super) why: String,
    /// Since the first refusal in a row.
    pub(super) since: Instant,
}

#[derive(Debug)]
pub(super) struct Inbox {
    pub(super) entries: VecDeque<Entry>,
    pub(super) bytes: usize,
    /// Being written.
    pub(super) under_way: usize,
    pub(super) urgent: bool,
    /// When the first of them came.
    pub(super) since: Option<Instant>,
    pub(super) closing: bool,
    pub(super) tally: Tally,
    /// The disk refuses.
    pub(super) failing: Option<Failing>,
    /// The disk is at work since then.
    pub(super) at_work: Option<Instant>,
    /// Dropped here since nothing was left to be written: any of what is left may have come before.
    pub(super) dropped: usize,
    /// Length of the files after the last writing.
    pub(super) on_disk: u64,
    /// Collectors from now on, until the store knows.
    pub(super) sinks: Option<Vec<String>>,
    /// Losses that the store has and that no event on disk tells of.
    pub(super) stored: Lost,
    /// Dropped here, until the store knows.
    pub(super) lost: Lost,
    /// Losses, of the store and here, that the tally has.
    pub(super) tallied: Lost,
    /// Those of which an event tells that is in here: the store forgets them once it is on disk.
    pub(super) told: Lost,
}

impl Inbox {
    /// Empty, beside files of this length.
    pub(super) fn new(on_disk: u64) -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: 0,
            under_way: 0,
            urgent: false,
            since: None,
            closing: false,
            tally: Tally::new(PLACE),
            failing: None,
            at_work: None,
            dropped: 0,
            on_disk,
            sinks: None,
            stored: Lost::default(),
            lost: Lost::default(),
            tallied: Lost::default(),
            told: Lost::default(),
        }
    }

    /// Why the disk does not take events, and for how long it has not. One that stands still says nothing.
    pub(super) fn trouble(&self) -> Option<(String, Duration)> {
        if let Some(Failing { why, since }) = &self.failing {
            return Some((why.clone(), since.elapsed()));
        }
        let lasting = self.at_work?.elapsed();
        (lasting >= STILL).then(|| (format!("the disk has not answered for {} s", lasting.as_secs()), lasting))
    }

    /// Takes the oldest, at most so many bytes of them but at least one, and the losses that are told once they are on disk.
    /// What is left is due.
    pub(super) fn take(&mut self, max_bytes: usize) -> (Vec<Entry>, Lost) {
        let mut bytes = 0;
        let fits = self.entries.iter().take_while(|entry| {
            bytes += entry.cost();
            bytes <= max_bytes
        });
        let count = fits.count().max(1).min(self.entries.len());
        let batch: Vec<Entry> = self.entries.drain(..count).collect();
        self.bytes -= batch.iter().map(Entry::cost).sum::<usize>();
        self.under_way = batch.len();
        self.urgent = !self.entries.is_empty();
        if self.urgent {
            return (batch, Lost::default());
        }
        // A burst must not keep its memory for the life of the daemon.
        self.entries.shrink_to(64);
        self.since = None;
        (batch, std::mem::take(&mut self.told))
    }

    /// Puts losses that are new into the tally. Without the store those that happened here will do.
    pub(super) fn take_stock(&mut self, store: Option<&Files>) {
        if let Some(store) = store {
            self.stored = store.untold();
        }
        let new = self.stored.plus(self.lost).less(self.tallied);
        self.tally.add("full", new.full);
        self.tally.add("damaged", new.damaged);
        self.tally.add(NO_MEMORY, new.memory);
        self.tally.add_at("forward", "rejected", new.rejected);
        self.tallied = self.tallied.plus(new);
    }

    /// Adds an entry; when there is no room the oldest starts and exits go, then the oldest of all.
    pub(super) fn push(&mut self, entry: Entry, max_bytes: usize) {
        let cost = entry.cost();
        while self.bytes + cost > max_bytes && !self.entries.is_empty() {
            let place = self.entries.iter().position(|entry| entry.class == Class::Process).unwrap_or(0);
            if let Some(gone) = self.entries.remove(place) {
                self.bytes -= gone.cost();
                self.lost.memory += 1;
                self.dropped += 1;
            }
        }
        self.bytes += cost;
        self.entries.push_back(entry);
    }
}
