//! Probing: one member after the other, directly (twice), then through helpers and by TCP. Lifeguard's score of this node.

use crate::time::KTime;

use super::message::{Body, Told, begin};
use super::site::{Out, Site};
use super::table::{Handle, ME, Standing};
use super::{Effect, PeerId};

/// Probes under way.
const PROBES_MAX: usize = 128;
/// The worst score.
const SCORE_MAX: u32 = 8;
/// Why a member is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// It is its turn.
    Turn,
    /// Its turn's probe failed: once more before anybody is told.
    Doubt,
    /// This node is to be a witness.
    Duty,
    /// Others miss it: perhaps this node hears it.
    Opinion,
    /// To know whom this node reaches; directly only.
    Sample,
    /// To know whether the direct path is broken; directly only.
    Path,
    /// It is down or left: perhaps it is back; directly only.
    Heal,
}

impl Reason {
    fn is_direct_only(self) -> bool {
        matches!(self, Self::Sample | Self::Path | Self::Heal)
    }
}

/// A probe under way.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) target: Handle,
    id: PeerId,
    seq: u32,
    pub(super) reason: Reason,
    started: KTime,
    due: KTime,
    stage: Stage,
    helpers: u8,
    nacks: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Once,
    Twice,
    Helped,
}

/// How a probe was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Direct,
    Roundabout,
}

impl Site {
    /// How much the own timers are stretched.
    fn stretch(&self) -> u32 {
        if self.is_isolated() { 1 } else { 1 + self.score }
    }

    fn worse(&mut self, points: u32) {
        if self.set.lifeguard {
            self.score = (self.score + points).min(SCORE_MAX);
        }
    }

    /// Having to refute speaks against oneself, though not every time that somebody makes one do it.
    pub(super) fn had_to_refute(&mut self) {
        self.worse(1);
    }

    /// Probes the next member, if it is time.
    pub(super) fn take_turn(&mut self, now: KTime, out: Out<'_>) {
        if self.next_turn > now {
            return;
        }
        self.next_turn = now.after(self.set.period * self.stretch());
        for _ in 0..self.order.len() {
            if self.turn >= self.order.len() {
                self.turn = 0;
                self.random.shuffle(&mut self.order);
            }
            let Some(handle) = self.order.get(self.turn).copied() else { return };
            self.turn += 1;
            let standing = self.table.get(handle).map(|peer| peer.standing);
            let pending = self.probes.iter().any(|probe| probe.target == handle && !probe.reason.is_direct_only());
            if matches!(standing, Some(Standing::Alive | Standing::Suspect)) && !pending {
                self.probe(now, handle, Reason::Turn, out);
                return;
            }
        }
    }

    /// Probes a member.
    pub(super) fn probe(&mut self, now: KTime, target: Handle, reason: Reason, out: Out<'_>) {
        let Some(peer) = self.table.get(target) else { return };
        if target == ME || self.probes.len() >= PROBES_MAX {
            return;
        }
        let id = peer.id;
        self.seq = self.seq.wrapping_add(1);
        let stretch = if matches!(reason, Reason::Turn | Reason::Doubt) { self.stretch() } else { 1 };
        let probe = Probe {
            target,
            id,
            seq: self.seq,
            reason,
            started: now,
            due: now.after(self.set.timeout * stretch / 2),
            stage: Stage::Once,
            helpers: 0,
            nacks: 0,
        };
        let seq = probe.seq;
        self.probes.push(probe);
        self.ping(now, target, seq, false, out);
    }

    /// Sends a ping; a suspect is told that it is one before anything else.
    pub(super) fn ping(&mut self, now: KTime, target: Handle, seq: u32, reliable: bool, out: Out<'_>) {
        let Some(peer) = self.table.get(target) else { return };
        let to = peer.record.member.addr;
        let mut message = begin(&self.head(false), &Body::Ping { seq });
        match peer.case.as_ref().filter(|_| self.set.lifeguard) {
            Some(case) if case.verdict.is_none() => {
                let accuser = case.accusers.first().copied().unwrap_or(self.id());
                let (subject, incarnation) = (peer.id, case.incarnation);
                Told::Suspect { subject, incarnation, accuser, age_ms: 0 }.add(&mut message, self.set.packet_bytes);
            }
            None if !peer.owes_a_life() => {}
            _ => {
                self.obituary(target).add(&mut message, self.set.packet_bytes);
            }
        }
        self.ride(now, 1, &mut message);
        out.push(Effect::Send { to, bytes: message, reliable });
    }

    /// Goes on with the probes whose time has come.
    pub(super) fn look_after_probes(&mut self, now: KTime, out: Out<'_>) {
        let mut place = 0;
        while let Some(probe) = self.probes.get_mut(place) {
            if probe.due > now {
                place += 1;
                continue;
            }
            let (target, seq, id, started, reason) = (probe.target, probe.seq, probe.id, probe.started, probe.reason);
            let whole = probe.due.since(started) * 2;
            match probe.stage {
                Stage::Once => {
                    probe.stage = Stage::Twice;
                    probe.due = started.after(whole);
                    self.ping(now, target, seq, false, out);
                }
                Stage::Twice if !reason.is_direct_only() => {
                    probe.stage = Stage::Helped;
                    // The rest of the period, stretched as the first part was.
                    let rest = self.set.period.saturating_sub(self.set.timeout).as_secs_f64();
                    let share = rest / self.set.timeout.as_secs_f64().max(0.001);
                    probe.due = now.after(now.since(started).mul_f64(share));
                    let helpers = self.ask_helpers(target, id, seq, out);
                    if let Some(probe) = self.probes.get_mut(place) {
                        probe.helpers = helpers;
                    }
                    self.ping(now, target, seq, true, out);
                }
                Stage::Twice | Stage::Helped => {
                    let probe = self.probes.swap_remove(place);
                    self.probe_failed(now, &probe, out);
                    continue;
                }
            }
            place += 1;
        }
    }

