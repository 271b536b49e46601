//! Being a witness: few of the members look after a silent one, chosen so that all agree on who, from its zone and others.

use std::net::SocketAddr;
use std::time::Duration;

use crate::time::KTime;

use super::gossip::News;
use super::probe::Reason;
use super::random::{mix, number_of};
use super::site::{Out, Site};
use super::statement::Statement;
use super::table::{Handle, ME, Standing};
use super::{Effect, Evidence, PeerId, What};

/// Witnesses from the silent member's own zone in each wave.
const OWN_ZONE: usize = 2;
/// When the first ones do not bring it to an end, the next ones begin.
const WAVE: Duration = Duration::from_millis(2_500);
/// Own failures without which nobody states anything.
const FAILURES_MIN: u8 = 2;
/// A score from which a node rather blames itself.
const SCORE_MAX: u32 = 4;
/// An answer of a host is good for so long.
const ANSWER_AGE: Duration = Duration::from_secs(6);

/// What a witness has done so far.
#[derive(Debug, Default)]
pub(super) struct Duty {
    pub(super) direct: u8,
    pub(super) indirect: u8,
    /// When the host was asked.
    pub(super) asked: Option<KTime>,
    pub(super) host: Option<(bool, KTime)>,
    pub(super) signed: Option<KTime>,
}

/// Where a node stands among those who may be witnesses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Others of the member's zone that may live.
    pub(super) mates: usize,
    /// The wave in which this node begins.
    pub(super) wave: u32,
}

impl Site {
    /// This node's place among the witnesses for a member: the order follows from identities alone.
    pub(super) fn place_as_witness(&self, now: KTime, subject: Handle) -> Place {
        let (Some(silent), Some(me)) = (self.table.get(subject), self.table.get(ME)) else {
            return Place { mates: 0, wave: u32::MAX };
        };
        let salt = number_of(&silent.id);
        let key = |id: &PeerId| mix(salt ^ number_of(id));
        let mine = key(&me.id);
        let mut before_me = 0;
        let mut mates = 0;
        let mut in_zones = vec![0_usize; self.table.zones()];
        for (handle, peer) in self.table.iter() {
            if handle == subject {
                continue;
            }
            let may_live = match peer.standing {
                Standing::Alive | Standing::Suspect => true,
                Standing::Down => peer.case.as_ref().is_some_and(|case| !case.is_proven()),
                Standing::Left => false,
            };
            if peer.zone == silent.zone && may_live {
                mates += 1;
            }
            let missed = peer.case.as_ref().is_some_and(|case| case.is_missed(now));
            if matches!(peer.standing, Standing::Alive | Standing::Suspect) && !missed {
                if let Some(count) = in_zones.get_mut(usize::from(peer.zone)) {
                    *count += 1;
                }
                if peer.zone == me.zone && handle != ME && key(&peer.id) < mine {
                    before_me += 1;
                }
            }
        }
        let count = |zone: u16| in_zones.get(usize::from(zone)).copied().unwrap_or(0);
        let all: usize = in_zones.iter().sum();
        let (own, others) = (count(silent.zone), all - count(silent.zone));
        let own_share = OWN_ZONE.max(self.set.witnesses.saturating_sub(others)).min(own);
        let other_share = self.set.witnesses.saturating_sub(own_share);
        let (rank, share) = if me.zone == silent.zone {
            (before_me, own_share)
        } else {
            // One of each zone, then a second of each: the zones in an order of their own for this member.
            let zone_key =
                |zone: u16| mix(salt ^ super::random::number_of_bytes(1, self.table.zone_name(zone).as_bytes()));
            let my_zone = zone_key(me.zone);
            let elsewhere = (0..in_zones.len())
                .filter_map(|zone| u16::try_from(zone).ok())
                .filter(|zone| *zone != silent.zone && *zone != me.zone)
                .map(|zone| count(zone).min(before_me + usize::from(zone_key(zone) < my_zone)));
            (before_me + elsewhere.sum::<usize>(), other_share)
        };
        let wave = rank.checked_div(share).map_or(u32::MAX, |wave| u32::try_from(wave).unwrap_or(u32::MAX));
        Place { mates, wave }
    }

