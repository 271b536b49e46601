//! Between the fork and the exit: exec, rename, signals, cgroups, rewritten arguments.

use std::sync::Arc;
use std::time::Duration;

use super::store::{Ending, Entry, Source};
use super::table::{Standing, Table};
use super::{Appearance, Change, KTime, Process, ProcessKey, Program, Usage};
use crate::record::{Comm, Identity, Reread, SignalSent};

/// An exec that a scan saw before its record came happened at most so long after the scan began.
const SCAN_SPAN: Duration = Duration::from_secs(1);

/// How an exec record stands to what is known of the process's program.
enum Place {
    /// It is news.
    News,
    /// It tells more about the program that a scan already saw.
    Seen,
    /// The process has executed another program since.
    Overtaken,
}

impl<T: Default> Table<T> {
    pub(super) fn exec(
        &mut self,
        at: KTime,
        key: ProcessKey,
        identity: &Identity,
        program: Arc<Program>,
        changes: &mut Vec<Change<T>>,
    ) {
        let entry = if let Some(entry) = self.store.get_mut(key) {
            entry
        } else {
            if self.standing(at, key, changes) == Standing::Past {
                return;
            }
            let process = Process::new(key, identity.clone(), Arc::clone(&self.nothing), key.start);
            let mut entry = Entry::new(process, Source::Nothing, at);
            // What a seeding scan did not see has started since.
            entry.counted = self.seeded.is_some();
            self.appear(entry, Appearance::Found, changes);
            let Some(entry) = self.store.get_mut(key) else { return };
            entry
        };
        // Children that were forked before this have what they should have.
        let since = entry.inferred.as_ref().map_or(at, |(began, _)| at.min(*began));
        let ended = entry.ending != Ending::None;
        let has_heirs = entry.forked_until >= since;
        match entry.place(at, &program.exe) {
            Place::News => {
                entry.run(at, program);
                entry.process.threads = 1;
                let news = entry.identify(at, identity);
                self.follow(key, identity, &news);
                changes.push(if ended { Change::Redefined { key } } else { Change::Executed { key } });
            }
            Place::Seen => {
                let process = &mut entry.process;
                // A scan's guess was counted when it was announced.
                process.execs += u32::from(entry.inferred.take().is_none());
                let differs = process.program != program;
                let before = std::mem::replace(&mut process.program, program);
                if process.program_since < at && *before.exe != *process.program.exe {
                    entry.previous = Some((process.program_since, before));
                }
                process.program_since = at;
                entry.source = Source::Exec;
                if self.identify(at, key, identity) || differs {
                    changes.push(Change::Redefined { key });
                }
            }
            Place::Overtaken => {
                entry.process.execs += 1;
                if entry.previous.as_ref().is_none_or(|(since, _)| *since < at) {
                    entry.previous = Some((at, program));
                }
            }
        }
        if has_heirs {
            self.hand_down(key, since, changes);
        }
    }

    /// A second look at what a process changes without telling anyone. Unknown and ended processes are left alone: what
    /// was found may be another's that has their number by now.
    pub fn reread(&mut self, key: ProcessKey, found: &Reread, changes: &mut Vec<Change<T>>) {
        // Who writes a shorter title over the arguments leaves NULs behind it.
        let args = found.args.trim_end_matches('\0');
        let Some(entry) = self.store.get_mut(key).filter(|entry| entry.process.exit.is_none()) else { return };
        let identity = &mut entry.process.identity;
        let another_user = found.uid.is_some_and(|uid| std::mem::replace(&mut identity.uid, uid) != uid);
        let other_args = *entry.process.program.args != *args;
        if other_args {
            entry.process.program = Arc::new(entry.process.program.with_args(args));
            if entry.source == Source::Fork {
                // It is its own now, not what its forker hands down.
                entry.source = Source::Exec;
            }
        }
        if another_user || other_args {
            changes.push(Change::Redefined { key });
        }
    }

    pub(super) fn rename(&mut self, at: KTime, key: ProcessKey, comm: &Comm, changes: &mut Vec<Change<T>>) {
        let Some(entry) = self.store.get_mut(key) else { return };
        if at < entry.name_at {
            return;
        }
        entry.name_at = at;
        if entry.process.identity.comm != *comm {
            entry.process.identity.comm.clone_from(comm);
            changes.push(Change::Redefined { key });
        }
    }

