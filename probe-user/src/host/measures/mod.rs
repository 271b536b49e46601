//! The host's own figures: CPU, load, memory, file systems, interfaces, pressure, as /proc and statvfs tell them.
//!
//! Only what bounds in force ask for is read. Files stay open and are read from their start, into one buffer; a sample
//! of everything takes some 100 us. Nothing here waits: sizes of file systems come from threads of their own ([`disks`]).
//! What cannot be read is missing from the sample, and the engine tells that.

mod disks;
mod kept;
mod mounts;
mod parse;
mod wanted;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use self::disks::Disks;
use self::kept::Kept;
use self::wanted::Wanted;
use crate::policy::spec::PolicySet;
use crate::record::{HostInterface, HostPressure, HostSample};
use crate::time::KTime;

/// A sample speaks for so many times the distance of two samples: then something keeps the daemon from looking.
const SPEAKS_FOR: u32 = 3;

/// More interfaces than this are not looked at.
const INTERFACES_MAX: usize = 4096;

/// Reads what policies ask of the host.
#[derive(Debug)]
pub struct Measures {
    wanted: Wanted,
    buffer: Vec<u8>,
    stat: Kept,
    loadavg: Kept,
    meminfo: Kept,
    net_dev: Kept,
    pressure_cpu: Kept,
    pressure_memory: Kept,
    pressure_io: Kept,
    disks: Disks,
}

impl Measures {
    /// Reads nothing yet.
    pub fn new(policies: &PolicySet) -> Self {
        Self::within(Path::new("/proc"), disks::size, policies)
    }

    fn within(proc: &Path, ask: disks::Ask, policies: &PolicySet) -> Self {
        let kept = |name: &str| Kept::new(proc.join(name));
        let mut measures = Self {
            wanted: Wanted::default(),
            buffer: Vec::new(),
            stat: kept("stat"),
            loadavg: kept("loadavg"),
            meminfo: kept("meminfo"),
            net_dev: kept("self/net/dev"),
            pressure_cpu: kept("pressure/cpu"),
            pressure_memory: kept("pressure/memory"),
            pressure_io: kept("pressure/io"),
            disks: Disks::new(proc.join("self/mountinfo"), ask),
        };
        measures.set_policies(policies);
        measures
    }

    /// Other policies from now on.
    pub fn set_policies(&mut self, policies: &PolicySet) {
        let mut wanted = Wanted::of(policies);
        self.disks.set_bounds(std::mem::take(&mut wanted.disks));
        self.wanted = wanted;
    }

    /// How far apart samples are to be: at the interval that is configured, but for file systems alone, which need it
    /// less often. `None`: nothing is to be sampled.
    pub fn every(&self, interval: Duration) -> Option<Duration> {
        if self.wanted.is_quick() {
            return Some(interval);
        }
        self.disks.is_wanted().then(|| interval.max(disks::EVERY))
    }

    /// Everything that is wanted, at `at`; the next sample is to come after `every`.
    pub fn sample(&mut self, at: KTime, every: Duration) -> HostSample {
        let Self { wanted, buffer, .. } = self;
        let memory = wanted.memory.then(|| self.meminfo.all(buffer).ok().and_then(parse::memory)).flatten();
        let cpu = wanted.cpu.then(|| self.stat.head(buffer).ok().and_then(parse::cpu)).flatten();
        let load = wanted.load.then(|| self.loadavg.head(buffer).ok().and_then(parse::load)).flatten();
        let mut pressure =
            |wanted: bool, kept: &mut Kept| wanted.then(|| kept.head(buffer).ok().and_then(parse::pressure)).flatten();
        let pressure = HostPressure {
            cpu_us: pressure(wanted.pressure_cpu, &mut self.pressure_cpu),
            memory_us: pressure(wanted.pressure_memory, &mut self.pressure_memory),
            io_us: pressure(wanted.pressure_io, &mut self.pressure_io),
        };
        let interfaces = (!wanted.interfaces.is_empty()).then(|| self.interfaces()).flatten();
        let disks = self.disks.sample(at, every / 2, &mut self.buffer);
        let until = Some(at.after(every.saturating_mul(SPEAKS_FOR)));
        HostSample { at, until, cpu, load, memory, disks, interfaces, pressure }
    }

    fn interfaces(&mut self) -> Option<Vec<HostInterface>> {
        let bounds = &self.wanted.interfaces;
        let text = self.net_dev.all(&mut self.buffer).ok()?;
        let meant = parse::interfaces(text).filter_map(|(name, received, sent)| {
            let name = String::from_utf8_lossy(name);
            let is_meant = bounds.iter().any(|bound| bound.means_interface(&name));
            is_meant.then(|| HostInterface { name: Arc::from(name), received, sent })
        });
        Some(meant.take(INTERFACES_MAX).collect())
    }
}

#[cfg(test)]
mod tests;
