//! `cpu`, `memory`, `threads`, `read`, `age`: sampled, and told by the clock.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::policy::spec::{Limit, Per};
use crate::time::KTime;

fn app(bounds: Vec<Bound>) -> Vec<Group> {
    vec![group("app", exe("/bin/app"), bounds)]
}

#[test]
fn cpu_of_a_group_is_what_its_members_used_in_the_interval() {
    check(
        app(vec![max(Measure::Cpu, 1.5).hold(2)]),
        "0 scan
         0 run 10 /bin/app
         0 run 11 /bin/app
         1 use 10 cpu=900
         1 use 11 cpu=500
         1 sample
         2 use 10 cpu=1900
         2 use 11 cpu=1400
         2 sample
         3 use 10 cpu=2900
         3 use 11 cpu=2300
         3 sample
         4.5 use 10 cpu=2950
         4.5 sample",
        "4 firing app: 1.9 cores of CPU, maximum 1.5 cores; most by 10 (app): 1 core
         4.5 resolved app: 0.03 cores of CPU, maximum 1.5 cores; healthy again after 2.5s",
    );
}

#[test]
fn status_says_what_members_use_where_they_are_sampled() {
    let shows = |script: &str, cpu: Option<f64>, held: Option<(u64, u64)>| {
        let sampled = group("app", exe("/bin/app"), vec![max(Measure::Cpu, 9.0)]);
        let counted = group("other", exe("/bin/app"), vec![max(Measure::Count, 9.0)]);
        let world = check(vec![sampled, counted], &format!("0 scan\n{script}"), "");
        let groups = world.engine.status(KTime::from_secs(9)).groups;
        let usage = groups[0].usage.unwrap();
        let found = (usage.cpu, usage.memory_bytes.zip(usage.threads));
        assert_eq!((found, groups[1].usage), ((cpu, held), None), "{script}");
    };
    shows("", Some(0.0), Some((0, 0)));
    shows("1 run 10 /bin/app", None, None);
    let used = "1 run 10 /bin/app\n2 use 10 cpu=100 rss=60 threads=5\n2 sample\n3 use 10 cpu=600\n3 sample";
    shows(used, Some(0.5), Some((60 << 20, 5)));
    shows(&format!("{used}\n4 sample"), Some(0.0), Some((60 << 20, 5)));
    shows(&format!("{used}\n3.5 exit 10 cpu=600\n4 sample\n5 sample"), Some(0.0), Some((0, 0)));
}

#[test]
fn shares_of_the_host_are_resolved() {
    let quarter = Bound { limit: Limit::HostShare(0.25), ..max(Measure::Cpu, 0.0) };
    check(
        app(vec![quarter]),
        "0 scan
         0 run 10 /bin/app
         1 use 10 cpu=1100
         1 sample",
        "1 firing app: 1.1 cores of CPU, maximum 1 core; most by 10 (app): 1.1 cores",
    );
}

#[test]
fn members_that_live_between_two_samples_count() {
    check(
        app(vec![max(Measure::Cpu, 0.5)]),
        "0 have 10 /bin/app
         0 scan
         1 sample
         1.2 run 11 /bin/app
         1.8 exit 11 cpu=600
         2 sample
         3 sample",
        "2 firing app: 0.6 cores of CPU, maximum 0.5 cores
         3 resolved app: 0 cores of CPU, maximum 0.5 cores; healthy again after 1s",
    );
}

#[test]
fn sampling_follows_the_members_and_judges_what_the_last_one_left() {
    let world = check(
        app(vec![max(Measure::Cpu, 0.5)]),
        "0 scan
         5 run 11 /bin/app
         5.8 exit 11 cpu=700
         6 sample
         7 sample
         9 run 12 /bin/app
         9.5 exit 12 cpu=1
         10 sample
         11 sample",
        "6 firing app: 0.7 cores of CPU, maximum 0.5 cores
         7 resolved app: 0 cores of CPU, maximum 0.5 cores; healthy again after 1s",
    );
    let sampling: Vec<_> = world.asked.iter().filter(|asked| asked.contains("sampling")).collect();
    assert_eq!(sampling, ["5 sampling true", "7 sampling false", "9 sampling true", "11 sampling false"]);
}

#[test]
fn an_empty_group_uses_nothing_which_needs_no_sample() {
    let world = check(
        app(vec![min(Measure::Cpu, 0.1).hold(5), max(Measure::Memory, 1e9)]),
        "0 scan\n 9",
        "5 firing app: 0 cores of CPU, minimum 0.1 cores",
    );
    assert!(world.asked.is_empty(), "{:?}", world.asked);
}

