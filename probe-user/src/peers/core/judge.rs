//! What the statements of witnesses amount to, and what came of it when the member is heard again.
//!
//! A member is called down only when enough different witnesses say so, one of them from its own zone where others live
//! there, by an observer that reaches a quorum itself. `host_down` further needs that no host answered anybody and that not
//! many fell silent together. Every survivor judges by the same statements.

use std::time::Duration;

use crate::time::KTime;

use super::site::{Out, Site};
use super::suspect::Case;
use super::table::{Handle, Standing};
use super::{Effect, Kind, Member, Record, Verdict, What, Witness};

/// Statements that are kept about one member.
pub(super) const STATEMENTS_MAX: usize = 12;
/// A statement is counted for so long after it came.
const FRESH: Duration = Duration::from_secs(15);
/// Members missed within so long of each other fell silent together.
const TOGETHER: Duration = Duration::from_secs(15);
/// False accusations against many are refuted within so long.
const CLEARS_WITHIN: Duration = Duration::from_secs(3);
/// How exactly two hosts' clocks must agree on how long a silence was: one part in so many, and this.
const CLOCK_PART: u32 = 1024;
const CLOCK_SLACK: Duration = Duration::from_secs(2);

impl Site {
    /// Judges a case, if there is enough to judge by.
    pub(super) fn judge(&mut self, now: KTime, handle: Handle, out: Out<'_>) {
        let Some(peer) = self.table.get(handle) else { return };
        let Some(case) = &peer.case else { return };
        if self.is_isolated() || case.verdict == Some(What::AgentDown) {
            return;
        }
        let heard_lately = peer.heard != KTime(0) && now.since(peer.heard) < self.set.suspicion_min;
        if heard_lately || peer.standing == Standing::Left {
            return;
        }
        let mut count = 0;
        let mut mates = 0;
        let mut answered = false;
        for (statement, at) in &case.statements {
            let Some(witness) = self.table.find(&statement.witness).and_then(|handle| self.table.get(handle)) else {
                continue;
            };
            let may_speak = matches!(witness.standing, Standing::Alive | Standing::Suspect);
            if may_speak && (now.since(*at) < FRESH || case.is_proven()) {
                count += 1;
                mates += usize::from(witness.zone == peer.zone);
                answered |= statement.evidence.host == Some(true);
            }
        }
        let others = self.well(now);
        let needed = self.set.witnesses.min(others - others / 4).max(2);
        if count < needed || (case.needs_mate && mates == 0) {
            return;
        }
        if answered {
            // Also what was called down before: one answer is enough.
            self.call(now, handle, What::AgentDown, out);
        } else if matches!(case.verdict, None | Some(What::Unknown))
            && (self.comparing || !self.fell_together(now, handle))
        {
            self.call(now, handle, What::HostDown, out);
        }
    }

    /// So many fell silent at the same time that the network is more likely than the hosts.
    pub(super) fn fell_together(&self, now: KTime, handle: Handle) -> bool {
        let Some(case) = self.table.get(handle).and_then(|peer| peer.case.as_ref()) else { return false };
        let start = case.start;
        // At first whoever is missed at all is counted; later only who had the time to refute, or whom this node has not heard
        // itself since: for one member that accuses all others must not keep a death from being called, nor one whose silence is
        // noticed late make it look like the only one.
        let waited = now.since(case.opened);
        let early = waited < self.set.suspicion_min + CLEARS_WITHIN;
        let soon = waited < self.set.suspicion_min + 3 * CLEARS_WITHIN;
        let limit = self.set.together_min.max(self.table.living() / self.set.together_part.max(1));
        let together = self.cases.iter().filter_map(|other| self.table.get(*other)).filter(|peer| {
            let Some(case) = &peer.case else { return false };
            let apart = start.since(case.start).max(case.start.since(start));
            let is_silent = early || case.is_missed(now) || soon && peer.heard < case.opened;
            apart <= TOGETHER && is_silent && case.verdict != Some(What::AgentDown)
        });
        together.take(limit).count() >= limit
    }

