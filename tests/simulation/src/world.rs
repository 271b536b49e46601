//! A site: its hosts, the time, and what happens next.

mod deeds;
mod happen;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use crate::chance::{Chance, hash};
use crate::core::{Effect, PeerId, Reach, Record, Settings, Site, Verdict, Why};
use crate::network::{Network, SEC};
use crate::time::KTime;

/// Where all hosts listen.
const PORT: u16 = 7946;
/// What a daemon that stands still finds in its socket at most.
const WAITING_MAX: usize = 2_000;
/// Bytes around each packet: its seal, UDP, IP.
pub const AROUND_BYTES: usize = 66 + 8 + 20;

/// What happens to a host.
#[derive(Clone, Debug)]
pub enum Deed {
    /// The daemon starts; the members it recalls are everyone's, or it joins by these hosts.
    Start(Option<Vec<usize>>),
    /// The host is gone at once.
    Die,
    /// The host comes back, with another boot.
    Boot,
    /// The daemon is gone; the host answers.
    Kill,
    /// The daemon starts again in the same boot.
    Restart,
    /// The daemon says that it goes, and goes. With a reboot the host goes as well.
    Leave(Why),
    /// The daemon stands still for so long (ns); the host answers meanwhile, or not.
    Pause(u64, bool),
    /// The collector is reached, or not.
    Collector(Reach),
    /// It begins to be hostile.
    Turn(crate::hostile::Kind),
}

/// One host.
pub struct Host {
    site: Option<Site>,
    /// The host is there.
    pub there: bool,
    /// The host answers although its daemon stands still.
    answers: bool,
    paused: bool,
    waiting: Vec<(usize, Vec<u8>, bool)>,
    wake: u64,
    boot: u64,
    runs: u32,
    /// How fast its clock is, in a million, around a million.
    rate: u64,
    offset: u64,
    /// Its failure domain.
    pub zone: usize,
    hostile: Option<crate::hostile::Kind>,
}

/// What is measured.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// Packets sent.
    pub packets: u64,
    /// With all that is around them.
    pub bytes: u64,
    /// Inputs taken in by nodes.
    pub steps: u64,
    /// Nanoseconds that nodes took for them, if it was measured.
    pub busy_ns: u64,
}

/// A verdict, and who came to it when.
#[derive(Clone, Debug)]
pub struct Told {
    /// When, ns.
    pub at: u64,
    /// By which host.
    pub by: usize,
    /// What.
    pub verdict: Verdict,
}

enum Happening {
    Deliver { to: usize, from: usize, bytes: Vec<u8>, reliable: bool },
    Wake { host: usize },
    Resume { host: usize },
    Answered { host: usize, run: u32, peer: PeerId, asked: KTime, answered: bool },
    Deed { host: usize, deed: Deed },
    Hostile { host: usize },
}

/// A run.
pub struct World {
    /// The time, ns.
    pub now: u64,
    /// All hosts.
    pub hosts: Vec<Host>,
    /// Between them.
    pub network: Network,
    /// Of nodes.
    pub settings: Settings,
    /// Verdicts so far.
    pub told: Vec<Told>,
    /// Heartbeats that somebody vouched for: whose, by whom.
    pub vouched: Vec<(u64, usize, usize)>,
    /// What was sent.
    pub traffic: Traffic,
    /// A hash of everything that happened.
    pub trace: u64,
    /// Statements signed about hosts, by living ones.
    pub stated: u64,
    /// Measures the time that nodes take: for figures only, for nothing that happens depends on it.
    pub measure: bool,
    queue: BinaryHeap<Reverse<(u64, u64, usize)>>,
    happenings: Vec<Option<Happening>>,
    free: Vec<usize>,
    order: u64,
    /// By chance.
    pub chance: Chance,
    known: Vec<Arc<Record>>,
    effects: Vec<Effect>,
}

/// The address of a host.
pub fn addr(host: usize) -> SocketAddr {
    let [.., a, b] = u16::try_from(host).unwrap_or(u16::MAX).to_be_bytes();
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, a, b)), PORT)
}

