//! Hosts of a site watch each other, so that somebody can tell whether a host is down or only the path to it.
//!
//! - [`core`] is the pure half: who is there, who is silent, and who may say what about that.
//! - [`open`] gets what takes privileges or can be refused: keys, identity, sockets. [`run`] is the thread that feeds the
//!   core: datagrams ([`guard`] says which are let in), messages over TCP ([`stream`]), time, places to join at
//!   ([`finder`]), and whether silent hosts answer at all ([`ask`]).
//! - [`words`] turns what the core says into what the engine is told; [`report`] is what people see; [`kept`] is what
//!   outlives the daemon.
//!
//! Everything lives on a thread and a runtime of its own. The daemon's task never waits for it: news come by a bounded
//! queue, orders go by another. Memory is bounded by the core's own limits and by the tables of [`guard`]. What is lost
//! because the daemon does not take it is counted and told in the report.

mod ask;
pub mod core;
mod finder;
mod guard;
mod icmp;
mod identity;
mod kept;
pub mod keys;
mod limit;
mod open;
mod refused;
mod report;
mod run;
mod seal;
mod stream;
mod window;
mod words;

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

pub use self::core::{Reach, Why};
pub use identity::IdentityError;
pub(crate) use open::own_words;
pub use open::{Begin, OpenError, Opened, bindable, shared_keys};
pub use refused::{Refusal, Refused};
pub use report::{Mine, PeerReport, PeersReport, Summary, Traffic};

use crate::config::Join;
use crate::outlet::lock;
use keys::Key;

/// Orders that may wait.
const ORDERS: usize = 64;
/// How long the last words may take to go out.
const LEAVE_WITHIN: Duration = Duration::from_secs(3);

/// What the thread is told.
#[derive(Debug)]
enum Order {
    /// Whether the collector can be reached.
    Reach(Reach),
    /// Other settings.
    Reload(Box<Reload>),
    /// How everything stands.
    Report(oneshot::Sender<Option<PeersReport>>),
    /// Say the last words, and end.
    Leave(Why, oneshot::Sender<()>),
}

/// What a reload can change.
#[derive(Clone, Debug)]
pub struct Reload {
    /// Where others may be.
    pub join: Vec<Join>,
    /// The shared keys; the first seals.
    pub keys: Vec<Key>,
    /// This host's zone.
    pub zone: String,
    /// Its labels, without the zone.
    pub labels: Vec<(String, String)>,
}

/// The running thread.
#[derive(Debug)]
pub struct Peers {
    orders: mpsc::Sender<Order>,
    summary: Arc<Mutex<Summary>>,
    thread: JoinHandle<()>,
}

impl Peers {
    /// The collector can be reached, or no longer.
    pub fn reach(&self, reach: Reach) {
        self.order(Order::Reach(reach));
    }

    /// Other settings from now on.
    pub fn reload(&self, reload: Reload) {
        self.order(Order::Reload(Box::new(reload)));
    }

    /// Has the whole report sent there; dropped where the thread is too busy.
    pub fn report(&self, reply: oneshot::Sender<Option<PeersReport>>) {
        self.order(Order::Report(reply));
    }

    /// How it stands, as it was a moment ago.
    pub fn summary(&self) -> Summary {
        lock(&self.summary).clone()
    }

    /// Says the last words and ends.
    pub async fn leave(self, why: Why) {
        let (done, left) = oneshot::channel();
        if self.orders.send_timeout(Order::Leave(why, done), LEAVE_WITHIN).await.is_ok()
            && tokio::time::timeout(LEAVE_WITHIN, left).await.is_err()
        {
            tracing::warn!("the last words to the peers took too long");
            return;
        }
        // It ends now, or has ended.
        let _ = tokio::task::spawn_blocking(move || self.thread.join()).await;
    }

    fn order(&self, order: Order) {
        // So many orders wait only where the thread is stuck, and the report says what it makes of that.
        if let Err(error) = self.orders.try_send(order) {
            tracing::warn!("the peers' thread takes no order: {error}");
        }
    }
}
