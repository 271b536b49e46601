//! Everyone that this node knows, by small numbers, with the digests by which two nodes see whether they know the same.

use std::collections::HashMap;
use std::sync::Arc;

use crate::time::KTime;

use super::message::BUCKETS;
use super::random::{IdHash, mix, number_of, number_of_bytes};
use super::suspect::Case;
use super::{MEMBERS_MAX, PeerId, Reach, Record};

/// A member's place in the table. Given again after the member was forgotten.
pub(super) type Handle = u32;
/// This node itself.
pub(super) const ME: Handle = 0;

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Alive,
    Suspect,
    Down,
    Left,
}

/// One member.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: PeerId,
    pub(super) record: Arc<Record>,
    pub(super) standing: Standing,
    /// Its zone's place among the table's.
    pub(super) zone: u16,
    pub(super) reach: Reach,
    /// 0: not measured.
    pub(super) round_trip_us: u32,
    /// When its standing began.
    pub(super) since: KTime,
    /// When it was last heard directly; 0: never.
    pub(super) heard: KTime,
    /// When its record came.
    pub(super) learned: KTime,
    /// When the whole list was last sent to it.
    pub(super) compared: KTime,
    /// What speaks against it, while it is suspect or down.
    pub(super) case: Option<Box<Case>>,
    /// The life in which this node called it down; it came back and may not know that, or not have said so yet.
    pub(super) called_down: Option<u32>,
}

impl Peer {
    /// Whether it goes on with the life that was called down: another outage of it would have the same name.
    pub(super) fn owes_a_life(&self) -> bool {
        self.called_down == Some(self.record.member.life)
    }

    pub(super) fn incarnation(&self) -> u32 {
        self.record.member.incarnation
    }

    /// Down by what witnesses said, which others must come to as well; `unknown` is each node's own.
    fn is_proven(&self) -> bool {
        self.standing == Standing::Down && self.case.as_ref().is_some_and(|case| case.is_proven())
    }

    fn digest(&self) -> u64 {
        let member = &self.record.member;
        let new = u64::from(member.incarnation) << 32 | u64::from(member.life);
        mix(mix(number_of(&self.id) ^ new) ^ u64::from(self.is_proven()))
    }
}

/// Why a member is not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotTaken {
    Full,
    NameTaken,
}

/// All members.
#[derive(Debug)]
pub(super) struct Table {
    slots: Vec<Option<Peer>>,
    free: Vec<Handle>,
    ids: HashMap<PeerId, Handle, IdHash>,
    names: HashMap<u64, Handle, IdHash>,
    zones: Vec<String>,
    buckets: [u64; BUCKETS],
    digest: u64,
    counts: [usize; 4],
    seed: u64,
}

