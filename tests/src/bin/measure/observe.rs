//! What the kernel says of the daemon from outside: its CPU time, wake-ups and memory. Never its own word, but for the
//! run time of its programs, which the kernel counts and only their owner can name.

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use procprobe_tests::daemon::Daemon;

/// Of /proc/stat: USER_HZ is 100 on every architecture that counts here.
const TICK_NS: u64 = 10_000_000;
const BPF_STATS: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// The binary that plays the processes: it is built beside this one.
pub(crate) fn actor() -> Result<String, Box<dyn Error>> {
    let path = std::env::current_exe()?.with_file_name("actor");
    if !path.is_file() {
        return Err(format!("{} is not built; `cargo xtask bench` builds it", path.display()).into());
    }
    Ok(path.display().to_string())
}

/// Totals at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    at: Instant,
    cpu_ns: u64,
    wakeups: u64,
    main_wakeups: u64,
    forks: u64,
    busy_ns: u64,
}

/// What came between two readings, a second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rates {
    /// Share of one core, 0.01 for 1 %.
    pub(crate) cpu: f64,
    /// Times that a thread of the daemon was woken: also by one another, and after each wait for the disk.
    pub(crate) wakeups: f64,
    /// Times that its first thread was: the one that has the timers, the ring and the sockets.
    pub(crate) main_wakeups: f64,
    /// Processes and threads that the whole host started.
    pub(crate) forks: f64,
    /// CPU time that the whole host used, in cores.
    pub(crate) host_cpu: f64,
    /// How long.
    pub(crate) seconds: f64,
}

impl Reading {
    pub(crate) fn take(daemon: &Daemon) -> Result<Self, Box<dyn Error>> {
        const SLEPT: &str = "voluntary_ctxt_switches:";
        let (mut cpu_ns, mut wakeups) = (0, 0);
        for task in fs::read_dir(format!("/proc/{}/task", daemon.pid()))? {
            let task = task?.path();
            cpu_ns += first_number(&fs::read_to_string(task.join("schedstat"))?)?;
            wakeups += field(&fs::read_to_string(task.join("status"))?, SLEPT)?;
        }
        let main_wakeups = field(&fs::read_to_string(format!("/proc/{0}/task/{0}/status", daemon.pid()))?, SLEPT)?;
        let stat = fs::read_to_string("/proc/stat")?;
        let forks = field(&stat, "processes ")?;
        Ok(Self { at: Instant::now(), cpu_ns, wakeups, main_wakeups, forks, busy_ns: busy_ns(&stat)? })
    }

    pub(crate) fn until(self, later: Self) -> Rates {
        let seconds = (later.at - self.at).as_secs_f64();
        let rate = |before: u64, after: u64| after.saturating_sub(before) as f64 / seconds;
        Rates {
            cpu: rate(self.cpu_ns, later.cpu_ns) / 1e9,
            wakeups: rate(self.wakeups, later.wakeups),
            main_wakeups: rate(self.main_wakeups, later.main_wakeups),
            forks: rate(self.forks, later.forks),
            host_cpu: rate(self.busy_ns, later.busy_ns) / 1e9,
            seconds,
        }
    }
}

/// What all CPUs did but for idling and waiting for I/O, from the first line of /proc/stat.
fn busy_ns(stat: &str) -> Result<u64, Box<dyn Error>> {
    let line = stat.lines().next().ok_or("/proc/stat is empty")?;
    let ticks: Vec<u64> = line.split_whitespace().skip(1).map(str::parse).collect::<Result<_, _>>()?;
    let [user, nice, system, _idle, _iowait, irq, softirq, ..] = ticks[..] else {
        return Err(format!("not understood: {line}").into());
    };
    Ok((user + nice + system + irq + softirq) * TICK_NS)
}

/// `VmRSS` or `VmHWM`, bytes.
pub(crate) fn memory(daemon: &Daemon, name: &str) -> Result<u64, Box<dyn Error>> {
    Ok(field(&fs::read_to_string(format!("/proc/{}/status", daemon.pid()))?, name)? << 10)
}

/// Run time of the daemon's programs so far, ns; counts only under [`BpfStats`]. The iterators are not in it: they run
/// on the daemon's own time.
pub(crate) fn programs_ns(daemon: &Daemon) -> Result<u64, Box<dyn Error>> {
    programs(daemon, "run_time_ns")
}

/// How often they ran; likewise.
pub(crate) fn programs_runs(daemon: &Daemon) -> Result<u64, Box<dyn Error>> {
    programs(daemon, "run_count")
}

fn programs(daemon: &Daemon, figure: &str) -> Result<u64, Box<dyn Error>> {
    let status = daemon.status();
    let programs =
        status["agent"]["kernel"]["programs"].as_array().ok_or_else(|| format!("no programs in {status}"))?;
    Ok(programs.iter().filter_map(|program| program[figure].as_u64()).sum())
}

/// The kernel counts the run time of BPF programs while this lives.
pub(crate) struct BpfStats {
    before: String,
}

impl BpfStats {
    pub(crate) fn on() -> Result<Self, Box<dyn Error>> {
        let before = fs::read_to_string(BPF_STATS)?;
        fs::write(BPF_STATS, "1")?;
        Ok(Self { before })
    }
}

impl Drop for BpfStats {
    fn drop(&mut self) {
        if let Err(error) = fs::write(BPF_STATS, self.before.trim()) {
            eprintln!("measure: {BPF_STATS} could not be set back to {}: {error}", self.before.trim());
        }
    }
}

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn field(text: &str, name: &str) -> Result<u64, Box<dyn Error>> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).ok_or_else(|| format!("no {name} in:\n{text}"))?;
    first_number(line.trim_start_matches(':'))
}

pub(crate) fn first_number(text: &str) -> Result<u64, Box<dyn Error>> {
    let word = text.split_whitespace().next().ok_or("an empty line")?;
    Ok(word.parse().map_err(|error| format!("{word}: {error}"))?)
}