    pub(super) fn signal(&mut self, at: KTime, key: ProcessKey, signal: &SignalSent) {
        let Some(entry) = self.store.get_mut(key) else { return };
        if entry.process.exit.as_ref().is_some_and(|exit| at > exit.at) {
            return;
        }
        entry.signals.remember(at, signal);
        if entry.process.last_signal.as_ref().is_none_or(|(last, _)| at >= *last) {
            entry.process.last_signal = Some((at, signal.clone()));
        }
        entry.find_cause();
    }

    pub(super) fn oom(&mut self, key: ProcessKey, changes: &mut Vec<Change<T>>) {
        // Before Linux 6.8 only a number is told.
        let key = if key.start.0 == 0 { self.of_tgid(key.tgid).map_or(key, |process| process.key) } else { key };
        let Some(entry) = self.store.get_mut(key) else { return };
        if !std::mem::replace(&mut entry.process.oom, true) {
            entry.find_cause();
            changes.push(Change::OomVictim { key });
        }
    }

    pub(super) fn cgroup(&mut self, id: u64, path: &Arc<str>, changes: &mut Vec<Change<T>>) {
        if path.is_empty() {
            return;
        }
        self.cgroups.learn(id, path);
        if !self.cgroups.is_awaited(id) {
            return;
        }
        // Rare: the kernel side tells a path with the first record that names its id.
        let waiting = |process: &&Process| process.identity.cgroup_id == id && process.cgroup.is_empty();
        let keys: Vec<ProcessKey> = self.iter().filter(waiting).map(|process| process.key).collect();
        for key in keys {
            if self.enter_cgroup(key, id, Some(path)) {
                changes.push(Change::Redefined { key });
            }
        }
    }
}

impl<T> Entry<T> {
    fn place(&self, at: KTime, exe: &str) -> Place {
        if let Some((began, seen)) = &self.inferred
            && at < began.after(SCAN_SPAN)
            && **seen == *exe
        {
            return Place::Seen;
        }
        match self.source {
            Source::Scan(began) if at < began && *self.process.program.exe == *exe => Place::Seen,
            Source::Scan(began) if at < began => Place::Overtaken,
            Source::Exec if at < self.process.program_since => Place::Overtaken,
            Source::Nothing | Source::Fork | Source::Exec | Source::Scan(_) => Place::News,
        }
    }

    /// The process runs another program from then on.
    pub(super) fn run(&mut self, at: KTime, program: Arc<Program>) {
        self.replace_program(at, program, Source::Exec);
        self.process.execs += 1;
    }

    pub(super) fn replace_program(&mut self, at: KTime, program: Arc<Program>, source: Source) {
        let before = std::mem::replace(&mut self.process.program, program);
        // Of a process that started while a scan ran, the scan may have seen the very program that is told now.
        let foreseen = matches!(self.source, Source::Scan(began) if self.process.key.start >= began)
            && before.exe == self.process.program.exe;
        if self.source != Source::Nothing && !(foreseen && self.previous.is_some()) {
            self.previous = Some((self.process.program_since, before));
        }
        self.source = source;
        self.process.program_since = at;
    }
}

impl Process {
    /// A process as its first record tells it.
    pub fn new(key: ProcessKey, identity: Identity, program: Arc<Program>, program_since: KTime) -> Self {
        Self {
            key,
            identity,
            program,
            cgroup: Arc::default(),
            program_since,
            execs: 0,
            threads: 1,
            usage: Usage::default(),
            last_signal: None,
            oom: false,
            exit: None,
        }
    }
}

impl Program {
    /// The same program with other arguments.
    pub(super) fn with_args(&self, args: &str) -> Self {
        let count = if args.is_empty() { 0 } else { args.split('\0').count() };
        Self {
            exe: Arc::clone(&self.exe),
            filename: Arc::clone(&self.filename),
            args: args.into(),
            args_count: u32::try_from(count).unwrap_or(u32::MAX),
            args_cut: args.len() >= probe_common::record::ARGS_CAP,
        }
    }
}
