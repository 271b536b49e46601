//! What a bound means, for every measure that a step can set, against an oracle that looks at one second after the other.

use proptest::prelude::*;

use super::*;

/// A measure, and how a step sets it.
#[derive(Clone, Copy, Debug)]
struct Kind {
    /// The policy around BOUND.
    policy: &'static str,
    /// The alarm's name without its side.
    alarm: &'static str,
    /// How a limit is written.
    limit: fn(u32) -> String,
    /// The step that takes the value from one to another.
    step: fn(u32, u32) -> String,
    /// Counted within a window.
    windowed: bool,
}

fn plain(value: u32) -> String {
    value.to_string()
}

/// Starts or ends processes of pid 100 on.
fn number(from: u32, to: u32) -> String {
    if to >= from {
        format!("start: {{ pid: {}, exe: x, copies: {} }}", 100 + from, (to - from).max(1))
    } else {
        format!("exit: {{ pid: {}, copies: {} }}", 100 + to, from - to)
    }
}

const KINDS: [Kind; 12] = [
    Kind {
        policy: "groups: { g: { match: { comm: x }, count: BOUND } }",
        alarm: "g.count",
        limit: plain,
        step: number,
        windowed: false,
    },
    Kind {
        policy: "groups: { g: { match: { comm: y }, threads: BOUND } }",
        alarm: "g.threads",
        limit: plain,
        step: |_, to| format!("usage: {{ pid: 50, threads: {} }}", to.max(1)),
        windowed: false,
    },
    Kind {
        policy: "groups: { g: { match: { comm: y }, memory: BOUND } }",
        alarm: "g.memory",
        limit: |value| format!("{value}MiB"),
        step: |_, to| format!("usage: {{ pid: 50, memory: {to}MiB }}"),
        windowed: false,
    },
    Kind {
        policy: "groups: { g: { match: { comm: y }, memory: BOUND } }",
        alarm: "g.memory",
        limit: |value| format!("{value}% host"),
        step: |_, to| format!("usage: {{ pid: 50, memory: {to}% host }}"),
        windowed: false,
    },
    Kind {
        policy: "host: { load: BOUND }",
        alarm: "host.load",
        limit: plain,
        step: |_, to| format!("host: {{ load: {to} }}"),
        windowed: false,
    },
    Kind {
        policy: "host: { memory_available: BOUND }",
        alarm: "host.memory_available",
        limit: |value| format!("{value}%"),
        step: |_, to| format!("host: {{ memory_available: {to}% }}"),
        windowed: false,
    },
    Kind {
        policy: "host: { swap_used: BOUND }",
        alarm: "host.swap_used",
        limit: |value| format!("{value}%"),
        step: |_, to| format!("host: {{ swap_used: {to}% }}"),
        windowed: false,
    },
    Kind {
        policy: "host: { disk_free: BOUND }",
        alarm: "host.disk_free",
        limit: |value| format!("{value}GiB"),
        step: |_, to| format!("host: {{ disk_free: {{ path: /, free: {to}GiB }} }}"),
        windowed: false,
    },
    Kind {
        policy: "host: { inodes_free: BOUND }",
        alarm: "host.inodes_free",
        limit: plain,
        step: |_, to| format!("host: {{ inodes_free: {{ path: /, free: {to} }} }}"),
        windowed: false,
    },
    Kind {
        policy: "groups: { g: { match: { comm: x }, starts: BOUND } }",
        alarm: "g.starts",
        limit: plain,
        step: number,
        windowed: true,
    },
    Kind {
        policy: "groups: { g: { match: { comm: x }, failures: BOUND } }",
        alarm: "g.failures",
        limit: plain,
        // Ended in the same second by a step of its own.
        step: number,
        windowed: true,
    },
    Kind {
        policy: "logs: { g: { path: /l, any: x, lines: BOUND } }",
        alarm: "g.lines",
        limit: plain,
        step: |from, to| format!("log: {{ path: /l, line: x, times: {} }}", (to - from).max(1)),
        windowed: true,
    },
];

#[derive(Clone, Debug)]
struct Case {
    kind: Kind,
    is_min: bool,
    limit: u32,
    /// Beyond the limit, on its healthy side.
    clear: u32,
    hold: usize,
    keep: usize,
    within: usize,
    /// Of each second from the fourth on: the value, or how many more happened.
    values: Vec<u32>,
}

