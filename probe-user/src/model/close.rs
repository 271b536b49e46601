//! The end of a process: its exit, its account, and what happens when one of them does not come.
//!
//! A process is closed once, with what it used in its whole life, when both are there, in whichever order they came.
//! Without the other, each waits [`ACCOUNT_GRACE`]: a zombie that nobody waits for has no account yet, and a lost exit
//! record leaves the account alone. What comes after the closing is ignored.

use std::sync::Arc;
use std::time::Duration;

use super::blame::KILL;
use super::deadlines::Deadlines;
use super::hash::trim;
use super::store::{Closed, Ending, Entry, Source};
use super::table::{Standing, Table};
use super::{Account, Appearance, Change, Exit, KTime, Process, ProcessKey};
use crate::record::{Body, ExitStatus, Identity};

/// How long an exited process waits for its account, and an account for its exit.
pub const ACCOUNT_GRACE: Duration = Duration::from_secs(2);
/// Most accounts that are kept for processes of which nothing else is known.
pub(super) const ORPHANS_MAX: usize = 64;
/// Most zombies that are counted.
pub(super) const ZOMBIES_MAX: usize = 65_536;
/// What the kernel writes for "no group"; an exit record does not tell the group id.
const NO_GID: u32 = u32::MAX;

/// The account of a process of which nothing is known yet: its other records are late, or lost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Orphan {
    at: KTime,
    key: ProcessKey,
    account: Account,
}

impl<T: Default> Table<T> {
    /// `body` is a [`Body::Exit`].
    pub(super) fn exit<P>(&mut self, at: KTime, key: ProcessKey, body: &Body<P>, changes: &mut Vec<Change<T>>) {
        let Body::Exit { status, peak_rss_bytes, cpu_ns, comm, uid, parent_tgid } = body else { return };
        let entry = if let Some(entry) = self.store.get_mut(key) {
            entry
        } else {
            if self.standing(at, key, changes) == Standing::Past {
                return;
            }
            let parent = self.of_tgid(*parent_tgid).filter(|parent| parent.key.start <= key.start);
            let identity = Identity {
                parent: parent.map(|parent| parent.key),
                start_boot_ns: key.start.0.saturating_add(self.boot_ahead_ns),
                cgroup_id: 0,
                uid: *uid,
                gid: NO_GID,
                comm: comm.clone(),
                kernel_thread: parent.is_some_and(|parent| parent.identity.kernel_thread),
            };
            let process = Process::new(key, identity, Arc::clone(&self.nothing), key.start);
            // Even the oldest record that is still to come tells more than this one, but for comm and uid.
            let mut entry = Entry::new(process, Source::Nothing, KTime(0));
            entry.name_at = at;
            entry.counted = self.seeded.is_some();
            self.appear(entry, Appearance::Found, changes);
            let Some(entry) = self.store.get_mut(key) else { return };
            entry
        };
        if entry.ending == Ending::Record {
            // Two threads can both be the last one.
            return;
        }
        entry.exit_cpu_ns = *cpu_ns;
        let announced = entry.ending != Ending::None;
        entry.end(Exit { at, status: Some(*status), killer: None, oom: false, peak_rss_bytes: *peak_rss_bytes });
        entry.ending = Ending::Record;
        if !announced {
            changes.push(Change::Exited { key });
        }
        if !entry.waits(&mut self.deadlines) {
            self.close(key, changes);
        }
    }

    /// The end of a process without its exit record. If that still comes before the closing, it fills in the rest.
    pub(super) fn notice_end(
        &mut self,
        at: KTime,
        key: ProcessKey,
        status: Option<ExitStatus>,
        ending: Ending,
        changes: &mut Vec<Change<T>>,
    ) {
        let Some(entry) = self.store.get_mut(key) else { return };
        entry.end(Exit { at, status, killer: None, oom: false, peak_rss_bytes: 0 });
        entry.ending = ending;
        changes.push(Change::Exited { key });
        if !entry.waits(&mut self.deadlines) {
            self.close(key, changes);
        }
    }

    /// The end of a process whose tgid has been taken by another: nothing more is to come.
    pub(super) fn retire(&mut self, at: KTime, key: ProcessKey, changes: &mut Vec<Change<T>>) {
        self.notice_end(at, key, None, Ending::Missing, changes);
        self.close(key, changes);
    }

    pub(super) fn account(&mut self, at: KTime, key: ProcessKey, account: Account, changes: &mut Vec<Change<T>>) {
        if self.zombies.get(&key.tgid) == Some(&key.start) {
            self.zombies.remove(&key.tgid);
            trim(&mut self.zombies);
        }
        let Some(entry) = self.store.get_mut(key) else {
            let stale = self.store.holder(key.tgid).is_some_and(|holder| key.start < holder.process.key.start);
            if !stale && !self.closed.contains(key) {
                if self.orphans.len() >= ORPHANS_MAX {
                    self.orphans.pop_front();
                }
                self.orphans.push_back(Orphan { at, key, account });
            }
            return;
        };
        if entry.account.is_some() {
            return;
        }
        entry.account = Some((at, account));
        if entry.ending == Ending::None { entry.wait(&mut self.deadlines) } else { self.close(key, changes) }
    }

