//! What comes in: checked, counted against its sender's share, taken in.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::time::KTime;

use super::gossip::News;
use super::member::RecordBytes;
use super::message::{Body, Head, Item, Next, Told, begin, item, read};
use super::probe::Way;
use super::site::{Out, Site};
use super::table::{Handle, ME, NotTaken, Standing};
use super::wire::Reader;
use super::{Effect, Member, PeerId, Record};

/// Items of a packet that are looked at; a reliable message's are bounded by its size.
const ITEMS_MAX: usize = 64;

/// Whom a message came from.
struct Met {
    /// Where answers go.
    to: SocketAddr,
    /// `None`: a stranger.
    sender: Option<Handle>,
    head: Head,
    reliable: bool,
    /// It has newer things to say of itself than this node knows.
    introduce: bool,
}

impl Site {
    /// A message from somebody who holds the shared key.
    pub(super) fn receive(&mut self, now: KTime, from: SocketAddr, bytes: &[u8], reliable: bool, out: Out<'_>) {
        let limit = if reliable { super::RELIABLE_BYTES } else { super::PACKET_BYTES };
        let mut reader = Reader(bytes);
        let Some((head, body)) = Some(()).filter(|()| bytes.len() <= limit).and_then(|()| read(&mut reader)) else {
            self.refused.malformed += 1;
            return;
        };
        if head.sender == self.id() {
            return;
        }
        // Whoever only uses a member's name has no part in what is that member's.
        let named = self.table.find(&head.sender);
        let proven = named
            .filter(|handle| self.table.get(*handle).is_some_and(|peer| peer.record.member.addr.ip() == from.ip()));
        if !self.budget.share(proven, from).message(now) {
            self.refused.flood += 1;
            return;
        }
        self.comparing = matches!(body, Body::Members { .. });
        let mut items = 0;
        loop {
            match item(&mut reader) {
                Next::Item(item) if reliable || items < ITEMS_MAX => self.take_item(now, from, proven, item, out),
                Next::Item(_) | Next::End => break,
                Next::Malformed => {
                    self.refused.malformed += 1;
                    break;
                }
            }
            items += 1;
        }
        self.comparing = false;
        // Its own record may have been among the items.
        let sender = self.table.find(&head.sender);
        let audible = sender
            .filter(|handle| self.table.get(*handle).is_some_and(|peer| peer.record.member.addr.ip() == from.ip()));
        if let Some(handle) = audible {
            self.heard(now, handle, &head, out);
        }
        let answer = match sender.and_then(|handle| self.table.get(handle)) {
            Some(peer) if reliable => peer.record.member.addr,
            _ => from,
        };
        let introduce =
            sender.and_then(|handle| self.table.get(handle)).is_none_or(|peer| peer.incarnation() < head.incarnation);
        self.answer(now, &Met { to: answer, sender, head, reliable, introduce }, &body, out);
        if let Some(handle) = audible {
            self.compare_digest(now, handle, head.digest, out);
        }
    }

    fn answer(&mut self, now: KTime, met: &Met, body: &Body<'_>, out: Out<'_>) {
        let Met { to, sender, head, reliable, introduce } = *met;
        let mut wants_record = head.introduce;
        match body {
            Body::Ping { seq } => {
                let mut message = begin(&self.head(introduce), &Body::Ack { seq: *seq });
                if (wants_record || introduce)
                    && let Some(me) = self.table.get(ME)
                {
                    Told::Record(&me.record).add(&mut message, self.set.packet_bytes);
                }
                wants_record = false;
                self.ride(now, 1, &mut message);
                out.push(Effect::Send { to, bytes: message, reliable });
            }
            Body::Ack { seq } => {
                let way = if reliable { Way::Roundabout } else { Way::Direct };
                self.acked(now, &head.sender, *seq, way, out);
                wants_record |= introduce;
            }
            Body::PingFor { seq, target } => self.relay(now, to, *seq, *target, out),
            Body::Heard { seq } => self.helper_heard(now, *seq, out),
            Body::Nack { seq } => self.helper_nacked(*seq),
            Body::News => {}
            Body::Compare { buckets } => self.compared(now, sender, buckets, out),
            Body::Members { wanted } => self.send_wanted(now, sender, *wanted, out),
            Body::Vouch { words } => self.vouch(now, sender, words, out),
            Body::Vouched { told } => self.vouched(sender, *told),
        }
        if (wants_record || introduce && !matches!(body, Body::Ping { .. } | Body::Members { .. }))
            && let Some(me) = self.table.get(ME)
        {
            let mut message = begin(&self.head(introduce), &Body::News);
            Told::Record(&me.record).add(&mut message, self.set.packet_bytes);
            out.push(Effect::Send { to, bytes: message, reliable: false });
        }
    }

