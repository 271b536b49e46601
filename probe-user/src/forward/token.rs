//! The bearer token of a collector, from its file: read at the start, when the file has changed, and when the collector
//! refuses it.
//!
//! Files are looked at on a thread of their own kind: one on a network's file system that hangs holds up delivery to this
//! collector and nothing else. A file that cannot be read any more leaves the last token in use and is told once.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::HeaderValue;
use tokio::time::Instant;

use super::StartError;
use crate::post::secret;

/// The file is not looked at more often than that, but for a refusal.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A token and where it comes from.
#[derive(Debug)]
pub(super) struct Token {
    path: PathBuf,
    value: HeaderValue,
    seen: Option<Seen>,
    looked: Instant,
    told: bool,
}

/// What changes when a file is written or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Token {
    /// Reads the file.
    pub(super) fn open(path: &Path) -> Result<Self, StartError> {
        let seen = Seen::of(path);
        let value = secret::bearer(path).map_err(|why| StartError::file("token_file", path, why))?;
        Ok(Self { path: path.to_owned(), value, seen, looked: Instant::now(), told: false })
    }

    /// The token as the file has it, where it is time to look.
    pub(super) async fn fresh(&mut self) -> &HeaderValue {
        if self.looked.elapsed() >= LOOK_EVERY {
            self.read(self.seen).await;
        }
        &self.value
    }

    /// Reads the file whether it has changed or not: the token was refused. Says whether it is another one now.
    pub(super) async fn refused(&mut self) -> bool {
        self.read(None).await
    }

    async fn read(&mut self, seen: Option<Seen>) -> bool {
        let path = self.path.clone();
        let read = tokio::task::spawn_blocking(move || look(&path, seen)).await;
        self.looked = Instant::now();
        let Ok((now, value)) = read else { return false };
        match value {
            None => false,
            Some(Ok(value)) => {
                self.seen = now;
                self.told = false;
                let changed = value != self.value;
                self.value = value;
                changed
            }
            Some(Err(why)) => {
                if !std::mem::replace(&mut self.told, true) {
                    let path = self.path.display();
                    tracing::warn!(%path, why, "the collector's token cannot be read again; the last one is used");
                }
                false
            }
        }
    }
}

impl Seen {
    fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}

/// The file's content, unless it is as it was. What it looks like is read first: a change in between is seen next time.
fn look(path: &Path, seen: Option<Seen>) -> (Option<Seen>, Option<Result<HeaderValue, String>>) {
    let now = Seen::of(path);
    let value = (now.is_none() || now != seen).then(|| secret::bearer(path));
    (now, value)
}
