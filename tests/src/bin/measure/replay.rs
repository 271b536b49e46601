//! How fast a recording is replayed, and how large it is: lives that never were, written as the recorder writes them.
//!
//! A life is a fork, an exec with arguments, an exit and an account, on a host with some hundred processes that stay and
//! are sampled every second. The policies match a part of the lives and some of those that stay.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use probe_common::decode::Raw;
use probe_common::encode::encode;
use probe_common::record::{Account, Exec, Exit, Fork, Header, Identity, Task};
use probe_user::record::{ProcessKey, UsageRow};
use probe_user::recording::entry::Entry;
use probe_user::recording::facts::{Ended, Facts};
use probe_user::recording::writer::Writer;
use probe_user::time::{ClockReading, KTime, Wall};
use procprobe_tests::daemon::binary;

use crate::figure::{Figure, median};
use crate::{Effort, Outcome};

/// Lives a second of the recording, and a day of them.
const PACE: u64 = 300;
const DAY: u64 = PACE * 86_400;
/// Processes that stay, and how many of them run in a second.
const STAYING: u32 = 300;
const RUNNING: u32 = 20;
/// One drain.
const DRAIN_NS: u64 = 100_000_000;

pub(crate) const PROGRAMS: [(&str, &str); 8] = [
    ("sh", "-c test -f /run/lock/job && echo busy"),
    ("date", "+%Y-%m-%dT%H:%M:%S"),
    ("grep", "-q error /var/log/app/current.log"),
    ("curl", "-fsS http://127.0.0.1:8080/health?probe="),
    ("awk", "{ print $1 } /proc/loadavg"),
    ("python3", "/opt/app/bin/worker.py --task "),
    ("git", "rev-parse --short HEAD"),
    ("sleep", "0.02"),
];

pub(crate) fn speed(effort: Effort) -> Outcome {
    let lives = effort.of(3_000_000);
    let folder = tempfile::tempdir()?;
    let (file, policies) = (folder.path().join("a.rec"), folder.path().join("policy.yaml"));
    write(&file, lives)?;
    fs::write(&policies, policy())?;
    let bytes = fs::metadata(&file)?.len();
    let mut seconds = Vec::new();
    for _ in 0..3 {
        let started = Instant::now();
        let mut command = Command::new(binary());
        command.arg("replay").arg(&file).arg("--policies").arg(&policies).args(["--format", "json"]);
        let output = command.stdin(Stdio::null()).output()?;
        seconds.push(started.elapsed().as_secs_f64());
        let told = String::from_utf8_lossy(&output.stdout);
        let summary: serde_json::Value = serde_json::from_str(told.lines().last().unwrap_or_default())?;
        let replayed = summary["summary"]["processes_ended"].as_u64();
        if !output.status.success() || replayed != Some(lives) {
            return Err(format!("{replayed:?} of {lives} lives were replayed: {output:?}").into());
        }
    }
    let middle = median(seconds);
    let each = middle / lives as f64;
    let day = each * DAY as f64;
    Ok(vec![
        Figure::new(
            format!("replay of a day of {PACE} processes a second, from {lives} lives"),
            "under 60 s",
            format!("{day:.0} s ({:.0} lives a second, {:.2} us each)", 1.0 / each, each * 1e6),
            day < 60.0,
        ),
        Figure::new(
            "file of such a day",
            "under 2 GiB",
            format!(
                "{:.2} GiB ({:.0} bytes a life)",
                bytes as f64 / lives as f64 * DAY as f64 / (1_u64 << 30) as f64,
                bytes as f64 / lives as f64
            ),
            bytes / lives * DAY < 2 << 30,
        ),
    ])
}

fn policy() -> String {
    let mut text = "version: 1\ngroups:\n".to_owned();
    let _ = write!(
        text,
        "  workers:\n    match: {{ args: 'worker\\.py' }}\n    count: {{ max: 50 }}\n    failures: {{ max: 10000, within: 1m }}\n    \
         starts: {{ max: 10000, within: 1m }}\n  web:\n    match: {{ exe: /usr/sbin/nginx }}\n    count: {{ min: 10, for: 10s }}\n    \
         cpu: {{ max: 8 cores, for: 30s }}\n    memory: {{ max: 100GiB }}\n  database:\n    match: {{ exe: /usr/bin/postgres, \
         user: postgres }}\n    count: {{ min: 1 }}\n  crashes:\n    match: {{ exe: '**' }}\n    events: false\n    \
         failures: {{ max: 100000, within: 1m }}\n"
    );
    text
}

