//! What a bound means, for every measure that there is and both of its ends: the engine with its virtual host against
//! expectations that were worked out without it, to the nanosecond.
//!
//! - `table` has cases whose outcome was written down by hand: values one inside, at and one past the limit, and everything
//!   that a bound can say, at its very moment.
//! - `random` holds random histories against `oracle`, which knows a bound's words and nothing else: at each moment it works
//!   the value out anew from all that has happened, and from all values whether the alarm is on.
//! - `kinds` are the measures, `scheduled` the bounds of jobs with a schedule, which have a time of their own.

mod kinds;
mod lives;
mod oracle;
mod random;
mod scheduled;
mod table;

use std::collections::BTreeMap;

use super::*;
use crate::policy::spec::{AlarmName, Expectation, Happening, HostFacts, Looks, Step};
use crate::record::ExitStatus;
use crate::time::Wall;

/// A moment or a length of time, in nanoseconds.
type Nanos = u64;

const SECOND: Nanos = 1_000_000_000;
/// Half a second: what random histories are made of.
const TICK: Nanos = SECOND / 2;
/// 2026-01-01T00:00:00Z, a full hour.
const CLOCK: Wall = Wall(1_767_225_600_000_000_000);

/// An alarm, by name and instance.
type Named = (String, Option<u32>);

/// An alarm goes on or off.
type Turn = (Nanos, Named, bool);

/// What happens, until when.
#[derive(Debug, Default)]
struct Scene {
    policy: String,
    /// In the order of time.
    steps: Vec<(Nanos, Happening)>,
    grace: Nanos,
    end: Nanos,
}

impl Scene {
    /// Plays it: the alarms that are on, and those that have ended, must be those of `turns` at each half second, at each
    /// turn, and a nanosecond before and after it.
    fn must_be(&self, turns: &[Turn]) -> Result<(), String> {
        let around = |at: Nanos| [at.saturating_sub(1), at, at + 1];
        let mut moments: Vec<Nanos> = turns.iter().flat_map(|(at, ..)| around(*at)).collect();
        moments.extend((0..=self.end / TICK).map(|tick| tick * TICK));
        moments.retain(|at| *at <= self.end);
        moments.sort_unstable();
        moments.dedup();
        let mut last = None;
        let expect = moments.into_iter().map(|at| {
            let mut on: BTreeMap<&Named, bool> = BTreeMap::new();
            on.extend(turns.iter().filter(|turn| turn.0 <= at).map(|(_, name, is_on)| (name, *is_on)));
            let firing = on.into_iter().filter(|(_, is_on)| *is_on).map(|(name, _)| alarm(name));
            let ended = |turn: &&Turn| !turn.2 && turn.0 <= at && last.is_none_or(|last| turn.0 > last);
            let resolved = turns.iter().filter(ended).map(|(_, name, _)| alarm(name));
            let expectation = Expectation {
                at: Duration::from_nanos(at),
                declared: "t.yaml:1".into(),
                firing: Some(firing.collect()),
                resolved: Some(resolved.collect()),
                events: None,
                actions: None,
            };
            last = Some(at);
            expectation
        });
        self.play(expect.collect())
    }

    fn play(&self, expect: Vec<Expectation>) -> Result<(), String> {
        let source = Source::new("t.yaml", format!("version: 1\n{}\n", self.policy));
        let loaded = parse(&[source], &HostLabels::default(), &|_| true);
        let set = loaded.map_err(|diagnostics| diagnostics.to_string())?.policies;
        let groups = set.groups.iter().map(|group| &group.name);
        let names = groups.chain(set.jobs.iter().map(|job| &job.name)).chain(set.logs.iter().map(|log| &log.name));
        let trial = Trial {
            name: "t".into(),
            declared: "t.yaml:1".into(),
            policies: names.cloned().collect(),
            host: !set.host.is_empty(),
            clock: CLOCK,
            start_grace: Duration::from_nanos(self.grace),
            facts: HostFacts { cpus: 4, memory_bytes: 8 << 30 },
            steps: self
                .steps
                .iter()
                .map(|(at, what)| Step { at: Duration::from_nanos(*at), what: what.clone() })
                .collect(),
            expect,
        };
        let outcome = run(&trial, &set);
        if outcome.passed { Ok(()) } else { Err(report::text(&[outcome])) }
    }
}

fn alarm((name, instance): &Named) -> AlarmName {
    AlarmName { name: name.as_str().into(), instance: instance.map(|pid| pid.to_string().into()) }
}

/// As a policy says it.
fn words(length: Nanos) -> String {
    assert_eq!(length % 1_000_000, 0, "policies know milliseconds");
    format!("{}ms", length / 1_000_000)
}

/// A process of this program, and a child of pid 1.
fn start(pid: u32, name: &str) -> Happening {
    let looks = Looks { exe: Some(format!("/usr/bin/{name}").into()), ..Looks::default() };
    Happening::Start { pid, parent: 1, program: Some(looks), kernel: false }
}

fn exit(pid: u32, code: u8) -> Happening {
    Happening::Exit { pid, status: ExitStatus::Code(code), killer: None, oom: false }
}
