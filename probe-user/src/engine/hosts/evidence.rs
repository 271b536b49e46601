//! What speaks for an alarm of the host: who uses most, as far as that is known; how full a file system is.
//!
//! Usage is known of the processes that some policy has sampled, and the sentence says so.

use std::collections::HashMap;

use super::super::evidence::{Evidence, NOTES_MAX, program};
use super::super::tell::{brief, number};
use super::super::text;
use super::Around;
use crate::event::Attributes;
use crate::model::Process;
use crate::policy::spec::Measure;
use crate::record::DiskSize;

/// The evidence of a measure; `size` is that of the file system, where it is about one.
pub(super) fn of(measure: Measure, size: Option<&DiskSize>, around: Around<'_>) -> Evidence {
    let rates = |process: &Process| around.table.beside(process.key).map(|track| track.rates);
    match measure {
        Measure::HostCpu | Measure::Load | Measure::PressureCpu => {
            largest(Measure::Cpu, around, |process| rates(process).map(|rates| rates.cpu))
        }
        Measure::MemoryAvailable | Measure::SwapUsed | Measure::PressureMemory => {
            largest(Measure::Memory, around, |process| Some(process.usage.rss_bytes as f64))
        }
        Measure::PressureIo => {
            largest(Measure::Read, around, |process| rates(process).map(|rates| rates.read + rates.write))
        }
        Measure::Processes => most_frequent(around),
        Measure::DiskFree => size
            .map(|size| {
                let amount = |bytes: u64| text::amount(Measure::DiskFree, bytes as f64, 2);
                let mut attributes = Attributes::default();
                attributes.put("size", size.bytes).put("used", size.bytes_used).put("free", size.bytes_free);
                let clause = format!("{} used, {} free", amount(size.bytes_used), amount(size.bytes_free));
                Evidence { clause: Some(clause), list: vec![attributes] }
            })
            .unwrap_or_default(),
        Measure::InodesFree => size
            .map(|size| {
                let used = size.inodes.saturating_sub(size.inodes_free);
                let mut attributes = Attributes::default();
                attributes.put("size", size.inodes).put("used", used).put("free", size.inodes_free);
                Evidence { clause: Some(format!("{used} used, {} free", size.inodes_free)), list: vec![attributes] }
            })
            .unwrap_or_default(),
        _ => Evidence::default(),
    }
}

/// The sampled processes with the largest values; `unit` is the measure that they are told in.
fn largest(unit: Measure, around: Around<'_>, value: impl Fn(&Process) -> Option<f64>) -> Evidence {
    let alive = around.table.iter().filter(|process| process.exit.is_none() && process.usage.at.is_some());
    let mut users: Vec<(f64, &Process)> = alive.filter_map(|process| Some((value(process)?, process))).collect();
    users.retain(|(value, _)| *value > 0.0);
    users.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.key.cmp(&b.1.key)));
    users.truncate(NOTES_MAX);
    let clause = users.first().map(|(value, process)| {
        let name = program(&process.program.exe, &process.identity.comm);
        format!("of the sampled processes most by {} ({name}): {}", process.key.tgid, text::amount(unit, *value, 2))
    });
    let list = users.iter().map(|(value, process)| {
        let mut attributes = brief(process);
        attributes.put("value", number(*value));
        attributes
    });
    Evidence { clause, list: list.collect() }
}

/// The programs that run most often.
fn most_frequent(around: Around<'_>) -> Evidence {
    let mut counts: HashMap<String, u64> = HashMap::new();
    for process in around.table.iter().filter(|process| process.exit.is_none()) {
        *counts.entry(program(&process.program.exe, &process.identity.comm)).or_default() += 1;
    }
    let mut counts: Vec<(String, u64)> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counts.truncate(NOTES_MAX);
    let clause = counts.first().map(|(name, count)| format!("{count} of them {name}"));
    let list = counts.into_iter().map(|(name, count)| {
        let mut attributes = Attributes::default();
        attributes.put("process.executable.name", name).put("value", count);
        attributes
    });
    Evidence { clause, list: list.collect() }
}
