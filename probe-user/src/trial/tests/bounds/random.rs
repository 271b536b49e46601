//! Random histories of every measure, held against the oracle.

use std::cell::Cell;
use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};

use super::kinds::{Conditions, KINDS, Kind, Nature, side};
use super::oracle::{Seen, Words};
use super::*;
use crate::policy::spec::Measure;

/// Of each measure and side.
const CASES: u32 = 24;
/// Half seconds of a history.
const TICKS: usize = 32;
/// The processes of measures that are sampled; the second one may end.
const PROCESSES: [u32; 2] = [50, 51];

#[derive(Clone, Debug)]
struct Case {
    kind: Kind,
    is_min: bool,
    limit: u32,
    conditions: Conditions,
    grace: Nanos,
    /// Of each half second: the new value of each process, or how often it happens.
    values: Vec<[Option<u32>; 2]>,
    /// When the second process ends.
    ends: Option<usize>,
}

fn case(kind: Kind, is_min: bool) -> impl Strategy<Value = Case> {
    let lengths = (0..5_u64, 0..5_u64, 1..9_u64, 0..6_u64);
    // Most of the time nothing changes.
    let value = || (0..16_u32).prop_map(|value| (value < 7).then_some(value));
    let values = proptest::collection::vec([value(), value()], TICKS);
    let words = (u32::from(is_min)..5, proptest::option::of(0..3_u32), any::<bool>());
    (words, lengths, values, proptest::option::of(4..TICKS)).prop_map(
        move |((limit, clear, per_process), (hold, keep, within, grace), values, ends)| {
            let clear = clear.map(|far| if is_min { limit + far } else { limit.saturating_sub(far) });
            let counted = kind.nature == Nature::Counted;
            let lasting = |ticks: u64| if kind.lasts { ticks * TICK } else { 0 };
            let conditions = Conditions {
                clear: clear.filter(|_| kind.lasts),
                hold: lasting(hold),
                keep: lasting(keep),
                within: if counted { within * TICK } else { 0 },
                per_process: per_process && kind.processes,
            };
            // Nothing is counted of what was there before.
            let skip = usize::from(counted);
            let fit = |value: u32| if counted { value.saturating_sub(3) } else { value.max(kind.least) };
            let values = values.into_iter().enumerate().map(|(tick, values)| {
                // What stands has to be said at the beginning.
                let first = (tick == 0).then_some(0);
                values.map(|value| value.or(first).filter(|_| tick >= skip).map(fit))
            });
            let ends = ends.filter(|_| kind.processes);
            Case { kind, is_min, limit, conditions, grace: grace * TICK, values: values.collect(), ends }
        },
    )
}

/// Long enough for whatever is pending to fire and to end.
fn end() -> Nanos {
    at(TICKS) + 6 * SECOND
}

fn at(tick: usize) -> Nanos {
    u64::try_from(tick).unwrap() * TICK
}

impl Case {
    /// What one process, or the one thing there is, stands at from when on.
    fn history(&self, process: usize) -> Vec<(Nanos, u32)> {
        let ends = self.ends.filter(|_| process == 1);
        let first = if process == 0 || self.kind.processes { self.kind.least } else { 0 };
        let mut history = if self.kind.nature == Nature::Counted { Vec::new() } else { vec![(0, first)] };
        let ticks = self.values.iter().enumerate().take_while(|(tick, _)| ends.is_none_or(|ends| *tick < ends));
        history.extend(ticks.filter_map(|(tick, values)| Some((at(tick), values[process]?))));
        history.extend(ends.map(|ends| (at(ends), 0)));
        history
    }

