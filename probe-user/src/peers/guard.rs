//! Which datagrams are let in, and how those that go out are sealed. Pure: no sockets, no clock; randomness is one salt.
//!
//! A datagram names the beginning of its receiver's salt, which is new with each start of a daemon. One that names another
//! is not let in, and its sender gets a hello: sealed, bound to the sender's own salt, with the number of the datagram
//! that it answers. The sender learns the receiver's salt from it and sends again what it sent within the last second.
//! So whatever was recorded on the wire is worth nothing later, and no host needs a clock that is right.
//!
//! Only what is bound to this very life takes room in a table; only holders of a key can make that. Everything else costs
//! a look at the header, one derived key and one seal that does not fit, and of each source not too often.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use super::keys::Key;
use super::limit::{Budget, Limits};
use super::refused::{Refusal, Refused};
use super::seal::{HEADER_BYTES, Header, HeaderError, Kind, Salt, SaltKey, TAG_BYTES, TO_BYTES, To};
use super::window::Window;
use crate::time::KTime;

/// Longest datagram that is let in.
pub(super) const DATAGRAM_MAX: usize = 1400;
/// Lives of other daemons that are remembered: twice a site's size.
const SENDERS_MAX: usize = 8192;
/// Datagrams that can be sent again.
const RECENT_MAX: usize = 64;
/// For so long.
const RECENT: Duration = Duration::from_secs(1);
/// Datagrams a second from one address, and at once.
const RATE: f64 = 200.0;
const BURST: f64 = 400.0;
/// Hellos a second, and at once: after a restart everybody of a large site needs one.
const HELLO_RATE: f64 = 200.0;
const HELLO_BURST: f64 = 1000.0;

/// What seals and opens.
#[derive(Debug)]
pub(super) struct Guard {
    /// The first seals.
    keys: Vec<Key>,
    salt: Salt,
    own: SaltKey,
    number: u64,
    senders: HashMap<Salt, Sender>,
    /// What others' salts begin with, by where they are sent to.
    places: HashMap<SocketAddr, (To, KTime)>,
    recent: VecDeque<Recent>,
    limits: Limits,
    hellos: Budget,
    refused: Refused,
}

/// One life of another daemon.
#[derive(Debug)]
struct Sender {
    key_id: [u8; super::keys::ID_BYTES],
    key: SaltKey,
    window: Window,
    heard: KTime,
}

/// A datagram that was sent.
#[derive(Debug)]
struct Recent {
    number: u64,
    to: SocketAddr,
    at: KTime,
    words: Vec<u8>,
}

/// What becomes of a datagram that came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Opened {
    /// It is let in.
    Words(Vec<u8>),
    /// It is not; this is to be sent to where it came from.
    Answer(Vec<u8>),
    /// It was a hello; these are to be sent (again).
    Again(Vec<(SocketAddr, Vec<u8>)>),
    /// It is not let in.
    Refused,
}

impl Guard {
    /// Of these keys, at least one; the salt is random and new. `None` only where no key can be derived.
    pub(super) fn new(keys: Vec<Key>, salt: Salt) -> Option<Self> {
        let own = SaltKey::new(keys.first()?, &salt)?;
        Some(Self {
            keys,
            salt,
            own,
            number: 0,
            senders: HashMap::new(),
            places: HashMap::new(),
            recent: VecDeque::new(),
            limits: Limits::new(RATE, BURST),
            hellos: Budget::new(HELLO_BURST),
            refused: Refused::default(),
        })
    }

    /// Other keys from now on; who sealed with one that is gone is not heard any more.
    pub(super) fn set_keys(&mut self, keys: Vec<Key>) {
        let Some(own) = keys.first().and_then(|key| SaltKey::new(key, &self.salt)) else { return };
        self.own = own;
        // Numbers go on, and so do the windows: a salt's numbers count once under any key.
        self.keys = keys;
    }

    /// The keys in force.
    pub(super) fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// What was refused.
    pub(super) const fn refused(&self) -> &Refused {
        &self.refused
    }

    /// One more was refused, elsewhere.
    pub(super) fn refuse(&mut self, why: Refusal) {
        self.refused.count(why);
    }

    /// A datagram with these words.
    pub(super) fn seal(&mut self, now: KTime, to: SocketAddr, words: Vec<u8>) -> Option<Vec<u8>> {
        let known = self.places.get(&to).map_or([0; TO_BYTES], |(known, _)| *known);
        let packet = self.sealed(Kind::Words, known, &words)?;
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(Recent { number: self.number, to, at: now, words });
        Some(packet)
    }

    /// What a datagram from there is.
    pub(super) fn open(&mut self, now: KTime, from: SocketAddr, packet: &[u8]) -> Opened {
        match self.look(now, from, packet) {
            Ok(opened) => opened,
            Err(why) => {
                self.refused.count(why);
                Opened::Refused
            }
        }
    }

