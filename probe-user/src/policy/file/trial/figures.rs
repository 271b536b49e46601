//! Reads figures of the host.

use std::sync::Arc;

use crate::policy::keys::{INTERFACE_NAME, LOAD_VALUE, MOUNT_POINT};
use crate::policy::limits;
use crate::policy::spec::{Figures, Limit, Measure};
use crate::yaml::keys::Kind;
use crate::yaml::{Decoder, Fields, units};

/// What a step says of the host.
pub(super) fn read(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Figures {
    let mut amount = |name: &str, measure| fields.get(name).and_then(|node| limits::limit(d, measure, node));
    let (memory_available, swap_used) =
        (amount("memory_available", Measure::MemoryAvailable), amount("swap_used", Measure::SwapUsed));
    let mut share = |name: &str| match amount(name, Measure::HostCpu) {
        Some(Limit::HostShare(share) | Limit::Absolute(share)) => Some(share),
        None => None,
    };
    Figures {
        cpu: share("cpu"),
        pressure_cpu: share("pressure_cpu"),
        pressure_memory: share("pressure_memory"),
        pressure_io: share("pressure_io"),
        memory_available,
        swap_used,
        load: fields.get("load").and_then(|node| d.form(node, &LOAD_VALUE, units::decimal)),
        disk_free: disks(d, fields, "disk_free", Measure::DiskFree),
        inodes_free: disks(d, fields, "inodes_free", Measure::InodesFree),
        network_receive: traffic(d, fields, "network_receive"),
        network_transmit: traffic(d, fields, "network_transmit"),
    }
}

/// The items under a key whose value is one table or a list of them.
fn items<'t>(d: &mut Decoder<'_>, fields: &Fields<'t>, name: &str) -> Vec<Fields<'t>> {
    let Some((key, entry)) = fields.iter().find(|(key, _)| key.name == name) else { return Vec::new() };
    let Kind::OneOrMany(Kind::Table(table)) = key.kind else { return Vec::new() };
    d.one_or_many(&entry.value).iter().filter_map(|item| d.fields(item, table)).collect()
}

fn disks(d: &mut Decoder<'_>, fields: &Fields<'_>, name: &str, measure: Measure) -> Vec<(Arc<str>, Limit)> {
    let mut disks = Vec::new();
    for item in items(d, fields, name) {
        let path = item.get("path").and_then(|node| {
            d.form(node, &MOUNT_POINT, |text| {
                if text.starts_with('/') { Ok(Arc::from(text)) } else { Err("it begins with a /".to_owned()) }
            })
        });
        let free = item.get("free").and_then(|node| limits::limit(d, measure, node));
        disks.extend(path.zip(free));
    }
    disks
}

fn traffic(d: &mut Decoder<'_>, fields: &Fields<'_>, name: &str) -> Vec<(Arc<str>, u64)> {
    let mut traffic = Vec::new();
    for item in items(d, fields, name) {
        let interface = item.get("interface").and_then(|node| {
            d.form(node, &INTERFACE_NAME, |text| {
                let wrong = text.is_empty() || text.contains('/');
                if wrong { Err("as `ip link` shows it".to_owned()) } else { Ok(Arc::from(text)) }
            })
        });
        let rate = item.get("rate").and_then(|node| d.form(node, &units::RATE, units::rate));
        traffic.extend(interface.zip(rate));
    }
    traffic
}
