use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

const S: Duration = Duration::from_secs(1);

fn rule(side: Side, limit: f64) -> Rule {
    Rule { side, limit, clear: limit, hold: Duration::ZERO, keep_firing: Duration::ZERO }
}

fn min(limit: f64) -> Rule {
    rule(Side::Min, limit)
}

fn max(limit: f64) -> Rule {
    rule(Side::Max, limit)
}

impl Rule {
    fn hold(self, secs: u32) -> Self {
        Self { hold: S * secs, ..self }
    }

    fn keep(self, secs: u32) -> Self {
        Self { keep_firing: S * secs, ..self }
    }

    fn clear(self, clear: f64) -> Self {
        Self { clear, ..self }
    }
}

/// `steps`: `second:value`, or `second` alone when only time passes. `gate`: the second before which nothing fires.
fn check_gated(rule: Rule, gate: u64, steps: &str, expected: &str) {
    let mut machine = Machine::default();
    let mut told = String::new();
    for step in steps.split_whitespace() {
        let (second, value) = step.split_once(':').map_or((step, None), |(second, value)| (second, Some(value)));
        let at = KTime::from_secs(second.parse().unwrap());
        let gate = KTime::from_secs(gate);
        let turns = match value {
            Some(value) => machine.step(at, value.parse().unwrap(), &rule, gate),
            None => [machine.advance(at, &rule, gate), None],
        };
        for turn in turns.into_iter().flatten() {
            let secs = |at: KTime| at.0 / 1_000_000_000;
            let _ = match turn {
                Turn::Fired { at, since, value } => write!(told, "fired@{}({},{value}) ", secs(at), secs(since)),
                Turn::Resolved { at, duration } => write!(told, "resolved@{}({}) ", secs(at), duration.as_secs()),
                Turn::DipHealed { at, lasted } => write!(told, "dip@{}({}) ", secs(at), lasted.as_secs()),
            };
        }
    }
    assert_eq!(told.trim_end(), expected, "{rule:?} gate {gate}: {steps}");
}

fn check(rule: Rule, steps: &str, expected: &str) {
    check_gated(rule, 0, steps, expected);
}

#[test]
fn limits_are_inclusive() {
    check(min(2.0), "0:2 1:3", "");
    check(min(2.0), "0:2 1:1.999", "fired@1(1,1.999)");
    check(max(2.0), "0:2 1:1", "");
    check(max(2.0), "0:2 1:2.001", "fired@1(1,2.001)");
    check(max(0.0), "0:0 1:1 2:0", "fired@1(1,1) resolved@2(1)");
}

#[test]
fn without_for_it_fires_and_resolves_on_the_value_itself() {
    check(min(1.0), "5:0", "fired@5(5,0)");
    check(min(1.0), "0:1 5:0 6:0 9:1", "fired@5(5,0) resolved@9(4)");
    check(max(1.0), "0:2 0:1 0:2", "fired@0(0,2) resolved@0(0) fired@0(0,2)");
}

#[test]
fn for_counts_from_the_beginning_of_the_breach() {
    check(min(2.0).hold(10), "0:2 5:1 14", "");
    check(min(2.0).hold(10), "0:2 5:1 15", "fired@15(5,1)");
    // Looked at late: fires when it was due, with the worst news known by then.
    check(min(2.0).hold(10), "0:2 5:1 60", "fired@15(5,1)");
    check(min(2.0).hold(10), "0:2 5:1 8:0 60", "fired@15(5,0)");
    // A new value after the deadline does not undo it.
    check(min(2.0).hold(10), "0:2 5:1 60:2", "fired@15(5,1) resolved@60(55)");
    check(max(2.0).hold(3), "0:3 3", "fired@3(0,3)");
}

