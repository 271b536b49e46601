//! From a sample to the value of a bound.

use std::sync::Arc;
use std::time::Duration;

use super::Around;
use crate::policy::spec::{HostBound, Limit, Measure};
use crate::record::{DiskSize, HostCpu, HostInterface, HostMemory, HostPressure, HostSample};
use crate::time::KTime;

/// What a sample says of a bound.
#[derive(Debug)]
pub(super) struct Readings {
    /// Of each thing that the bound is about.
    pub(super) found: Vec<(Option<Arc<str>>, Reading)>,
    /// What is not among them is not there.
    pub(super) complete: bool,
}

/// What a sample says of one thing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Reading {
    Value(f64),
    /// It takes another sample to have a value, or there is no such figure of this thing.
    Nothing,
    /// There should be a value.
    Lack(Lack),
}

/// Why there is no value where there should be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lack {
    /// The kernel does not say.
    NotMeasured,
    /// The file system does not answer.
    NoAnswer,
    /// There is nothing of that name.
    Missing,
    /// The process table may be wrong.
    InDoubt,
}

impl Lack {
    /// The word in events.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::NotMeasured => "not_measured",
            Self::NoAnswer => "no_answer",
            Self::Missing => "not_there",
            Self::InDoubt => "in_doubt",
        }
    }
}

/// What rises, as the last sample said it.
#[derive(Debug, Default)]
pub(super) struct Counters {
    at: KTime,
    cpu: Option<HostCpu>,
    interfaces: Vec<HostInterface>,
    pressure: HostPressure,
}

impl Counters {
    pub(super) fn of(sample: &HostSample) -> Self {
        Self {
            at: sample.at,
            cpu: sample.cpu,
            interfaces: sample.interfaces.clone().unwrap_or_default(),
            pressure: sample.pressure,
        }
    }
}

/// What `sample` says of a bound; `None` when it did not look.
pub(super) fn read(bound: &HostBound, sample: &HostSample, before: &Counters, around: Around<'_>) -> Option<Readings> {
    let share = matches!(bound.bound.limit, Limit::HostShare(_));
    let measure = bound.bound.measure;
    let passed = sample.at.since(before.at);
    let one = |reading: Reading| Some(Readings { found: vec![(None, reading)], complete: false });
    let waited = |now: Option<u64>, before: Option<u64>| {
        one(now.map_or(Reading::Lack(Lack::NotMeasured), |now| waited(now, before, passed)))
    };
    let (pressure, earlier) = (&sample.pressure, &before.pressure);
    match measure {
        Measure::HostCpu => one(sample.cpu.map_or(Reading::Lack(Lack::NotMeasured), |cpu| used(cpu, before.cpu))),
        Measure::Load => one(sample.load.map_or(Reading::Lack(Lack::NotMeasured), Reading::Value)),
        Measure::MemoryAvailable | Measure::SwapUsed => {
            one(sample.memory.map_or(Reading::Lack(Lack::NotMeasured), |memory| memory_value(measure, memory, share)))
        }
        Measure::Processes if around.in_doubt => one(Reading::Lack(Lack::InDoubt)),
        Measure::Processes => {
            one(Reading::Value(around.table.iter().filter(|process| process.exit.is_none()).count() as f64))
        }
        Measure::PressureCpu => waited(pressure.cpu_us, earlier.cpu_us),
        Measure::PressureMemory => waited(pressure.memory_us, earlier.memory_us),
        Measure::PressureIo => waited(pressure.io_us, earlier.io_us),
        Measure::DiskFree | Measure::InodesFree => {
            let disks = sample.disks.as_ref()?.iter().filter(|disk| bound.means_mount(&disk.path, disk.kind));
            let found = disks.map(|disk| {
                let reading = disk.size.map_or(Reading::Lack(Lack::NoAnswer), |size| left(measure, size, share));
                (Some(Arc::clone(&disk.path)), reading)
            });
            Some(with_missing(bound, found.collect()))
        }
        Measure::NetworkReceive | Measure::NetworkTransmit => {
            let interfaces = sample.interfaces.as_ref()?.iter().filter(|found| bound.means_interface(&found.name));
            let found = interfaces.map(|now| {
                let earlier = before.interfaces.iter().find(|before| before.name == now.name);
                (Some(Arc::clone(&now.name)), flow(measure, now, earlier, passed))
            });
            Some(with_missing(bound, found.collect()))
        }
        // Not of the host.
        _ => None,
    }
}

/// What a policy names and the sample has not is missed.
fn with_missing(bound: &HostBound, mut found: Vec<(Option<Arc<str>>, Reading)>) -> Readings {
    for name in bound.exact_targets() {
        if !found.iter().any(|(key, _)| key.as_deref() == Some(name)) {
            found.push((Some(Arc::from(name)), Reading::Lack(Lack::Missing)));
        }
    }
    Readings { found, complete: true }
}

/// The share of CPU time that was not idle.
fn used(now: HostCpu, before: Option<HostCpu>) -> Reading {
    let difference = before.and_then(|before| {
        let total = now.total_ns.checked_sub(before.total_ns).filter(|total| *total > 0)?;
        // Waiting for storage is counted per CPU and may go back a little.
        let idle = now.idle_ns.saturating_sub(before.idle_ns).min(total);
        Some((total - idle) as f64 / total as f64)
    });
    difference.map_or(Reading::Nothing, Reading::Value)
}

fn memory_value(measure: Measure, memory: HostMemory, share: bool) -> Reading {
    let (amount, total) = match measure {
        Measure::SwapUsed => (memory.swap_total.saturating_sub(memory.swap_free), memory.swap_total),
        _ => (memory.available, memory.total),
    };
    // A host without swap uses none of it.
    Reading::Value(match (share, total) {
        (false, _) => amount as f64,
        (true, 0) => 0.0,
        (true, total) => amount as f64 / total as f64,
    })
}

/// A share is one of what users can have, as `df` counts it: what is reserved for root is neither used nor free.
fn left(measure: Measure, size: DiskSize, share: bool) -> Reading {
    let (free, total) = match measure {
        Measure::InodesFree => (size.inodes_free, size.inodes),
        _ => (size.bytes_free, size.bytes_used.saturating_add(size.bytes_free)),
    };
    match (share, total) {
        // No such number (btrfs has no fixed count of inodes), or a file system without a size.
        (_, 0) => Reading::Nothing,
        (true, total) => Reading::Value(free as f64 / total as f64),
        (false, _) => Reading::Value(free as f64),
    }
}

/// The share of the time in which some task waited. Both clocks are read at slightly different moments.
fn waited(now: u64, before: Option<u64>, passed: Duration) -> Reading {
    match before.and_then(|before| now.checked_sub(before)) {
        Some(waited) if !passed.is_zero() => {
            Reading::Value((Duration::from_micros(waited).as_secs_f64() / passed.as_secs_f64()).min(1.0))
        }
        _ => Reading::Nothing,
    }
}

/// Bytes a second.
fn flow(measure: Measure, now: &HostInterface, before: Option<&HostInterface>, passed: Duration) -> Reading {
    let moved = before.and_then(|before| {
        // Where one of them went back it is another interface of the same name.
        let (received, sent) = (now.received.checked_sub(before.received)?, now.sent.checked_sub(before.sent)?);
        Some(if measure == Measure::NetworkReceive { received } else { sent })
    });
    match moved {
        Some(bytes) if !passed.is_zero() => Reading::Value(bytes as f64 / passed.as_secs_f64()),
        _ => Reading::Nothing,
    }
}
