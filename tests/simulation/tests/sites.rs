//! Whole sites: what must hold whatever happens, over a smaller number of seeds than `cargo xtask simulate` plays.

use procprobe_simulation::core::{Kind as VerdictKind, Settings, What};
use procprobe_simulation::network::{Links, MS, Network, SEC};
use procprobe_simulation::outcome::{Outcome, permille, run};
use procprobe_simulation::script::{Kind, Script};
use procprobe_simulation::world::{Deed, World};

/// Plays a kind of trouble over some seeds; what must hold always is held here, the rest by the caller.
fn check(kind: Kind, seeds: std::ops::Range<u64>, hosts: impl Fn(u64) -> usize) -> Vec<Outcome> {
    let play = |seed| {
        let script = Script::new(seed, kind, hosts(seed));
        let outcome = run(&script, Settings::default());
        let what = format!("seed {seed} {kind:?}, {} hosts", script.zones.len());
        assert!(outcome.false_down.is_empty(), "{what}: {:?}", outcome.false_down);
        assert!(outcome.not_put_right.is_empty(), "{what}: {:?}", outcome.not_put_right);
        assert!(outcome.missed.is_empty(), "{what}: {:?}", outcome.missed);
        assert_eq!(outcome.split, 0, "{what}");
        assert!(outcome.reused.is_empty(), "{what}: {:?}", outcome.reused);
        outcome
    };
    seeds.map(play).collect()
}

fn small(seed: u64) -> usize {
    usize::try_from(5 + seed * 7 % 56).unwrap_or(5)
}

fn told(outcomes: &[Outcome], kind: VerdictKind, what: What) -> usize {
    outcomes.iter().filter_map(|outcome| outcome.verdicts.get(&(kind, what))).sum()
}

fn median(outcomes: &[Outcome]) -> u64 {
    let mut detections: Vec<u64> = outcomes
        .iter()
        .flat_map(|outcome| outcome.detections.iter().chain(&outcome.agent_detections).copied())
        .collect();
    assert!(!detections.is_empty());
    permille(&mut detections, 500)
}

#[test]
fn the_same_seed_is_the_same_run() {
    let play = |seed| run(&Script::new(seed, Kind::Mixed, 20), Settings::default()).trace;
    assert_eq!(play(3), play(3));
    assert_ne!(play(3), play(4));
}

#[test]
fn nothing_happens_where_nothing_happens() {
    let quiet = check(Kind::Quiet, 0..20, small);
    let slow = check(Kind::Slow, 0..20, small);
    for outcome in quiet.iter().chain(&slow) {
        assert!(outcome.verdicts.keys().all(|(_, what)| *what == What::PathDown), "{:?}", outcome.verdicts);
    }
}

#[test]
fn every_survivor_calls_a_dead_host_down_soon() {
    let outcomes = check(Kind::Death, 0..25, small);
    assert!(median(&outcomes) <= 10 * SEC);
    let large = check(Kind::Death, 0..3, |_| 200);
    assert!(median(&large) <= 10 * SEC);
    assert_eq!(told(&outcomes, VerdictKind::Down, What::AgentDown), 0);
}

#[test]
fn a_dead_daemon_is_told_from_a_dead_host() {
    let outcomes = check(Kind::AgentDeath, 0..20, small);
    assert!(median(&outcomes) <= 10 * SEC);
    assert_eq!(told(&outcomes, VerdictKind::Down, What::HostDown), 0);
}

#[test]
fn what_comes_back_has_recovered() {
    let outcomes = check(Kind::Crash, 0..20, small);
    let down = told(&outcomes, VerdictKind::Down, What::HostDown);
    assert!(down > 0);
    assert_eq!(told(&outcomes, VerdictKind::Recovered, What::HostDown), down);
    assert_eq!(told(&outcomes, VerdictKind::Reclassified, What::PathDown), 0);
    check(Kind::Restart, 0..20, small);
}

#[test]
fn whoever_says_goodbye_is_no_outage() {
    let outcomes = check(Kind::Farewell, 0..20, small);
    for what in [What::HostDown, What::AgentDown, What::Unknown] {
        assert_eq!(told(&outcomes, VerdictKind::Down, what), 0, "{what:?}");
    }
}

#[test]
fn a_part_that_is_cut_off_is_not_down() {
    for kind in [Kind::ZoneCut, Kind::Split] {
        let outcomes = check(kind, 0..20, small);
        assert!(told(&outcomes, VerdictKind::Down, What::Unknown) > 0, "{kind:?}");
        assert_eq!(told(&outcomes, VerdictKind::Down, What::HostDown), 0, "{kind:?}");
    }
}

#[test]
fn whoever_reaches_some_is_not_down() {
    check(Kind::Partial, 0..20, small);
    check(Kind::HalfHost, 0..20, small);
}

#[test]
fn one_that_was_cut_off_from_all_is_put_right() {
    let outcomes = check(Kind::Isolated, 0..20, small);
    let called: usize = outcomes.iter().map(|outcome| outcome.isolated_down).sum();
    assert!(called > 0);
    // Those who lost sight of everybody called some unknown; that is put right as well.
    let unknown = told(&outcomes, VerdictKind::Down, What::Unknown);
    assert_eq!(told(&outcomes, VerdictKind::Reclassified, What::PathDown), called + unknown);
}

#[test]
fn who_has_lost_the_collector_is_vouched_for() {
    let outcomes = check(Kind::Collector, 0..12, small);
    assert!(outcomes.iter().map(|outcome| outcome.vouched).sum::<usize>() > 0);
    assert_eq!(told(&outcomes, VerdictKind::Down, What::HostDown), 0);
}

#[test]
fn hostile_members_bring_nobody_down_and_hide_no_death() {
    let liars = check(Kind::Liar, 0..6, small);
    let flooders = check(Kind::Flooder, 0..6, small);
    assert!(median(&liars) <= 10 * SEC);
    assert!(median(&flooders) <= 10 * SEC);
}

#[test]
fn much_at_once_is_no_more_than_its_parts() {
    let outcomes = check(Kind::Mixed, 0..20, small);
    assert!(median(&outcomes) <= 12 * SEC);
}

#[test]
fn a_quiet_site_costs_little() {
    let zones: Vec<usize> = (0..200).map(|host| host % 5).collect();
    let links = Links { delay: MS, jitter: MS, ..Links::default() };
    let mut world = World::new(1, &zones, Network { links, cuts: Vec::new() }, Settings::default());
    (0..200).for_each(|host| world.plan(0, host, Deed::Start(None)));
    world.run_until(10 * SEC);
    world.traffic = procprobe_simulation::world::Traffic::default();
    world.run_until(70 * SEC);
    let each = |count: u64| count / 200 / 60;
    assert!(each(world.traffic.bytes) < 512, "{:?}", world.traffic);
    assert!(each(world.traffic.packets) <= 3, "{:?}", world.traffic);
}
