//! A member that somebody misses: who misses it, how long it has to refute, and what speaks against it.

use std::time::Duration;

use crate::time::KTime;

use super::gossip::News;
use super::message::Told;
use super::probe::Reason;
use super::random::{mix, number_of};
use super::site::{Out, Site};
use super::statement::Statement;
use super::table::{Handle, ME, Standing};
use super::witness::Duty;
use super::{PeerId, Settings, What};

/// Accusers that are remembered: more would not shorten anything.
const ACCUSERS_MAX: usize = 8;
/// A living member refutes within so long: one that is suspect for longer is really missed, whoever accuses it.
const REFUTES_WITHIN: Duration = Duration::from_secs(3);
/// How much of an accuser's waiting another one takes over. It is only its word.
const AGE_MAX: Duration = Duration::from_secs(2);

/// What speaks against a member.
#[derive(Debug)]
pub(super) struct Case {
    /// When it was first missed, by what its accuser said.
    pub(super) start: KTime,
    /// When this node learned of it.
    pub(super) opened: KTime,
    pub(super) incarnation: u32,
    /// Who missed it on their own.
    pub(super) accusers: Vec<PeerId>,
    /// With when each came.
    pub(super) statements: Vec<(Statement, KTime)>,
    /// There were others in its zone: one of them must speak.
    pub(super) needs_mate: bool,
    /// In which wave this node is to be a witness.
    pub(super) wave: u32,
    /// This node is one.
    pub(super) duty: Option<Duty>,
    /// What it was called.
    pub(super) verdict: Option<What>,
    pub(super) incident: [u8; 16],
    /// When somebody last heard it.
    pub(super) last_sign: KTime,
    /// When it was called so.
    pub(super) called: KTime,
    /// When the member was last told.
    pub(super) answered: KTime,
}

impl Case {
    /// It had the time to refute and did not.
    pub(super) fn is_missed(&self, now: KTime) -> bool {
        now.since(self.opened) >= REFUTES_WITHIN
    }

    /// Called down by what witnesses said.
    pub(super) fn is_proven(&self) -> bool {
        matches!(self.verdict, Some(What::HostDown | What::AgentDown))
    }

    /// This node's word is among the witnesses', or it was to be.
    pub(super) fn is_mine(&self) -> bool {
        self.duty.as_ref().is_some_and(|duty| match self.verdict {
            Some(What::HostDown | What::AgentDown) => duty.signed.is_some(),
            _ => true,
        })
    }

    /// How long the member has to refute, as this node sees it.
    pub(super) fn patience(&self, settings: &Settings, others: usize, score: u32) -> Duration {
        let least = settings.suspicion_min;
        if !settings.lifeguard {
            return least;
        }
        let most = least * settings.suspicion_max;
        let enough = settings.confirmations.min(u32::try_from(others.saturating_sub(1)).unwrap_or(u32::MAX));
        let confirmed = u32::try_from(self.accusers.len().saturating_sub(1)).unwrap_or(u32::MAX);
        let part = if enough == 0 || confirmed >= enough {
            1.0
        } else {
            f64::from(confirmed + 1).ln() / f64::from(enough + 1).ln()
        };
        most.saturating_sub(most.saturating_sub(least).mul_f64(part)) * (4 + score) / 4
    }
}

/// The outage's name, which every survivor comes to.
pub(super) fn incident_of(id: &PeerId, boot: &[u8; 16], what: u64) -> [u8; 16] {
    let [first, second] = [1, 2].map(|half| {
        let seed = mix(number_of(id) ^ mix(half));
        super::random::number_of_bytes(seed ^ what, &[&id.0[..], &boot[..]].concat())
    });
    let mut incident = [0; 16];
    let words = first.to_be_bytes().into_iter().chain(second.to_be_bytes());
    incident.iter_mut().zip(words).for_each(|(place, byte)| *place = byte);
    incident
}

impl Site {
    /// Members that are alive, as far as can be told: suspected ones too, as long as they may refute. With this node.
    pub(super) fn well(&self, now: KTime) -> usize {
        let missed = self.cases.iter().filter_map(|handle| self.table.get(*handle)).filter(|peer| {
            peer.standing == Standing::Suspect && peer.case.as_ref().is_some_and(|case| case.is_missed(now))
        });
        self.table.living() - missed.count()
    }

