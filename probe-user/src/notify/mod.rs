//! Alarms to the people who are to know of them: webhooks and Alertmanagers, as policies name them under `notify`.
//!
//! What holds:
//! - the pipeline never waits: [`Notifier::offer`] hands an event to the keeper's bounded queue and returns;
//! - what is to be delivered and which alarms are on outlives the daemon, however it ends ([`journal`]). An event keeps its
//!   id whatever happens, and a webhook gets it as `Idempotency-Key`: it may come twice, never under two ids;
//! - each destination gets its events in order, at its own pace ([`lane`]); one that is stuck holds up no other;
//! - everything is bounded ([`store`]); what does not fit or is refused for good is counted and told as
//!   `procprobe.agent.lost` with `where: notify`;
//! - nobody is left with an alarm that is over: those of an earlier run that do not come back are resolved ([`orphan`]);
//! - no secret leaves this module: tokens and keys are read when they are needed ([`crate::post::secret`]), URLs are shown
//!   without user, password and query.

mod book;
mod journal;
mod keeper;
mod lane;
mod notice;
mod orphan;
mod pace;
mod signature;
mod store;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

use self::book::Book;
use self::journal::{Journal, Left};
use self::keeper::Word;
use self::lane::{Lane, LaneKey};
use self::notice::Notice;
use self::orphan::Orphan;
use self::store::{Bounds, Store};
use crate::event::{Alarm, Event};
use crate::forward::Endpoint;
use crate::outlet::{Dropped, Tally, lock};
use crate::policy::spec::{Destination, DestinationKind, PolicySet};
use crate::time::KTime;

/// The name of this way out in `procprobe.agent.lost`.
const PLACE: &str = "notify";

/// Words that may wait for the keeper: as many alarms as can begin at one moment.
const WORDS: usize = 1024;

/// How one destination stands; an Alertmanager of several URLs has one for each.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The policy's name for it.
    pub name: String,
    /// `webhook` or `alertmanager`.
    pub kind: String,
    /// Without secrets.
    pub url: String,
    /// The last request was taken, or none was made yet.
    pub healthy: bool,
    /// Events that wait; of an Alertmanager the alerts whose last change it does not know.
    pub pending: usize,
    /// Of an Alertmanager: alerts that are on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<usize>,
    /// Events or alerts taken since the start, repetitions too.
    pub sent: u64,
    /// Events or alerts refused for good since the start.
    pub failed: u64,
    /// Why the last request was not taken, or why nothing can be kept for a restart.
    pub last_error: Option<String>,
}

/// The way out to all destinations.
#[derive(Debug)]
pub struct Notifier {
    directory: PathBuf,
    began: KTime,
    grace: Duration,
    open: Option<Open>,
    orphans: Vec<Orphan>,
}

/// What there is once there are destinations.
#[derive(Debug)]
struct Open {
    shared: Arc<Shared>,
    keeper: mpsc::Sender<Word>,
    keeping: JoinHandle<()>,
    lanes: BTreeMap<LaneKey, Running>,
}

#[derive(Debug)]
struct Running {
    destination: Arc<Destination>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    store: Mutex<Store>,
    lanes: Mutex<BTreeMap<LaneKey, LaneState>>,
    tally: Mutex<Tally>,
    journal_error: Mutex<Option<String>>,
    /// Something was delivered, or could not be.
    progress: Notify,
}

#[derive(Debug, Default)]
struct LaneState {
    wake: Arc<Notify>,
    sent: u64,
    failed: u64,
    /// In a row.
    failures: u64,
    last_error: Option<String>,
}

impl Notifier {
    /// Takes up what an earlier run left in the state directory, inside a tokio runtime. The notes say what is degraded.
    /// Alarms of that run that do not fire again within `grace` and what their bounds wait are over.
    pub fn open(state_dir: &Path, policies: &PolicySet, began: KTime, grace: Duration) -> (Self, Vec<String>) {
        let directory = state_dir.join("notify");
        let mut notifier = Self { directory, began, grace, open: None, orphans: Vec::new() };
        let mut notes = Vec::new();
        notifier.set_policies(policies, &mut notes);
        (notifier, notes)
    }

    /// Other policies from now on: destinations that stay the same are not disturbed. What waits for one that is gone is
    /// lost, counted.
    pub fn reload(&mut self, policies: &PolicySet) -> Vec<String> {
        let mut notes = Vec::new();
        self.set_policies(policies, &mut notes);
        notes
    }

    fn set_policies(&mut self, policies: &PolicySet, notes: &mut Vec<String>) {
        if self.open.is_none() {
            if policies.destinations.is_empty() && !Journal::exists(&self.directory) {
                return;
            }
            self.open = Some(Open::new(&self.directory, policies, notes));
            let open = self.open.as_ref();
            let active = open.map(|open| lock(&open.shared.store).active().cloned().collect::<Vec<_>>());
            let orphans = active.into_iter().flatten();
            self.orphans = orphans.map(|notice| Orphan::new(&notice, policies, self.began, self.grace)).collect();
        } else {
            for orphan in &mut self.orphans {
                *orphan = Orphan::new(&orphan.notice, policies, self.began, self.grace);
            }
        }
        if let Some(open) = &mut self.open {
            open.set_destinations(&policies.destinations.values().cloned().collect::<Vec<_>>(), notes);
        }
    }

