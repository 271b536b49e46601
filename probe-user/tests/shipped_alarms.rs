//! What the shipped policies say on a host that is well, and on one where something happened: the real engine, virtual
//! time.
#![expect(clippy::expect_used, reason = "a test that cannot read its own files has failed")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use probe_user::diagnostic::Source;
use probe_user::engine::{Effect, Engine, Input, Processes, Settings};
use probe_user::event::name;
use probe_user::policy::spec::{HostFacts, Users};
use probe_user::policy::{HostLabels, parse};
use probe_user::record::{Body, Comm, ExitStatus, Identity, ProcessKey, Program, Record, Scan, TaskRow};
use probe_user::time::KTime;

struct World {
    engine: Engine,
    effects: Vec<Effect>,
}

fn key(tgid: u32) -> ProcessKey {
    ProcessKey { tgid, start: KTime::from_millis(u64::from(tgid)) }
}

fn identity(parent: u32, comm: &str) -> Identity {
    Identity {
        parent: (parent != 0).then(|| key(parent)),
        start_boot_ns: 0,
        cgroup_id: 1,
        uid: 0,
        gid: 0,
        comm: Comm::from(comm),
        kernel_thread: false,
    }
}

/// A process that was there before the daemon: its tgid, its parent's, executable and cgroup.
fn row((tgid, parent, exe, cgroup): (u32, u32, &str, &str)) -> TaskRow {
    TaskRow {
        key: key(tgid),
        identity: identity(parent, exe.rsplit('/').next().expect("a name")),
        exe: Arc::from(exe),
        cgroup: Arc::from(cgroup),
        threads: 1,
        zombie: None,
        reaped_cpu_ns: 0,
    }
}

/// A host that is well. A container on it has a service manager and an sshd of its own.
const HOST: [(u32, u32, &str, &str); 8] = [
    (1, 0, "/usr/lib/systemd/systemd", "/init.scope"),
    (300, 1, "/usr/lib/systemd/systemd-journald", "/system.slice/systemd-journald.service"),
    (400, 1, "/usr/sbin/sshd", "/system.slice/ssh.service"),
    (410, 400, "/usr/sbin/sshd", "/user.slice/user-1000.slice/session-1.scope"),
    (500, 1, "/usr/sbin/cron", "/system.slice/cron.service"),
    (600, 1, "/usr/bin/containerd-shim-runc-v2", "/system.slice/containerd.service"),
    (700, 600, "/usr/lib/systemd/systemd", "/docker/c/init.scope"),
    (710, 700, "/usr/sbin/sshd", "/docker/c/system.slice/ssh.service"),
];

impl World {
    fn new() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies");
        let sources: Vec<Source> = ["base", "crashes", "counts", "oom"]
            .iter()
            .map(|file| std::fs::read_to_string(folder.join(file).with_extension("yaml")).expect("a text"))
            .map(|text| Source::new("shipped.yaml", text))
            .collect();
        let loaded = parse(&sources, &HostLabels::default(), &|_| true).expect("right");
        let settings = Settings {
            host: HostFacts { cpus: 2, memory_bytes: 4 << 30 },
            start_grace: Duration::from_secs(10),
            processes: Processes::Matched,
            forks: false,
            args: true,
            redact: Vec::new(),
        };
        let users = Users([(0, Arc::from("root"))].into());
        let mut world =
            Self { engine: Engine::new(settings, &Arc::new(loaded.policies), Arc::new(users)), effects: Vec::new() };
        let rows = HOST.into_iter().map(row).collect();
        world.step(10, Input::Scan(Scan { began: KTime::from_secs(10), rows, args: Vec::new() }));
        world
    }

    fn step(&mut self, secs: u64, input: Input) {
        self.engine.step(KTime::from_secs(secs), input, &mut self.effects);
    }

    fn record(&mut self, secs: u64, tgid: u32, body: Body) {
        self.step(secs, Input::Record(Record { at: KTime::from_secs(secs), key: key(tgid), body }));
    }

    fn exit(&mut self, secs: u64, tgid: u32, status: ExitStatus) {
        let body = Body::Exit { status, peak_rss_bytes: 0, cpu_ns: 0, comm: Comm::from("x"), uid: 0, parent_tgid: 1 };
        self.record(secs, tgid, body);
    }

    /// Somebody starts a program: a fork and an exec.
    fn start(&mut self, secs: u64, tgid: u32, parent: u32, exe: &str) {
        let comm = exe.rsplit('/').next().expect("a name");
        self.record(secs, tgid, Body::Fork { identity: identity(parent, comm), forker: key(parent) });
        let program = Program { exe: Arc::from(exe), args: Box::from(exe), args_count: 1, ..Program::default() };
        self.record(secs, tgid, Body::Exec { identity: identity(parent, comm), program: Arc::new(program) });
    }

    /// The alarms that fired until a moment, as `group.measure.bound`.
    fn alarms(&mut self, secs: u64) -> Vec<String> {
        self.step(secs, Input::Tick);
        let text =
            |attribute: Option<&serde_json::Value>| attribute.and_then(|of| of.as_str()).unwrap_or_default().to_owned();
        std::mem::take(&mut self.effects)
            .into_iter()
            .filter_map(|effect| match effect {
                Effect::Emit(event) if event.name == name::POLICY_FIRING => {
                    let of = |name| text(event.attributes.get(name));
                    Some(format!("{}.{}.{}", of("policy.name"), of("measure"), of("bound")))
                }
                _ => None,
            })
            .collect()
    }
}

