//! What happens in a run, made from its seed, and what is true in it.

use crate::chance::Chance;
use crate::core::{Reach, Settings, Why};
use crate::hostile;
use crate::network::{Cut, Links, MS, Network, SEC, Ways};
use crate::world::{Deed, World};

/// What kind of trouble a site has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// None but what links do.
    Quiet,
    /// Hosts die.
    Death,
    /// Daemons die, hosts do not.
    AgentDeath,
    /// A host dies and comes back.
    Crash,
    /// Daemons and hosts that say that they go.
    Farewell,
    /// Daemons that are started anew.
    Restart,
    /// A zone is cut off.
    ZoneCut,
    /// Many ways are closed in one direction, or between some only.
    Partial,
    /// One host reaches only some of the others.
    HalfHost,
    /// A part of the site across zones is cut off.
    Split,
    /// Hosts and daemons stand still for seconds.
    Slow,
    /// The collector is out of reach, for some or for all.
    Collector,
    /// One host is cut off from everyone.
    Isolated,
    /// A member lies, and another one dies.
    Liar,
    /// A member floods, and another one dies.
    Flooder,
    /// Several of these at once, and a death.
    Mixed,
}

/// All kinds.
pub const KINDS: [Kind; 16] = [
    Kind::Quiet,
    Kind::Death,
    Kind::AgentDeath,
    Kind::Crash,
    Kind::Farewell,
    Kind::Restart,
    Kind::ZoneCut,
    Kind::Partial,
    Kind::HalfHost,
    Kind::Split,
    Kind::Slow,
    Kind::Collector,
    Kind::Isolated,
    Kind::Liar,
    Kind::Flooder,
    Kind::Mixed,
];

/// A run to be made, and what is true in it.
#[derive(Clone, Debug)]
pub struct Script {
    /// Its seed.
    pub seed: u64,
    /// Its trouble.
    pub kind: Kind,
    /// Each host's zone.
    pub zones: Vec<usize>,
    /// Links and cuts.
    pub network: Network,
    /// What happens to whom.
    pub deeds: Vec<(u64, usize, Deed)>,
    /// When it ends, ns.
    pub end: u64,
    /// Hosts that die for good, and when.
    pub dead: Vec<(usize, u64)>,
    /// Hosts whose daemon alone dies for good.
    pub mute: Vec<(usize, u64)>,
    /// Times at which a host is not there: from, until.
    pub away: Vec<(usize, u64, u64)>,
    /// Times at which nobody can hear a host.
    pub isolated: Vec<(usize, u64, u64)>,
}

impl Script {
    /// A run of so many hosts.
    pub fn new(seed: u64, kind: Kind, hosts: usize) -> Self {
        let mut chance = Chance::new(seed.wrapping_mul(31).wrapping_add(7));
        // Of fewer hosts no part is large enough to be told from hosts that die.
        let hosts = if kind == Kind::Split { hosts.max(10) } else { hosts };
        let zone_count = 1 + chance.below((hosts / 3).clamp(1, 5));
        let zone_count = if kind == Kind::ZoneCut { zone_count.max(2).min(hosts / 2) } else { zone_count };
        let loss = [0, 0, 10_000, 50_000, 100_000, 200_000, 300_000][chance.below(7)];
        let links = Links {
            loss,
            twice: [0, 0, 50_000][chance.below(3)],
            delay: chance.between(MS / 10, 60 * MS),
            jitter: chance.between(0, 80 * MS),
        };
        let mut script = Self {
            seed,
            kind,
            zones: (0..hosts).map(|host| host % zone_count).collect(),
            network: Network { links, cuts: Vec::new() },
            deeds: Vec::new(),
            end: 60 * SEC,
            dead: Vec::new(),
            mute: Vec::new(),
            away: Vec::new(),
            isolated: Vec::new(),
        };
        script.begin(&mut chance);
        script.trouble(&mut chance);
        script
    }

