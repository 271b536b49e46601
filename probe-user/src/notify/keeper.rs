//! The task that owns the journal: what happens is on disk before it takes effect.
//!
//! Files are written on threads of their own, so that a slow disk delays notifications and nothing else. What cannot be
//! written takes effect all the same: an alarm in memory alone is better than none. That is told in the status.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::Shared;
use super::journal::Journal;
use super::notice::{Line, Notice};
use crate::outlet::lock;

/// Words taken at a time, so that one wait for the disk serves many.
const AT_ONCE: usize = 64;

/// A shorter journal is left as it is.
const COMPACT_FROM: u64 = 256 << 10;

/// What the keeper is told.
#[derive(Debug)]
pub(super) enum Word {
    /// An alarm's event is to be delivered.
    Notice(Arc<Notice>),
    /// It has been, or is not to be any more.
    Done { to: Arc<str>, id: String },
    /// A destination refused it for good.
    Refused { to: Arc<str>, notice: Arc<Notice>, why: String },
    /// Destinations have changed.
    Compact,
    /// Answer when everything before has taken effect.
    Flush(oneshot::Sender<()>),
}

/// Runs until nobody has a word for it any more.
pub(super) async fn keep(shared: Arc<Shared>, journal: Option<Journal>, mut words: mpsc::Receiver<Word>) {
    let mut desk = Desk { journal, compact_at: COMPACT_FROM, has_failed: false };
    while let Some(word) = words.recv().await {
        let mut batch = vec![word];
        while batch.len() < AT_ONCE
            && let Ok(word) = words.try_recv()
        {
            batch.push(word);
        }
        let compact = batch.iter().any(|word| matches!(word, Word::Compact));
        let (text, sync, refused) = written(&batch);
        desk.write(&shared, move |journal| {
            refused.iter().try_for_each(|line| journal.set_aside(line))?;
            journal.append(&text, sync)
        })
        .await;
        let mut dropped = Vec::new();
        for word in batch {
            match word {
                Word::Notice(notice) => dropped.extend(shared.take(&notice)),
                Word::Flush(reply) => drop(reply.send(())),
                Word::Done { .. } | Word::Refused { .. } | Word::Compact => {}
            }
        }
        if !dropped.is_empty() {
            desk.write(&shared, move |journal| journal.append(&text_of(&dropped), false)).await;
        }
        if compact || desk.journal.as_ref().is_some_and(|journal| journal.bytes() > desk.compact_at) {
            let lines = lock(&shared.store).lines();
            desk.write(&shared, move |journal| journal.replace(&text_of(&lines))).await;
            let bytes = desk.journal.as_ref().map_or(0, Journal::bytes);
            desk.compact_at = COMPACT_FROM.max(bytes.saturating_mul(4));
        }
    }
}

struct Desk {
    journal: Option<Journal>,
    compact_at: u64,
    has_failed: bool,
}

impl Desk {
    /// Does something with the journal, if there is one, on another thread.
    async fn write(&mut self, shared: &Shared, act: impl FnOnce(&mut Journal) -> std::io::Result<()> + Send + 'static) {
        let Some(mut journal) = self.journal.take() else { return };
        let done = tokio::task::spawn_blocking(move || {
            let result = act(&mut journal);
            (journal, result)
        });
        let result = match done.await {
            Ok((journal, result)) => {
                self.journal = Some(journal);
                result.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        if let (Err(error), false) = (&result, self.has_failed) {
            tracing::warn!(%error, "alarms for notifications cannot be kept: a restart forgets them");
        }
        self.has_failed = result.is_err();
        *lock(&shared.journal_error) = result.err();
    }
}

/// What a batch adds to the journal, whether it must be on disk before anything else, and the refused events.
fn written(batch: &[Word]) -> (Vec<u8>, bool, Vec<Vec<u8>>) {
    let (mut lines, mut refused) = (Vec::new(), Vec::new());
    for word in batch {
        match word {
            Word::Notice(notice) => lines.push(Line::Notice {
                notice: Arc::clone(notice),
                left: notice.facts.to.clone(),
                active: notice.facts.firing,
            }),
            Word::Done { to, id } => lines.push(Line::Done { to: Arc::clone(to), id: id.clone() }),
            Word::Refused { to, notice, why } => {
                lines.push(Line::Done { to: Arc::clone(to), id: notice.facts.id.clone() });
                let head = serde_json::json!({ "destination": to, "why": why }).to_string();
                // One object: the event under a key of its own.
                let mut line = head.trim_end_matches('}').as_bytes().to_vec();
                line.extend_from_slice(b",\"event\":");
                line.extend_from_slice(&notice.event);
                line.extend_from_slice(b"}\n");
                refused.push(line);
            }
            Word::Compact | Word::Flush(_) => {}
        }
    }
    (text_of(&lines), batch.iter().any(|word| matches!(word, Word::Notice(_))), refused)
}

fn text_of(lines: &[Line]) -> Vec<u8> {
    let mut text = Vec::new();
    for line in lines {
        let whole = text.len();
        if line.write(&mut text).is_err() {
            // Names and ids are text, which JSON can always say.
            text.truncate(whole);
        }
    }
    text
}
