//! The spool as the daemon has it: events go in, and it says how it stands.
//!
//! Nothing here waits for the disk, but the end: the lock of the files is held while the disk works, so it is tried, and
//! where it is taken word is left in the inbox.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::Limits;
use super::disk::{Directory, Disk};
use super::ram::Ram;
use super::reader::{Reader, View};
use super::store::{Entry, Store};
use super::writer::Shared;
use crate::outlet::{AT_LAST, Dropped, lock};
use crate::time::KTime;

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
    /// For so many seconds it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_seconds: Option<f64>,
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
        let shared = Arc::new(Shared::new(store, settings));
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

    /// The same at the end, when nobody tells any more: without a rest between two tellings. `None`: what was handed over is
    /// not on disk yet, so that the account is not complete; ask again.
    pub fn last_untold(&self) -> Option<Vec<Dropped>> {
        let store = self.shared.try_store()?;
        let mut inbox = lock(&self.shared.inbox);
        if !inbox.entries.is_empty() || inbox.under_way > 0 {
            inbox.urgent = true;
            drop(inbox);
            self.shared.wake.notify_one();
            return None;
        }
        inbox.take_stock(Some(&store));
        Some(inbox.tally.untold(AT_LAST))
    }

    /// Rings this bell whenever the disk begins to refuse and when it takes events again.
    pub fn ring(&self, bell: &Arc<Notify>) {
        // Set once, when the ways out are opened.
        let _ = self.shared.bell.set(Arc::clone(bell));
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
        let (failing, lasting) = inbox.trouble().unzip();
        Status {
            bytes: inbox.on_disk,
            max_bytes: self.shared.settings.limits.max_bytes,
            unwritten: inbox.entries.len() + inbox.under_way,
            failing,
            failing_seconds: lasting.map(|lasting| lasting.as_secs_f64()),
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
