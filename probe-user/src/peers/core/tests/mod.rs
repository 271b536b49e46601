//! The core by itself: its messages, and what single nodes do. Whole sites are played in tests/simulation.

mod behaviour;
mod codec;

use std::net::SocketAddr;

use super::{Effect, Input, Member, PeerId, Settings, Signer, Site};
use crate::time::KTime;

/// Signs with the key itself and a sum: good enough where nobody forges but the tests.
pub(super) struct Plain([u8; 32]);

impl Signer for Plain {
    fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        plain(&self.0, bytes)
    }

    fn verify(&self, key: &[u8; 32], bytes: &[u8], signature: &[u8; 64]) -> bool {
        plain(key, bytes) == *signature
    }
}

fn plain(key: &[u8; 32], bytes: &[u8]) -> [u8; 64] {
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(key);
    let sum = bytes.iter().fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    signature[32..40].copy_from_slice(&sum.to_be_bytes());
    signature
}

pub(super) fn member(number: u8) -> Member {
    Member {
        public_key: [number; 32],
        name: format!("host-{number}"),
        zone: format!("zone-{}", number % 2),
        labels: vec![("role".into(), "web".into())],
        addr: SocketAddr::from(([10, 0, 0, number], 7946)),
        open_port: 22,
        boot: [number; 16],
        incarnation: 5,
        life: 0,
        started_ns: 0,
        up_ns: 0,
        leaving: None,
    }
}

/// Some nodes with a perfect network between them.
pub(super) struct Nodes {
    pub(super) sites: Vec<Option<Site>>,
    pub(super) now: KTime,
    pub(super) effects: Vec<(usize, Effect)>,
    /// Whether a node's host answers.
    pub(super) answers: Vec<bool>,
}

impl Nodes {
    pub(super) fn new(count: u8) -> Self {
        let now = KTime::from_secs(100);
        let sites = (1..=count).map(|number| {
            let signer = Box::new(Plain([number; 32]));
            Some(Site::new(member(number), Settings::default(), u64::from(number), now, signer))
        });
        let sites: Vec<_> = sites.collect();
        let answers = sites.iter().map(|_| true).collect();
        let mut nodes = Self { sites, now, effects: Vec::new(), answers };
        for place in 1..nodes.sites.len() {
            nodes.put(place, Input::Join(&[member(1).addr]));
        }
        nodes
    }

    pub(super) fn put(&mut self, place: usize, input: Input<'_>) {
        let mut effects = Vec::new();
        if let Some(site) = self.sites[place].as_mut() {
            site.step(self.now, input, &mut effects);
        }
        for effect in effects {
            match &effect {
                Effect::Send { to, bytes, reliable } => {
                    let to = (0..self.sites.len()).find(|other| address(*other) == *to);
                    let (from, bytes, reliable) = (address(place), bytes.clone(), *reliable);
                    if let Some(to) = to.filter(|to| *to != place) {
                        self.put(to, Input::Packet { from, bytes: &bytes, reliable });
                    }
                }
                Effect::AskHost { peer, .. } => {
                    let asked = (0..self.sites.len()).find(|other| PeerId::of(&key(*other)) == *peer);
                    let answered = asked.is_some_and(|asked| self.answers[asked]);
                    let (peer, asked) = (*peer, self.now);
                    self.put(place, Input::HostAnswered { peer, asked, answered });
                }
                _ => self.effects.push((place, effect)),
            }
        }
    }

    pub(super) fn run(&mut self, secs: u64) {
        let end = KTime(self.now.0 + secs * 1_000_000_000);
        loop {
            let next = self.sites.iter().enumerate().filter_map(|(place, site)| Some((site.as_ref()?.next()?, place)));
            let Some((at, place)) = next.min().filter(|(at, _)| *at <= end) else { break };
            self.now = self.now.max(at);
            self.put(place, Input::Tick);
        }
        self.now = end;
    }
}

fn key(place: usize) -> [u8; 32] {
    member(u8::try_from(place + 1).unwrap()).public_key
}

pub(super) fn address(place: usize) -> SocketAddr {
    member(u8::try_from(place + 1).unwrap()).addr
}
