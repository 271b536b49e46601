//! What must hold of a job's runs: each demand with its name, its state machine, and one more machine for each run
//! where runs are judged by themselves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::group::REPEAT_MIN;
use crate::engine::held::Held;
use crate::engine::seen::SeenBound;
use crate::event::Severity;
use crate::policy::alarms::bound_names;
use crate::policy::bound::Rule;
use crate::policy::spec::{Bound, Job, Limit, Measure, Overlap, Side, Success};
use crate::policy::window::Window;
use crate::record::ProcessKey;
use crate::time::KTime;

/// One demand.
#[derive(Clone, Debug)]
pub(super) struct Alarm {
    pub(super) demand: Demand,
    /// `backup.runs.min`, `backup.success`.
    pub(super) name: Arc<str>,
    pub(super) declared: Arc<str>,
    /// For the job as a whole.
    pub(super) held: Held,
    /// For each run, of a demand on runs that go on.
    pub(super) each: BTreeMap<ProcessKey, Held>,
    /// Of runs counted within a time.
    pub(super) window: Option<Window>,
}

/// What is demanded.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Demand {
    /// A bound on `runs` or `duration`.
    Bound(Bound),
    /// Runs end well.
    Success(Success),
    /// One run at a time.
    Alone,
}

/// When a demand is held against what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Runs that started in time, at the end of that time.
    InTime,
    /// Runs for a scheduled time, as they start.
    PerTime,
    /// Runs within a window.
    Within,
    /// How long a run has been going on.
    Longest,
    /// How long a run took, at its end.
    Shortest,
    /// Bad ends in a row.
    Success,
    /// Runs that go on.
    Alone,
}

impl Alarm {
    /// All demands of a job: its bounds in the order of the file, then `success` and `overlap`.
    pub(super) fn all_of(job: &Job, began: KTime) -> Vec<Self> {
        let names = bound_names(&job.name, job.bounds.iter());
        let bounds = job.bounds.iter().zip(names).map(|(bound, name)| (Demand::Bound(bound.clone()), name));
        let success = (Demand::Success(job.success.clone()), format!("{}.success", job.name).into());
        let alone = (job.overlap == Overlap::Forbid).then(|| (Demand::Alone, format!("{}.overlap", job.name).into()));
        let demands = bounds.chain([success]).chain(alone);
        let repeat = job.response.repeat.map(|repeat| repeat.max(REPEAT_MIN));
        demands.map(|(demand, name)| Self::new(job, demand, name, repeat, began)).collect()
    }

    fn new(job: &Job, demand: Demand, name: Arc<str>, repeat: Option<Duration>, began: KTime) -> Self {
        let declared = match &demand {
            Demand::Bound(bound) => &bound.declared,
            Demand::Success(_) | Demand::Alone => &job.declared,
        };
        let window = match &demand {
            Demand::Bound(bound) if bound.measure == Measure::Runs && job.schedule.is_none() => {
                Some(Window::new(bound.within, began))
            }
            _ => None,
        };
        let held = Held::new(demand.rule(), repeat);
        Self { name, declared: Arc::clone(declared), demand, held, each: BTreeMap::new(), window }
    }

    pub(super) fn kind(&self) -> Kind {
        match &self.demand {
            Demand::Success(_) => Kind::Success,
            Demand::Alone => Kind::Alone,
            Demand::Bound(bound) => match (bound.measure, bound.side) {
                (Measure::Duration, Side::Max) => Kind::Longest,
                (Measure::Duration, Side::Min) => Kind::Shortest,
                _ if self.window.is_some() => Kind::Within,
                (_, Side::Min) => Kind::InTime,
                (_, Side::Max) => Kind::PerTime,
            },
        }
    }

    pub(super) fn severity(&self) -> Severity {
        match &self.demand {
            Demand::Bound(bound) => bound.severity,
            Demand::Success(success) => success.severity,
            Demand::Alone => Severity::Warning,
        }
    }

    pub(super) const fn measure(&self) -> &'static str {
        match &self.demand {
            Demand::Bound(bound) => bound.measure.as_str(),
            Demand::Success(_) => "success",
            Demand::Alone => "overlap",
        }
    }

    /// `min` or `max`, of a bound.
    pub(super) const fn side(&self) -> Option<&'static str> {
        match &self.demand {
            Demand::Bound(bound) => Some(bound.side.as_str()),
            Demand::Success(_) | Demand::Alone => None,
        }
    }

    /// The machine of a run; it is made when it is first asked for.
    pub(super) fn of_run(&mut self, root: ProcessKey) -> &mut Held {
        let fresh = self.held.anew();
        self.each.entry(root).or_insert(fresh)
    }

    /// When a run that goes on is in breach.
    pub(super) fn too_long_at(&self, start: KTime) -> KTime {
        /// Its very moment is still healthy.
        const STEP: Duration = Duration::from_micros(1);
        let limit = Duration::try_from_secs_f64(self.held.rule().limit.max(0.0)).unwrap_or(Duration::MAX);
        start.after(limit).after(STEP)
    }

    /// What was seen of a bound: runs that have ended, and of those that go on the ones that are too long already.
    pub(super) fn seen(&self) -> Option<SeenBound> {
        let Demand::Bound(bound) = &self.demand else { return None };
        let mut seen = SeenBound::of(&self.name, bound, &self.held);
        self.each.values().for_each(|held| seen.extent.absorb(held.extent(), bound.side));
        Some(seen)
    }

    /// Takes over where an alarm that demanded the same stands.
    pub(super) fn inherit(&mut self, old: &mut Self) {
        let (rule, repeat) = (*self.held.rule(), self.held.repeat());
        self.held = old.held;
        self.held.set_rule(rule, repeat);
        self.each = std::mem::take(&mut old.each);
        self.each.values_mut().for_each(|held| held.set_rule(rule, repeat));
        if let (Some(new), Some(old)) = (self.window.as_mut(), old.window.as_mut()) {
            std::mem::swap(new, old);
        }
    }
}

impl Demand {
    fn rule(&self) -> Rule {
        let value = |limit: Limit| match limit {
            Limit::Absolute(value) | Limit::HostShare(value) => value,
        };
        match self {
            Self::Bound(bound) => {
                let limit = value(bound.limit);
                let clear = bound.clear.map_or(limit, value);
                Rule { side: bound.side, limit, clear, hold: bound.hold, keep_firing: bound.keep_firing }
            }
            Self::Success(_) => at_most(0.0),
            Self::Alone => at_most(1.0),
        }
    }

    /// Where it was declared does not matter.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Bound(a), Self::Bound(b)) => crate::engine::reload::says_the_same(a, b),
            _ => self == other,
        }
    }
}

fn at_most(limit: f64) -> Rule {
    Rule { side: Side::Max, limit, clear: limit, hold: Duration::ZERO, keep_firing: Duration::ZERO }
}
