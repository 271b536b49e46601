//! Events on stdout: one JSON object a line, or one readable line each.
//!
//! A thread of its own does the writing, for stdout can block for ever (a pipe that nobody reads, a stopped terminal).
//! The daemon only ever puts lines into a bounded queue ([`QUEUE_BYTES`]); when it is full the oldest go, counted as
//! `queue_full`. A reader that went away closes the way out for good: what was waiting is counted as `closed`, later
//! events are no longer meant for it. Other errors (a full disk) drop the line that failed, counted as `write_failed`.

#[cfg(test)]
mod tests;
mod text;

use std::io::{self, ErrorKind, IsTerminal as _, Write};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::event::Stamped;
use crate::outlet::{Dropped, LineQueue, Tally, lock};
use crate::time::KTime;
pub use text::Text;

/// Most memory that waiting lines take.
pub const QUEUE_BYTES: usize = 4 << 20;

/// So much wakes the writing thread, whatever follows.
const WAKE_BYTES: usize = 64 << 10;

/// The name of this way out in `procprobe.agent.lost`.
const PLACE: &str = "stdout";

/// How events look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

impl Format {
    /// Text on a terminal, JSON for programs.
    pub fn for_stdout() -> Self {
        if io::stdout().is_terminal() { Self::Text } else { Self::Json }
    }
}

/// The way out to stdout.
#[derive(Debug)]
pub struct Sink {
    shared: Arc<Shared>,
    text: Option<Text>,
    finished: oneshot::Receiver<()>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    queue: LineQueue,
    tally: Tally,
    /// The thread waits for a line.
    waiting: bool,
    closing: bool,
    /// The reader went away.
    closed: bool,
}

impl Sink {
    /// Writes to this process's stdout, with colours when it is a terminal and `NO_COLOR` is not set.
    pub fn stdout(format: Format) -> io::Result<Self> {
        let text = match format {
            Format::Json => None,
            Format::Text => Some(Text::for_stdout()),
        };
        Self::spawn(io::stdout(), text, QUEUE_BYTES)
    }

    /// Writes to `out` from a thread of its own; `text` renders each event, JSON lines go as they are.
    pub fn spawn(out: impl Write + Send + 'static, text: Option<Text>, queue_bytes: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                queue: LineQueue::new(queue_bytes),
                tally: Tally::new(PLACE),
                waiting: false,
                closing: false,
                closed: false,
            }),
            changed: Condvar::new(),
        });
        let (done, finished) = oneshot::channel();
        let writer = Arc::clone(&shared);
        thread::Builder::new().name("stdout".into()).stack_size(128 << 10).spawn(move || {
            write_lines(&writer, out);
            // Nobody may be waiting any more.
            let _ = done.send(());
        })?;
        Ok(Self { shared, text, finished })
    }

    /// Hands an event over; `line` is the same event as JSON. Where more of them follow at once, the thread that writes is
    /// not woken for each. Never blocks.
    pub fn offer(&self, event: &Stamped, line: &Bytes, more_follow: bool) {
        let mut state = lock(&self.shared.state);
        if state.closed {
            return;
        }
        let line = self.text.as_ref().map_or_else(|| line.clone(), |text| text.render(event));
        let dropped = state.queue.push(line);
        state.tally.add("queue_full", dropped);
        let due = !more_follow || state.queue.bytes() >= WAKE_BYTES;
        let wake = due && std::mem::take(&mut state.waiting);
        drop(state);
        if wake {
            self.shared.changed.notify_one();
        }
    }

    /// Shows a text that is no event, before whatever is offered later.
    pub fn show(&self, text: &str) {
        let mut state = lock(&self.shared.state);
        state.queue.push(Bytes::copy_from_slice(text.as_bytes()));
        state.waiting = false;
        drop(state);
        self.shared.changed.notify_one();
    }

    /// The drops to tell now as `procprobe.agent.lost`.
    pub fn untold(&self, now: KTime) -> Vec<Dropped> {
        lock(&self.shared.state).tally.untold(now)
    }

    /// All drops since the start.
    pub fn dropped(&self) -> Vec<Dropped> {
        lock(&self.shared.state).tally.totals()
    }

    /// The reader went away.
    pub fn is_closed(&self) -> bool {
        lock(&self.shared.state).closed
    }

    /// Writes what waits, for at most `within`; returns how many lines were left.
    pub async fn close(self, within: Duration) -> usize {
        lock(&self.shared.state).closing = true;
        self.shared.changed.notify_one();
        // Both a timeout and a writer that is gone leave the answer to the queue.
        let _ = tokio::time::timeout(within, self.finished).await;
        lock(&self.shared.state).queue.len()
    }
}

/// The thread's whole life.
fn write_lines(shared: &Shared, mut out: impl Write) {
    let mut fresh = true;
    while let Some(line) = next(shared) {
        match write_whole(&mut out, &line, fresh) {
            Ok(()) => fresh = true,
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                let mut state = lock(&shared.state);
                state.closed = true;
                let mut unwritten = 1;
                while state.queue.pop().is_some() {
                    unwritten += 1;
                }
                state.tally.add("closed", unwritten);
                tracing::warn!("nobody reads stdout any more; events no longer go there");
                return;
            }
            Err(error) => {
                if fresh {
                    tracing::warn!(%error, "an event could not be written to stdout");
                }
                fresh = false;
                lock(&shared.state).tally.add("write_failed", 1);
                thread::sleep(Duration::from_millis(100));
            }
        }
    }
}

/// The next line; waits for one. `None` at the end.
fn next(shared: &Shared) -> Option<Bytes> {
    let mut state = lock(&shared.state);
    loop {
        if let Some(line) = state.queue.pop() {
            return Some(line);
        }
        if state.closing {
            return None;
        }
        state.waiting = true;
        state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
}

/// A line and a flush. After a failed line a part of it may be out: the next one starts on a new line.
fn write_whole(out: &mut impl Write, line: &[u8], fresh: bool) -> io::Result<()> {
    if !fresh {
        write_all(out, b"\n")?;
    }
    write_all(out, line)?;
    loop {
        match out.flush() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(Duration::from_millis(20)),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// Like `Write::write_all`, but also for a stdout that somebody else made non-blocking.
fn write_all(out: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(Duration::from_millis(20)),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
