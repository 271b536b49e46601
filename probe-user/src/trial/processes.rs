//! The processes of a virtual host, and the records that the kernel side would make of what they do.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::host::{flown, portion};
use crate::engine::Watch;
use crate::policy::comm_of;
use crate::policy::spec::{Happening, HostFacts, Limit, Looks, Measure, PolicySet, Trial, Use, User, Users};
use crate::record::{
    Account, Body, Comm, ExitStatus, Identity, ProcessKey, Program, Record, Scan, SignalSent, TaskRow, UsageRow,
};
use crate::time::{ClockReading, KTime};

/// Resident memory of a process of which nothing is said.
const RSS: u64 = 1 << 20;
/// The first number given to a user who is only known by name.
const UIDS_FROM: u32 = 20_000;
/// Pid of whoever sends signals.
const KILLER: u32 = 1;

/// All that live.
#[derive(Debug)]
pub(super) struct Processes {
    living: BTreeMap<u32, Living>,
    users: Arc<Users>,
    facts: HostFacts,
    /// Cgroups by path.
    cgroups: BTreeMap<Arc<str>, u64>,
    /// How far CLOCK_BOOTTIME is before CLOCK_MONOTONIC.
    slept_ns: u64,
}

#[derive(Clone, Debug)]
struct Living {
    key: ProcessKey,
    identity: Identity,
    program: Arc<Program>,
    cgroup: Arc<str>,
    watch: Watch,
    threads: u32,
    rss: u64,
    cpu: Flow,
    wait: Flow,
    read: Flow,
    write: Flow,
}

/// Something that is used at a rate: nanoseconds or bytes in a second.
#[derive(Clone, Copy, Debug, Default)]
struct Flow {
    rate: f64,
    since: KTime,
    before: u64,
}

impl Flow {
    fn at(&self, now: KTime) -> u64 {
        self.before.saturating_add(flown(self.rate, now.since(self.since)))
    }

    fn set(&mut self, now: KTime, rate: f64) {
        *self = Self { rate, since: now, before: self.at(now) };
    }
}

impl Processes {
    /// pid 1 alone.
    pub(super) fn new(trial: &Trial, policies: &PolicySet, facts: HostFacts) -> Self {
        let key = ProcessKey { tgid: 1, start: KTime::default() };
        let cgroup: Arc<str> = "/init.scope".into();
        let init = Living {
            key,
            identity: Identity {
                parent: None,
                start_boot_ns: 0,
                cgroup_id: 1,
                uid: 0,
                gid: 0,
                comm: "systemd".into(),
                kernel_thread: false,
            },
            program: program("/usr/lib/systemd/systemd", "/sbin/init"),
            cgroup: Arc::clone(&cgroup),
            watch: Watch::NONE,
            threads: 1,
            rss: RSS,
            cpu: Flow::default(),
            wait: Flow::default(),
            read: Flow::default(),
            write: Flow::default(),
        };
        Self {
            living: BTreeMap::from([(1, init)]),
            users: Arc::new(users(trial, policies)),
            facts,
            cgroups: BTreeMap::from([(cgroup, 1)]),
            slept_ns: 0,
        }
    }

    pub(super) fn users(&self) -> Arc<Users> {
        Arc::clone(&self.users)
    }

    pub(super) fn watch(&mut self, key: ProcessKey, watch: Watch) {
        if let Some(living) = self.living.get_mut(&key.tgid).filter(|living| living.key == key) {
            living.watch = watch;
        }
    }

    /// Arguments and user of one that lives.
    pub(super) fn reread(&self, key: ProcessKey) -> Option<(Box<str>, u32)> {
        let living = self.living.get(&key.tgid).filter(|living| living.key == key)?;
        Some((living.program.args.clone(), living.identity.uid))
    }

    /// The host has slept.
    pub(super) fn slept(&mut self, clock: ClockReading) {
        self.slept_ns = clock.boot_ns.saturating_sub(clock.mono.0);
    }

    pub(super) fn scan(&self, now: KTime) -> Scan {
        let rows = self.living.values().map(|living| TaskRow {
            key: living.key,
            identity: living.identity.clone(),
            exe: Arc::clone(&living.program.exe),
            cgroup: Arc::clone(&living.cgroup),
            threads: living.threads,
            zombie: None,
            reaped_cpu_ns: 0,
        });
        let args = self.living.values().map(|living| (living.key, living.program.args.clone()));
        Scan { began: now, rows: rows.collect(), args: args.collect() }
    }

