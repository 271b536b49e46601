//! One group as it stands: its members, what was counted of it, and the state of each of its bounds.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::departed::Departed;
use super::evidence::Note;
use super::measures::{Rates, Sums};
use super::members::Members;
use super::timers::Slot;
use super::{Engine, Watch};
use crate::model::Totals;
use crate::policy::alarms::bound_names;
use crate::policy::bound::{Machine, Rule};
use crate::policy::spec::{Bound, CgroupPattern, Group, HostFacts, Measure, PathGlob, Per, Response, Selector, Side};
use crate::policy::window::Window;
use crate::record::ProcessKey;
use crate::time::KTime;

/// Alarms repeated faster than this would drown the others.
pub(super) const REPEAT_MIN: Duration = Duration::from_secs(1);

/// One group.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, none excludes another")]
#[derive(Debug)]
pub(super) struct GroupState {
    pub(super) spec: Arc<Group>,
    /// It holds the runs of this job, and is not shown as a group.
    pub(super) job: Option<usize>,
    pub(super) response: Arc<Response>,
    /// As declared, but blind to the difference between kernel threads and others.
    pub(super) except: Option<Selector>,
    /// Those alive.
    pub(super) members: Members,
    pub(super) bounds: Vec<BoundState>,
    /// One for each counted measure and length.
    pub(super) windows: Vec<Counted>,
    /// Used in the present interval by members alive.
    pub(super) used: Totals,
    /// Used in the present interval by members that have ended.
    pub(super) ended: Totals,
    /// What some member used in the present interval is not known: the sums are lower limits.
    pub(super) partly_known: bool,
    /// What the last samples say of members alive.
    pub(super) sums: Sums,
    /// Used in the last interval that was judged.
    pub(super) rates: Option<Rates>,
    /// The last members that ended or left, oldest first.
    pub(super) departed: Departed,
    /// The last members that started, oldest first.
    pub(super) arrived: VecDeque<Note>,
    /// The last members that the OOM killer chose, oldest first.
    pub(super) victims: VecDeque<Note>,
    /// What is watched of each member.
    pub(super) watch: Watch,
    /// It has no members, and nothing of what they used is left to be judged.
    pub(super) settled: bool,
    /// Something counted has changed in this step.
    pub(super) dirty: bool,
    /// It is among those that may have changed since somebody asked for their measures.
    pub(super) moved: bool,
    /// It is among those that have something in a window.
    pub(super) falling: bool,
    /// What some member used in the last interval that was judged is not known: the rates are lower limits.
    pub(super) rates_are_low: bool,
    /// Some bound judges each member by itself.
    pub(super) judges_each: bool,
    /// Some bound has to be looked at whenever a member comes or goes: it counts members, or lacks are what it is about,
    /// which time alone brings nearer. What has only a maximum is looked at when that is counted.
    pub(super) judges_each_move: bool,
}

/// What happened within a window.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) measure: Measure,
    pub(super) window: Window,
}

/// One bound of a group.
#[derive(Debug)]
pub(super) struct BoundState {
    pub(super) spec: Bound,
    /// `group.measure.side`, with a number from 1 where several share that.
    pub(super) name: Arc<str>,
    pub(super) rule: Rule,
    /// Index among the group's windows.
    pub(super) window: Option<usize>,
    /// For the group as a whole.
    pub(super) whole: Judge,
    /// For each process, of a bound that is judged per process.
    pub(super) each: BTreeMap<ProcessKey, Judge>,
    /// How many breaches healed before they fired.
    pub(super) dips: u64,
    /// At a reload: the state of a bound that said the same has come here.
    pub(super) taken_over: bool,
}

/// A state machine and its moments.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Judge {
    pub(super) machine: Machine,
    /// Its moment among the timers.
    pub(super) armed: Option<KTime>,
    /// When the alarm is told again.
    pub(super) repeat_at: Option<KTime>,
}