    /// Somebody (this node too) misses a member. `age`: since when, by its word.
    pub(super) fn miss(
        &mut self,
        now: KTime,
        handle: Handle,
        incarnation: u32,
        accuser: PeerId,
        age: Duration,
        out: Out<'_>,
    ) {
        let Some(peer) = self.table.get(handle) else { return };
        if peer.incarnation() != incarnation || !matches!(peer.standing, Standing::Alive | Standing::Suspect) {
            return;
        }
        if peer.case.is_none() {
            let start = now.before(age.min(AGE_MAX));
            self.open_case(now, handle, start, out);
        }
        let Some(case) = self.table.get_mut(handle).and_then(|peer| peer.case.as_mut()) else { return };
        if case.accusers.len() >= ACCUSERS_MAX || case.accusers.contains(&accuser) {
            return;
        }
        case.accusers.push(accuser);
        let since = case.start;
        // Those that shorten nothing any more need not travel.
        if case.accusers.len() <= self.set.confirmations as usize + 1 {
            self.spread(now, News::Suspect { handle, incarnation, accuser, since });
        }
    }

    /// A member becomes suspect.
    pub(super) fn open_case(&mut self, now: KTime, handle: Handle, start: KTime, out: Out<'_>) {
        let Some(peer) = self.table.get(handle) else { return };
        let member = &peer.record.member;
        let place = self.place_as_witness(now, handle);
        let case = Case {
            start,
            opened: now,
            incarnation: member.incarnation,
            accusers: Vec::new(),
            statements: Vec::new(),
            needs_mate: place.mates > 0,
            wave: place.wave,
            duty: None,
            verdict: None,
            incident: incident_of(&peer.id, &member.boot, u64::from(member.life)),
            last_sign: peer.heard.max(peer.learned),
            called: KTime(0),
            answered: KTime(0),
        };
        self.table.change(handle, |peer| {
            peer.standing = Standing::Suspect;
            peer.since = now;
            peer.case = Some(Box::new(case));
        });
        self.cases.push(handle);
        self.wants_house(now);
        self.dirty = true;
        // Whoever of the others hears it ends this at once: on large sites some of them look.
        if self.random.below(self.table.living()) < 64 {
            self.probe(now, handle, Reason::Opinion, out);
        }
    }

    /// A member's case is closed: it lives, went, or is forgotten.
    pub(super) fn close_case(&mut self, handle: Handle) -> Option<Box<Case>> {
        self.cases.retain(|open| *open != handle);
        self.drop_suspicions(handle);
        self.probes.retain(|probe| probe.target != handle || !matches!(probe.reason, Reason::Duty | Reason::Opinion));
        let mut closed = None;
        self.table.change(handle, |peer| closed = peer.case.take());
        closed
    }

    /// This node heard a suspected member itself: for this node it lives, and it is told that others miss it.
    pub(super) fn heard_suspect(&mut self, now: KTime, handle: Handle, out: Out<'_>) {
        let Some(peer) = self.table.get(handle) else { return };
        let (id, to, incarnation) = (peer.id, peer.record.member.addr, peer.incarnation());
        let Some(case) = &peer.case else { return };
        let accuser = case.accusers.first().copied().unwrap_or(self.id());
        let due = case.answered == KTime(0) || now.since(case.answered) >= self.set.gossip_period;
        if self.set.lifeguard && due {
            let told = Told::Suspect { subject: id, incarnation, accuser, age_ms: 0 };
            self.send_news(to, &[told], out);
            if let Some(case) = self.table.get_mut(handle).and_then(|peer| peer.case.as_mut()) {
                case.answered = now;
            }
        }
    }

    /// Cases whose time has come, and witnesses' duties.
    pub(super) fn look_after_cases(&mut self, now: KTime, out: Out<'_>) {
        for place in (0..self.cases.len()).rev() {
            let Some(handle) = self.cases.get(place).copied().filter(|handle| *handle != ME) else { continue };
            let Some(peer) = self.table.get(handle) else { continue };
            let Some(case) = &peer.case else { continue };
            if peer.standing == Standing::Down {
                continue;
            }
            // Heard again after it was missed, and it does not refute: whoever misses it has a bad path.
            let quiet = now.since(peer.heard.max(case.start));
            let heard_again = peer.heard > case.start && now.since(peer.heard) < self.set.suspicion_min;
            if heard_again && now.since(case.start) > self.set.suspicion_min && case.statements.is_empty() {
                self.close_case(handle);
                self.table.change(handle, |peer| {
                    peer.standing = Standing::Alive;
                    peer.since = now;
                });
                self.dirty = true;
                continue;
            }
            if !self.is_isolated() && quiet >= self.set.give_up {
                self.call(now, handle, What::Unknown, out);
                continue;
            }
            self.do_duty(now, handle, out);
            self.judge(now, handle, out);
        }
    }
}
