//! The other hosts of the site, as the peers' source tells them: who is there, what is held of each, and what witnesses
//! found.
//!
//! Names, zones and labels are other hosts' own words. They are bounded where they come in; control characters may still
//! be in them.

use std::sync::Arc;
use std::time::Duration;

use crate::time::KTime;

/// What is held of a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerStanding {
    /// It was heard of, itself or by others that heard it.
    #[default]
    Alive,
    /// It lives, and somebody has no way to it.
    PathDown,
    /// Nobody can tell.
    Unknown,
    /// The host answers, its daemon does not.
    AgentDown,
    /// A quorum of witnesses had no sign of it by any way.
    HostDown,
    /// It said that it ends.
    Left,
}

impl PeerStanding {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Alive, Self::PathDown, Self::Unknown, Self::AgentDown, Self::HostDown, Self::Left];

    /// The word in events, in tests of policies and in `procprobe peers`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::PathDown => "path_down",
            Self::Unknown => "unknown",
            Self::AgentDown => "agent_down",
            Self::HostDown => "host_down",
            Self::Left => "left",
        }
    }
}

/// A host of the site, this one among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerView {
    /// Its name.
    pub name: Arc<str>,
    /// Where it stands; empty where it does not say.
    pub zone: Arc<str>,
    /// What it says of itself, sorted.
    pub labels: Vec<(Arc<str>, Arc<str>)>,
    /// What is held of it.
    pub standing: PeerStanding,
    /// Of one that is not alive: its last sign of life.
    pub since: Option<KTime>,
}

/// What the source of peers has to say.
#[derive(Clone, Debug, PartialEq)]
pub enum PeerNews {
    /// Everybody that is known, as they stand now.
    Members(Vec<PeerView>),
    /// This host is a witness of a verdict.
    Verdict(Box<PeerVerdict>),
    /// A host without a way to the collector has asked this one to speak for it.
    Vouched(Box<PeerVouch>),
}

/// Which way a verdict went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerTurn {
    /// An outage begins.
    Down,
    /// It is over: the host was away, and is back.
    Recovered,
    /// It was another outage than it was held for.
    Reclassified,
}

/// A verdict about a host.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerVerdict {
    /// Which way it went.
    pub turn: PeerTurn,
    /// What it is held for now.
    pub verdict: PeerStanding,
    /// Its name.
    pub peer: Arc<str>,
    /// It is this host: it reaches too few of the others to speak of anybody.
    pub own: bool,
    /// Its zone.
    pub zone: Arc<str>,
    /// What it was held for before, where that was something else.
    pub was: Option<PeerStanding>,
    /// The outage, in hexadecimal digits: the same from every witness.
    pub incident: Arc<str>,
    /// Who says so, and by what.
    pub witnesses: Vec<PeerWitness>,
    /// The last sign of life before the outage.
    pub since: KTime,
    /// How long the silence lasted, where it is over.
    pub silence: Option<Duration>,
}

/// Who says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerWitness {
    /// Its name.
    pub name: Arc<str>,
    /// Its zone.
    pub zone: Arc<str>,
    /// What it tried, and what came of that.
    pub evidence: Arc<str>,
}

/// A sign of life of a host that has no way to the collector; its signature was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerVouch {
    /// Its name.
    pub peer: Arc<str>,
    /// Its zone.
    pub zone: Arc<str>,
    /// Its boot, in hexadecimal digits.
    pub boot: Arc<str>,
    /// Number of the sign of life within that boot.
    pub sequence: u64,
    /// How long that host has been up.
    pub uptime: Duration,
    /// How often it has lost the collector since its daemon started.
    pub losses: u32,
    /// What it signed, and its signature in the last 64 bytes, in hexadecimal digits.
    pub proof: Arc<str>,
}
