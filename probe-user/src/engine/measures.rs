//! What members use: summed over each interval between two samples, and over the members alive at a sample.
//!
//! Rates are what was used in an interval divided by its length. Members that came and went between two samples count:
//! their closed account says what they used. What a process used before the interval (it was not sampled yet when it
//! began) is left out in proportion to the time, so that entering a group late makes no spike.
//!
//! A sample has no row of a process that used nothing since its last row. Whoever has had a row and is watched still is
//! therefore counted up to the last sample, and what it holds (memory, threads) is what it held.
//! The first row of a process that was there before says nothing of an interval: its rates are not known, and those of its
//! groups are lower limits, until the next one.
//! So the sums over members are kept and changed by what a row says, and a sample costs what its rows cost.

use std::time::Duration;

use serde::Serialize;

use super::group::GroupState;
use super::timers::Slot;
use super::track::Track;
use super::{Effect, Engine};
use crate::model::{Process, Totals};
use crate::policy::spec::{Measure, Side};
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

/// What the members of a group use, as the last sample says; what it does not say yet is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct GroupUsage {
    /// Threads alive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<u64>,
    /// Resident memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// CPU used, in cores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<f64>,
    /// Time runnable but waiting, in cores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_wait: Option<f64>,
    /// Storage read, bytes a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read: Option<f64>,
    /// Storage written, bytes a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write: Option<f64>,
}

/// What a group's sums have of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    rss_bytes: u64,
    threads: u32,
}

/// Sums over members alive, of those that a sample has told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    rss_bytes: u64,
    threads: u64,
    /// How many these are.
    told_of: usize,
}

impl Sums {
    /// One more.
    pub(super) fn add(&mut self, share: Option<Share>) {
        let Some(share) = share else { return };
        self.rss_bytes = self.rss_bytes.saturating_add(share.rss_bytes);
        self.threads = self.threads.saturating_add(u64::from(share.threads));
        self.told_of += 1;
    }

    /// One less; `share` is what was added of it.
    pub(super) fn take_out(&mut self, share: Option<Share>) {
        let Some(share) = share else { return };
        self.rss_bytes = self.rss_bytes.saturating_sub(share.rss_bytes);
        self.threads = self.threads.saturating_sub(u64::from(share.threads));
        self.told_of = self.told_of.saturating_sub(1);
    }
}

impl GroupState {
    /// `None` where no bound asks for samples.
    pub(super) fn usage(&self) -> Option<GroupUsage> {
        if !self.is_sampled() {
            return None;
        }
        let told_of = self.members.is_empty() || self.sums.told_of > 0;
        let rates = if self.members.is_empty() && self.settled { Some(Rates::default()) } else { self.rates };
        Some(GroupUsage {
            threads: told_of.then_some(self.sums.threads),
            memory_bytes: told_of.then_some(self.sums.rss_bytes),
            cpu: rates.map(|rates| rates.cpu),
            cpu_wait: rates.map(|rates| rates.wait),
            read: rates.map(|rates| rates.read),
            write: rates.map(|rates| rates.write),
        })
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
        let Some((process, track)) = self.table.both_mut(key) else { return };
        let share = Some(Share { rss_bytes: process.usage.rss_bytes, threads: process.threads });
        let before = std::mem::replace(&mut track.share, share);
        if before != share {
            for group in &track.belongs {
                if let Some(state) = self.groups.get_mut(*group) {
                    state.sums.take_out(before);
                    state.sums.add(share);
                }
            }
        }
        let counted = track.used_until.replace(now);
        let steady = !std::mem::take(&mut track.interrupted);
        let Some(begin) = self.interval else { return };
        // Of who was there before anybody looked, the first sample only says where it stands.
        track.rates_unknown =
            counted.is_none() && delta == Totals::default() && process.usage.totals != Totals::default();
        if track.rates_unknown {
            for group in &track.belongs {
                if let Some(state) = self.groups.get_mut(*group) {
                    state.partly_known = true;
                }
            }
        }
        let from = match counted {
            // What had no row in the samples since used nothing until the last of them.
            Some(until) if steady => until.max(begin),
            until => until.unwrap_or(key.start),
        };
        let inside = portion(delta, from, begin, now);
        track.rates = Rates::of(inside, now.since(begin));
        if inside == Totals::default() {
            return;
        }
        for group in &track.belongs {
            if let Some(state) = self.groups.get_mut(*group) {
                state.used = state.used.plus(inside);
            }
        }
    }

