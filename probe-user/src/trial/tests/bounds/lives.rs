//! What is judged once in a life: the age of a process, the duration of a run.

use proptest::prelude::*;

use super::kinds::side;
use super::oracle::Words;
use super::*;

/// The very moment at which the limit is reached is still healthy.
const PAST: Nanos = 1000;
const TICKS: u64 = 40;

/// Processes from pid 100 on: when they start and when they end.
#[derive(Clone, Debug)]
struct Lives {
    what: &'static str,
    is_min: bool,
    limit: Nanos,
    hold: Nanos,
    grace: Nanos,
    all: Vec<(Nanos, Option<Nanos>)>,
}

const AGE: &str = "groups: { g: { match: { comm: x }, age: { BOUND } } }";
const DURATION: &str = "jobs: { g: { match: { comm: x }, duration: { BOUND } } }";

impl Lives {
    fn scene(&self) -> Scene {
        let mut bound = format!("{}: {}", side(self.is_min), words(self.limit));
        if self.hold > 0 {
            let _ = write!(bound, ", for: {}", words(self.hold));
        }
        let mut steps = Vec::new();
        for ((begins, ends), pid) in self.all.iter().zip(100..) {
            steps.push((*begins, start(pid, "x")));
            steps.extend(ends.map(|ends| (ends, exit(pid, 0))));
        }
        steps.sort_by_key(|(at, _)| *at);
        Scene { policy: self.what.replace("BOUND", &bound), steps, grace: self.grace, end: TICKS * TICK + 10 * SECOND }
    }

    fn turns(&self) -> Vec<Turn> {
        let is_age = self.what == AGE;
        let name = format!("g.{}.{}", if is_age { "age" } else { "duration" }, side(self.is_min));
        let mut turns: Vec<Turn> = Vec::new();
        let mut turn = |from: Nanos, to: Option<Nanos>, pid: Option<u32>| {
            if to.is_none_or(|to| from <= to) {
                turns.push((from, (name.clone(), pid), true));
                turns.extend(to.map(|to| (to, (name.clone(), pid), false)));
            }
        };
        for ((begins, ends), pid) in self.all.iter().zip(100..) {
            if !self.is_min {
                let too_long = begins + self.limit + PAST;
                // Who ends before, or at the very moment, never was in breach.
                if ends.is_none_or(|ends| ends > too_long) {
                    turn((too_long + self.hold).max(self.grace), *ends, Some(pid));
                }
            } else if let Some(ends) = ends.filter(|ends| is_age && ends - begins < self.limit && *ends >= self.grace) {
                // A process that has ended is no longer in breach.
                turn(ends, Some(ends), Some(pid));
            }
        }
        if self.is_min && !is_age {
            // The next run that is long enough ends the alarm.
            let mut ends: Vec<(Nanos, i64)> = self
                .all
                .iter()
                .filter_map(|(begins, ends)| Some(((*ends)?, i64::try_from((*ends)? - begins).unwrap())))
                .collect();
            ends.sort_by_key(|(at, _)| *at);
            let limit = i64::try_from(self.limit).unwrap();
            let words = Words { is_min: true, limit, clear: limit, hold: 0, keep: 0, gate: self.grace };
            let all = words.turns(&ends, None, Nanos::MAX);
            turns.extend(all.into_iter().map(|(at, on)| (at, (name.clone(), None), on)));
        }
        turns.sort_by_key(|turn| turn.0);
        turns
    }
}

fn lives() -> impl Strategy<Value = Lives> {
    let life = (0..TICKS, proptest::option::of(1..20_u64));
    let lives = proptest::collection::vec(life, 1..6);
    (any::<bool>(), any::<bool>(), 1..16_u64, 0..5_u64, 0..12_u64, lives).prop_map(
        |(is_age, is_min, limit, hold, grace, lives)| Lives {
            what: if is_age { AGE } else { DURATION },
            is_min,
            limit: limit * TICK,
            // A minimum is judged at the end of a life: nothing can last.
            hold: if is_age && !is_min { hold * TICK } else { 0 },
            grace: grace * TICK,
            all: lives
                .into_iter()
                .map(|(begins, lasts)| (begins * TICK, lasts.map(|lasts| (begins + lasts) * TICK)))
                .collect(),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(150) })]
    #[test]
    fn ages_and_durations_are_judged_as_the_oracle_says(lives in lives()) {
        let scene = lives.scene();
        let played = scene.must_be(&lives.turns());
        prop_assert!(played.is_ok(), "{}\n{}", scene.policy, played.unwrap_err());
    }
}

/// One life from second 5 on, of so many nanoseconds more or less than ten seconds; the turns are relative to its
/// beginning.
#[track_caller]
fn check(what: &'static str, is_min: bool, hold: u64, more: Option<i64>, expected: &[(Nanos, bool)]) {
    let begin = 5 * SECOND;
    let ends = more.map(|more| (begin + 10 * SECOND).checked_add_signed(more).unwrap());
    let lives = Lives { what, is_min, limit: 10 * SECOND, hold: hold * SECOND, grace: 0, all: vec![(begin, ends)] };
    let instance = if what == DURATION && is_min { None } else { Some(100) };
    let alarm = (format!("g.{}.{}", if what == AGE { "age" } else { "duration" }, side(is_min)), instance);
    let turns: Vec<Turn> = expected.iter().map(|(at, on)| (begin + at, alarm.clone(), *on)).collect();
    if let Err(why) = lives.scene().must_be(&turns) {
        panic!("{}, {more:?}: {why}", lives.scene().policy);
    }
    assert_eq!(lives.turns(), turns, "what the oracle says");
}

#[test]
fn the_moments_of_a_life_are_exact() {
    let ten = 10 * SECOND;
    for what in [AGE, DURATION] {
        check(what, false, 0, None, &[(ten + PAST, true)]);
        check(what, false, 0, Some(-1), &[]);
        check(what, false, 0, Some(0), &[]);
        check(what, false, 0, Some(2000), &[(ten + PAST, true), (ten + 2000, false)]);
        check(what, true, 0, None, &[]);
        check(what, true, 0, Some(0), &[]);
        check(what, true, 0, Some(1), &[]);
    }
    check(AGE, true, 0, Some(-1), &[(ten - 1, true), (ten - 1, false)]);
    check(DURATION, true, 0, Some(-1), &[(ten - 1, true)]);
    let due = ten + PAST + 3 * SECOND;
    check(AGE, false, 3, None, &[(due, true)]);
    check(AGE, false, 3, Some(3_000_000_999), &[]);
    check(AGE, false, 3, Some(3_000_001_000), &[(due, true), (due, false)]);
}
