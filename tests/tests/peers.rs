//! Hosts that watch each other, for real: daemons in network namespaces, links cut and mended, and the right verdict on each
//! outage. One site for all of it, for it takes some time until hosts know each other.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::{Duration, Instant};

use procprobe_tests::event::Event;
use procprobe_tests::home::wait_until;
use procprobe_tests::site::Site;

/// For what must come; verdicts take about ten seconds.
const SOON: Duration = Duration::from_mins(1);

/// The events of the collector that fit, in the order in which they came.
fn arrived(site: &Site, fits: impl Fn(&Event) -> bool) -> Vec<Event> {
    site.collector.accepted().into_iter().filter(fits).collect()
}

/// Waits for an event of this name and verdict about a host to arrive.
fn wait_for_event(site: &Site, name: &str, peer: &str, verdict: &str) -> Event {
    let fits = |event: &Event| {
        event.name() == format!("procprobe.peer.{name}")
            && event.text("peer") == peer
            && event.text("verdict") == verdict
    };
    wait_until(&format!("{name} of {peer} as {verdict}"), SOON, || !arrived(site, fits).is_empty());
    arrived(site, fits).remove(0)
}

/// Everybody that runs holds this of a host.
fn all_hold(site: &Site, but: &[&str], peer: &str, verdict: &str) {
    for name in site.names().iter().filter(|name| !but.contains(&name.as_str())) {
        site.wait_for(name, &[(peer, verdict)], SOON);
    }
}

/// The open incidents of a host, as all that run see it.
fn incidents(site: &Site, but: &[&str], peer: &str) -> Vec<String> {
    let names = site.names();
    let running = names.iter().filter(|name| !but.contains(&name.as_str()));
    let mut found: Vec<String> =
        running.flat_map(|name| site.host(name).holds()).filter(|of| of.0 == peer).filter_map(|of| of.2).collect();
    found.sort();
    found.dedup();
    found
}

/// Downs of a host as this verdict.
fn downs(site: &Site, peer: &str, verdict: &str) -> usize {
    let fits = |event: &Event| {
        event.name() == "procprobe.peer.down" && event.text("peer") == peer && event.text("verdict") == verdict
    };
    arrived(site, fits).len()
}

const POLICY: &str =
    "peers:\n  hosts: { down: { max: 0 } }\n  agents: { match: { zone: a }, agents_down: { max: 0 } }\n";

#[test]
fn each_outage_gets_its_verdict() {
    let mut site = Site::new(&["a1", "a2", "a3", "a4", "b1", "b2"], &["b2"]);
    site.policy("a1", POLICY);
    // One of them has a bad cable all the time: it loses a fifth, doubles some, and everything comes late.
    site.lossy("b2", 20, 5, 40);
    for name in site.names() {
        site.start(&name);
    }
    let everybody = site.names();
    for name in &everybody {
        let expected: Vec<(&str, &str)> = everybody.iter().map(|other| (other.as_str(), "alive")).collect();
        site.wait_for(name, &expected, SOON);
    }
    a_partial_partition_is_a_path(&site);
    a_dead_daemon_is_no_dead_host(&mut site);
    a_clean_end_is_no_outage(&mut site);
    a_restart_is_no_outage(&mut site);
    a_host_without_its_collector_is_vouched_for(&site);
    a_zone_that_is_cut_off_is_unknown(&site);
    a_dead_host_is_down_and_one_that_lived_through_it_proves_that(&mut site);
    assert_eq!(downs(&site, "b2", "host_down"), 0, "a bad cable is no dead host");
    assert_eq!(site.collector.faults(), Vec::<String>::new());
}

fn a_partial_partition_is_a_path(site: &Site) {
    site.part("a1", "b1", true);
    site.wait_for("a1", &[("b1", "path_down")], SOON);
    site.wait_for("b1", &[("a1", "path_down")], SOON);
    site.part("a1", "b1", false);
    site.wait_for("a1", &[("b1", "alive")], SOON);
    site.wait_for("b1", &[("a1", "alive")], SOON);
    assert_eq!(downs(site, "b1", "host_down") + downs(site, "b1", "agent_down"), 0);
}

fn a_dead_daemon_is_no_dead_host(site: &mut Site) {
    site.kill("a3");
    all_hold(site, &["a3"], "a3", "agent_down");
    let told = wait_for_event(site, "down", "a3", "agent_down");
    let incident = told.text("incident").to_owned();
    assert_eq!(incidents(site, &["a3"], "a3"), std::slice::from_ref(&incident));
    let witnesses = told.attribute("witnesses").as_array().unwrap().clone();
    assert!(
        witnesses.iter().any(|witness| witness["evidence"].as_str().unwrap().contains("the host answers")),
        "{told:?}"
    );
    let daemon = site.host("a1").daemon();
    daemon.wait_for("the policy's alarm", |event| event.is_alarm("firing", "agents.agents_down.max"));
    site.start("a3");
    all_hold(site, &[], "a3", "alive");
    wait_until("its end", SOON, || {
        let over = |event: &Event| event.text("incident") == incident && event.name() != "procprobe.peer.down";
        !arrived(site, over).is_empty()
    });
    let daemon = site.host("a1").daemon();
    daemon.wait_for("the alarm's end", |event| event.is_alarm("resolved", "agents.agents_down.max"));
    assert_eq!(downs(site, "a3", "host_down"), 0);
}

