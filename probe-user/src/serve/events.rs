//! The local history as an answer that goes on: one event a line, as it lies in the spool.
//!
//! Memory is bounded: so much is read at a time, and nothing more before the reader has taken that. A reader that takes
//! nothing for [`PATIENCE`] loses its connection, and neither the daemon nor the spool waits for it: what the spool drops
//! meanwhile is missing from the answer.

use std::borrow::Cow;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;

use super::listener::Lease;
use crate::policy::glob::Glob;
use crate::spool::View;

/// Histories that are read at a time.
pub(super) const STREAMS: usize = 4;

/// How long a reader may take for what was sent to it.
const PATIENCE: Duration = Duration::from_secs(30);
/// Nothing is sent while nothing happens: that is no reader's fault.
const QUIET: Duration = Duration::from_hours(24 * 30);

/// Read at a time.
const EVENTS: usize = 1000;
const BYTES: usize = 128 << 10;

/// Events from this place on, of which the names match; with `follow` also what comes.
pub(super) fn stream(
    mut view: View,
    names: Option<Glob>,
    follow: bool,
    lease: Lease,
    place: OwnedSemaphorePermit,
) -> Body {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let _place = place;
        loop {
            match view.next(EVENTS, BYTES).await {
                Ok(Some(entries)) => {
                    let mut chunk = BytesMut::new();
                    for entry in entries.iter().filter(|entry| is_wanted(names.as_ref(), &entry.line)) {
                        chunk.extend_from_slice(&entry.line);
                    }
                    lease.until(Instant::now() + PATIENCE);
                    // An empty chunk would end the answer.
                    if !chunk.is_empty() && sender.send(Ok(chunk.freeze())).await.is_err() {
                        return;
                    }
                }
                Ok(None) if follow => {
                    lease.until(Instant::now() + QUIET);
                    tokio::select! {
                        goes_on = view.ready() => if !goes_on { return },
                        () = sender.closed() => return,
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(%error, "the local history cannot be read");
                    // Cuts the answer off, so that nobody takes it for the whole history.
                    let _ = sender.send(Err(error)).await;
                    return;
                }
            }
        }
    });
    Body::from_stream(Chunks(receiver))
}

/// Its name matches.
pub(super) fn is_wanted(names: Option<&Glob>, line: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        name: Cow<'a, str>,
    }
    names.is_none_or(|glob| serde_json::from_slice::<Named<'_>>(line).is_ok_and(|event| glob.is_match(&event.name)))
}

struct Chunks(mpsc::Receiver<std::io::Result<Bytes>>);

impl Stream for Chunks {
    type Item = std::io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}
