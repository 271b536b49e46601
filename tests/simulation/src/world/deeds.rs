//! What becomes of hosts: they start, die, boot again, stand still, turn hostile.

use super::{Deed, Happening, World, addr, key, to_clock};
use crate::chance::{Seal, hash};
use crate::core::{Input, Member, Site, Why};
use crate::network::SEC;
use crate::time::KTime;

impl World {
    pub(super) fn act(&mut self, host: usize, deed: Deed) {
        match deed {
            Deed::Start(joins) => self.start(host, joins),
            Deed::Die => {
                self.hosts[host].there = false;
                self.end(host);
            }
            Deed::Boot => {
                self.hosts[host].there = true;
                self.hosts[host].boot = self.chance.number();
                // The clock since the boot begins anew.
                self.hosts[host].offset = (20 * SEC).wrapping_sub(self.now);
                let seeds = (0..self.hosts.len()).filter(|other| *other != host).take(3).collect();
                self.start(host, Some(seeds));
            }
            Deed::Kill => self.end(host),
            Deed::Restart => {
                let seeds = (0..self.hosts.len()).filter(|other| *other != host).take(3).collect();
                self.start(host, Some(seeds));
            }
            Deed::Leave(why) => {
                self.step(host, Input::Leaving(why));
                self.hosts[host].there = why != Why::Reboot;
                self.end(host);
            }
            Deed::Pause(for_ns, answers) => {
                if self.is_up(host) {
                    self.hosts[host].paused = true;
                    self.hosts[host].answers = answers;
                    self.push(self.now + for_ns, Happening::Resume { host });
                }
            }
            Deed::Collector(reach) => {
                if self.is_up(host) {
                    self.step(host, Input::Collector(reach));
                }
            }
            Deed::Turn(kind) => {
                self.hosts[host].hostile = Some(kind);
                self.push(self.now, Happening::Hostile { host });
            }
        }
    }

    fn end(&mut self, host: usize) {
        let gone = &mut self.hosts[host];
        gone.site = None;
        gone.paused = false;
        gone.waiting.clear();
    }

    pub(super) fn node(&self, host: usize, run: u32) -> Site {
        let here = &self.hosts[host];
        let mut boot = [0; 16];
        boot[..8].copy_from_slice(&here.boot.to_be_bytes());
        let me = Member {
            public_key: key(host),
            name: format!("host-{host}"),
            zone: format!("zone-{}", here.zone),
            labels: vec![("role".into(), "web".into())],
            addr: addr(host),
            open_port: 22,
            boot,
            incarnation: run * 1_000,
            life: 0,
            started_ns: 0,
            up_ns: 0,
            leaving: None,
        };
        let seed = hash(self.trace, &[host.to_be_bytes(), (run as usize).to_be_bytes()].concat());
        let signer = Box::new(Seal { key: key(host) });
        Site::new(me, self.settings.clone(), seed, KTime(to_clock(here, self.now)), signer)
    }

    fn start(&mut self, host: usize, joins: Option<Vec<usize>>) {
        if !self.hosts[host].there || self.hosts[host].site.is_some() {
            return;
        }
        let run = self.hosts[host].runs;
        let mut site = self.node(host, run);
        self.hosts[host].runs += 1;
        let seeds = joins.map(|hosts| hosts.into_iter().map(addr).collect::<Vec<_>>());
        if seeds.is_none() {
            site.recall(KTime(to_clock(&self.hosts[host], self.now)), &self.known);
        }
        self.hosts[host].site = Some(site);
        self.hosts[host].wake = u64::MAX;
        self.step(host, Input::Join(&seeds.unwrap_or_default()));
    }
}
