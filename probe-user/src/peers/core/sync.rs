//! Comparing lists: two nodes whose digests differ for a while exchange the parts that differ, in reliable messages.
//!
//! A quiet site compares nothing: every message carries the digest of all that its sender knows, and it is the same.

use std::net::SocketAddr;
use std::time::Duration;

use crate::time::KTime;

use super::message::{BUCKETS, Body, Told, begin};
use super::site::{Out, Site};
use super::table::{Handle, ME, Table};
use super::{Effect, RELIABLE_BYTES};

/// Digests must differ for so long: news is on its way meanwhile.
const DIFFER_AFTER: Duration = Duration::from_secs(5);
/// One node asks another at most so often; whoever asks more is not answered.
const ANSWER_EVERY: Duration = Duration::from_secs(2);
/// Seeds that are remembered.
const SEEDS_MAX: usize = 64;
/// Seeds that are asked at a time.
const SEEDS_AT_ONCE: usize = 8;
/// How often a node that is alone asks its seeds.
const ALONE_EVERY: Duration = Duration::from_secs(2);

/// When lists were compared, and with whom to begin.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// Since when digests differ; `None`: the last ones were the same.
    differ_since: Option<KTime>,
    not_before: KTime,
    seeds: Vec<SocketAddr>,
    next_seed: usize,
    seeds_due: KTime,
}

impl Site {
    /// Somebody's digest, compared with this node's.
    pub(super) fn compare_digest(&mut self, now: KTime, with: Handle, digest: u64, out: Out<'_>) {
        if digest == self.table.digest() {
            self.comparison.differ_since = None;
            return;
        }
        let since = *self.comparison.differ_since.get_or_insert(now);
        if now.since(since) < DIFFER_AFTER || now < self.comparison.not_before {
            return;
        }
        self.comparison.differ_since = None;
        self.comparison.not_before = now.after(self.random.around(self.set.heal_period));
        if let Some(peer) = self.table.get(with) {
            let to = peer.record.member.addr;
            self.ask_to_compare(to, out);
        }
    }

    fn ask_to_compare(&self, to: SocketAddr, out: Out<'_>) {
        let buckets = Box::new(*self.table.buckets());
        let mut message = begin(&self.head(false), &Body::Compare { buckets });
        if let Some(me) = self.table.get(ME) {
            Told::Record(&me.record).add(&mut message, RELIABLE_BYTES);
        }
        out.push(Effect::Send { to, bytes: message, reliable: true });
    }

    /// Somebody sent the digests of all parts: it gets those that differ, and is asked for its own of them.
    pub(super) fn compared(&mut self, now: KTime, sender: Option<Handle>, theirs: &[u64; BUCKETS], out: Out<'_>) {
        let Some(peer) = sender.and_then(|sender| self.table.get_mut(sender)) else { return };
        if peer.compared != KTime(0) && now.since(peer.compared) < ANSWER_EVERY {
            return;
        }
        peer.compared = now;
        let to = peer.record.member.addr;
        let mut differ = 0;
        for (place, (mine, theirs)) in self.table.buckets().iter().zip(theirs).enumerate() {
            differ |= u64::from(mine != theirs) << place;
        }
        if differ != 0 {
            self.send_members(to, differ, differ, out);
        }
    }

    /// The other one wants what this node knows of these parts.
    pub(super) fn send_wanted(&mut self, now: KTime, sender: Option<Handle>, wanted: u64, out: Out<'_>) {
        let Some(peer) = sender.and_then(|sender| self.table.get_mut(sender)) else { return };
        if wanted == 0 || peer.compared != KTime(0) && now.since(peer.compared) < ANSWER_EVERY {
            return;
        }
        peer.compared = now;
        let to = peer.record.member.addr;
        self.send_members(to, wanted, 0, out);
    }

    /// Sends everyone in some parts, with what proves that those who are down are.
    fn send_members(&self, to: SocketAddr, parts: u64, wanted: u64, out: Out<'_>) {
        let start = |wanted| begin(&self.head(false), &Body::Members { wanted });
        let mut message = start(wanted);
        let empty = message.len();
        let mut flush = |message: &mut Vec<u8>| {
            let full = std::mem::replace(message, start(0));
            out.push(Effect::Send { to, bytes: full, reliable: true });
        };
        for (_, peer) in self.table.iter().filter(|(_, peer)| parts >> Table::bucket(&peer.id) & 1 == 1) {
            let record = Told::Record(&peer.record);
            if !record.add(&mut message, RELIABLE_BYTES) {
                flush(&mut message);
                record.add(&mut message, RELIABLE_BYTES);
            }
            let proofs = peer.case.iter().filter(|case| case.is_proven()).flat_map(|case| &case.statements);
            for (statement, _) in proofs {
                let statement = Told::Said(statement);
                if !statement.add(&mut message, RELIABLE_BYTES) {
                    flush(&mut message);
                    statement.add(&mut message, RELIABLE_BYTES);
                }
            }
        }
        if message.len() > empty || wanted != 0 {
            flush(&mut message);
        }
    }

    /// Where members may be.
    pub(super) fn join(&mut self, now: KTime, seeds: &[SocketAddr], out: Out<'_>) {
        for seed in seeds {
            let known = &mut self.comparison.seeds;
            if !known.contains(seed) {
                if known.len() >= SEEDS_MAX {
                    known.remove(0);
                }
                known.push(*seed);
            }
        }
        self.ask_seeds(now, out);
    }

    /// Asks some of the seeds from which nobody is alive here.
    pub(super) fn ask_seeds_if_due(&mut self, now: KTime, out: Out<'_>) {
        if now >= self.comparison.seeds_due {
            self.ask_seeds(now, out);
        }
    }

    fn ask_seeds(&mut self, now: KTime, out: Out<'_>) {
        let alone = self.table.living() <= 1;
        let wait = if alone { ALONE_EVERY } else { self.random.around(self.set.heal_period) };
        self.comparison.seeds_due = now.after(wait);
        let count = self.comparison.seeds.len();
        let at_once = if alone { SEEDS_AT_ONCE } else { 1 };
        let mut asked = 0;
        for _ in 0..count {
            let Some(seed) = self.comparison.seeds.get(self.comparison.next_seed % count).copied() else { return };
            self.comparison.next_seed = (self.comparison.next_seed + 1) % count;
            let here = self.table.iter().any(|(_, peer)| peer.record.member.addr == seed);
            if !here {
                self.ask_to_compare(seed, out);
                asked += 1;
            }
            if asked >= at_once {
                return;
            }
        }
    }
}
