//! All of them.

use super::*;
use crate::policy::spec::{Figures, Limit, Use};

const GROUP: Kind = Kind {
    measure: "",
    policy: "",
    set: "g",
    limit: |value| value.to_string(),
    steps: |_, _, _| Vec::new(),
    nature: Nature::Sampled,
    processes: true,
    least: 0,
    lasts: true,
};
const HOST: Kind = Kind { set: "host", processes: false, ..GROUP };
const COUNTED: Kind = Kind { nature: Nature::Counted, processes: false, ..GROUP };
const FLOW: Kind = Kind { nature: Nature::Flow(1), ..GROUP };
/// A counter of the host has no value before it was read twice.
const HOST_FLOW: Kind = Kind { nature: Nature::Flow(2), ..HOST };

fn percent(value: u32) -> Limit {
    Limit::HostShare(f64::from(value) / 100.0)
}

fn uses(pid: u32, usage: Use) -> Vec<Happening> {
    vec![Happening::Usage { pid, usage }]
}

fn host(figures: Figures) -> Vec<Happening> {
    vec![Happening::Host(figures)]
}

/// Starts or ends processes from pid 100 on.
fn alive(from: u32, to: u32) -> Vec<Happening> {
    let started = (from..to).map(|number| start(100 + number, "x"));
    started.chain((to..from).map(|number| exit(100 + number, 0))).collect()
}

/// The processes of these numbers start and end, by whatever `end` says.
fn come_and_go(from: u32, to: u32, end: fn(u32) -> Happening) -> Vec<Happening> {
    (from..to).flat_map(|number| [start(100 + number, "x"), end(100 + number)]).collect()
}

/// Half of a KiB is a whole number of bytes: in half a second nothing is lost.
fn kib(value: u32) -> String {
    format!("{value}KiB/s")
}

fn share(value: u32) -> String {
    format!("{value}%")
}

