//! Exact cases, each for every measure and both ends of a bound: what fires and what ends, at its very moment.
//!
//! A value is said relative to its limit: `+1` is one past it, `-1` one inside, for a minimum as for a maximum.

use super::kinds::{Conditions, KINDS, Kind, Nature, side};
use super::*;

/// The limit of values; lower ones and higher ones are there.
const LIMIT: u32 = 4;
const END: Nanos = 44 * SECOND;

/// `8s`, `8s-1ns`, `8s+1ns`.
fn moment(text: &str) -> Nanos {
    let (seconds, more) = text.split_once('s').unwrap();
    let more: i64 = if more.is_empty() { 0 } else { more.trim_end_matches("ns").parse().unwrap() };
    (seconds.parse::<u64>().unwrap() * SECOND).checked_add_signed(more).unwrap()
}

/// `5s on 8s off`
fn turns(text: &str) -> Vec<(Nanos, bool)> {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.chunks(2).map(|turn| (moment(turn[0]), turn[1] == "on")).collect()
}

/// `for 3s`, `keep 3s`, `clear 2`: so far inside the limit.
fn conditions(text: &str, is_min: bool, limit: u32) -> Conditions {
    let mut conditions = Conditions::default();
    let words: Vec<&str> = text.split_whitespace().collect();
    for pair in words.chunks(2) {
        match pair[0] {
            "for" => conditions.hold = moment(pair[1]),
            "keep" => conditions.keep = moment(pair[1]),
            "within" => conditions.within = moment(pair[1]),
            _ => {
                let far: u32 = pair[1].parse().unwrap();
                conditions.clear = Some(if is_min { limit + far } else { limit - far });
            }
        }
    }
    conditions
}

#[track_caller]
fn check(kind: &Kind, is_min: bool, scene: &Scene, row: &str, shift: Nanos, expected: &str, instance: Option<u32>) {
    let name = kind.alarm(is_min);
    let expected = turns(expected).into_iter().map(|(at, on)| (at + shift, (name.clone(), instance), on));
    if let Err(why) = scene.must_be(&expected.collect::<Vec<_>>()) {
        panic!("{row}: {}\n{why}", scene.policy);
    }
}

/// What is said, what happens, when the alarm turns. A flow is seen a second after it has changed.
const VALUES: [(&str, &str, &str); 19] = [
    ("", "5s+0", ""),
    ("", "5s-1", ""),
    ("", "5s+1", "5s on"),
    ("", "5s+1 8s+0", "5s on 8s off"),
    ("", "5s+3 8s+1 9s+2", "5s on"),
    ("for 3s", "5s+0", ""),
    ("for 3s", "5s+1", "8s on"),
    ("for 3s", "5s+1 7s+0", ""),
    // At the very end of `for` the breach has lasted for long enough; what comes then comes after it.
    ("for 3s", "5s+1 8s+0", "8s on 8s off"),
    ("for 3s", "5s+1 7s+0 8s+1", "11s on"),
    ("for 3s", "5s+1 6s+2 7s+1 10s-1", "8s on 10s off"),
    ("clear 2", "5s+1 6s+0 7s-1", "5s on"),
    ("clear 2", "5s+1 6s+0 7s-1 8s-2", "5s on 8s off"),
    ("clear 2", "5s+1 6s-3 7s-1 9s+1", "5s on 6s off 9s on"),
    ("keep 3s", "5s+1 6s+0", "5s on 9s off"),
    ("keep 3s", "5s+1 6s+0 8s+1 9s+0", "5s on 12s off"),
    ("keep 3s", "5s+1 6s+0 9s+1", "5s on 9s off 9s on"),
    ("keep 2s clear 2", "5s+1 6s-2 7s-1 10s-2", "5s on 12s off"),
    ("for 2s keep 2s clear 1", "5s+1 9s+0 10s-1 11s+0 12s-1", "7s on 14s off"),
];

/// Of what is seen at once, to the nanosecond.
const AT_ONCE: [(&str, &str, &str); 6] = [
    ("", "5s-1ns+1 5s+1ns+0", "5s-1ns on 5s+1ns off"),
    ("for 3s", "5s+1 8s-1ns+0", ""),
    ("for 3s", "5s+1 8s+1ns+0", "8s on 8s+1ns off"),
    ("keep 3s", "5s+1 6s+0 9s-1ns+1", "5s on"),
    ("keep 3s", "5s+1 6s+0 9s+1ns+1", "5s on 9s off 9s+1ns on"),
    ("clear 1", "5s+1 6s-1 6s+1ns+1", "5s on 6s off 6s+1ns on"),
];