/// The host of an address.
pub fn host_of(ip: IpAddr) -> Option<usize> {
    match ip {
        IpAddr::V4(ip) => {
            let [ten, _, a, b] = ip.octets();
            (ten == 10).then(|| usize::from(u16::from_be_bytes([a, b])))
        }
        IpAddr::V6(_) => None,
    }
}

/// The key of a host.
pub fn key(host: usize) -> [u8; 32] {
    let mut key = [0; 32];
    for (place, chunk) in key.chunks_mut(8).enumerate() {
        chunk.copy_from_slice(&hash(place as u64 + 1, &host.to_be_bytes()).to_be_bytes());
    }
    key
}

impl World {
    /// A site of hosts in zones, all of them new.
    pub fn new(seed: u64, zones: &[usize], network: Network, settings: Settings) -> Self {
        let mut chance = Chance::new(seed);
        let hosts = zones.iter().map(|zone| Host {
            site: None,
            there: true,
            answers: true,
            paused: false,
            waiting: Vec::new(),
            wake: u64::MAX,
            boot: chance.number(),
            runs: 0,
            rate: chance.between(999_800, 1_000_201),
            offset: chance.between(SEC, 1_000_000 * SEC),
            zone: *zone,
            hostile: None,
        });
        let hosts: Vec<_> = hosts.collect();
        let mut world = Self {
            now: 0,
            hosts,
            network,
            settings,
            told: Vec::new(),
            vouched: Vec::new(),
            traffic: Traffic::default(),
            trace: seed,
            stated: 0,
            measure: false,
            queue: BinaryHeap::new(),
            happenings: Vec::new(),
            free: Vec::new(),
            order: 0,
            chance,
            known: Vec::new(),
            effects: Vec::new(),
        };
        world.known = (0..world.hosts.len())
            .filter_map(|host| {
                let site = world.node(host, 0);
                site.records().next().cloned()
            })
            .collect();
        world
    }

    /// Something that will happen to a host.
    pub fn plan(&mut self, at: u64, host: usize, deed: Deed) {
        self.push(at, Happening::Deed { host, deed });
    }

    /// Goes on until then.
    pub fn run_until(&mut self, end: u64) {
        while let Some(Reverse((at, _, place))) = self.queue.peek().copied() {
            if at > end {
                break;
            }
            self.queue.pop();
            self.now = at;
            if let Some(happening) = self.happenings.get_mut(place).and_then(Option::take) {
                self.free.push(place);
                self.happen(happening);
            }
        }
        self.now = end;
    }

    /// What a host's node knows, while its daemon runs.
    pub fn site(&self, host: usize) -> Option<&Site> {
        self.hosts.get(host)?.site.as_ref()
    }

    /// A host's clock.
    pub fn clock(&self, host: usize) -> KTime {
        KTime(self.hosts.get(host).map_or(0, |host| to_clock(host, self.now)))
    }

    /// Whether its daemon runs and does not stand still.
    pub fn is_up(&self, host: usize) -> bool {
        self.hosts.get(host).is_some_and(|host| host.there && !host.paused && host.site.is_some())
    }

    /// Whether it has turned against the others.
    pub fn is_hostile(&self, host: usize) -> bool {
        self.hosts.get(host).is_some_and(|host| host.hostile.is_some())
    }

    fn push(&mut self, at: u64, happening: Happening) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.happenings.push(None);
            self.happenings.len() - 1
        });
        self.happenings[place] = Some(happening);
        self.order += 1;
        self.queue.push(Reverse((at, self.order, place)));
    }
}

fn to_clock(host: &Host, now: u64) -> u64 {
    let run = u128::from(now) * u128::from(host.rate) / 1_000_000;
    host.offset.wrapping_add(u64::try_from(run).unwrap_or(u64::MAX))
}

fn from_clock(host: &Host, clock: u64) -> u64 {
    let run = clock.wrapping_sub(host.offset);
    // Rounded up, so that the node's time has come when it is woken.
    u64::try_from((u128::from(run) * 1_000_000).div_ceil(u128::from(host.rate))).unwrap_or(u64::MAX)
}