#[test]
fn who_was_there_before_has_not_used_nothing() {
    // What 10 used between the first scan and the first sample is not known; a minimum must not take it for nothing.
    let bounds = || vec![min(Measure::Cpu, 0.5), Bound { per: Per::Process, ..min(Measure::Cpu, 0.5) }];
    check(
        app(bounds()),
        "0 have 10 /bin/app
         0 scan
         1 use 10 cpu=90900
         1 sample
         2 use 10 cpu=91800
         2 sample
         3 use 10 cpu=92000
         3 sample",
        "3 firing app: 0.2 cores of CPU, minimum 0.5 cores; most by 10 (app): 0.2 cores
         3 firing app: app (10): 0.2 cores of CPU, minimum 0.5 cores",
    );
    // What it shares the group with is known, and a lower limit that is too much is too much.
    check(
        app(vec![max(Measure::Cpu, 0.5), min(Measure::Cpu, 0.1)]),
        "0 have 10 /bin/app
         0 scan
         0 run 11 /bin/app
         1 use 10 cpu=90900
         1 use 11 cpu=600
         1 sample",
        "1 firing app: 0.6 cores of CPU, maximum 0.5 cores; most by 11 (app): 0.6 cores",
    );
}

#[test]
fn who_enters_late_does_not_bring_its_past_along() {
    // 100 s of CPU in 100 s, then it becomes a member: at most one core, not a hundred.
    check(
        app(vec![max(Measure::Cpu, 1.2)]),
        "0 scan
         0 run 10 /bin/sh
         100 use 10 cpu=100000
         100 exec 10 /bin/app
         101 use 10 cpu=101000
         101 sample
         102 use 10 cpu=102000
         102 sample",
        "",
    );
}

#[test]
fn memory_and_threads_are_sums_over_the_living() {
    check(
        app(vec![max(Measure::Memory, 100.0 * world::MIB), max(Measure::Threads, 10.0)]),
        "0 have 10 /bin/app
         0 have 11 /bin/app
         0 scan
         1 use 10 rss=60 threads=5
         1 use 11 rss=40 threads=5
         1 sample
         2 use 11 rss=41 threads=6
         2 sample
         3 exit 11
         4 sample",
        "2 firing app: 101 MiB of memory, maximum 100 MiB; most by 10 (app): 60 MiB
         2 firing app: 11 threads, maximum 10; most by 11 (app): 6 threads
         4 resolved app: 60 MiB of memory, maximum 100 MiB; healthy again after 2s
         4 resolved app: 5 threads, maximum 10; healthy again after 2s",
    );
}

#[test]
fn storage_is_told_in_bytes_a_second() {
    check(
        app(vec![max(Measure::Read, 10.0 * world::MIB)]),
        "0 scan
         0 run 10 /bin/app
         2 use 10 read=30720
         2 sample",
        "2 firing app: 15 MiB/s read, maximum 10 MiB/s; most by 10 (app): 15 MiB/s",
    );
}

#[test]
fn per_process_each_has_its_own_alarm_that_ends_with_it() {
    let world = check(
        app(vec![max(Measure::Memory, 100.0 * world::MIB).each()]),
        "0 have 10 /bin/app
         0 have 11 /bin/app
         0 scan
         1 use 10 rss=90
         1 use 11 rss=101
         1 sample
         2 use 10 rss=102
         2 sample
         3 use 10 rss=1
         3 sample
         4 exit 11",
        "1 firing app: app (11): 101 MiB of memory, maximum 100 MiB
         2 firing app: app (10): 102 MiB of memory, maximum 100 MiB
         3 resolved app: app (10): 1 MiB of memory, maximum 100 MiB; healthy again after 1s
         4 resolved app: app (11); over after 3s: exit",
    );
    assert_eq!(world.told[0].attributes.get("process.pid"), Some(&11.into()));
    assert_eq!(world.told[3].attributes.get("reason"), Some(&"exit".into()));
}

#[test]
fn age_needs_no_sampling() {
    let world = check(
        app(vec![max(Measure::Age, 60.0).hold(5)]),
        "0 scan
         10 run 10 /bin/app
         30 run 11 /bin/app
         80 exit 10
         200",
        "75 firing app: app (10): 1m 5s old, maximum 1m
         80 resolved app: app (10); over after 9.9s: exit
         95 firing app: app (11): 1m 5s old, maximum 1m",
    );
    assert!(!world.asked.iter().any(|asked| asked.contains("sampling")), "{:?}", world.asked);
    // A minimal age is judged when it is known: at the end.
    check(
        app(vec![min(Measure::Age, 5.0)]),
        "0 scan
         10 run 10 /bin/app
         12 exit 10
         20 run 11 /bin/app
         25 exit 11",
        "12 firing app: app (10): 2s old, minimum 5s
         12 resolved app: app (10); over after 0s: exit",
    );
}

