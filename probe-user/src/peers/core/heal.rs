//! Those who are down or left are tried again now and then, so that what was cut apart grows together; and forgotten at last.

use std::time::Duration;

use crate::time::KTime;

use super::message::Told;
use super::probe::Reason;
use super::site::{Out, Site};
use super::table::{Handle, ME, Peer, Standing};
use super::{Member, PeerId, Why};

/// How often one is tried right after another one came back.
const HEALING_EVERY: Duration = Duration::from_millis(250);
/// How often those are looked for who were away too long.
const SWEEP_EVERY: Duration = Duration::from_secs(15);
/// Whoever is dead is told so at most so often by one node.
const OBITUARY_EVERY: Duration = Duration::from_secs(1);

impl Site {
    /// Tries one who is down or left.
    pub(super) fn heal(&mut self, now: KTime, out: Out<'_>) {
        if now < self.next_heal {
            return;
        }
        let healing = now < self.healing_until;
        self.next_heal = now.after(if healing { HEALING_EVERY } else { self.random.around(self.set.heal_period) });
        if self.table.count(Standing::Down) + self.table.count(Standing::Left) == 0 {
            return;
        }
        // Each of them as likely as any other, however many are there: the only one of a thousand must not wait for luck.
        let is_away = |(handle, peer): &(Handle, &Peer)| {
            *handle != ME
                && matches!(peer.standing, Standing::Down | Standing::Left)
                && self.probes.iter().all(|probe| probe.target != *handle)
        };
        let away = self.table.iter().filter(is_away).count();
        if away == 0 {
            return;
        }
        let nth = self.random.below(away);
        let chosen = self.table.iter().filter(is_away).nth(nth).map(|(handle, _)| handle);
        if let Some(handle) = chosen {
            self.probe(now, handle, Reason::Heal, out);
        }
    }

    /// What a member is told that was called down.
    pub(super) fn obituary(&self, handle: Handle) -> Told<'static> {
        let (subject, boot, life) = self
            .table
            .get(handle)
            .map_or((PeerId([0; 16]), [0; 16], 0), |peer| (peer.id, peer.record.member.boot, peer.record.member.life));
        Told::Obituary { subject, boot, life }
    }

    /// One who is down was heard: it is told, and will say something new.
    pub(super) fn heard_dead(&mut self, now: KTime, handle: Handle, out: Out<'_>) {
        let obituary = self.obituary(handle);
        let Some(peer) = self.table.get_mut(handle) else { return };
        let (to, record) = (peer.record.member.addr, std::sync::Arc::clone(&peer.record));
        let Some(case) = peer.case.as_mut() else { return };
        if case.answered == KTime(0) || now.since(case.answered) >= OBITUARY_EVERY {
            case.answered = now;
            self.healing_until = now.after(self.set.heal_period);
            self.next_heal = self.next_heal.min(now.after(HEALING_EVERY));
            self.send_news(to, &[obituary, Told::Record(&record)], out);
        }
    }

    /// Whoever misses a member that this node knows to be down, or to have spoken up, is told.
    pub(super) fn remind(
        &mut self,
        now: KTime,
        handle: Handle,
        incarnation: u32,
        sender: Option<Handle>,
        out: Out<'_>,
    ) {
        let Some(to) = sender.and_then(|sender| self.table.get(sender)).map(|peer| peer.record.member.addr) else {
            return;
        };
        let Some(peer) = self.table.get_mut(handle) else { return };
        if peer.incarnation() > incarnation {
            let record = std::sync::Arc::clone(&peer.record);
            self.send_news(to, &[Told::Record(&record)], out);
        } else if peer.incarnation() == incarnation
            && let Some(case) = peer.case.as_mut().filter(|case| case.is_proven())
            && now.since(case.answered) >= OBITUARY_EVERY
        {
            case.answered = now;
            let proof: Vec<_> = case.statements.iter().map(|(statement, _)| statement.clone()).collect();
            let told: Vec<_> = proof.iter().map(Told::Said).collect();
            self.send_news(to, &told, out);
        }
    }

    /// Hosts that did not come back from their reboot are missed; those that were away for long are forgotten.
    pub(super) fn sweep(&mut self, now: KTime, out: Out<'_>) {
        if now < self.next_sweep {
            return;
        }
        self.next_sweep = now.after(SWEEP_EVERY);
        let mut overdue = Vec::new();
        let mut old = Vec::new();
        for (handle, peer) in self.table.iter().filter(|(handle, _)| *handle != ME) {
            let away = now.since(peer.since);
            let reboots = peer.record.member.leaving == Some(Why::Reboot);
            match peer.standing {
                Standing::Left if reboots && away >= self.set.reboot_grace => overdue.push(handle),
                Standing::Left if !reboots && away >= self.set.forget / 10 => old.push(handle),
                Standing::Down if away >= self.set.forget => old.push(handle),
                _ => {}
            }
        }
        for handle in overdue {
            let incarnation = self.table.get(handle).map_or(0, Peer::incarnation);
            self.table.change(handle, |peer| peer.standing = Standing::Alive);
            self.miss(now, handle, incarnation, self.id(), Duration::ZERO, out);
        }
        for handle in old {
            self.put_away(handle);
        }
    }

    /// A host that was installed anew has its name and another key. It takes the place of the one that has gone, and only of
    /// one that has: who lives under a name keeps it.
    pub(super) fn make_way(&mut self, now: KTime, member: &Member, out: Out<'_>) {
        let Some(handle) = self.table.named(&member.name).filter(|handle| *handle != ME) else { return };
        let gone = self.table.get(handle).is_some_and(|peer| matches!(peer.standing, Standing::Left | Standing::Down));
        if gone {
            self.replaced(now, handle, member, out);
            self.put_away(handle);
        }
    }

    /// Nothing is known of it any more.
    fn put_away(&mut self, handle: Handle) {
        self.close_case(handle);
        self.drop_news(handle);
        self.forget_watch(handle);
        self.probes.retain(|probe| probe.target != handle);
        self.order.retain(|other| *other != handle);
        self.relays.clear();
        self.forget_outcomes();
        self.forget_vouchers(handle);
        self.table.forget(handle);
        self.dirty = true;
    }
}
