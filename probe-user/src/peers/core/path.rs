//! Paths that are broken while the member lives: others hear it and this node does not, for long.

use crate::time::KTime;

use super::probe::Reason;
use super::site::{Out, Site};
use super::suspect::incident_of;
use super::table::{Handle, Standing};
use super::{Effect, Evidence, Kind, Verdict, What, Witness};

/// Members that this node watches so; more are only found by their turns.
const WATCHED_MAX: usize = 8;
/// How many direct probes in a row must fail: loss alone does not make that many.
const FAILURES_MIN: u8 = 8;
/// What the names of such incidents are made from.
const PATH: u64 = 1 << 41;

/// A member whose direct path seems broken.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) target: Handle,
    since: KTime,
    next: KTime,
    failures: u8,
    pub(super) incident: Option<[u8; 16]>,
}

impl Site {
    /// A member was heard, though not directly.
    pub(super) fn heard_roundabout(&mut self, now: KTime, handle: Handle) {
        if let Some(peer) = self.table.get_mut(handle).filter(|peer| peer.standing == Standing::Suspect) {
            peer.heard = now;
        }
    }

    /// ...so that its path is worth a look for a while.
    pub(super) fn watch_path(&mut self, now: KTime, target: Handle) {
        let known = self.watched.iter().any(|watch| watch.target == target);
        if !known && self.watched.len() < WATCHED_MAX {
            self.watched.push(Watch { target, since: now, next: now, failures: 0, incident: None });
        }
    }

    /// The direct path works.
    pub(super) fn path_works(&mut self, now: KTime, target: Handle, out: Out<'_>) {
        if let Some(place) = self.watched.iter().position(|watch| watch.target == target) {
            let watch = self.watched.swap_remove(place);
            self.tell_of_path(&watch, Kind::Recovered, Some(now), out);
        }
    }

    pub(super) fn path_failed(&mut self, now: KTime, target: Handle, out: Out<'_>) {
        let path_after = self.set.path_after;
        let Some(peer) = self.table.get(target) else { return };
        let incident = incident_of(&peer.id, &peer.record.member.boot, PATH | u64::from(peer.record.member.life));
        // Whether it lives at all is another question, decided elsewhere.
        if peer.standing != Standing::Alive || self.is_isolated() {
            return;
        }
        let Some(place) = self.watched.iter().position(|watch| watch.target == target) else { return };
        let Some(watch) = self.watched.get_mut(place) else { return };
        watch.failures = watch.failures.saturating_add(1);
        if watch.incident.is_none() && watch.failures >= FAILURES_MIN && now.since(watch.since) >= path_after {
            watch.incident = Some(incident);
            let watch = self.watched.swap_remove(place);
            self.tell_of_path(&watch, Kind::Down, None, out);
            self.watched.push(watch);
        }
    }

    fn tell_of_path(&mut self, watch: &Watch, kind: Kind, until: Option<KTime>, out: Out<'_>) {
        let (Some(incident), Some(peer)) = (watch.incident, self.table.get(watch.target)) else { return };
        let Some(me) = self.table.get(super::table::ME) else { return };
        let (name, zone) = (me.record.member.name.clone(), me.record.member.zone.clone());
        let evidence = Evidence { direct: watch.failures, ..Evidence::default() };
        out.push(Effect::Verdict(Box::new(Verdict {
            kind,
            what: What::PathDown,
            was: None,
            peer: Box::new(peer.record.member.clone()),
            incident,
            witnesses: vec![Witness { name, zone, evidence }],
            since: watch.since,
            until,
            mine: true,
        })));
        self.dirty = true;
    }

    /// Probes those whose path seems broken.
    pub(super) fn watch_paths(&mut self, now: KTime, out: Out<'_>) {
        let every = self.set.period * 2;
        let mut due = Vec::new();
        for watch in self.watched.iter_mut().filter(|watch| watch.next <= now) {
            watch.next = now.after(every);
            due.push(watch.target);
        }
        for target in due {
            self.probe(now, target, Reason::Path, out);
        }
    }

    /// The member is down, left or forgotten: its path is nobody's concern.
    pub(super) fn forget_watch(&mut self, target: Handle) {
        self.watched.retain(|watch| watch.target != target);
    }
}
