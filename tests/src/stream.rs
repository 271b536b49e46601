//! What a daemon prints, read on threads while the test does something else.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::daemon::stretched;
use crate::event::Event;

/// Events and log lines so far; clones look at the same.
#[derive(Clone, Debug, Default)]
pub struct Stream(Arc<(Mutex<Seen>, Condvar)>);

#[derive(Debug, Default)]
struct Seen {
    events: Vec<Event>,
    /// When each was read, for measuring.
    arrivals: Vec<Instant>,
    /// Lines of stdout that are not JSON: always a failure.
    garbage: Vec<String>,
    log: Vec<String>,
    ended: bool,
}

/// Most events that a failure shows, from the end.
const SHOWN: usize = 60;

impl Stream {
    /// Reads both until they end.
    pub fn read(stdout: impl Read + Send + 'static, stderr: impl Read + Send + 'static) -> Self {
        let stream = Self::default();
        let events = stream.clone();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let arrived = Instant::now();
                let parsed = serde_json::from_str(&line);
                events.change(|seen| match parsed {
                    Ok(value) => {
                        seen.events.push(Event(value));
                        seen.arrivals.push(arrived);
                    }
                    Err(_) => seen.garbage.push(line),
                });
            }
            events.change(|seen| seen.ended = true);
        });
        let log = stream.clone();
        thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                log.change(|seen| seen.log.push(String::from_utf8_lossy(&line).into_owned()));
            }
        });
        stream
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.lock());
        self.0.1.notify_all();
    }

    /// All events so far.
    pub fn events(&self) -> Vec<Event> {
        self.lock().events.clone()
    }

    /// The `seq` of the last event so far; 0 when there is none.
    pub fn last_seq(&self) -> u64 {
        self.lock().events.last().map_or(0, Event::seq)
    }

    /// When the first event that fits was read, and how many events stand before it; `from` are passed over.
    pub fn arrival(&self, from: usize, fits: impl Fn(&Event) -> bool) -> Option<(usize, Instant)> {
        let seen = self.lock();
        let index = from + seen.events.iter().skip(from).position(fits)?;
        Some((index, *seen.arrivals.get(index)?))
    }

    /// The daemon's log so far.
    pub fn log(&self) -> String {
        self.lock().log.join("\n")
    }

    /// Calls `find` with all events, again after each new one, until it finds something. Panics when `bound` passes or
    /// the daemon's stdout ends first; `what` is the sentence's object: "the exit of 12".
    pub fn find<T>(&self, what: &str, bound: Duration, mut find: impl FnMut(&[Event]) -> Option<T>) -> T {
        let deadline = Instant::now() + stretched(bound);
        let mut seen = self.lock();
        let why = loop {
            if let Some(found) = find(&seen.events) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if seen.ended {
                break "the daemon ended first".to_owned();
            }
            if left.is_zero() {
                break format!("{bound:?} passed");
            }
            seen = self.0.1.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        };
        drop(seen);
        panic!("{what} did not come: {why}\n{}", self.describe());
    }

    /// Waits until stdout has ended, so that nothing is missing from [`Self::events`].
    pub fn wait_for_end(&self, bound: Duration) {
        let deadline = Instant::now() + stretched(bound);
        let mut seen = self.lock();
        while !seen.ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(seen);
                panic!("stdout did not end within {bound:?}\n{}", self.describe());
            }
            seen = self.0.1.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// For failures: the last events, whatever was no event, and the log.
    pub fn describe(&self) -> String {
        let seen = self.lock();
        let hidden = seen.events.len().saturating_sub(SHOWN);
        let mut text = format!("--- events ({} in all, {hidden} not shown)\n", seen.events.len());
        for event in seen.events.iter().skip(hidden) {
            let _ = writeln!(text, "{}", event.0);
        }
        if !seen.garbage.is_empty() {
            let _ = writeln!(text, "--- lines of stdout that are not JSON\n{}", seen.garbage.join("\n"));
        }
        let _ = writeln!(text, "--- log\n{}", seen.log.join("\n"));
        text
    }

    /// Lines of stdout that were not JSON.
    pub fn garbage(&self) -> Vec<String> {
        self.lock().garbage.clone()
    }
}
