//! What is known of the living, handed from one daemon to the next: a table put back as it was at some moment, so that the
//! records behind that moment mean what they meant.
//!
//! What is not handed on: usage (it is sampled anew), signals and exits (their records are told again, see
//! [`crate::resume`]), and which children were told before their forker, which is settled within a drain.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::store::{Entry, Source};
use super::table::{Standing, Table};
use super::{Appearance, Change, KTime, Process, ProcessKey, Program};
use crate::record::{Comm, Identity};

/// One process that lives, as the table has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Known {
    /// Its tgid.
    pub pid: u32,
    /// Start time of its leader, CLOCK_MONOTONIC ns.
    pub start: u64,
    /// Its parent's tgid and start.
    pub parent: Option<(u32, u64)>,
    /// CLOCK_BOOTTIME ns at which it started.
    pub boot: u64,
    /// Id of its cgroup.
    pub cgroup_id: u64,
    /// Real user id.
    pub uid: u32,
    /// Real group id.
    pub gid: u32,
    /// Its leader's comm.
    pub comm: Arc<str>,
    /// `PF_KTHREAD`.
    pub kernel_thread: bool,
    /// See [`Program`].
    pub exe: Arc<str>,
    /// See [`Program`].
    pub filename: Arc<str>,
    /// See [`Program`].
    pub args: Box<str>,
    /// See [`Program`].
    pub args_count: u32,
    /// See [`Program`].
    pub args_cut: bool,
    /// Path of its cgroup.
    pub cgroup: Arc<str>,
    /// When its present program was started, ns.
    pub since: u64,
    /// How often it executed a program.
    pub execs: u32,
    /// Threads alive.
    pub threads: u32,
    /// CPU time of threads that were gone before the programs told anything, ns.
    pub reaped: u64,
    /// Where its program is known from.
    pub origin: Origin,
    /// The moments that its identity and its name are known from, ns.
    pub known_at: (u64, u64),
    /// A start that was not told: 0 none, 1 a fork, 2 an exec.
    pub untold: u8,
    /// Its fork or an exec was recorded.
    pub seen: bool,
    /// Names of the groups that it belongs to by descent.
    pub descends: Vec<Arc<str>>,
}

/// Where the present program of a process is known from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// From nothing.
    #[default]
    Nothing,
    /// From its forker.
    Fork,
    /// From an exec.
    Exec,
    /// From the scan that began then, ns.
    Scan(u64),
}

impl Known {
    /// Which process.
    pub const fn key(&self) -> ProcessKey {
        ProcessKey { tgid: self.pid, start: KTime(self.start) }
    }
}

impl<T: Default> Table<T> {
    /// What is known of a process that the table holds; nothing of what the engine knows.
    pub fn known(&self, key: ProcessKey) -> Option<Known> {
        let entry = self.store.get(key)?;
        let Process { identity, program, cgroup, program_since, execs, threads, .. } = &entry.process;
        Some(Known {
            pid: key.tgid,
            start: key.start.0,
            parent: identity.parent.map(|parent| (parent.tgid, parent.start.0)),
            boot: identity.start_boot_ns,
            cgroup_id: identity.cgroup_id,
            uid: identity.uid,
            gid: identity.gid,
            comm: Arc::from(&*identity.comm),
            kernel_thread: identity.kernel_thread,
            exe: Arc::clone(&program.exe),
            filename: Arc::clone(&program.filename),
            args: program.args.clone(),
            args_count: program.args_count,
            args_cut: program.args_cut,
            cgroup: Arc::clone(cgroup),
            since: program_since.0,
            execs: *execs,
            threads: *threads,
            reaped: entry.reaped_cpu_ns,
            origin: match entry.source {
                Source::Nothing => Origin::Nothing,
                Source::Fork => Origin::Fork,
                Source::Exec => Origin::Exec,
                Source::Scan(began) => Origin::Scan(began.0),
            },
            known_at: (entry.identity_at.0, entry.name_at.0),
            untold: 0,
            seen: false,
            descends: Vec::new(),
        })
    }

    /// Puts back what another table knew, into one that knows nothing. It was first seeded then, and programs tell since
    /// then; where these are younger, the next scan says what their accounts lack. Parents are announced before their children.
    pub fn restore(
        &mut self,
        (seeded, programs_since): (KTime, KTime),
        cgroups: &[(u64, Arc<str>)],
        known: &[Known],
        changes: &mut Vec<Change<T>>,
    ) {
        self.seeded = Some(seeded.max(programs_since));
        self.reseed = programs_since > seeded;
        for (id, path) in cgroups {
            self.cgroups.learn(*id, path);
        }
        let mut order: Vec<&Known> = known.iter().collect();
        order.sort_unstable_by_key(|known| (known.start, known.pid));
        for known in order {
            let key = known.key();
            // Two of one tgid cannot both live; the later one is right.
            if self.standing(key.start, key, changes) == Standing::New {
                self.appear(entry(known), Appearance::Seeded, changes);
            }
        }
    }

    /// When the whole life of whoever starts began to lie under our eyes.
    pub const fn seeded(&self) -> Option<KTime> {
        self.seeded
    }
}

fn entry<T: Default>(known: &Known) -> Box<Entry<T>> {
    let identity = Identity {
        parent: known.parent.map(|(tgid, start)| ProcessKey { tgid, start: KTime(start) }),
        start_boot_ns: known.boot,
        cgroup_id: known.cgroup_id,
        uid: known.uid,
        gid: known.gid,
        comm: Comm::from(&*known.comm),
        kernel_thread: known.kernel_thread,
    };
    let program = Program {
        exe: Arc::clone(&known.exe),
        filename: Arc::clone(&known.filename),
        args: known.args.clone(),
        args_count: known.args_count,
        args_cut: known.args_cut,
    };
    let mut process = Process::new(known.key(), identity, Arc::new(program), KTime(known.since));
    process.cgroup = Arc::clone(&known.cgroup);
    process.execs = known.execs;
    process.threads = known.threads;
    let source = match known.origin {
        Origin::Nothing => Source::Nothing,
        Origin::Fork => Source::Fork,
        Origin::Exec => Source::Exec,
        Origin::Scan(began) => Source::Scan(KTime(began)),
    };
    let mut entry = Entry::new(process, source, KTime(known.known_at.0));
    entry.name_at = KTime(known.known_at.1);
    entry.reaped_cpu_ns = known.reaped;
    entry
}
