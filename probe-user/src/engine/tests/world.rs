//! A small world to test the engine in: real processes as a script tells them, a kernel side that does what the engine
//! asks for, and a clock that wakes the engine when it wants.
//!
//! A script is one step a line: `seconds verb arguments`. `10@10.05` is a record of second 10 that is handed in at 10.05.
//!
//! | verb | |
//! |---|---|
//! | `have PID [EXE]` | it was there all along (before the first scan) |
//! | `fork PID`, `exec PID EXE`, `run PID EXE` | `run` does both; options `from=PID`, `uid=N`, `comm=NAME`, `args=a_b` (`_` is a space) |
//! | `exit PID` | options `code=N`, `sig=NAME`, `by=PID/COMM`; `close PID` gives its account, option `cpu=MS` |
//! | `oom PID` | the OOM killer chose it |
//! | `use PID` | what it has used so far: `cpu=MS`, `rss=MIB`, `threads=N`, `read=KIB` |
//! | `sample`, `scan`, `tick` | hands the truth in |
//! | `unseen ...` | any of the above without a record: it was lost |
//! | `lost N` | so many records were lost |
//! | `title PID TEXT` | it rewrites its arguments |
//! | `setuid PID UID` | it becomes another user |
//! | `policies N` | the other policies are loaded |
//! | `clock TIME` | the clock on the wall shows this (RFC 3339) |
//! | `acted ORDER` | an order has ended: `code=N`, option `ms=N`; `why=TEXT`; `hit=PID` and/or `gone=PID`, options `killed=PID`, `left=PID` |

mod deeds;
mod shown;

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use probe_common::maps::LossReason;

pub(super) use self::shown::shown;
use super::super::{Effect, Engine, Input, KnownTable, Order, Processes, Restored, Settings, Standing, Watch};
use crate::event::Event;
use crate::policy::spec::{Group, HostFacts, PolicySet, Users};
use crate::record::{
    Account, Acted, Body, ExitStatus, Identity, Loss, Lost, Outcome, ProcessKey, Program, Record, Reread, Scan,
    SignalSent, TaskRow, UsageRow,
};
use crate::signal;
use crate::time::{ClockReading, KTime, Wall};

pub(super) const MIB: f64 = 1024.0 * 1024.0;

#[derive(Clone)]
struct Real {
    key: ProcessKey,
    identity: Identity,
    program: Arc<Program>,
    /// What stands in its memory.
    title: String,
    cpu_ms: u64,
    rss_mib: u64,
    read_kib: u64,
    threads: u32,
    watch: Watch,
}

pub(super) struct World {
    pub(super) engine: Engine,
    sets: Vec<Arc<PolicySet>>,
    users: Arc<Users>,
    reals: BTreeMap<u32, Real>,
    now: KTime,
    wake: Option<KTime>,
    pub(super) told: Vec<Event>,
    /// Everything that is not an event, in words.
    pub(super) asked: Vec<String>,
    /// Samples have no row of a process that used nothing since its last row.
    pub(super) glances: bool,
    /// The rows that were told last; empty when all must be told.
    rows: HashMap<ProcessKey, UsageRow>,
    pub(super) orders: Vec<Order>,
}

pub(in crate::engine) fn settings() -> Settings {
    Settings {
        host: HostFacts { cpus: 4, memory_bytes: 8 << 30 },
        start_grace: Duration::ZERO,
        processes: Processes::None,
        forks: false,
        args: true,
        redact: Vec::new(),
    }
}

