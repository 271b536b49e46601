//! A host whose figures a script tells, and the engine that is told of them.
//!
//! A script is one step a line: `seconds verb arguments`.
//!
//! | verb | |
//! |---|---|
//! | `cpu N` | N of the last 100 parts of CPU time were used |
//! | `load N`, `available MIB`, `swap MIB` | of 1000 MiB each |
//! | `disk PATH FREE`, `inodes PATH FREE` | of 100 GiB, of 1000; `disk PATH ?`: it does not answer; `umount PATH` |
//! | `net NAME BYTES` | received so far; `net NAME gone` |
//! | `io US` | time in which some task waited for storage, so far; `io -`: the kernel does not say |
//! | `sample` | hands everything in; `sample for=N`: it speaks for so many seconds; `sample disks=no` |
//! | `run PID EXE`, `exit PID` | processes |
//! | `lost`, `scan`, `policies N`, `tick` | as they say |

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use probe_common::maps::LossReason;

use crate::engine::tests::world;
use crate::engine::{Effect, Engine, Input, Status};
use crate::event::{AlarmTurn, Event, Severity, name};
use crate::policy::glob::Glob;
use crate::policy::spec::{Bound, HostBlock, HostBound, Limit, Measure, Per, PolicySet, Response, Side, Users};
use crate::record::{
    DiskSize, HostCpu, HostDisk, HostInterface, HostMemory, HostPressure, HostSample, Loss, Lost, MountKind, Scan,
};
use crate::time::KTime;

pub(super) const MIB: u64 = 1 << 20;
pub(super) const GIB: u64 = 1 << 30;

pub(super) struct World {
    pub(super) engine: Engine,
    pub(super) sets: Vec<Arc<PolicySet>>,
    pub(super) sample: HostSample,
    pub(super) disks: BTreeMap<String, Option<DiskSize>>,
    pub(super) interfaces: BTreeMap<String, u64>,
    pub(super) cpu: HostCpu,
    pub(super) wake: Option<KTime>,
    pub(super) now: KTime,
    pub(super) events: Vec<Event>,
}

/// `measure side limit options`; a limit with `%` is a share. Options: `for=S`, `clear=N`, `keep=S`, `at=PATTERN`.
pub(super) fn bound(text: &str) -> HostBound {
    let mut words = text.split_whitespace();
    let measure = words.next().unwrap();
    let measure = Measure::HOST.into_iter().find(|known| known.as_str() == measure).expect(measure);
    let side = if words.next() == Some("min") { Side::Min } else { Side::Max };
    let limit = |text: &str| match text.strip_suffix('%') {
        Some(share) => Limit::HostShare(share.parse::<f64>().unwrap() / 100.0),
        None => Limit::Absolute(text.parse().unwrap()),
    };
    let secs = |text: &str| Duration::from_secs(text.parse().unwrap());
    let mut bound = Bound {
        measure,
        side,
        limit: limit(words.next().unwrap()),
        clear: None,
        hold: Duration::ZERO,
        keep_firing: Duration::ZERO,
        within: Duration::ZERO,
        per: Per::Group,
        severity: Severity::Warning,
        declared: "host.yaml:1".into(),
    };
    let mut targets = Vec::new();
    for option in words {
        match option.split_once('=').unwrap() {
            ("for", text) => bound.hold = secs(text),
            ("keep", text) => bound.keep_firing = secs(text),
            ("clear", text) => bound.clear = Some(limit(text)),
            ("at", text) => targets.push(Glob::path(text).unwrap()),
            (other, _) => panic!("no option {other}"),
        }
    }
    HostBound { bound, targets }
}

pub(super) fn policies(bounds: &str, repeat: Option<Duration>) -> Arc<PolicySet> {
    let bounds = bounds.split(';').map(str::trim).filter(|text| !text.is_empty()).map(bound).collect();
    let response = Response { repeat, notify: vec!["ops".into()], ..Response::default() };
    let host = vec![HostBlock { declared: "host.yaml:1".into(), bounds, response }];
    Arc::new(PolicySet { host, ..PolicySet::default() })
}

impl World {
    pub(super) fn new(sets: &[&str], start_grace: Duration, repeat: Option<Duration>) -> Self {
        let sets: Vec<_> = sets.iter().map(|bounds| policies(bounds, repeat)).collect();
        let settings = crate::engine::Settings { start_grace, ..world::settings() };
        let engine = Engine::new(settings, &sets[0], Arc::new(Users::default()));
        let memory = HostMemory { total: 1000 * MIB, available: 1000 * MIB, swap_total: 1000 * MIB, swap_free: 0 };
        let mut world = Self {
            engine,
            sets,
            sample: HostSample { load: Some(0.0), memory: Some(memory), ..HostSample::default() },
            disks: BTreeMap::new(),
            interfaces: BTreeMap::new(),
            cpu: HostCpu::default(),
            wake: None,
            now: KTime(0),
            events: Vec::new(),
        };
        world.step(Input::Scan(Scan::default()));
        world
    }

