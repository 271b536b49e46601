//! Probing for others: whoever does not hear a member asks some more to try, and is told either way.

use std::net::SocketAddr;
use std::time::Duration;

use crate::time::KTime;

use super::message::{Body, begin};
use super::site::{Out, Site};
use super::table::{Handle, ME};
use super::{Effect, PeerId};

/// Probes under way for others.
const RELAYS_MAX: usize = 256;
/// Parts of the timeout after which a helper probes again, and gives up.
const RELAY_AGAIN: Duration = Duration::from_millis(200);
const RELAY_END: Duration = Duration::from_millis(400);

/// A probe under way for somebody else.
#[derive(Debug)]
pub(super) struct Relay {
    to: SocketAddr,
    asked: u32,
    seq: u32,
    target: Handle,
    id: PeerId,
    started: KTime,
    again: bool,
    pub(super) due: KTime,
}

impl Site {
    /// Somebody asks this node to probe for it.
    pub(super) fn relay(&mut self, now: KTime, to: SocketAddr, asked: u32, target: PeerId, out: Out<'_>) {
        let known = self.table.find(&target).filter(|handle| *handle != ME);
        let Some(handle) = known.filter(|_| self.relays.len() < RELAYS_MAX) else {
            let bytes = begin(&self.head(false), &Body::Nack { seq: asked });
            out.push(Effect::Send { to, bytes, reliable: false });
            return;
        };
        self.seq = self.seq.wrapping_add(1);
        let seq = self.seq;
        let due = now.after(RELAY_AGAIN);
        self.relays.push(Relay { to, asked, seq, target: handle, id: target, started: now, again: false, due });
        self.ping(now, handle, seq, false, out);
    }

    /// Goes on with the probes for others.
    pub(super) fn look_after_relays(&mut self, now: KTime, out: Out<'_>) {
        let mut place = 0;
        while let Some(relay) = self.relays.get_mut(place) {
            if relay.due > now {
                place += 1;
            } else if relay.again {
                let relay = self.relays.swap_remove(place);
                let bytes = begin(&self.head(false), &Body::Nack { seq: relay.asked });
                out.push(Effect::Send { to: relay.to, bytes, reliable: false });
            } else {
                relay.again = true;
                relay.due = relay.started.after(RELAY_END);
                let (target, seq) = (relay.target, relay.seq);
                self.ping(now, target, seq, false, out);
                place += 1;
            }
        }
    }

    /// A member for which somebody asked has answered.
    pub(super) fn relay_answered(&mut self, sender: &PeerId, seq: u32, out: Out<'_>) {
        if let Some(place) = self.relays.iter().position(|relay| relay.seq == seq && relay.id == *sender) {
            let relay = self.relays.swap_remove(place);
            let bytes = begin(&self.head(false), &Body::Heard { seq: relay.asked });
            out.push(Effect::Send { to: relay.to, bytes, reliable: false });
        }
    }
}
