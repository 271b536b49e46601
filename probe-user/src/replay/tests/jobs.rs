//! Runs of jobs: how near their bounds came, and what can be suggested from them.

use super::*;

const JOB: &str = "jobs:\n  j:\n    match: { exe: /usr/sbin/nginx }\n    success: { exit_codes: [0, 1] }\n    ";

/// Runs one after the other, begun so long after the beginning, of so many seconds, with an exit status.
fn runs(runs: &[(u64, u64, i32)], until: u64) -> Vec<u8> {
    let mut tape = Tape::new(&[]);
    for ((begin, lasts, status), pid) in runs.iter().zip(10..) {
        let run = tape.start(BEGAN + begin, pid);
        tape.drain(BEGAN + begin);
        tape.exit(BEGAN + begin + lasts, run, *status);
        tape.drain(BEGAN + begin + lasts);
    }
    tape.end(BEGAN + until)
}

/// The summary of the bounds of a job, by their names.
#[track_caller]
fn check_bounds(file: &[u8], bounds: &str, expected: &[(&str, Value)]) {
    let (_, outcome) = run_policies(file, &format!("{JOB}{bounds}\n"), false);
    check_summary(&outcome, expected);
}

#[test]
fn bounds_on_durations_say_how_near_they_came() {
    let file = runs(&[(10, 30, 0), (100, 90, 0), (200, 300, 0), (600, 119, 1 << 8)], 800);
    check_bounds(
        &file,
        "duration: { min: 1m, max: 2m }",
        &[
            ("bounds/0/name", "j.duration.min".into()),
            ("bounds/0/fired", 1.into()),
            ("bounds/0/lowest/value", 30.0.into()),
            ("bounds/0/nearest_miss/value", 90.0.into()),
            ("bounds/0/nearest_miss/at", "2026-11-21T22:03:10.000000000Z".into()),
            ("bounds/1/name", "j.duration.max".into()),
            ("bounds/1/fired", 1.into()),
            // From two minutes on, of which the very moment is still healthy.
            ("bounds/1/total_seconds", 179.999_999.into()),
            ("bounds/1/nearest_miss/value", 119.0.into()),
            ("bounds/1/highest/value", 300.0.into()),
            ("bounds/1/limit", 120.0.into()),
        ],
    );
}

#[test]
fn a_run_that_goes_on_at_the_end_is_in_breach_or_unknown() {
    let mut tape = Tape::new(&[]);
    tape.start(BEGAN + 10, 10);
    let file = tape.end(BEGAN + 100);
    let (_, outcome) = run_policies(&file, &format!("{JOB}duration: [{{ max: 1m }}, {{ max: 2m }}]\n"), false);
    let lines = outcome.summary.lines();
    assert_eq!(lines[0][1], "1 x, firing at the end");
    assert_eq!(lines[0][4], "every value was in breach");
    assert_eq!((&*lines[1][1], &*lines[1][4]), ("never", "no value"));
}

#[test]
fn bounds_on_runs_say_how_near_they_came() {
    let file = runs(&[(10, 1, 0), (100, 1, 0), (200, 1, 0), (600, 1, 0)], 800);
    check_bounds(
        &file,
        "runs: [{ max: 2, within: 5m }, { min: 1, within: 7m }]",
        &[
            ("bounds/0/name", "j.runs.max".into()),
            ("bounds/0/fired", 1.into()),
            ("bounds/0/total_seconds", 110.0.into()),
            ("bounds/0/nearest_miss/value", 2.0.into()),
            ("bounds/0/highest/value", 3.0.into()),
            ("bounds/1/fired", 0.into()),
            ("bounds/1/nearest_miss/value", 1.0.into()),
        ],
    );
    // 22:00 UTC is second 0 of the recording.
    check_bounds(
        &file,
        "schedule: '*/5 * * * *'\n    timezone: UTC\n    start_within: 4m\n    runs: { max: 1 }",
        &[
            ("bounds/0/name", "j.runs.max".into()),
            ("bounds/0/fired", 1.into()),
            ("bounds/0/highest/value", 3.0.into()),
            ("bounds/0/nearest_miss/value", 1.0.into()),
            ("bounds/1/name", "j.runs.min".into()),
            // Of 22:05, the second time; the first one was under way when the recording began.
            ("bounds/1/fired", 1.into()),
            ("bounds/1/lowest/value", 0.0.into()),
            ("bounds/1/nearest_miss/value", 1.0.into()),
        ],
    );
}

#[test]
fn durations_are_suggested_from_runs_that_ended_well() {
    let suggested = |file: &[u8]| {
        let (_, outcome) = run_policies(file, &format!("{JOB}runs: {{ min: 1, within: 1d }}\n"), true);
        suggest::suggest(&outcome.summary, outcome.history.as_ref().unwrap(), "web-1").unwrap()
    };
    let yaml = suggested(&runs(&[(10, 30, 0), (100, 90, 1 << 8), (200, 900, 9)], 4000));
    let expected = "jobs:\n  j:\n    duration: { max: 135s }  # 2 runs, 30s to 1m 30s\n";
    assert!(yaml.ends_with(expected) && !yaml.contains("groups:"), "{yaml}");
    let yaml = suggested(&runs(&[(10, 1000, 0)], 4000));
    assert!(yaml.ends_with("    duration: { max: 25m }  # 1 run, 16m 40s to 16m 40s\n"), "{yaml}");
    let yaml = suggested(&runs(&[(200, 900, 9)], 4000));
    assert!(yaml.ends_with("  j:\n    # duration: no run ended well\n"), "{yaml}");
}