    pub(super) fn step(&mut self, input: Input) {
        let mut effects = Vec::new();
        self.engine.step(self.now, input, &mut effects);
        for effect in effects {
            match effect {
                Effect::Emit(event) => self.events.push(event),
                Effect::WakeAt(at) => self.wake = at,
                _ => {}
            }
        }
    }

    pub(super) fn play(&mut self, script: &str) {
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let mut words = line.split_whitespace();
            let at = KTime(0).after(Duration::from_secs_f64(words.next().unwrap().parse().unwrap()));
            while let Some(wake) = self.wake.filter(|wake| *wake <= at) {
                self.now = wake.max(self.now);
                self.step(Input::Tick);
            }
            self.now = at;
            let verb = words.next().unwrap();
            self.verb(verb, &words.collect::<Vec<_>>());
        }
    }

    pub(super) fn verb(&mut self, verb: &str, words: &[&str]) {
        let number = |index: usize| words[index].parse::<u64>().unwrap();
        match verb {
            "cpu" => {
                self.cpu.total_ns += 100;
                self.cpu.idle_ns += 100 - number(0);
                self.sample.cpu = Some(self.cpu);
            }
            "load" => self.sample.load = Some(words[0].parse().unwrap()),
            "available" => self.sample.memory.as_mut().unwrap().available = number(0) * MIB,
            "swap" => self.sample.memory.as_mut().unwrap().swap_free = (1000 - number(0)) * MIB,
            "disk" => {
                let size = words[1].parse::<u64>().ok().map(|free| DiskSize {
                    bytes: 110 * GIB,
                    bytes_used: (100 - free) * GIB,
                    bytes_free: free * GIB,
                    inodes: 1000,
                    inodes_free: 1000,
                });
                self.disks.insert(words[0].to_owned(), size);
            }
            "inodes" => self.disks.get_mut(words[0]).unwrap().as_mut().unwrap().inodes_free = number(1),
            "umount" => drop(self.disks.remove(words[0])),
            "net" if words[1] == "gone" => drop(self.interfaces.remove(words[0])),
            "net" => drop(self.interfaces.insert(words[0].to_owned(), number(1))),
            "io" => self.sample.pressure = HostPressure { io_us: words[0].parse().ok(), ..HostPressure::default() },
            "sample" => self.take_sample(words),
            "lost" => self.step(Input::Lost(Loss { reason: Lost::Kernel(LossReason::RingFull), count: 3 })),
            "scan" => self.step(Input::Scan(Scan { began: self.now, ..Scan::default() })),
            "policies" => {
                let set = Arc::clone(&self.sets[words[0].parse::<usize>().unwrap()]);
                self.step(Input::Policies(set, Arc::new(Users::default())));
            }
            "tick" => self.step(Input::Tick),
            other => panic!("no verb {other}"),
        }
    }

    pub(super) fn take_sample(&mut self, options: &[&str]) {
        let disks = self.disks.iter().map(|(path, size)| HostDisk {
            path: path.as_str().into(),
            kind: if path == "/run" { MountKind::Pseudo } else { MountKind::Own },
            size: *size,
        });
        let interfaces = self.interfaces.iter().map(|(name, bytes)| HostInterface {
            name: name.as_str().into(),
            received: *bytes,
            sent: 2 * bytes,
        });
        let mut sample = HostSample {
            at: self.now,
            disks: Some(disks.collect()),
            interfaces: Some(interfaces.collect()),
            ..self.sample.clone()
        };
        for option in options {
            match option.split_once('=').unwrap() {
                ("for", secs) => sample.until = Some(self.now.after(Duration::from_secs(secs.parse().unwrap()))),
                ("disks", _) => sample.disks = None,
                (other, _) => panic!("no option {other}"),
            }
        }
        self.step(Input::Host(Box::new(sample)));
    }

    /// One line for each event: when, what, of which alarm and thing.
    pub(super) fn told(&self) -> Vec<String> {
        let line = |event: &Event| {
            let what = match (event.name, &event.alarm) {
                (name::POLICY_FIRING | name::POLICY_RESOLVED, Some(alarm)) => {
                    assert_eq!(alarm.notify, [Arc::from("ops")]);
                    let turn = match alarm.turn {
                        AlarmTurn::Fired => "fired",
                        AlarmTurn::Repeated => "repeated",
                        AlarmTurn::Resolved => "resolved",
                    };
                    let thing = alarm.instance.as_ref().map(|thing| format!(" {thing}")).unwrap_or_default();
                    format!("{turn} {}{thing}", alarm.name)
                }
                _ => event.body.clone(),
            };
            format!("{} {what}", world::secs(event.at))
        };
        self.events.iter().map(line).collect()
    }

    pub(super) fn status(&self) -> Status {
        self.engine.status(self.now)
    }
}
