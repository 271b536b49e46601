//! From the fork to the exit: fork, exec, rename, signals, cgroups, rewritten arguments.
//!
//! Programs are inherited: a fork shares its forker's. So a record that tells late what a process ran also tells what
//! its children run; [`Table::hand_down`] makes that good. It follows parents, not forkers: a child made with
//! `CLONE_PARENT` whose forker was told late keeps an unknown program until it executes one or a scan sees it.

use std::sync::Arc;
use std::time::Duration;

use super::store::{Ending, Entry, Source};
use super::table::{Standing, Table};
use super::{Appearance, Change, KTime, Process, ProcessKey, Program, Usage};
use crate::record::{Identity, SignalSent};

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

impl Table {
    pub(super) fn fork(
        &mut self,
        at: KTime,
        key: ProcessKey,
        identity: &Identity,
        forker: ProcessKey,
        changes: &mut Vec<Change>,
    ) {
        match self.standing(at, key, changes) {
            Standing::Past => {}
            Standing::Known => self.fork_told_late(at, key, identity, forker, changes),
            Standing::New => {
                let mut identity = identity.clone();
                if let Some(from) = self.store.get(forker)
                    && from.process.identity.comm == identity.comm
                {
                    identity.comm.clone_from(&from.process.identity.comm);
                }
                let mut process = Process::new(key, identity, self.inherited(at, forker, &self.nothing), at);
                if let Some(from) = self.store.get(forker)
                    && from.process.identity.cgroup_id == process.identity.cgroup_id
                {
                    process.cgroup.clone_from(&from.process.cgroup);
                }
                if process.identity.kernel_thread {
                    process.program.clone_from(&self.nothing);
                }
                let mut entry = Entry::new(process, Source::Fork, at);
                entry.born = Some((at, forker));
                entry.counted = true;
                self.appear(entry, Appearance::Forked, changes);
                self.hand_down(key, changes);
            }
        }
    }

    /// What the forker ran when it forked; `nothing` when that is not known.
    fn inherited(&self, at: KTime, forker: ProcessKey, nothing: &Arc<Program>) -> Arc<Program> {
        self.store.get(forker).and_then(|from| from.program_at(at)).unwrap_or(nothing).clone()
    }

    /// The fork of a process that another record or a scan has already named.
    fn fork_told_late(
        &mut self,
        at: KTime,
        key: ProcessKey,
        identity: &Identity,
        forker: ProcessKey,
        changes: &mut Vec<Change>,
    ) {
        let program = self.inherited(at, forker, &self.nothing);
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
                if !identity.kernel_thread {
                    entry.process.program = program;
                }
                self.identify(at, key, identity);
                changes.push(Change::Redefined { key });
            }
            // What ran at first is told only now; whether the scan saw that or the next one, the exec will tell.
            Source::Exec | Source::Scan(_) if !entry.knows_first_program() => entry.previous = Some((at, program)),
            Source::Fork | Source::Exec | Source::Scan(_) => {}
        }
        self.hand_down(key, changes);
    }

    /// Gives the children that this process forked what it ran at their fork, and their children likewise. Changes
    /// nothing where the records came in order.
    fn hand_down(&mut self, from: ProcessKey, changes: &mut Vec<Change>) {
        let mut heirs: Vec<(ProcessKey, ProcessKey)> = Vec::new();
        heirs.extend(self.kin.children(from).iter().map(|child| (from, *child)));
        while let Some((parent, key)) = heirs.pop() {
            let Some(child) = self.store.get(key) else { continue };
            let Some((at, forker)) = child.born else { continue };
            if forker != parent || child.process.identity.kernel_thread {
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

    pub(super) fn exec(
        &mut self,
        at: KTime,
        key: ProcessKey,
        identity: &Identity,
        program: &Arc<Program>,
        changes: &mut Vec<Change>,
    ) {
        match self.standing(at, key, changes) {
            Standing::Past => return,
            Standing::Known => {}
            Standing::New => {
                let process = Process::new(key, identity.clone(), Arc::clone(&self.nothing), key.start);
                let mut entry = Entry::new(process, Source::Nothing, at);
                // What a seeding scan did not see has started since.
                entry.counted = self.seeded.is_some();
                self.appear(entry, Appearance::Found, changes);
            }
        }
        let Some(entry) = self.store.get_mut(key) else { return };
        let ended = entry.ending != Ending::None;
        match entry.place(at, &program.exe) {
            Place::News => {
                entry.run(at, Arc::clone(program));
                entry.process.threads = 1;
                self.identify(at, key, identity);
                changes.push(if ended { Change::Redefined { key } } else { Change::Executed { key } });
            }
            Place::Seen => {
                let process = &mut entry.process;
                // A scan's guess was counted when it was announced.
                process.execs += u32::from(entry.inferred.take().is_none());
                let differs = process.program != *program;
                let before = std::mem::replace(&mut process.program, Arc::clone(program));
                if process.program_since < at && *before.exe != *program.exe {
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
                    entry.previous = Some((at, Arc::clone(program)));
                }
            }
        }
        self.hand_down(key, changes);
    }

    /// Arguments as they stand in the process's memory now, separated by NUL: processes rewrite them without telling
    /// anyone. Unknown processes are left alone.
    pub fn args(&mut self, key: ProcessKey, args: &str, changes: &mut Vec<Change>) {
        // Who writes a shorter title over the arguments leaves NULs behind it.
        let args = args.trim_end_matches('\0');
        let Some(entry) = self.store.get_mut(key) else { return };
        if *entry.process.program.args != *args {
            entry.process.program = Arc::new(entry.process.program.with_args(args));
            changes.push(Change::Redefined { key });
        }
    }

    pub(super) fn rename(&mut self, at: KTime, key: ProcessKey, comm: &Arc<str>, changes: &mut Vec<Change>) {
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

    pub(super) fn oom(&mut self, key: ProcessKey, changes: &mut Vec<Change>) {
        // Before Linux 6.8 only a number is told.
        let key = if key.start.0 == 0 { self.of_tgid(key.tgid).map_or(key, |process| process.key) } else { key };
        let Some(entry) = self.store.get_mut(key) else { return };
        if !std::mem::replace(&mut entry.process.oom, true) {
            entry.find_cause();
            changes.push(Change::OomVictim { key });
        }
    }

    pub(super) fn cgroup(&mut self, id: u64, path: &Arc<str>, changes: &mut Vec<Change>) {
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

impl Entry {
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

    /// Whether what it ran before its present program is more than a guess: that a scan saw the same program before the
    /// exec of it was told.
    fn knows_first_program(&self) -> bool {
        let guess = |(since, program): &(KTime, Arc<Program>)| {
            *since == self.process.key.start && program.exe == self.process.program.exe
        };
        self.previous.as_ref().is_some_and(|previous| !guess(previous))
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
