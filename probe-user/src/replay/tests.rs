//! Recordings made of real wire records, replayed through the real decoder and engine.

mod batches;
mod host;
mod jobs;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use probe_common::decode::Raw;
use probe_common::encode::encode;
use probe_common::record as wire;
use serde_json::Value;

use super::{Options, Outcome, replay, suggest};
use crate::diagnostic::Source;
use crate::engine::Processes;
use crate::policy::{self, HostLabels};
use crate::record::{Loss, Lost, ProcessKey, UsageRow};
use crate::recording::entry::Entry;
use crate::recording::facts::{Ended, Facts};
use crate::recording::reader::Reader;
use crate::recording::writer::Writer;
use crate::time::{ClockReading, KTime, Wall};

/// 2026-11-21T22:00:00Z, the wall time of second 1000 of these recordings.
const WALL: i64 = 1_795_298_400_000_000_000;
const BEGAN: u64 = 1000;

/// A recording in the making: a host on which things happen at certain seconds.
struct Tape {
    writer: Writer<Vec<u8>>,
    batch: Vec<u8>,
    seq: u64,
}

#[derive(Clone, Copy)]
struct Worker(u32, u64);

impl Worker {
    const fn key(self) -> ProcessKey {
        ProcessKey { tgid: self.0, start: KTime::from_secs(self.1) }
    }
}

impl Tape {
    /// Begins at [`BEGAN`] with these workers alive.
    fn new(alive: &[Worker]) -> Self {
        let facts = Facts {
            procprobe: "0.1.0".into(),
            kernel: "6.18".into(),
            host_name: "web-1".into(),
            host_id: "host".into(),
            boot_id: "boot".into(),
            labels: BTreeMap::new(),
            cpus: 2,
            memory_bytes: 1 << 30,
            page_bytes: 4096,
            users: BTreeMap::from([(33, "www-data".to_owned())]),
            sample_interval_ms: 1000,
            args: true,
            began_mono_ns: KTime::from_secs(BEGAN).0,
            began_boot_ns: KTime::from_secs(BEGAN).0,
            began_wall_ns: WALL,
            peers: false,
            logs: Vec::new(),
        };
        let writer = Writer::new(Vec::new(), &facts, u64::MAX).unwrap();
        let mut tape = Self { writer, batch: Vec::new(), seq: 0 };
        let now = KTime::from_secs(BEGAN);
        tape.put(BEGAN, &Entry::Clock(ClockReading { mono: now, boot_ns: now.0, wall: Wall(WALL) }));
        tape.scan(BEGAN, alive);
        tape
    }

    fn put(&mut self, now: u64, entry: &Entry<'_>) {
        self.writer.put(KTime::from_secs(now), entry).unwrap();
    }

    fn scan(&mut self, now: u64, alive: &[Worker]) {
        let mut rows = Vec::new();
        for worker in alive {
            let header = self.header(now, *worker);
            let task = wire::Task { header, identity: identity(), threads: 1, ..wire::Task::default() };
            encode(&Raw::Task { task, exe: b"nginx\0sbin\0usr\0", cgroup: b"web\0" }, &mut rows);
        }
        let args = alive.iter().map(|worker| (worker.key(), "nginx: worker process".into())).collect();
        self.put(now, &Entry::Scan { began: KTime::from_secs(now), rows: &rows, args });
    }

    fn header(&mut self, now: u64, worker: Worker) -> wire::Header {
        self.seq += 1;
        let (time, start_time) = (KTime::from_secs(now).0, KTime::from_secs(worker.1).0);
        wire::Header { tgid: worker.0, seq: self.seq, time, start_time, ..wire::Header::default() }
    }

    /// A worker forks off pid 1 and executes nginx.
    fn start(&mut self, now: u64, pid: u32) -> Worker {
        let worker = Worker(pid, now);
        let header = self.header(now, worker);
        let fork = wire::Fork { header, identity: identity(), forker_tgid: 1, ..wire::Fork::default() };
        encode(&Raw::Fork(fork), &mut self.batch);
        let header = self.header(now, worker);
        let exec = wire::Exec { header, identity: identity(), args_count: 1, args_bytes: 22, ..wire::Exec::default() };
        let args = b"nginx: worker process\0";
        encode(&Raw::Exec { exec, exe: b"nginx\0sbin\0usr\0", filename: b"/usr/sbin/nginx", args }, &mut self.batch);
        worker
    }

