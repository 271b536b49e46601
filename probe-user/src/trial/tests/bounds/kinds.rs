//! The measures: how a bound on each is written, what makes its value, and when that is seen.

mod all;

pub(super) use self::all::KINDS;
use super::oracle::Seen;
use super::*;

/// How a value comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    /// It stands as it is, and is seen as it changes.
    AtOnce,
    /// It stands as it is, and is seen each second.
    Sampled,
    /// It flows, and what has flowed in a second is seen at its end: the first time at the end of this second.
    Flow(u64),
    /// It happens, and is counted within a window.
    Counted,
}

/// A measure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    /// The key in a policy.
    pub(super) measure: &'static str,
    /// The policy around BOUND.
    policy: &'static str,
    /// The alarm's name without its side, and its instance.
    set: &'static str,
    /// How a limit is written.
    limit: fn(u32) -> String,
    /// What takes the value from one to another; of something counted, what makes it happen so often more.
    steps: fn(u32, u32, u32) -> Vec<Happening>,
    pub(super) nature: Nature,
    /// Of these processes, which can be judged one by one; else there is one thing only.
    pub(super) processes: bool,
    /// The lowest value that there is.
    pub(super) least: u32,
    /// It knows `for`, `keep_firing_for` and `clear_*`.
    pub(super) lasts: bool,
}

/// What a policy says beside the limit.
#[derive(Clone, Debug, Default)]
pub(super) struct Conditions {
    pub(super) clear: Option<u32>,
    pub(super) hold: Nanos,
    pub(super) keep: Nanos,
    pub(super) within: Nanos,
    pub(super) per_process: bool,
}

impl Kind {
    pub(super) fn alarm(&self, is_min: bool) -> String {
        format!("{}.{}.{}", self.set, self.measure, side(is_min))
    }

    /// The policy with a bound.
    pub(super) fn policy(&self, is_min: bool, limit: u32, conditions: &Conditions) -> String {
        let mut bound = format!("{}: {}", side(is_min), (self.limit)(limit));
        if let Some(clear) = conditions.clear {
            let _ = write!(bound, ", {}: {}", if is_min { "clear_above" } else { "clear_below" }, (self.limit)(clear));
        }
        let lengths = [("for", conditions.hold), ("keep_firing_for", conditions.keep), ("within", conditions.within)];
        for (key, length) in lengths.into_iter().filter(|(_, length)| *length > 0) {
            let _ = write!(bound, ", {key}: {}", words(length));
        }
        if conditions.per_process {
            bound.push_str(", per: process");
        }
        if self.policy.contains(", BOUND") {
            return self.policy.replace("BOUND", &bound);
        }
        self.policy.replace("BOUND", &format!("{{ {bound} }}"))
    }

    /// What takes a value from one to another.
    pub(super) fn steps(&self, process: u32, from: u32, to: u32) -> Vec<Happening> {
        (self.steps)(process, from, to)
    }

    /// All values that are seen until `end`, doubled: a flow may come to halves. `history`: the value from each moment on,
    /// in half seconds; of something counted, that it happened so often.
    pub(super) fn seen(&self, history: &[(Nanos, u32)], within: Nanos, is_min: bool, end: Nanos) -> Vec<Seen> {
        let stands = |at: Nanos| {
            let last = history.iter().rev().find(|(since, _)| *since <= at);
            i64::from(last.map_or(0, |(_, value)| *value))
        };
        let seconds = |first: u64| (first..=end / SECOND).map(|second| second * SECOND);
        match self.nature {
            Nature::AtOnce => {
                let mut moments: Vec<Nanos> = history.iter().map(|(at, _)| *at).collect();
                moments.dedup();
                moments.into_iter().map(|at| (at, 2 * stands(at))).collect()
            }
            Nature::Sampled => seconds(1).map(|at| (at, 2 * stands(at))).collect(),
            Nature::Flow(first) => seconds(first).map(|at| (at, stands(at - SECOND) + stands(at - TICK))).collect(),
            Nature::Counted => {
                let count = |now: Nanos, with_now: bool| -> i64 {
                    let inside = |at: Nanos| at + within > now && (at < now || (with_now && at == now));
                    history.iter().filter(|(at, _)| inside(*at)).map(|(_, times)| 2 * i64::from(*times)).sum()
                };
                // Too little proves something once a whole window was watched.
                let first = if is_min { within } else { 0 };
                let mut moments: Vec<Nanos> = history.iter().flat_map(|(at, _)| [*at, at + within]).collect();
                moments.extend([first]);
                moments.retain(|at| *at >= first && *at <= end);
                moments.sort_unstable();
                moments.dedup();
                // What leaves the window does so before anything new comes.
                moments.into_iter().flat_map(|at| [(at, count(at, false)), (at, count(at, true))]).collect()
            }
        }
    }
}

pub(super) const fn side(is_min: bool) -> &'static str {
    if is_min { "min" } else { "max" }
}
