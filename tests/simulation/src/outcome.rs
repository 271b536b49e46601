//! What came of a run, held against what was true in it.

use std::collections::{HashMap, HashSet};

use crate::core::{Kind, Settings, State, What};
use crate::network::SEC;
use crate::script::Script;
use crate::world::{Told, World, host_of};

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Verdicts `host_down` about hosts that lived and could be heard by somebody.
    pub false_down: Vec<String>,
    /// Verdicts `agent_down` about daemons that ran.
    pub false_agent: usize,
    /// Verdicts `host_down` about hosts that were cut off from all.
    pub isolated_down: usize,
    /// ...that were not reclassified to `path_down` afterwards.
    pub not_put_right: Vec<String>,
    /// How long after a host's death each survivor came to `host_down`, ns.
    pub detections: Vec<u64>,
    /// The same for daemons and `agent_down`.
    pub agent_detections: Vec<u64>,
    /// Survivors that did not come to the verdict.
    pub missed: Vec<String>,
    /// Outages that had more than one name.
    pub split: usize,
    /// Outages that somebody told under the name of one that was over for it.
    pub reused: Vec<String>,
    /// Living hosts that somebody at the end still does not hold alive, or dead ones that somebody does.
    pub wrong_at_end: Vec<String>,
    /// Statements that were signed where nobody died.
    pub false_statements: u64,
    /// Verdicts by kind.
    pub verdicts: HashMap<(Kind, What), usize>,
    /// Heartbeats that were vouched for.
    pub vouched: usize,
    /// A hash of all that happened.
    pub trace: u64,
    /// Hosts and seconds.
    pub host_seconds: u64,
}

/// Makes a run.
pub fn run(script: &Script, settings: Settings) -> Outcome {
    let mut world = script.world(settings);
    world.run_until(script.end);
    judge(script, &world)
}

fn judge(script: &Script, world: &World) -> Outcome {
    let mut outcome = Outcome { trace: world.trace, ..Outcome::default() };
    outcome.host_seconds = script.zones.len() as u64 * (script.end / SEC);
    outcome.vouched = world.vouched.len();
    if script.dead.is_empty() && script.mute.is_empty() && script.away.is_empty() {
        outcome.false_statements = world.stated;
    }
    let honest = |told: &&Told| !world.is_hostile(told.by);
    for told in world.told.iter().filter(honest) {
        let verdict = &told.verdict;
        *outcome.verdicts.entry((verdict.kind, verdict.what)).or_default() += 1;
        let Some(peer) = host_of(verdict.peer.addr.ip()) else { continue };
        let speaks_of_now = world
            .site(peer)
            .is_none_or(|site| site.members().next().is_some_and(|view| view.member.boot == verdict.peer.boot));
        if verdict.kind == Kind::Recovered || !script.is_there(peer, told.at) || !speaks_of_now {
            continue;
        }
        let what = format!("{} s: {} about {peer}, {verdict:?}", told.at / SEC, told.by);
        match verdict.what {
            What::HostDown if script.was_isolated(peer, told.at) => {
                outcome.isolated_down += 1;
                put_right(told, world, &mut outcome);
            }
            What::HostDown => outcome.false_down.push(what),
            What::AgentDown if verdict.kind == Kind::Down => {
                let mute = script.mute.iter().any(|(mute, from)| *mute == peer && told.at >= *from);
                outcome.false_agent += usize::from(!mute && script.kind != crate::script::Kind::Restart);
            }
            _ => {}
        }
    }
    names(world, &mut outcome);
    deaths(script, world, &mut outcome);
    look_at_end(script, world, &mut outcome);
    outcome
}

fn put_right(told: &Told, world: &World, outcome: &mut Outcome) {
    let right = world.told.iter().any(|later| {
        later.by == told.by
            && later.at > told.at
            && later.verdict.incident == told.verdict.incident
            && (later.verdict.kind, later.verdict.what) == (Kind::Reclassified, What::PathDown)
    });
    if !right {
        outcome.not_put_right.push(format!("{} about {}", told.by, told.verdict.peer.name));
    }
}

fn names(world: &World, outcome: &mut Outcome) {
    let mut over = HashSet::new();
    for told in &world.told {
        let name = (told.by, told.verdict.incident);
        if told.verdict.kind != Kind::Down {
            over.insert(name);
        } else if over.contains(&name) {
            outcome.reused.push(format!("{} s: {} about {}", told.at / SEC, told.by, told.verdict.peer.name));
        }
    }
}

fn deaths(script: &Script, world: &World, outcome: &mut Outcome) {
    let gone = script.dead.iter().map(|(host, at)| (*host, *at, What::HostDown));
    for (host, at, what) in gone.chain(script.mute.iter().map(|(host, at)| (*host, *at, What::AgentDown))) {
        let mut names = Vec::new();
        for survivor in
            (0..script.zones.len()).filter(|survivor| world.is_up(*survivor) && !world.is_hostile(*survivor))
        {
            let told = world.told.iter().find(|told| {
                let verdict = &told.verdict;
                told.by == survivor
                    && told.at >= at
                    && verdict.what == what
                    && verdict.kind != Kind::Recovered
                    && host_of(verdict.peer.addr.ip()) == Some(host)
            });
            match told {
                Some(told) => {
                    let taken = told.at - at;
                    if what == What::HostDown {
                        outcome.detections.push(taken);
                    } else {
                        outcome.agent_detections.push(taken);
                    }
                    if !names.contains(&told.verdict.incident) {
                        names.push(told.verdict.incident);
                    }
                }
                None => outcome.missed.push(format!("{survivor} about {host}, {what:?}")),
            }
        }
        outcome.split += usize::from(names.len() > 1);
    }
}

fn look_at_end(script: &Script, world: &World, outcome: &mut Outcome) {
    for observer in (0..script.zones.len()).filter(|host| world.is_up(*host) && !world.is_hostile(*host)) {
        let Some(site) = world.site(observer) else { continue };
        let mut seen = 0;
        for view in site.members() {
            let Some(host) = host_of(view.member.addr.ip()) else { continue };
            seen += 1;
            let up = world.site(host).is_some();
            let held_alive = matches!(view.state, State::Alive | State::Suspect);
            if up != held_alive {
                outcome.wrong_at_end.push(format!(
                    "{observer} holds {host} {:?}, it is up: {up}; {:?}",
                    view,
                    site.health()
                ));
            }
        }
        if seen != script.zones.len() {
            outcome.wrong_at_end.push(format!("{observer} knows {seen}"));
        }
    }
}

/// The value below which this part (of a thousand) of the values are.
pub fn permille(values: &mut [u64], part: usize) -> u64 {
    values.sort_unstable();
    values.get((values.len() * part / 1000).min(values.len().saturating_sub(1))).copied().unwrap_or(0)
}