fn case() -> impl Strategy<Value = Case> {
    let kind = proptest::sample::select(KINDS.to_vec());
    let rest = (any::<bool>(), 2..5_u32, 0..3_u32, 0..4_usize, 0..4_usize, 1..5_usize);
    (kind, rest, proptest::collection::vec(0..8_u32, 20)).prop_map(
        |(kind, (is_min, limit, clear, hold, keep, within), values)| {
            let values =
                if kind.windowed { values.iter().map(|value| value.saturating_sub(5)).collect() } else { values };
            // A minimum of something counted is judged only once the window was watched as a whole: see the logs' tests.
            let is_min = is_min && !kind.windowed;
            let clear = if is_min { limit + clear } else { limit - clear.min(limit - 1) };
            Case { kind, is_min, limit, clear, hold, keep, within, values }
        },
    )
}

impl Case {
    /// The values of each second, from 0 on, one after the other; the first ones are healthy.
    fn series(&self) -> Vec<Vec<u32>> {
        if self.kind.windowed {
            let mut happened = vec![0; 4];
            happened.extend(&self.values);
            // What leaves the window does so before anything new comes.
            let values = |now: usize| {
                let rest: u32 = happened[(now + 1).saturating_sub(self.within)..now].iter().sum();
                vec![rest, rest + happened[now]]
            };
            return (0..happened.len()).map(values).collect();
        }
        let least = u32::from(self.kind.alarm == "g.threads");
        [self.limit; 4]
            .into_iter()
            .chain(self.values.iter().map(|value| (*value).max(least)))
            .map(|of| vec![of])
            .collect()
    }

    /// Whether the alarm is on, after each second.
    fn oracle(&self) -> Vec<bool> {
        let breached = |value: u32| if self.is_min { value < self.limit } else { value > self.limit };
        let clear =
            |value: u32| !breached(value) && if self.is_min { value >= self.clear } else { value <= self.clear };
        let series = self.series();
        let (mut on, mut breached_for, mut clear_for) = (false, None::<usize>, None::<usize>);
        let mut all = Vec::new();
        for values in series {
            breached_for = breached_for.map(|seconds| seconds + 1);
            clear_for = clear_for.map(|seconds| seconds + 1);
            // What was due at this very moment comes before the new value.
            if !on && breached_for.is_some_and(|seconds| seconds >= self.hold) {
                (on, clear_for) = (true, None);
            }
            if on && clear_for.is_some_and(|seconds| seconds >= self.keep) {
                (on, clear_for) = (false, None);
            }
            for value in values {
                breached_for = if breached(value) { breached_for.or(Some(0)) } else { None };
                if !on && breached(value) && self.hold == 0 {
                    on = true;
                }
                clear_for = if on && clear(value) { clear_for.or(Some(0)) } else { None };
                if clear_for.is_some() && self.keep == 0 {
                    (on, clear_for) = (false, None);
                }
            }
            all.push(on);
        }
        all
    }

    fn text(&self) -> String {
        let side = if self.is_min { "min" } else { "max" };
        let clear = if self.is_min { "clear_above" } else { "clear_below" };
        let limit = |value| (self.kind.limit)(value);
        let within = if self.kind.windowed { format!(", within: {}s", self.within) } else { String::new() };
        let bound = format!(
            "{{ {side}: {}, {clear}: {}, for: {}s, keep_firing_for: {}s{within} }}",
            limit(self.limit),
            limit(self.clear),
            self.hold,
            self.keep
        );
        let mut text = self.kind.policy.replace("BOUND", &bound);
        text.push_str("\ntests:\n  - name: t\n    steps:\n      - { at: 0s, start: { pid: 50, exe: y } }\n");
        let mut value = 0;
        if !self.kind.windowed {
            let _ = writeln!(text, "      - {{ at: 0s, {} }}", (self.kind.step)(0, self.limit));
            value = self.limit;
        }
        for (second, new) in self.values.iter().enumerate().map(|(index, new)| (index + 4, *new)) {
            let to = if self.kind.windowed { value + new } else { new };
            if to == value {
                continue;
            }
            let _ = writeln!(text, "      - {{ at: {second}s, {} }}", (self.kind.step)(value, to));
            if self.kind.alarm == "g.failures" {
                let (pid, copies) = (100 + value, to - value);
                let _ =
                    writeln!(text, "      - {{ at: {second}s, exit: {{ pid: {pid}, code: 1, copies: {copies} }} }}");
            }
            value = to;
        }
        text.push_str("    expect:\n");
        for (second, on) in self.oracle().into_iter().enumerate().skip(1) {
            let alarm = if on { format!("{}.{side}", self.kind.alarm) } else { String::new() };
            let _ = writeln!(text, "      - {{ at: {second}s, firing: [{alarm}] }}");
        }
        text
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn every_measure_is_judged_as_the_oracle_says(case in case()) {
        let text = case.text();
        prop_assert_eq!(played(&text), "", "{}", text);
    }
}