    fn look(&mut self, now: KTime, from: SocketAddr, packet: &[u8]) -> Result<Opened, Refusal> {
        if !self.limits.allows(now, from.ip()) {
            return Err(Refusal::Flood);
        }
        let (header, sealed) = Header::read(packet).map_err(|error| match error {
            HeaderError::Malformed => Refusal::Malformed,
            HeaderError::Version => Refusal::Version,
        })?;
        if packet.len() > DATAGRAM_MAX || packet.len() < HEADER_BYTES + TAG_BYTES || header.kind == Kind::Stream {
            return Err(Refusal::Malformed);
        }
        let key = self.keys.iter().find(|key| key.id == header.key_id).ok_or(Refusal::UnknownKey)?;
        let known = self.senders.get(&header.salt);
        if known.is_some_and(|sender| !sender.window.is_new(header.number)) {
            return Err(Refusal::Replayed);
        }
        let derived = match known {
            Some(sender) if sender.key_id == header.key_id => None,
            _ => Some(SaltKey::new(key, &header.salt).ok_or(Refusal::Seal)?),
        };
        let opener = derived.as_ref().or(known.map(|sender| &sender.key)).ok_or(Refusal::Seal)?;
        let words = opener.open(&header, &[], sealed).ok_or(Refusal::Seal)?;
        if header.to != begin(&self.salt) {
            return self.greet(now, &header);
        }
        self.heard(now, &header, derived)?;
        self.learn(now, from, begin(&header.salt));
        if header.kind == Kind::Words {
            return Ok(Opened::Words(words));
        }
        let answered = words.as_slice().try_into().map(u64::from_be_bytes).map_err(|_| Refusal::Malformed)?;
        Ok(Opened::Again(self.again(now, answered, begin(&header.salt))))
    }

    /// What another one needs to know to be let in.
    fn greet(&mut self, now: KTime, header: &Header) -> Result<Opened, Refusal> {
        // A hello to another life of this daemon leads nowhere.
        if header.kind == Kind::Hello || !self.hellos.take(now, HELLO_RATE, HELLO_BURST) {
            return Err(Refusal::Unbound);
        }
        self.refused.count(Refusal::Unbound);
        let hello = self.sealed(Kind::Hello, begin(&header.salt), &header.number.to_be_bytes());
        hello.map(Opened::Answer).ok_or(Refusal::Unbound)
    }

    /// Its number has come; its sender has a place from now on.
    fn heard(&mut self, now: KTime, header: &Header, derived: Option<SaltKey>) -> Result<(), Refusal> {
        if !self.senders.contains_key(&header.salt) && self.senders.len() >= SENDERS_MAX {
            // The one that was silent for longest: most likely a life that is over.
            let oldest = self.senders.iter().min_by_key(|(_, sender)| sender.heard).map(|(salt, _)| *salt);
            if let Some(oldest) = oldest {
                self.senders.remove(&oldest);
            }
        }
        if let Some(sender) = self.senders.get_mut(&header.salt) {
            if let Some(key) = derived {
                (sender.key, sender.key_id) = (key, header.key_id);
            }
            sender.window.mark(header.number);
            sender.heard = now;
            return Ok(());
        }
        let key = derived.ok_or(Refusal::Room)?;
        let mut window = Window::new();
        window.mark(header.number);
        self.senders.insert(header.salt, Sender { key_id: header.key_id, key, window, heard: now });
        Ok(())
    }

    /// Who is heard from there.
    fn learn(&mut self, now: KTime, place: SocketAddr, salt: To) {
        if !self.places.contains_key(&place) && self.places.len() >= SENDERS_MAX {
            let oldest = self.places.iter().min_by_key(|(_, (_, at))| *at).map(|(place, _)| *place);
            if let Some(oldest) = oldest {
                self.places.remove(&oldest);
            }
        }
        self.places.insert(place, (salt, now));
    }

    /// What was sent lately to where the hello's datagram went. It may have come back from another address of that host.
    fn again(&mut self, now: KTime, answered: u64, salt: To) -> Vec<(SocketAddr, Vec<u8>)> {
        let Some(to) = self.recent.iter().find(|recent| recent.number == answered).map(|recent| recent.to) else {
            return Vec::new();
        };
        self.learn(now, to, salt);
        let (again, others): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.recent).into_iter().partition(|recent| recent.to == to);
        self.recent = others;
        let young = again.into_iter().filter(|recent| now.since(recent.at) <= RECENT);
        young.filter_map(|recent| Some((recent.to, self.sealed(Kind::Words, salt, &recent.words)?))).collect()
    }

    fn sealed(&mut self, kind: Kind, to: To, words: &[u8]) -> Option<Vec<u8>> {
        self.number = self.number.checked_add(1)?;
        let key_id = self.keys.first()?.id;
        let header = Header { kind, key_id, salt: self.salt, to, number: self.number };
        self.own.seal(&header, &[], words)
    }
}

fn begin(salt: &Salt) -> To {
    let mut to = [0; TO_BYTES];
    to.iter_mut().zip(salt).for_each(|(to, from)| *to = *from);
    to
}

#[cfg(test)]
mod tests;
