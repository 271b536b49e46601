//! Lost records: counted and told, and while the table may be wrong, nothing is judged.
//!
//! The first harmful loss is told at once and asks for a scan; further ones until the scan comes are only counted. The
//! scan ends the doubt: a second event per reason says so, and carries what was lost in between, so that the counts of
//! all events add up to everything lost. Windows remember that they may have missed something: their counts are lower
//! limits until it would have left them.

use std::collections::BTreeMap;

use super::{Effect, Engine};
use crate::event::{Attributes, Event, Severity, name};
use crate::record::Loss;
use crate::time::KTime;

/// What was lost, by reason.
#[derive(Debug, Default)]
pub(super) struct Losses {
    /// Since the start.
    total: BTreeMap<&'static str, u64>,
    /// The doubt, while there is one.
    doubt: Option<Doubt>,
}

#[derive(Debug)]
struct Doubt {
    since: KTime,
    by_reason: BTreeMap<&'static str, Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    lost: u64,
    untold: u64,
}

impl Losses {
    /// The table may be wrong.
    pub(super) fn in_doubt(&self) -> bool {
        self.doubt.is_some()
    }

    /// Since when it may be wrong.
    pub(super) fn doubt_since(&self) -> Option<KTime> {
        self.doubt.as_ref().map(|doubt| doubt.since)
    }

    /// All that was lost since the start, by reason.
    pub(super) fn total(&self) -> &BTreeMap<&'static str, u64> {
        &self.total
    }
}

impl Engine {
    pub(super) fn lose(&mut self, now: KTime, loss: Loss, effects: &mut Vec<Effect>) {
        if loss.count == 0 {
            return;
        }
        let reason = loss.reason.as_str();
        let total = self.losses.total.entry(reason).or_default();
        *total = total.saturating_add(loss.count);
        if !loss.reason.harms_table() {
            let body = format!("{} in the kernel ({reason}); the process table is right", records(loss.count));
            effects.push(Effect::Emit(lost(now, reason, loss.count, true, body)));
            return;
        }
        let first = self.losses.doubt.is_none();
        let doubt = self.losses.doubt.get_or_insert_with(|| Doubt { since: now, by_reason: BTreeMap::new() });
        let counts = doubt.by_reason.entry(reason).or_default();
        counts.lost = counts.lost.saturating_add(loss.count);
        counts.untold = counts.untold.saturating_add(if first { 0 } else { loss.count });
        self.miss(now);
        if first {
            let body = format!(
                "{} in the kernel ({reason}); nothing fires until the processes are scanned",
                records(loss.count)
            );
            effects.push(Effect::Emit(lost(now, reason, loss.count, false, body)));
            effects.push(Effect::Scan);
        }
    }

    /// A scan has put the table right. False when it was not in doubt.
    pub(super) fn end_doubt(&mut self, now: KTime, effects: &mut Vec<Effect>) -> bool {
        let Some(doubt) = self.losses.doubt.take() else { return false };
        for (reason, counts) in doubt.by_reason {
            let body =
                format!("the process table is right again after {} in the kernel ({reason})", records(counts.lost));
            let mut event = lost(now, reason, counts.untold, true, body);
            event.attributes.put("total", counts.lost);
            effects.push(Effect::Emit(event));
        }
        self.miss(now);
        true
    }

    /// What is counted may have missed something up to now.
    fn miss(&mut self, now: KTime) {
        for group in &mut self.groups {
            for counted in &mut group.windows {
                counted.window.missed(now);
            }
        }
        self.jobs.missed(now);
    }
}

fn lost(at: KTime, reason: &'static str, count: u64, reconciled: bool, body: String) -> Event {
    let mut attributes = Attributes::default();
    attributes.put("where", "kernel");
    attributes.put("reason", reason);
    attributes.put("count", count);
    attributes.put("reconciled", reconciled);
    Event { name: name::AGENT_LOST, severity: Severity::Warning, at, body, attributes, alarm: None }
}

fn records(count: u64) -> String {
    if count == 1 { "1 record was lost".to_owned() } else { format!("{count} records were lost") }
}
