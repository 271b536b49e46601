//! What many policies cost: the engine alone, in this process, with 1,000 groups of every kind of selector and 20,000
//! processes. No kernel and no clock but the one that measures.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use probe_user::diagnostic::Source;
use probe_user::engine::{Engine, Input, Processes, Settings};
use probe_user::policy::spec::{HostFacts, PolicySet, Users};
use probe_user::policy::{HostLabels, parse};
use probe_user::record::{
    Account, Body, Comm, ExitStatus, Identity, ProcessKey, Program, Record, Scan, TaskRow, UsageRow,
};
use probe_user::time::KTime;

use crate::figure::{Figure, median};
use crate::{Effort, Outcome};

const GROUPS: u32 = 1_000;
const PROCESSES: u32 = 20_000;
/// Where the tgids of those that come and go begin.
const SHORT: u32 = 1_000_000;

pub(crate) fn many(effort: Effort) -> Outcome {
    let began = Instant::now();
    let policies = Arc::new(policies()?);
    let loaded = began.elapsed();
    let mut world = World::new(&policies);
    let lives: Vec<[f64; 4]> = (0..u32::try_from(effort.of(20_000))?).map(|index| world.life(index)).collect();
    let step = |step: usize| median(lives.iter().map(|life| life[step]).collect());
    let mut execs: Vec<f64> = lives.iter().map(|life| life[1]).collect();
    execs.sort_by(f64::total_cmp);
    let late = execs.get(execs.len() * 99 / 100).copied().unwrap_or(f64::NAN);
    let ticks: Vec<f64> = (0..effort.of(50)).map(|index| world.sample(index + 1)).collect();
    let tick = median(ticks);
    let exec = step(1);
    Ok(vec![
        Figure::new(
            format!("exec held against {GROUPS} groups, {PROCESSES} processes, median"),
            "under 20 us",
            format!(
                "{exec:.1} us (99 % under {late:.1}; fork {:.1}, exit {:.1}, account {:.1}; loaded in {:.0} ms)",
                step(0),
                step(2),
                step(3),
                loaded.as_secs_f64() * 1e3
            ),
            exec < 20.0,
        ),
        Figure::new(
            format!("sample of {PROCESSES} processes in {GROUPS} groups, median"),
            "under 10 ms",
            format!("{:.2} ms", tick / 1e3),
            tick < 10e3,
        ),
    ])
}

/// A mix as a large host would have it: a third names paths, the others patterns, arguments, users, units and parents.
fn policies() -> Result<PolicySet, Box<dyn std::error::Error>> {
    let mut text = "version: 1\ngroups:\n".to_owned();
    for number in 0..GROUPS {
        let select = match number % 8 {
            0 | 1 => format!("exe: /opt/product{number}/bin/server"),
            2 => format!("exe: \"/opt/product{number}/**\""),
            3 => format!("exe: tool{number}"),
            4 => format!("args: \"--name=service{number}( |$)\""),
            5 => format!("user: user{number}"),
            6 => format!("unit: unit{number}"),
            _ => format!("parent: g{}", number - 7),
        };
        let bound = match number % 3 {
            0 => "memory: { max: 1000GiB }",
            1 => "cpu: { max: 1000 cores }",
            _ => "count: { max: 1000000 }",
        };
        writeln!(text, "  g{number}:\n    match: {{ {select} }}\n    {bound}")?;
    }
    let loaded = parse(&[Source::new("many.yaml", text)], &HostLabels::default(), &|_| true);
    Ok(loaded.map_err(|wrong| wrong.to_string())?.policies)
}

/// A host with its processes.
struct World {
    engine: Engine,
    effects: Vec<probe_user::engine::Effect>,
    now: u64,
}