    /// The account that came before anything else about this process.
    pub(super) fn claim_orphan(&mut self, key: ProcessKey) -> Option<(KTime, Account)> {
        let place = self.orphans.iter().position(|orphan| orphan.key == key)?;
        self.orphans.remove(place).map(|orphan| (orphan.at, orphan.account))
    }

    /// When [`Table::expire`] has something to do next; `None` while nothing waits.
    pub fn next_expiry(&self) -> Option<KTime> {
        self.deadlines.next()
    }

    /// Closes what has waited for its account for [`ACCOUNT_GRACE`], with the CPU time known from its exit
    /// ([`super::slice`]) or its last sample; and what was accounted for without an exit, whose exit record was lost.
    pub fn expire(&mut self, now: KTime, changes: &mut Vec<Change<T>>) {
        while let Some(orphan) = self.orphans.front()
            && orphan.at.after(ACCOUNT_GRACE) <= now
        {
            self.orphans.pop_front();
        }
        while let Some((deadline, key)) = self.deadlines.first()
            && deadline <= now
        {
            self.deadlines.remove(deadline, key);
            let Some(entry) = self.store.get(key) else { continue };
            match (entry.ending, entry.account) {
                (Ending::None, Some((at, _))) => self.notice_end(at, key, None, Ending::Noticed, changes),
                (Ending::Record | Ending::Noticed, None) => {
                    self.count_zombie(key);
                    self.close(key, changes);
                }
                (Ending::None, None) => {}
                (Ending::Record | Ending::Noticed, Some(_)) | (Ending::Missing, _) => self.close(key, changes),
            }
        }
    }

    /// Remembers a zombie, to be counted.
    pub(super) fn count_zombie(&mut self, key: ProcessKey) {
        if self.zombies.len() < ZOMBIES_MAX {
            self.zombies.insert(key.tgid, key.start);
        }
    }

    /// Takes an ended process out of the table and hands it over.
    fn close(&mut self, key: ProcessKey, changes: &mut Vec<Change<T>>) {
        let Some(entry) = self.store.remove(key) else { return };
        if let Some(deadline) = entry.deadline {
            self.deadlines.remove(deadline, key);
        }
        self.leave_kin(entry.kin);
        if entry.process.cgroup.is_empty() && entry.process.identity.cgroup_id != 0 {
            self.cgroups.stop_waiting(entry.process.identity.cgroup_id);
        }
        self.closed.remember(key);
        if let (Ending::Record, Some((_, account)), 0) = (entry.ending, entry.account, entry.reaped_cpu_ns)
            && account.exact
        {
            self.slice.learn(entry.lived(), entry.exit_cpu_ns, account.cpu_ns);
        }
        let (account, delta) = entry.balance(&self.slice);
        changes.push(Change::Closed { process: Closed::new(entry), account, delta });
    }
}

impl<T> Entry<T> {
    /// From its start to its end; of the living nothing.
    pub(super) fn lived(&self) -> Duration {
        self.process.exit.as_ref().map_or(Duration::ZERO, |exit| exit.at.since(self.process.key.start))
    }

    /// Whether a process that has ended waits for its account; if so, from now on for no longer than it may.
    fn waits(&mut self, deadlines: &mut Deadlines) -> bool {
        if self.account.is_none() {
            self.wait(deadlines);
        }
        self.account.is_none()
    }

    /// Sets until when the process waits, if it waits for anything.
    pub(super) fn wait(&mut self, deadlines: &mut Deadlines) {
        if self.deadline.is_some() {
            return;
        }
        let exited = self.process.exit.as_ref().map(|exit| exit.at);
        let Some(since) = exited.or(self.account.map(|(at, _)| at)) else { return };
        let deadline = since.after(ACCOUNT_GRACE);
        self.deadline = Some(deadline);
        deadlines.insert(deadline, self.process.key);
    }

    fn end(&mut self, exit: Exit) {
        self.process.exit = Some(exit);
        self.find_cause();
    }

    /// Finds out what ended the process, once it has ended: the OOM killer, or who sent the signal that it died of.
    pub(super) fn find_cause(&mut self) {
        let Process { key, exit: Some(exit), oom, .. } = &mut self.process else { return };
        // A victim that was on its way out already ends as it would have anyway.
        exit.oom = *oom && matches!(exit.status, None | Some(ExitStatus::Signal { number: KILL, .. }));
        exit.killer = match exit.status {
            Some(ExitStatus::Signal { number, .. }) if !exit.oom => self.signals.killer(key.tgid, number, exit.at),
            _ => None,
        };
    }
}
