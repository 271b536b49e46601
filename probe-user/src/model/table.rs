//! The process table: what it holds, what can be asked of it, and how a record finds its process.
//!
//! Records of two CPUs can arrive in either order, and any of them can be missing. So each record is first placed
//! ([`Table::standing`]): it is about a process that is known, about one that is new, or about one that is past and
//! must not come back. What the kinds of records do then stands in `descent.rs` (fork), `life.rs` (exec and what else changes),
//! `close.rs` (exit, account, the end), `usage.rs` (samples) and `scan.rs` (seeding and reconciling).
//!
//! Nothing here fails: a record that makes no sense for the table as it is changes nothing.

use std::collections::VecDeque;
use std::sync::Arc;

use super::cgroups::Cgroups;
use super::close::Orphan;
use super::deadlines::Deadlines;
use super::hash::Map;
use super::kin::Kin;
use super::recent::Recent;
use super::slice::LastSlice;
use super::store::{Ending, Entry, Store};
use super::{Appearance, Change, KTime, Process, ProcessKey, Program};
use crate::record::{Body, Identity, Record};

/// Every process from the first sign of it until its account is closed, and what the table's owner knows of each: a `T`
/// that is made with it, lies beside it and is handed over with it. Bounded by the number of processes of the host.
#[derive(Debug, Default)]
pub struct Table<T = ()> {
    pub(super) store: Store<T>,
    pub(super) kin: Kin,
    pub(super) cgroups: Cgroups,
    /// What waits for its account or its exit, by the moment it has waited too long.
    pub(super) deadlines: Deadlines,
    pub(super) closed: Recent,
    /// Processes that ended and were not waited for: tgid and start.
    pub(super) zombies: Map<u32, KTime>,
    pub(super) orphans: VecDeque<Orphan>,
    pub(super) slice: LastSlice,
    /// The program of whoever has none: kernel threads, and processes about which too little is known.
    pub(super) nothing: Arc<Program>,
    /// When the first scan began: the whole life of what started later lies under our eyes.
    pub(super) seeded: Option<KTime>,
    /// The next scan says which threads the accounts of the living lack.
    pub(super) reseed: bool,
    /// Scans so far, to mark what the last one saw.
    pub(super) scans: u32,
    /// How far CLOCK_BOOTTIME is ahead, for processes that only their exit names.
    pub(super) boot_ahead_ns: u64,
}

/// How a record's process stands to the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is in the table.
    Known,
    /// It was never heard of.
    New,
    /// It is closed, or older than the process that has its tgid now.
    Past,
}

/// What of an identity was not known before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct News {
    /// Something that selectors see, apart from the cgroup.
    visible: bool,
    /// It is another one's child.
    parent: bool,
    /// It is in another cgroup; this is the one before.
    cgroup_before: Option<u64>,
}

impl<T> Entry<T> {
    /// Notes who the process is, as known at that moment. Where it stands in the table is left to [`Table::follow`].
    pub(super) fn identify(&mut self, at: KTime, identity: &Identity) -> News {
        let known = &mut self.process.identity;
        let mut news = News::default();
        if at >= self.name_at {
            self.name_at = at;
            news.visible = known.uid != identity.uid || known.comm != identity.comm;
            known.uid = identity.uid;
            if known.comm != identity.comm {
                known.comm.clone_from(&identity.comm);
            }
        }
        if at < self.identity_at {
            return news;
        }
        self.identity_at = at;
        news.visible |= known.parent != identity.parent || known.kernel_thread != identity.kernel_thread;
        known.parent = identity.parent;
        known.kernel_thread = identity.kernel_thread;
        known.start_boot_ns = identity.start_boot_ns;
        known.gid = identity.gid;
        news.parent = self.kin.map(|(parent, _)| parent) != identity.parent;
        let cgroup_before = std::mem::replace(&mut known.cgroup_id, identity.cgroup_id);
        news.cgroup_before = (cgroup_before != identity.cgroup_id).then_some(cgroup_before);
        news
    }
}

impl<T: Default> Table<T> {
    /// An empty table, to be seeded by the first [`Table::scan`].
    pub fn new() -> Self {
        Self::default()
    }

    /// The process of this key, until it is closed.
    pub fn get(&self, key: ProcessKey) -> Option<&Process> {
        self.store.get(key).map(|entry| &entry.process)
    }

    /// What the owner knows of it.
    pub fn beside(&self, key: ProcessKey) -> Option<&T> {
        self.store.get(key).map(|entry| &entry.beside)
    }

    /// The same, to be changed.
    pub fn beside_mut(&mut self, key: ProcessKey) -> Option<&mut T> {
        self.store.get_mut(key).map(|entry| &mut entry.beside)
    }

    /// The process of this key and what the owner knows of it.
    pub fn both(&self, key: ProcessKey) -> Option<(&Process, &T)> {
        self.store.get(key).map(|entry| (&entry.process, &entry.beside))
    }

    /// The same, the latter to be changed.
    pub fn both_mut(&mut self, key: ProcessKey) -> Option<(&Process, &mut T)> {
        self.store.get_mut(key).map(|entry| (&entry.process, &mut entry.beside))
    }

    /// What the owner knows of every process, to be changed.
    pub fn each_beside(&mut self) -> impl Iterator<Item = (ProcessKey, &mut T)> {
        self.store.each_beside()
    }

    /// The latest process that has or had this tgid.
    pub fn of_tgid(&self, tgid: u32) -> Option<&Process> {
        self.store.holder(tgid).map(|entry| &entry.process)
    }

    /// The children of a process that are not closed yet. Those of a parent that is gone stay its children until a scan
    /// tells who took them over.
    pub fn children(&self, key: ProcessKey) -> impl Iterator<Item = ProcessKey> {
        self.kin.children(key).iter().copied()
    }