    pub(super) fn usage(&self, now: KTime) -> Vec<UsageRow> {
        let watched = self.living.values().filter(|living| living.watch.usage);
        watched
            .map(|living| UsageRow {
                key: living.key,
                threads: living.threads,
                cpu_ns: living.cpu.at(now),
                wait_ns: living.wait.at(now),
                read_bytes: living.read.at(now),
                write_bytes: living.write.at(now),
                rss_bytes: living.rss,
            })
            .collect()
    }

    /// What a process uses from now on.
    pub(super) fn uses(&mut self, now: KTime, pid: u32, usage: &Use) {
        let facts = self.facts;
        let Some(living) = self.living.get_mut(&pid) else { return };
        let cores = |limit: Limit| limit.resolve(Measure::Cpu, &facts) * 1e9;
        let bytes = |rate: u64| rate as f64;
        for (flow, rate) in [
            (&mut living.cpu, usage.cpu.map(cores)),
            (&mut living.wait, usage.cpu_wait.map(cores)),
            (&mut living.read, usage.read.map(bytes)),
            (&mut living.write, usage.write.map(bytes)),
        ] {
            if let Some(rate) = rate {
                flow.set(now, rate);
            }
        }
        living.threads = usage.threads.unwrap_or(living.threads);
        if let Some(memory) = usage.memory {
            living.rss = portion(memory, facts.memory_bytes);
        }
    }

    /// The records of a start, an exec or an exit.
    pub(super) fn happen(&mut self, now: KTime, what: &Happening) -> Vec<Record> {
        match what {
            Happening::Start { pid, parent, program, kernel } => {
                self.start(now, *pid, *parent, program.as_ref(), *kernel)
            }
            Happening::Exec { pid, program } => self
                .living
                .get(pid)
                .map(|living| living.key)
                .into_iter()
                .filter_map(|key| self.exec(now, key, program))
                .collect(),
            Happening::Exit { pid, status, killer, oom } => self.exit(now, *pid, *status, killer.as_ref(), *oom),
            _ => Vec::new(),
        }
    }

    fn start(&mut self, now: KTime, pid: u32, parent: u32, looks: Option<&Looks>, kernel: bool) -> Vec<Record> {
        let Some(forker) = self.living.get(&parent).cloned() else { return Vec::new() };
        let key = ProcessKey { tgid: pid, start: now };
        let mut records = Vec::new();
        let cgroup = looks.and_then(|looks| looks.cgroup.clone());
        let cgroup = cgroup.unwrap_or_else(|| if looks.is_some() { "/".into() } else { Arc::clone(&forker.cgroup) });
        let next = u64::try_from(self.cgroups.len()).unwrap_or(u64::MAX) + 1;
        let cgroup_id = *self.cgroups.entry(Arc::clone(&cgroup)).or_insert_with(|| {
            let body = Body::Cgroup { id: next, path: Arc::clone(&cgroup) };
            records.push(Record { at: now, key, body });
            next
        });
        let mut child = Living {
            key,
            identity: Identity {
                parent: Some(forker.key).filter(|_| !kernel),
                start_boot_ns: now.0.saturating_add(self.slept_ns),
                cgroup_id,
                kernel_thread: kernel,
                ..forker.identity.clone()
            },
            cgroup,
            watch: Watch::NONE,
            threads: 1,
            rss: RSS,
            cpu: Flow::default(),
            wait: Flow::default(),
            read: Flow::default(),
            write: Flow::default(),
            program: if kernel { Arc::default() } else { Arc::clone(&forker.program) },
        };
        if let Some(comm) = looks.and_then(|looks| looks.comm.as_deref()).filter(|_| kernel) {
            child.identity.comm = Comm::from(comm);
        }
        let body = Body::Fork { identity: child.identity.clone(), forker: forker.key };
        records.push(Record { at: now, key, body });
        self.living.insert(pid, child);
        if let Some(looks) = looks.filter(|_| !kernel) {
            // A process that says nothing of its user is root's, whoever its parent is.
            let user = looks.user.clone().unwrap_or(User::Uid(0));
            records.extend(self.exec(now, key, &Looks { user: Some(user), ..looks.clone() }));
        }
        records
    }

