//! A bad week: the collector is down or late, the daemon dies at random moments, and still every event that was accepted
//! arrives, in order, and what did not make it is told.

use std::collections::BTreeSet;
use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use probe_user::stamp::BLOCK;
use procprobe_tests::account::Account;
use procprobe_tests::actor::Actor;
use procprobe_tests::collector::{Collector, Down};
use procprobe_tests::daemon::Daemon;
use procprobe_tests::event::Event;
use procprobe_tests::home::{Home, history_ids, status, wait_until};
use procprobe_tests::mark;
use procprobe_tests::random::Random;

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");

/// How often the daemon is killed.
const KILLS: u32 = 5;

/// Forks a second, two events each: what a busy machine with a daemon that is not optimised can follow.
const PACE: u32 = 1500;

/// One at a time: each daemon sees the storms of all.
static WEATHER: Mutex<()> = Mutex::new(());

/// What happens while the collector is down.
const EVENTS: u64 = 200_000;

/// A machine that is slow or busy tells fewer: then the outage ends here.
const AT_MOST: Duration = Duration::from_mins(4);

/// Ids of the last events that are on disk, some seconds of them: more where the daemon is that far behind.
fn shown(daemon: &Daemon) -> Vec<String> {
    let mut shown = ["3s", "20s", "2m"].into_iter().map(|since| history_ids(daemon, Some(since)));
    shown.find(|shown| !shown.is_empty()).unwrap_or_else(|| panic!("{}", daemon.stream.describe()))
}

/// Forks while this is done; then waits until the daemon answers again. More than a machine can follow would only show that.
fn storm(daemon: &mut Daemon, meanwhile: impl FnOnce(&mut Daemon)) {
    let mut forks = Actor::start(ACTOR, &format!("forks {PACE}"), &mark());
    meanwhile(daemon);
    forks.finish();
    wait_until("an answer", Duration::from_mins(2), || status(daemon).is_some());
}

/// Waits until the collector has what was told by now. More comes all the time: other tests fork, too.
fn wait_for_backlog(daemon: &Daemon, collector: &Collector) {
    let reached = daemon.stream.last_seq();
    wait_until("the backlog at the collector", Duration::from_mins(5), || collector.last_seq() >= reached);
}

/// Forks for a second.
fn squall(daemon: &mut Daemon) {
    storm(daemon, |_| std::thread::sleep(Duration::from_secs(1)));
}

/// The collector is down until [`EVENTS`] have been told, or until a slow machine's time is over.
#[test]
fn an_outage_of_200_000_events_with_five_deaths_loses_nothing_that_was_accepted() {
    let _alone = WEATHER.lock().unwrap_or_else(PoisonError::into_inner);
    let mut random = Random::new();
    let down = Down::reserve();
    let home = Home::new(&format!(
        "events: {{ processes: all, forks: true, args: false }}\nstate: {{ spool_max: 1GiB }}\ncollector: {{ url: \"{}\" }}\n",
        down.url()
    ));
    let mut daemon = home.setup().args(["--ring-bytes", "67108864"]).start();
    let began = Instant::now();
    let mut accepted = BTreeSet::new();
    let has_told = |daemon: &Daemon, events: u64| daemon.stream.last_seq() >= events || began.elapsed() > AT_MOST;
    for kill in 1..=KILLS {
        let target = EVENTS / u64::from(KILLS + 1) * u64::from(kill);
        let target = target - random.below(EVENTS / 20);
        while !has_told(&daemon, target) {
            squall(&mut daemon);
        }
        // What the history shows is on disk: whatever comes now, it has to arrive.
        accepted.extend(shown(&daemon));
        storm(&mut daemon, |daemon| {
            std::thread::sleep(Duration::from_millis(random.below(1500)));
            daemon.crash(|| std::thread::sleep(Duration::from_millis(random.below(300))));
        });
    }
    // Each death takes some numbers with it.
    while !has_told(&daemon, EVENTS + u64::from(KILLS) * BLOCK) {
        squall(&mut daemon);
    }
    println!("the storm is over after {:?}", began.elapsed());
    // Until everything that was told lies on disk.
    wait_until("the last event on disk", Duration::from_mins(2), || {
        status(&daemon).is_some_and(|status| status["spool"]["unwritten"] == 0)
    });
    let kept = history_ids(&daemon, None);
    let waiting = status(&daemon).and_then(|status| status["collectors"][0]["queued_events"].as_u64()).unwrap();
    assert!(waiting >= kept.len() as u64, "{waiting} wait, {} are kept", kept.len());
    println!("the history is read after {:?}", began.elapsed());

    let collector = down.up([]);
    // A daemon that starts now does not wait with its first request, as one does that has made many in vain.
    daemon.crash(|| ());
    wait_for_backlog(&daemon, &collector);
    println!("the collector has it after {:?}", began.elapsed());
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(collector.faults(), Vec::<String>::new());
    let account = Account::of(collector.take_lines());
    accepted.extend(kept);
    check_arrived(&account, &accepted);
    let crashes =
        account.own().iter().filter(|event| event.text("where") == "stamp" && event.text("reason") == "crash");
    assert_eq!(crashes.count(), KILLS as usize + 1, "each death leaves a gap that is told");
    println!("{} events arrived, {} were known to be accepted", account.len(), accepted.len());
    let least = if began.elapsed() > AT_MOST { 5000 } else { EVENTS };
    assert!(account.len() as u64 >= least, "{} events are no storm", account.len());
}

/// Whatever was seen on disk has arrived.
fn check_arrived(account: &Account, accepted: &BTreeSet<String>) {
    let ids: BTreeSet<&str> = account.ids().collect();
    assert_eq!(ids.len(), account.len(), "a number has one id");
    let missing: Vec<&String> = accepted.iter().filter(|accepted| !ids.contains(accepted.as_str())).collect();
    assert!(missing.is_empty(), "{} accepted events did not arrive, such as {:?}", missing.len(), missing.first());
}

/// The collector takes each batch and answers when the daemon that sent it is dead.
#[test]
fn what_is_acknowledged_after_a_death_comes_twice_with_equal_ids() {
    let _alone = WEATHER.lock().unwrap_or_else(PoisonError::into_inner);
    let mut random = Random::new();
    let collector = Collector::start([]);
    let home = Home::new(&format!(
        "events: {{ processes: all, forks: true, args: false }}\ncollector: {{ url: \"{}\" }}\n",
        collector.url()
    ));
    let mut daemon = home.setup().start();
    let mut accepted = BTreeSet::new();
    for _ in 0..KILLS {
        storm(&mut daemon, |_| {
            std::thread::sleep(Duration::from_millis(random.below(1000)));
            collector.hold();
            wait_until("a batch that is taken and not answered", Duration::from_mins(1), || collector.held() > 0);
        });
        accepted.extend(shown(&daemon));
        daemon.crash(|| collector.release());
    }
    wait_for_backlog(&daemon, &collector);
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(collector.faults(), Vec::<String>::new());
    let account = Account::of(collector.take_lines());
    check_arrived(&account, &accepted);
    println!("{} events arrived, {} came again", account.len(), account.repeats);
    assert!(account.repeats >= KILLS as usize, "each death leaves a batch that comes again");
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
    let account = Account::of(collector.take_lines());
    assert!(account.own().contains(&lost), "the telling arrives");
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
    Account::of(first.take_lines());
}