    /// A closed account says what a process used after it was last counted.
    pub(super) fn account_closed(&mut self, process: &Process, track: &Track, delta: Totals) {
        let Some(begin) = self.interval else { return };
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
                state.ended = state.ended.plus(inside);
            }
        }
    }

    /// Judges the sampled bounds of all groups that use something, and begins the next interval.
    pub(super) fn judge_sample(&mut self, now: KTime, effects: &mut Vec<Effect>) {
        let length = self.interval.map(|begin| now.since(begin)).filter(|length| !length.is_zero());
        for place in 0..self.index.sampled().len() {
            let Some(group) = self.index.sampled().get(place).copied() else { continue };
            self.judge_group_sample(group, now, length, effects);
        }
        if self.interval.is_some() {
            self.interval = Some(now);
        }
    }

    fn judge_group_sample(&mut self, group: usize, now: KTime, length: Option<Duration>, effects: &mut Vec<Effect>) {
        let Some(state) = self.groups.get_mut(group) else { return };
        let used = std::mem::take(&mut state.used).plus(std::mem::take(&mut state.ended));
        let partly_known = std::mem::take(&mut state.partly_known);
        let settled = state.members.is_empty() && used == Totals::default();
        if settled && state.settled {
            // That it uses nothing was judged when it became so.
            return;
        }
        self.stirred.sampling |= settled != state.settled;
        state.settled = settled;
        state.rates_are_low = partly_known;
        self.stirred.moved.mark(group, state);
        let rates = length.map(|length| Rates::of(used, length));
        state.rates = rates;
        let (bounds, is_empty, sums) = (state.bounds.len(), state.members.is_empty(), state.sums);
        for bound in 0..bounds {
            let slot = Slot { group, bound, key: None };
            let Some((state, judged)) = self.bound(slot).filter(|(_, judged)| judged.spec.measure.is_sampled()) else {
                continue;
            };
            let measure = judged.spec.measure;
            if judged.is_per_process() {
                let members = state.members.in_order().into_iter();
                let values: Vec<_> = members.filter_map(|key| Some((key, self.member_value(key, measure)?))).collect();
                for (key, value) in values {
                    self.drive(Slot { key: Some(key), ..slot }, now, Some(value), effects);
                }
                continue;
            }
            // Members that no sample has told of yet would make a minimum fire for nothing.
            let told_of = is_empty || sums.told_of > 0;
            let value = match measure {
                Measure::Memory => told_of.then_some(sums.rss_bytes as f64),
                Measure::Threads => told_of.then_some(sums.threads as f64),
                // A lower limit proves that it is too much, or enough, and nothing else.
                _ => rates
                    .and_then(|rates| rates.get(measure))
                    .filter(|value| !partly_known || judged.rule.breached(*value) == (judged.spec.side == Side::Max)),
            };
            if let Some(value) = value {
                self.drive(slot, now, Some(value), effects);
            }
        }
    }

    /// Held against the long way round.
    #[cfg(test)]
    pub(super) fn sums_are_those_of_members(&self) -> bool {
        self.groups.iter().all(|group| {
            let mut sums = Sums::default();
            group.members.iter().filter_map(|key| self.table.beside(key)).for_each(|track| sums.add(track.share));
            let shares_are_right = group.members.iter().all(|key| {
                let Some((process, track)) = self.table.both(key) else { return false };
                let rss_bytes = process.usage.at.map(|_| process.usage.rss_bytes);
                track.share.map(|share| share.rss_bytes) == rss_bytes
            });
            sums == group.sums && shares_are_right
        })
    }

    /// A living member's present value of a sampled measure.
    pub(super) fn member_value(&self, key: ProcessKey, measure: Measure) -> Option<f64> {
        let (process, track) = self.table.both(key)?;
        // Of whom the last sample did not tell has used nothing.
        let told_of = track.used_until == Some(self.sampled_at);
        let rates = if told_of { track.rates } else { Rates::default() };
        if told_of && track.rates_unknown && rates.get(measure).is_some() {
            return None;
        }
        value_of(process, &rates, measure)
    }

    /// Sampling goes on while a group with sampled bounds has members, and until its emptiness has been judged.
    pub(super) fn decide_sampling(&mut self, now: KTime, effects: &mut Vec<Effect>) {
        if !std::mem::take(&mut self.stirred.sampling) {
            return;
        }
        let is_active = |group: &GroupState| !group.members.is_empty() || !group.settled;
        let wanted = self.index.sampled().iter().filter_map(|group| self.groups.get(*group)).any(is_active);
        if wanted != self.interval.is_some() {
            self.interval = wanted.then_some(now);
            effects.push(Effect::Sampling(wanted));
        }
    }
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
