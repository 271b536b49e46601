//! The figures of a virtual host: what steps say, as counters of the kernel.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::policy::glob::{Glob, is_exact};
use crate::policy::spec::{Figures, HostFacts, Limit, PolicySet};
use crate::record::{DiskSize, HostCpu, HostDisk, HostInterface, HostMemory, HostPressure, HostSample, MountKind};
use crate::time::KTime;

/// Size of each file system, in bytes.
const DISK: u64 = 100_000_000_000;
/// Inodes of each.
const INODES: u64 = 1_000_000;
/// Size of the swap, in bytes.
const SWAP: u64 = 8_000_000_000;
/// For how many seconds a sample speaks.
const SPEAKS_FOR: Duration = Duration::from_secs(3);

/// How things stand, and what has been counted.
#[derive(Debug)]
pub(super) struct HostFigures {
    facts: HostFacts,
    /// Of each thing that rises.
    cpu: f64,
    pressure: [f64; 3],
    interfaces: BTreeMap<Arc<str>, Interface>,
    load: f64,
    memory_available: u64,
    swap_used: u64,
    disks: BTreeMap<Arc<str>, Disk>,
    /// Counted until then.
    counted: KTime,
    busy_ns: u64,
    total_ns: u64,
    waited_us: [u64; 3],
    sampled: KTime,
}

#[derive(Clone, Copy, Debug, Default)]
struct Interface {
    receive: u64,
    transmit: u64,
    received: u64,
    sent: u64,
}

#[derive(Clone, Copy, Debug)]
struct Disk {
    free: u64,
    inodes_free: u64,
}

impl Default for Disk {
    fn default() -> Self {
        Self { free: DISK, inodes_free: INODES }
    }
}

impl HostFigures {
    /// Idle and empty, with one file system and two interfaces, and those that policies name.
    pub(super) fn new(facts: HostFacts, policies: &PolicySet, begin: KTime) -> Self {
        let bounds = policies.host.iter().flat_map(|block| &block.bounds);
        let named = bounds.flat_map(|of| &of.targets).map(Glob::as_str).filter(|name| is_exact(name)).map(Arc::from);
        let (mounts, links): (Vec<Arc<str>>, Vec<Arc<str>>) = named.partition(|name: &Arc<str>| name.starts_with('/'));
        Self {
            facts,
            cpu: 0.0,
            pressure: [0.0; 3],
            interfaces: ["lo".into(), "eth0".into()]
                .into_iter()
                .chain(links)
                .map(|of| (of, Interface::default()))
                .collect(),
            load: 0.0,
            memory_available: facts.memory_bytes,
            swap_used: 0,
            disks: ["/".into()].into_iter().chain(mounts).map(|of| (of, Disk::default())).collect(),
            counted: begin,
            busy_ns: 0,
            total_ns: 0,
            waited_us: [0; 3],
            sampled: begin,
        }
    }

    /// When it was last sampled.
    pub(super) const fn sampled(&self) -> KTime {
        self.sampled
    }

    /// Sampling begins here, or was not needed until here.
    pub(super) fn skip_to(&mut self, now: KTime) {
        self.sampled = self.sampled.max(now);
    }

    /// Figures from now on.
    pub(super) fn set(&mut self, now: KTime, figures: &Figures) {
        self.count(now);
        self.cpu = figures.cpu.unwrap_or(self.cpu);
        let pressure = [figures.pressure_cpu, figures.pressure_memory, figures.pressure_io];
        for (rate, new) in self.pressure.iter_mut().zip(pressure) {
            *rate = new.unwrap_or(*rate);
        }
        self.load = figures.load.unwrap_or(self.load);
        if let Some(available) = figures.memory_available {
            self.memory_available = portion(available, self.facts.memory_bytes);
        }
        if let Some(used) = figures.swap_used {
            self.swap_used = portion(used, SWAP);
        }
        for (path, free) in &figures.disk_free {
            self.disks.entry(Arc::clone(path)).or_default().free = portion(*free, DISK);
        }
        for (path, free) in &figures.inodes_free {
            self.disks.entry(Arc::clone(path)).or_default().inodes_free = portion(*free, INODES);
        }
        for (name, rate) in &figures.network_receive {
            self.interfaces.entry(Arc::clone(name)).or_default().receive = *rate;
        }
        for (name, rate) in &figures.network_transmit {
            self.interfaces.entry(Arc::clone(name)).or_default().transmit = *rate;
        }
    }

    /// Lets the counters rise up to now.
    fn count(&mut self, now: KTime) {
        let passed = now.since(self.counted);
        self.counted = self.counted.max(now);
        let all = f64::from(self.facts.cpus) * 1e9;
        self.total_ns = self.total_ns.saturating_add(flown(all, passed));
        self.busy_ns = self.busy_ns.saturating_add(flown(all * self.cpu, passed));
        for (total, rate) in self.waited_us.iter_mut().zip(self.pressure) {
            *total = total.saturating_add(flown(rate * 1e6, passed));
        }
        for interface in self.interfaces.values_mut() {
            interface.received = interface.received.saturating_add(flown(interface.receive as f64, passed));
            interface.sent = interface.sent.saturating_add(flown(interface.transmit as f64, passed));
        }
    }

    /// As the kernel tells it.
    pub(super) fn sample(&mut self, now: KTime) -> HostSample {
        self.count(now);
        self.sampled = now;
        let disks = self.disks.iter().map(|(path, disk)| HostDisk {
            path: Arc::clone(path),
            kind: MountKind::Own,
            size: Some(DiskSize {
                bytes: DISK,
                bytes_used: DISK.saturating_sub(disk.free),
                bytes_free: disk.free,
                inodes: INODES,
                inodes_free: disk.inodes_free,
            }),
        });
        let interfaces = self.interfaces.iter().map(|(name, interface)| HostInterface {
            name: Arc::clone(name),
            received: interface.received,
            sent: interface.sent,
        });
        let [cpu_us, memory_us, io_us] = self.waited_us.map(Some);
        HostSample {
            at: now,
            until: Some(now.after(SPEAKS_FOR)),
            cpu: Some(HostCpu { idle_ns: self.total_ns.saturating_sub(self.busy_ns), total_ns: self.total_ns }),
            load: Some(self.load),
            memory: Some(HostMemory {
                total: self.facts.memory_bytes,
                available: self.memory_available,
                swap_total: SWAP,
                swap_free: SWAP.saturating_sub(self.swap_used),
            }),
            disks: Some(disks.collect()),
            interfaces: Some(interfaces.collect()),
            pressure: HostPressure { cpu_us, memory_us, io_us },
        }
    }
}

/// So much of a total.
pub(super) fn portion(limit: Limit, total: u64) -> u64 {
    match limit {
        Limit::Absolute(value) => whole(value),
        Limit::HostShare(share) => whole(share * total as f64),
    }
}

/// What comes of a rate in a second over some time.
pub(super) fn flown(rate: f64, passed: Duration) -> u64 {
    whole(rate * passed.as_secs_f64())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "kept within the range before")]
fn whole(value: f64) -> u64 {
    value.round().clamp(0.0, 9e18) as u64
}
