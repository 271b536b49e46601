//! The bearer token of a collector, from its file: read at the start, when the file has changed, and when the collector
//! refuses it. A file that cannot be read any more leaves the last token in use and is told once.

use std::path::{Path, PathBuf};

use reqwest::header::HeaderValue;
use tokio::time::Instant;

use super::StartError;
use super::watched::{LOOK_EVERY, Seen};
use crate::post::secret;

/// A token and where it comes from.
#[derive(Debug)]
pub(super) struct Token {
    path: PathBuf,
    value: HeaderValue,
    seen: Option<Seen>,
    looked: Instant,
    /// Why the last one is still used.
    note: Option<String>,
}

impl Token {
    /// Reads the file.
    pub(super) fn open(path: &Path) -> Result<Self, StartError> {
        let seen = Seen::of(path);
        let value = secret::bearer(path).map_err(|why| StartError::file("token_file", path, why))?;
        Ok(Self { path: path.to_owned(), value, seen, looked: Instant::now(), note: None })
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

    /// Why the last token is still used, where that is so.
    pub(super) fn note(&self) -> Option<&str> {
        self.note.as_deref()
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
                self.note = None;
                let changed = value != self.value;
                self.value = value;
                changed
            }
            Some(Err(why)) => {
                let note = format!("token_file {}: {why}; the last token is used", self.path.display());
                if self.note.is_none() {
                    tracing::warn!("{note}");
                }
                self.note = Some(note);
                false
            }
        }
    }
}

/// The file's content, unless it is as it was. What it looks like is read first: a change in between is seen next time.
fn look(path: &Path, seen: Option<Seen>) -> (Option<Seen>, Option<Result<HeaderValue, String>>) {
    let now = Seen::of(path);
    let value = (now.is_none() || now != seen).then(|| secret::bearer(path));
    (now, value)
}