impl Table {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            ids: HashMap::with_hasher(IdHash(mix(seed))),
            names: HashMap::with_hasher(IdHash(mix(seed))),
            zones: Vec::new(),
            buckets: [0; BUCKETS],
            digest: 0,
            counts: [0; 4],
            seed,
        }
    }

    pub(super) fn find(&self, id: &PeerId) -> Option<Handle> {
        self.ids.get(id).copied()
    }

    /// Who has this name.
    pub(super) fn named(&self, name: &str) -> Option<Handle> {
        self.names.get(&self.name_number(name)).copied()
    }

    pub(super) fn get(&self, handle: Handle) -> Option<&Peer> {
        self.slots.get(handle as usize)?.as_ref()
    }

    /// For what is no part of the digest: anything but the record, the standing and what the case says.
    pub(super) fn get_mut(&mut self, handle: Handle) -> Option<&mut Peer> {
        self.slots.get_mut(handle as usize)?.as_mut()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Handle, &Peer)> {
        (0..).zip(&self.slots).filter_map(|(handle, slot)| Some((handle, slot.as_ref()?)))
    }

    /// Places, empty ones too.
    pub(super) fn places(&self) -> usize {
        self.slots.len()
    }

    /// Everyone, whatever became of them, with this node.
    pub(super) fn len(&self) -> usize {
        self.counts.iter().sum()
    }

    pub(super) fn count(&self, standing: Standing) -> usize {
        self.counts[standing as usize]
    }

    /// Alive or suspected, with this node.
    pub(super) fn living(&self) -> usize {
        self.count(Standing::Alive) + self.count(Standing::Suspect)
    }

    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    pub(super) fn buckets(&self) -> &[u64; BUCKETS] {
        &self.buckets
    }

    /// In which part of the list a member is.
    pub(super) fn bucket(id: &PeerId) -> usize {
        usize::from(id.0[0]) % BUCKETS
    }

    pub(super) fn zone_name(&self, zone: u16) -> &str {
        self.zones.get(usize::from(zone)).map_or("", String::as_str)
    }

    pub(super) fn zones(&self) -> usize {
        self.zones.len()
    }

    /// Takes a new member in.
    pub(super) fn insert(&mut self, record: Arc<Record>, now: KTime) -> Result<Handle, NotTaken> {
        if self.len() >= MEMBERS_MAX {
            return Err(NotTaken::Full);
        }
        let name = self.name_number(&record.member.name);
        if self.names.contains_key(&name) {
            return Err(NotTaken::NameTaken);
        }
        let id = record.member.id();
        let zone = self.zone_of(&record.member.zone);
        let standing = if record.member.leaving.is_some() { Standing::Left } else { Standing::Alive };
        let peer = Peer {
            id,
            record,
            standing,
            zone,
            reach: Reach::Unknown,
            round_trip_us: 0,
            since: now,
            heard: KTime(0),
            learned: now,
            compared: KTime(0),
            called_down: None,
            case: None,
        };
        self.fold(&peer);
        self.counts[standing as usize] += 1;
        let handle = self.free.pop().unwrap_or(Handle::try_from(self.slots.len()).unwrap_or(Handle::MAX));
        let place = handle as usize;
        if place < self.slots.len() {
            self.slots[place] = Some(peer);
        } else {
            self.slots.push(Some(peer));
        }
        self.ids.insert(id, handle);
        self.names.insert(name, handle);
        Ok(handle)
    }

    /// Takes in what a member says anew. Its name may be another one, if nobody has that.
    pub(super) fn renew(&mut self, handle: Handle, record: Arc<Record>, now: KTime) -> Result<(), NotTaken> {
        let name = self.name_number(&record.member.name);
        if self.names.get(&name).is_some_and(|owner| *owner != handle) {
            return Err(NotTaken::NameTaken);
        }
        let zone = self.zone_of(&record.member.zone);
        let before = self.get(handle).map(|peer| self.name_number(&peer.record.member.name));
        if let Some(before) = before.filter(|before| *before != name) {
            self.names.remove(&before);
            self.names.insert(name, handle);
        }
        self.change(handle, |peer| {
            peer.zone = zone;
            peer.record = record;
            peer.learned = now;
        });
        Ok(())
    }

    /// Changes anything of a member.
    pub(super) fn change(&mut self, handle: Handle, change: impl FnOnce(&mut Peer)) {
        let Some(slot) = self.slots.get_mut(handle as usize) else { return };
        let Some(mut peer) = slot.take() else { return };
        self.fold(&peer);
        self.counts[peer.standing as usize] -= 1;
        change(&mut peer);
        self.counts[peer.standing as usize] += 1;
        self.fold(&peer);
        self.slots[handle as usize] = Some(peer);
    }

    pub(super) fn forget(&mut self, handle: Handle) {
        let Some(peer) = self.slots.get_mut(handle as usize).and_then(Option::take) else { return };
        self.fold(&peer);
        self.counts[peer.standing as usize] -= 1;
        self.ids.remove(&peer.id);
        self.names.remove(&self.name_number(&peer.record.member.name));
        self.free.push(handle);
    }

    /// Puts a member into the digests, or takes it out again.
    fn fold(&mut self, peer: &Peer) {
        let digest = peer.digest();
        self.buckets[Self::bucket(&peer.id)] ^= digest;
        self.digest ^= digest;
    }

    fn name_number(&self, name: &str) -> u64 {
        number_of_bytes(self.seed, name.as_bytes())
    }

    fn zone_of(&mut self, name: &str) -> u16 {
        let place = self.zones.iter().position(|zone| zone == name).unwrap_or_else(|| {
            // A zone that nobody is in any more is not taken out: members that move through zones are few, and one that
            // does so on purpose ends in the last place.
            if self.zones.len() < 2 * MEMBERS_MAX {
                self.zones.push(name.to_owned());
            }
            self.zones.len() - 1
        });
        u16::try_from(place).unwrap_or(u16::MAX)
    }
}
