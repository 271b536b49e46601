//! What the host's own work loses by the daemon's presence: with and without, in turns.
//!
//! A run of some seconds tells more about the neighbours of the machine than about the daemon, so each pair is made of
//! short slices, with and without in turns, and the fastest of each kind are compared: neighbours only ever slow a slice
//! down. What the kernel counts for the programs is told beside it: it leaves out what they do to caches, but no neighbour
//! disturbs it.

use std::error::Error;
use std::thread;
use std::time::Duration;

use procprobe_tests::actor::{Actor, group};
use procprobe_tests::daemon::Setup;
use procprobe_tests::mark;

use crate::figure::{Figure, median};
use crate::observe::{BpfStats, actor, programs_ns, programs_runs};
use crate::{Effort, Outcome};

const PAIRS: usize = 9;
/// Of each kind in a pair.
const SLICES: usize = 6;
/// What a daemon does at its start, scans and second looks at what is new, is over by then.
const SETTLED: Duration = Duration::from_millis(1_500);

pub(crate) fn slowdown(effort: Effort) -> Outcome {
    let forks = pairs("loop", effort.of(600))?;
    let counted = counted(effort.of(6_000))?;
    let trips = effort.of(400_000);
    let (runs, share) = at_switches(trips)?;
    Ok(vec![
        Figure::new(
            "fork+exec+wait loop, median of 9 pairs",
            "under 1 %",
            format!("{forks} (programs by the kernel's count: {counted:.2} %)"),
            forks.median < 1.0,
        ),
        Figure::new(
            format!("runs of the programs in {trips} round trips through a pipe on one CPU"),
            "none but those of processes",
            format!("{runs} ({share:.4} % of the time)"),
            runs < trips / 100,
        ),
    ])
}

/// By how many percent the work takes longer with the daemon.
struct Slowdown {
    median: f64,
    /// The best and the worst pair: how much of the median is noise.
    low: f64,
    high: f64,
}

impl std::fmt::Display for Slowdown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:+.2} % (pairs {:+.1} to {:+.1})", self.median, self.low, self.high)
    }
}

/// Which of two slices comes first changes, so that a host growing slower favours neither.
fn pairs(work: &str, count: u64) -> Result<Slowdown, Box<dyn Error>> {
    let actor = actor()?;
    let slice = |watched: bool| {
        let mark = mark();
        let policy = group("busy", "loop", &mark, "cpu: { max: 1000 cores }");
        let daemon = watched.then(|| Setup::new().policy(&policy).start());
        thread::sleep(SETTLED);
        let elapsed = elapsed_ns(&actor, &format!("{work} {count}"), &mark);
        if let Some(mut daemon) = daemon {
            daemon.stop();
        }
        elapsed
    };
    slice(false);
    let pair = || {
        let (mut with, mut without) = (f64::INFINITY, f64::INFINITY);
        for turn in 0..SLICES {
            for watched in [turn % 2 == 0, turn % 2 != 0] {
                let fastest = if watched { &mut with } else { &mut without };
                *fastest = fastest.min(slice(watched));
            }
        }
        (with / without - 1.0) * 100.0
    };
    let percents: Vec<f64> = (0..PAIRS).map(|_| pair()).collect();
    Ok(Slowdown {
        low: percents.iter().copied().fold(f64::INFINITY, f64::min),
        high: percents.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        median: median(percents),
    })
}

/// How often programs run while two processes switch to and fro, and their share of the time. Nothing is attached to
/// context switches: what runs is what this host starts and ends meanwhile.
fn at_switches(trips: u64) -> Result<(u64, f64), Box<dyn Error>> {
    let (actor, mark) = (actor()?, mark());
    let _stats = BpfStats::on()?;
    let daemon = Setup::new().policy(&group("busy", "pingpong", &mark, "cpu: { max: 1000 cores }")).start();
    thread::sleep(SETTLED);
    let (runs, before) = (programs_runs(&daemon)?, programs_ns(&daemon)?);
    let elapsed = elapsed_ns(&actor, &format!("pingpong {trips}"), &mark);
    let used = programs_ns(&daemon)?.saturating_sub(before);
    Ok((programs_runs(&daemon)?.saturating_sub(runs), used as f64 / elapsed * 100.0))
}

/// The share of the loop's time that the kernel counts for the programs.
fn counted(count: u64) -> Result<f64, Box<dyn Error>> {
    let (actor, mark) = (actor()?, mark());
    let _stats = BpfStats::on()?;
    let daemon = Setup::new().policy(&group("busy", "loop", &mark, "cpu: { max: 1000 cores }")).start();
    let before = programs_ns(&daemon)?;
    let elapsed = elapsed_ns(&actor, &format!("loop {count}"), &mark);
    Ok(programs_ns(&daemon)?.saturating_sub(before) as f64 / elapsed * 100.0)
}

fn elapsed_ns(actor: &str, words: &str, mark: &str) -> f64 {
    let mut work = Actor::start(actor, words, mark);
    let told = work.told();
    work.finish();
    Actor::told_number(&told, "elapsed_ns") as f64
}