pub(in crate::engine) fn secs(at: KTime) -> String {
    let text = format!("{:.3}", at.0 as f64 / 1e9);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn time(text: &str) -> KTime {
    let (secs, fraction) = text.split_once('.').unwrap_or((text, ""));
    let nanos: u64 = format!("{fraction:0<9}").parse().unwrap();
    KTime(secs.parse::<u64>().unwrap() * 1_000_000_000 + nanos)
}

struct Options<'a>(HashMap<&'a str, &'a str>);

impl<'a> Options<'a> {
    fn text(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).copied()
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T>
    where
        T::Err: std::fmt::Debug,
    {
        self.text(name).map(|text| text.parse().unwrap())
    }
}

impl World {
    pub(super) fn new(settings: Settings, sets: Vec<Vec<Group>>) -> Self {
        Self::of(settings, sets.into_iter().map(|groups| PolicySet { groups, ..PolicySet::default() }).collect())
    }

    /// With policies of every kind.
    pub(super) fn of(settings: Settings, sets: Vec<PolicySet>) -> Self {
        let users = Arc::new(Users(HashMap::from([(0, "root".into()), (33, "www-data".into())])));
        let sets: Vec<_> = sets.into_iter().map(Arc::new).collect();
        let engine = Engine::new(settings, &sets[0], Arc::clone(&users));
        let mut world = Self {
            engine,
            sets,
            users,
            reals: BTreeMap::new(),
            now: KTime(0),
            wake: None,
            told: Vec::new(),
            asked: Vec::new(),
            glances: false,
            rows: HashMap::new(),
            orders: Vec::new(),
        };
        world.have(1, "/sbin/init");
        world
    }

    pub(super) fn play(&mut self, script: &str) {
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (moment, rest) = line.split_once(' ').unwrap_or((line, "tick"));
            let (at, now) = moment.split_once('@').unwrap_or((moment, moment));
            self.wake_until(time(now));
            self.now = time(now);
            self.line(time(at), rest);
        }
    }

    /// Another engine goes on, with the policies of this number and what this one knows; `alarms` are on. What was told until
    /// now is forgotten.
    pub(super) fn restart(&mut self, set: usize, alarms: Vec<Standing>) {
        let table = self.engine.table();
        let known = KnownTable {
            seeded: table.seeded().unwrap_or_default(),
            programs_since: KTime::default(),
            processes: table.iter().filter_map(|process| self.engine.known(process.key)).collect(),
            cgroups: table.cgroups().map(|(id, path)| (id, Arc::clone(path))).collect(),
        };
        self.engine = Engine::new(self.engine.settings.clone(), &self.sets[set], Arc::clone(&self.users));
        (self.wake, self.told, self.rows) = (None, Vec::new(), HashMap::new());
        self.reals.values_mut().for_each(|real| real.watch = Watch::NONE);
        self.step(Input::Restored(Box::new(Restored { table: Some(known), alarms })));
    }

    /// One line for which the daemon wakes up too late: no tick comes before it.
    pub(super) fn step_late(&mut self, line: &str) {
        let (moment, rest) = line.split_once(' ').unwrap();
        let (at, now) = moment.split_once('@').unwrap();
        self.now = time(now);
        self.line(time(at), rest);
    }

    /// Ticks at every moment that the engine asks for.
    pub(super) fn wake_until(&mut self, until: KTime) {
        let mut ticks = 0;
        while let Some(wake) = self.wake.filter(|wake| *wake <= until) {
            let wake = wake.max(self.now);
            self.now = wake;
            self.step(Input::Tick);
            ticks += 1;
            assert!(ticks < 10_000, "wakes up for ever at {wake:?}");
        }
    }

    fn line(&mut self, at: KTime, line: &str) {
        let (line, seen) = line.strip_prefix("unseen ").map_or((line, true), |line| (line, false));
        let mut words = line.split_whitespace();
        let verb = words.next().unwrap();
        let (options, words): (Vec<_>, Vec<_>) = words.partition(|word| word.contains('='));
        let options = Options(options.into_iter().filter_map(|option| option.split_once('=')).collect());
        let pid = || words[0].parse::<u32>().unwrap();
        match verb {
            "tick" => self.step(Input::Tick),
            "scan" => self.scan(at),
            "sample" => self.sample(),
            "lost" => self.step(Input::Lost(Loss {
                reason: Lost::Kernel(LossReason::RingFull),
                count: words[0].parse().unwrap(),
            })),
            "policies" => {
                let set = Arc::clone(&self.sets[words[0].parse::<usize>().unwrap()]);
                self.step(Input::Policies(set, Arc::clone(&self.users)));
            }
            "clock" => {
                let wall: jiff::Timestamp = words[0].parse().unwrap();
                let wall = Wall(i64::try_from(wall.as_nanosecond()).unwrap());
                self.step(Input::Clock(ClockReading { mono: self.now, boot_ns: self.now.0, wall }));
            }
            "have" => {
                self.have(pid(), words.get(1).copied().unwrap_or("/bin/sh"));
                self.options(pid(), &options);
            }
            "fork" => self.fork(at, pid(), &options, seen),
            "exec" => self.exec(at, pid(), words[1], &options, seen),
            "run" => {
                self.fork(at, pid(), &options, seen);
                self.exec(at, pid(), words[1], &options, seen);
            }
            "exit" => self.exit(at, pid(), &options, seen),
            "close" => self.close(at, pid(), &options),
            "acted" => self.step(Input::Acted(Acted { order: words[0].parse().unwrap(), outcome: outcome(&options) })),
            "oom" => self.record(at, pid(), Body::Oom),
            "use" => self.options(pid(), &options),
            "setuid" => self.reals.get_mut(&pid()).unwrap().identity.uid = words[1].parse().unwrap(),
            "title" => {
                let title = words[1..].join(" ");
                self.reals.get_mut(&pid()).unwrap().title = title;
            }
            other => panic!("no verb {other}"),
        }
    }

    fn scan(&mut self, began: KTime) {
        let rows = self.reals.values().map(|real| TaskRow {
            key: real.key,
            identity: real.identity.clone(),
            exe: Arc::clone(&real.program.exe),
            cgroup: "/".into(),
            threads: real.threads,
            zombie: None,
            reaped_cpu_ns: 0,
        });
        let args = self.reals.values().map(|real| (real.key, real.title.replace(' ', "\0").into()));
        let scan = Scan { began, rows: rows.collect(), args: args.collect() };
        self.step(Input::Scan(scan));
    }

    fn sample(&mut self) {
        let rows = self.reals.values().filter(|real| real.watch.usage).map(|real| UsageRow {
            key: real.key,
            threads: real.threads,
            cpu_ns: real.cpu_ms * 1_000_000,
            wait_ns: 0,
            read_bytes: real.read_kib << 10,
            write_bytes: 0,
            rss_bytes: real.rss_mib << 20,
        });
        let mut rows: Vec<UsageRow> = rows.collect();
        if self.glances {
            rows.retain(|row| self.rows.insert(row.key, *row).as_ref() != Some(row));
        }
        self.step(Input::Sample(rows));
    }

    pub(super) fn step(&mut self, input: Input) {
        let (mut effects, mut looks) = (Vec::new(), Vec::new());
        self.engine.step(self.now, input, &mut effects);
        for effect in effects {
            let now = secs(self.now);
            match effect {
                Effect::Emit(event) => self.told.push(event),
                Effect::WakeAt(at) => self.wake = at,
                Effect::Watch(key, watch) => {
                    self.asked.push(format!("{now} watch {} {}", key.tgid, watch_word(watch)));
                    if watch.usage {
                        self.rows.clear();
                    }
                    if let Some(real) = self.reals.get_mut(&key.tgid).filter(|real| real.key == key) {
                        real.watch = watch;
                    }
                }
                Effect::Scan => self.asked.push(format!("{now} scan")),
                Effect::Act(order) => {
                    let pids: Vec<String> = order.targets.iter().map(|target| target.key.tgid.to_string()).collect();
                    let (number, name) = (order.number, &order.action.name);
                    self.asked.push(format!("{now} order {number} {name} {}", pids.join(",")).trim_end().to_owned());
                    self.orders.push(order);
                }
                Effect::Sampling(on) => self.asked.push(format!("{now} sampling {on}")),
                Effect::Reread { key, .. } => {
                    self.asked.push(format!("{now} look {}", key.tgid));
                    let found = self.reals.get(&key.tgid).map(|real| Reread {
                        args: real.title.replace(' ', "\0").into(),
                        uid: Some(real.identity.uid),
                    });
                    looks.push((key, found));
                }
            }
        }
        // As in the daemon: what the step asked for comes before what that leads to.
        for (key, found) in looks {
            self.step(Input::Reread { key, found });
        }
    }

    pub(super) fn pids(&self) -> impl Iterator<Item = u32> {
        self.reals.keys().copied()
    }

    pub(super) fn exe_of(&self, pid: u32) -> Option<&str> {
        self.reals.get(&pid).map(|real| &*real.program.exe)
    }

    /// The parent, as long as it lives.
    pub(super) fn parent_of(&self, pid: u32) -> Option<u32> {
        let parent = self.reals.get(&pid)?.identity.parent?;
        self.reals.get(&parent.tgid).filter(|real| real.key == parent).map(|real| real.key.tgid)
    }

    /// The children of who is gone go to pid 1; the kernel has no record for that.
    pub(super) fn orphan(&mut self, gone: u32) {
        let init = self.reals[&1].key;
        for real in self.reals.values_mut() {
            if let Some(parent) = real.identity.parent.as_mut().filter(|parent| parent.tgid == gone) {
                *parent = init;
            }
        }
    }

    /// Members of each group: `app:10,11 other:`.
    pub(super) fn members(&self) -> String {
        let groups = self.engine.groups.iter().map(|group| {
            let pids: Vec<String> = group.members.in_order().iter().map(|key| key.tgid.to_string()).collect();
            format!("{}:{}", group.spec.name, pids.join(","))
        });
        groups.collect::<Vec<_>>().join(" ")
    }

    /// What the kernel side watches, as far as it is anything.
    pub(super) fn watched(&self) -> String {
        let watched = self.reals.iter().filter(|(_, real)| real.watch != Watch::NONE);
        watched.map(|(pid, real)| format!("{pid}:{}", watch_word(real.watch))).collect::<Vec<_>>().join(" ")
    }

    /// Events as text: second, the last word of the name, body, and what is special about it.
    pub(super) fn story(&self) -> String {
        let mut story = String::new();
        for event in &self.told {
            let name = event.name.trim_start_matches("procprobe.").trim_start_matches("policy.");
            let _ = write!(story, "{} {name} {}", secs(event.at), event.body);
            for flag in ["degraded", "repeated"] {
                if event.attributes.get(flag) == Some(&true.into()) {
                    let _ = write!(story, " [{flag}]");
                }
            }
            story.push('\n');
        }
        story
    }
}

fn outcome(options: &Options<'_>) -> Outcome {
    let pids = |name| options.number::<u32>(name).into_iter().collect::<Vec<_>>();
    if let Some(why) = options.text("why") {
        return Outcome::Failed { why: why.into() };
    }
    let Some(code) = options.number("code") else {
        let (pids, killed, left, gone) = (pids("hit"), pids("killed"), pids("left"), pids("gone"));
        return Outcome::Signalled { pids, killed, left, gone };
    };
    let took_ns = options.number::<u64>("ms").unwrap_or(10) * 1_000_000;
    Outcome::Ran { status: Some(ExitStatus::Code(code)), timed_out: false, took_ns, output: "done\n".into() }
}

fn watch_word(watch: Watch) -> &'static str {
    match watch {
        Watch { exit: true, usage: true } => "both",
        Watch { exit: true, usage: false } => "exit",
        Watch { exit: false, usage: true } => "usage",
        Watch::NONE => "none",
    }
}

fn program(exe: &str, args: &str) -> Arc<Program> {
    let args = args.replace(' ', "\0");
    let args_count = u32::try_from(args.split('\0').count()).unwrap();
    Arc::new(Program { exe: exe.into(), filename: exe.into(), args: args.into(), args_count, args_cut: false })
}