/// Numbers that look like chance and are the same every time.
pub(crate) struct Chance(u64);

impl Default for Chance {
    fn default() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }
}

impl Chance {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// What a life is still to do.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Then {
    Exec(usize),
    Exit(usize),
    Account,
}

struct Host {
    chance: Chance,
    sequences: [u64; 2],
    batch: Vec<u8>,
    pid: u32,
}

fn write(path: &Path, lives: u64) -> Result<(), Box<dyn Error>> {
    let mut now = 1_000_000_000_000;
    let mut writer = Writer::create(path, &facts(now), u64::MAX)?;
    let mut host = Host { chance: Chance::default(), sequences: [0; 2], batch: Vec::new(), pid: 2000 };
    let clock = ClockReading { mono: KTime(now), boot_ns: now, wall: Wall(1_795_298_400_000_000_000) };
    writer.put(KTime(now), &Entry::Clock(clock))?;
    let (rows, args) = Host::staying();
    writer.put(KTime(now), &Entry::Scan { began: KTime(now), rows: &rows, args })?;
    let mut waiting = std::collections::BTreeMap::new();
    let mut begun = 0;
    let mut next = now;
    let mut usage: Vec<UsageRow> = (0..STAYING).map(idle_row).collect();
    writer.put(KTime(now), &Entry::Sample(usage.clone()))?;
    while begun < lives || !waiting.is_empty() {
        let until = now + DRAIN_NS;
        while begun < lives && next < until {
            host.pid = if host.pid > 4_000_000 { 2000 } else { host.pid + 1 };
            waiting.insert((next, host.pid), (host.pid, next, None));
            begun += 1;
            next += 1_000_000_000 / PACE + host.chance.below(1000);
        }
        while let Some(entry) = waiting.first_entry().filter(|entry| entry.key().0 < until) {
            let at = entry.key().0;
            let (pid, start, then) = entry.remove();
            if let Some((wait, then)) = host.go_on(at, pid, start, then.as_ref()) {
                waiting.insert((at + wait, pid), (pid, start, Some(then)));
            }
        }
        now = until;
        writer.put(KTime(now), &Entry::Records(&host.batch))?;
        host.batch.clear();
        if now % 1_000_000_000 == 0 {
            let changed: Vec<UsageRow> = (0..RUNNING)
                .filter_map(|_| {
                    let row = usage.get_mut(usize::try_from(host.chance.below(STAYING.into())).ok()?)?;
                    row.cpu_ns += host.chance.below(50_000_000);
                    row.wait_ns += host.chance.below(1_000_000);
                    row.rss_bytes = (50 << 20) + (host.chance.below(1000) << 12);
                    Some(*row)
                })
                .collect();
            writer.put(KTime(now), &Entry::Sample(changed))?;
        }
    }
    writer.finish(KTime(now), Ended::Stopped)?;
    Ok(())
}

fn facts(now: u64) -> Facts {
    Facts {
        procprobe: env!("CARGO_PKG_VERSION").into(),
        kernel: "6.18".into(),
        host_name: "made-up".into(),
        host_id: "host".into(),
        boot_id: "boot".into(),
        labels: std::collections::BTreeMap::new(),
        cpus: 2,
        memory_bytes: 8 << 30,
        page_bytes: 4096,
        users: [(0, "root".to_owned()), (999, "postgres".to_owned())].into(),
        sample_interval_ms: 1000,
        args: true,
        began_mono_ns: now,
        began_boot_ns: now,
        began_wall_ns: 1_795_298_400_000_000_000,
        peers: false,
        logs: Vec::new(),
    }
}

fn staying_key(index: u32) -> ProcessKey {
    ProcessKey { tgid: 100 + index, start: KTime(5_000_000_000 + u64::from(index)) }
}

fn idle_row(index: u32) -> UsageRow {
    UsageRow {
        key: staying_key(index),
        threads: 1,
        cpu_ns: 1_000_000_000,
        wait_ns: 0,
        read_bytes: 4096,
        write_bytes: 0,
        rss_bytes: 50 << 20,
    }
}

pub(crate) fn comm(name: &str) -> [u8; 16] {
    let mut comm = [0; 16];
    comm.iter_mut().zip(name.bytes().take(15)).for_each(|(place, byte)| *place = byte);
    comm
}

