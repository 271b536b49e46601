//! A connection's place among the few that are served at a time, and until when it may go on.
//!
//! A short answer keeps its place to the end and has one time for all of it. A stream gives its place back, for it has one
//! among the viewers, and moves its end ahead with each piece that the client takes: who takes nothing loses it.

use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until};

use crate::outlet::lock;

/// What a connection and its answer share.
#[derive(Clone, Debug)]
pub(super) struct Seat {
    place: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
    end: watch::Sender<Instant>,
}

impl Seat {
    pub(super) fn new(place: OwnedSemaphorePermit, end: Instant) -> Self {
        Self { place: Arc::new(Mutex::new(Some(place))), end: watch::Sender::new(end) }
    }

    /// Others may have the place; the connection goes on.
    pub(super) fn give_back(&self) {
        *lock(&self.place) = None;
    }

    /// The connection may go on until then, and no longer.
    pub(super) fn until(&self, end: Instant) {
        self.end.send_replace(end);
    }

    /// Returns when its time is over.
    pub(super) async fn over(&self) {
        let mut ends = self.end.subscribe();
        loop {
            let end = *ends.borrow_and_update();
            tokio::select! {
                () = sleep_until(end) => return,
                // Its own sender is there.
                _ = ends.changed() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::Semaphore;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn the_end_moves_and_the_place_comes_back() {
        let places = Arc::new(Semaphore::new(1));
        let place = Arc::clone(&places).acquire_owned().await.unwrap();
        let seat = Seat::new(place, Instant::now() + Duration::from_millis(20));
        let answer = seat.clone();
        answer.until(Instant::now() + Duration::from_mins(1));
        assert!(timeout(Duration::from_millis(60), seat.over()).await.is_err(), "its end was moved");
        assert_eq!(places.available_permits(), 0);
        answer.give_back();
        assert_eq!(places.available_permits(), 1);
        let over = async {
            let sooner = async {
                tokio::task::yield_now().await;
                answer.until(Instant::now());
            };
            tokio::join!(seat.over(), sooner)
        };
        timeout(Duration::from_secs(20), over).await.expect("the end came nearer while it was waited for");
    }
}
