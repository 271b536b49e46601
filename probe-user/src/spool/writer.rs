//! The thread that puts events on disk.
//!
//! It writes what has gathered in one go, with one fsync: at once when something is urgent, else when enough has come or
//! the oldest has waited for the linger. A disk that refuses is asked again, with growing waits; nothing is accepted
//! meanwhile, and people are told once.
//!
//! One lock holds the files, and is held while the disk works.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, TryLockError};
use std::time::Instant;

use tokio::sync::{Notify, watch};

use super::Lost;
use super::disk::Disk;
use super::frame::HEADER;
use super::front::Settings;
use super::inbox::{Failing, Inbox, STILL};
use super::store::{Entry, Store};
use crate::outlet::lock;

/// So many batches are written in one go at most: what is under way comes on top of what waits.
const BATCHES: usize = 4;

/// The files of whatever disk there is.
pub(super) type Files = Store<Box<dyn Disk + Send>>;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) inbox: Mutex<Inbox>,
    /// The inbox has something to do, or the end has come.
    pub(super) wake: Condvar,
    store: Mutex<Files>,
    /// Position behind the last event on disk.
    accepted: watch::Sender<u64>,
    pub(super) settings: Settings,
    /// Whom to tell that the disk begins to refuse, or takes events again.
    pub(super) bell: OnceLock<Arc<Notify>>,
}

impl Shared {
    pub(super) fn new(store: Files, settings: Settings) -> Self {
        Self {
            inbox: Mutex::new(Inbox::new(store.bytes())),
            wake: Condvar::new(),
            accepted: watch::Sender::new(store.end()),
            store: Mutex::new(store),
            settings,
            bell: OnceLock::new(),
        }
    }

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
    pub(super) fn write_all(&self) {
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
                    let since = inbox.failing.as_ref().map_or_else(Instant::now, |failing| failing.since);
                    inbox.failing = Some(Failing { why: error.to_string(), since });
                    inbox.closing
                };
                if closing {
                    return;
                }
                if first {
                    self.turned();
                }
                std::thread::sleep(self.settings.backoff * (1 << failures.min(6)));
            }
            if std::mem::take(&mut failures) > 0 {
                tracing::info!("the spool takes events again");
            }
            if lock(&self.inbox).failing.take().is_some() {
                self.turned();
            }
        }
    }

    fn turned(&self) {
        if let Some(bell) = self.bell.get() {
            bell.notify_one();
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
        let began = Instant::now();
        lock(&self.inbox).at_work = Some(began);
        let written = self.append(batch, told);
        lock(&self.inbox).at_work = None;
        if began.elapsed() >= STILL {
            self.turned();
        }
        written
    }

    fn append(&self, batch: &[Entry], told: Lost) -> io::Result<()> {
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