/// `5s+1`: the moment, and the value relative to the limit.
fn values(kind: &Kind, process: u32, is_min: bool, text: &str) -> Vec<(Nanos, Happening)> {
    let mut steps: Vec<(Nanos, Happening)> = Vec::new();
    if kind.processes {
        steps.extend([process, process + 1].map(|pid| (0, start(pid, "y"))));
        // The other one is of no account, but for its one thread.
        steps.extend(kind.steps(process + 1, 0, kind.least).into_iter().map(|what| (0, what)));
    }
    let mut stands = 0;
    for word in ["0s-1"].into_iter().chain(text.split_whitespace()) {
        let place = word.rfind(['+', '-']).unwrap();
        let past: i32 = word[place..].parse().unwrap();
        let value = LIMIT.checked_add_signed(if is_min { -past } else { past }).unwrap();
        let at = moment(&word[..place]);
        steps.extend(kind.steps(process, stands, value).into_iter().map(|what| (at, what)));
        stands = value;
    }
    steps
}

#[test]
fn values_are_judged_at_their_very_moment() {
    let process = 50;
    for kind in KINDS.iter().filter(|kind| kind.nature != Nature::Counted) {
        let exact = if kind.nature == Nature::AtOnce { &AT_ONCE[..] } else { &[] };
        let shift = if matches!(kind.nature, Nature::Flow(_)) { SECOND } else { 0 };
        for (said, happens, expected) in VALUES.iter().chain(exact) {
            for is_min in [false, true] {
                for per_process in [false, true].into_iter().filter(|per| kind.processes || !per) {
                    // The sum has the other one in it.
                    let limit = if per_process { LIMIT } else { LIMIT + kind.least };
                    let conditions = Conditions { per_process, ..conditions(said, is_min, limit) };
                    let policy = kind.policy(is_min, limit, &conditions);
                    let mut steps = values(kind, process, is_min, happens);
                    if per_process && is_min {
                        // By itself it would be in breach.
                        let what = kind.steps(process + 1, 0, 8);
                        steps.splice(2..3, what.into_iter().map(|what| (0, what)));
                    }
                    let scene = Scene { policy, steps, grace: 0, end: END };
                    let row = format!("{} {said}; {happens}", side(is_min));
                    check(kind, is_min, &scene, &row, shift, expected, per_process.then_some(process));
                }
            }
        }
    }
}

/// At most 3 within 10 seconds: `5s*4` is four times at second 5.
const TOO_MANY: [(&str, &str, &str); 13] = [
    ("", "5s*3", ""),
    ("", "5s*4", "5s on 15s off"),
    ("", "5s*3 15s-1ns*1", "15s-1ns on 15s off"),
    // What happened exactly so long ago is out of the window.
    ("", "5s*3 15s*1", ""),
    ("", "5s*4 14s*4", "5s on 24s off"),
    ("for 9s", "5s*4", "14s on 15s off"),
    ("for 10s", "5s*4", "15s on 15s off"),
    ("for 11s", "5s*4", ""),
    ("for 11s", "5s*4 15s-1ns*4", "16s on 25s-1ns off"),
    ("clear 2", "5s*2 6s*2 7s*1", "6s on 16s off"),
    ("clear 3", "5s*2 6s*2 7s*1", "6s on 17s off"),
    ("keep 3s", "5s*4", "5s on 18s off"),
    ("keep 3s", "5s*4 18s*4", "5s on 18s off 18s on 31s off"),
];

/// At least 3 within 10 seconds.
const TOO_FEW: [(&str, &str, &str); 12] = [
    // Too little is known once a window was watched as a whole.
    ("", "", "10s on"),
    ("", "5s*2", "10s on"),
    ("", "5s*3", "15s on"),
    ("", "1s*3", "11s on"),
    ("", "5s*3 15s*3", "15s on 15s off 25s on"),
    ("", "5s*3 15s-1ns*3", "25s-1ns on"),
    ("for 2s", "5s*3", "17s on"),
    ("for 2s", "5s*3 17s-1ns*3", "29s-1ns on"),
    ("for 2s", "5s*3 17s*3", "17s on 17s off 29s on"),
    ("clear 1", "5s*3 16s*3 17s*1", "15s on 17s off 26s on"),
    ("keep 3s", "5s*3 16s*3", "15s on 19s off 26s on"),
    ("for 1s keep 10s clear 1", "5s*3 16s*4", "16s on 26s off 27s on"),
];

#[test]
fn what_is_counted_is_judged_at_its_very_moment() {
    for kind in KINDS.iter().filter(|kind| kind.nature == Nature::Counted) {
        for (is_min, rows) in [(false, &TOO_MANY[..]), (true, &TOO_FEW[..])] {
            for (said, happens, expected) in rows.iter().filter(|(said, ..)| kind.lasts || said.is_empty()) {
                let conditions = Conditions { within: 10 * SECOND, ..conditions(said, is_min, 3) };
                let mut steps: Vec<(Nanos, Happening)> = Vec::new();
                let mut so_far = 0;
                for word in happens.split_whitespace() {
                    let (at, times) = word.split_once('*').unwrap();
                    let times: u32 = times.parse().unwrap();
                    let what = kind.steps(0, so_far, so_far + times);
                    steps.extend(what.into_iter().map(|what| (moment(at), what)));
                    so_far += times;
                }
                let scene = Scene { policy: kind.policy(is_min, 3, &conditions), steps, grace: 0, end: END };
                let row = format!("{} {said}; {happens}", side(is_min));
                check(kind, is_min, &scene, &row, 0, expected, None);
            }
        }
    }
}