    /// An alarm's event is to reach its destinations. `line` is its JSON, with or without a newline.
    pub fn offer(&mut self, alarm: &Alarm, id: &str, line: &Bytes) {
        let Some(open) = self.open.as_ref().filter(|_| !alarm.notify.is_empty()) else { return };
        let notice = Arc::new(Notice::new(alarm, id, line));
        self.orphans.retain(|orphan| orphan.notice.facts.key != notice.facts.key);
        if open.keeper.try_send(Word::Notice(notice)).is_err() {
            lock(&open.shared.tally).add("queue_full", 1);
        }
    }

    /// Whether an alarm of the last run is among those that are on, by the name of its bound and its instance.
    pub fn knows(&self, name: &Arc<str>, instance: Option<&Arc<str>>) -> bool {
        self.orphans.iter().any(|orphan| orphan.is(name, instance))
    }

    /// The engine goes on with an alarm of the last run, and says when it is over.
    pub fn adopt(&mut self, name: &Arc<str>, instance: Option<&Arc<str>>) {
        self.orphans.retain(|orphan| !orphan.is(name, instance));
    }

    /// When [`Self::take_orphans`] has something.
    pub fn next_orphan(&self) -> Option<KTime> {
        self.orphans.iter().map(|orphan| orphan.until).min()
    }

    /// The ends of alarms of an earlier run that have not come back: to be told as events, which then come to
    /// [`Self::offer`] as any other.
    pub fn take_orphans(&mut self, now: KTime) -> Vec<Event> {
        let ended: Vec<Orphan> = self.orphans.extract_if(.., |orphan| orphan.until <= now).collect();
        ended.iter().filter_map(|orphan| orphan.resolved(now)).collect()
    }

    /// The drops to tell now as `procprobe.agent.lost`.
    pub fn untold(&self, now: KTime) -> Vec<Dropped> {
        self.open.as_ref().map(|open| lock(&open.shared.tally).untold(now)).unwrap_or_default()
    }

    /// Everything dropped since the start.
    pub fn dropped(&self) -> Vec<Dropped> {
        self.open.as_ref().map(|open| lock(&open.shared.tally).totals()).unwrap_or_default()
    }

    /// How each destination stands.
    pub fn status(&self) -> Vec<Status> {
        self.open.as_ref().map(Open::status).unwrap_or_default()
    }

    /// Delivers what waits, for at most `within` and as long as it is taken; the rest is kept for the next run. Returns
    /// how much that is.
    pub async fn close(self, within: Duration) -> usize {
        match self.open {
            Some(open) => open.close(within).await,
            None => 0,
        }
    }
}

impl Open {
    fn new(directory: &Path, policies: &PolicySet, notes: &mut Vec<String>) -> Self {
        let (journal, left) = match Journal::open(directory) {
            Ok((journal, left)) => (Some(journal), left),
            Err(error) => {
                notes.push(format!("{}: {error}; alarms that wait are forgotten at a restart", directory.display()));
                (None, Left::default())
            }
        };
        notes.extend(left.damage);
        let mut store = Store::new(Bounds::default());
        // Queues first: what is left for a destination that is no more has no place.
        store.set_queues(&webhooks(policies.destinations.values()));
        for line in &left.lines {
            store.replay(line);
        }
        let shared = Arc::new(Shared {
            store: Mutex::new(store),
            lanes: Mutex::default(),
            tally: Mutex::new(Tally::new(PLACE)),
            journal_error: Mutex::default(),
            progress: Notify::new(),
        });
        let (keeper, words) = mpsc::channel(WORDS);
        let keeping = tokio::spawn(keeper::keep(Arc::clone(&shared), journal, words));
        Self { shared, keeper, keeping, lanes: BTreeMap::new() }
    }