    fn take_item(&mut self, now: KTime, from: SocketAddr, sender: Option<Handle>, item: Item<'_>, out: Out<'_>) {
        match item {
            Item::Suspect { subject, incarnation, accuser, age_ms } => {
                let Some(handle) = self.table.find(&subject) else { return };
                if handle == ME {
                    self.refute(now, incarnation, out);
                } else if self.table.find(&accuser).is_some_and(|accuser| accuser != handle) {
                    let age = Duration::from_millis(u64::from(age_ms));
                    self.miss(now, handle, incarnation, accuser, age, out);
                    self.remind(now, handle, incarnation, sender, out);
                }
            }
            Item::Said(statement) => self.take_statement(now, from, sender, statement, out),
            Item::Record(record) => self.take_record(now, from, sender, &record, out),
            Item::Obituary { subject, boot, life } => {
                if subject == self.id() {
                    self.learn_of_death(now, boot, life, out);
                }
            }
        }
    }

    /// A sign of life.
    fn heard(&mut self, now: KTime, handle: Handle, head: &Head, out: Out<'_>) {
        let Some(peer) = self.table.get_mut(handle) else { return };
        if head.incarnation < peer.incarnation() {
            // It runs anew and does not know what it was: it must be told before it is anybody.
            let record = Arc::clone(&peer.record);
            let to = peer.record.member.addr;
            if peer.standing != Standing::Alive || now.since(peer.heard) > Duration::from_secs(1) {
                peer.heard = now;
                self.send_news(to, &[Told::Record(&record)], out);
            }
            return;
        }
        peer.heard = now;
        peer.reach = head.reach;
        match peer.standing {
            Standing::Alive | Standing::Left => {}
            Standing::Suspect => self.heard_suspect(now, handle, out),
            Standing::Down => self.heard_dead(now, handle, out),
        }
    }

    /// What a member says about itself, from anybody.
    fn take_record(
        &mut self,
        now: KTime,
        from: SocketAddr,
        sender: Option<Handle>,
        record: &RecordBytes<'_>,
        out: Out<'_>,
    ) {
        let id = PeerId::of(&record.public_key);
        let known = self.table.find(&id);
        if let Some(peer) = known.and_then(|handle| self.table.get(handle)) {
            if peer.record.member.public_key != record.public_key {
                self.refused.forged += 1;
                return;
            }
            let is_old = record.incarnation <= peer.incarnation();
            if is_old && (known != Some(ME) || record.incarnation < peer.incarnation()) {
                return;
            }
        }
        let Some(decoded) = record.decode().filter(|record| is_reachable(&record.member)) else {
            self.refused.malformed += 1;
            return;
        };
        if known == Some(ME) && self.table.get(ME).is_some_and(|me| *me.record == decoded) {
            return;
        }
        if !self.budget.share(sender, from).signature() {
            self.refused.flood += 1;
            return;
        }
        if !record.is_signed(&*self.signer) {
            self.refused.forged += 1;
            return;
        }
        match known {
            Some(ME) => self.outdo(now, &decoded.member, out),
            Some(handle) => self.renew_member(now, handle, decoded, out),
            None => self.new_member(now, decoded, out),
        }
    }

    fn new_member(&mut self, now: KTime, record: Record, out: Out<'_>) {
        self.make_way(now, &record.member, out);
        match self.table.insert(Arc::new(record), now) {
            Ok(handle) => {
                self.enlist(handle);
                self.spread(now, News::Record { handle });
                self.dirty = true;
            }
            Err(why) => self.not_taken(why),
        }
    }

    fn renew_member(&mut self, now: KTime, handle: Handle, record: Record, out: Out<'_>) {
        let Some(peer) = self.table.get(handle) else { return };
        let (before, learned, standing) = (Arc::clone(&peer.record), peer.learned, peer.standing);
        let leaving = record.member.leaving;
        if let Err(why) = self.table.renew(handle, Arc::new(record), now) {
            self.not_taken(why);
            return;
        }
        let was_mine = self
            .table
            .get(handle)
            .and_then(|peer| peer.case.as_ref())
            .is_some_and(|case| case.is_proven() && case.is_mine());
        if let Some(peer) = self.table.get_mut(handle) {
            if was_mine {
                peer.called_down = Some(before.member.life);
            }
            if peer.record.member.boot != before.member.boot || !peer.owes_a_life() {
                peer.called_down = None;
            } else if was_mine {
                let to = peer.record.member.addr;
                self.send_news(to, &[Told::of_death(&before.member)], out);
            }
        }
        self.came_back(now, handle, &before, learned, out);
        let now_is = if leaving.is_some() { Standing::Left } else { Standing::Alive };
        if now_is != standing {
            self.table.change(handle, |peer| {
                peer.standing = now_is;
                peer.since = now;
            });
        }
        if leaving.is_some() {
            self.probes.retain(|probe| probe.target != handle);
            self.forget_watch(handle);
        }
        self.spread(now, News::Record { handle });
        self.dirty = true;
    }

    pub(super) fn not_taken(&mut self, why: NotTaken) {
        match why {
            NotTaken::Full => self.refused.full += 1,
            NotTaken::NameTaken => self.refused.name_taken += 1,
        }
    }
}

/// Whether a member can be sent anything.
fn is_reachable(member: &Member) -> bool {
    let ip = member.addr.ip();
    !ip.is_unspecified() && !ip.is_multicast() && member.addr.port() != 0
}
