//! The spool at work: a thread that puts events on disk.
//!
//! Collection never waits: [`Spool::offer`] leaves an event in memory, bounded in bytes; what finds no room there (a disk that
//! stands still) is dropped and counted, starts and exits first. The thread writes what has gathered in one go, with one
//! fsync: at once when something is urgent, else when enough has come or the oldest has waited for the linger.
//! A disk that refuses is asked again, with growing waits; nothing is accepted meanwhile, and people are told once.
//!
//! One lock holds the files. It is held while the disk works, so the daemon's own task never waits for it: it tries, and
//! leaves word in the inbox where it has to.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, TryLockError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::disk::{Directory, Disk};
use super::frame::HEADER;
use super::ram::Ram;
use super::reader::{Reader, View};
use super::store::{Entry, Store};
use super::{Class, Limits, Lost};
use crate::outlet::{Dropped, Tally, lock};
use crate::time::KTime;

/// The name of this place in `procprobe.agent.lost`.
const PLACE: &str = "spool";

/// What an entry costs in memory beside its own bytes.
const OVERHEAD: usize = 96;

/// So many batches are written in one go at most: what is under way comes on top of what waits.
const BATCHES: usize = 4;

impl Entry {
    const fn cost(&self) -> usize {
        self.line.len() + OVERHEAD
    }
}

/// The files of whatever disk there is.
type Files = Store<Box<dyn Disk + Send>>;

/// Sizes and times of a [`Spool`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Of the files.
    pub limits: Limits,
    /// Most memory that events take until they are on disk.
    pub memory_bytes: usize,
    /// How long an event that is not urgent waits for company.
    pub linger: Duration,
    /// So much does not wait.
    pub batch_bytes: usize,
    /// The first wait after a failure; it doubles up to 64 times that.
    pub backoff: Duration,
}

impl Settings {
    /// For files of these limits.
    pub const fn of(limits: Limits) -> Self {
        Self {
            limits,
            memory_bytes: 8 << 20,
            linger: Duration::from_secs(1),
            batch_bytes: 256 << 10,
            backoff: Duration::from_millis(250),
        }
    }
}

/// How the spool stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Length of the files.
    pub bytes: u64,
    /// What they may grow to.
    pub max_bytes: u64,
    /// Events not on disk yet.
    pub unwritten: usize,
    /// Why the disk does not take events, while it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing: Option<String>,
    /// Events dropped since the start, by reason.
    pub dropped: Vec<Dropped>,
}

/// The durable queue of a daemon.
#[derive(Debug)]
pub struct Spool {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    last: Option<Entry>,
}

#[derive(Debug)]
pub(super) struct Shared {
    inbox: Mutex<Inbox>,
    /// The inbox has something to do, or the end has come.
    wake: Condvar,
    store: Mutex<Files>,
    /// Position behind the last event on disk.
    accepted: watch::Sender<u64>,
    settings: Settings,
}

#[derive(Debug)]
struct Inbox {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// Being written.
    under_way: usize,
    urgent: bool,
    /// When the first of them came.
    since: Option<Instant>,
    closing: bool,
    tally: Tally,
    failing: Option<String>,
    /// Dropped here since nothing was left to be written: any of what is left may have come before.
    dropped: usize,
    /// Length of the files after the last writing.
    on_disk: u64,
    /// Collectors from now on, until the store knows.
    sinks: Option<Vec<String>>,
    /// Losses that the store has and that no event on disk tells of.
    stored: Lost,
    /// Dropped here, until the store knows.
    lost: Lost,
    /// Losses, of the store and here, that the tally has.
    tallied: Lost,
    /// Those of which an event tells that is in here: the store forgets them once it is on disk.
    told: Lost,
}

impl Spool {
    /// Opens the files for these collectors and starts the thread. A directory that cannot be used leaves the events in
    /// memory. The notes say that, and what was damaged.
    pub fn open(directory: &Path, settings: Settings, sinks: &[String]) -> io::Result<(Self, Vec<String>)> {
        let on_disk = Directory::open(directory)
            .and_then(|directory| Store::open_on(Box::new(directory) as Box<dyn Disk + Send>, settings.limits, sinks));
        let (mut store, note) = match on_disk {
            Ok(store) => (store, None),
            Err(error) => {
                let limits = Limits { max_bytes: settings.memory_bytes as u64, ..settings.limits };
                let limits = Limits { segment_bytes: limits.segment_bytes.min(limits.max_bytes / 8), ..limits };
                let note = format!(
                    "the spool {}: {error}; what waits for a collector is in memory alone",
                    directory.display()
                );
                let ram = Box::new(Ram::default()) as Box<dyn Disk + Send>;
                (Store::open_on(ram, limits, sinks)?, Some(note))
            }
        };
        let mut notes = store.take_notes();
        notes.extend(note);
        let last = store.last().unwrap_or_default();
        let shared = Arc::new(Shared {
            inbox: Mutex::new(Inbox {
                entries: VecDeque::new(),
                bytes: 0,
                under_way: 0,
                urgent: false,
                since: None,
                closing: false,
                tally: Tally::new(PLACE),
                failing: None,
                dropped: 0,
                on_disk: store.bytes(),
                sinks: None,
                stored: Lost::default(),
                lost: Lost::default(),
                tallied: Lost::default(),
                told: Lost::default(),
            }),
            wake: Condvar::new(),
            accepted: watch::Sender::new(store.end()),
            store: Mutex::new(store),
            settings,
        });
        let writer = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("spool".into()).spawn(move || writer.write_all())?;
        Ok((Self { shared, thread: Some(thread), last }, notes))
    }