    /// A witness's work on one case: probe it again and again, ask its host, and say what came of it.
    pub(super) fn do_duty(&mut self, now: KTime, handle: Handle, out: Out<'_>) {
        let Some(peer) = self.table.get_mut(handle) else { return };
        let (id, addr, open_port) = (peer.id, peer.record.member.addr, peer.record.member.open_port);
        let Some(case) = peer.case.as_mut() else { return };
        if case.duty.is_none() {
            if now.since(case.start) < WAVE * case.wave.min(1_000) {
                return;
            }
            case.duty = Some(Duty::default());
        }
        let Some(duty) = case.duty.as_mut() else { return };
        if duty.direct > 0 {
            let again = duty.asked.is_none_or(|asked| now.since(asked) >= ANSWER_AGE / 2);
            if again && duty.signed.is_none() {
                duty.asked = Some(now);
                out.push(Effect::AskHost { peer: id, addr: addr.ip(), ports: [addr.port(), open_port] });
            }
        }
        if !self.probes.iter().any(|probe| probe.target == handle && probe.reason == Reason::Duty) {
            self.probe(now, handle, Reason::Duty, out);
        }
        self.sample_quorum(now, out);
        self.state_if_sure(now, handle, out);
    }

    /// A probe of a witness's duty failed.
    pub(super) fn duty_failed(&mut self, now: KTime, handle: Handle, helpers: u8, out: Out<'_>) {
        let me = self.id();
        let Some(case) = self.table.get_mut(handle).and_then(|peer| peer.case.as_mut()) else { return };
        let (incarnation, age) = (case.incarnation, now.since(case.start));
        let Some(duty) = case.duty.as_mut() else { return };
        duty.direct = duty.direct.saturating_add(1);
        duty.indirect = duty.indirect.max(helpers);
        self.miss(now, handle, incarnation, me, age, out);
        self.wants_house(now);
    }

    /// What came of asking a host.
    pub(super) fn host_answered(&mut self, now: KTime, peer: PeerId, asked: KTime, answered: bool, out: Out<'_>) {
        let Some(handle) = self.table.find(&peer) else { return };
        let Some(case) = self.table.get_mut(handle).and_then(|peer| peer.case.as_mut()) else { return };
        if let Some(duty) = case.duty.as_mut().filter(|duty| duty.asked == Some(asked)) {
            // An echo may be lost; an answer stays one for a while.
            let kept = duty.host.filter(|(was, at)| *was && now.since(*at) < ANSWER_AGE);
            duty.host = Some(kept.unwrap_or((answered, now)));
            self.state_if_sure(now, handle, out);
        }
    }

    /// Signs and spreads this node's word, when it has reason to.
    fn state_if_sure(&mut self, now: KTime, handle: Handle, out: Out<'_>) {
        let others = self.table.living().saturating_sub(1);
        let Some(peer) = self.table.get(handle) else { return };
        let Some(case) = &peer.case else { return };
        let Some(duty) = &case.duty else { return };
        let silent = now.since(peer.heard.max(case.start));
        let Some((answered, told)) = duty.host else { return };
        let repeat = duty.signed.is_some_and(|signed| now.since(signed) < self.set.ask_patience * 6);
        let patience = case.patience(&self.set, others, self.score);
        if repeat
            || case.verdict.is_some()
            || duty.direct < FAILURES_MIN
            || silent < patience
            || now.since(told) > ANSWER_AGE
            || self.score > SCORE_MAX
            || self.is_isolated()
            || !self.has_sample(now)
            || !answered && self.fell_together(now, handle)
        {
            return;
        }
        let silence = if peer.heard == KTime(0) { now.since(case.start) } else { now.since(peer.heard) };
        let mut statement = Statement {
            witness: self.id(),
            subject: peer.id,
            boot: peer.record.member.boot,
            incarnation: case.incarnation,
            life: peer.record.member.life,
            evidence: Evidence {
                direct: duty.direct,
                indirect: duty.indirect,
                host: Some(answered),
                silent_ms: u32::try_from(silence.as_millis()).unwrap_or(u32::MAX),
            },
            signature: [0; 64],
        };
        statement.sign(&*self.signer);
        if let Some(case) = self.table.get_mut(handle).and_then(|peer| peer.case.as_mut())
            && let Some(duty) = case.duty.as_mut()
        {
            duty.signed = Some(now);
        }
        self.counts.stated += 1;
        self.keep_statement(now, handle, statement, out);
    }

