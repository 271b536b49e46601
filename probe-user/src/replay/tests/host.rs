//! Figures of the host and lines of logs in a recording, held against bounds on them.

use super::*;
use crate::record::{HostCpu, HostMemory, HostPressure, HostSample};

fn sample(second: u64, busy_ms: u64, load: f64) -> HostSample {
    let at = KTime::from_secs(BEGAN + second);
    let (total_ns, memory) = (second * 2_000_000_000, 1 << 30);
    HostSample {
        at,
        until: Some(at.after(Duration::from_secs(3))),
        cpu: Some(HostCpu { idle_ns: total_ns - busy_ms * 1_000_000, total_ns }),
        load: Some(load),
        memory: Some(HostMemory { total: memory, available: memory / 4, swap_total: 0, swap_free: 0 }),
        disks: None,
        interfaces: None,
        pressure: HostPressure::default(),
    }
}

#[test]
fn bounds_on_the_host_have_values() {
    let mut tape = Tape::new(&[]);
    // Of two CPUs half of one is busy in the first second, then both, then none.
    for (second, busy_ms, load) in [(1, 0, 1.0), (2, 500, 5.0), (3, 2500, 3.0), (4, 2500, 2.0)] {
        tape.put(BEGAN + second, &Entry::Host(sample(second, busy_ms, load)));
    }
    let file = tape.end(BEGAN + 5);
    let (told, outcome) =
        run_policies(&file, "host: { cpu: { max: 90% }, load: { max: 4 }, memory_available: { min: 10% } }\n", false);
    assert_eq!(told.iter().filter(|line| line.contains("policy.firing")).count(), 2, "{told:?}");
    check_summary(
        &outcome,
        &[
            ("bounds/0/name", "host.cpu.max".into()),
            ("bounds/0/fired", 1.into()),
            ("bounds/0/highest/value", 1.0.into()),
            ("bounds/0/nearest_miss/value", 0.25.into()),
            ("bounds/1/name", "host.load.max".into()),
            ("bounds/1/nearest_miss/value", 3.0.into()),
            ("bounds/1/total_seconds", 1.0.into()),
            ("bounds/2/fired", 0.into()),
            ("bounds/2/nearest_miss/value", 0.25.into()),
        ],
    );
}
