//! Scans: the table seeded at the start, and put right after a loss.
//!
//! A scan runs beside the stream. What the ring told before it began has been delivered before it; what happens while
//! it runs is delivered after it, so a row can be ahead of the records still to come. What follows from that:
//! - a process that a row brings and whose fork record comes later is announced once, as the row brought it;
//! - an exec record from before the scan, of a process that the scan brought, is not announced: the row knew it. One
//!   from after the scan began is, for only the stream tells starts;
//! - a program that differs from the known one means that an exec record was lost, or is still to come: the exec is
//!   announced now, and a record that comes for it only fills in the rest;
//! - a process that is missing has ended, and its exit record was lost or is still to come: its exit is announced now,
//!   with an unknown status, and it is closed when its account or its exit record comes, or after
//!   [`super::ACCOUNT_GRACE`];
//! - nothing that has ended comes back, whatever a row says.
//!
//! The changes of one scan are one step: between them the table is already as the scan left it, so whoever judges
//! numbers has to do it after the last.

use std::sync::Arc;

use super::hash::Map;
use super::store::{Ending, Entry, Source};
use super::table::{Standing, Table};
use super::{Appearance, Change, KTime, Process, ProcessKey, Program};
use crate::record::{Reread, Scan, TaskRow};

impl<T: Default> Table<T> {
    /// Takes in everything that lives. The first scan seeds the table; later ones put it right.
    pub fn scan(&mut self, scan: &Scan, changes: &mut Vec<Change<T>>) {
        let how = if self.seeded.is_none() { Appearance::Seeded } else { Appearance::Found };
        self.seeded.get_or_insert(scan.began);
        self.scans = self.scans.wrapping_add(1);
        self.zombies.clear();
        let reseed = std::mem::take(&mut self.reseed);
        let args: Map<ProcessKey, &str> = scan.args.iter().map(|(key, args)| (*key, &**args)).collect();
        let mut other_program = Vec::new();
        for row in &scan.rows {
            if !row.cgroup.is_empty() {
                self.cgroups.learn(row.identity.cgroup_id, &row.cgroup);
            }
            let args = args.get(&row.key).copied();
            if let Some(status) = row.zombie {
                self.count_zombie(row.key);
                let Some(entry) = self.store.get_mut(row.key) else { continue };
                entry.scan = self.scans;
                if entry.ending == Ending::None {
                    self.notice_end(scan.began, row.key, Some(status), Ending::Noticed, changes);
                }
                continue;
            }
            match self.standing(scan.began, row.key, changes) {
                Standing::Past => {}
                Standing::New => self.bring(scan.began, row, args, how, changes),
                Standing::Known => {
                    if let Some(entry) = self.store.get_mut(row.key).filter(|_| reseed) {
                        let older = self.seeded.is_some_and(|seeded| row.key.start < seeded);
                        entry.reaped_cpu_ns = if older { row.reaped_cpu_ns } else { 0 };
                    }
                    if self.refresh(scan.began, row, args, changes) {
                        other_program.push(row);
                    }
                }
            }
        }
        // Parents first: what a child inherited is no exec of its own.
        other_program.sort_unstable_by_key(|row| (row.key.start, row.key.tgid));
        for row in other_program {
            self.see_program(scan.began, row, args.get(&row.key).copied().unwrap_or_default(), changes);
        }
        self.notice_missing(scan.began, changes);
    }

    /// A process that only the scan tells of.
    fn bring(
        &mut self,
        began: KTime,
        row: &TaskRow,
        args: Option<&str>,
        how: Appearance,
        changes: &mut Vec<Change<T>>,
    ) {
        let program = self.program_of(row, args.unwrap_or_default());
        let mut process = Process::new(row.key, row.identity.clone(), program, row.key.start);
        // The text that all others of the cgroup share, where there was room to keep it.
        process.cgroup.clone_from(self.cgroups.path(row.identity.cgroup_id).unwrap_or(&row.cgroup));
        process.threads = row.threads;
        let mut entry = Entry::new(process, Source::Scan(began), began);
        entry.scan = self.scans;
        // Of what started under our eyes the account has all threads.
        if self.seeded.is_none_or(|seeded| row.key.start < seeded) {
            entry.reaped_cpu_ns = row.reaped_cpu_ns;
        }
        self.appear(entry, how, changes);
    }

