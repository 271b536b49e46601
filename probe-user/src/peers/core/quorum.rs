//! Whether this node is in a position to judge others: it must reach most of those that it knew alive lately.
//!
//! Two views of it: the latest probes of different members, and how many members are missed at all. Where either says
//! that most are out of reach, the node blames its own path, says so, and accuses nobody.

use std::time::Duration;

use crate::time::KTime;

use super::probe::Reason;
use super::site::{Out, Site};
use super::suspect::incident_of;
use super::table::{Handle, ME, Standing};
use super::{Effect, Kind, Verdict, What};

/// Outcomes of probes that are remembered, for so long.
const OUTCOMES_MAX: usize = 24;
const WINDOW: Duration = Duration::from_secs(20);
/// A witness must have tried so many others lately, where there are so many.
const SAMPLE: usize = 8;
/// How often a witness tries one more.
const SAMPLE_EVERY: Duration = Duration::from_millis(300);
/// A member that went down still counts for so long: it was known alive lately.
const LATELY: Duration = Duration::from_mins(1);
/// How long the quorum must be missed before this node says so, and reached before it says that.
const SAY_AFTER: Duration = Duration::from_secs(8);
const TAKE_BACK_AFTER: Duration = Duration::from_secs(3);

/// What is known about this node's own reach.
#[derive(Debug, Default)]
pub(super) struct Quorum {
    outcomes: Vec<(Handle, bool, KTime)>,
    isolated: bool,
    /// Since when it is what it is.
    since: KTime,
    /// When it was last not isolated.
    had: KTime,
    /// The incident that is open about this node itself, and since when.
    said: Option<([u8; 16], KTime)>,
    times: u64,
    next_sample: KTime,
}

impl Site {
    /// A probe came to an end.
    pub(super) fn note_outcome(&mut self, now: KTime, target: Handle, answered: bool) {
        let outcomes = &mut self.quorum.outcomes;
        outcomes.retain(|(known, _, at)| *known != target && now.since(*at) < WINDOW);
        if outcomes.len() >= OUTCOMES_MAX {
            outcomes.remove(0);
        }
        outcomes.push((target, answered, now));
    }

    /// No outcome from before counts: the node stood still, or a member was forgotten.
    pub(super) fn forget_outcomes(&mut self) {
        self.quorum.outcomes.clear();
    }

    pub(super) fn is_isolated(&self) -> bool {
        self.quorum.isolated
    }

    /// Of how many members that were tried how many were reached; both with this node.
    pub(super) fn reached(&self, now: KTime) -> (u32, u32) {
        let mut reached = (1, 1);
        for (target, answered, at) in &self.quorum.outcomes {
            let Some(peer) = self.table.get(*target) else { continue };
            // What is down for good does not say anything about this node.
            if now.since(*at) < WINDOW && matches!(peer.standing, Standing::Alive | Standing::Suspect) {
                let heard = *answered || peer.heard > *at;
                reached = (reached.0 + u32::from(heard), reached.1 + 1);
            }
        }
        reached
    }

    /// Whether enough others were tried lately to know whether there is a quorum.
    pub(super) fn has_sample(&self, now: KTime) -> bool {
        let (reached, asked) = self.reached(now);
        let others = self.table.living().saturating_sub(2);
        asked as usize > others.min(SAMPLE) && reached * 2 > asked
    }

    /// A witness tries others, so that it knows whether to trust itself.
    pub(super) fn sample_quorum(&mut self, now: KTime, out: Out<'_>) {
        if self.quorum.next_sample > now || self.has_sample(now) {
            return;
        }
        self.quorum.next_sample = now.after(SAMPLE_EVERY);
        for handle in self.some_living(2) {
            let fresh =
                self.quorum.outcomes.iter().any(|(known, _, at)| *known == handle && now.since(*at) < WINDOW / 2);
            if !fresh && self.probes.iter().all(|probe| probe.target != handle) {
                self.probe(now, handle, Reason::Sample, out);
            }
        }
    }

    /// Looks whether this node has its quorum, and says so when it has lost or regained it.
    pub(super) fn look_at_quorum(&mut self, now: KTime, out: Out<'_>) {
        let (reached, asked) = self.reached(now);
        let others = self.table.living().saturating_sub(1);
        let tried = asked > 3.min(u32::try_from(others).unwrap_or(u32::MAX));
        let few_reached = tried && reached * 2 <= asked;
        let downs = self.cases.iter().filter_map(|handle| self.table.get(*handle));
        let downs = downs.filter(|peer| peer.standing == Standing::Down && now.since(peer.since) < LATELY).count();
        let few_left = self.well(now) * 2 <= self.table.living() + downs && others + downs > 0;
        let isolated = few_reached || few_left;
        let quorum = &mut self.quorum;
        if isolated != quorum.isolated {
            quorum.isolated = isolated;
            quorum.since = now;
            self.dirty = true;
            if !isolated {
                self.begin_anew(now);
            }
        }
        let quorum = &mut self.quorum;
        if !isolated {
            quorum.had = now;
        }
        let lasted = now.since(quorum.since);
        match quorum.said {
            None if isolated && lasted >= SAY_AFTER => {
                quorum.times += 1;
                let (had, times) = (quorum.had, quorum.times);
                let Some(me) = self.table.get(ME) else { return };
                let incident = incident_of(&me.id, &me.record.member.boot, 1 << 40 | times);
                self.quorum.said = Some((incident, had));
                self.tell_of_myself(Kind::Down, incident, had, None, out);
            }
            Some((incident, had)) if !isolated && lasted >= TAKE_BACK_AFTER => {
                quorum.said = None;
                self.tell_of_myself(Kind::Recovered, incident, had, Some(now), out);
            }
            _ => {}
        }
    }

    fn tell_of_myself(&self, kind: Kind, incident: [u8; 16], since: KTime, until: Option<KTime>, out: Out<'_>) {
        let Some(me) = self.table.get(ME) else { return };
        out.push(Effect::Verdict(Box::new(Verdict {
            kind,
            what: What::PathDown,
            was: None,
            peer: Box::new(me.record.member.clone()),
            incident,
            witnesses: Vec::new(),
            since,
            until,
            mine: true,
        })));
    }

    /// The incident that is open about this node itself.
    pub(super) fn own_incident(&self) -> Option<[u8; 16]> {
        self.quorum.said.map(|(incident, _)| incident)
    }

    /// Nothing that was missed while this node was cut off, or stood still, speaks against anybody.
    pub(super) fn begin_anew(&mut self, now: KTime) {
        for place in 0..self.cases.len() {
            let Some(handle) = self.cases.get(place).copied() else { continue };
            if let Some(peer) = self.table.get_mut(handle).filter(|peer| peer.standing == Standing::Suspect)
                && let Some(case) = peer.case.as_mut()
            {
                case.start = now;
                case.opened = now;
                case.duty = None;
            }
        }
        self.healing_until = now.after(self.set.heal_period);
    }
}