fn a_clean_end_is_no_outage(site: &mut Site) {
    let before = downs(site, "a3", "agent_down");
    site.stop("a3");
    all_hold(site, &["a3"], "a3", "left");
    site.start("a3");
    all_hold(site, &[], "a3", "alive");
    assert_eq!(downs(site, "a3", "agent_down"), before);
}

fn a_restart_is_no_outage(site: &mut Site) {
    let counts = |site: &Site| {
        let about = |event: &Event| event.name().starts_with("procprobe.peer.") && event.text("peer") == "a2";
        arrived(site, about).len()
    };
    let before = counts(site);
    let since = Instant::now();
    site.kill("a2");
    site.start("a2");
    site.wait_for("a2", &[("a1", "alive"), ("b1", "alive")], SOON);
    // Longer than it takes until a silent host is judged.
    wait_until("some time", SOON, || since.elapsed() > Duration::from_secs(15));
    all_hold(site, &[], "a2", "alive");
    assert_eq!(counts(site), before, "nothing is said of a2");
}

fn a_host_without_its_collector_is_vouched_for(site: &Site) {
    site.cut("b1", 'm');
    let vouched = |event: &Event| event.name() == "procprobe.peer.vouched" && event.text("peer") == "b1";
    // It notices with the next event that it has to send, its heartbeat at the latest.
    wait_until("somebody to vouch for b1", SOON * 3, || !arrived(site, vouched).is_empty());
    let told = arrived(site, vouched).remove(0);
    assert!(told.number("peer.sequence").is_some() && !told.text("peer.proof").is_empty(), "{}", told.0);
    let daemon = site.host("b1").daemon();
    let is_down = || daemon.stream.events().iter().any(|event| event.name() == "procprobe.path.down");
    wait_until("b1 to say so itself", SOON * 2, is_down);
    site.mend("b1", 'm');
    let restored = |event: &Event| event.name() == "procprobe.path.restored" && event.0["host"]["host.name"] == "b1";
    wait_until("b1's path", SOON * 2, || !arrived(site, restored).is_empty());
    all_hold(site, &[], "b1", "alive");
    assert_eq!(downs(site, "b1", "host_down"), 0);
}

fn a_zone_that_is_cut_off_is_unknown(site: &Site) {
    site.zones(false);
    for name in ["a1", "a2", "a3", "a4"] {
        site.wait_for(name, &[("b1", "unknown"), ("b2", "unknown")], SOON * 2);
    }
    let isolated = |name: &str| site.host(name).peers()["me"]["summary"]["isolated"] == true;
    wait_until("the smaller part to speak of nobody", SOON * 2, || isolated("b1") && isolated("b2"));
    site.zones(true);
    for name in site.names() {
        let all: Vec<String> = site.names();
        let expected: Vec<(&str, &str)> = all.iter().map(|other| (other.as_str(), "alive")).collect();
        site.wait_for(&name, &expected, SOON * 2);
    }
    for peer in site.names() {
        assert_eq!(downs(site, &peer, "host_down"), 0, "{peer}");
    }
}

fn a_dead_host_is_down_and_one_that_lived_through_it_proves_that(site: &mut Site) {
    site.cut("a4", 'h');
    site.cut("a4", 'm');
    all_hold(site, &["a4"], "a4", "host_down");
    let told = wait_for_event(site, "down", "a4", "host_down");
    assert!(told.attribute("witnesses").as_array().unwrap().len() >= 2, "{}", told.0);
    let incident = told.text("incident").to_owned();
    assert_eq!(incidents(site, &["a4"], "a4"), std::slice::from_ref(&incident));
    // Whoever tells it, it is one incident.
    let others = arrived(site, |event| event.name() == "procprobe.peer.down" && event.text("peer") == "a4");
    assert!(others.iter().all(|event| event.text("incident") == incident), "{others:?}");
    site.host("a1").daemon().wait_for("the policy's alarm", |event| event.is_alarm("firing", "hosts.down.max"));
    // Nobody could have known better: it shows itself that only the way was gone.
    site.mend("a4", 'h');
    site.mend("a4", 'm');
    let shown = wait_for_event(site, "reclassified", "a4", "path_down");
    assert_eq!(shown.text("incident"), incident);
    assert!(shown.float("duration").is_some_and(|silence| silence > 1.0), "{}", shown.0);
    all_hold(site, &[], "a4", "alive");
    site.host("a1").daemon().wait_for("the alarm's end", |event| event.is_alarm("resolved", "hosts.down.max"));
    // Once more, and its daemon dies meanwhile: another incident, and the host has lived through it.
    site.cut("a4", 'h');
    site.cut("a4", 'm');
    site.kill("a4");
    all_hold(site, &["a4"], "a4", "host_down");
    let next = incidents(site, &["a4"], "a4");
    assert!(next.len() == 1 && next[0] != incident, "{next:?} after {incident}");
    site.mend("a4", 'h');
    site.mend("a4", 'm');
    site.start("a4");
    let shown = wait_for_event(site, "reclassified", "a4", "agent_down");
    assert_eq!(shown.text("incident"), next[0]);
    all_hold(site, &[], "a4", "alive");
}