    fn program_of(&self, row: &TaskRow, args: &str) -> Arc<Program> {
        if row.exe.is_empty() && args.is_empty() {
            return Arc::clone(&self.nothing);
        }
        let bare = Program { exe: Arc::clone(&row.exe), ..Program::default() };
        Arc::new(bare.with_args(args.trim_end_matches('\0')))
    }

    /// A process that is known. True when the row shows another executable, which is left to
    /// [`Table::see_program`].
    fn refresh(&mut self, began: KTime, row: &TaskRow, args: Option<&str>, changes: &mut Vec<Change<T>>) -> bool {
        let key = row.key;
        let Some(entry) = self.store.get_mut(key) else { return false };
        entry.scan = self.scans;
        if entry.ending != Ending::None {
            return false;
        }
        entry.process.threads = row.threads;
        let mut differs = self.identify(began, key, &row.identity);
        if !row.cgroup.is_empty() {
            differs |= self.enter_cgroup(key, row.identity.cgroup_id, Some(&row.cgroup));
        }
        let Some(entry) = self.store.get_mut(key) else { return false };
        // A process on its way out has lost its executable already.
        let other = !row.exe.is_empty() && *row.exe != *entry.process.program.exe;
        if let Some(args) = args.filter(|_| !other) {
            let before = changes.len();
            self.reread(key, &Reread { args: args.into(), uid: None }, changes);
            differs &= changes.len() == before;
        }
        if differs && !other {
            changes.push(Change::Redefined { key });
        }
        other
    }

    /// A known process whose row shows another executable than the one known.
    fn see_program(&mut self, began: KTime, row: &TaskRow, args: &str, changes: &mut Vec<Change<T>>) {
        let key = row.key;
        let program = self.program_of(row, args);
        let Some(entry) = self.store.get(key) else { return };
        let never_executed = entry.process.execs == 0;
        let forker = entry.born.filter(|_| entry.source == Source::Fork).map(|(_, forker)| forker);
        let inherited = forker.and_then(|forker| self.get(forker));
        // Its forker's exec was lost, as this scan shows, and it was forked after that.
        let inherited = inherited
            .filter(|forker| forker.program_since == began && *forker.program.exe == *row.exe)
            .map(|forker| Arc::clone(&forker.program));
        let Some(entry) = self.store.get_mut(key) else { return };
        if let Some(inherited) = inherited {
            // Since when is not known better, and what it ran until now may be what its children share.
            entry.replace_program(began, inherited, Source::Scan(began));
            changes.push(Change::Redefined { key });
        } else if never_executed && entry.process.program.exe.is_empty() {
            // Its forker was unknown, and so was the program that it shares.
            entry.process.program = program;
            entry.source = Source::Scan(began);
            changes.push(Change::Redefined { key });
        } else {
            entry.run(began, program);
            entry.inferred = Some((began, Arc::clone(&row.exe)));
            changes.push(Change::Executed { key });
        }
    }

    /// What should have been among the rows and was not has ended.
    fn notice_missing(&mut self, began: KTime, changes: &mut Vec<Change<T>>) {
        let missing = |entry: &&Entry<T>| {
            entry.ending == Ending::None && entry.scan != self.scans && entry.process.key.start < began
        };
        let mut keys: Vec<ProcessKey> = self.store.iter().filter(missing).map(|entry| entry.process.key).collect();
        keys.sort_unstable();
        for key in keys {
            self.notice_end(began, key, None, Ending::Missing, changes);
        }
    }
}