    /// Asks some members, of several zones where there are several, to probe another one.
    fn ask_helpers(&mut self, target: Handle, id: PeerId, seq: u32, out: Out<'_>) -> u8 {
        let mut candidates = self.some_living(self.set.helpers * 3);
        candidates
            .retain(|handle| *handle != target && self.table.get(*handle).is_some_and(|peer| peer.case.is_none()));
        let mut chosen: Vec<Handle> = Vec::new();
        // Zones that are not yet there first, then anybody.
        for fresh_zones in [true, false] {
            for handle in &candidates {
                let zone = |handle: &Handle| self.table.get(*handle).map(|peer| peer.zone);
                let fresh = chosen.iter().all(|other| zone(other) != zone(handle));
                if chosen.len() < self.set.helpers && !chosen.contains(handle) && (fresh || !fresh_zones) {
                    chosen.push(*handle);
                }
            }
        }
        let message = begin(&self.head(false), &Body::PingFor { seq, target: id });
        for helper in &chosen {
            if let Some(peer) = self.table.get(*helper) {
                let to = peer.record.member.addr;
                out.push(Effect::Send { to, bytes: message.clone(), reliable: false });
            }
        }
        u8::try_from(chosen.len()).unwrap_or(u8::MAX)
    }

    fn probe_failed(&mut self, now: KTime, probe: &Probe, out: Out<'_>) {
        let target = probe.target;
        if probe.reason != Reason::Heal {
            self.note_outcome(now, target, false);
        }
        match probe.reason {
            Reason::Turn | Reason::Doubt => {
                let missing = u32::from(probe.helpers.saturating_sub(probe.nacks));
                self.worse(if probe.helpers == 0 { 1 } else { missing });
                let Some(peer) = self.table.get(target) else { return };
                let incarnation = peer.incarnation();
                if peer.standing != Standing::Alive {
                    return;
                }
                if probe.reason == Reason::Turn && self.set.lifeguard {
                    self.probe(now, target, Reason::Doubt, out);
                } else {
                    let age = now.since(probe.started) * 2;
                    self.miss(now, target, incarnation, self.id(), age, out);
                }
            }
            Reason::Duty => self.duty_failed(now, target, probe.nacks.max(1), out),
            Reason::Path => self.path_failed(now, target, out),
            Reason::Opinion | Reason::Sample | Reason::Heal => {}
        }
    }

    /// An answer to a ping of this node, or of one that it sent for somebody.
    pub(super) fn acked(&mut self, now: KTime, sender: &PeerId, seq: u32, way: Way, out: Out<'_>) {
        if let Some(place) = self.probes.iter().position(|probe| probe.seq == seq && probe.id == *sender) {
            self.probe_answered(now, place, way, out);
        } else {
            self.relay_answered(sender, seq, out);
        }
    }

    /// A helper heard the member that this node does not.
    pub(super) fn helper_heard(&mut self, now: KTime, seq: u32, out: Out<'_>) {
        let helped = |probe: &Probe| probe.seq == seq && probe.stage == Stage::Helped;
        if let Some(place) = self.probes.iter().position(helped) {
            self.probe_answered(now, place, Way::Roundabout, out);
        }
    }

    /// A helper does not hear it either: at least the helper is there.
    pub(super) fn helper_nacked(&mut self, seq: u32) {
        if let Some(probe) = self.probes.iter_mut().find(|probe| probe.seq == seq && probe.stage == Stage::Helped) {
            probe.nacks = probe.nacks.saturating_add(1).min(probe.helpers);
        }
    }

    fn probe_answered(&mut self, now: KTime, place: usize, way: Way, out: Out<'_>) {
        let probe = self.probes.swap_remove(place);
        self.note_outcome(now, probe.target, true);
        if matches!(probe.reason, Reason::Turn | Reason::Doubt) {
            self.score = self.score.saturating_sub(1);
        }
        match way {
            Way::Direct => {
                if probe.stage == Stage::Once
                    && let Some(peer) = self.table.get_mut(probe.target)
                {
                    let taken = now.since(probe.started).as_micros();
                    peer.round_trip_us = u32::try_from(taken).unwrap_or(u32::MAX).max(1);
                }
                self.path_works(now, probe.target, out);
            }
            Way::Roundabout => {
                self.heard_roundabout(now, probe.target);
                if !probe.reason.is_direct_only() {
                    self.watch_path(now, probe.target);
                }
            }
        }
    }

    /// When probes and relays want to be looked at.
    pub(super) fn next_probe(&self) -> Option<KTime> {
        let probes = self.probes.iter().map(|probe| probe.due);
        probes.chain(self.relays.iter().map(|relay| relay.due)).min()
    }

    /// This node stood still: what it waited for may lie unread.
    pub(super) fn void_probes(&mut self) {
        self.probes.clear();
        self.relays.clear();
    }
}