pub(in super::super) static KINDS: &[Kind] = &[
    Kind {
        measure: "count",
        policy: "groups: { g: { match: { comm: x }, count: BOUND } }",
        steps: |_, from, to| alive(from, to),
        nature: Nature::AtOnce,
        processes: false,
        ..GROUP
    },
    Kind {
        measure: "threads",
        policy: "groups: { g: { match: { comm: y }, threads: BOUND } }",
        steps: |pid, _, to| uses(pid, Use { threads: Some(to), ..Use::default() }),
        least: 1,
        ..GROUP
    },
    Kind {
        measure: "memory",
        policy: "groups: { g: { match: { comm: y }, memory: BOUND } }",
        limit: |value| format!("{value}B"),
        steps: |pid, _, to| uses(pid, Use { memory: Some(Limit::Absolute(to.into())), ..Use::default() }),
        ..GROUP
    },
    Kind {
        measure: "memory",
        policy: "groups: { g: { match: { comm: y }, memory: BOUND } }",
        limit: |value| format!("{value}% host"),
        steps: |pid, _, to| uses(pid, Use { memory: Some(percent(to)), ..Use::default() }),
        ..GROUP
    },
    Kind {
        measure: "cpu",
        policy: "groups: { g: { match: { comm: y }, cpu: BOUND } }",
        limit: |value| format!("0.00{value} cores"),
        steps: |pid, _, to| uses(pid, Use { cpu: Some(Limit::Absolute(f64::from(to) / 1000.0)), ..Use::default() }),
        ..FLOW
    },
    Kind {
        measure: "cpu",
        policy: "groups: { g: { match: { comm: y }, cpu: BOUND } }",
        limit: |value| format!("{value}% host"),
        steps: |pid, _, to| uses(pid, Use { cpu: Some(percent(to)), ..Use::default() }),
        ..FLOW
    },
    Kind {
        measure: "cpu_wait",
        policy: "groups: { g: { match: { comm: y }, cpu_wait: BOUND } }",
        limit: |value| format!("0.00{value} cores"),
        steps: |pid, _, to| {
            uses(pid, Use { cpu_wait: Some(Limit::Absolute(f64::from(to) / 1000.0)), ..Use::default() })
        },
        ..FLOW
    },
    Kind {
        measure: "read",
        policy: "groups: { g: { match: { comm: y }, read: BOUND } }",
        limit: kib,
        steps: |pid, _, to| uses(pid, Use { read: Some(u64::from(to) << 10), ..Use::default() }),
        ..FLOW
    },
    Kind {
        measure: "write",
        policy: "groups: { g: { match: { comm: y }, write: BOUND } }",
        limit: kib,
        steps: |pid, _, to| uses(pid, Use { write: Some(u64::from(to) << 10), ..Use::default() }),
        ..FLOW
    },
    Kind {
        measure: "starts",
        policy: "groups: { g: { match: { comm: x }, starts: BOUND } }",
        steps: |_, from, to| alive(from, to),
        ..COUNTED
    },
    Kind {
        measure: "exits",
        policy: "groups: { g: { match: { comm: x }, exits: BOUND } }",
        steps: |_, from, to| come_and_go(from, to, |pid| exit(pid, u8::try_from(pid % 2).unwrap())),
        ..COUNTED
    },
    Kind {
        measure: "failures",
        policy: "groups: { g: { match: { comm: x }, failures: BOUND } }",
        // Beside each one ends well, which does not count.
        steps: |_, from, to| {
            let well = (from..to).flat_map(|number| [start(1000 + number, "x"), exit(1000 + number, 0)]);
            well.chain(come_and_go(from, to, |pid| exit(pid, 3))).collect()
        },
        ..COUNTED
    },
    Kind {
        measure: "oom_kills",
        policy: "groups: { g: { match: { comm: x }, oom_kills: BOUND } }",
        steps: |_, from, to| {
            come_and_go(from, to, |pid| Happening::Exit {
                pid,
                status: ExitStatus::Signal { number: 9, core_dumped: false },
                killer: None,
                oom: true,
            })
        },
        ..COUNTED
    },
    Kind {
        measure: "lines",
        policy: "logs: { g: { path: /l, any: x, lines: BOUND } }",
        steps: |_, from, to| {
            let times = to.saturating_sub(from);
            let lines = |line: &str| Happening::Log { path: "/l".into(), line: line.into(), times: times.max(1) };
            if times == 0 { Vec::new() } else { vec![lines("y"), lines("xy")] }
        },
        ..COUNTED
    },
    Kind {
        measure: "runs",
        policy: "jobs: { g: { match: { comm: x }, runs: BOUND } }",
        steps: |_, from, to| alive(from, to),
        lasts: false,
        ..COUNTED
    },
    Kind {
        measure: "cpu",
        policy: "host: { cpu: BOUND }",
        limit: share,
        steps: |_, _, to| host(Figures { cpu: Some(f64::from(to) / 100.0), ..Figures::default() }),
        ..HOST_FLOW
    },
    Kind {
        measure: "load",
        policy: "host: { load: BOUND }",
        steps: |_, _, to| host(Figures { load: Some(to.into()), ..Figures::default() }),
        ..HOST
    },
    Kind {
        measure: "load",
        policy: "host: { load: BOUND }",
        // Of four CPUs.
        limit: |value| format!("{} per core", f64::from(value) / 4.0),
        steps: |_, _, to| host(Figures { load: Some(to.into()), ..Figures::default() }),
        ..HOST
    },
    Kind {
        measure: "memory_available",
        policy: "host: { memory_available: BOUND }",
        limit: |value| format!("{value}B"),
        steps: |_, _, to| host(Figures { memory_available: Some(Limit::Absolute(to.into())), ..Figures::default() }),
        ..HOST
    },
    Kind {
        measure: "memory_available",
        policy: "host: { memory_available: BOUND }",
        limit: share,
        steps: |_, _, to| host(Figures { memory_available: Some(percent(to)), ..Figures::default() }),
        ..HOST
    },
    Kind {
        measure: "swap_used",
        policy: "host: { swap_used: BOUND }",
        limit: |value| format!("{value}B"),
        steps: |_, _, to| host(Figures { swap_used: Some(Limit::Absolute(to.into())), ..Figures::default() }),
        ..HOST
    },
    Kind {
        measure: "swap_used",
        policy: "host: { swap_used: BOUND }",
        limit: share,
        steps: |_, _, to| host(Figures { swap_used: Some(percent(to)), ..Figures::default() }),
        ..HOST
    },
    Kind {
        measure: "disk_free",
        policy: "host: { disk_free: BOUND }",
        limit: |value| format!("{value}B"),
        steps: |_, _, to| {
            host(Figures { disk_free: vec![("/".into(), Limit::Absolute(to.into()))], ..Figures::default() })
        },
        ..HOST
    },
    Kind {
        measure: "disk_free",
        policy: "host: { disk_free: BOUND }",
        limit: share,
        steps: |_, _, to| host(Figures { disk_free: vec![("/".into(), percent(to))], ..Figures::default() }),
        ..HOST
    },
    Kind {
        measure: "inodes_free",
        policy: "host: { inodes_free: BOUND }",
        steps: |_, _, to| {
            host(Figures { inodes_free: vec![("/".into(), Limit::Absolute(to.into()))], ..Figures::default() })
        },
        ..HOST
    },
    Kind {
        measure: "inodes_free",
        policy: "host: { inodes_free: BOUND }",
        limit: share,
        steps: |_, _, to| host(Figures { inodes_free: vec![("/".into(), percent(to))], ..Figures::default() }),
        ..HOST
    },
    Kind {
        measure: "processes",
        policy: "host: { processes: BOUND }",
        // With pid 1.
        limit: |value| (value + 1).to_string(),
        steps: |_, from, to| alive(from, to),
        ..HOST
    },
    Kind {
        measure: "pressure_cpu",
        policy: "host: { pressure_cpu: BOUND }",
        limit: share,
        steps: |_, _, to| host(Figures { pressure_cpu: Some(f64::from(to) / 100.0), ..Figures::default() }),
        ..HOST_FLOW
    },
    Kind {
        measure: "pressure_memory",
        policy: "host: { pressure_memory: BOUND }",
        limit: share,
        steps: |_, _, to| host(Figures { pressure_memory: Some(f64::from(to) / 100.0), ..Figures::default() }),
        ..HOST_FLOW
    },
    Kind {
        measure: "pressure_io",
        policy: "host: { pressure_io: BOUND }",
        limit: share,
        steps: |_, _, to| host(Figures { pressure_io: Some(f64::from(to) / 100.0), ..Figures::default() }),
        ..HOST_FLOW
    },
    Kind {
        measure: "network_receive",
        policy: "host: { network_receive: { interface: eth0, BOUND } }",
        limit: kib,
        steps: |_, _, to| {
            host(Figures { network_receive: vec![("eth0".into(), u64::from(to) << 10)], ..Figures::default() })
        },
        ..HOST_FLOW
    },
    Kind {
        measure: "network_transmit",
        policy: "host: { network_transmit: { interface: eth0, BOUND } }",
        limit: kib,
        steps: |_, _, to| {
            host(Figures { network_transmit: vec![("eth0".into(), u64::from(to) << 10)], ..Figures::default() })
        },
        ..HOST_FLOW
    },
];
