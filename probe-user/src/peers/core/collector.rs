//! The path to the collector: a member that lost its own hands its signed heartbeat to some that have one.

use crate::time::KTime;

use super::message::{Body, begin, reach_bits, reach_of};
use super::site::{Out, Site};
use super::suspect::incident_of;
use super::table::{Handle, ME, Standing};
use super::wire::{Reader, Write};
use super::{Effect, Evidence, Kind, Reach, Verdict, What, Witness, Words};

/// What is put before such a heartbeat when it is signed.
const SIGNED_AS: &[u8] = b"procprobe heartbeat 1\0";
/// Members that are asked to vouch at a time.
const VOUCHERS: usize = 3;
/// Members for whom this node vouches.
const VOUCHED_MAX: usize = 512;
/// Lost so many periods ago and never heard since: somebody else vouches, or it is down.
const PERIODS_MAX: u32 = 6;
/// What the names of such incidents are made from.
const COLLECTOR: u64 = 1 << 42;

/// Vouching, in both directions.
#[derive(Debug, Default)]
pub(super) struct Vouching {
    seq: u64,
    losses: u32,
    next: Option<KTime>,
    /// Who told the collector last time.
    vouchers: Vec<Handle>,
    /// For whom this node does.
    clients: Vec<Client>,
}

#[derive(Debug)]
struct Client {
    who: Handle,
    losses: u32,
    seq: u64,
    since: KTime,
    last: KTime,
}

impl Site {
    /// Whether this host reaches the collector.
    pub(super) fn set_reach(&mut self, now: KTime, reach: Reach, out: Out<'_>) {
        if reach == self.reach {
            return;
        }
        self.reach = reach;
        self.dirty = true;
        if let Some(me) = self.table.get_mut(ME) {
            me.reach = reach;
        }
        if reach == Reach::Lost {
            self.vouching.losses = self.vouching.losses.saturating_add(1);
            // A short loss is nobody's business.
            self.vouching.next = Some(now.after(self.set.vouch_period));
        } else if self.vouching.next.take().is_some() {
            // Those who vouched learn that they need not any more.
            let vouchers = std::mem::take(&mut self.vouching.vouchers);
            self.send_words(now, &vouchers, out);
        }
    }

    /// Hands out a heartbeat, if it is time.
    pub(super) fn ask_to_vouch(&mut self, now: KTime, out: Out<'_>) {
        if self.vouching.next.is_none_or(|due| due > now) {
            return;
        }
        self.vouching.next = Some(now.after(self.set.vouch_period));
        let mut vouchers = std::mem::take(&mut self.vouching.vouchers);
        let missing = VOUCHERS.saturating_sub(vouchers.len());
        let mut candidates = self.some_living(missing * 4);
        // Those that say that they have a path first, those that say they have none not at all.
        let reach = |handle: &Handle| self.table.get(*handle).map_or(Reach::Lost, |peer| peer.reach);
        candidates.retain(|handle| reach(handle) != Reach::Lost && !vouchers.contains(handle));
        candidates.sort_by_key(|handle| reach(handle) != Reach::Reached);
        vouchers.extend(candidates.into_iter().take(missing));
        self.send_words(now, &vouchers, out);
        // Only who answers is asked again.
    }

    fn send_words(&mut self, now: KTime, to: &[Handle], out: Out<'_>) {
        self.vouching.seq += 1;
        let Some(me) = self.table.get(ME) else { return };
        let mut words = Vec::with_capacity(128);
        words.bytes(&me.id.0);
        words.bytes(&me.record.member.boot);
        words.u64(self.vouching.seq);
        words.u64(now.0);
        words.u8(reach_bits(self.reach));
        words.u32(self.vouching.losses);
        let signature = self.signer.sign(&[SIGNED_AS, &words].concat());
        words.bytes(&signature);
        let message = begin(&self.head(false), &Body::Vouch { words: &words });
        for peer in to.iter().filter_map(|handle| self.table.get(*handle)) {
            let to = peer.record.member.addr;
            out.push(Effect::Send { to, bytes: message.clone(), reliable: false });
        }
    }

    /// A member's answer: it told the collector, or cannot.
    pub(super) fn vouched(&mut self, sender: Option<Handle>, told: bool) {
        let Some(sender) = sender else { return };
        let vouchers = &mut self.vouching.vouchers;
        vouchers.retain(|voucher| *voucher != sender);
        if told && vouchers.len() < VOUCHERS && self.reach == Reach::Lost {
            vouchers.push(sender);
        }
    }

