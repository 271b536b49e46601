//! One set of peers: who of it is there, and the state of each of its bounds.

use std::sync::Arc;

use super::super::group::REPEAT_MIN;
use super::super::held::{Change, Held};
use super::super::raise::Told;
use super::super::reload::says_the_same;
use super::super::restore::Standing;
use super::super::seen::SeenBound;
use super::super::status::{BoundStatus, PeerSetStatus, State, begun, nearness};
use crate::policy::alarms::bound_names;
use crate::policy::bound::Rule;
use crate::policy::spec::{Bound, HostFacts, Limit, Measure, PeerSet, Response};
use crate::record::{PeerStanding, PeerView};
use crate::time::KTime;

/// How many hosts are named as evidence.
const EVIDENCE_MAX: usize = 5;

/// One set.
#[derive(Debug)]
pub(super) struct SetState {
    pub(super) spec: PeerSet,
    pub(super) response: Arc<Response>,
    pub(super) bounds: Vec<PeerBound>,
    /// `None` before anything was told.
    pub(super) tally: Option<Tally>,
}

/// One bound.
#[derive(Debug)]
pub(super) struct PeerBound {
    pub(super) spec: Bound,
    pub(super) name: Arc<str>,
    pub(super) held: Held,
    /// At a reload: the state of a bound that said the same has come here.
    taken_over: bool,
}

/// Who is there.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tally {
    /// All that have not said that they end.
    pub(super) members: usize,
    pub(super) hosts_down: usize,
    pub(super) agents_down: usize,
    pub(super) left: usize,
    /// The first of those that are down, of either kind.
    pub(super) evidence: Vec<PeerView>,
}

impl Tally {
    fn of(spec: &PeerSet, members: &[PeerView]) -> Self {
        let mut tally = Self::default();
        for peer in members.iter().filter(|peer| spec.select.matches(peer)) {
            match peer.standing {
                PeerStanding::Left => tally.left += 1,
                PeerStanding::HostDown => tally.hosts_down += 1,
                PeerStanding::AgentDown => tally.agents_down += 1,
                PeerStanding::Alive | PeerStanding::PathDown | PeerStanding::Unknown => {}
            }
            if peer.standing != PeerStanding::Left {
                tally.members += 1;
            }
            let is_down = matches!(peer.standing, PeerStanding::HostDown | PeerStanding::AgentDown);
            if is_down && tally.evidence.len() < EVIDENCE_MAX {
                tally.evidence.push(peer.clone());
            }
        }
        tally
    }

    /// What a bound is held against; `None`: a share of nobody.
    fn value(&self, bound: &Bound) -> Option<f64> {
        let count = match bound.measure {
            Measure::Down => self.hosts_down,
            Measure::AgentsDown => self.agents_down,
            // The host of a daemon that is down lives.
            _ => self.members - self.hosts_down,
        };
        match bound.limit {
            Limit::Absolute(_) => Some(count as f64),
            Limit::HostShare(_) => (self.members > 0).then(|| count as f64 / self.members as f64),
        }
    }
}

impl SetState {
    pub(super) fn new(spec: &PeerSet, host: &HostFacts) -> Self {
        let repeat = spec.response.repeat.map(|repeat| repeat.max(REPEAT_MIN));
        let names = bound_names(&spec.name, spec.bounds.iter());
        let bounds = spec.bounds.iter().zip(names).map(|(bound, name)| PeerBound {
            spec: bound.clone(),
            name,
            held: Held::new(Rule::of(bound, host), repeat),
            taken_over: false,
        });
        Self { bounds: bounds.collect(), response: Arc::new(spec.response.clone()), spec: spec.clone(), tally: None }
    }

    /// Everybody, as they stand now.
    pub(super) fn take(&mut self, now: KTime, gate: KTime, members: &[PeerView], out: &mut Vec<Told>) {
        let tally = Tally::of(&self.spec, members);
        self.tally = Some(tally.clone());
        for position in 0..self.bounds.len() {
            let Some(bound) = self.bounds.get_mut(position) else { continue };
            let Some(value) = tally.value(&bound.spec) else { continue };
            bound.held.refresh(value);
            for change in bound.held.observe(now, value, gate) {
                self.turn(position, change, out);
            }
        }
    }

