//! A bad week: the collector is down or late, the daemon dies at random moments, and still every event that was accepted
//! arrives, in order, and what did not make it is told.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use procprobe_tests::account::{check_stream, id};
use procprobe_tests::actor::Actor;
use procprobe_tests::collector::{Collector, Down};
use procprobe_tests::daemon::Daemon;
use procprobe_tests::event::Event;
use procprobe_tests::home::{Home, history, is_caught_up, status, wait_until};
use procprobe_tests::mark;
use procprobe_tests::random::Random;

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");

/// How often the daemon is killed.
const KILLS: u32 = 5;

/// Forks a second, two events each: what a busy machine with a daemon that is not optimised can follow.
const PACE: u32 = 1500;

/// The last events that are on disk, some seconds of them: more where the daemon is that far behind.
fn shown(daemon: &Daemon) -> Vec<Event> {
    let shown =
        ["3s", "20s", "2m"].into_iter().map(|since| history(daemon, Some(since))).find(|shown| !shown.is_empty());
    shown.unwrap_or_else(|| panic!("{}", daemon.stream.describe()))
}

/// The collector is down until so many events have been stamped, or until the time is over.
fn outage(events: u64, at_most: Duration) {
    let mut random = Random::new();
    let down = Down::reserve();
    let home = Home::new(&format!(
        "events: {{ processes: all, forks: true, args: false }}\nstate: {{ spool_max: 1GiB }}\ncollector: {{ url: \"{}\" }}\n",
        down.url()
    ));
    let mut daemon = home.setup().args(["--ring-bytes", "67108864"]).start();
    let began = Instant::now();
    let mark = mark();
    let mut storm = Actor::start(ACTOR, &format!("forks {PACE}"), &mark);
    let mut accepted = BTreeSet::new();
    let share = at_most / (KILLS + 1);
    for kill in 1..=KILLS {
        let pause = share.mul_f64(0.5 + random.below(1000) as f64 / 1000.0);
        let target = events * u64::from(kill) / u64::from(KILLS + 1);
        let until = Instant::now() + pause;
        while Instant::now() < until && daemon.stream.last_seq() < target {
            std::thread::sleep(Duration::from_millis(200));
        }
        // What the history shows is on disk: whatever comes now, it has to arrive.
        let shown = shown(&daemon);
        accepted.extend(shown.iter().map(|event| id(event).to_owned()));
        std::thread::sleep(Duration::from_millis(random.below(1500)));
        daemon.crash(|| std::thread::sleep(Duration::from_millis(random.below(300))));
    }
    while daemon.stream.last_seq() < events && began.elapsed() < at_most {
        std::thread::sleep(Duration::from_millis(200));
    }
    storm.finish();
    // Until everything that was told lies on disk.
    wait_until("the last event on disk", Duration::from_mins(2), || {
        status(&daemon).is_some_and(|status| status["spool"]["unwritten"] == 0)
    });
    let kept: Vec<String> = history(&daemon, None).iter().map(|event| id(event).to_owned()).collect();
    let waiting = status(&daemon).and_then(|status| status["collectors"][0]["queued_events"].as_u64()).unwrap();
    assert!(waiting >= kept.len() as u64, "{waiting} wait, {} are kept", kept.len());

    // It is asked again within a minute at the latest.
    let collector = down.up([]);
    wait_until("the backlog at the collector", Duration::from_mins(3), || is_caught_up(&daemon));
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(collector.faults(), Vec::<String>::new());
    let arrived = collector.take_accepted();
    let by_seq = check_stream(&arrived);
    accepted.extend(kept);
    let ids: BTreeSet<&str> = by_seq.values().map(|event| id(event)).collect();
    let missing: Vec<&String> = accepted.iter().filter(|accepted| !ids.contains(accepted.as_str())).collect();
    assert!(missing.is_empty(), "{} accepted events did not arrive, such as {:?}", missing.len(), missing.first());
    let crashes = by_seq.values().filter(|event| event.text("where") == "stamp" && event.text("reason") == "crash");
    assert_eq!(crashes.count(), KILLS as usize, "each death leaves a gap that is told");
    println!(
        "{} events arrived ({} repeats), {} were known to be accepted, in {:?}",
        by_seq.len(),
        arrived.len() - by_seq.len(),
        accepted.len(),
        began.elapsed()
    );
    assert!(by_seq.len() > 5000, "{} events are no storm", by_seq.len());
}

