//! What people see of the peers: everybody (`procprobe peers`), and how it stands in a few numbers (`procprobe status`,
//! metrics).

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::Serialize;

use super::core::{Health, Reach, State, View, Why};
use super::keys::hex;
use super::refused::Refused;
use super::words;
use crate::record::PeerStanding;
use crate::time::KTime;

/// Everybody.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PeersReport {
    /// This host.
    pub me: Mine,
    /// Everybody known, this host first, then by name.
    pub members: Vec<PeerReport>,
}

/// One member.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PeerReport {
    /// Its name.
    pub name: String,
    /// Its zone; empty where it does not say.
    pub zone: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Where it listens.
    pub address: SocketAddr,
    /// What it is to this host: `alive`, `suspect`, `down`, `left`.
    pub state: &'static str,
    /// What is held of it, as policies see it.
    pub verdict: &'static str,
    /// The outage that is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    /// Seconds since it is what it is.
    pub since_seconds: f64,
    /// Seconds since this host last heard it itself; absent: never, or it is this host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heard_seconds: Option<f64>,
    /// Of one that is not alive: the same as `since_seconds`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silent_seconds: Option<f64>,
    /// The last direct round trip.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round_trip_seconds: Option<f64>,
    /// What it last said about its collector: `reached`, `lost`, `unknown`.
    pub collector: &'static str,
    /// It is this host.
    pub myself: bool,
}

/// This host.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mine {
    /// Where it is told to be reached.
    pub address: SocketAddr,
    /// In a few numbers.
    pub summary: Summary,
}

/// How it stands in a few numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Members by what is held of them; those that nothing is held of are alive.
    pub members: BTreeMap<&'static str, usize>,
    /// Names of those that are down, of either kind: the first few.
    pub down: Vec<String>,
    /// Lifeguard's score of this host: 0 is well.
    pub score: u32,
    /// Of `asked` members that it tried lately it reached so many; both count itself.
    pub reached: u32,
    /// Likewise.
    pub asked: u32,
    /// It reaches too few: it speaks of nobody.
    pub isolated: bool,
    /// What went over the wire.
    pub traffic: Traffic,
    /// Packets that were not let in, and words of others that were not believed, by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// What works less well than it should.
    pub notes: Vec<String>,
}

/// What went over the wire since the start, with seals and without headers of the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Datagrams sent.
    pub sent_packets: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Datagrams received, whatever became of them.
    pub received_packets: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// Messages sent over TCP.
    pub sent_streams: u64,
    /// Messages received over TCP.
    pub received_streams: u64,
    /// What could not be sent: the network or its queue did not take it.
    pub unsent: u64,
    /// News that the daemon did not take in time.
    pub untold: u64,
}

/// How many names a summary has.
const NAMED_MAX: usize = 10;

impl Summary {
    /// Of these members and this health; `notes` is what else is wrong.
    pub(super) fn of<'a>(
        members: impl Iterator<Item = View<'a>>,
        health: &Health,
        traffic: Traffic,
        refused: &Refused,
        notes: Vec<String>,
    ) -> Self {
        let mut summary = Self {
            members: PeerStanding::ALL.into_iter().map(|standing| (standing.as_str(), 0)).collect(),
            score: health.score,
            reached: health.reached,
            asked: health.asked,
            isolated: health.isolated,
            traffic,
            notes,
            ..Self::default()
        };
        for view in members {
            let standing = words::standing(&view);
            *summary.members.entry(standing.as_str()).or_default() += 1;
            let is_down = matches!(standing, PeerStanding::HostDown | PeerStanding::AgentDown);
            if is_down && summary.down.len() < NAMED_MAX {
                summary.down.push(view.member.name.clone());
            }
        }
        summary.refused = refused.each().map(|(why, count)| (why.as_str(), count)).collect();
        let own = &health.refused;
        for (why, count) in [
            ("nonsense", own.malformed),
            ("forged", own.forged),
            ("too_much", own.flood),
            ("full", own.full),
            ("name_taken", own.name_taken),
        ] {
            summary.refused.insert(why, count);
        }
        summary
    }

    /// Everybody that is known.
    pub fn known(&self) -> usize {
        self.members.values().sum()
    }
}

impl PeerReport {
    pub(super) fn of(view: &View<'_>, now: KTime) -> Self {
        let standing = words::standing(view);
        let since_seconds = now.since(view.since).as_secs_f64();
        Self {
            name: view.member.name.clone(),
            zone: view.member.zone.clone(),
            labels: view.member.labels.iter().cloned().collect(),
            address: view.member.addr,
            state: match view.state {
                State::Alive => "alive",
                State::Suspect => "suspect",
                State::Down => "down",
                State::Left(Why::Stop) => "left",
                State::Left(Why::Reboot) => "rebooting",
            },
            verdict: standing.as_str(),
            incident: view.incident.map(|incident| hex(&incident)),
            since_seconds,
            heard_seconds: view.heard.filter(|_| !view.myself).map(|heard| now.since(heard).as_secs_f64()),
            silent_seconds: (standing != PeerStanding::Alive).then_some(since_seconds),
            round_trip_seconds: view.round_trip.map(|trip| trip.as_secs_f64()),
            collector: match view.collector {
                Reach::Unknown => "unknown",
                Reach::Reached => "reached",
                Reach::Lost => "lost",
            },
            myself: view.myself,
        }
    }
}