impl GroupState {
    /// A group of which nothing is known yet, watched from `began` on.
    pub(super) fn new(spec: &Group, host: &HostFacts, began: KTime) -> Self {
        let mut windows: Vec<Counted> = Vec::new();
        let mut bounds = Vec::new();
        for (bound, name) in spec.bounds.iter().zip(bound_names(&spec.name, spec.bounds.iter())) {
            let window = bound.measure.is_windowed().then(|| {
                let same =
                    |counted: &Counted| counted.measure == bound.measure && counted.window.within() == bound.within;
                windows.iter().position(same).unwrap_or_else(|| {
                    windows.push(Counted { measure: bound.measure, window: Window::new(bound.within, began) });
                    windows.len() - 1
                })
            });
            bounds.push(BoundState {
                name,
                rule: Rule::of(bound, host),
                spec: bound.clone(),
                window,
                whole: Judge::default(),
                each: BTreeMap::new(),
                dips: 0,
                taken_over: false,
            });
        }
        let departed = Departed::new(!bounds.iter().any(BoundState::tells_of_all_departures));
        let except =
            spec.except.clone().map(|except| Selector { kernel_threads: spec.select.kernel_threads, ..except });
        Self {
            spec: Arc::new(spec.clone()),
            job: None,
            response: Arc::new(spec.response.clone()),
            except,
            members: Members::default(),
            judges_each: bounds.iter().any(BoundState::is_per_process),
            judges_each_move: bounds.iter().any(BoundState::is_about_each_move),
            bounds,
            windows,
            used: Totals::default(),
            ended: Totals::default(),
            partly_known: false,
            sums: Sums::default(),
            rates: None,
            departed,
            arrived: VecDeque::new(),
            victims: VecDeque::new(),
            watch: watch_of(spec),
            settled: true,
            dirty: false,
            moved: false,
            falling: false,
            rates_are_low: false,
        }
    }

    /// Counting begins here.
    pub(super) fn begin(&mut self, at: KTime) {
        for counted in &mut self.windows {
            counted.window.begin(at);
        }
    }

    /// The limits on another host, or on this one with other CPUs.
    pub(super) fn resolve_limits(&mut self, host: &HostFacts) {
        for bound in &mut self.bounds {
            bound.rule = Rule::of(&bound.spec, host);
        }
    }

    /// Counts one occurrence in every window of the measure; false when there is none.
    pub(super) fn count(&mut self, measure: Measure, at: KTime) -> bool {
        let mut counts = false;
        for counted in self.windows.iter_mut().filter(|counted| counted.measure == measure) {
            counted.window.add(at);
            counts = true;
        }
        counts
    }

    /// When a firing alarm is told again; never more often than each second.
    pub(super) fn repeat(&self) -> Option<Duration> {
        self.spec.response.repeat.map(|repeat| repeat.max(REPEAT_MIN))
    }

    /// Some bound is held against samples.
    pub(super) fn is_sampled(&self) -> bool {
        self.watch.usage
    }
}

impl BoundState {
    /// Each process is judged by itself. Counting one process makes no sense, so such bounds are the group's.
    pub(super) fn is_per_process(&self) -> bool {
        let measure = self.spec.measure;
        measure == Measure::Age || (measure.is_sampled() && self.spec.per == Per::Process)
    }

    /// Its evidence names members that ended well.
    fn tells_of_all_departures(&self) -> bool {
        let measure = self.spec.measure;
        matches!(measure, Measure::Starts | Measure::Exits)
            || (measure == Measure::Count && self.spec.side == Side::Min)
    }

    fn is_about_each_move(&self) -> bool {
        self.spec.measure == Measure::Count || (self.window.is_some() && self.spec.side == Side::Min)
    }

    /// The machine of the group or of one process, if it is there.
    pub(super) fn judge(&self, key: Option<ProcessKey>) -> Option<&Judge> {
        key.map_or(Some(&self.whole), |key| self.each.get(&key))
    }

    /// The same, to change it.
    pub(super) fn judge_mut(&mut self, key: Option<ProcessKey>) -> Option<&mut Judge> {
        match key {
            None => Some(&mut self.whole),
            Some(key) => self.each.get_mut(&key),
        }
    }
}

impl Engine {
    /// The bound of a slot; `None` only for a slot that outlived its policy.
    pub(super) fn bound(&self, slot: Slot) -> Option<(&GroupState, &BoundState)> {
        let group = self.groups.get(slot.group)?;
        Some((group, group.bounds.get(slot.bound)?))
    }
}

/// Members' exits are told at once, with who killed them, but for groups that take in everything and have no bound that
/// an exit could breach: waking up for every exit of the host would cost more than it tells. (An OOM kill wakes by
/// itself.)
fn watch_of(group: &Group) -> Watch {
    let waits = group.bounds.iter().any(|bound| match bound.measure {
        Measure::Count => bound.side == Side::Min,
        measure => matches!(measure, Measure::Exits | Measure::Failures),
    });
    Watch {
        exit: waits || (group.events && !takes_in_everything(&group.select)),
        usage: group.bounds.iter().any(|bound| bound.measure.is_sampled()),
    }
}

/// Nothing in it names a program, a unit or a parent.
fn takes_in_everything(select: &Selector) -> bool {
    let is_wild = |pattern: &str| pattern.chars().all(|c| matches!(c, '*' | '/'));
    select.args.is_empty()
        && select.parent.is_empty()
        && select.exe.iter().all(|exe: &PathGlob| is_wild(exe.glob.as_str()))
        && select.comm.iter().all(|comm| is_wild(comm.as_str()))
        && select.cgroup.iter().all(|cgroup| matches!(cgroup, CgroupPattern::Path(_)))
}
