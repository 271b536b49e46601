//! `simulate [--seeds N] [--first N] [--kind KIND] [--hosts N] [--lifeguard-only]`: many runs, and what came of them.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use procprobe_simulation::core::Settings;
use procprobe_simulation::network::{Links, Network, SEC};
use procprobe_simulation::outcome::{Outcome, permille, run};
use procprobe_simulation::script::{KINDS, Kind, Script};
use procprobe_simulation::world::{Deed, World};

struct Options {
    seeds: u64,
    first: u64,
    kind: Option<Kind>,
    hosts: Option<usize>,
    verbose: bool,
    /// Only with it.
    on: bool,
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        eprintln!("simulate [--seeds N] [--first N] [--kind KIND] [--hosts N] [--lifeguard-only] [--verbose]");
        return ExitCode::from(2);
    };
    let mut fine = true;
    for lifeguard in [true, false].into_iter().take(if options.on { 1 } else { 2 }) {
        let settings = Settings { lifeguard, ..Settings::default() };
        let began = std::time::Instant::now();
        let outcomes = all(&options, &settings);
        println!(
            "\nLifeguard {}: {} runs in {:.0?}",
            if lifeguard { "on" } else { "off" },
            outcomes.len(),
            began.elapsed()
        );
        fine &= show(&outcomes, options.verbose) || !lifeguard;
    }
    if options.kind.is_none() {
        quiet(1_000);
    }
    if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn options() -> Option<Options> {
    let mut options = Options { seeds: 1_000, first: 1, kind: None, hosts: None, verbose: false, on: false };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seeds" => options.seeds = arguments.next()?.parse().ok()?,
            "--first" => options.first = arguments.next()?.parse().ok()?,
            "--hosts" => options.hosts = Some(arguments.next()?.parse().ok()?),
            "--kind" => {
                let name = arguments.next()?.to_lowercase();
                options.kind = Some(*KINDS.iter().find(|kind| format!("{kind:?}").to_lowercase() == name)?);
            }
            "--lifeguard-only" => options.on = true,
            "--verbose" => options.verbose = true,
            _ => return None,
        }
    }
    Some(options)
}

/// How many hosts a run has: most are small, one in 32 is large, four of a thousand have a thousand.
fn size(seed: u64) -> usize {
    let seed = usize::try_from(seed).unwrap_or(0);
    match seed {
        _ if seed % 250 == 17 => 1_000,
        _ if seed % 125 == 51 => 500,
        _ if seed % 31 == 5 => 100 + seed % 151,
        _ => 5 + seed * 7 % 56,
    }
}

fn all(options: &Options, settings: &Settings) -> Vec<(Script, Outcome)> {
    let next = AtomicU64::new(options.first);
    let done = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= options.first + options.seeds {
                        return;
                    }
                    let place = usize::try_from(seed).unwrap_or(0) % KINDS.len();
                    let kind = options.kind.unwrap_or(KINDS[place]);
                    let script = Script::new(seed, kind, options.hosts.unwrap_or(size(seed)));
                    let outcome = run(&script, settings.clone());
                    if let Ok(mut done) = done.lock() {
                        done.push((script, outcome));
                    }
                }
            });
        }
    });
    let mut outcomes = done.into_inner().unwrap_or_default();
    outcomes.sort_by_key(|(script, _)| script.seed);
    outcomes
}

