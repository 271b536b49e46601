//! What the probe itself costs: the daemon's CPU, memory and wake-ups, and its programs' time inside the kernel.

use std::fs;
use std::io::{self, Read as _};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// The daemon's own cost since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// CPU time of all its threads, user and system, in seconds.
    pub cpu_seconds: f64,
    /// Resident memory now.
    pub rss_bytes: u64,
    /// The most it ever was.
    pub peak_rss_bytes: u64,
    /// How often its threads went to sleep and were woken (voluntary context switches).
    pub wakeups: u64,
}

/// The kernel side's cost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelCost {
    /// Each program; the times are 0 unless `kernel.bpf_stats_enabled` is set.
    pub programs: Vec<ProgramCost>,
    /// Records received, by kind.
    pub records: Vec<(String, u64)>,
    /// Numbers of records that never came: what was sent and not received, seen from this side.
    #[serde(default)]
    pub missing: u64,
}

/// One program's cost, as the kernel counts it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramCost {
    /// Its name.
    pub name: String,
    /// How often it ran.
    pub run_count: u64,
    /// How long in all.
    pub run_time_ns: u64,
}

impl KernelCost {
    /// The time of all programs.
    pub fn run_time_ns(&self) -> u64 {
        self.programs.iter().map(|program| program.run_time_ns).sum()
    }
}

/// CPU time of all threads of the daemon since it started.
pub fn own_time() -> Duration {
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let (seconds, nanos) = (u64::try_from(cpu.tv_sec), u32::try_from(cpu.tv_nsec));
    Duration::new(seconds.unwrap_or_default(), nanos.unwrap_or_default())
}

/// Resident memory of the daemon, bytes; the second number of `/proc/self/statm`, pages.
pub fn own_memory() -> io::Result<u64> {
    // Seven numbers of at most twenty digits, and the kernel hands them out with one read.
    let mut text = [0; 160];
    let read = fs::File::open("/proc/self/statm")?.read(&mut text)?;
    let statm = String::from_utf8_lossy(&text[..read]);
    let pages = statm.split_whitespace().nth(1).and_then(|word| word.parse::<u64>().ok());
    let page = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
    pages.map(|pages| pages * page).ok_or_else(|| io::Error::other(format!("not understood: {statm}")))
}

/// Reads the daemon's own cost: one clock and a few small files of /proc/self.
pub fn own_cost() -> io::Result<Cost> {
    let cpu_seconds = own_time().as_secs_f64();
    let status = Status::parse(&fs::read_to_string("/proc/self/status")?);
    let mut wakeups = 0;
    for task in fs::read_dir("/proc/self/task")? {
        // A thread may end between the listing and the reading.
        if let Ok(text) = fs::read_to_string(task?.path().join("status")) {
            wakeups += Status::parse(&text).voluntary;
        }
    }
    Ok(Cost { cpu_seconds, rss_bytes: status.rss_bytes, peak_rss_bytes: status.peak_rss_bytes, wakeups })
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Status {
    rss_bytes: u64,
    peak_rss_bytes: u64,
    voluntary: u64,
}

impl Status {
    fn parse(text: &str) -> Self {
        let mut status = Self::default();
        for line in text.lines() {
            let Some((key, value)) = line.split_once(':') else { continue };
            let number = || value.split_whitespace().next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
            match key {
                "VmRSS" => status.rss_bytes = number() << 10,
                "VmHWM" => status.peak_rss_bytes = number() << 10,
                "voluntary_ctxt_switches" => status.voluntary = number(),
                _ => {}
            }
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_read_by_name() {
        let text = "Name:\tx: VmRSS\nVmHWM:\t  200 kB\nVmRSS:\t  100 kB\nvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t9\n";
        let expected = Status { rss_bytes: 100 << 10, peak_rss_bytes: 200 << 10, voluntary: 7 };
        assert_eq!(Status::parse(text), expected);
        assert_eq!(Status::parse("VmRSS\nVmHWM: x\n"), Status::default());
    }

    #[test]
    fn this_process_costs_something() {
        let cost = own_cost().unwrap();
        let memory = own_memory().unwrap();
        assert!(memory > cost.rss_bytes / 2 && memory < cost.peak_rss_bytes * 2, "{memory} {cost:?}");
        assert!(
            cost.cpu_seconds > 0.0 && cost.rss_bytes > 100_000 && cost.peak_rss_bytes >= cost.rss_bytes,
            "{cost:?}"
        );
    }
}