    fn scene(&self) -> Scene {
        let mut steps = Vec::new();
        if self.kind.processes {
            steps.extend(PROCESSES.map(|pid| (0, start(pid, "y"))));
        }
        let mut stands = [self.kind.least; 2];
        for (tick, values) in self.values.iter().enumerate() {
            if self.ends == Some(tick) {
                steps.push((at(tick), exit(PROCESSES[1], 0)));
            }
            for (process, value) in
                values.iter().enumerate().filter(|(process, _)| *process == 0 || self.kind.processes)
            {
                let Some(value) = *value else { continue };
                if process == 1 && self.ends.is_some_and(|ends| tick >= ends) {
                    continue;
                }
                let to = if self.kind.nature == Nature::Counted { stands[process] + value } else { value };
                let what = self.kind.steps(PROCESSES[process], stands[process], to);
                steps.extend(what.into_iter().map(|what| (at(tick), what)));
                stands[process] = to;
            }
        }
        let policy = self.kind.policy(self.is_min, self.limit, &self.conditions);
        Scene { policy, steps, grace: self.grace, end: end() }
    }

    fn turns(&self) -> Vec<Turn> {
        let clear = self.conditions.clear.unwrap_or(self.limit);
        let words = Words {
            is_min: self.is_min,
            limit: 2 * i64::from(self.limit),
            clear: 2 * i64::from(clear),
            hold: self.conditions.hold,
            keep: self.conditions.keep,
            gate: self.grace,
        };
        let name = self.kind.alarm(self.is_min);
        let seen = |history: &[(Nanos, u32)]| self.kind.seen(history, self.conditions.within, self.is_min, end());
        let of = |seen: &[Seen], gone: Option<Nanos>, instance: Option<u32>| -> Vec<Turn> {
            // Of who was there before the daemon, the first sample only says where it stands.
            let unknown = self.kind.nature == Nature::Flow(1) && seen.first().is_some_and(|(_, value)| *value > 0);
            let turns = words.turns(&seen[usize::from(unknown)..], gone, end());
            turns.into_iter().map(|(at, on)| (at, (name.clone(), instance), on)).collect()
        };
        if self.conditions.per_process {
            let gone = self.ends.map(at);
            let second: Vec<_> =
                seen(&self.history(1)).into_iter().filter(|(at, _)| gone.is_none_or(|gone| *at < gone)).collect();
            let mut turns = of(&seen(&self.history(0)), None, Some(PROCESSES[0]));
            turns.extend(of(&second, gone, Some(PROCESSES[1])));
            turns.sort_by_key(|turn| turn.0);
            return turns;
        }
        let mut values = seen(&self.history(0));
        if self.kind.processes {
            for (value, other) in values.iter_mut().zip(seen(&self.history(1))) {
                value.1 += other.1;
            }
        }
        of(&values, None, None)
    }
}

#[test]
fn every_measure_is_judged_as_the_oracle_says() {
    for kind in KINDS {
        for is_min in [false, true] {
            let fired = Cell::new(0_u32);
            let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) };
            let played = TestRunner::new(config).run(&case(*kind, is_min), |case| {
                let turns = case.turns();
                fired.set(fired.get() + u32::from(!turns.is_empty()));
                let scene = case.scene();
                scene.must_be(&turns).map_err(|why| TestCaseError::fail(format!("{}\n{turns:?}\n{why}", scene.policy)))
            });
            let name = kind.alarm(is_min);
            if let Err(error) = played {
                panic!("{name}: {error}");
            }
            assert!(fired.get() > 0, "{name} has never fired: these histories show nothing");
        }
    }
}

/// Those that come and go with a process or a run are in `lives` and `scheduled`.
#[test]
fn every_measure_is_there() {
    let there: BTreeSet<String> =
        KINDS.iter().map(|kind| kind.alarm(true).replace(&format!(".{}", side(true)), "")).collect();
    let group = Measure::GROUP.iter().filter(|measure| **measure != Measure::Age);
    let others = [Measure::Lines, Measure::Runs];
    let of_sets = group.chain(&others).map(|measure| format!("g.{}", measure.as_str()));
    let of_host = Measure::HOST.iter().map(|measure| format!("host.{}", measure.as_str()));
    assert_eq!(there, of_sets.chain(of_host).collect());
}
