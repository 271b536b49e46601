//! Who of a site is there: membership, and the verdict on a member that falls silent. Pure.
//!
//! [`Site`] is what one node knows and does: `step(now, input, effects)`, without a clock, I/O or randomness but its seed.
//! Members probe each other by SWIM (direct, through helpers, suspicion, refutation) with Lifeguard's local health. A
//! silent member is judged by statements that named witnesses sign; one witness, however loud, never suffices.
//!
//! Constraints: everything from the network is hostile, whoever holds the shared key: it is bounded, checked, and its work
//! is rationed for each sender. A packet has at most [`Settings::packet_bytes`], a reliable message [`RELIABLE_BYTES`], the
//! site [`MEMBERS_MAX`] members. What cannot be decided is `unknown`, which accuses nobody.
//!
//! On failure: what is malformed, forged, too much or refused is left out and counted in [`Refused`].

mod budget;
mod collector;
mod gossip;
mod heal;
mod judge;
mod member;
mod message;
mod myself;
mod path;
mod probe;
mod quorum;
mod random;
mod receive;
mod relay;
mod settings;
mod site;
mod statement;
mod suspect;
mod sync;
mod table;
mod wire;
mod witness;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::time::KTime;

pub use member::{LABELS_MAX, Member, PeerId, Record, TEXT_BYTES_MAX, TooLarge};
pub use settings::{MEMBERS_MAX, PACKET_BYTES, RELIABLE_BYTES, Settings};
pub use site::{Counts, Site};

/// Signs what this node says and checks what others said. The real one is ed25519.
pub trait Signer: Send {
    /// Signs with this node's own key, the one whose public half is in its [`Member`].
    fn sign(&self, bytes: &[u8]) -> [u8; 64];
    /// Whether `signature` is that of `key`'s owner.
    fn verify(&self, key: &[u8; 32], bytes: &[u8], signature: &[u8; 64]) -> bool;
}

/// What a node is told.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// The time that [`Site::next`] named has come.
    Tick,
    /// Somebody who holds the shared key sent this; decrypted, and not a replay. For a reliable message (TCP) `from` is
    /// only where it came from: answers go to the address that the sender's record names.
    Packet {
        /// Where it came from.
        from: SocketAddr,
        /// The message, one for each input.
        bytes: &'a [u8],
        /// By TCP.
        reliable: bool,
    },
    /// Where members may be found: from a list, a name, or a file that was read again. May come at any time; those that
    /// did not answer are tried again by and by.
    Join(&'a [SocketAddr]),
    /// What came of [`Effect::AskHost`]. Must come for each of them, within [`Settings::ask_patience`] at best.
    HostAnswered {
        /// The member whose host was asked.
        peer: PeerId,
        /// When (the time of the step that had the effect).
        asked: KTime,
        /// The host answered: an ICMP echo, or a TCP connection accepted or refused.
        answered: bool,
    },
    /// Whether this host reaches its collector, whenever that changes. Without any collector it never comes.
    Collector(Reach),
    /// The daemon is about to end: the last words are sent at once. Nothing needs to follow.
    Leaving(Why),
    /// This node's zone or labels are others now.
    Relabel {
        /// The new zone.
        zone: String,
        /// The new labels.
        labels: Vec<(String, String)>,
    },
}

/// What a node wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Send this. Reliable ones go by TCP, are answered by reliable ones of the other's own making and may be lost with
    /// the connection; the address is the one where the member listens for both.
    Send {
        /// Where to.
        to: SocketAddr,
        /// The message, not yet sealed.
        bytes: Vec<u8>,
        /// By TCP.
        reliable: bool,
    },
    /// Is the host there though its daemon is silent? Several ICMP echoes and a TCP connection within
    /// [`Settings::ask_patience`]; one answer is enough. Told by [`Input::HostAnswered`].
    AskHost {
        /// Who runs on it.
        peer: PeerId,
        /// Its address.
        addr: IpAddr,
        /// Ports that may be listened on there, its daemon's first: a refusal is an answer too.
        ports: [u16; 2],
    },
    /// A member went down, came back, or was something else than was said.
    Verdict(Box<Verdict>),
    /// Tell the collector this signed heartbeat of a member that has no path to it.
    Vouch {
        /// Whose.
        peer: PeerId,
        /// What it said and signed: see [`Words`].
        words: Words,
    },
    /// Some view changed: policies may want to look at [`Site::members`].
    Changed,
}

