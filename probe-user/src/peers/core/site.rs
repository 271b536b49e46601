//! One node of a site: what it knows, and the order in which it acts.

use std::sync::Arc;
use std::time::Duration;

use crate::time::KTime;

use super::budget::Budget;
use super::collector::Vouching;
use super::gossip::Queue;
use super::myself::Voice;
use super::path::Watch;
use super::probe::Probe;
use super::quorum::Quorum;
use super::random::Random;
use super::relay::Relay;
use super::sync::Comparison;
use super::table::{Handle, ME, Peer, Standing, Table};
use super::{Effect, Health, Input, Member, PeerId, Reach, Record, Refused, Settings, Signer, State, View, What, Why};

/// Where effects go.
pub(super) type Out<'a> = &'a mut Vec<Effect>;

/// How often a node with cases looks after them; without any, once in a period.
const CASES_EVERY: Duration = Duration::from_millis(250);
/// A tick that is late by so much means that the node stood still.
const LAG: Duration = Duration::from_millis(500);

/// The least time between two ticks.
const PAUSE: Duration = Duration::from_millis(1);

/// What a node did, to be looked at from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Statements that it signed about others.
    pub stated: u64,
    /// Times it noticed that it had stood still.
    pub lagged: u64,
}

/// One node of a site.
pub struct Site {
    pub(super) set: Settings,
    pub(super) signer: Box<dyn Signer>,
    pub(super) random: Random,
    pub(super) table: Table,
    pub(super) budget: Budget,
    pub(super) refused: Refused,
    pub(super) counts: Counts,
    pub(super) probes: Vec<Probe>,
    pub(super) relays: Vec<Relay>,
    pub(super) order: Vec<Handle>,
    pub(super) turn: usize,
    pub(super) next_turn: KTime,
    pub(super) seq: u32,
    pub(super) score: u32,
    pub(super) news: Queue,
    pub(super) next_gossip: Option<KTime>,
    pub(super) cases: Vec<Handle>,
    pub(super) quorum: Quorum,
    pub(super) voice: Voice,
    pub(super) reach: Reach,
    pub(super) vouching: Vouching,
    pub(super) comparison: Comparison,
    pub(super) watched: Vec<Watch>,
    pub(super) next_heal: KTime,
    pub(super) healing_until: KTime,
    pub(super) next_sweep: KTime,
    next_house: KTime,
    /// The message at hand is a list that was asked for.
    pub(super) comparing: bool,
    pub(super) left: bool,
    pub(super) dirty: bool,
    id: PeerId,
    due: KTime,
}

impl Site {
    /// A node that knows only itself. What does not fit of its texts and labels is cut ([`Member::check`] says before what
    /// would be). `me.incarnation` should be above that of earlier runs (seconds since 1970 will do).
    pub fn new(mut me: Member, settings: Settings, seed: u64, now: KTime, signer: Box<dyn Signer>) -> Self {
        me.fit();
        me.started_ns = now.0;
        me.up_ns = now.0;
        me.leaving = None;
        let id = me.id();
        let mut random = Random::new(seed);
        let mut table = Table::new(random.number());
        // The first one always fits.
        let _ = table.insert(Arc::new(Record::signed(me, &*signer)), now);
        let first_turn = now.after(settings.period.mul_f64(random.below(1000) as f64 / 1000.0));
        Self {
            budget: Budget::new(random.number()),
            // What an earlier run was asked must not answer this one.
            seq: u32::try_from(random.number() >> 32).unwrap_or(0),
            next_heal: now.after(random.around(settings.heal_period)),
            next_house: now.after(settings.period),
            set: settings,
            signer,
            random,
            table,
            refused: Refused::default(),
            counts: Counts::default(),
            probes: Vec::new(),
            relays: Vec::new(),
            order: Vec::new(),
            turn: 0,
            next_turn: first_turn,
            score: 0,
            news: Queue::default(),
            next_gossip: None,
            cases: Vec::new(),
            quorum: Quorum::default(),
            voice: Voice::default(),
            reach: Reach::Unknown,
            vouching: Vouching::default(),
            comparison: Comparison::default(),
            watched: Vec::new(),
            healing_until: now,
            next_sweep: now,
            comparing: false,
            left: false,
            dirty: false,
            id,
            due: first_turn,
        }
    }

    /// Takes in members from an earlier run, or from whoever is trusted: nothing is verified or told.
    pub fn recall(&mut self, now: KTime, records: &[Arc<Record>]) {
        for record in records {
            let id = record.member.id();
            if id == self.id || self.table.find(&id).is_some() {
                continue;
            }
            match self.table.insert(Arc::clone(record), now) {
                Ok(handle) => self.order.push(handle),
                Err(why) => self.not_taken(why),
            }
        }
        self.random.shuffle(&mut self.order);
    }

    /// What is known about everyone, this node included, to be kept for [`Site::recall`].
    pub fn records(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.table.iter().map(|(_, peer)| &peer.record)
    }