#[test]
fn a_dip_that_heals_within_for_is_no_alarm() {
    check(min(2.0).hold(10), "0:2 5:1 14:2 60", "dip@14(9)");
    check(min(2.0).hold(10), "0:2 5:1 14:2 20:1 29:2", "dip@14(9) dip@29(9)");
    // Each dip counts anew.
    check(min(2.0).hold(10), "0:2 5:1 14:2 20:1 30", "dip@14(9) fired@30(20,1)");
    // At the deadline itself it has been held: the alarm is real, and over.
    check(min(2.0).hold(10), "0:2 5:1 15:2", "fired@15(5,1) resolved@15(10)");
    // What was never healthy before did not dip.
    check(min(2.0).hold(10), "0:0 5:2", "");
}

#[test]
fn hysteresis_ends_an_alarm_only_from_the_clear_limit_on() {
    check(max(10.0).clear(5.0), "0:11 1:10 2:5.001 3:5", "fired@0(0,11) resolved@3(3)");
    check(min(10.0).clear(15.0), "0:9 1:14.9 2:15", "fired@0(0,9) resolved@2(2)");
    // It takes no part before the alarm: the limit alone decides whether a dip healed.
    check(max(10.0).clear(5.0).hold(5), "0:1 1:11 3:10 20", "dip@3(2)");
    // A clear limit on the wrong side must not end an alarm that is still in breach.
    check(max(10.0).clear(20.0), "0:11 1:15 2:10", "fired@0(0,11) resolved@2(2)");
}

#[test]
fn keep_firing_bridges_short_recoveries() {
    check(max(1.0).keep(10), "0:2 5:1 14", "fired@0(0,2)");
    check(max(1.0).keep(10), "0:2 5:1 15", "fired@0(0,2) resolved@15(15)");
    check(max(1.0).keep(10), "0:2 5:1 14:2 20:1 60", "fired@0(0,2) resolved@30(30)");
    // Back in the zone of hysteresis is not clear.
    check(max(10.0).clear(5.0).keep(10), "0:11 2:5 4:7 14", "fired@0(0,11)");
    check(max(10.0).clear(5.0).keep(10), "0:11 2:5 4:7 14:5 24", "fired@0(0,11) resolved@24(24)");
    // A breach exactly at the end of it is a new one.
    check(max(1.0).keep(10), "0:2 5:1 15:2", "fired@0(0,2) resolved@15(15) fired@15(15,2)");
}

#[test]
fn nothing_fires_before_the_gate() {
    check_gated(min(1.0), 10, "0:0 9", "");
    check_gated(min(1.0), 10, "0:0 10", "fired@10(0,0)");
    check_gated(min(1.0), 10, "0:0 9:1 20", "");
    check_gated(min(1.0).hold(4), 10, "0:0 20", "fired@10(0,0)");
    check_gated(min(1.0).hold(14), 10, "0:0 20", "fired@14(0,0)");
    check_gated(min(1.0).hold(4), 10, "0:1 9:0 20", "fired@13(9,0)");
    check_gated(min(1.0), 10, "0:1 10:0", "fired@10(10,0)");
}

#[test]
fn time_never_runs_backwards() {
    check(min(2.0).hold(10), "0:2 20:1 15:1 30", "fired@30(20,1)");
    check(min(2.0), "0:2 20:1 15:2", "fired@20(20,1) resolved@20(0)");
}

#[test]
fn after_a_gap_the_value_comes_before_the_deadline() {
    let rule = min(2.0).hold(10);
    let (gate, secs) = (KTime::from_secs(60), KTime::from_secs);
    let mut machine = Machine::default();
    assert_eq!(machine.step(secs(0), 2.0, &rule, secs(0)), [None, None]);
    assert_eq!(machine.step(secs(5), 1.0, &rule, secs(0)), [None, None]);
    let mut healed = machine;
    assert_eq!(
        healed.reconcile(secs(60), 2.0, &rule, gate),
        [Some(Turn::DipHealed { at: secs(60), lasted: S * 55 }), None]
    );
    assert_eq!(
        machine.reconcile(secs(60), 1.0, &rule, gate),
        [None, Some(Turn::Fired { at: secs(60), since: secs(5), value: 1.0 })]
    );
}