/// Whether the collector can be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reach {
    /// There is none, or nobody knows yet.
    #[default]
    Unknown,
    /// It takes what it is sent.
    Reached,
    /// It does not.
    Lost,
}

/// Why a daemon ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// It was stopped: no outage.
    Stop,
    /// The host reboots: no outage, if it is back within [`Settings::reboot_grace`].
    Reboot,
}

/// A heartbeat that a member signs for the collector, handed on by another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// The member's name.
    pub name: String,
    /// Its boot.
    pub boot: [u8; 16],
    /// Rises with every heartbeat of this kind.
    pub seq: u64,
    /// Nanoseconds since its boot when it said so.
    pub up_ns: u64,
    /// What it says about its own path.
    pub reach: Reach,
    /// How often it has lost the collector since its daemon started: names the outage.
    pub losses: u32,
    /// The bytes that were signed, with the signature in the last 64.
    pub signed: Vec<u8>,
}

/// What became of a member, as this node sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// Its host does not answer anybody who should know.
    HostDown,
    /// Its host answers, its daemon does not.
    AgentDown,
    /// It lives, but a path to it (or from it to the collector) is broken. About oneself: no quorum is reached.
    PathDown,
    /// It is silent, and nobody can tell why. Accuses nobody.
    Unknown,
}

/// What a verdict says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An outage begins.
    Down,
    /// It is over.
    Recovered,
    /// It was, or is, something else than was said: `what` is the truth and `was` what had been said.
    Reclassified,
}

/// What this node came to know about a member. Every survivor comes to it by itself and names the same incident.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Begins, ends, or is corrected.
    pub kind: Kind,
    /// What it is.
    pub what: What,
    /// What had been said before, where that was something else.
    pub was: Option<What>,
    /// About whom: as it was last known. May be this node itself (`path_down`: it reaches no quorum).
    pub peer: Box<Member>,
    /// The same from every survivor for one outage.
    pub incident: [u8; 16],
    /// On whose word.
    pub witnesses: Vec<Witness>,
    /// The last sign of life that anybody named here had of it; about oneself, the last one of a quorum.
    pub since: KTime,
    /// The end of the silence, once it has one: with `since` it is the interval.
    pub until: Option<KTime>,
    /// This node is one of the witnesses: it tells the collector, the others need not.
    pub mine: bool,
}

/// One who speaks about a silent member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// Its name.
    pub name: String,
    /// Its zone.
    pub zone: String,
    /// What it tried.
    pub evidence: Evidence,
}

/// What a witness tried and what came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Evidence {
    /// Direct probes without an answer.
    pub direct: u8,
    /// Helpers that heard nothing either.
    pub indirect: u8,
    /// Whether the host answered when it was asked; `None`: it was not asked.
    pub host: Option<bool>,
    /// How long it had been silent to this witness, ms.
    pub silent_ms: u32,
}

/// What a member is to this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// It gives signs of life.
    Alive,
    /// Somebody misses it.
    Suspect,
    /// There is a verdict.
    Down,
    /// It said that it goes.
    Left(Why),
}

/// A member as this node sees it.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Who.
    pub member: &'a Member,
    /// What it is now.
    pub state: State,
    /// What is wrong with it; also of a living one (`path_down`).
    pub verdict: Option<What>,
    /// The incident that is open.
    pub incident: Option<[u8; 16]>,
    /// Since when it is what it is.
    pub since: KTime,
    /// When this node last heard it, itself or through a helper that it had asked; `None`: never.
    pub heard: Option<KTime>,
    /// The last direct round trip.
    pub round_trip: Option<Duration>,
    /// What it last said about its collector.
    pub collector: Reach,
    /// It is this node.
    pub myself: bool,
}

/// How this node itself fares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Lifeguard's score: 0 is well; each point stretches the own timers once more.
    pub score: u32,
    /// Of `asked` members it lately reached so many; both count itself.
    pub reached: u32,
    /// Members that it tried lately.
    pub asked: u32,
    /// It has no quorum: it accuses nobody, and has said `path_down` about itself.
    pub isolated: bool,
    /// Members that are alive or suspected, with itself.
    pub living: u32,
    /// What was not taken in, since the start.
    pub refused: Refused,
}

/// Input that was left out, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// No message of this protocol.
    pub malformed: u64,
    /// A signature that is not right, or a key that is not the one known under that name.
    pub forged: u64,
    /// More from one sender than its share.
    pub flood: u64,
    /// Members beyond the limit.
    pub full: u64,
    /// A name that another key has already.
    pub name_taken: u64,
}