    fn exit(&mut self, now: u64, worker: Worker, status: i32) {
        let header = self.header(now, worker);
        encode(&Raw::Exit(wire::Exit { header, status, comm: comm(), ..wire::Exit::default() }), &mut self.batch);
        let header = self.header(now, worker);
        let account = wire::Account { header, cpu_ns: 5_000_000, threads: 1, ..wire::Account::default() };
        encode(&Raw::Account(account), &mut self.batch);
    }

    /// Ends a drain.
    fn drain(&mut self, now: u64) {
        let batch = std::mem::take(&mut self.batch);
        self.put(now, &Entry::Records(&batch));
    }

    fn sample(&mut self, now: u64, rows: &[(Worker, u64, u64)]) {
        let rows = rows.iter().map(|(worker, cpu_ms, rss_mib)| UsageRow {
            key: worker.key(),
            threads: 1,
            cpu_ns: cpu_ms * 1_000_000,
            wait_ns: 0,
            read_bytes: 0,
            write_bytes: 0,
            rss_bytes: rss_mib << 20,
        });
        self.put(now, &Entry::Sample(rows.collect()));
    }

    fn end(mut self, now: u64) -> Vec<u8> {
        self.drain(now);
        self.writer.finish(KTime::from_secs(now), Ended::Stopped).unwrap();
        self.writer.into_inner()
    }
}

fn comm() -> [u8; 16] {
    *b"nginx\0\0\0\0\0\0\0\0\0\0\0"
}

fn identity() -> wire::Identity {
    wire::Identity { parent_tgid: 1, uid: 33, gid: 33, comm: comm(), ..wire::Identity::default() }
}

const POLICY: &str = "groups:\n  nginx:\n    match: { exe: /usr/sbin/nginx, user: www-data, args: worker }\n";

/// With bounds on the workers.
fn run(file: &[u8], bounds: &str, suggest: bool) -> (Vec<String>, Outcome) {
    let bounds = bounds.lines().fold(POLICY.to_owned(), |text, bound| format!("{text}    {bound}\n"));
    run_policies(file, &bounds, suggest)
}

fn run_policies(file: &[u8], policies: &str, suggest: bool) -> (Vec<String>, Outcome) {
    let source = Source::new("test.yaml", format!("version: 1\n{policies}"));
    let loaded = policy::parse(&[source], &HostLabels::default(), &|_| true).map_err(|wrong| wrong.to_string());
    let options = Options { start_grace: Duration::ZERO, processes: Processes::None, suggest };
    let told = Arc::new(Mutex::new(Vec::new()));
    let reader = Reader::open(std::io::Cursor::new(file.to_vec())).unwrap();
    let outcome = replay(reader, &loaded.unwrap().policies, options, |event, clock| {
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        told.push(format!("{} {} {}", &clock.wall_of(event.at).to_string()[11..23], event.name, event.body));
        true
    });
    let told = told.lock().unwrap_or_else(PoisonError::into_inner).clone();
    (told, outcome.unwrap())
}

/// What a replay tells, and the summary of its bounds.
#[track_caller]
fn check(file: &[u8], bounds: &str, events: &[&str], summary: &[(&str, Value)]) {
    let (told, outcome) = run(file, bounds, false);
    assert_eq!(told, events);
    check_summary(&outcome, summary);
}

#[track_caller]
fn check_summary(outcome: &Outcome, summary: &[(&str, Value)]) {
    let json = outcome.summary.to_json();
    for (pointer, expected) in summary {
        assert_eq!(json.pointer(&format!("/summary/{pointer}")), Some(expected), "{pointer}: {json:#}");
    }
}

