//! Where the processes lie: by tgid, the latest first, older ones of the same tgid behind it.
//!
//! A tgid can be taken again while its last holder still waits for its account, so that two (rarely more) processes
//! share it for a moment. One look-up by tgid finds both the process of a key and the present holder of its tgid, which
//! is what every record has to ask.
//!
//! What the table's owner knows of a process lies with it: whoever has found the one has found the other.

use std::collections::hash_map::Entry as Slot;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::blame::Signals;
use super::hash::{Map, trim};
use super::{Account, KTime, Process, ProcessKey, Program};

/// One process with what only the model needs to know of it.
#[derive(Debug)]
pub(super) struct Entry<T> {
    /// What everybody sees.
    pub process: Process,
    /// Where its present program is known from.
    pub source: Source,
    /// When it was forked, and by whom, if that was told.
    pub born: Option<(KTime, ProcessKey)>,
    /// It has forked nothing after this moment, as far as told. The end of time at first: children can be told before
    /// their forker.
    pub forked_until: KTime,
    /// The program before the present one, and since when it ran: for children whose fork is told late.
    pub previous: Option<(KTime, Arc<Program>)>,
    /// A scan saw an executable that no record had told, and it was announced: when that scan began and what it saw.
    pub inferred: Option<(KTime, Arc<str>)>,
    /// The moment that its identity is known from; what is older must not overwrite it.
    pub identity_at: KTime,
    /// The same for comm and uid, which more kinds of records tell.
    pub name_at: KTime,
    /// Signals that may turn out to be what killed it.
    pub signals: Signals,
    /// Where its end is known from.
    pub ending: Ending,
    /// Its account, when that came before its exit, and when.
    pub account: Option<(KTime, Account)>,
    /// CPU time as its exit record told it.
    pub exit_cpu_ns: u64,
    /// CPU time of threads that were gone before the daemon attached: the account lacks it.
    pub reaped_cpu_ns: u64,
    /// `usage.totals` is where counting goes on from. False until the first sample of a process whose earlier life
    /// belongs to nobody's bound.
    pub counted: bool,
    /// When it is closed if its account (or its exit) does not come.
    pub deadline: Option<KTime>,
    /// Whose child it is in [`super::kin`], and its place among the siblings.
    pub kin: Option<(ProcessKey, usize)>,
    /// The last scan that saw it.
    pub scan: u32,
    /// What the table's owner knows of it; the model leaves it as it is.
    pub beside: T,
    /// Processes that had this tgid before and are not closed yet.
    older: Option<Box<Entry<T>>>,
}

/// Where the present program of a process is known from: it decides what a late record may still change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// From nothing: only its exit has been told.
    Nothing,
    /// It is what its forker ran.
    Fork,
    /// It was executed.
    Exec,
    /// The scan that began then found the process with it.
    Scan(KTime),
}

/// Where the end of a process is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It has not ended.
    None,
    /// Its exit record.
    Record,
    /// A scan found a zombie, or an account came alone: its exit record may still come.
    Noticed,
    /// A scan did not find it, so that it is not even a zombie: its exit record may still come.
    Missing,
}

impl<T: Default> Entry<T> {
    /// A process about which nothing is remembered yet. Large enough to be made where it stays.
    pub(super) fn new(process: Process, source: Source, identity_at: KTime) -> Box<Self> {
        Box::new(Self {
            process,
            source,
            born: None,
            forked_until: KTime(u64::MAX),
            previous: None,
            inferred: None,
            identity_at,
            name_at: identity_at,
            signals: Signals::default(),
            ending: Ending::None,
            account: None,
            exit_cpu_ns: 0,
            reaped_cpu_ns: 0,
            counted: false,
            deadline: None,
            kin: None,
            scan: 0,
            beside: T::default(),
            older: None,
        })
    }
}

