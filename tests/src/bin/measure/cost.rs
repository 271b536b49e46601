//! What the daemon costs while nothing, or little, happens.

use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use procprobe_tests::actor::{Actor, group};
use procprobe_tests::daemon::{Daemon, Setup};
use procprobe_tests::mark;

use crate::figure::Figure;
use crate::observe::{BpfStats, Rates, Reading, actor, programs_ns};
use crate::{Effort, Outcome};

/// Memory is known only by sampling: with this bound each member is sampled once a second.
const SAMPLED: &str = "memory: { max: 1000GiB }";
const HERD: u64 = 1_000;

/// A daemon that has watched a herd long enough for its start to be over: at the age of five seconds each process is
/// looked at a last time for other arguments, and a thousand looks at /proc are as dear as a minute of samples.
fn settled(mark: &str, bounds: &str) -> Daemon {
    let daemon = Setup::new().policy(&group("herd", "sleep", mark, bounds)).start();
    thread::sleep(Duration::from_secs(8));
    daemon
}

pub(crate) fn cpu(effort: Effort) -> Outcome {
    let (actor, mark) = (actor()?, mark());
    let _stats = BpfStats::on()?;
    let mut herd = Actor::start(&actor, &format!("herd {HERD} sleep 100000000"), &mark);
    herd.told();
    let daemon = settled(&mark, SAMPLED);
    let seconds = effort.of(60);

    let (idle, idle_kernel) = window(&daemon, Duration::from_secs(seconds))?;
    let mut pace = Actor::start(&actor, &format!("pace 300 {}", (seconds + 4) * 1_000), &format!("{mark}-pace"));
    thread::sleep(Duration::from_secs(2));
    let (busy, busy_kernel) = window(&daemon, Duration::from_secs(seconds))?;
    pace.told();
    pace.finish();
    herd.finish();
    Ok(vec![
        figure(format!("CPU with {HERD} processes, sampled each second"), 0.05, idle, idle_kernel),
        figure("CPU under 300 fork+exec+exit a second".to_owned(), 0.5, busy, busy_kernel),
    ])
}

/// The daemon's rates, and its programs' share of a core beside them.
fn window(daemon: &Daemon, length: Duration) -> Result<(Rates, f64), Box<dyn Error>> {
    // Asking for the status costs the daemon something: outside of what its own time is measured over.
    let (programs, since) = (programs_ns(daemon)?, Instant::now());
    thread::sleep(Duration::from_millis(500));
    let before = Reading::take(daemon)?;
    thread::sleep(length);
    let rates = before.until(Reading::take(daemon)?);
    let kernel = programs_ns(daemon)?.saturating_sub(programs) as f64 / 1e9 / since.elapsed().as_secs_f64();
    Ok((rates, kernel))
}

fn figure(what: String, limit: f64, rates: Rates, kernel: f64) -> Figure {
    let all = (rates.cpu + kernel) * 100.0;
    let measured = format!(
        "{all:.3} % (daemon {:.3}, kernel side {:.3}; {:.0} forks/s on the host, {:.1} % of what it did)",
        rates.cpu * 100.0,
        kernel * 100.0,
        rates.forks,
        all / rates.host_cpu
    );
    Figure::new(what, format!("under {limit} % of a core"), measured, all < limit)
}

pub(crate) fn wakeups(effort: Effort) -> Outcome {
    let (actor, mark) = (actor()?, mark());
    let mut herd = Actor::start(&actor, "herd 10 sleep 100000000", &mark);
    herd.told();
    let length = Duration::from_secs(effort.of(60));
    let measure = |bounds: &str| -> Result<Rates, Box<dyn Error>> {
        let daemon = settled(&mark, bounds);
        let before = Reading::take(&daemon)?;
        thread::sleep(length);
        Ok(before.until(Reading::take(&daemon)?))
    };
    let sampled = measure(SAMPLED)?;
    let unsampled = measure("count: { min: 1 }")?;
    herd.finish();
    let told = |rates: Rates| {
        let Rates { main_wakeups, wakeups, forks, .. } = rates;
        format!(
            "{main_wakeups:.2}/s; with those who write, and their waits for the disk, {wakeups:.2}/s ({forks:.1} forks/s on the host)"
        )
    };
    // What the host starts meanwhile is no part of being idle, kernel threads among it: each may wake the daemon once.
    let own = |rates: Rates| rates.main_wakeups - rates.forks;
    Ok(vec![
        Figure::new("wake-ups, idle, with a usage bound", "one a second", told(sampled), own(sampled) < 1.2),
        Figure::new("wake-ups, idle, without", "only its heartbeat, each 30 s", told(unsampled), own(unsampled) < 0.2),
    ])
}