fn show(outcomes: &[(Script, Outcome)], verbose: bool) -> bool {
    println!(
        "{:<11} {:>5} {:>6} {:>6} {:>6} {:>6} {:>6} {:>8} {:>8} {:>8}",
        "kind", "runs", "false", "agent", "missed", "split", "wrong", "stated", "median", "p99"
    );
    let mut kinds: BTreeMap<Kind, Vec<&(Script, Outcome)>> = BTreeMap::new();
    for outcome in outcomes {
        kinds.entry(outcome.0.kind).or_default().push(outcome);
    }
    for (kind, runs) in &kinds {
        line(&format!("{kind:?}"), runs);
    }
    let every: Vec<_> = outcomes.iter().collect();
    line("all", &every);
    let large: Vec<_> = outcomes.iter().filter(|(script, _)| script.zones.len() >= 500).collect();
    line("500 up", &large);
    let sum = |count: fn(&Outcome) -> usize| outcomes.iter().map(|(_, outcome)| count(outcome)).sum::<usize>();
    let hours = outcomes.iter().map(|(_, outcome)| outcome.host_seconds).sum::<u64>() as f64 / 3600.0;
    let falsely = sum(|outcome| outcome.false_down.len());
    println!("living hosts called host_down: {falsely} in {hours:.0} host hours");
    println!(
        "hosts cut off from all called host_down: {} times, not put right: {}",
        sum(|outcome| outcome.isolated_down),
        sum(|outcome| outcome.not_put_right.len())
    );
    println!("outages under the name of an earlier one: {}", sum(|outcome| outcome.reused.len()));
    let mut verdicts = BTreeMap::new();
    for (_, outcome) in outcomes {
        for ((kind, what), count) in &outcome.verdicts {
            *verdicts.entry(format!("{kind:?} {what:?}")).or_insert(0) += count;
        }
    }
    println!("verdicts: {verdicts:?}, vouched: {}", sum(|outcome| outcome.vouched));
    for (script, outcome) in outcomes {
        let bad =
            [&outcome.false_down, &outcome.missed, &outcome.not_put_right, &outcome.wrong_at_end, &outcome.reused];
        for (name, what) in ["false", "missed", "not put right", "wrong at the end", "named again"].iter().zip(bad) {
            if let Some(first) = what.first() {
                let loss = script.network.links.loss / 10_000;
                let hosts = script.zones.len();
                println!("seed {} {:?} {hosts} hosts, {loss} % lost: {name} {}", script.seed, script.kind, what.len());
                if verbose {
                    println!("    {first}");
                }
            }
        }
    }
    let mut detections: Vec<u64> = outcomes.iter().flat_map(|(_, outcome)| outcome.detections.clone()).collect();
    falsely == 0
        && sum(|outcome| outcome.not_put_right.len() + outcome.missed.len() + outcome.split + outcome.reused.len()) == 0
        && permille(&mut detections, 500) <= 10 * SEC
}

fn line(name: &str, runs: &[&(Script, Outcome)]) {
    let sum = |count: fn(&Outcome) -> usize| runs.iter().map(|(_, outcome)| count(outcome)).sum::<usize>();
    let mut detections: Vec<u64> = runs
        .iter()
        .flat_map(|(_, outcome)| outcome.detections.iter().chain(&outcome.agent_detections).copied())
        .collect();
    let secs = |value: u64| format!("{:.1} s", value as f64 / SEC as f64);
    println!(
        "{name:<11} {:>5} {:>6} {:>6} {:>6} {:>6} {:>6} {:>8} {:>8} {:>8}",
        runs.len(),
        sum(|outcome| outcome.false_down.len()),
        sum(|outcome| outcome.false_agent),
        sum(|outcome| outcome.missed.len()),
        sum(|outcome| outcome.split),
        sum(|outcome| outcome.wrong_at_end.len()),
        runs.iter().map(|(_, outcome)| outcome.false_statements).sum::<u64>(),
        secs(permille(&mut detections, 500)),
        secs(permille(&mut detections, 990)),
    );
}

/// What a quiet site costs.
fn quiet(hosts: usize) {
    let zones: Vec<usize> = (0..hosts).map(|host| host % 5).collect();
    let links = Links { delay: SEC / 1_000, jitter: SEC / 1_000, ..Links::default() };
    let mut world = World::new(1, &zones, Network { links, cuts: Vec::new() }, Settings::default());
    for host in 0..hosts {
        world.plan(0, host, Deed::Start(None));
    }
    world.run_until(10 * SEC);
    world.traffic = procprobe_simulation::world::Traffic::default();
    world.measure = true;
    world.run_until(70 * SEC);
    let per = |value: u64| value as f64 / hosts as f64 / 60.0;
    let traffic = &world.traffic;
    println!(
        "\nquiet site of {hosts}: {:.1} packets/s and {:.0} bytes/s sent by each (with seal, UDP and IP), {:.1} inputs/s, \
         {:.4} % of a core in the state machine (without signing and sealing)",
        per(traffic.packets),
        per(traffic.bytes),
        per(traffic.steps),
        per(traffic.busy_ns) / 1e7,
    );
}