    /// The world in which it is played.
    pub fn world(&self, settings: Settings) -> World {
        let mut world = World::new(self.seed, &self.zones, self.network.clone(), settings);
        for (at, host, deed) in &self.deeds {
            world.plan(*at, *host, deed.clone());
        }
        world
    }

    /// Whether a host was there at that time.
    pub fn is_there(&self, host: usize, at: u64) -> bool {
        !self.dead.iter().any(|(dead, from)| *dead == host && at >= *from)
            && !self.away.iter().any(|(away, from, until)| *away == host && (*from..*until).contains(&at))
    }

    /// Whether nobody could hear it then, or shortly before.
    pub fn was_isolated(&self, host: usize, at: u64) -> bool {
        self.isolated.iter().any(|(alone, from, until)| *alone == host && (*from..*until + 20 * SEC).contains(&at))
    }

    fn hosts(&self) -> usize {
        self.zones.len()
    }

    fn begin(&mut self, chance: &mut Chance) {
        // Most sites know themselves from before; some small ones come together by two seeds.
        let joins = self.hosts() <= 60 && chance.below(4) == 0;
        for host in 0..self.hosts() {
            // Those that recall each other recall what each says now.
            let at = if joins { chance.between(0, SEC) } else { 0 };
            let seeds = joins.then(|| vec![0, 1]);
            self.deeds.push((at, host, Deed::Start(seeds)));
        }
    }

    fn trouble(&mut self, chance: &mut Chance) {
        let at = 20 * SEC + chance.between(0, 2 * SEC);
        let hosts = self.hosts();
        match self.kind {
            Kind::Quiet => {}
            Kind::Death => {
                let count = if hosts >= 10 { 1 + chance.below(2) } else { 1 };
                for _ in 0..count {
                    self.kill_one(chance, at);
                }
            }
            Kind::AgentDeath => {
                let host = chance.below(hosts);
                self.deeds.push((at, host, Deed::Kill));
                self.mute.push((host, at));
            }
            Kind::Crash => {
                let host = chance.below(hosts);
                let back = at + chance.between(2 * SEC, 40 * SEC);
                self.deeds.push((at, host, Deed::Die));
                self.deeds.push((back, host, Deed::Boot));
                self.away.push((host, at, back));
                self.end = back + 30 * SEC;
            }
            Kind::Farewell => {
                let (stops, reboots) = (chance.below(hosts / 2), hosts / 2 + chance.below(hosts - hosts / 2));
                let back = at + chance.between(10 * SEC, 60 * SEC);
                self.deeds.push((at, stops, Deed::Leave(Why::Stop)));
                self.deeds.push((at, reboots, Deed::Leave(Why::Reboot)));
                self.deeds.push((back, reboots, Deed::Boot));
                self.away.push((reboots, at, back));
                self.end = back + 30 * SEC;
            }
            Kind::Restart => {
                let host = chance.below(hosts);
                let back = at + chance.between(SEC, 30 * SEC);
                self.deeds.push((at, host, Deed::Kill));
                self.deeds.push((back, host, Deed::Restart));
                self.end = back + 30 * SEC;
            }
            Kind::ZoneCut => {
                let zone = *self.zones.get(chance.below(hosts)).unwrap_or(&0);
                let cut: Vec<bool> = self.zones.iter().map(|other| *other == zone).collect();
                self.cut(chance, at, Ways::Around(cut));
            }
            Kind::Partial => self.partial(chance, at),
            Kind::HalfHost => {
                let host = chance.below(hosts);
                let kept = self.some(chance, 200_000);
                self.cut(chance, at, Ways::AllBut(host, kept));
            }
            Kind::Split => {
                let mut group = self.some(chance, 350_000);
                let mut count = group.iter().filter(|is| **is).count();
                while count < 4.min(hosts / 2) {
                    let more = chance.below(hosts);
                    count += usize::from(!std::mem::replace(&mut group[more], true));
                }
                self.cut(chance, at, Ways::Around(group));
            }
            Kind::Slow => self.slow(chance, at),
            Kind::Collector => self.lose_collector(chance, at),
            Kind::Isolated => {
                let host = chance.below(hosts);
                let alone = (0..hosts).map(|other| other == host).collect();
                let until = self.cut(chance, at, Ways::Around(alone));
                self.isolated.push((host, at, until));
            }
            Kind::Liar => {
                let liar = self.kill_one(chance, at);
                let liar = (liar + 1 + chance.below(hosts - 1)) % hosts;
                self.deeds.push((10 * SEC, liar, Deed::Turn(hostile::Kind::Liar)));
                self.end = 75 * SEC;
            }
            Kind::Flooder => {
                let flooder = self.kill_one(chance, at);
                let flooder = (flooder + 1 + chance.below(hosts - 1)) % hosts;
                self.deeds.push((15 * SEC, flooder, Deed::Turn(hostile::Kind::Flooder)));
            }
            Kind::Mixed => {
                self.partial(chance, at);
                self.slow(chance, at + 5 * SEC);
                let died = self.kill_one(chance, at + 15 * SEC);
                self.deeds.retain(|(from, host, deed)| {
                    *host != died
                        || *from < at + 15 * SEC && !matches!(deed, Deed::Pause(..))
                        || matches!(deed, Deed::Die)
                });
                self.end = 85 * SEC;
            }
        }
    }

