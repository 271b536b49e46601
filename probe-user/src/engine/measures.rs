//! What members use: summed over each interval between two samples, and over the members alive at a sample.
//!
//! Rates are what was used in an interval divided by its length. Members that came and went between two samples count:
//! their closed account says what they used. What a process used before the interval (it was not sampled yet when it
//! began) is left out in proportion to the time, so that entering a group late makes no spike.
//!
//! A sample has no row of a process that used nothing since its last row. Whoever has had a row and is watched still is
//! therefore counted up to the last sample, and what it holds (memory, threads) is what it held.

use std::collections::BTreeSet;
use std::time::Duration;

use super::timers::Slot;
use super::{Effect, Engine};
use crate::model::{Process, Totals};
use crate::policy::spec::Measure;
use crate::record::ProcessKey;
use crate::time::KTime;

/// An account that closes so late after its process's last sample still counts in the present interval.
const ACCOUNT_LAG: Duration = Duration::from_secs(10);

/// Usage over one interval: cores, cores, bytes a second, bytes a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rates {
    pub(super) cpu: f64,
    pub(super) wait: f64,
    pub(super) read: f64,
    pub(super) write: f64,
}

impl Rates {
    pub(super) fn of(used: Totals, time: Duration) -> Self {
        let secs = time.as_secs_f64();
        if secs <= 0.0 {
            return Self::default();
        }
        Self {
            cpu: used.cpu_ns as f64 / 1e9 / secs,
            wait: used.wait_ns as f64 / 1e9 / secs,
            read: used.read_bytes as f64 / secs,
            write: used.write_bytes as f64 / secs,
        }
    }

    /// The rate that a measure is about; `None` for the other measures.
    pub(super) fn get(&self, measure: Measure) -> Option<f64> {
        match measure {
            Measure::Cpu => Some(self.cpu),
            Measure::CpuWait => Some(self.wait),
            Measure::Read => Some(self.read),
            Measure::Write => Some(self.write),
            _ => None,
        }
    }
}

/// What the members of a group hold together, as the samples told it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    memory_bytes: u64,
    threads: u64,
    /// Some member was sampled.
    sampled: bool,
}

impl Held {
    fn get(self, measure: Measure) -> f64 {
        match measure {
            Measure::Threads => self.threads as f64,
            _ => self.memory_bytes as f64,
        }
    }
}

/// A process's present value of a sampled measure, once it has been sampled.
pub(super) fn value_of(process: &Process, rates: &Rates, measure: Measure) -> Option<f64> {
    process.usage.at?;
    match measure {
        Measure::Memory => Some(process.usage.rss_bytes as f64),
        Measure::Threads => Some(f64::from(process.threads)),
        _ => rates.get(measure),
    }
}

impl Engine {
    /// A sample says what a process used since it was last counted.
    pub(super) fn used(&mut self, key: ProcessKey, delta: Totals, now: KTime) {
        let Some(track) = self.tracks.get_mut(&key) else { return };
        let counted = track.used_until.replace(now);
        let steady = !std::mem::take(&mut track.interrupted);
        for group in &track.belongs {
            if let Some(state) = self.groups.get_mut(*group) {
                state.held = None;
            }
        }
        let Some(begin) = self.interval else { return };
        let from = match counted {
            // What had no row in the samples since used nothing until the last of them.
            Some(until) if steady => until.max(begin),
            until => until.unwrap_or(key.start),
        };
        let inside = portion(delta, from, begin, now);
        track.rates = Rates::of(inside, now.since(begin));
        for group in &track.belongs {
            if let Some(state) = self.groups.get_mut(*group) {
                add(&mut state.used, inside);
            }
        }
    }

    /// A closed account says what a process used after it was last counted.
    pub(super) fn account_closed(&mut self, process: &Process, delta: Totals) {
        let (Some(track), Some(begin)) = (self.tracks.get(&process.key), self.interval) else { return };
        let from = track.used_until.unwrap_or(process.key.start);
        let end = process.exit.as_ref().map_or(begin, |exit| exit.at);
        let steady = track.used_until.is_some() && !track.interrupted;
        let inside = if end > begin {
            portion(delta, if steady { from.max(begin) } else { from }, begin, end)
        } else if begin.since(if steady { end } else { from }) <= ACCOUNT_LAG {
            // It ended before the interval, but no sample has told of it.
            delta
        } else {
            return;
        };
        for group in &track.belongs {
            if let Some(state) = self.groups.get_mut(*group) {
                add(&mut state.ended, inside);
            }
        }
    }