    /// Calls a member what it is, or what nobody can tell.
    pub(super) fn call(&mut self, now: KTime, handle: Handle, what: What, out: Out<'_>) {
        let mut was = None;
        self.table.change(handle, |peer| {
            peer.standing = Standing::Down;
            peer.since = now;
            if let Some(case) = peer.case.as_mut() {
                let told = case
                    .statements
                    .iter()
                    .map(|(statement, at)| at.before(Duration::from_millis(u64::from(statement.evidence.silent_ms))));
                case.last_sign = told.chain([peer.heard]).max().filter(|sign| *sign != KTime(0)).unwrap_or(case.start);
                case.called = now;
                was = case.verdict.replace(what);
            }
        });
        self.dirty = true;
        self.drop_suspicions(handle);
        self.probes.retain(|probe| probe.target != handle);
        self.forget_watch(handle);
        let Some(peer) = self.table.get(handle) else { return };
        let Some(case) = &peer.case else { return };
        let verdict = Verdict {
            kind: if was.is_some() { Kind::Reclassified } else { Kind::Down },
            what,
            was,
            peer: Box::new(peer.record.member.clone()),
            incident: case.incident,
            witnesses: self.witnesses_of(case),
            since: case.last_sign,
            until: None,
            mine: case.is_mine(),
        };
        out.push(Effect::Verdict(Box::new(verdict)));
    }

    fn witnesses_of(&self, case: &Case) -> Vec<Witness> {
        let said = case.statements.iter().filter_map(|(statement, _)| {
            let member = &self.table.get(self.table.find(&statement.witness)?)?.record.member;
            Some(Witness { name: member.name.clone(), zone: member.zone.clone(), evidence: statement.evidence })
        });
        said.collect()
    }

    /// A member that was missed says something new: it lives, or lived. `before`: what it had said before.
    pub(super) fn came_back(&mut self, now: KTime, handle: Handle, before: &Record, learned: KTime, out: Out<'_>) {
        let Some(case) = self.close_case(handle) else { return };
        self.dirty = true;
        let Some(was) = case.verdict else { return };
        self.healing_until = now.after(self.set.heal_period);
        let Some(peer) = self.table.get(handle) else { return };
        let member = &peer.record.member;
        let same_boot = member.boot == before.member.boot;
        let truth = match was {
            What::HostDown | What::Unknown
                if same_boot && lived_through(&before.member, member, now.since(learned)) =>
            {
                let same_run = member.started_ns == before.member.started_ns;
                Some(if same_run { What::PathDown } else { What::AgentDown })
            }
            _ => None,
        };
        let verdict = self.over(now, &case, was, truth, member.clone());
        out.push(Effect::Verdict(Box::new(verdict)));
    }

    /// Another host has the name of one that was missed: what was called is over.
    pub(super) fn replaced(&mut self, now: KTime, handle: Handle, by: &Member, out: Out<'_>) {
        let Some(case) = self.close_case(handle) else { return };
        let Some(was) = case.verdict else { return };
        let verdict = self.over(now, &case, was, None, by.clone());
        out.push(Effect::Verdict(Box::new(verdict)));
    }

    /// The end of what was called. `truth`: what it really had been.
    fn over(&self, now: KTime, case: &Case, was: What, truth: Option<What>, member: Member) -> Verdict {
        Verdict {
            kind: if truth.is_some() { Kind::Reclassified } else { Kind::Recovered },
            what: truth.unwrap_or(was),
            was: truth.map(|_| was),
            peer: Box::new(member),
            incident: case.incident,
            witnesses: self.witnesses_of(case),
            since: case.last_sign,
            until: Some(now),
            mine: case.is_mine(),
        }
    }
}

/// Whether a host's uptime went on as long as this node waited: it did not stand still, let alone stop.
fn lived_through(before: &Member, after: &Member, waited: Duration) -> bool {
    let lived = Duration::from_nanos(after.up_ns.saturating_sub(before.up_ns));
    lived + CLOCK_SLACK + waited / CLOCK_PART >= waited
}