#[test]
fn the_deadline_is_the_next_moment_that_matters() {
    let rule = max(1.0).hold(3).keep(7);
    let (gate, secs) = (KTime::default(), KTime::from_secs);
    let mut machine = Machine::default();
    let mut expect = |at: u64, value: f64, deadline: Option<u64>| {
        machine.step(secs(at), value, &rule, gate);
        assert_eq!(machine.deadline(&rule, gate), deadline.map(secs), "at {at}");
    };
    expect(0, 0.0, None);
    expect(1, 2.0, Some(4));
    expect(4, 2.0, None);
    expect(5, 0.0, Some(12));
    expect(12, 0.0, None);
}

/// Re-scans all that was observed at each second and after each value; knows no states.
fn oracle(rule: &Rule, gate: u64, values: &[(u64, f64)], end: u64) -> Vec<Turn> {
    let mut turns = Vec::new();
    let hold = rule.hold.as_secs();
    let keep = rule.keep_firing.as_secs();
    let mut firing: Option<u64> = None;
    let run_start = |seen: &[(u64, f64)], holds: &dyn Fn(f64) -> bool| {
        let run = seen.iter().rev().take_while(|(_, value)| holds(*value)).last();
        run.map(|(at, _)| *at)
    };
    let mut judge = |now: u64, seen: &[(u64, f64)], turns: &mut Vec<Turn>| {
        let at = KTime::from_secs(now);
        if let Some(since) = firing {
            let clear = run_start(seen, &|value| rule.cleared(value));
            if clear.is_some_and(|clear| now >= clear + keep) {
                firing = None;
                turns.push(Turn::Resolved { at, duration: S * u32::try_from(now - since).unwrap() });
            }
        } else {
            let breach = run_start(seen, &|value| rule.breached(value));
            if let Some(since) = breach.filter(|since| now >= (since + hold).max(gate)) {
                firing = Some(since);
                let value = seen.last().unwrap().1;
                turns.push(Turn::Fired { at, since: KTime::from_secs(since), value });
            }
        }
        firing
    };
    let mut seen: Vec<(u64, f64)> = Vec::new();
    for now in 0..=end {
        judge(now, &seen, &mut turns);
        for (_, value) in values.iter().filter(|(at, _)| *at == now) {
            let was_firing = judge(now, &seen, &mut turns).is_some();
            let run = run_start(&seen, &|value| rule.breached(value));
            let run_length = seen.iter().rev().take_while(|(_, value)| rule.breached(*value)).count();
            if let Some(since) = run.filter(|_| !was_firing && !rule.breached(*value) && run_length < seen.len()) {
                let lasted = S * u32::try_from(now - since).unwrap();
                turns.push(Turn::DipHealed { at: KTime::from_secs(now), lasted });
            }
            seen.push((now, *value));
            judge(now, &seen, &mut turns);
        }
    }
    turns
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn turns_as_a_scan_of_the_whole_history_says(
        is_min in any::<bool>(),
        limit in 2_u8..8,
        hysteresis in 0_u8..3,
        hold in 0_u32..8,
        keep in 0_u32..8,
        gate in 0_u64..20,
        steps in prop::collection::vec((0_u64..6, 0_u8..10, any::<bool>()), 0..40),
    ) {
        let (side, clear) = if is_min { (Side::Min, limit + hysteresis) } else { (Side::Max, limit - hysteresis.min(limit)) };
        let rule = rule(side, f64::from(limit)).clear(f64::from(clear)).hold(hold).keep(keep);
        let mut machine = Machine::default();
        let mut turns = Vec::new();
        let mut values = Vec::new();
        let mut now = 0;
        let gate_at = KTime::from_secs(gate);
        for (pause, value, look) in steps {
            now += pause;
            let at = KTime::from_secs(now);
            if look {
                // Looking more often must change nothing.
                turns.extend(machine.advance(at, &rule, gate_at));
            }
            values.push((now, f64::from(value)));
            turns.extend(machine.step(at, f64::from(value), &rule, gate_at).into_iter().flatten());
        }
        let end = now + 40;
        while let Some(turn) = machine.advance(KTime::from_secs(end), &rule, gate_at) {
            turns.push(turn);
        }
        prop_assert_eq!(turns, oracle(&rule, gate, &values, end));
    }
}