#[test]
fn a_death_is_an_alarm_at_its_own_time() {
    let (a, b) = (Worker(10, 5), Worker(11, 6));
    let mut tape = Tape::new(&[a, b]);
    tape.exit(1030, a, 9);
    tape.drain(1031);
    let c = tape.start(1050, 12);
    tape.exit(1060, c, 0);
    tape.start(1063, 13);
    tape.drain(1064);
    let file = tape.end(1100);
    check(
        &file,
        "count: { min: 2, for: 5s }",
        &[
            "22:00:35.000 procprobe.policy.firing nginx: 1 process, minimum 2; 10 killed by SIGKILL",
            "22:00:50.000 procprobe.policy.resolved nginx: 2 processes, minimum 2; healthy again after 20s",
        ],
        &[
            ("records", 8.into()),
            ("processes_ended", 2.into()),
            ("seconds", 100.0.into()),
            ("bounds/0/name", "nginx.count.min".into()),
            ("bounds/0/fired", 1.into()),
            ("bounds/0/total_seconds", 20.0.into()),
            ("bounds/0/longest/seconds", 20.0.into()),
            ("bounds/0/longest/at", "2026-11-21T22:00:35.000000000Z".into()),
            ("bounds/0/firing", false.into()),
            ("bounds/0/dips_healed", 1.into()),
            ("bounds/0/longest_dip/seconds", 3.0.into()),
            ("bounds/0/nearest_miss/value", 2.0.into()),
            ("bounds/0/lowest/value", 1.0.into()),
        ],
    );
}

#[test]
fn what_fires_at_the_end_counts_until_the_end() {
    let a = Worker(10, 5);
    let mut tape = Tape::new(&[a]);
    tape.exit(1010, a, 0);
    tape.drain(1010);
    // A deadline between two entries is acted on at its own time.
    let file = tape.end(1040);
    check(
        &file,
        "count: { min: 1, max: 3, for: 5s }",
        &["22:00:15.000 procprobe.policy.firing nginx: 0 processes, minimum 1; 10 exited with code 0"],
        &[
            ("bounds/0/firing", true.into()),
            ("bounds/0/total_seconds", 30.0.into()),
            ("bounds/1/fired", 0.into()),
            ("bounds/1/nearest_miss/value", 1.0.into()),
        ],
    );
}

#[test]
fn usage_is_that_of_the_members_even_of_those_that_did_not_run() {
    let (a, b, other) = (Worker(10, 5), Worker(11, 6), Worker(99, 7));
    let mut tape = Tape::new(&[a, b]);
    tape.sample(1001, &[(a, 0, 100), (b, 0, 200), (other, 0, 5000)]);
    tape.sample(1002, &[(a, 500, 100), (b, 1000, 200), (other, 900, 5000)]);
    // Only `a` ran: the memory of `b` is what it was.
    tape.sample(1003, &[(a, 900, 150)]);
    let file = tape.end(1004);
    check(
        &file,
        "memory: { max: 320MiB }\ncpu: { max: 10 cores }",
        &["22:00:03.000 procprobe.policy.firing nginx: 350 MiB of memory, maximum 320 MiB; \
           most by 11 (nginx): 200 MiB"],
        &[
            ("bounds/0/name", "nginx.cpu.max".into()),
            ("bounds/0/nearest_miss/value", 1.5.into()),
            ("bounds/1/nearest_miss/value", f64::from(300 << 20).into()),
        ],
    );
}

#[test]
fn after_a_loss_nothing_fires_until_the_recorded_scan() {
    let (a, b) = (Worker(10, 5), Worker(11, 6));
    let mut tape = Tape::new(&[a, b]);
    tape.put(1020, &Entry::Lost(Loss { reason: Lost::Recursion, count: 3 }));
    tape.exit(1021, a, 0);
    tape.drain(1022);
    tape.scan(1023, &[b]);
    let file = tape.end(1024);
    let (told, outcome) = run(&file, "count: { min: 2 }", false);
    let names: Vec<&str> = told.iter().map(|line| line.split(' ').nth(1).unwrap()).collect();
    let expected = ["procprobe.agent.lost", "procprobe.agent.lost", "procprobe.policy.firing"];
    assert_eq!(names, expected, "{told:?}");
    assert!(told[2].starts_with("22:00:23.000"), "{told:?}");
    assert_eq!(outcome.summary.lost, 3);
    assert!(outcome.summary.all_notes()[0].contains("3 records were lost"));
}

