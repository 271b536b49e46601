//! `GET /v1/live`: how everything stands, as a stream of server-sent events: first all of it, then each second what has changed.
//!
//! - `event: rows`, `data: {"time": .., "set": {KEY: ROW, ..}, "gone": [KEY, ..]}`. Keys are `agent`, `ways`, `alarms`, `site`,
//!   `group/NAME`, `job/NAME`, `log/NAME`, `host/BOUND`, `peers/SET`, `peer/NAME`; with `?group=NAME` also `roster` and a
//!   `process/PID/START` for each member.
//! - `event: trouble`, `data: {"why": ..}` while the pipeline does not answer.
//!
//! Nothing is asked while nobody looks. One picture a second serves all who do; each is sent what is new to it, once it has
//! taken what it was sent before: who is slow sees fewer pictures, and who takes nothing for [`PATIENCE`] is let go. There are
//! so many viewers at a time; one more is told so. None of them has a place among the short answers.

mod picture;
mod rows;
#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query as Params, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_core::Stream;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};

use self::picture::{EVERY, Known, Picture};
use self::rows::Rows;
use super::ask::Pipeline;
use super::guard::Guard;
use super::open;
use super::seat::Seat;
use crate::event::clean;
use crate::outlet::lock;
use crate::serve::routes::refuse;

/// Viewers at a time.
pub(super) const VIEWERS: usize = 8;
/// How long a viewer may take for what was sent to it.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// All who look.
#[derive(Clone, Debug)]
pub(super) struct Live(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    pipeline: Pipeline,
    guard: Arc<Guard>,
    patience: Duration,
    places: Arc<Semaphore>,
    /// The last picture, while somebody looks.
    pictures: watch::Sender<Option<Arc<Picture>>>,
    /// A task makes them.
    painting: Mutex<bool>,
}

/// The query string.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Looked {
    group: Option<String>,
}

impl Live {
    pub(super) fn new(pipeline: Pipeline, guard: Arc<Guard>, patience: Duration) -> Self {
        let places = Arc::new(Semaphore::new(VIEWERS));
        let (pictures, _) = watch::channel(None);
        Self(Arc::new(Shared { pipeline, guard, patience, places, pictures, painting: Mutex::default() }))
    }

    /// Pictures from now on, the present one first.
    fn join(&self) -> watch::Receiver<Option<Arc<Picture>>> {
        let mut painting = lock(&self.0.painting);
        let mut pictures = self.0.pictures.subscribe();
        if std::mem::replace(&mut *painting, true) {
            pictures.mark_changed();
        } else {
            tokio::spawn(self.clone().paint());
        }
        pictures
    }

    /// Makes pictures for as long as somebody looks.
    async fn paint(self) {
        let shared = &self.0;
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            {
                let mut painting = lock(&shared.painting);
                if shared.pictures.receiver_count() == 0 {
                    *painting = false;
                    shared.pictures.send_replace(None);
                    return;
                }
            }
            let picture = Picture::paint(&shared.pipeline, !shared.guard.is_open()).await;
            shared.pictures.send_replace(Some(Arc::new(picture)));
        }
    }

    /// One viewer, for as long as it is there and takes what it is sent.
    async fn show(self, group: Option<String>, frames: mpsc::Sender<Bytes>, _place: OwnedSemaphorePermit) {
        let turn = self.0.guard.turn();
        let mut pictures = self.join();
        let mut known = Known::default();
        while let Ok(room) = frames.reserve().await {
            tokio::select! {
                changed = pictures.changed() => if changed.is_err() { return },
                () = frames.closed() => return,
            }
            // With another token in force it is to be presented.
            if self.0.guard.turn() != turn {
                return;
            }
            let Some(picture) = pictures.borrow_and_update().clone() else { continue };
            let mut own = Rows::default();
            if let Some(name) = &group {
                // A daemon that does not answer is told by the next picture.
                let Ok(mut roster) = self.0.pipeline.group(name.clone()).await else { continue };
                if let Some(roster) = roster.as_mut().filter(|_| self.0.guard.is_open()) {
                    open::roster(roster);
                }
                own.put_roster(roster.as_ref());
            }
            room.send(Bytes::from(known.frame(&picture, &own)));
        }
    }
}

/// The route.
pub(super) async fn live(
    State(live): State<Live>,
    Extension(seat): Extension<Seat>,
    looked: Result<Params<Looked>, QueryRejection>,
) -> Response {
    let group = match looked {
        Ok(Params(Looked { group })) => group,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &clean(&error.body_text())),
    };
    let Ok(place) = Arc::clone(&live.0.places).try_acquire_owned() else {
        let why = format!("{VIEWERS} others look already; close one of their pages, or use `procprobe top`");
        return refuse(StatusCode::SERVICE_UNAVAILABLE, &why);
    };
    seat.give_back();
    let patience = live.0.patience;
    seat.until(Instant::now() + patience);
    let (sender, frames) = mpsc::channel(1);
    tokio::spawn(live.show(group, sender, place));
    let body = Body::from_stream(Frames { pieces: frames, seat, patience });
    ([(CONTENT_TYPE, "text/event-stream")], body).into_response()
}

/// What a viewer is sent; with each piece that it takes it may stay on.
struct Frames {
    pieces: mpsc::Receiver<Bytes>,
    seat: Seat,
    patience: Duration,
}

impl Stream for Frames {
    type Item = std::io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.pieces.poll_recv(context);
        if let Poll::Ready(Some(_)) = &polled {
            self.seat.until(Instant::now() + self.patience);
        }
        polled.map(|frame| frame.map(Ok))
    }
}
