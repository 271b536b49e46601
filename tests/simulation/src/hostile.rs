//! Members that have the shared key and mean harm: one that lies about all others, one that floods. Their packets are put
//! together here, byte by byte, apart from the core's own writing.

use crate::chance::Seal;
use crate::core::{Member, PeerId, Signer};
use crate::network::MS;
use crate::world::{World, addr, host_of, key};

/// How it is hostile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Accuses everyone, with its own signature and with forged ones, and tells living hosts that they died.
    Liar,
    /// Sends as much as it can, in its own name and in others'.
    Flooder,
}

impl Kind {
    /// How often it acts, ns.
    pub fn every(self) -> u64 {
        match self {
            Self::Liar => 600 * MS,
            Self::Flooder => 100 * MS,
        }
    }
}

/// What it sends now.
pub fn packets(world: &mut World, host: usize, kind: Kind) -> Vec<(usize, Vec<u8>)> {
    let Some(site) = world.site(host) else { return Vec::new() };
    let members: Vec<Member> = site.members().map(|view| view.member.clone()).collect();
    let (Some(me), Some(others)) = (members.first(), members.get(1..).filter(|others| !others.is_empty())) else {
        return Vec::new();
    };
    let mut out = Vec::new();
    match kind {
        Kind::Liar => {
            for _ in 0..6 {
                let victim = &others[world.chance.below(others.len())];
                let confederate = &others[world.chance.below(others.len())];
                let mut bytes = head(6, me);
                suspicion(&mut bytes, victim, me, 60_000);
                suspicion(&mut bytes, victim, confederate, 60_000);
                statement(&mut bytes, victim, me, &key(host));
                // In another's name, with its own key.
                statement(&mut bytes, victim, confederate, &key(host));
                let to = &others[world.chance.below(others.len())];
                out.extend(host_of(to.addr.ip()).map(|to| (to, bytes)));
                let mut bytes = head(6, confederate);
                bytes.push(4);
                bytes.extend(victim.id().0);
                bytes.extend(victim.boot);
                bytes.extend(victim.life.to_be_bytes());
                out.extend(host_of(victim.addr.ip()).map(|to| (to, bytes)));
            }
        }
        Kind::Flooder => {
            // Always the same one, more than its share: the victim must still see all others.
            let to = usize::from(host == 0);
            for turn in 0..15_u32 {
                let name = if turn % 2 == 0 { me } else { &others[world.chance.below(others.len())] };
                let mut bytes = head(1, name);
                bytes.extend(turn.to_be_bytes());
                for _ in 0..4 {
                    let victim = &others[world.chance.below(others.len())];
                    statement(&mut bytes, victim, name, &key(host));
                }
                out.push((to, bytes));
            }
        }
    }
    out.retain(|(to, _)| addr(*to) != me.addr);
    out
}

fn head(kind: u8, sender: &Member) -> Vec<u8> {
    let mut bytes = vec![1, kind];
    bytes.extend(sender.id().0);
    bytes.extend(sender.incarnation.to_be_bytes());
    bytes.extend([7; 8]);
    bytes.push(1);
    bytes
}

fn suspicion(bytes: &mut Vec<u8>, victim: &Member, accuser: &Member, age_ms: u16) {
    bytes.push(1);
    bytes.extend(victim.id().0);
    bytes.extend(victim.incarnation.to_be_bytes());
    bytes.extend(accuser.id().0);
    bytes.extend(age_ms.to_be_bytes());
}

fn statement(bytes: &mut Vec<u8>, victim: &Member, witness: &Member, signs: &[u8; 32]) {
    let mut said = Vec::new();
    said.extend(PeerId::of(&witness.public_key).0);
    said.extend(victim.id().0);
    said.extend(victim.boot);
    said.extend(victim.incarnation.to_be_bytes());
    said.extend(victim.life.to_be_bytes());
    said.extend([9, 3, 1]);
    said.extend(60_000_u32.to_be_bytes());
    let signature = Seal { key: *signs }.sign(&[b"procprobe silent 1\0", &said[..]].concat());
    bytes.push(2);
    bytes.extend(said);
    bytes.extend(signature);
}
