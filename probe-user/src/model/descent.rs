//! Forks, and what is inherited by them.
//!
//! A child shares its forker's program, as it was at the fork. When records come in order that is all. When the forker's
//! own fork or exec is told after the child's fork, [`Table::hand_down`] makes the child right, and its children in
//! turn. It follows parents, not forkers: a child made with `CLONE_PARENT` whose forker was told late keeps an unknown
//! program until it executes one or a scan sees it.

use std::sync::Arc;

use super::store::{Entry, Source};
use super::table::{Standing, Table};
use super::{Appearance, Change, KTime, Process, ProcessKey, Program};
use crate::record::Identity;

impl<T: Default> Table<T> {
    pub(super) fn fork(
        &mut self,
        at: KTime,
        key: ProcessKey,
        identity: &Identity,
        forker: ProcessKey,
        changes: &mut Vec<Change<T>>,
    ) {
        let standing = self.standing(at, key, changes);
        if standing == Standing::Past {
            return;
        }
        let identity = identity.clone();
        let mut program = None;
        let mut cgroup = None;
        if let Some(from) = self.store.get_mut(forker) {
            from.forked_until = from.forked_until.max(at);
            program = from.program_at(at).filter(|_| !identity.kernel_thread).cloned();
            let known = &from.process.identity;
            cgroup = (known.cgroup_id == identity.cgroup_id).then(|| Arc::clone(&from.process.cgroup));
        }
        let program = program.unwrap_or_else(|| Arc::clone(&self.nothing));
        if standing == Standing::Known {
            self.fork_told_late(at, key, &identity, forker, program, changes);
            return;
        }
        let mut process = Process::new(key, identity, program, at);
        process.cgroup = cgroup.unwrap_or_default();
        let mut entry = Entry::new(process, Source::Fork, at);
        entry.born = Some((at, forker));
        entry.counted = true;
        let has_heirs = !self.kin.children(key).is_empty();
        if !has_heirs {
            entry.forked_until = KTime::default();
        }
        self.appear(entry, Appearance::Forked, changes);
        if has_heirs {
            self.hand_down(key, at, changes);
        }
    }

    /// The fork of a process that another record or a scan has already named.
    fn fork_told_late(
        &mut self,
        at: KTime,
        key: ProcessKey,
        identity: &Identity,
        forker: ProcessKey,
        program: Arc<Program>,
        changes: &mut Vec<Change<T>>,
    ) {
        let Some(entry) = self.store.get_mut(key) else { return };
        // Its whole life was seen after all.
        entry.reaped_cpu_ns = 0;
        entry.counted |= entry.process.usage.at.is_none();
        if entry.born.replace((at, forker)).is_some() {
            return;
        }
        match entry.source {
            Source::Nothing => {
                entry.source = Source::Fork;
                entry.process.program_since = at;
                entry.process.program = program;
                self.identify(at, key, identity);
                changes.push(Change::Redefined { key });
            }
            // What ran at first is told only now; whether the scan saw that or the next one, the exec will tell.
            Source::Exec | Source::Scan(_) if !entry.knows_first_program() => entry.previous = Some((at, program)),
            Source::Fork | Source::Exec | Source::Scan(_) => {}
        }
        self.hand_down(key, at, changes);
    }

    /// Gives the children that this process forked since then what it ran at their fork, and their children likewise.
    pub(super) fn hand_down(&mut self, from: ProcessKey, since: KTime, changes: &mut Vec<Change<T>>) {
        let Some(entry) = self.store.get(from) else { return };
        if entry.forked_until < since {
            return;
        }
        let children = self.kin.children(from);
        let mut heirs: Vec<(ProcessKey, ProcessKey)> = children.iter().map(|child| (from, *child)).collect();
        let births = children.iter().filter_map(|child| self.store.get(*child)?.born).map(|(at, _)| at);
        let last = births.max().unwrap_or_default();
        if let Some(entry) = self.store.get_mut(from) {
            entry.forked_until = last;
        }
        while let Some((parent, key)) = heirs.pop() {
            let Some(child) = self.store.get(key) else { continue };
            let Some((at, forker)) = child.born else { continue };
            if forker != parent || at < since || child.process.identity.kernel_thread {
                continue;
            }
            let Some(program) = self.store.get(forker).and_then(|forker| forker.program_at(at)).cloned() else {
                continue;
            };
            let Some(child) = self.store.get_mut(key) else { continue };
            // What it inherited is what it runs, or what it ran before its first exec.
            let inherited = match &mut child.previous {
                _ if child.source == Source::Fork => &mut child.process.program,
                Some((since, previous)) if *since == at => previous,
                Some(_) | None => continue,
            };
            if *inherited == program {
                continue;
            }
            *inherited = program;
            if child.source == Source::Fork {
                changes.push(Change::Redefined { key });
            }
            heirs.extend(self.kin.children(key).iter().map(|grandchild| (key, *grandchild)));
        }
    }
}

impl<T> Entry<T> {
    /// Whether what it ran before its present program is more than a guess: that a scan saw the same program before the
    /// exec of it was told.
    fn knows_first_program(&self) -> bool {
        let guess = |(since, program): &(KTime, Arc<Program>)| {
            *since == self.process.key.start && program.exe == self.process.program.exe
        };
        self.previous.as_ref().is_some_and(|previous| !guess(previous))
    }
}
