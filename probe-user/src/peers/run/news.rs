//! What the daemon is told: everybody, when something has changed, and verdicts and vouchings as they come.
//!
//! The thread never waits for the daemon. Of the lists only the newest matters; verdicts and vouchings wait in a queue, and
//! what finds no room there is counted. After the start the first list is held back until this host has heard of the
//! others: a list of itself alone would end alarms that the last daemon left on, to raise them again a moment later.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::engine::Input;
use crate::peers::core::Site;
use crate::peers::words;
use crate::pipeline::clock;
use crate::record::{PeerNews, PeerVerdict, PeerView, PeerVouch};
use crate::time::KTime;

/// Verdicts and vouchings that may wait: those of a large zone.
const WAITING: usize = 1024;
/// Lists are no closer together.
const GAP: Duration = Duration::from_millis(250);
/// So long after the first sign of another host the first list is told.
const SETTLE: Duration = Duration::from_secs(4);
/// So long after the start it is told in any case.
const ALONE: Duration = Duration::from_secs(15);

/// What the daemon is told.
pub(super) struct News {
    lists: watch::Sender<Option<Arc<Vec<PeerView>>>>,
    queue: mpsc::Sender<PeerNews>,
    untold: Arc<AtomicU64>,
    began: KTime,
    /// When another host was heard for the first time.
    met: Option<KTime>,
    /// A list is due.
    due: Option<KTime>,
    told: Option<KTime>,
}

impl News {
    /// Tells by `feed`, from a task of its own.
    pub(super) fn begin(feed: mpsc::Sender<Input>) -> Self {
        let (lists, mut newest) = watch::channel(None::<Arc<Vec<PeerView>>>);
        let (queue, mut waiting) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            loop {
                let news = tokio::select! {
                    changed = newest.changed() => {
                        if changed.is_err() {
                            return;
                        }
                        let list = newest.borrow_and_update().clone();
                        list.map(|list| PeerNews::Members(Arc::unwrap_or_clone(list)))
                    }
                    news = waiting.recv() => match news {
                        Some(news) => Some(news),
                        None => return,
                    },
                };
                if let Some(news) = news
                    && feed.send(Input::Peers(news)).await.is_err()
                {
                    return;
                }
            }
        });
        let began = clock::now();
        Self { lists, queue, untold: Arc::default(), began, met: None, due: Some(began), told: None }
    }

    /// A verdict that this host is a witness of.
    pub(super) fn verdict(&mut self, verdict: PeerVerdict) {
        self.queue(PeerNews::Verdict(Box::new(verdict)));
    }

    /// A heartbeat that this host vouches for.
    pub(super) fn vouch(&mut self, vouch: PeerVouch) {
        self.queue(PeerNews::Vouched(Box::new(vouch)));
    }

    /// The list is another one.
    pub(super) fn changed(&mut self, now: KTime) {
        let at = self.told.map_or(now, |told| now.max(told.after(GAP)));
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// How many news the daemon did not take in time.
    pub(super) fn untold(&self) -> u64 {
        self.untold.load(Ordering::Relaxed)
    }

    /// When [`Self::on_time`] has something to do.
    pub(super) fn next(&self) -> Option<KTime> {
        Some(self.due?.max(self.opens()))
    }

    /// Tells the list, where it is due.
    pub(super) fn on_time(&mut self, now: KTime, site: &Site) {
        if self.met.is_none() && site.members().any(|view| !view.myself && view.heard.is_some()) {
            self.met = Some(now);
        }
        if self.due.is_none_or(|due| due.max(self.opens()) > now) {
            return;
        }
        (self.due, self.told) = (None, Some(now));
        let list: Vec<PeerView> = site.members().map(|view| words::view(&view)).collect();
        // The task lives as long as this.
        let _ = self.lists.send(Some(Arc::new(list)));
    }

    /// Nothing is told before.
    fn opens(&self) -> KTime {
        let alone = self.began.after(ALONE);
        self.met.map_or(alone, |met| met.after(SETTLE).min(alone))
    }

    fn queue(&mut self, news: PeerNews) {
        if self.queue.try_send(news).is_err() {
            self.untold.fetch_add(1, Ordering::Relaxed);
        }
    }
}
