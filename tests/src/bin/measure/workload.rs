//! What the host's own work loses by the daemon's presence: pairs of runs, with and without, in turns.

use std::error::Error;

use procprobe_tests::actor::{Actor, group};
use procprobe_tests::daemon::Setup;
use procprobe_tests::mark;

use crate::figure::{Figure, median};
use crate::observe::actor;
use crate::{Effort, Outcome};

const PAIRS: usize = 9;

pub(crate) fn slowdown(effort: Effort) -> Outcome {
    let forks = pairs(&format!("loop {}", effort.of(3_000)))?;
    let switches = pairs(&format!("pingpong {}", effort.of(200_000)))?;
    let told = |percent: f64| format!("{percent:+.2} %");
    Ok(vec![
        Figure::new("fork+exec+wait loop, median of 9 pairs", "under 1 %", told(forks), forks < 1.0),
        Figure::new("pipe ping-pong on one CPU, median of 9 pairs", "none (noise)", told(switches), switches < 1.0),
    ])
}

/// By how many percent the work takes longer with the daemon: the median of the pairs' ratios. Which of a pair comes
/// first changes from pair to pair, so that a host growing slower favours neither.
fn pairs(words: &str) -> Result<f64, Box<dyn Error>> {
    let actor = actor()?;
    let run = |watched: bool| {
        let mark = mark();
        let policy = group("busy", "loop", &mark, "cpu: { max: 1000 cores }");
        let daemon = watched.then(|| Setup::new().policy(&policy).start());
        let mut work = Actor::start(&actor, words, &mark);
        let told = work.told();
        work.finish();
        if let Some(mut daemon) = daemon {
            daemon.stop();
        }
        Actor::told_number(&told, "elapsed_ns") as f64
    };
    run(false);
    let ratios = (0..PAIRS).map(|pair| {
        if pair % 2 == 0 {
            let without = run(false);
            run(true) / without
        } else {
            let with = run(true);
            with / run(false)
        }
    });
    Ok((median(ratios.collect()) - 1.0) * 100.0)
}