#[test]
fn who_slept_for_long_used_nothing_until_the_last_sample() {
    check(
        app(vec![max(Measure::Cpu, 0.5)]),
        "0 scan
         0 run 10 /bin/app
         1 use 10 cpu=100
         1 sample
         2 sample
         60 sample
         61 use 10 cpu=800
         61 sample
         62 sample
         90 sample
         90.5 exit 10 cpu=1600
         91 sample
         92 sample",
        "61 firing app: 0.7 cores of CPU, maximum 0.5 cores; most by 10 (app): 0.7 cores
         62 resolved app: 0 cores of CPU, maximum 0.5 cores; healthy again after 1s
         91 firing app: 0.8 cores of CPU, maximum 0.5 cores
         92 resolved app: 0 cores of CPU, maximum 0.5 cores; healthy again after 1s",
    );
}

#[test]
fn an_account_that_a_sample_came_before_counts_in_the_next_interval() {
    check(
        app(vec![max(Measure::Cpu, 0.5)]),
        "0 have 11 /bin/app
         0 scan
         0 run 10 /bin/app
         1 sample
         60 sample
         61 sample
         60.9@61.01 exit 10 cpu=700
         62 sample",
        "62 firing app: 0.7 cores of CPU, maximum 0.5 cores",
    );
}

#[test]
fn who_leaves_and_comes_back_does_not_bring_along_what_it_used_outside() {
    check(
        app(vec![max(Measure::Cpu, 1.2)]),
        "0 have 11 /bin/app
         0 scan
         0 run 10 /bin/app
         1 sample
         1.5 exec 10 /bin/sh
         100 sample
         101 use 10 cpu=100000
         101.5 exec 10 /bin/app
         102 sample",
        "",
    );
}

#[derive(Clone, Debug)]
enum Act {
    Use { who: u32, cpu_ms: u64, rss_mib: u64, threads: u32 },
    Exec { who: u32, member: bool },
    Exit { who: u32 },
    Sample,
    Rest { millis: u64 },
}

fn act() -> impl Strategy<Value = Act> {
    let who = 0..4_u32;
    prop_oneof![
        4 => (who.clone(), 0..900_u64, 0..90_u64, 1..4_u32)
            .prop_map(|(who, cpu_ms, rss_mib, threads)| Act::Use { who, cpu_ms, rss_mib, threads }),
        1 => (who.clone(), any::<bool>()).prop_map(|(who, member)| Act::Exec { who, member }),
        1 => who.prop_map(|who| Act::Exit { who }),
        6 => Just(Act::Sample),
        1 => (0..3_000_u64).prop_map(|millis| Act::Rest { millis }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn rows_of_sleepers_may_be_left_out(acts in prop::collection::vec(act(), 0..100)) {
        let bounds = vec![
            max(Measure::Cpu, 0.7),
            max(Measure::Cpu, 0.4).each(),
            max(Measure::Memory, 120.0 * world::MIB),
            max(Measure::Threads, 6.0),
        ];
        let mut script = "0 have 10 /bin/app\n 0 have 11 /bin/app\n 0 scan\n".to_owned();
        // Who plays the four roles; who ends is followed by another.
        let mut cast = [10_u32, 11, 0, 0];
        let mut cpu = [0_u64; 4];
        let (mut millis, mut next) = (0, 100);
        for act in acts {
            millis += 250;
            let at = format!("{}.{:03}", millis / 1000, millis % 1000);
            let line = match act {
                Act::Use { who, cpu_ms, rss_mib, threads } => {
                    let role = who as usize;
                    if cast[role] == 0 {
                        (cast[role], cpu[role], next) = (next, 0, next + 1);
                        writeln!(script, "{at} run {} /bin/app", cast[role]).unwrap();
                    }
                    cpu[role] += cpu_ms;
                    format!("use {} cpu={} rss={rss_mib} threads={threads}", cast[role], cpu[role])
                }
                Act::Exec { who, member } if cast[who as usize] != 0 => {
                    format!("exec {} {}", cast[who as usize], if member { "/bin/app" } else { "/bin/sh" })
                }
                Act::Exit { who } if cast[who as usize] != 0 => {
                    let role = who as usize;
                    format!("exit {} cpu={}", std::mem::take(&mut cast[role]), cpu[role] + 300)
                }
                Act::Sample => "sample".to_owned(),
                Act::Rest { millis: rest } => {
                    millis += rest;
                    continue;
                }
                Act::Exec { .. } | Act::Exit { .. } => continue,
            };
            writeln!(script, "{at} {line}").unwrap();
        }
        let play = |glances: bool| {
            let mut world = World::new(settings(), vec![app(bounds.clone())]);
            world.glances = glances;
            world.play(&script);
            world.story()
        };
        prop_assert_eq!(play(true), play(false), "{}", script);
    }
}
