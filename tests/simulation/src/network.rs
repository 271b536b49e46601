//! The network between hosts: what it does to each packet, and which ways are cut when.

use crate::chance::Chance;

/// Nanoseconds in a millisecond.
pub const MS: u64 = 1_000_000;
/// Nanoseconds in a second.
pub const SEC: u64 = 1_000 * MS;
/// What a TCP connection is given before it is lost.
const STREAM_PATIENCE: u64 = 5 * SEC;

/// How all links are.
#[derive(Clone, Debug, Default)]
pub struct Links {
    /// Lost, of a million.
    pub loss: u64,
    /// Delivered twice, of a million.
    pub twice: u64,
    /// What each way takes at least, ns.
    pub delay: u64,
    /// ...and at most so much more, by chance: packets overtake each other.
    pub jitter: u64,
}

/// Which ways a cut closes.
#[derive(Clone, Debug)]
pub enum Ways {
    /// Between these hosts and all others, both ways.
    Around(Vec<bool>),
    /// Between these and those, both ways.
    Between(Vec<bool>, Vec<bool>),
    /// From these to those only.
    From(Vec<bool>, Vec<bool>),
    /// Of one host, to all but these, both ways.
    AllBut(usize, Vec<bool>),
    /// By chance, this part of all directed pairs (of a million), under a seed.
    Some(u64, u64),
}

/// Ways that are closed for a while.
#[derive(Clone, Debug)]
pub struct Cut {
    /// From when, ns.
    pub from: u64,
    /// Until when, ns.
    pub until: u64,
    /// Which.
    pub ways: Ways,
}

impl Cut {
    fn closes(&self, at: u64, from: usize, to: usize) -> bool {
        if at < self.from || at >= self.until {
            return false;
        }
        let is = |hosts: &[bool], host: usize| hosts.get(host).copied().unwrap_or(false);
        match &self.ways {
            Ways::Around(hosts) => is(hosts, from) != is(hosts, to),
            Ways::Between(one, other) => is(one, from) && is(other, to) || is(other, from) && is(one, to),
            Ways::From(one, other) => is(one, from) && is(other, to),
            Ways::AllBut(host, kept) => from == *host && !is(kept, to) || to == *host && !is(kept, from),
            Ways::Some(part, seed) => {
                let pair = (from as u64) << 32 | to as u64;
                crate::chance::hash(*seed, &pair.to_be_bytes()) % 1_000_000 < *part
            }
        }
    }
}

/// All links and cuts of a run.
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// How links are.
    pub links: Links,
    /// What is cut when.
    pub cuts: Vec<Cut>,
}

impl Network {
    /// Whether the way from one host to another is open.
    pub fn is_open(&self, at: u64, from: usize, to: usize) -> bool {
        self.cuts.iter().all(|cut| !cut.closes(at, from, to))
    }

    /// When a packet arrives: never, once, or twice.
    pub fn packet(&self, chance: &mut Chance, at: u64, from: usize, to: usize) -> [Option<u64>; 2] {
        let links = &self.links;
        if !self.is_open(at, from, to) || chance.of_million(links.loss) {
            return [None, None];
        }
        let arrives = |chance: &mut Chance| Some(at + links.delay + chance.between(0, links.jitter + 1));
        let first = arrives(chance);
        [first, if chance.of_million(links.twice) { arrives(chance) } else { None }]
    }

    /// When a message on a new TCP connection arrives: what is lost is sent again, later each time.
    pub fn stream(&self, chance: &mut Chance, at: u64, from: usize, to: usize) -> Option<u64> {
        if !self.is_open(at, from, to) || !self.is_open(at, to, from) {
            return None;
        }
        let mut taken = 0;
        // Two ways for the connection, one for the message.
        for _ in 0..3 {
            let mut again = 200 * MS;
            while chance.of_million(self.links.loss) {
                taken += again;
                again *= 2;
            }
            taken += self.links.delay + chance.between(0, self.links.jitter + 1);
        }
        (taken <= STREAM_PATIENCE).then_some(at + taken)
    }

    /// Whether a host that is there answers four echoes and a connection, and when the asker knows.
    pub fn ask(&self, chance: &mut Chance, at: u64, from: usize, to: usize, there: bool) -> (u64, bool) {
        let open = there && self.is_open(at, from, to) && self.is_open(at, to, from);
        for attempt in 0..4 {
            if open && !chance.of_million(self.links.loss) && !chance.of_million(self.links.loss) {
                return (at + attempt * 300 * MS + 2 * self.links.delay + MS, true);
            }
        }
        (at + 1_400 * MS, false)
    }
}