    fn lose_collector(&mut self, chance: &mut Chance, at: u64) {
        let all = chance.below(3) == 0;
        let back = at + chance.between(15 * SEC, 40 * SEC);
        for host in 0..self.hosts() {
            self.deeds.push((5 * SEC, host, Deed::Collector(Reach::Reached)));
            if all || host % 4 == 0 {
                self.deeds.push((at, host, Deed::Collector(Reach::Lost)));
                self.deeds.push((back, host, Deed::Collector(Reach::Reached)));
            }
        }
        self.end = back + 10 * SEC;
    }

    fn kill_one(&mut self, chance: &mut Chance, at: u64) -> usize {
        let mut host = chance.below(self.hosts());
        while self.dead.iter().any(|(dead, _)| *dead == host) {
            host = (host + 1) % self.hosts();
        }
        self.deeds.push((at, host, Deed::Die));
        self.dead.push((host, at));
        host
    }

    fn some(&self, chance: &mut Chance, part: u64) -> Vec<bool> {
        let mut some: Vec<bool> = self.zones.iter().map(|_| chance.of_million(part)).collect();
        for _ in 0..2 {
            some[chance.below(self.zones.len())] = true;
        }
        some
    }

    fn cut(&mut self, chance: &mut Chance, from: u64, ways: Ways) -> u64 {
        let until = from + chance.between(3 * SEC, 50 * SEC);
        self.network.cuts.push(Cut { from, until, ways });
        self.end = until + 120 * SEC;
        until
    }

    fn partial(&mut self, chance: &mut Chance, at: u64) {
        let zones = self.zones.iter().max().map_or(1, |last| last + 1);
        let until = at + chance.between(20 * SEC, 40 * SEC);
        let ways = match chance.below(if zones >= 3 { 3 } else { 1 }) {
            0 => Ways::Some(chance.between(20_000, 200_000), chance.number()),
            turn => {
                let (one, other) = (chance.below(zones), chance.below(zones));
                let of = |zone: usize| self.zones.iter().map(|its| *its == zone && one != other).collect();
                if turn == 1 { Ways::Between(of(one), of(other)) } else { Ways::From(of(one), of(other)) }
            }
        };
        self.network.cuts.push(Cut { from: at, until, ways });
        self.end = until + 30 * SEC;
    }

    fn slow(&mut self, chance: &mut Chance, at: u64) {
        for _ in 0..(self.hosts() / 8).clamp(1, 20) {
            let host = chance.below(self.hosts());
            let mut from = at;
            for _ in 0..3 {
                from += chance.between(0, 8 * SEC);
                let stands = chance.between(500 * MS, 4_500 * MS);
                self.deeds.push((from, host, Deed::Pause(stands, chance.below(2) == 0)));
                from += stands;
            }
        }
    }
}
