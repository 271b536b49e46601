//! Carries out what the core wants, and says the last words.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::{Done, Loop, STREAMS_OUT};
use crate::peers::core::{Effect, Input, PeerId, Why};
use crate::peers::{ask, stream, words};
use crate::pipeline::clock;

/// How long messages that are under way may take at the end.
const LAST: Duration = Duration::from_secs(2);

impl Loop {
    /// Does all that the core has asked for.
    pub(super) fn carry_out(&mut self) {
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Send { to, bytes, reliable: false } => {
                    let packet = self.guard.seal(clock::now(), to, bytes);
                    match packet {
                        Some(packet) => self.send(to, &packet),
                        None => self.traffic.unsent += 1,
                    }
                }
                Effect::Send { to, bytes, reliable: true } => self.send_stream(to, bytes),
                Effect::AskHost { peer, addr, ports } => self.ask(peer, addr, ports),
                Effect::Verdict(verdict) => {
                    let own = self.site.members().next().is_some_and(|me| me.member.id() == verdict.peer.id());
                    tracing::debug!(
                        peer = verdict.peer.name,
                        kind = ?verdict.kind,
                        what = ?verdict.what,
                        mine = verdict.mine,
                        "verdict"
                    );
                    // One of the witnesses tells the collector; whoever is not one leaves it to them.
                    if verdict.mine {
                        self.news.verdict(words::verdict(&verdict, own));
                    }
                }
                Effect::Vouch { peer, words } => {
                    let zone = self.site.members().find(|view| view.member.id() == peer);
                    let zone = zone.map(|view| view.member.zone.clone()).unwrap_or_default();
                    self.news.vouch(words::vouch(&words, &zone));
                }
                Effect::Changed => self.news.changed(clock::now()),
            }
        }
        self.effects = effects;
    }

    /// What the network does not take now is lost, as it may be anywhere on its way.
    pub(super) fn send(&mut self, to: SocketAddr, packet: &[u8]) {
        match self.udp.get_ref().send_to(packet, self.outward(to)) {
            Ok(_) => {
                self.traffic.sent_packets += 1;
                self.traffic.sent_bytes += packet.len() as u64;
            }
            Err(_) => self.traffic.unsent += 1,
        }
    }

    fn send_stream(&mut self, to: SocketAddr, bytes: Vec<u8>) {
        let (Ok(place), Some(key)) =
            (Arc::clone(&self.streams_out).try_acquire_owned(), self.guard.keys().first().cloned())
        else {
            self.traffic.unsent += 1;
            return;
        };
        self.traffic.sent_streams += 1;
        let done = self.done.clone();
        tokio::spawn(async move {
            let sent = stream::send(to, &key, &bytes).await;
            drop(place);
            if let Err(error) = sent {
                tracing::debug!(%to, "a message to a peer: {error}");
                let _ = done.send(Done::Unsent).await;
            }
        });
    }

    fn ask(&mut self, peer: PeerId, host: IpAddr, ports: [u16; 2]) {
        // Without a place it is not asked, and that it did not answer is not said: silence of ours accuses nobody.
        let Ok(place) = Arc::clone(&self.questions).try_acquire_owned() else { return };
        let (echoes, done, patience) = (self.echoes.clone(), self.done.clone(), self.settings.ask_patience);
        let asked = self.stepped;
        tokio::spawn(async move {
            let answered = ask::ask(echoes, host, ports, patience).await;
            drop(place);
            let _ = done.send(Done::Asked { peer, asked, answered }).await;
        });
    }

    /// The address as this socket can send to it.
    fn outward(&self, to: SocketAddr) -> SocketAddr {
        match to.ip() {
            IpAddr::V4(ip) if self.is_v6 => SocketAddr::new(ip.to_ipv6_mapped().into(), to.port()),
            _ => to,
        }
    }

    /// The last words go out, and what is known is written down.
    pub(super) async fn leave(&mut self, why: Why, reports: &mut mpsc::Receiver<Done>) {
        self.step(Input::Leaving(why));
        self.carry_out();
        let until = Instant::now() + LAST;
        // All places are free again when every message has gone out, or failed.
        while self.streams_out.available_permits() < STREAMS_OUT {
            match timeout_at(until, reports.recv()).await {
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            }
        }
        let (known, state_dir) = (self.known(), self.kept.state_dir.clone());
        let written = tokio::task::spawn_blocking(move || known.write(&state_dir));
        match timeout_at(until + LAST, written).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!("what is known of the peers cannot be kept: {error}"),
            Ok(Err(_)) | Err(_) => tracing::warn!("what is known of the peers was not kept in time"),
        }
    }
}
