//! What the policies in force ask of the host: nothing else is read.

use crate::policy::spec::{HostBound, Measure, PolicySet};

/// What is to be read at each sample.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a file of its own, none excludes another")]
pub(super) struct Wanted {
    pub(super) cpu: bool,
    pub(super) load: bool,
    pub(super) memory: bool,
    /// Of the daemon's own process table: a sample without figures.
    pub(super) processes: bool,
    pub(super) pressure_cpu: bool,
    pub(super) pressure_memory: bool,
    pub(super) pressure_io: bool,
    /// The bounds on file systems.
    pub(super) disks: Vec<HostBound>,
    /// The bounds on network interfaces.
    pub(super) interfaces: Vec<HostBound>,
}

impl Wanted {
    pub(super) fn of(policies: &PolicySet) -> Self {
        let mut wanted = Self::default();
        for bound in policies.host.iter().flat_map(|block| &block.bounds) {
            match bound.bound.measure {
                Measure::HostCpu => wanted.cpu = true,
                Measure::Load => wanted.load = true,
                Measure::MemoryAvailable | Measure::SwapUsed => wanted.memory = true,
                Measure::Processes => wanted.processes = true,
                Measure::PressureCpu => wanted.pressure_cpu = true,
                Measure::PressureMemory => wanted.pressure_memory = true,
                Measure::PressureIo => wanted.pressure_io = true,
                Measure::DiskFree | Measure::InodesFree => wanted.disks.push(bound.clone()),
                Measure::NetworkReceive | Measure::NetworkTransmit => wanted.interfaces.push(bound.clone()),
                // Not of the host.
                _ => {}
            }
        }
        wanted
    }

    /// Something that can change at any moment.
    pub(super) fn is_quick(&self) -> bool {
        self.cpu
            || self.load
            || self.memory
            || self.processes
            || self.pressure_cpu
            || self.pressure_memory
            || self.pressure_io
            || !self.interfaces.is_empty()
    }
}
