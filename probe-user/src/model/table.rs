//! The process table: what it holds, what can be asked of it, and how a record finds its process.
//!
//! Records of two CPUs can arrive in either order, and any of them can be missing. So each record is first placed
//! ([`Table::standing`]): it is about a process that is known, about one that is new, or about one that is past and
//! must not come back. What the kinds of records do then stands in `descent.rs` (fork), `life.rs` (exec and what else changes),
//! `close.rs` (exit, account, the end), `usage.rs` (samples) and `scan.rs` (seeding and reconciling).
//!
//! Nothing here fails: a record that makes no sense for the table as it is changes nothing.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::cgroups::Cgroups;
use super::close::Orphan;
use super::hash::Map;
use super::kin::Kin;
use super::recent::Recent;
use super::slice::LastSlice;
use super::store::{Ending, Entry, Store};
use super::{Appearance, Change, KTime, Process, ProcessKey, Program};
use crate::record::{Body, Identity, Record};

/// Every process from the first sign of it until its account is closed. Bounded by the number of processes of the host.
#[derive(Debug, Default)]
pub struct Table {
    pub(super) store: Store,
    pub(super) kin: Kin,
    pub(super) cgroups: Cgroups,
    /// What waits for its account or its exit, by the moment it has waited too long.
    pub(super) deadlines: BTreeSet<(KTime, ProcessKey)>,
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

impl Table {
    /// An empty table, to be seeded by the first [`Table::scan`].
    pub fn new() -> Self {
        Self::default()
    }

    /// The process of this key, until it is closed.
    pub fn get(&self, key: ProcessKey) -> Option<&Process> {
        self.store.get(key).map(|entry| &entry.process)
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
    pub fn record(&mut self, record: &Record, changes: &mut Vec<Change>) {
        let Record { at, key, body } = record;
        match body {
            Body::Fork { identity, forker } => self.fork(*at, *key, identity, *forker, changes),
            Body::Exec { identity, program } => self.exec(*at, *key, identity, program, changes),
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
    pub(super) fn standing(&mut self, at: KTime, key: ProcessKey, changes: &mut Vec<Change>) -> Standing {
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
    pub(super) fn appear(&mut self, mut entry: Box<Entry>, how: Appearance, changes: &mut Vec<Change>) {
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
        let accounted = entry.account.is_some();
        self.store.insert(entry);
        changes.push(Change::Appeared { key, how });
        if accounted {
            self.set_deadline(key);
        }
    }

    /// Takes over who a process is, as known at that moment. True when a selector may now decide otherwise.
    pub(super) fn identify(&mut self, at: KTime, key: ProcessKey, identity: &Identity) -> bool {
        let Some(entry) = self.store.get_mut(key) else { return false };
        let known = &mut entry.process.identity;
        let mut changed = false;
        if at >= entry.name_at {
            entry.name_at = at;
            changed = known.uid != identity.uid || known.comm != identity.comm;
            known.uid = identity.uid;
            if known.comm != identity.comm {
                known.comm.clone_from(&identity.comm);
            }
        }
        if at < entry.identity_at {
            return changed;
        }
        entry.identity_at = at;
        changed |= known.parent != identity.parent || known.kernel_thread != identity.kernel_thread;
        known.parent = identity.parent;
        known.kernel_thread = identity.kernel_thread;
        known.start_boot_ns = identity.start_boot_ns;
        known.gid = identity.gid;
        let cgroup_before = std::mem::replace(&mut known.cgroup_id, identity.cgroup_id);
        self.adopt(key, identity.parent);
        if cgroup_before != identity.cgroup_id {
            let path = self.cgroups.path(identity.cgroup_id).cloned();
            self.enter_cgroup(key, cgroup_before, path.as_ref());
            changed = true;
        }
        changed
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
        match path {
            Some(path) => process.cgroup.clone_from(path),
            None => process.cgroup = Arc::default(),
        }
        if process.cgroup.is_empty() && process.identity.cgroup_id != 0 {
            self.cgroups.wait(process.identity.cgroup_id);
        }
        changed
    }
}
