//! Runs of a job for each scheduled time: of each minute, at most so long after it.

use proptest::prelude::*;

use super::kinds::side;
use super::oracle::{Seen, Words};
use super::*;

const MINUTE: Nanos = 60 * SECOND;
const MINUTES: u64 = 5;
/// What starts so little before its time was started for it.
const EARLY: Nanos = SECOND;
/// The very end of `start_within` is still in time.
const PAST: Nanos = 1000;

#[derive(Clone, Debug)]
struct Scheduled {
    is_min: bool,
    limit: u32,
    start_within: Nanos,
    grace: Nanos,
    /// When each run starts.
    runs: Vec<Nanos>,
}

impl Scheduled {
    fn scene(&self) -> Scene {
        // Without a bound of its own a scheduled job has to run once.
        let other = if self.is_min { "" } else { "min: 0, " };
        let policy = format!(
            "jobs: {{ g: {{ match: {{ comm: x }}, schedule: '* * * * *', timezone: UTC, start_within: {}, runs: {{ {other}{}: {} }} }} }}",
            words(self.start_within),
            side(self.is_min),
            self.limit
        );
        let steps = self.runs.iter().zip(100..).map(|(at, pid)| (*at, start(pid, "x")));
        Scene { policy, steps: steps.collect(), grace: self.grace, end: MINUTES * MINUTE + MINUTE / 2 }
    }

    /// What the bound sees of each scheduled time, from the first one to come on.
    fn seen(&self) -> Vec<Seen> {
        let mut seen: Vec<Seen> = Vec::new();
        // The time that is under way at the beginning counts what runs, but nobody can say what ran before.
        for minute in 0..=MINUTES {
            let time = minute * MINUTE;
            let (begins, next) = (time.saturating_sub(EARLY), time + MINUTE - EARLY);
            let due = (time + self.start_within + PAST).min(next);
            let own: Vec<Nanos> = self.runs.iter().copied().filter(|at| (begins..next).contains(at)).collect();
            for (earlier, at) in own.iter().enumerate() {
                let runs = i64::try_from(earlier + 1).unwrap();
                // Enough is enough, even if late; too few may still become enough.
                if !self.is_min || runs >= i64::from(self.limit) {
                    seen.push((*at, runs));
                }
            }
            // Times are judged that lie behind the start and its grace.
            if self.is_min && minute > 0 && begins >= self.grace {
                let in_time = own.iter().filter(|at| **at <= time + self.start_within).count();
                seen.push((due, i64::try_from(in_time).unwrap()));
            } else if !self.is_min && minute > 0 {
                seen.push((begins, 0));
            }
        }
        seen.sort_by_key(|(at, value)| (*at, *value != 0));
        seen
    }

    fn turns(&self) -> Vec<Turn> {
        let limit = i64::from(self.limit);
        let words = Words { is_min: self.is_min, limit, clear: limit, hold: 0, keep: 0, gate: self.grace };
        let name = format!("g.runs.{}", side(self.is_min));
        let turns = words.turns(&self.seen(), None, Nanos::MAX);
        turns.into_iter().map(|(at, on)| (at, (name.clone(), None), on)).collect()
    }

    #[track_caller]
    fn check(&self, expected: &[(Nanos, bool)]) {
        let name = format!("g.runs.{}", side(self.is_min));
        let turns: Vec<Turn> = expected.iter().map(|(at, on)| (*at, (name.clone(), None), *on)).collect();
        if let Err(why) = self.scene().must_be(&turns) {
            panic!("{self:?}: {why}");
        }
        assert_eq!(self.turns(), turns, "what the oracle says");
    }
}

fn scheduled() -> impl Strategy<Value = Scheduled> {
    // Half seconds, from the second one on.
    let runs = proptest::collection::vec(1..MINUTES * 120, 0..16);
    (any::<bool>(), 0..4_u32, 1..=120_u64, 0..140_u64, runs).prop_map(
        |(is_min, limit, start_within, grace, mut runs)| {
            runs.sort_unstable();
            Scheduled {
                is_min,
                limit: if is_min { limit.max(1) } else { limit },
                start_within: start_within * TICK,
                grace: grace * TICK,
                runs: runs.into_iter().map(|tick| tick * TICK).collect(),
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]
    #[test]
    fn runs_of_scheduled_times_are_judged_as_the_oracle_says(scheduled in scheduled()) {
        let scene = scheduled.scene();
        let played = scene.must_be(&scheduled.turns());
        prop_assert!(played.is_ok(), "{}\n{}", scene.policy, played.unwrap_err());
    }
}

#[test]
fn the_moments_of_a_scheduled_time_are_exact() {
    let (min, max) = (true, false);
    let check = |is_min, limit: u32, runs: &[Nanos], expected: &[(Nanos, bool)]| {
        let (start_within, grace) = (10 * SECOND, 0);
        // From the third minute on all is as it should be, whichever bound it is.
        let well =
            (3..=MINUTES).flat_map(|minute| (0..limit).map(move |run| minute * MINUTE + u64::from(run) * SECOND));
        let runs = runs.iter().copied().chain(well).collect();
        Scheduled { is_min, limit, start_within, grace, runs }.check(expected);
    };
    let due = |minute: u64| minute * MINUTE + 10 * SECOND + PAST;
    let both = [MINUTE, 2 * MINUTE];
    check(min, 1, &both, &[]);
    check(min, 1, &both[1..], &[(due(1), true), (2 * MINUTE, false)]);
    // Early by a second at most, and late by `start_within` at most.
    check(min, 1, &[MINUTE - EARLY, 2 * MINUTE + 10 * SECOND], &[]);
    check(min, 1, &[MINUTE - EARLY - 1, 2 * MINUTE], &[(due(1), true), (2 * MINUTE, false)]);
    // Late, but before that is told: the run counts for nothing until the next time.
    check(min, 1, &[MINUTE + 10 * SECOND + 1, 2 * MINUTE], &[(due(1), true), (2 * MINUTE, false)]);
    // Later still it ends the alarm: better late than never.
    check(min, 1, &[MINUTE + 11 * SECOND, 2 * MINUTE], &[(due(1), true), (MINUTE + 11 * SECOND, false)]);
    check(min, 2, &[MINUTE, 2 * MINUTE, 2 * MINUTE + 1], &[(due(1), true), (2 * MINUTE + 1, false)]);
    check(max, 1, &both, &[]);
    check(max, 1, &[MINUTE, MINUTE + 1, 2 * MINUTE], &[(MINUTE + 1, true), (2 * MINUTE - EARLY, false)]);
    check(max, 1, &[MINUTE, 2 * MINUTE - EARLY - 1], &[(2 * MINUTE - EARLY - 1, true), (2 * MINUTE - EARLY, false)]);
    check(max, 1, &[MINUTE, 2 * MINUTE - EARLY], &[]);
}
