//! Is everything seen, and is the CPU time true?

use std::collections::HashSet;
use std::time::Duration;

use procprobe_tests::actor::{Actor, group};
use procprobe_tests::cgroup::PlainCgroup;
use procprobe_tests::daemon::Setup;
use procprobe_tests::event::Event;
use procprobe_tests::mark;

use crate::figure::Figure;
use crate::observe::actor;
use crate::{Effort, Outcome};

const TELL_ALL: &str = "starts: { max: 100000000, within: 1s }";

pub(crate) fn storm(effort: Effort) -> Outcome {
    let (actor, mark, count) = (actor()?, mark(), effort.of(5_000));
    let mut daemon = Setup::new().policy(&group("storm", "exit", &mark, TELL_ALL)).start();
    let mut parent = Actor::start(&actor, &format!("spawn {count} 2 exit {{byte}} {{}}"), &mark);
    let told = parent.told();
    parent.finish();
    // The account of the last one is closed some ms after its end; what has not come by then never will.
    std::thread::sleep(Duration::from_secs(2));
    daemon.stop();
    let events = daemon.stream.events();
    let key = |event: &Event| (event.pid(), event.text("process.creation.time").to_owned());
    let whole = |start: &&Event| {
        let args = start.args();
        args.len() == 6 && args[5] == mark && start.text("process.executable.path").ends_with("/actor")
    };
    let starts: HashSet<_> = events.iter().filter(|event| event.is_start()).filter(whole).map(key).collect();
    let exits: HashSet<_> = events
        .iter()
        .filter(|event| event.is_exit() && event.number("process.exit.code").is_some())
        .map(key)
        .filter(|key| starts.contains(key))
        .collect();
    let lost: u64 = events
        .iter()
        .filter(|event| event.name() == "procprobe.agent.lost")
        .filter_map(|event| event.number("count"))
        .sum();
    let seconds = Duration::from_nanos(Actor::told_number(&told, "elapsed_ns")).as_secs_f64();
    let all = usize::try_from(count)?;
    Ok(vec![Figure::new(
        format!("{count} short processes: starts with exe and args, exits with code, lost"),
        format!("{count}, {count}, 0"),
        format!("{}, {}, {lost} ({:.0}/s)", starts.len(), exits.len(), count as f64 / seconds),
        starts.len() == all && exits.len() == all && lost == 0,
    )])
}

pub(crate) fn cpu(effort: Effort) -> Outcome {
    let one = ratio("2,000 processes of 5 ms", effort.of(2_000), "5")?;
    let many = ratio("200 processes of 4 threads, 5 ms each", effort.of(200), "5 4")?;
    Ok(vec![one, many])
}

/// Against what the cgroup of all these processes was charged for. It is charged by the scheduler as each slice of a thread
/// ends. getrusage is shown beside it: it takes over what a thread used when the thread is released, and a thread that
/// nobody waits for (all but the first of a process) releases itself while it still runs, so that it lacks the end of
/// each of them.
fn ratio(what: &str, count: u64, burn: &str) -> Result<Figure, Box<dyn std::error::Error>> {
    let (actor, mark) = (actor()?, mark());
    let cgroup = PlainCgroup::new(&mark)?;
    let daemon = Setup::new().policy(&group("burners", "burn", &mark, TELL_ALL)).start();
    let words = format!("within {} spawn {count} 2 burn {burn}", cgroup.path().display());
    let mut parent = Actor::start(&actor, &words, &mark);
    let (told, charged) = (parent.told(), parent.told());
    parent.finish();
    let exits = daemon.wait_for_count("all exits", usize::try_from(count)?, Event::is_exit);
    let sum: f64 = exits.iter().filter_map(|exit| exit.float("process.cpu.time")).sum();
    let seconds = |told, name| Duration::from_nanos(Actor::told_number(told, name)).as_secs_f64();
    let truth = seconds(&charged, "others_cpu_ns");
    let (off, rusage_off) = ((sum / truth - 1.0) * 100.0, (seconds(&told, "children_cpu_ns") / truth - 1.0) * 100.0);
    let what = if what.starts_with(&format!("{count} ")) || count >= 2_000 {
        what.to_owned()
    } else {
        format!("{what} ({count} of them)")
    };
    Ok(Figure::new(
        format!("CPU time of {what} against what the scheduler charged"),
        "within 0.1 %",
        format!("{off:+.3} % (getrusage {rusage_off:+.3} %)"),
        off.abs() < 0.1,
    ))
}