    /// Judges the sampled bounds of all groups, and begins the next interval.
    pub(super) fn judge_sample(&mut self, now: KTime, effects: &mut Vec<Effect>) {
        let length = self.interval.map(|begin| now.since(begin)).filter(|length| !length.is_zero());
        for group in 0..self.groups.len() {
            if self.groups.get(group).is_some_and(super::group::GroupState::is_sampled) {
                self.judge_group_sample(group, now, length, effects);
            }
        }
        if self.interval.is_some() {
            self.interval = Some(now);
        }
    }

    fn judge_group_sample(&mut self, group: usize, now: KTime, length: Option<Duration>, effects: &mut Vec<Effect>) {
        let Some(state) = self.groups.get_mut(group) else { return };
        let mut used = std::mem::take(&mut state.used);
        add(&mut used, state.ended);
        let settled = state.members.is_empty() && used == Totals::default();
        self.sampling_may_change |= settled != state.settled;
        state.settled = settled;
        let (bounds, is_empty) = (state.bounds.len(), state.members.is_empty());
        let rates = length.map(|length| Rates::of(used, length));
        for bound in 0..bounds {
            let slot = Slot { group, bound, key: None };
            let Some((state, judged)) = self.bound(slot).filter(|(_, judged)| judged.spec.measure.is_sampled()) else {
                continue;
            };
            let measure = judged.spec.measure;
            if judged.is_per_process() {
                let values: Vec<_> =
                    state.members.iter().filter_map(|key| Some((*key, self.member_value(*key, measure)?))).collect();
                for (key, value) in values {
                    self.drive(Slot { key: Some(key), ..slot }, now, Some(value), effects);
                }
                continue;
            }
            let value = match measure {
                Measure::Memory | Measure::Threads => {
                    let held = state.held.unwrap_or_else(|| self.held_by(&state.members));
                    if let Some(state) = self.groups.get_mut(group) {
                        state.held = Some(held);
                    }
                    // Members that no sample has told of yet would make a minimum fire for nothing.
                    (is_empty || held.sampled).then(|| held.get(measure))
                }
                _ => rates.and_then(|rates| rates.get(measure)),
            };
            if let Some(value) = value {
                self.drive(slot, now, Some(value), effects);
            }
        }
        if let Some(state) = self.groups.get_mut(group) {
            state.ended = Totals::default();
        }
    }

    /// A living member's present value of a sampled measure.
    pub(super) fn member_value(&self, key: ProcessKey, measure: Measure) -> Option<f64> {
        let track = self.tracks.get(&key)?;
        // No row in the last sample: it used nothing in that interval.
        let rates = if track.used_until == Some(self.sampled_at) { track.rates } else { Rates::default() };
        value_of(self.table.get(key)?, &rates, measure)
    }

    /// What those members hold that a sample has told of.
    fn held_by(&self, members: &BTreeSet<ProcessKey>) -> Held {
        let mut held = Held::default();
        for process in members.iter().filter_map(|key| self.table.get(*key)) {
            if process.usage.at.is_some() {
                held.sampled = true;
                held.memory_bytes = held.memory_bytes.saturating_add(process.usage.rss_bytes);
                held.threads = held.threads.saturating_add(process.threads.into());
            }
        }
        held
    }

    /// Sampling goes on while a group with sampled bounds has members, and until its emptiness has been judged.
    pub(super) fn decide_sampling(&mut self, now: KTime, effects: &mut Vec<Effect>) {
        if !std::mem::take(&mut self.sampling_may_change) {
            return;
        }
        let wanted =
            self.groups.iter().any(|group| group.is_sampled() && (!group.members.is_empty() || !group.settled));
        if wanted != self.interval.is_some() {
            self.interval = wanted.then_some(now);
            effects.push(Effect::Sampling(wanted));
        }
    }
}

fn add(sum: &mut Totals, more: Totals) {
    sum.cpu_ns = sum.cpu_ns.saturating_add(more.cpu_ns);
    sum.wait_ns = sum.wait_ns.saturating_add(more.wait_ns);
    sum.read_bytes = sum.read_bytes.saturating_add(more.read_bytes);
    sum.write_bytes = sum.write_bytes.saturating_add(more.write_bytes);
}

/// The part of what was used from `from` to `end` that falls after `begin`, as if it had been used evenly.
fn portion(used: Totals, from: KTime, begin: KTime, end: KTime) -> Totals {
    let (inside, whole) = (end.since(begin).as_nanos(), end.since(from).as_nanos());
    if from >= begin || inside >= whole {
        return used;
    }
    let share = |amount: u64| u64::try_from(u128::from(amount) * inside / whole).unwrap_or(amount);
    Totals {
        cpu_ns: share(used.cpu_ns),
        wait_ns: share(used.wait_ns),
        read_bytes: share(used.read_bytes),
        write_bytes: share(used.write_bytes),
    }
}