    /// The alarm of a bound was on before this engine was.
    pub(super) fn stand(&mut self, alarm: &Standing, now: KTime) -> bool {
        let Some(bound) = self.bounds.iter_mut().find(|bound| bound.name == alarm.name) else { return false };
        bound.held.stand(alarm, now);
        true
    }

    /// What was seen of each bound.
    pub(super) fn seen(&self) -> impl Iterator<Item = SeenBound> {
        self.bounds
            .iter()
            .map(|bound| SeenBound { share: bound.is_share(), ..SeenBound::of(&bound.name, &bound.spec, &bound.held) })
    }

    /// When time alone changes something.
    pub(super) fn next(&self, gate: KTime) -> Option<KTime> {
        self.bounds.iter().filter_map(|bound| bound.held.next(gate)).min()
    }

    /// Lets time pass.
    pub(super) fn advance(&mut self, until: KTime, gate: KTime, out: &mut Vec<Told>) {
        for position in 0..self.bounds.len() {
            let Some(bound) = self.bounds.get_mut(position) else { continue };
            for change in bound.held.advance(until, gate) {
                self.turn(position, change, out);
            }
        }
    }

    /// Gives what it knows to its successor; alarms that have none end.
    pub(super) fn hand_over(self, mut new: Option<&mut Self>, now: KTime, out: &mut Vec<Told>) {
        let same_hosts = new.as_ref().is_some_and(|new| new.spec.select.says_the_same(&self.spec.select));
        for (position, old) in self.bounds.iter().enumerate() {
            let same = |other: &&mut PeerBound| !other.taken_over && says_the_same(&other.spec, &old.spec);
            let heir = new.as_mut().filter(|_| same_hosts).and_then(|new| new.bounds.iter_mut().find(same));
            if let Some(heir) = heir {
                let (rule, repeat) = (*heir.held.rule(), heir.held.repeat());
                heir.taken_over = true;
                heir.held = old.held;
                heir.held.set_rule(rule, repeat);
            } else if let Some(since) = old.held.firing_since() {
                let raised = self.resolved(position, now, now.since(since), Some("policy removed"));
                out.extend(raised.map(Told::Alarm));
            }
        }
    }

    pub(super) fn status(&self, now: KTime) -> PeerSetStatus {
        let tally = self.tally.as_ref();
        let bounds = self.bounds.iter().map(|bound| {
            let value = tally.and_then(|tally| tally.value(&bound.spec));
            let state = State::of_phase(bound.held.phase());
            BoundStatus {
                name: bound.name.to_string(),
                measure: bound.spec.measure.as_str(),
                bound: bound.spec.side.as_str(),
                severity: bound.spec.severity,
                limit: bound.held.rule().limit,
                value,
                state: if value.is_none() { state.max(State::Unknown) } else { state },
                since_seconds: begun(bound.held.phase()).map(|since| now.since(since).as_secs_f64()),
                nearness: value.and_then(|value| nearness(bound.held.rule(), value)),
                within_seconds: None,
                lower_limit: false,
                dips_healed: bound.held.dips(),
                processes: None,
            }
        });
        PeerSetStatus {
            name: self.spec.name.to_string(),
            declared: self.spec.declared.to_string(),
            members: tally.map(|tally| tally.members),
            hosts_down: tally.map(|tally| tally.hosts_down),
            agents_down: tally.map(|tally| tally.agents_down),
            left: tally.map(|tally| tally.left),
            shares: self.bounds.iter().map(PeerBound::is_share).collect(),
            bounds: bounds.collect(),
        }
    }

    fn turn(&self, position: usize, change: Change, out: &mut Vec<Told>) {
        let raised = match change {
            Change::Fired { at, since, value } => self.firing(position, at, since, value, false),
            Change::Repeated { at, since, value } => self.firing(position, at, since, value, true),
            Change::Resolved { at, duration, .. } => self.resolved(position, at, duration, None),
        };
        out.extend(raised.map(Told::Alarm));
    }
}

impl PeerBound {
    /// Limit and values are shares of the set.
    pub(super) const fn is_share(&self) -> bool {
        matches!(self.spec.limit, Limit::HostShare(_))
    }
}