#[test]
fn the_same_recording_gives_the_same_output() {
    let mut tape = Tape::new(&[]);
    let mut alive = std::collections::VecDeque::new();
    for second in 1..300 {
        for worker in 0..5 {
            alive.push_back(tape.start(BEGAN + second, 1000 + u32::try_from(second * 5 + worker).unwrap()));
        }
        while alive.len() > 40 {
            let worker = alive.pop_front().unwrap();
            tape.exit(BEGAN + second, worker, i32::try_from(second % 3).unwrap() << 8);
        }
        tape.drain(BEGAN + second);
        let rows: Vec<_> = alive.iter().map(|worker| (*worker, second * u64::from(worker.0 % 7), 10)).collect();
        tape.sample(BEGAN + second, &rows);
    }
    let file = tape.end(BEGAN + 300);
    let bounds = "count: { min: 39, max: 40 }\ncpu: { max: 0.001 cores }\nfailures: { max: 150, within: 1m }\n\
                  memory: { max: 5MiB, per: process }";
    let runs = [(); 3].map(|()| {
        let (told, outcome) = run(&file, bounds, false);
        (told, outcome.summary.to_json().to_string())
    });
    assert!(runs[0].0.len() > 50, "{}", runs[0].0.len());
    assert!(runs.windows(2).all(|two| two[0] == two[1]));
}

#[test]
fn damage_ends_a_replay_with_the_place() {
    let a = Worker(10, 5);
    let mut tape = Tape::new(&[a]);
    tape.put(1002, &Entry::Records(b"these are no records, whatever the checksum says......"));
    let file = tape.end(1003);
    let reader = Reader::open(std::io::Cursor::new(file)).unwrap();
    let options = Options { start_grace: Duration::ZERO, processes: Processes::None, suggest: false };
    let error = replay(reader, &policy::spec::PolicySet::default(), options, |_, _| true).unwrap_err();
    assert!(error.to_string().starts_with("is damaged at byte "), "{error}");
}

#[test]
fn suggestions_rest_on_enough_or_are_refused() {
    let (a, b) = (Worker(10, 5), Worker(11, 6));
    let make = |seconds: u64| {
        let mut tape = Tape::new(&[a, b]);
        for second in 1..=seconds {
            // Half a core and 100 MiB each.
            tape.sample(BEGAN + second, &[(a, second * 500, 100), (b, second * 500, 100)]);
        }
        tape.end(BEGAN + seconds)
    };
    let (_, outcome) = run(&make(600), "count: { min: 1 }", true);
    let why = suggest::suggest(&outcome.summary, outcome.history.as_ref().unwrap(), "web-1").unwrap_err();
    assert!(why.contains("10m of history") && why.contains("less than 1h"), "{why}");

    let (_, outcome) = run(&make(4000), "count: { min: 1 }", true);
    let yaml = suggest::suggest(&outcome.summary, outcome.history.as_ref().unwrap(), "web-1").unwrap();
    let expected = "groups:\n  nginx:\n\
                    \x20   count: { min: 1, max: 4, for: 10s }  # seen 2 to 2, mostly 2\n\
                    \x20   threads: { max: 3, for: 1m }  # seen 2 to 2, mostly 2\n\
                    \x20   cpu: { max: 1.5 cores, for: 30s }  # seen 1 core to 1 core, mostly 1 core\n\
                    \x20   # cpu_wait: nothing seen\n\
                    \x20   memory: { max: 260MiB, for: 1m }  # seen 200 MiB to 200 MiB, mostly 200 MiB\n\
                    \x20   # read: nothing seen\n\
                    \x20   # write: nothing seen\n\
                    \x20   # starts: nothing seen\n\
                    \x20   failures: { max: 0, within: 1m }  # none seen\n";
    assert!(yaml.contains("1h 6m of web-1"), "{yaml}");
    assert_eq!(yaml.split_once("groups:").unwrap().1, expected.split_once("groups:").unwrap().1, "{yaml}");
    // What is suggested is a policy, and one that this history keeps.
    let bounds: Vec<&str> = yaml.lines().skip_while(|line| !line.contains("nginx:")).skip(1).map(str::trim).collect();
    let (told, outcome) = run(&make(4000), &bounds.join("\n"), false);
    assert_eq!(told, Vec::<String>::new());
    assert!(outcome.summary.bounds.len() >= 6);
}
