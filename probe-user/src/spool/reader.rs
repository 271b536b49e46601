//! Ways to what lies in the spool: a [`Reader`] for each collector, which remembers how far that one is, and [`View`]s for
//! whoever looks at the local history.
//!
//! The lock of the files is held while the disk works, so it is asked for on a thread that may block; [`Gauge`], which the
//! daemon's own task asks, does not wait for it.

use std::io;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::Class;
use super::Lost;
use super::store::{Cursor, Entry, Read};
use super::writer::Shared;
use crate::outlet::lock;

/// How far behind one collector is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Events that it has not acknowledged, at most.
    pub events: u64,
    /// When the oldest of them happened, ns since 1970, at the earliest.
    pub oldest: Option<i64>,
}

/// One collector's way to the events on disk.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    accepted: watch::Receiver<u64>,
    sink: String,
    /// `None` until the first reading: finding the place may take the disk.
    cursor: Option<Cursor>,
    /// Alarms below it were read ahead of their turn; `None`: nothing is read ahead.
    ahead: Option<Cursor>,
    /// So far the spool knows that the collector is.
    acknowledged: u64,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, sink: &str, alarms_first: bool) -> Self {
        let accepted = shared.accepted();
        let ahead = alarms_first.then(Cursor::default);
        Self { shared, accepted, sink: sink.to_owned(), cursor: None, ahead, acknowledged: 0 }
    }

    /// For asking how far behind the collector is.
    pub fn gauge(&self) -> Gauge {
        let gauge = Gauge { shared: Arc::clone(&self.shared), sink: self.sink.clone(), last: Mutex::default() };
        // Nothing is at work yet where it is made: that it could not be seen would look like an empty backlog.
        gauge.read();
        gauge
    }

    /// Waits until there is something that was not read yet. `false`: the spool is gone.
    pub async fn ready(&mut self) -> bool {
        let from = self.cursor.map_or(0, |cursor| cursor.position);
        self.accepted.wait_for(|accepted| *accepted > from).await.is_ok()
    }

    /// There is more on disk than was read.
    pub fn has_more(&self) -> bool {
        self.cursor.is_none_or(|cursor| *self.accepted.borrow() > cursor.position)
    }

    /// Something was read that the spool does not know to be with the collector.
    pub fn owes_acknowledgement(&self) -> bool {
        self.cursor.is_some_and(|cursor| cursor.position > self.acknowledged)
    }

    /// The next events, at most `max` of them and at most `max_bytes` (but at least one); none when there are none. In
    /// order, unless alarms come first: then those of a backlog are read ahead, and left out when their turn comes.
    pub async fn next(&mut self, max: usize, max_bytes: usize) -> io::Result<Vec<Entry>> {
        let (shared, sink) = (Arc::clone(&self.shared), self.sink.clone());
        let (cursor, ahead) = (self.cursor, self.ahead);
        let read = tokio::task::spawn_blocking(move || {
            let mut place = match cursor {
                Some(cursor) => Place { cursor, ahead, acknowledged: None },
                None => Place::find(&shared, &sink, ahead),
            };
            place.next(&shared, max, max_bytes).map(|entries| (entries, place))
        });
        let (entries, place) = read.await.map_err(io::Error::other)??;
        self.cursor = Some(place.cursor);
        self.ahead = place.ahead;
        if let Some(position) = place.acknowledged {
            self.acknowledged = position;
        }
        Ok(entries)
    }

    /// The collector has everything that was read, but for so many that it will never take.
    pub async fn acknowledge(&mut self, rejected: u64) -> io::Result<()> {
        let Some(cursor) = self.cursor else { return Ok(()) };
        self.acknowledged = cursor.position;
        let (shared, sink) = (Arc::clone(&self.shared), self.sink.clone());
        let saved = tokio::task::spawn_blocking(move || {
            let mut store = shared.store();
            store.acknowledge(&sink, cursor.position);
            store.add_lost(Lost { rejected, ..Lost::default() });
            store.save(false)
        });
        saved.await.map_err(io::Error::other)?
    }
}

/// Where a reader is, on the thread that reads.
struct Place {
    cursor: Cursor,
    ahead: Option<Cursor>,
    /// Where the spool knows the collector to be, when that was looked up.
    acknowledged: Option<u64>,
}