    /// Takes a statement (checked) into the case, passes it on and judges.
    pub(super) fn keep_statement(&mut self, now: KTime, handle: Handle, statement: Statement, out: Out<'_>) {
        let Some(case) = self.table.get_mut(handle).and_then(|peer| peer.case.as_mut()) else { return };
        match case.statements.iter().position(|(known, _)| known.witness == statement.witness) {
            Some(place) => {
                let Some(known) = case.statements.get_mut(place).filter(|(known, _)| *known != statement) else {
                    return;
                };
                *known = (statement.clone(), now);
            }
            None if case.statements.len() >= super::judge::STATEMENTS_MAX => return,
            None => case.statements.push((statement.clone(), now)),
        }
        self.spread(now, News::Said { handle, statement: Box::new(statement) });
        self.judge(now, handle, out);
    }

    /// A statement that is known already. One that others still go by, as their lists say, is as good as new: this node may
    /// have been cut off when it came first.
    fn repeat_statement(&mut self, now: KTime, handle: Handle, statement: &Statement, out: Out<'_>) {
        if !self.comparing {
            return;
        }
        if let Some(case) = self.table.get_mut(handle).and_then(|peer| peer.case.as_mut())
            && let Some((_, at)) = case.statements.iter_mut().find(|(known, _)| known == statement)
        {
            *at = now;
        }
        self.judge(now, handle, out);
    }

    /// Somebody's statement, from the network.
    pub(super) fn take_statement(
        &mut self,
        now: KTime,
        from: SocketAddr,
        sender: Option<Handle>,
        statement: Statement,
        out: Out<'_>,
    ) {
        let (Some(handle), Some(witness)) = (self.table.find(&statement.subject), self.table.find(&statement.witness))
        else {
            return;
        };
        let (Some(subject), Some(speaker)) = (self.table.get(handle), self.table.get(witness)) else { return };
        let member = &subject.record.member;
        let known = (member.boot, member.incarnation, member.life);
        let evidence = statement.evidence;
        if handle == ME {
            // That it speaks is the answer; what it says it must have signed to be answered.
            if statement.boot == member.boot && statement.life == member.life {
                self.refute(now, statement.incarnation, out);
            }
            return;
        }
        if witness == ME
            || handle == witness
            || known != (statement.boot, statement.incarnation, statement.life)
            || evidence.host.is_none()
            || evidence.direct == 0
            || subject.standing == Standing::Left
            || subject.case.as_ref().is_some_and(|case| case.verdict == Some(What::AgentDown))
        {
            return;
        }
        let key = speaker.record.member.public_key;
        let known =
            subject.case.as_ref().is_some_and(|case| case.statements.iter().any(|(known, _)| *known == statement));
        if known {
            self.repeat_statement(now, handle, &statement, out);
            return;
        }
        if !self.budget.share(sender, from).signature() {
            self.refused.flood += 1;
            return;
        }
        if !statement.is_signed(&key, &*self.signer) {
            self.refused.forged += 1;
            return;
        }
        let age = Duration::from_millis(u64::from(evidence.silent_ms));
        self.miss(now, handle, statement.incarnation, statement.witness, age, out);
        self.keep_statement(now, handle, statement, out);
    }
}