    fn set_destinations(&mut self, destinations: &[Arc<Destination>], notes: &mut Vec<String>) {
        let mut wanted: BTreeMap<LaneKey, Arc<Destination>> = BTreeMap::new();
        let mut books = BTreeMap::new();
        for destination in destinations {
            let key = |url: &Arc<str>| (Arc::clone(&destination.name), Arc::clone(url));
            match &destination.kind {
                DestinationKind::Webhook { url, .. } => {
                    wanted.insert(key(url), Arc::clone(destination));
                }
                DestinationKind::Alertmanager { urls, labels } => {
                    for url in urls {
                        wanted.insert(key(url), Arc::clone(destination));
                        books.insert(key(url), Book::new(labels.clone()));
                    }
                }
            }
        }
        {
            let mut store = lock(&self.shared.store);
            let lost = store.set_queues(&webhooks(destinations.iter()));
            store.set_books(books);
            lock(&self.shared.tally).add("destination_removed", lost as u64);
        }
        self.lanes.retain(|key, running| {
            let stays = wanted.get(key).is_some_and(|destination| *destination == running.destination);
            if !stays {
                running.task.abort();
            }
            stays
        });
        lock(&self.shared.lanes).retain(|key, _| wanted.contains_key(key));
        for (key, destination) in wanted {
            if self.lanes.contains_key(&key) {
                continue;
            }
            let wake = Arc::clone(&lock(&self.shared.lanes).entry(key.clone()).or_default().wake);
            let (shared, keeper) = (Arc::clone(&self.shared), self.keeper.clone());
            match Lane::new(shared, keeper, wake, key.clone(), Arc::clone(&destination)) {
                Ok(lane) => {
                    self.lanes.insert(key, Running { destination, task: tokio::spawn(lane.run()) });
                }
                Err(why) => {
                    notes.push(format!("destination {}: {why}; nothing is sent there", key.0));
                    self.shared.with_lane(&key, |state| {
                        state.failures = 1;
                        state.last_error = Some(why);
                    });
                }
            }
        }
        // A full queue of words means that the keeper will compact soon enough.
        let _ = self.keeper.try_send(Word::Compact);
    }

    fn status(&self) -> Vec<Status> {
        let (mut store, lanes) = (lock(&self.shared.store), lock(&self.shared.lanes));
        let unkept = lock(&self.shared.journal_error).as_ref().map(|error| format!("alarms cannot be kept: {error}"));
        let status = |(key, state): (&LaneKey, &LaneState)| {
            let book = store.book(key).map(|book| (book.untold(), book.on()));
            Status {
                name: key.0.to_string(),
                kind: if book.is_some() { "alertmanager" } else { "webhook" }.to_owned(),
                url: Endpoint::parse(&key.1).map(|endpoint| endpoint.to_string()).unwrap_or_default(),
                healthy: state.failures == 0,
                pending: book.map_or_else(|| store.waiting(&key.0), |(untold, _)| untold),
                active: book.map(|(_, on)| on),
                sent: state.sent,
                failed: state.failed,
                last_error: state.last_error.clone().or_else(|| unkept.clone()),
            }
        };
        lanes.iter().map(status).collect()
    }

    async fn close(self, within: Duration) -> usize {
        let Self { shared, keeper, keeping, lanes } = self;
        let deadline = tokio::time::Instant::now() + within;
        let waiting = |only_healthy: bool| {
            let (mut store, states) = (lock(&shared.store), lock(&shared.lanes));
            let states = states.iter().filter(|(_, state)| !only_healthy || state.failures == 0);
            let each = states.map(|(key, _)| match store.book(key) {
                Some(book) => book.untold(),
                None => store.waiting(&key.0),
            });
            each.sum::<usize>()
        };
        let (reply, flushed) = oneshot::channel();
        let all_in = async { keeper.send(Word::Flush(reply)).await.is_ok() && flushed.await.is_ok() };
        if tokio::time::timeout_at(deadline, all_in).await == Ok(true) {
            while waiting(true) > 0 && tokio::time::timeout_at(deadline, shared.progress.notified()).await.is_ok() {}
        }
        for running in lanes.values() {
            running.task.abort();
        }
        for (_, running) in lanes {
            // Only then it has let go of the keeper's queue.
            let _ = running.task.await;
        }
        drop(keeper);
        let _ =
            tokio::time::timeout_at(deadline.max(tokio::time::Instant::now() + Duration::from_secs(1)), keeping).await;
        waiting(false)
    }
}

impl Shared {
    /// An event has its place on disk: now it counts. Returns what had to go for it.
    fn take(&self, notice: &Arc<Notice>) -> Vec<notice::Line> {
        let overflow = lock(&self.store).take(notice, &notice.facts.to, notice.facts.firing);
        let mut tally = lock(&self.tally);
        tally.add("queue_full", overflow.dropped.len() as u64);
        tally.add("active_full", u64::from(overflow.forgotten));
        drop(tally);
        for (key, state) in &*lock(&self.lanes) {
            if notice.facts.to.contains(&key.0) {
                state.wake.notify_one();
            }
        }
        overflow.dropped.into_iter().map(|(to, id)| notice::Line::Done { to, id }).collect()
    }

    /// `None` for a lane that has been taken away.
    fn with_lane<T>(&self, key: &LaneKey, change: impl FnOnce(&mut LaneState) -> T) -> Option<T> {
        lock(&self.lanes).get_mut(key).map(change)
    }
}

fn webhooks<'a>(destinations: impl Iterator<Item = &'a Arc<Destination>>) -> BTreeSet<Arc<str>> {
    let webhooks = destinations.filter(|destination| matches!(destination.kind, DestinationKind::Webhook { .. }));
    webhooks.map(|destination| Arc::clone(&destination.name)).collect()
}
