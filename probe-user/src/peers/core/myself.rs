//! What this node says about itself: anew when somebody misses it, when it was called down, when it goes.

use std::sync::Arc;
use std::time::Duration;

use crate::time::KTime;

use super::gossip::News;
use super::message::{Body, Told, begin};
use super::site::{Out, Site};
use super::table::{ME, Standing};
use super::{Effect, Member, Record, Why};

/// It says something new at most so often: whoever accuses without end must not make it shout.
const REFUTE_EVERY: Duration = Duration::from_secs(1);
/// How often having to refute counts against this node itself.
const SCORE_EVERY: Duration = Duration::from_secs(10);
/// A run before this one cannot have been called down more often than this, whatever somebody says.
const LIVES_MAX: u32 = 1_000;

/// When this node last spoke up.
#[derive(Debug, Default)]
pub(super) struct Voice {
    refuted: Option<KTime>,
    scored: Option<KTime>,
    due: Option<KTime>,
    /// The life that the next words are of, or a later one.
    life: u32,
}

impl Site {
    /// Somebody misses this node, or says that it was silent.
    pub(super) fn refute(&mut self, now: KTime, incarnation: u32, out: Out<'_>) {
        // A later one than it ever said is made up, and an earlier one is refuted already.
        if self.table.get(ME).is_none_or(|me| me.incarnation() != incarnation || me.record.member.leaving.is_some()) {
            return;
        }
        if self.voice.scored.is_none_or(|scored| now.since(scored) >= SCORE_EVERY) {
            self.voice.scored = Some(now);
            self.had_to_refute();
        }
        match self.voice.refuted {
            Some(refuted) if now.since(refuted) < REFUTE_EVERY => self.voice.due = Some(refuted.after(REFUTE_EVERY)),
            _ => self.say_anew(now, |_| {}, out),
        }
    }

    /// Refutes what could not be refuted at once.
    pub(super) fn refute_if_due(&mut self, now: KTime, out: Out<'_>) {
        if self.voice.due.is_some_and(|due| due <= now) {
            self.say_anew(now, |_| {}, out);
        }
    }

    pub(super) fn next_refutation(&self) -> Option<KTime> {
        self.voice.due
    }

    /// Says something new about this node: signed, and passed on.
    pub(super) fn say_anew(&mut self, now: KTime, change: impl FnOnce(&mut Member), out: Out<'_>) {
        self.voice.refuted = Some(now);
        self.voice.due = None;
        let Some(me) = self.table.get(ME) else { return };
        let mut member = me.record.member.clone();
        member.incarnation = member.incarnation.saturating_add(1);
        member.up_ns = now.0;
        change(&mut member);
        member.life = member.life.max(self.voice.life);
        let record = Record::signed(member, &*self.signer);
        // Its own name cannot be taken: it was the first in the table.
        if self.table.renew(ME, Arc::new(record), now).is_ok() {
            self.spread(now, News::Record { handle: ME });
            // Whoever missed it wants to know soon.
            self.next_gossip = Some(now);
            self.gossip(now, out);
        }
        self.dirty = true;
    }

    /// A former run of this node said more than this one has: this one goes on from there.
    pub(super) fn outdo(&mut self, now: KTime, former: &Member, out: Out<'_>) {
        let (incarnation, life, boot) = (former.incarnation, former.life, former.boot);
        self.say_anew(
            now,
            |member| {
                member.incarnation = incarnation.saturating_add(1);
                if member.boot == boot {
                    member.life = member.life.max(life);
                }
            },
            out,
        );
    }

    /// This node was called down: another life begins.
    pub(super) fn learn_of_death(&mut self, now: KTime, boot: [u8; 16], life: u32, out: Out<'_>) {
        let Some(me) = self.table.get(ME) else { return };
        let mine = &me.record.member;
        let too_soon = self.voice.refuted.filter(|refuted| now.since(*refuted) < REFUTE_EVERY);
        if mine.boot == boot && life >= mine.life && life - mine.life < LIVES_MAX && mine.leaving.is_none() {
            self.voice.life = self.voice.life.max(life.saturating_add(1));
            match too_soon {
                // It refuted before it heard of this, so nobody holds it dead any more who would say it again.
                Some(refuted) => self.voice.due = Some(refuted.after(REFUTE_EVERY)),
                None => self.say_anew(now, |_| {}, out),
            }
        } else if mine.life == life.saturating_add(1) && too_soon.is_none() {
            // It said so already, but not everyone has heard it.
            self.say_anew(now, |_| {}, out);
        }
    }

    pub(super) fn relabel(&mut self, now: KTime, zone: String, labels: Vec<(String, String)>, out: Out<'_>) {
        self.say_anew(
            now,
            |member| {
                member.zone = zone;
                member.labels = labels;
                member.fit();
            },
            out,
        );
    }

    /// The last words, at once and to several, for nobody will repeat them.
    pub(super) fn leave(&mut self, now: KTime, why: Why, out: Out<'_>) {
        self.say_anew(now, |member| member.leaving = Some(why), out);
        let Some(me) = self.table.get(ME) else { return };
        let mut message = begin(&self.head(false), &Body::News);
        Told::Record(&me.record).add(&mut message, self.set.packet_bytes);
        let targets = self.some_living(self.set.fan_out * 2);
        for (place, target) in targets.into_iter().enumerate() {
            if let Some(peer) = self.table.get(target) {
                let to = peer.record.member.addr;
                out.push(Effect::Send { to, bytes: message.clone(), reliable: place % 2 == 0 });
            }
        }
        self.table.change(ME, |me| me.standing = Standing::Left);
        self.left = true;
    }
}
