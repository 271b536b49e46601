//! What happens at its time: packets arrive, timers end, hosts that stood still go on; and what nodes want done.

use super::{AROUND_BYTES, Happening, Told, WAITING_MAX, World, addr, from_clock, host_of, key, to_clock};
use crate::chance::hash;
use crate::core::{Effect, Input, PeerId};
use crate::time::KTime;

impl World {
    pub(super) fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Deliver { to, from, bytes, reliable } => self.deliver(to, from, bytes, reliable),
            Happening::Wake { host } => {
                let due = self.hosts[host].wake <= self.now;
                if due && self.is_up(host) {
                    self.hosts[host].wake = u64::MAX;
                    self.step(host, Input::Tick);
                }
            }
            Happening::Resume { host } => self.resume(host),
            Happening::Answered { host, run, peer, asked, answered } => {
                if self.is_up(host) && self.hosts[host].runs == run {
                    self.step(host, Input::HostAnswered { peer, asked, answered });
                }
            }
            Happening::Deed { host, deed } => self.act(host, deed),
            Happening::Hostile { host } => {
                let kind = self.hosts[host].hostile;
                if let Some(kind) = kind.filter(|_| self.is_up(host)) {
                    for (to, bytes) in crate::hostile::packets(self, host, kind) {
                        self.send(host, to, bytes, false);
                    }
                    self.push(self.now + kind.every(), Happening::Hostile { host });
                }
            }
        }
    }

    fn deliver(&mut self, to: usize, from: usize, bytes: Vec<u8>, reliable: bool) {
        let Some(host) = self.hosts.get_mut(to) else { return };
        if !host.there || host.site.is_none() {
            return;
        }
        if host.paused {
            if host.waiting.len() < WAITING_MAX {
                host.waiting.push((from, bytes, reliable));
            }
            return;
        }
        self.trace = hash(self.trace ^ self.now, &bytes);
        self.step(to, Input::Packet { from: addr(from), bytes: &bytes, reliable });
    }

    fn resume(&mut self, host: usize) {
        let Some(resumed) = self.hosts.get_mut(host).filter(|host| host.there && host.paused) else { return };
        resumed.paused = false;
        resumed.answers = true;
        let waiting = std::mem::take(&mut resumed.waiting);
        // Whether its timer or its socket comes first is chance.
        if self.chance.below(2) == 0 {
            self.step(host, Input::Tick);
        }
        for (from, bytes, reliable) in waiting {
            self.step(host, Input::Packet { from: addr(from), bytes: &bytes, reliable });
        }
        self.step(host, Input::Tick);
    }

    pub(super) fn step(&mut self, host: usize, input: Input<'_>) {
        let mut effects = std::mem::take(&mut self.effects);
        let Some(here) = self.hosts.get_mut(host) else { return };
        let clock = KTime(to_clock(here, self.now));
        let Some(site) = here.site.as_mut() else {
            self.effects = effects;
            return;
        };
        let before = site.counts().stated;
        if self.measure {
            let began = std::time::Instant::now();
            site.step(clock, input, &mut effects);
            self.traffic.busy_ns += u64::try_from(began.elapsed().as_nanos()).unwrap_or(0);
        } else {
            site.step(clock, input, &mut effects);
        }
        self.stated += site.counts().stated - before;
        self.traffic.steps += 1;
        let next = site.next().map_or(u64::MAX, |next| from_clock(here, next.0)).max(self.now);
        if next < here.wake {
            here.wake = next;
            self.push(next, Happening::Wake { host });
        }
        for effect in effects.drain(..) {
            self.carry_out(host, effect);
        }
        self.effects = effects;
    }

    fn carry_out(&mut self, host: usize, effect: Effect) {
        match effect {
            Effect::Send { to, bytes, reliable } => {
                if let Some(to) = host_of(to.ip()).filter(|to| *to < self.hosts.len()) {
                    self.send(host, to, bytes, reliable);
                }
            }
            Effect::AskHost { peer, addr, .. } => {
                let Some(asked) = host_of(addr) else { return };
                let there = self.hosts.get(asked).is_some_and(|asked| asked.there && asked.answers);
                let (at, answered) = self.network.ask(&mut self.chance, self.now, host, asked, there);
                let (run, clock) = (self.hosts[host].runs, self.clock(host));
                self.push(at, Happening::Answered { host, run, peer, asked: clock, answered });
            }
            Effect::Verdict(verdict) => self.told.push(Told { at: self.now, by: host, verdict: *verdict }),
            Effect::Vouch { peer, .. } => {
                let whose = (0..self.hosts.len()).find(|whose| PeerId::of(&key(*whose)) == peer);
                self.vouched.push((self.now, whose.unwrap_or(usize::MAX), host));
            }
            Effect::Changed => {}
        }
    }

    fn send(&mut self, from: usize, to: usize, bytes: Vec<u8>, reliable: bool) {
        self.traffic.packets += 1;
        self.traffic.bytes += (bytes.len() + AROUND_BYTES) as u64;
        if reliable {
            if let Some(at) = self.network.stream(&mut self.chance, self.now, from, to) {
                self.push(at, Happening::Deliver { to, from, bytes, reliable });
            }
            return;
        }
        let [first, second] = self.network.packet(&mut self.chance, self.now, from, to);
        if let Some(at) = second {
            self.push(at, Happening::Deliver { to, from, bytes: bytes.clone(), reliable });
        }
        if let Some(at) = first {
            self.push(at, Happening::Deliver { to, from, bytes, reliable });
        }
    }
}
