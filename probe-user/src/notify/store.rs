//! What is to be delivered where, and which alarms are on: pure, bounded, the journal's content in memory.
//!
//! A webhook has a queue of its own and gets every event in order. When its queue is full the oldest go, counted. A
//! repetition of an alarm whose event still waits says nothing new and is not queued. An Alertmanager has no queue: it is
//! told how things stand ([`super::book`]), from the alarms that are on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::book::Book;
use super::notice::{Key, Line, Notice};

/// Bounds of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Most events that wait for one webhook.
    pub(super) queue_events: usize,
    /// Most memory that they take.
    pub(super) queue_bytes: usize,
    /// Most memory that the alarms take that are on.
    pub(super) active_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { queue_events: 1000, queue_bytes: 2 << 20, active_bytes: 4 << 20 }
    }
}

#[derive(Debug)]
pub(super) struct Store {
    bounds: Bounds,
    queues: BTreeMap<Arc<str>, Queue>,
    /// Notices so far.
    count: u64,
    active: BTreeMap<Key, Held>,
    active_bytes: usize,
    /// One for each Alertmanager, by destination and URL.
    books: BTreeMap<(Arc<str>, Arc<str>), Book>,
}

/// A notice in its place among all.
#[derive(Clone, Debug)]
struct Held {
    order: u64,
    notice: Arc<Notice>,
}

#[derive(Debug, Default)]
struct Queue {
    notices: VecDeque<Held>,
    bytes: usize,
}

/// What had to go for a notice.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Overflow {
    /// Events that are not delivered: destination and id.
    pub(super) dropped: Vec<(Arc<str>, String)>,
    /// The alarm is on but there was no room to remember it.
    pub(super) forgotten: bool,
}

impl Store {
    pub(super) const fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            queues: BTreeMap::new(),
            count: 0,
            active: BTreeMap::new(),
            active_bytes: 0,
            books: BTreeMap::new(),
        }
    }

    /// Has queues for these webhooks and no others; returns how many events waited for those that are gone.
    pub(super) fn set_queues(&mut self, names: &BTreeSet<Arc<str>>) -> usize {
        let gone = self.queues.iter().filter(|(name, _)| !names.contains(*name));
        let lost = gone.map(|(_, queue)| queue.notices.len()).sum();
        self.queues.retain(|name, _| names.contains(name));
        for name in names {
            self.queues.entry(Arc::clone(name)).or_default();
        }
        lost
    }

    /// Has these books and no others; a new one knows the alarms that are on.
    pub(super) fn set_books(&mut self, books: BTreeMap<(Arc<str>, Arc<str>), Book>) {
        self.books.retain(|key, old| books.get(key).is_some_and(|new| new.says_the_same(old)));
        for (key, mut book) in books {
            if !self.books.contains_key(&key) {
                let on = self.active.values().filter(|held| held.notice.facts.to.contains(&key.0));
                on.for_each(|held| book.note(&held.notice));
                self.books.insert(key, book);
            }
        }
    }

    /// An event of an alarm; `left` are the destinations that do not have it yet.
    pub(super) fn take(&mut self, notice: &Arc<Notice>, left: &[Arc<str>], active: bool) -> Overflow {
        let mut overflow = Overflow::default();
        self.count += 1;
        let held = Held { order: self.count, notice: Arc::clone(notice) };
        if let Some(old) = self.active.remove(&notice.facts.key) {
            self.active_bytes -= old.notice.cost();
        }
        if active {
            if self.active_bytes + notice.cost() > self.bounds.active_bytes {
                overflow.forgotten = true;
            } else {
                self.active_bytes += notice.cost();
                self.active.insert(notice.facts.key.clone(), held.clone());
            }
        }
        for name in left {
            let Some(queue) = self.queues.get_mut(name) else { continue };
            let waits = |other: &Held| other.notice.facts.key == notice.facts.key && other.notice.facts.firing;
            if notice.facts.repeated && queue.notices.iter().any(waits) {
                continue;
            }
            queue.bytes += notice.cost();
            queue.notices.push_back(held.clone());
            while queue.notices.len() > self.bounds.queue_events || queue.bytes > self.bounds.queue_bytes {
                let Some(oldest) = queue.notices.pop_front() else { break };
                queue.bytes -= oldest.notice.cost();
                overflow.dropped.push((Arc::clone(name), oldest.notice.facts.id.clone()));
            }
        }
        for ((name, _), book) in &mut self.books {
            if notice.facts.to.contains(name) {
                book.note(notice);
            }
        }
        overflow
    }

    /// The next event for a webhook.
    pub(super) fn front(&self, name: &str) -> Option<&Arc<Notice>> {
        self.queues.get(name)?.notices.front().map(|held| &held.notice)
    }

    /// A webhook has this event, or never will; false when it did not wait any more.
    pub(super) fn done(&mut self, name: &str, id: &str) -> bool {
        let Some(queue) = self.queues.get_mut(name) else { return false };
        let Some(place) = queue.notices.iter().position(|held| held.notice.facts.id == id) else { return false };
        if let Some(held) = queue.notices.remove(place) {
            queue.bytes -= held.notice.cost();
        }
        true
    }

    /// Events that wait for a webhook.
    pub(super) fn waiting(&self, name: &str) -> usize {
        self.queues.get(name).map_or(0, |queue| queue.notices.len())
    }

    pub(super) fn book(&mut self, key: &(Arc<str>, Arc<str>)) -> Option<&mut Book> {
        self.books.get_mut(key)
    }

    /// The alarms that are on.
    pub(super) fn active(&self) -> impl Iterator<Item = &Arc<Notice>> {
        self.active.values().map(|held| &held.notice)
    }

    /// A line that an earlier run wrote.
    pub(super) fn replay(&mut self, line: &Line) -> Overflow {
        match line {
            Line::Notice { notice, left, active } => self.take(notice, left, *active),
            Line::Done { to, id } => {
                self.done(to, id);
                Overflow::default()
            }
        }
    }

    /// What it takes to be as it is: the lines that still count, in the order in which they came.
    pub(super) fn lines(&self) -> Vec<Line> {
        let mut lines: BTreeMap<u64, (&Arc<Notice>, Vec<Arc<str>>)> =
            self.active.values().map(|held| (held.order, (&held.notice, Vec::new()))).collect();
        for (name, queue) in &self.queues {
            for held in &queue.notices {
                let (_, left) = lines.entry(held.order).or_insert_with(|| (&held.notice, Vec::new()));
                left.push(Arc::clone(name));
            }
        }
        let is_on = |order, notice: &Notice| self.active.get(&notice.facts.key).is_some_and(|on| on.order == order);
        let line = |(order, (notice, left)): (u64, (&Arc<Notice>, Vec<Arc<str>>))| Line::Notice {
            active: is_on(order, notice),
            notice: Arc::clone(notice),
            left,
        };
        lines.into_iter().map(line).collect()
    }
}
