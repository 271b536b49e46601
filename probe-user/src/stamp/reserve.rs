//! Reserves numbers ahead, on a thread of its own: the file is replaced and synced three times for each block, and neither
//! events nor the records behind them wait for a disk.
//!
//! The thread sleeps until it is asked. What is asked for while it writes is taken up afterwards, the newest alone. A write
//! that fails is told once, and made up for by the next one.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use super::ledger::{Entry, Ledger};
use crate::outlet::lock;

/// The file, and the thread that writes it once there is a need for one: most hosts never use up their first block. It must
/// not start before the daemon's capabilities are dropped, for it would keep them.
#[derive(Debug)]
pub(super) struct Reserver {
    ledger: Arc<Mutex<Ledger>>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    asked: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// To be written next.
    wanted: Option<Entry>,
    /// After that nothing more.
    closing: bool,
}

impl Reserver {
    pub(super) fn new(ledger: Ledger) -> Self {
        Self { ledger: Arc::new(Mutex::new(ledger)), shared: Arc::default(), thread: None }
    }

    /// Writes this at once: for the start, when nobody waits yet.
    pub(super) fn write(&self, entry: &Entry) -> io::Result<()> {
        lock(&self.ledger).write(entry)
    }

    /// Asks for this to be written; waits for nothing.
    pub(super) fn ask(&mut self, entry: Entry) {
        lock(&self.shared.state).wanted = Some(entry);
        self.shared.asked.notify_one();
        if self.thread.is_none() {
            let (shared, ledger) = (Arc::clone(&self.shared), Arc::clone(&self.ledger));
            let thread = thread::Builder::new().name("numbers".into()).stack_size(128 << 10);
            match thread.spawn(move || shared.write_all(&ledger)) {
                Ok(thread) => self.thread = Some(thread),
                Err(error) => tracing::warn!(%error, "event numbers cannot be reserved; a crash now may repeat some"),
            }
        }
    }

    /// The last entry; on return it is on disk.
    pub(super) fn close(mut self, entry: &Entry) -> io::Result<()> {
        // What it was asked for is older.
        let _ = self.end();
        self.write(entry)
    }

    fn end(&mut self) -> io::Result<()> {
        lock(&self.shared.state).closing = true;
        self.shared.asked.notify_one();
        let ended = self.thread.take().map(JoinHandle::join);
        ended.map_or(Ok(()), |ended| ended.unwrap_or_else(|_| Err(io::Error::other("its thread has panicked"))))
    }
}

impl Drop for Reserver {
    fn drop(&mut self) {
        // A failure was told where it happened.
        let _ = self.end();
    }
}

impl Shared {
    /// The thread's life; the result is that of the last write.
    fn write_all(&self, ledger: &Mutex<Ledger>) -> io::Result<()> {
        let mut last = Ok(());
        while let Some(entry) = self.next() {
            let written = lock(ledger).write(&entry);
            if let Err(error) = written.as_ref()
                && last.is_ok()
            {
                tracing::warn!(%error, "event numbers cannot be reserved; a crash now may repeat some");
            }
            last = written;
        }
        last
    }

    /// What is to be written, once there is something; `None` at the end.
    fn next(&self) -> Option<Entry> {
        let mut state = lock(&self.state);
        loop {
            if let Some(entry) = state.wanted.take() {
                return Some(entry);
            }
            if state.closing {
                return None;
            }
            state = self.asked.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