    /// Every process that is not closed; exited ones that wait for their account are among them.
    pub fn iter(&self) -> impl Iterator<Item = &Process> {
        self.store.iter().map(|entry| &entry.process)
    }

    /// Paths of cgroups by id, those that no process is in among them.
    pub fn cgroups(&self) -> impl Iterator<Item = (u64, &Arc<str>)> {
        self.cgroups.all()
    }

    /// The path of a cgroup.
    pub fn cgroup_path(&self, id: u64) -> Option<&Arc<str>> {
        self.cgroups.path(id)
    }

    /// How many [`Table::iter`] gives.
    pub fn len(&self) -> usize {
        self.store.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Zombies known now: processes that ended and that nobody has waited for, as far as scans and late accounts tell.
    pub fn zombies(&self) -> usize {
        self.zombies.len()
    }

    /// Takes in one record of the ring buffer, and adds what it changed. Usually one change or none; a record that
    /// shows that others were lost or are late can bring several, so that a process may appear and close in one call.
    pub fn record(&mut self, record: &Record, changes: &mut Vec<Change<T>>) {
        self.record_naming(record, Arc::clone, changes);
    }

    /// The same for a record that names its program otherwise: `program` knows which is meant.
    pub fn record_naming<P>(
        &mut self,
        record: &Record<P>,
        program: impl FnOnce(&P) -> Arc<Program>,
        changes: &mut Vec<Change<T>>,
    ) {
        let Record { at, key, body } = record;
        match body {
            Body::Fork { identity, forker } => self.fork(*at, *key, identity, *forker, changes),
            Body::Exec { identity, program: named } => self.exec(*at, *key, identity, program(named), changes),
            Body::Exit { .. } => self.exit(*at, *key, body, changes),
            Body::Account(account) => self.account(*at, *key, *account, changes),
            Body::Signal(signal) => self.signal(*at, *key, signal),
            Body::Oom => self.oom(*key, changes),
            Body::Rename { comm } => self.rename(*at, *key, comm, changes),
            Body::Cgroup { id, path } => self.cgroup(*id, path, changes),
        }
    }

    /// Places a record's process. When it is a new one whose tgid is still held by one that lives, the exit of that one
    /// was lost: it is closed first, as of `at`.
    pub(super) fn standing(&mut self, at: KTime, key: ProcessKey, changes: &mut Vec<Change<T>>) -> Standing {
        if let Some(holder) = self.store.holder(key.tgid) {
            let (held_by, living) = (holder.process.key, holder.ending == Ending::None);
            if held_by == key || self.store.get(key).is_some() {
                return Standing::Known;
            }
            if key.start < held_by.start || self.closed.contains(key) {
                return Standing::Past;
            }
            if living {
                self.retire(at, held_by, changes);
            }
            return Standing::New;
        }
        if self.closed.contains(key) { Standing::Past } else { Standing::New }
    }

    /// Puts a new process into the table and announces it.
    pub(super) fn appear(&mut self, mut entry: Box<Entry<T>>, how: Appearance, changes: &mut Vec<Change<T>>) {
        let process = &mut entry.process;
        let key = process.key;
        let id = process.identity.cgroup_id;
        if process.identity.start_boot_ns != 0 {
            self.boot_ahead_ns = process.identity.start_boot_ns.saturating_sub(key.start.0);
        }
        if process.cgroup.is_empty() && id != 0 {
            match self.cgroups.path(id) {
                Some(path) => process.cgroup.clone_from(path),
                None => self.cgroups.wait(id),
            }
        }
        if self.zombies.get(&key.tgid).is_some_and(|start| *start != key.start) {
            self.zombies.remove(&key.tgid);
        }
        entry.kin = process.identity.parent.map(|parent| (parent, self.kin.add(key, parent)));
        entry.account = self.claim_orphan(key);
        let entry = self.store.insert(entry);
        if entry.account.is_some() {
            entry.wait(&mut self.deadlines);
        }
        changes.push(Change::Appeared { key, how });
    }

    /// Takes over who a process is, as known at that moment. True when a selector may now decide otherwise.
    pub(super) fn identify(&mut self, at: KTime, key: ProcessKey, identity: &Identity) -> bool {
        let Some(entry) = self.store.get_mut(key) else { return false };
        let news = entry.identify(at, identity);
        self.follow(key, identity, &news)
    }

    /// Puts a process whose identity has changed where it belongs by now. True when a selector may now decide otherwise.
    pub(super) fn follow(&mut self, key: ProcessKey, identity: &Identity, news: &News) -> bool {
        if news.parent {
            self.adopt(key, identity.parent);
        }
        if let Some(before) = news.cgroup_before {
            let path = self.cgroups.path(identity.cgroup_id).cloned();
            self.enter_cgroup(key, before, path.as_ref());
        }
        news.visible || news.cgroup_before.is_some()
    }

    /// Gives a process the path of the cgroup that its identity names; `before` is the id that it named until now.
    /// True when the path is another one.
    pub(super) fn enter_cgroup(&mut self, key: ProcessKey, before: u64, path: Option<&Arc<str>>) -> bool {
        let Some(entry) = self.store.get_mut(key) else { return false };
        let process = &mut entry.process;
        if process.cgroup.is_empty() && before != 0 {
            self.cgroups.stop_waiting(before);
        }
        let changed = path.map_or("", |path| path) != &*process.cgroup;
        if changed {
            process.cgroup = path.cloned().unwrap_or_default();
        }
        if process.cgroup.is_empty() && process.identity.cgroup_id != 0 {
            self.cgroups.wait(process.identity.cgroup_id);
        }
        changed
    }
}