#[test]
fn an_outage_with_five_deaths_loses_nothing_that_was_accepted() {
    outage(200_000, Duration::from_secs(20));
}

#[test]
#[ignore = "takes minutes on a small machine; the one above is the same as far as it gets in twenty seconds"]
fn the_same_with_all_of_200_000_events() {
    outage(200_000, Duration::from_mins(15));
}

/// The collector takes each batch and answers when the daemon that sent it is dead.
#[test]
fn what_is_acknowledged_after_a_death_comes_twice_with_equal_ids() {
    let mut random = Random::new();
    let collector = Collector::start([]);
    let home = Home::new(&format!(
        "events: {{ processes: all, forks: true, args: false }}\ncollector: {{ url: \"{}\" }}\n",
        collector.url()
    ));
    let mut daemon = home.setup().start();
    let mark = mark();
    let mut storm = Actor::start(ACTOR, &format!("forks {PACE}"), &mark);
    let mut accepted = BTreeSet::new();
    for _ in 0..KILLS {
        std::thread::sleep(Duration::from_millis(random.below(1000)));
        collector.hold();
        wait_until("a batch that is taken and not answered", Duration::from_secs(30), || collector.held() > 0);
        accepted.extend(shown(&daemon).iter().map(|event| id(event).to_owned()));
        std::thread::sleep(Duration::from_millis(random.below(300)));
        daemon.crash(|| collector.release());
    }
    storm.finish();
    wait_until("the backlog at the collector", Duration::from_mins(2), || is_caught_up(&daemon));
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(collector.faults(), Vec::<String>::new());
    let arrived = collector.take_accepted();
    let by_seq = check_stream(&arrived);
    let ids: BTreeSet<&str> = by_seq.values().map(|event| id(event)).collect();
    assert_eq!(ids.len(), by_seq.len(), "a number has one id");
    let missing: Vec<&String> = accepted.iter().filter(|accepted| !ids.contains(accepted.as_str())).collect();
    assert!(missing.is_empty(), "{} accepted events did not arrive, such as {:?}", missing.len(), missing.first());
    let repeats = arrived.len() - by_seq.len();
    println!("{} events arrived, {repeats} repeats", by_seq.len());
    assert!(repeats >= KILLS as usize, "{repeats}: each death leaves a batch that comes again");
}

#[test]
fn what_a_collector_rejects_is_kept_as_dead_letters_and_told() {
    let collector = Collector::start([400]);
    let home = Home::new("");
    let mut daemon = home.setup().args(["--collector", &collector.url()]).start();
    let lost = daemon.wait_for("the rejection", |event| {
        event.name() == "procprobe.agent.lost" && event.text("where") == "forward" && event.text("reason") == "rejected"
    });
    assert!(lost.number("count") > Some(0), "{}", lost.0);
    assert_eq!(daemon.stop(), Some(0));
    let dead = fs::read_to_string(home.state().join("dead/dead.ndjson")).unwrap();
    assert!(dead.lines().next().unwrap().contains("HTTP 400") && dead.contains("procprobe.agent.started"), "{dead}");
    let arrived = collector.accepted();
    assert!(arrived.iter().any(|event| event.0 == lost.0), "the telling arrives");
    check_stream(&arrived);
}

#[test]
fn a_reload_changes_collectors() {
    let first = Collector::start([]);
    let second = Collector::start([]);
    let home = Home::new(&format!("collector: {{ url: \"{}\" }}\n", first.url()));
    let mut daemon = home.setup().start();
    wait_until("the start at the first", Duration::from_secs(20), || !first.accepted().is_empty());
    home.configure(&format!("collector: [{{ url: \"{}\" }}, {{ url: \"{}\" }}]\n", first.url(), second.url()));
    daemon.reload();
    let is_reload = |event: &Event| event.name() == "procprobe.agent.reloaded";
    wait_until("the reload at both", Duration::from_secs(20), || {
        [&first, &second].iter().all(|collector| collector.accepted().iter().any(is_reload))
    });
    assert!(
        second.accepted().iter().all(|event| event.name() != "procprobe.agent.started"),
        "it begins with what comes"
    );
    home.configure(&format!("collector: {{ url: \"{}\" }}\n", second.url()));
    daemon.reload();
    wait_until("the second reload", Duration::from_secs(20), || {
        second.accepted().iter().filter(|event| is_reload(event)).count() == 2
    });
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(first.accepted().iter().filter(|event| is_reload(event)).count(), 1, "it is no longer asked");
    check_stream(&first.accepted());
}