#[test]
fn a_host_that_is_well_is_quiet() {
    let mut world = World::new();
    for round in 0..50 {
        let tgid = 1000 + round;
        world.start(30 + u64::from(round), tgid, 410, "/usr/bin/grep");
        world.exit(30 + u64::from(round), tgid, ExitStatus::Code(1));
    }
    assert_eq!(world.alarms(3600), Vec::<String>::new());
}

#[test]
fn a_listener_that_dies_is_missed_though_sessions_and_containers_have_their_own() {
    let mut world = World::new();
    world.exit(60, 400, ExitStatus::Signal { number: 9, core_dumped: false });
    assert_eq!(world.alarms(69), Vec::<String>::new());
    assert_eq!(world.alarms(71), ["sshd.count.min"]);
    // A restart in time is no alarm.
    let mut world = World::new();
    world.exit(60, 400, ExitStatus::Code(255));
    world.start(65, 450, 1, "/usr/sbin/sshd");
    assert_eq!(world.alarms(3600), Vec::<String>::new());
}

#[test]
fn what_ends_during_the_grace_is_missed_after_it() {
    let mut world = World::new();
    world.exit(12, 500, ExitStatus::Code(0));
    world.exit(12, 300, ExitStatus::Code(0));
    assert_eq!(world.alarms(40), ["cron.count.min", "systemd-journald.count.min"]);
}

#[test]
fn a_crash_loop_of_a_service_is_seen_before_systemd_gives_up() {
    let mut world = World::new();
    for round in 0..5 {
        let tgid = 2000 + round;
        world.start(60 + u64::from(round), tgid, 1, "/usr/bin/shaky");
        world.exit(60 + u64::from(round), tgid, ExitStatus::Code(1));
        let expected: &[&str] = if round < 4 { &[] } else { &["services.failures.max"] };
        assert_eq!(world.alarms(60 + u64::from(round)), expected, "failure {}", round + 1);
    }
}

#[test]
fn core_dumps_and_oom_kills() {
    let mut world = World::new();
    world.start(60, 3000, 1, "/usr/lib/systemd/systemd-coredump");
    assert_eq!(world.alarms(60), ["core-dumps.starts.max"]);
    world.record(70, 710, Body::Oom);
    assert_eq!(world.alarms(70), ["oom-victims.oom_kills.max"]);
}

#[test]
fn a_fork_bomb() {
    let mut world = World::new();
    for tgid in 10_000..19_000 {
        world.record(60, tgid, Body::Fork { identity: identity(410, "sh"), forker: key(410) });
    }
    assert_eq!(world.alarms(119), Vec::<String>::new());
    assert_eq!(world.alarms(121), ["all-processes.count.max"]);
}