    /// The last event of an earlier run.
    pub const fn last(&self) -> Option<&Entry> {
        self.last.as_ref()
    }

    /// Hands an event over. An urgent one does not wait for company. Never blocks for longer than it takes to move a list.
    pub fn offer(&self, entry: Entry, urgent: bool) {
        self.put(entry, urgent, false);
    }

    /// The same of the last event that tells what [`Spool::untold`] said: once it is on disk, that is told for good.
    pub fn offer_told(&self, entry: Entry) {
        self.put(entry, true, true);
    }

    fn put(&self, entry: Entry, urgent: bool, told: bool) {
        let mut inbox = lock(&self.shared.inbox);
        inbox.push(entry, self.shared.settings.memory_bytes);
        if told {
            inbox.told = inbox.tallied;
        }
        inbox.urgent |= urgent;
        let wake = inbox.since.is_none() || urgent || inbox.bytes >= self.shared.settings.batch_bytes;
        inbox.since.get_or_insert_with(Instant::now);
        drop(inbox);
        if wake {
            self.shared.wake.notify_one();
        }
    }

    /// The drops to tell now as `procprobe.agent.lost`, those of an earlier run included.
    pub fn untold(&self, now: KTime) -> Vec<Dropped> {
        // A disk that stands still holds the files: what the store has lost is told another time then.
        let store = self.shared.try_store();
        let mut inbox = lock(&self.shared.inbox);
        inbox.take_stock(store.as_deref());
        inbox.tally.untold(now)
    }

    /// A way to read for one collector, from where it stopped; with `alarms_first` those of a backlog come before the rest
    /// of it.
    pub fn reader(&self, sink: &str, alarms_first: bool) -> Reader {
        Reader::new(Arc::clone(&self.shared), sink, alarms_first)
    }

    /// A way to read the history.
    pub fn view(&self) -> View {
        View::new(Arc::clone(&self.shared))
    }

    /// Other collectors from now on. What one that is no longer there has not acknowledged is kept no longer on its
    /// account; one that was not there before goes on where the furthest behind of those that are gone stood, else it begins
    /// with what comes now.
    pub fn set_sinks(&self, sinks: Vec<String>) {
        lock(&self.shared.inbox).sinks = Some(sinks);
    }

    /// At most so many of the last events offered are neither on disk nor given up.
    pub fn unsettled(&self) -> usize {
        let mut inbox = lock(&self.shared.inbox);
        let left = inbox.entries.len() + inbox.under_way;
        if left == 0 {
            inbox.dropped = 0;
        }
        left + inbox.dropped
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        let store = self.shared.try_store();
        let mut inbox = lock(&self.shared.inbox);
        inbox.take_stock(store.as_deref());
        Status {
            bytes: inbox.on_disk,
            max_bytes: self.shared.settings.limits.max_bytes,
            unwritten: inbox.entries.len() + inbox.under_way,
            failing: inbox.failing.clone(),
            dropped: inbox.tally.totals(),
        }
    }

    /// Writes what is left, for at most `within`; returns how many events did not get on disk.
    pub fn close(mut self, within: Duration) -> usize {
        lock(&self.shared.inbox).closing = true;
        self.shared.wake.notify_one();
        let deadline = Instant::now() + within;
        if let Some(thread) = self.thread.take() {
            while !thread.is_finished() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(5));
            }
            if thread.is_finished() {
                let _ = thread.join();
            }
        }
        let inbox = lock(&self.shared.inbox);
        inbox.entries.len() + inbox.under_way
    }
}

