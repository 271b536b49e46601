//! Other hosts of the site: what must hold of sets of them, and the verdicts that this host is a witness of.
//!
//! What is known of the others comes from their source as a whole ([`PeerNews::Members`]), each time that something has
//! changed. Between two such lists what was told holds: a bound needs no sample. Before the first one nothing is judged,
//! and `status` says that it is unknown.
//!
//! Alive is who was heard of. Who is `unknown` or has lost a path (`path_down`) counts as alive too: nobody has shown that
//! it is down, and a network's trouble must not read as an outage of hosts. Who said that it ends is no member any more: it
//! counts neither as alive nor as missing, so that a share is one of those that should be there; a plain number of hosts
//! that must be there misses it.
//!
//! Verdicts and vouchings are told as they come. They change no bound by themselves: the list does.

mod state;
mod tell;
#[cfg(test)]
mod tests;

use super::raise::Told;
use super::restore::Standing;
use super::seen::SeenBound;
use super::status::PeerSetStatus;
use crate::policy::spec::{HostFacts, PolicySet};
use crate::record::{PeerNews, PeerView};
use crate::time::KTime;
use state::SetState;

/// All sets of peers.
#[derive(Debug, Default)]
pub(super) struct Peers {
    sets: Vec<SetState>,
    /// Everybody, as told last.
    known: Option<Vec<PeerView>>,
}

impl Peers {
    pub(super) fn new(policies: &PolicySet, host: &HostFacts) -> Self {
        Self { sets: policies.peers.iter().map(|set| SetState::new(set, host)).collect(), known: None }
    }

    /// Something was told of others.
    pub(super) fn take(&mut self, now: KTime, gate: KTime, news: PeerNews, out: &mut Vec<Told>) {
        match news {
            PeerNews::Members(members) => {
                self.advance(now, gate, out);
                for set in &mut self.sets {
                    set.take(now, gate, &members, out);
                }
                self.known = Some(members);
            }
            PeerNews::Verdict(verdict) => out.push(Told::Event(tell::verdict(now, &verdict))),
            PeerNews::Vouched(vouch) => out.push(Told::Event(tell::vouched(now, &vouch))),
        }
    }

    /// An alarm of another daemon's is on again. False: there is no such bound.
    pub(super) fn stand(&mut self, alarm: &Standing, now: KTime) -> bool {
        self.sets.iter_mut().any(|set| set.stand(alarm, now))
    }

    /// What was seen of each bound.
    pub(super) fn seen(&self) -> impl Iterator<Item = SeenBound> {
        self.sets.iter().flat_map(SetState::seen)
    }

    /// When time alone changes something.
    pub(super) fn next(&self, gate: KTime) -> Option<KTime> {
        self.sets.iter().filter_map(|set| set.next(gate)).min()
    }

    /// Acts on everything due up to `until`.
    pub(super) fn advance(&mut self, until: KTime, gate: KTime, out: &mut Vec<Told>) {
        for set in &mut self.sets {
            set.advance(until, gate, out);
        }
    }

    /// Other policies: a bound of the same set that says the same keeps its state, an alarm without one ends.
    pub(super) fn reload(
        &mut self,
        policies: &PolicySet,
        host: &HostFacts,
        now: KTime,
        gate: KTime,
        out: &mut Vec<Told>,
    ) {
        let old = std::mem::take(&mut self.sets);
        self.sets = policies.peers.iter().map(|set| SetState::new(set, host)).collect();
        for old in old {
            let new = self.sets.iter_mut().find(|new| new.spec.name == old.spec.name);
            old.hand_over(new, now, out);
        }
        // What is known is held against the new ones at once.
        if let Some(members) = &self.known {
            for set in &mut self.sets {
                set.take(now, gate, members, out);
            }
        }
    }

    /// How they stand.
    pub(super) fn status(&self, now: KTime) -> Vec<PeerSetStatus> {
        self.sets.iter().map(|set| set.status(now)).collect()
    }
}