pub(crate) fn identity(name: &str, parent: ProcessKey, start: u64) -> Identity {
    Identity {
        parent_start_time: parent.start.0,
        start_boottime: start,
        cgroup_id: 4242,
        parent_tgid: parent.tgid,
        uid: 1000,
        gid: 1000,
        reserved: 0,
        comm: comm(name),
    }
}

impl Host {
    fn header(&mut self, at: u64, pid: u32, start: u64) -> Header {
        let cpu = self.chance.below(2);
        let seq = self.sequences.get_mut(usize::try_from(cpu).unwrap_or(0)).map_or(0, |seq| {
            *seq += 1;
            *seq
        });
        // A record is some 100 us late to have its own time.
        let time = at + self.chance.below(100_000);
        Header { cpu: u32::try_from(cpu).unwrap_or(0), seq, time, tgid: pid, start_time: start, ..Header::default() }
    }

    fn staying() -> (Vec<u8>, Vec<(ProcessKey, Box<str>)>) {
        let (mut rows, mut args) = (Vec::new(), Vec::new());
        for index in 0..STAYING {
            let key = staying_key(index);
            let name = if index % 10 == 0 { "nginx" } else { "service" };
            let header = Header { tgid: key.tgid, start_time: key.start.0, ..Header::default() };
            let identity = identity(name, ProcessKey { tgid: 1, start: KTime(0) }, key.start.0);
            let task = Task { header, identity, threads: 1, ..Task::default() };
            let exe = format!("{name}\0sbin\0usr\0");
            encode(&Raw::Task { task, exe: exe.as_bytes(), cgroup: b"app.service\0system.slice\0" }, &mut rows);
            args.push((key, format!("{name}\0--instance\0{index}").into()));
        }
        (rows, args)
    }

    /// The next thing that a life does, and after what time it does another one.
    fn go_on(&mut self, at: u64, pid: u32, start: u64, then: Option<&Then>) -> Option<(u64, Then)> {
        // As long as a parent lives, its children stay its children.
        let parent = staying_key(pid % 20);
        let header = self.header(at, pid, start);
        match then {
            None => {
                let identity = identity("service", parent, start);
                let (forker_tgid, forker_start_time) = (parent.tgid, parent.start.0);
                let fork = Fork { header, identity, forker_tgid, reserved: 0, forker_start_time };
                encode(&Raw::Fork(fork), &mut self.batch);
                let program = usize::try_from(self.chance.below(PROGRAMS.len() as u64)).unwrap_or(0);
                Some((400_000 + self.chance.below(400_000), Then::Exec(program)))
            }
            Some(Then::Exec(program)) => {
                let (name, arguments) = PROGRAMS[*program];
                let mut args = format!("{name}\0{}", arguments.replace(' ', "\0"));
                if arguments.ends_with(['=', ' ']) {
                    let _ = write!(args, "{}", self.chance.below(100_000));
                }
                args.push('\0');
                let exec = Exec {
                    header,
                    identity: identity(name, parent, start),
                    args_count: u32::try_from(args.split('\0').count()).unwrap_or(1),
                    args_bytes: u32::try_from(args.len()).unwrap_or(0),
                    ..Exec::default()
                };
                let (exe, filename) = (format!("{name}\0bin\0usr\0"), format!("/usr/bin/{name}"));
                let (exe, filename, args) = (exe.as_bytes(), filename.as_bytes(), args.as_bytes());
                encode(&Raw::Exec { exec, exe, filename, args }, &mut self.batch);
                Some((1_000_000 + self.chance.below(30_000_000), Then::Exit(*program)))
            }
            Some(Then::Exit(program)) => {
                let status = if self.chance.below(50) == 0 { 256 } else { 0 };
                let exit = Exit {
                    header,
                    status,
                    parent_tgid: parent.tgid,
                    uid: 1000,
                    max_rss_pages: 800 + self.chance.below(300),
                    cpu_ns: 1_000_000 + self.chance.below(3_000_000),
                    comm: comm(PROGRAMS[*program].0),
                    ..Exit::default()
                };
                encode(&Raw::Exit(exit), &mut self.batch);
                Some((2_000_000 + self.chance.below(8_000_000), Then::Account))
            }
            Some(Then::Account) => {
                let account = Account {
                    header,
                    cpu_ns: 1_000_000 + self.chance.below(3_000_000),
                    wait_ns: self.chance.below(200_000),
                    read_bytes: 0,
                    write_bytes: self.chance.below(3) << 12,
                    threads: 1,
                };
                encode(&Raw::Account(account), &mut self.batch);
                None
            }
        }
    }
}
