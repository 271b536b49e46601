//! How far a file is read, on a line of stderr, while somebody looks: a recording of a day takes a while.
//!
//! The line ends where it began, so that what others print on the same terminal, whole lines, stands in its place. Where stderr is
//! no terminal nothing is written.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read, Stderr, Write};
use std::time::{Duration, Instant};

/// Nobody waits for less.
const FIRST: Duration = Duration::from_secs(1);
const AGAIN: Duration = Duration::from_millis(250);
/// What stands behind the figure.
const WHAT: &str = "of the recording replayed";

/// A file, read under somebody's eyes.
pub(super) struct Watched<R, W: Write> {
    input: R,
    out: Option<W>,
    gauge: Gauge,
    began: Instant,
}

impl Watched<File, Stderr> {
    pub(super) fn new(file: File) -> Self {
        let bytes = file.metadata().map_or(0, |metadata| metadata.len());
        let out = (bytes > 0 && io::stderr().is_terminal()).then(io::stderr);
        Self { input: file, out, gauge: Gauge::of(bytes), began: Instant::now() }
    }
}

impl<R: Read, W: Write> Read for Watched<R, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        if let Some(out) = &mut self.out
            && let Some(line) = self.gauge.step(self.began.elapsed(), read as u64)
        {
            // Whoever cannot be told is not told.
            let _ = out.write_all(line.as_bytes());
        }
        Ok(read)
    }
}

impl<R, W: Write> Drop for Watched<R, W> {
    fn drop(&mut self) {
        if let Some(out) = &mut self.out
            && let Some(line) = self.gauge.end()
        {
            let _ = out.write_all(line.as_bytes());
        }
    }
}

/// What is to be written when.
struct Gauge {
    bytes: u64,
    read: u64,
    next: Duration,
    shown: bool,
}

impl Gauge {
    const fn of(bytes: u64) -> Self {
        Self { bytes, read: 0, next: FIRST, shown: false }
    }

    /// So much more was read; nothing is the end of the file.
    fn step(&mut self, now: Duration, read: u64) -> Option<String> {
        if read == 0 {
            return self.end();
        }
        self.read += read;
        if now < self.next {
            return None;
        }
        self.next = now + AGAIN;
        self.shown = true;
        // A file that still grows is never more than all of it.
        let percent = (u128::from(self.read) * 100 / u128::from(self.bytes.max(1))).min(100);
        Some(format!("\r{percent:3} % {WHAT}\r"))
    }

    /// The line away again, where there was one.
    fn end(&mut self) -> Option<String> {
        std::mem::take(&mut self.shown).then(|| format!("\r{:1$}\r", "", "100 % ".len() + WHAT.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_shown_when_it_takes_long_and_goes_away() {
        let at = Duration::from_millis;
        let mut gauge = Gauge::of(1000);
        assert_eq!(gauge.step(at(999), 100), None);
        assert_eq!(gauge.step(at(1000), 100), Some("\r 20 % of the recording replayed\r".into()));
        assert_eq!(gauge.step(at(1200), 100), None);
        assert_eq!(gauge.step(at(1250), 900), Some("\r100 % of the recording replayed\r".into()));
        assert_eq!(gauge.step(at(1300), 0), Some(format!("\r{}\r", " ".repeat(31))));
        assert_eq!(gauge.end(), None);
        // Soon done: nothing was there, nothing goes away.
        let mut gauge = Gauge::of(0);
        assert_eq!((gauge.step(at(5), 10), gauge.step(at(6), 0)), (None, None));
    }

    #[test]
    fn what_is_read_is_the_file() {
        let input = vec![7_u8; 100_000];
        let mut written = Vec::new();
        let gauge = Gauge { next: Duration::ZERO, ..Gauge::of(100_000) };
        let mut watched = Watched { input: input.as_slice(), out: Some(&mut written), gauge, began: Instant::now() };
        let mut read = Vec::new();
        watched.read_to_end(&mut read).unwrap();
        drop(watched);
        assert_eq!(read, input);
        let written = String::from_utf8(written).unwrap();
        assert!(written.starts_with('\r') && written.contains(WHAT) && written.ends_with(" \r"), "{written:?}");
    }
}
