//! Dead letters: what a collector refuses for good is kept for people to look at, in `dead/` in the state directory.
//!
//! Two files of NDJSON, `dead.ndjson` and, once that is full, `dead.old.ndjson`: the newest are kept, together at most
//! [`MAX_BYTES`]. In front of the events of each refused request stands a line that says when, by whom and why. What
//! cannot be written is logged and not kept: the events are counted as rejected all the same, and nothing waits for it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use bytes::Bytes;
use serde::Serialize;

use crate::outlet::lock;

/// Both files together.
const MAX_BYTES: u64 = 16 << 20;

/// What is said of a refused request.
#[derive(Debug, Serialize)]
pub(super) struct Refusal<'a> {
    /// How many events follow.
    pub(super) dead_letters: usize,
    /// How many of them the collector refused; which ones it did not say when they are fewer.
    pub(super) rejected: u64,
    /// When, RFC 3339.
    pub(super) time: String,
    /// The URL, without secrets.
    pub(super) collector: String,
    /// The answer.
    pub(super) why: &'a str,
}

/// The store; shared by all collectors.
#[derive(Debug)]
pub struct DeadLetters {
    directory: PathBuf,
    /// Of one file.
    max_bytes: u64,
    writing: Mutex<()>,
}

impl DeadLetters {
    /// In this state directory. Nothing is made before it is needed.
    pub fn in_state(state_dir: &Path) -> Self {
        Self { directory: state_dir.join("dead"), max_bytes: MAX_BYTES / 2, writing: Mutex::new(()) }
    }

    /// Keeps the events of one refused request. Waits for the disk.
    pub(super) fn keep(&self, refusal: &Refusal<'_>, lines: &[Bytes]) -> io::Result<()> {
        let mut text = serde_json::to_vec(refusal)?;
        text.push(b'\n');
        for line in lines {
            text.extend_from_slice(line);
        }
        // One at a time: two would move the same file away.
        let _writing = lock(&self.writing);
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        let path = self.directory.join("dead.ndjson");
        let length = path.metadata().map_or(0, |metadata| metadata.len());
        if length > 0 && length + text.len() as u64 > self.max_bytes {
            fs::rename(&path, self.directory.join("dead.old.ndjson"))?;
        }
        let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
        let length = file.metadata()?.len();
        let written = file.write_all(&text).and_then(|()| file.sync_data());
        if written.is_err() {
            // A disk without room: half a line would spoil the next one.
            let _ = file.set_len(length);
        }
        written.and_then(|()| if length == 0 { File::open(&self.directory)?.sync_all() } else { Ok(()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(events: usize) -> Refusal<'static> {
        let time = "2026-11-21T22:00:00Z".to_owned();
        let collector = "http://c/".to_owned();
        Refusal { dead_letters: events, rejected: events as u64, time, collector, why: "HTTP 400 \"no\"\n" }
    }

    #[test]
    fn each_request_is_kept_with_who_when_and_why_and_the_newest_stay() {
        let dir = tempfile::tempdir().unwrap();
        let dead = DeadLetters { max_bytes: 1000, ..DeadLetters::in_state(dir.path()) };
        for number in 0..100 {
            dead.keep(&refusal(2), &[format!("{{\"a\":{number}}}\n").into(), format!("{{\"b\":{number}}}\n").into()])
                .unwrap();
        }
        let [old, new] = ["dead.old.ndjson", "dead.ndjson"]
            .map(|name| fs::read_to_string(dir.path().join("dead").join(name)).unwrap());
        assert!(old.len() <= 1000 && new.len() <= 1000 && old.len() > 700);
        let all = old + &new;
        let lines: Vec<serde_json::Value> = all.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for part in lines.chunks(3) {
            assert_eq!((&part[0]["dead_letters"], &part[0]["why"]), (&2.into(), &"HTTP 400 \"no\"\n".into()));
            assert_eq!(part[1]["a"], part[2]["b"]);
        }
        assert_eq!(lines.last().unwrap()["b"], 99);
    }

    #[test]
    fn what_cannot_be_written_is_an_error_and_no_more() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("dead"), "in the way").unwrap();
        DeadLetters::in_state(dir.path()).keep(&refusal(0), &[]).unwrap_err();
    }
}