impl<T> Entry<T> {
    /// What it ran at that moment, as far as remembered.
    pub(super) fn program_at(&self, at: KTime) -> Option<&Arc<Program>> {
        if at >= self.process.program_since {
            return Some(&self.process.program);
        }
        self.previous.as_ref().filter(|(since, _)| at >= *since).map(|(_, program)| program)
    }
}

/// A process that is no longer in the table, as it was at last, with what the table's owner knew of it.
pub struct Closed<T>(Box<Entry<T>>);

impl<T> Closed<T> {
    pub(super) fn new(entry: Box<Entry<T>>) -> Self {
        Self(entry)
    }

    /// What the table's owner knew of it.
    pub fn beside(&self) -> &T {
        &self.0.beside
    }

    /// Both, the latter to be changed.
    pub fn split(&mut self) -> (&Process, &mut T) {
        let Entry { process, beside, .. } = &mut *self.0;
        (process, beside)
    }
}

impl<T> Deref for Closed<T> {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.0.process
    }
}

impl<T> fmt::Debug for Closed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<T> PartialEq for Closed<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

/// All processes.
#[derive(Debug, Default)]
pub(super) struct Store<T> {
    by_tgid: Map<u32, Box<Entry<T>>>,
    len: usize,
}

impl<T> Store<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The latest process with this tgid.
    pub(super) fn holder(&self, tgid: u32) -> Option<&Entry<T>> {
        self.by_tgid.get(&tgid).map(|entry| &**entry)
    }

    pub(super) fn get(&self, key: ProcessKey) -> Option<&Entry<T>> {
        let mut entry = self.by_tgid.get(&key.tgid)?;
        while entry.process.key != key {
            entry = entry.older.as_ref()?;
        }
        Some(entry)
    }

    pub(super) fn get_mut(&mut self, key: ProcessKey) -> Option<&mut Entry<T>> {
        let mut entry = self.by_tgid.get_mut(&key.tgid)?;
        while entry.process.key != key {
            entry = entry.older.as_mut()?;
        }
        Some(entry)
    }

    /// Puts a process in front of those that had its tgid before, where it stays. Its key must not be here yet.
    pub(super) fn insert(&mut self, entry: Box<Entry<T>>) -> &mut Entry<T> {
        self.len += 1;
        match self.by_tgid.entry(entry.process.key.tgid) {
            Slot::Vacant(slot) => slot.insert(entry),
            Slot::Occupied(slot) => {
                let latest = slot.into_mut();
                let before = std::mem::replace(latest, entry);
                latest.older = Some(before);
                latest
            }
        }
    }

    pub(super) fn remove(&mut self, key: ProcessKey) -> Option<Box<Entry<T>>> {
        let Slot::Occupied(mut slot) = self.by_tgid.entry(key.tgid) else { return None };
        let removed = if slot.get().process.key == key {
            match slot.get_mut().older.take() {
                Some(older) => slot.insert(older),
                None => slot.remove(),
            }
        } else {
            let mut link = &mut slot.get_mut().older;
            while link.as_ref().is_some_and(|entry| entry.process.key != key) {
                link = &mut link.as_mut()?.older;
            }
            let mut removed = link.take()?;
            *link = removed.older.take();
            removed
        };
        self.len -= 1;
        trim(&mut self.by_tgid);
        Some(removed)
    }

    /// All of them, in an order that depends on nothing but the history of the table.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry<T>> {
        self.by_tgid.values().flat_map(|latest| std::iter::successors(Some(&**latest), |entry| entry.older.as_deref()))
    }

    /// What the table's owner knows of each, to be changed; in the order of [`Store::iter`].
    pub(super) fn each_beside(&mut self) -> impl Iterator<Item = (ProcessKey, &mut T)> {
        self.by_tgid.values_mut().flat_map(|latest| {
            let mut next = Some(&mut **latest);
            std::iter::from_fn(move || {
                let Entry { process, beside, older, .. } = next.take()?;
                next = older.as_deref_mut();
                Some((process.key, beside))
            })
        })
    }
}