    fn exec(&mut self, now: KTime, key: ProcessKey, looks: &Looks) -> Option<Record> {
        let uid = looks.user.as_ref().map(|user| self.uid(user));
        let living = self.living.get_mut(&key.tgid)?;
        let exe = looks.exe.clone().unwrap_or_else(|| {
            // Of what is known of its arguments or its name.
            let first = looks.args.as_deref().and_then(|args| args.split(' ').next()).unwrap_or_default();
            let word = looks.comm.as_deref().unwrap_or(first);
            if word.starts_with('/') { word.into() } else { format!("/usr/bin/{}", word.replace('/', "-")).into() }
        });
        living.identity.comm = looks.comm.as_deref().map_or_else(|| comm_of(&exe), Comm::from);
        living.identity.uid = uid.unwrap_or(living.identity.uid);
        living.program = program(&exe, looks.args.as_deref().unwrap_or(&exe));
        let body = Body::Exec { identity: living.identity.clone(), program: Arc::clone(&living.program) };
        Some(Record { at: now, key, body })
    }

    fn uid(&self, user: &User) -> u32 {
        match user {
            User::Uid(uid) => *uid,
            User::Name(name) => {
                self.users.0.iter().find(|(_, known)| ***known == **name).map_or(UIDS_FROM, |(uid, _)| *uid)
            }
        }
    }

    fn exit(&mut self, now: KTime, pid: u32, status: ExitStatus, killer: Option<&Arc<str>>, oom: bool) -> Vec<Record> {
        let Some(living) = self.living.remove(&pid) else { return Vec::new() };
        let mut bodies = Vec::new();
        if oom {
            bodies.push(Body::Oom);
        }
        if let ExitStatus::Signal { number, .. } = status
            && (oom || killer.is_some())
        {
            bodies.push(Body::Signal(SignalSent {
                number,
                by_kernel: oom,
                sender_tgid: KILLER,
                sender_uid: 0,
                sender_comm: Comm::from(killer.map_or("kernel", |killer| killer)),
            }));
        }
        bodies.push(Body::Exit {
            status,
            peak_rss_bytes: living.rss,
            cpu_ns: living.cpu.at(now),
            comm: living.identity.comm.clone(),
            uid: living.identity.uid,
            parent_tgid: living.identity.parent.map_or(0, |parent| parent.tgid),
        });
        bodies.push(Body::Account(Account {
            cpu_ns: living.cpu.at(now),
            wait_ns: living.wait.at(now),
            read_bytes: living.read.at(now),
            write_bytes: living.write.at(now),
            exact: true,
        }));
        // Its children go to pid 1, of which the kernel tells nobody.
        let init = self.living.get(&1).map(|init| init.key);
        for child in self.living.values_mut().filter(|child| child.identity.parent == Some(living.key)) {
            child.identity.parent = init;
        }
        bodies.into_iter().map(|body| Record { at: now, key: living.key, body }).collect()
    }
}

fn program(exe: &str, args: &str) -> Arc<Program> {
    let args = args.replace(' ', "\0");
    let args_count = u32::try_from(args.split('\0').count()).unwrap_or(u32::MAX);
    Arc::new(Program { exe: exe.into(), filename: exe.into(), args: args.into(), args_count, args_cut: false })
}

/// A number for every user that policies or steps name.
fn users(trial: &Trial, policies: &PolicySet) -> Users {
    let mut names: Vec<&str> = Vec::new();
    let selectors = policies
        .groups
        .iter()
        .flat_map(|group| [Some(&group.select), group.except.as_ref()])
        .chain(policies.jobs.iter().flat_map(|job| [Some(&job.select), job.except.as_ref()]));
    for selector in selectors.flatten() {
        names.extend(named(&selector.user));
    }
    for step in &trial.steps {
        if let Happening::Start { program: Some(looks), .. } | Happening::Exec { program: looks, .. } = &step.what {
            names.extend(looks.user.as_ref().and_then(|user| named(std::slice::from_ref(user)).next()));
        }
    }
    names.sort_unstable();
    names.dedup();
    let numbered = (UIDS_FROM..).zip(names.into_iter().filter(|name| *name != "root"));
    let mut users: HashMap<u32, Arc<str>> = numbered.map(|(uid, name)| (uid, Arc::from(name))).collect();
    users.insert(0, Arc::from("root"));
    Users(users)
}

fn named(users: &[User]) -> impl Iterator<Item = &str> {
    users.iter().filter_map(|user| match user {
        User::Name(name) => Some(&**name),
        User::Uid(_) => None,
    })
}