impl World {
    fn new(policies: &Arc<PolicySet>) -> Self {
        let users: HashMap<u32, Arc<str>> =
            (0..GROUPS).map(|number| (1000 + number, format!("user{number}").into())).collect();
        let settings = Settings {
            host: HostFacts { cpus: 64, memory_bytes: 1 << 40 },
            start_grace: Duration::ZERO,
            processes: Processes::Matched,
            forks: false,
            args: true,
            redact: Vec::new(),
        };
        let engine = Engine::new(settings, policies, Arc::new(Users(users)));
        let mut world = Self { engine, effects: Vec::new(), now: 1_000_000_000_000 };
        let rows = (2..PROCESSES + 2).map(|tgid| TaskRow {
            key: ProcessKey { tgid, start: KTime(u64::from(tgid)) },
            identity: identity(tgid, tgid),
            exe: exe(tgid),
            cgroup: format!("/system.slice/unit{}.service", tgid % GROUPS).into(),
            threads: 1,
            zombie: None,
            reaped_cpu_ns: 0,
        });
        let rows: Vec<TaskRow> = rows.collect();
        let args = rows.iter().map(|row| (row.key, args(row.key.tgid).into())).collect();
        world.step(Input::Scan(Scan { began: KTime(world.now), rows, args }));
        world
    }

    /// How long the engine took, us.
    fn step(&mut self, input: Input) -> f64 {
        self.effects.clear();
        let began = Instant::now();
        self.engine.step(KTime(self.now), input, &mut self.effects);
        began.elapsed().as_secs_f64() * 1e6
    }

    /// One process from fork to account: how long the engine took for each of its four records, us.
    fn life(&mut self, index: u32) -> [f64; 4] {
        self.now += 1_000_000;
        let (at, tgid, kind) = (KTime(self.now), SHORT + index, index % PROCESSES + 2);
        let key = ProcessKey { tgid, start: at };
        let forker = ProcessKey { tgid: kind, start: KTime(u64::from(kind)) };
        let program =
            Program { exe: exe(kind), filename: exe(kind), args: args(kind).into(), args_count: 3, args_cut: false };
        let identity = identity(tgid, kind);
        let exit = Body::Exit {
            status: ExitStatus::Code(0),
            peak_rss_bytes: 1 << 20,
            cpu_ns: 1_000,
            comm: identity.comm.clone(),
            uid: identity.uid,
            parent_tgid: kind,
        };
        [
            Body::Fork { identity: identity.clone(), forker },
            Body::Exec { identity, program: Arc::new(program) },
            exit,
            Body::Account(Account { cpu_ns: 1_000, exact: true, ..Account::default() }),
        ]
        .map(|body| self.step(Input::Record(Record { at, key, body })))
    }

    /// The usage of all that are there from the beginning.
    fn sample(&mut self, second: u64) -> f64 {
        self.now += 1_000_000_000;
        let rows = (2..PROCESSES + 2).map(|tgid| UsageRow {
            key: ProcessKey { tgid, start: KTime(u64::from(tgid)) },
            threads: 1,
            cpu_ns: second * 1_000_000,
            wait_ns: 0,
            read_bytes: 0,
            write_bytes: 0,
            rss_bytes: 1 << 20,
        });
        let rows = rows.collect();
        self.step(Input::Sample(rows))
    }
}

/// A process like `kind`: its parent is one of those that the groups are about.
fn identity(tgid: u32, kind: u32) -> Identity {
    let parent = (tgid > 2).then(|| if tgid >= SHORT { kind } else { tgid / 2 + 1 });
    Identity {
        parent: parent.map(|tgid| ProcessKey { tgid, start: KTime(u64::from(tgid)) }),
        start_boot_ns: u64::from(tgid),
        cgroup_id: u64::from(1 + kind % GROUPS),
        uid: 1000 + kind % (2 * GROUPS),
        gid: 1000,
        comm: Comm::from(&*format!("tool{}", kind % GROUPS)),
        kernel_thread: false,
    }
}

fn exe(kind: u32) -> Arc<str> {
    match kind % 3 {
        0 => format!("/opt/product{}/bin/server", kind % GROUPS),
        1 => format!("/usr/bin/tool{}", kind % GROUPS),
        _ => "/usr/bin/python3.13".to_owned(),
    }
    .into()
}

fn args(kind: u32) -> String {
    format!("{}\0--name=service{}\0--data=/var/lib/service/{kind}/data", exe(kind), kind % (2 * GROUPS))
}