impl Place {
    fn find(shared: &Shared, sink: &str, ahead: Option<Cursor>) -> Self {
        let cursor = shared.store().cursor(sink);
        Self { cursor, ahead, acknowledged: Some(cursor.position) }
    }

    fn next(&mut self, shared: &Shared, max: usize, max_bytes: usize) -> io::Result<Vec<Entry>> {
        let end = shared.store().end();
        if let Some(mut ahead) = self.ahead.filter(|_| end.saturating_sub(self.cursor.position) > max as u64) {
            if ahead.position < self.cursor.position {
                ahead = self.cursor;
            }
            while ahead.position < end {
                // The lock is let go after each file: the writer comes in between.
                let Read { entries, next } = shared.store().read_but(ahead, max, max_bytes, Some(Class::Process))?;
                ahead = next;
                self.ahead = Some(ahead);
                if !entries.is_empty() {
                    return Ok(entries.into_iter().map(|(_, entry)| entry).collect());
                }
            }
        }
        let sent_below = self.ahead.map_or(0, |ahead| ahead.position);
        loop {
            let Read { entries, next } = shared.store().read(self.cursor, max, max_bytes)?;
            let was_empty = entries.is_empty();
            self.cursor = next;
            let due = |(position, entry): &(u64, Entry)| entry.class == Class::Process || *position >= sent_below;
            let entries: Vec<Entry> = entries.into_iter().filter(due).map(|(_, entry)| entry).collect();
            if was_empty || !entries.is_empty() {
                return Ok(entries);
            }
        }
    }
}

/// Says how far behind a collector is, without waiting for the disk.
#[derive(Debug)]
pub struct Gauge {
    shared: Arc<Shared>,
    sink: String,
    last: Mutex<Backlog>,
}

impl Gauge {
    /// As it is now, or as it was when it could be seen last: while the disk is at work it cannot.
    pub fn read(&self) -> Backlog {
        let mut last = lock(&self.last);
        if let Some(store) = self.shared.try_store() {
            *last = Backlog { events: store.waiting(&self.sink), oldest: store.oldest_waiting(&self.sink) };
        }
        *last
    }
}

/// A look at the local history, from some moment on.
#[derive(Clone, Debug)]
pub struct View {
    shared: Arc<Shared>,
    accepted: watch::Receiver<u64>,
    cursor: Option<Cursor>,
    since: i64,
    /// Nothing from this position on, so that an answer ends however much comes meanwhile; `None`: it goes on and on.
    end: Option<u64>,
}

impl View {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let accepted = shared.accepted();
        let end = Some(*accepted.borrow());
        Self { shared, accepted, cursor: None, since: i64::MIN, end }
    }

    /// Only events of this moment (ns since 1970) and later.
    pub fn since(self, wall: i64) -> Self {
        Self { since: wall, ..self }
    }

    /// Only what is accepted from now on.
    pub fn from_now(self) -> Self {
        let cursor = Some(Cursor::at(*self.accepted.borrow()));
        Self { cursor, end: None, ..self }
    }

    /// What is accepted from now on too.
    pub fn and_on(self) -> Self {
        Self { end: None, ..self }
    }

    /// Waits until there is something that was not read yet. `false`: the spool is gone.
    pub async fn ready(&mut self) -> bool {
        let from = self.cursor.map_or(0, |cursor| cursor.position);
        self.accepted.wait_for(|accepted| *accepted > from).await.is_ok()
    }

    /// The next events: at most `max`, about at most `max_bytes`, in order; `None` when there are no more. Those that are too
    /// old are taken out, which may leave none.
    pub async fn next(&mut self, max: usize, max_bytes: usize) -> io::Result<Option<Vec<Entry>>> {
        let (shared, cursor, since) = (Arc::clone(&self.shared), self.cursor, self.since);
        let read = tokio::task::spawn_blocking(move || {
            let mut store = shared.store();
            let from = cursor.unwrap_or_else(|| store.since(since));
            store.read(from, max, max_bytes)
        });
        let Read { entries, next } = read.await.map_err(io::Error::other)??;
        self.cursor = Some(next);
        let has_come = |(position, _): &(u64, Entry)| self.end.is_none_or(|end| *position < end);
        if !entries.first().is_some_and(has_come) {
            return Ok(None);
        }
        let entries = entries.into_iter().take_while(has_come).map(|(_, entry)| entry);
        Ok(Some(entries.filter(|entry| entry.wall >= since).collect()))
    }
}