impl Inbox {
    /// Takes the oldest, at most so many bytes of them but at least one, and the losses that are told once they are on disk.
    /// What is left is due.
    fn take(&mut self, max_bytes: usize) -> (Vec<Entry>, Lost) {
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
    fn take_stock(&mut self, store: Option<&Files>) {
        if let Some(store) = store {
            self.stored = store.untold();
        }
        let new = self.stored.plus(self.lost).less(self.tallied);
        self.tally.add("full", new.full);
        self.tally.add("damaged", new.damaged);
        self.tally.add("memory_full", new.memory);
        self.tally.add_at("forward", "rejected", new.rejected);
        self.tallied = self.tallied.plus(new);
    }

    /// Adds an entry; when there is no room the oldest starts and exits go, then the oldest of all.
    fn push(&mut self, entry: Entry, max_bytes: usize) {
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

impl Shared {
    /// The files, once whoever has them is done; changes of collectors that were waiting for that are made.
    pub(super) fn store(&self) -> MutexGuard<'_, Files> {
        let mut store = lock(&self.store);
        let sinks = lock(&self.inbox).sinks.take();
        if let Some(sinks) = sinks
            && let Err(error) = store.set_sinks(&sinks)
        {
            tracing::warn!(%error, "a crash now would not know of the new collectors");
        }
        store
    }

    /// The files, unless the disk is at work.
    pub(super) fn try_store(&self) -> Option<MutexGuard<'_, Files>> {
        match self.store.try_lock() {
            Ok(store) => Some(store),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Position behind the last event on disk, as it moves.
    pub(super) fn accepted(&self) -> watch::Receiver<u64> {
        self.accepted.subscribe()
    }

    /// The thread: gather, write, until the end was called and nothing is left.
    fn write_all(&self) {
        let mut failures = 0_u32;
        while let Some((batch, told)) = self.gather() {
            let mut rest = batch.as_slice();
            while !rest.is_empty() {
                let (part, behind) = rest.split_at(part(rest, self.settings.limits.segment_bytes));
                let told = if behind.is_empty() { told } else { Lost::default() };
                let Err(error) = self.write(part, told) else {
                    rest = behind;
                    lock(&self.inbox).under_way = rest.len();
                    continue;
                };
                let first = failures == 0;
                failures += 1;
                if first {
                    tracing::error!(%error, "the spool cannot be written; events wait in memory");
                }
                let closing = {
                    let mut inbox = lock(&self.inbox);
                    inbox.failing = Some(error.to_string());
                    inbox.closing
                };
                if closing {
                    return;
                }
                std::thread::sleep(self.settings.backoff * (1 << failures.min(6)));
            }
            if std::mem::take(&mut failures) > 0 {
                tracing::info!("the spool takes events again");
            }
            lock(&self.inbox).failing = None;
        }
    }

    /// Waits until what has come is urgent, enough or old enough. `None`: the end, and nothing is left.
    fn gather(&self) -> Option<(Vec<Entry>, Lost)> {
        let mut inbox = lock(&self.inbox);
        loop {
            let due = inbox.since.map(|since| since + self.settings.linger);
            let now = Instant::now();
            let ready = inbox.urgent || inbox.closing || inbox.bytes >= self.settings.batch_bytes;
            if !inbox.entries.is_empty() && (ready || due.is_some_and(|due| due <= now)) {
                return Some(inbox.take(self.settings.batch_bytes * BATCHES));
            }
            if inbox.closing {
                return None;
            }
            inbox = match due {
                Some(due) if !inbox.entries.is_empty() => {
                    let waited = self.wake.wait_timeout(inbox, due.saturating_duration_since(now));
                    waited.unwrap_or_else(std::sync::PoisonError::into_inner).0
                }
                _ => self.wake.wait(inbox).unwrap_or_else(std::sync::PoisonError::into_inner),
            };
        }
    }

    fn write(&self, batch: &[Entry], told: Lost) -> io::Result<()> {
        let mut store = self.store();
        {
            let mut inbox = lock(&self.inbox);
            store.add_lost(std::mem::take(&mut inbox.lost));
            inbox.stored = store.untold();
        }
        let told_all = store.append(batch)?;
        let end = store.end();
        {
            let mut inbox = lock(&self.inbox);
            inbox.on_disk = store.bytes();
            inbox.tallied = inbox.tallied.less(told);
            inbox.stored = if told_all { store.untold().less(told) } else { store.untold() };
        }
        // What could not be told is told again.
        if told_all
            && told != Lost::default()
            && let Err(error) = store.told(told)
        {
            tracing::debug!(%error, "losses that were told may be told once more");
        }
        for note in store.take_notes() {
            tracing::warn!("{note}");
        }
        drop(store);
        self.accepted.send_replace(end);
        Ok(())
    }
}

/// How many of these are written in one go: at least one, at most a file full, so that room is made for as much.
fn part(entries: &[Entry], segment_bytes: u64) -> usize {
    let mut bytes = 0;
    let fits = entries.iter().take_while(|entry| {
        bytes += (HEADER + entry.line.len()) as u64;
        bytes <= segment_bytes
    });
    fits.count().max(1)
}