    /// Takes in one input; what is to be done is added to `effects`.
    pub fn step(&mut self, now: KTime, input: Input<'_>, effects: &mut Vec<Effect>) {
        if self.left {
            return;
        }
        self.notice_lag(now);
        match input {
            Input::Tick => {}
            Input::Packet { from, bytes, reliable } => self.receive(now, from, bytes, reliable, effects),
            Input::Join(seeds) => self.join(now, seeds, effects),
            Input::HostAnswered { peer, asked, answered } => self.host_answered(now, peer, asked, answered, effects),
            Input::Collector(reach) => self.set_reach(now, reach, effects),
            Input::Leaving(why) => self.leave(now, why, effects),
            Input::Relabel { zone, labels } => self.relabel(now, zone, labels, effects),
        }
        if now >= self.due {
            self.act(now, effects);
        }
        // Whatever is overdue, it does not ask to be woken without a pause.
        self.due = self.next_due().max(now.after(PAUSE));
        if std::mem::take(&mut self.dirty) {
            effects.push(Effect::Changed);
        }
    }

    /// When it wants [`Input::Tick`].
    pub fn next(&self) -> Option<KTime> {
        (!self.left).then_some(self.due)
    }

    /// Does what is due.
    fn act(&mut self, now: KTime, out: Out<'_>) {
        self.look_after_probes(now, out);
        self.look_after_relays(now, out);
        self.refute_if_due(now, out);
        self.take_turn(now, out);
        self.gossip(now, out);
        self.ask_to_vouch(now, out);
        if now >= self.next_house {
            self.next_house = self.house_after(now);
            self.look_at_quorum(now, out);
            self.look_after_cases(now, out);
            self.watch_paths(now, out);
            self.drop_silent_clients(now);
            self.heal(now, out);
            self.ask_seeds_if_due(now, out);
            self.sweep(now, out);
        }
    }

    /// Where nothing is the matter the house is looked after together with the next probe: one thing to wake up for.
    fn house_after(&self, now: KTime) -> KTime {
        if !self.cases.is_empty() {
            return now.after(CASES_EVERY);
        }
        let soon = self.next_turn > now && self.next_turn <= now.after(self.set.period);
        if soon { self.next_turn } else { now.after(self.set.period) }
    }

    fn next_due(&self) -> KTime {
        let soonest = self.next_turn.min(self.next_house);
        let others = [self.next_probe(), self.next_gossip, self.next_refutation(), self.next_vouch()];
        others.into_iter().flatten().fold(soonest, KTime::min)
    }

    /// Cases want to be looked after soon.
    pub(super) fn wants_house(&mut self, now: KTime) {
        self.next_house = self.next_house.min(now.after(CASES_EVERY));
    }

    /// A node that stood still has heard nobody, and that is nobody's fault but its own.
    fn notice_lag(&mut self, now: KTime) {
        let lag = now.since(self.due);
        if lag < LAG || !self.set.lifeguard {
            return;
        }
        self.counts.lagged += 1;
        self.void_probes();
        self.forget_outcomes();
        self.begin_anew(now);
        self.score = (self.score + 1).min(8);
        self.next_turn = now.after(self.set.timeout);
        self.due = now;
    }

    /// A new member is probed in some round to come, as everyone.
    pub(super) fn enlist(&mut self, handle: Handle) {
        let place = self.random.below(self.order.len() + 1);
        self.order.push(handle);
        let last = self.order.len() - 1;
        self.order.swap(place, last);
    }

    pub(super) fn id(&self) -> PeerId {
        self.id
    }

    /// Everyone it knows, itself first.
    pub fn members(&self) -> impl Iterator<Item = View<'_>> {
        self.table.iter().map(|(handle, peer)| self.view(handle, peer))
    }

    fn view<'a>(&'a self, handle: Handle, peer: &'a Peer) -> View<'a> {
        let case = peer.case.as_ref().filter(|case| case.verdict.is_some());
        let path = if handle == ME {
            self.own_incident()
        } else {
            let watched = self.watched.iter().find(|watch| watch.target == handle).and_then(|watch| watch.incident);
            watched.or_else(|| self.vouched_incident(handle))
        };
        View {
            member: &peer.record.member,
            state: match peer.standing {
                Standing::Alive => State::Alive,
                Standing::Suspect => State::Suspect,
                Standing::Down => State::Down,
                Standing::Left => State::Left(peer.record.member.leaving.unwrap_or(Why::Stop)),
            },
            verdict: case.and_then(|case| case.verdict).or(path.map(|_| What::PathDown)),
            incident: case.map(|case| case.incident).or(path),
            since: peer.since,
            heard: (peer.heard != KTime(0)).then_some(peer.heard),
            round_trip: (peer.round_trip_us != 0).then(|| Duration::from_micros(peer.round_trip_us.into())),
            collector: peer.reach,
            myself: handle == ME,
        }
    }

    /// How it fares itself.
    pub fn health(&self) -> Health {
        let (reached, asked) = self.reached(self.due);
        Health {
            score: self.score,
            reached,
            asked,
            isolated: self.is_isolated(),
            living: u32::try_from(self.table.living()).unwrap_or(u32::MAX),
            refused: self.refused,
        }
    }

    /// What it did.
    pub fn counts(&self) -> Counts {
        self.counts
    }
}
