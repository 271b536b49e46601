//! How soon: from the end of a process to its alarm, and from the daemon's start to its first event.

use std::time::{Duration, Instant};

use procprobe_tests::actor::{Actor, group};
use procprobe_tests::daemon::{Daemon, PATIENCE, Setup};
use procprobe_tests::mark;
use rustix::process::Signal;

use crate::figure::{Figure, median};
use crate::observe::actor;
use crate::{Effort, Outcome};

pub(crate) fn latency(effort: Effort) -> Outcome {
    let (actor, mark) = (actor()?, mark());
    let daemon = Setup::new().policy(&group("one", "sleep", &mark, "count: { min: 1 }")).start();
    let mut from = 0;
    let mut millis = Vec::new();
    for _ in 0..effort.of(200) {
        let mut watched = Actor::start(&actor, "sleep 600000", &mark);
        // The first of all, too: its group was empty, and that was an alarm as well.
        from = next(&daemon, from, "resolved") + 1;
        // Some rest, so that the daemon is asleep as it would be.
        std::thread::sleep(Duration::from_millis(20));
        let killed = Instant::now();
        watched.signal(Signal::KILL);
        let index = next(&daemon, from, "firing");
        watched.wait();
        let arrived = daemon.stream.arrival(index, |_| true).ok_or("an event without its time")?.1;
        millis.push(arrived.saturating_duration_since(killed).as_secs_f64() * 1e3);
        from = index + 1;
    }
    let worst = millis.iter().copied().fold(0.0, f64::max);
    let middle = median(millis);
    Ok(vec![Figure::new(
        "kill of a watched process to the firing event on stdout, median",
        "under 2 ms",
        format!("{middle:.2} ms (worst {worst:.2})"),
        middle < 2.0,
    )])
}

/// Where the alarm's next change to this state stands among the daemon's events.
fn next(daemon: &Daemon, from: usize, state: &str) -> usize {
    daemon.stream.find(state, PATIENCE, |events| {
        (from..events.len()).find(|index| events[*index].is_alarm(state, "one.count.min"))
    })
}

pub(crate) fn attach(_: Effort) -> Outcome {
    let mut millis = Vec::new();
    for _ in 0..9 {
        let started = Instant::now();
        let mut daemon = Setup::new().start();
        let arrival = daemon.stream.arrival(0, |event| event.name() == "procprobe.agent.started");
        let (_, arrived) = arrival.ok_or("no procprobe.agent.started")?;
        millis.push(arrived.saturating_duration_since(started).as_secs_f64() * 1e3);
        daemon.stop();
    }
    let middle = median(millis);
    Ok(vec![Figure::new("start to attached, median of 9", "under 250 ms", format!("{middle:.0} ms"), middle < 250.0)])
}
