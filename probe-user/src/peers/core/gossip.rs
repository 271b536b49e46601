//! News: what is passed on, to a few members at a time, each piece a bounded number of times.

use std::net::SocketAddr;
use std::time::Duration;

use crate::time::KTime;

use super::message::{Body, Head, Told, begin};
use super::site::{Out, Site};
use super::statement::Statement;
use super::table::{Handle, ME, Standing, Table};
use super::{Effect, PeerId};

/// Pieces of news that are passed on at a time; more push out those that were sent most.
const NEWS_MAX: usize = 2048;

/// A piece of news.
#[derive(Clone, Debug)]
pub(super) enum News {
    /// A witness's word.
    Said { handle: Handle, statement: Box<Statement> },
    /// What a member says about itself, as the table has it when it is sent.
    Record { handle: Handle },
    /// Somebody misses a member.
    Suspect { handle: Handle, incarnation: u32, accuser: PeerId, since: KTime },
}

impl News {
    fn is_about(&self, about: Handle) -> bool {
        let (Self::Said { handle, .. } | Self::Record { handle } | Self::Suspect { handle, .. }) = self;
        *handle == about
    }

    /// The same piece, perhaps in an older version.
    fn replaces(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Record { handle }, Self::Record { handle: other }) => handle == other,
            (Self::Said { handle, statement }, Self::Said { handle: other, statement: said }) => {
                handle == other && statement.witness == said.witness
            }
            (Self::Suspect { handle, accuser, .. }, Self::Suspect { handle: other, accuser: by, .. }) => {
                handle == other && accuser == by
            }
            _ => false,
        }
    }

    /// What goes first of pieces that were sent equally often.
    fn rank(&self) -> u8 {
        match self {
            Self::Said { .. } => 0,
            Self::Record { .. } => 1,
            Self::Suspect { .. } => 2,
        }
    }

    /// `None`: it is out of date.
    fn told<'a>(&'a self, table: &'a Table, now: KTime) -> Option<Told<'a>> {
        match self {
            Self::Said { handle, statement } => {
                (table.get(*handle)?.incarnation() == statement.incarnation).then_some(Told::Said(statement))
            }
            Self::Record { handle } => Some(Told::Record(&table.get(*handle)?.record)),
            Self::Suspect { handle, incarnation, accuser, since } => {
                let peer = table.get(*handle)?;
                let age_ms = u16::try_from(now.since(*since).as_millis()).unwrap_or(u16::MAX);
                (peer.incarnation() == *incarnation && peer.standing == Standing::Suspect).then_some(Told::Suspect {
                    subject: peer.id,
                    incarnation: *incarnation,
                    accuser: *accuser,
                    age_ms,
                })
            }
        }
    }
}

/// What is being passed on.
#[derive(Debug, Default)]
pub(super) struct Queue {
    entries: Vec<(u32, News)>,
}

impl Site {
    /// Begins to pass a piece of news on.
    pub(super) fn spread(&mut self, now: KTime, news: News) {
        let entries = &mut self.news.entries;
        entries.retain(|(_, known)| !news.replaces(known));
        if entries.is_empty() {
            // What comes together travels together.
            self.next_gossip =
                Some(self.next_gossip.filter(|due| *due > now).unwrap_or_else(|| now.after(Duration::from_millis(20))));
        } else if entries.len() >= NEWS_MAX {
            entries.pop();
        }
        entries.insert(0, (0, news));
    }

    /// Nobody needs to look for this one any more.
    pub(super) fn drop_suspicions(&mut self, about: Handle) {
        self.news.entries.retain(|(_, news)| !(matches!(news, News::Suspect { .. }) && news.is_about(about)));
    }

    /// A member is forgotten.
    pub(super) fn drop_news(&mut self, about: Handle) {
        self.news.entries.retain(|(_, news)| !news.is_about(about));
    }

    /// Adds news to a message of which `copies` are sent.
    pub(super) fn ride(&mut self, now: KTime, copies: u32, message: &mut Vec<u8>) {
        if self.news.entries.is_empty() {
            return;
        }
        let bytes_max = self.set.packet_bytes;
        let limit = self.set.retransmit * self.table.living().max(2).ilog10().saturating_add(1) + self.set.retransmit;
        let table = &self.table;
        self.news.entries.retain_mut(|(sent, news)| {
            // A packet that is nearly full takes nothing more.
            if message.len() + 45 > bytes_max {
                return true;
            }
            let Some(told) = news.told(table, now) else { return false };
            if told.add(message, bytes_max) {
                *sent += copies;
            }
            *sent < limit
        });
    }

    /// Passes the news on, if it is time.
    pub(super) fn gossip(&mut self, now: KTime, out: Out<'_>) {
        if self.next_gossip.is_none_or(|due| due > now) {
            return;
        }
        self.next_gossip = None;
        self.news.entries.sort_by_key(|(sent, news)| (*sent, news.rank()));
        let mut message = begin(&self.head(false), &Body::News);
        let empty = message.len();
        let targets = self.some_living(self.set.fan_out);
        self.ride(now, u32::try_from(targets.len()).unwrap_or(1).max(1), &mut message);
        if message.len() > empty {
            for target in targets {
                if let Some(peer) = self.table.get(target) {
                    let to = peer.record.member.addr;
                    out.push(Effect::Send { to, bytes: message.clone(), reliable: false });
                }
            }
        }
        if !self.news.entries.is_empty() {
            self.next_gossip = Some(now.after(self.set.gossip_period));
        }
    }

    /// Some members that are alive or suspected, without this node, by chance.
    pub(super) fn some_living(&mut self, count: usize) -> Vec<Handle> {
        let mut some = Vec::with_capacity(count);
        for _ in 0..count * 4 {
            let handle = Handle::try_from(self.random.below(self.table.places())).unwrap_or(ME);
            let living =
                self.table.get(handle).is_some_and(|peer| matches!(peer.standing, Standing::Alive | Standing::Suspect));
            if some.len() < count && living && handle != ME && !some.contains(&handle) {
                some.push(handle);
            }
        }
        some
    }

    /// The head of a message of this node.
    pub(super) fn head(&self, introduce: bool) -> Head {
        Head {
            sender: self.id(),
            incarnation: self.table.get(ME).map_or(0, super::table::Peer::incarnation),
            digest: self.table.digest(),
            reach: self.reach,
            introduce,
        }
    }

    /// Sends these items to one address.
    pub(super) fn send_news(&self, to: SocketAddr, items: &[Told<'_>], out: Out<'_>) {
        let mut message = begin(&self.head(false), &Body::News);
        for item in items {
            item.add(&mut message, self.set.packet_bytes);
        }
        out.push(Effect::Send { to, bytes: message, reliable: false });
    }
}