    /// A member asks this node to tell the collector that it lives.
    pub(super) fn vouch(&mut self, now: KTime, sender: Option<Handle>, signed: &[u8], out: Out<'_>) {
        let Some((handle, peer)) = sender.and_then(|sender| Some((sender, self.table.get(sender)?))) else { return };
        let Some((said, signature)) = signed.split_last_chunk() else { return };
        let Some((words, id)) = read_words(said, signed, &peer.record.member.name) else {
            self.refused.malformed += 1;
            return;
        };
        let to = peer.record.member.addr;
        let client = self.vouching.clients.iter().position(|client| client.who == handle);
        let known = client.and_then(|place| self.vouching.clients.get(place));
        let is_old = known.is_some_and(|known| known.seq >= words.seq && known.losses >= words.losses);
        if id != peer.id || words.boot != peer.record.member.boot || is_old || peer.standing == Standing::Left {
            return;
        }
        let own_share = self.budget.share(sender, to).signature();
        if !own_share || !self.signer.verify(&peer.record.member.public_key, &[SIGNED_AS, said].concat(), signature) {
            self.refused.forged += u64::from(own_share);
            return;
        }
        if words.reach != Reach::Lost {
            if let Some(place) = client {
                let client = self.vouching.clients.swap_remove(place);
                self.tell_of_collector(&client, Kind::Recovered, Some(now), out);
            }
            return;
        }
        let told = self.reach == Reach::Reached && (client.is_some() || self.vouching.clients.len() < VOUCHED_MAX);
        let bytes = begin(&self.head(false), &Body::Vouched { told });
        out.push(Effect::Send { to, bytes, reliable: false });
        if !told {
            return;
        }
        match client.and_then(|place| self.vouching.clients.get_mut(place)) {
            Some(client) if client.losses == words.losses => {
                client.seq = words.seq;
                client.last = now;
            }
            _ => {
                if let Some(place) = client {
                    let before = self.vouching.clients.swap_remove(place);
                    self.tell_of_collector(&before, Kind::Recovered, Some(now), out);
                }
                let since = now.before(self.set.vouch_period);
                let client = Client { who: handle, losses: words.losses, seq: words.seq, since, last: now };
                self.tell_of_collector(&client, Kind::Down, None, out);
                self.vouching.clients.push(client);
            }
        }
        let Some(peer) = self.table.get(handle) else { return };
        out.push(Effect::Vouch { peer: peer.id, words });
    }

    fn tell_of_collector(&mut self, client: &Client, kind: Kind, until: Option<KTime>, out: Out<'_>) {
        let (Some(peer), Some(me)) = (self.table.get(client.who), self.table.get(ME)) else { return };
        let incident = self.collector_incident(client).unwrap_or_default();
        let (name, zone) = (me.record.member.name.clone(), me.record.member.zone.clone());
        out.push(Effect::Verdict(Box::new(Verdict {
            kind,
            what: What::PathDown,
            was: None,
            peer: Box::new(peer.record.member.clone()),
            incident,
            witnesses: vec![Witness { name, zone, evidence: Evidence::default() }],
            since: client.since,
            until,
            mine: true,
        })));
        self.dirty = true;
    }

    fn collector_incident(&self, client: &Client) -> Option<[u8; 16]> {
        let peer = self.table.get(client.who)?;
        Some(incident_of(&peer.id, &peer.record.member.boot, COLLECTOR | u64::from(client.losses)))
    }

    /// The incident of a member for which this node vouches.
    pub(super) fn vouched_incident(&self, handle: Handle) -> Option<[u8; 16]> {
        let client = self.vouching.clients.iter().find(|client| client.who == handle)?;
        self.collector_incident(client)
    }

    /// Those that ask no more found another one, or are judged otherwise.
    pub(super) fn drop_silent_clients(&mut self, now: KTime) {
        let patience = self.set.vouch_period * PERIODS_MAX;
        self.vouching.clients.retain(|client| now.since(client.last) < patience);
    }

    /// A member is forgotten.
    pub(super) fn forget_vouchers(&mut self, handle: Handle) {
        self.vouching.vouchers.retain(|voucher| *voucher != handle);
        self.vouching.clients.retain(|client| client.who != handle);
    }

    pub(super) fn next_vouch(&self) -> Option<KTime> {
        self.vouching.next
    }
}

fn read_words(said: &[u8], signed: &[u8], name: &str) -> Option<(Words, super::PeerId)> {
    let mut reader = Reader(said);
    let id = super::PeerId(reader.array()?);
    let words = Words {
        name: name.to_owned(),
        boot: reader.array()?,
        seq: reader.u64()?,
        up_ns: reader.u64()?,
        reach: reach_of(reader.u8()?)?,
        losses: reader.u32()?,
        signed: signed.to_vec(),
    };
    reader.is_empty().then_some((words, id))
}
