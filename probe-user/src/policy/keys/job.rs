//! The keys of a job.

use super::bounds::{self, COUNT, MAX, MIN, SEVERITY};
use super::response::{ACT, MODE, NOTIFY, REPEAT, SIGNAL};
use super::selector::{EXCEPT, MATCH, ONLY_IF};
use crate::yaml::keys::{Choice, Form, Key, Kind, Table};
use crate::yaml::units;

/// One job.
pub static JOB: Table = Table {
    what: "a job",
    doc: "Cron or batch work and what must hold of its runs. A run is a process that matches, with all its descendants.",
    example: "{ match: { args: \"backup\\\\.sh\" }, schedule: \"0 2 * * *\" }",
    keys: &[
        Key::required("match", Kind::Table(&MATCH), "What starts a run: all given fields must match."),
        Key::new("except", Kind::Table(&EXCEPT), "What is taken out again: a process that all given fields match."),
        ONLY_IF,
        Key::new(
            "schedule",
            Kind::Form(&SCHEDULE),
            "When it is to run: a cron expression of five fields, or @hourly, @daily and the like (default: whenever).",
        ),
        Key::new("timezone", Kind::Form(&ZONE), "Time zone of the schedule (default: the host's)."),
        Key::new(
            "start_within",
            Kind::Form(&units::DURATION),
            "A run counts for a scheduled time when it starts at most so long after it (default 5m, or the shortest time \
             between two scheduled ones if that is less).",
        ),
        Key::new(
            "duration",
            Kind::OneOrMany(&Kind::Table(&DURATION_BOUND)),
            "How long a run takes; more than `max` is an alarm while it still runs.",
        ),
        Key::new(
            "runs",
            Kind::OneOrMany(&Kind::Table(&RUNS_BOUND)),
            "Runs for each scheduled time (default: at least 1), or within a window where there is no schedule.",
        ),
        Key::new(
            "success",
            Kind::Table(&SUCCESS),
            "Which ends are good (default: exit code 0); any other is an alarm.",
        ),
        Key::new("overlap", Kind::Choice(&OVERLAPS), "Whether a run may start while another one runs (default allow)."),
        REPEAT,
        NOTIFY,
        ACT,
        MODE,
        Key::elsewhere("severity", "it belongs to a bound: runs: { min: 1, severity: critical }"),
        Key::elsewhere("cron", "write `schedule: \"0 2 * * *\"`"),
        Key::elsewhere("exit_codes", "it belongs to `success`: success: { exit_codes: [0, 2] }"),
        Key::elsewhere("max", "it belongs to a measure: duration: { max: 2h }"),
        Key::elsewhere("min", "it belongs to a measure: runs: { min: 1 }"),
        Key::elsewhere("include_children", "all descendants of a job's process belong to its run"),
        Key::elsewhere("exe", "it belongs to `match`: match: { exe: /usr/local/bin/backup }"),
        Key::elsewhere("args", "it belongs to `match`: match: { args: \"backup\\\\.sh\" }"),
        Key::elsewhere("user", "it belongs to `match`: match: { user: backup }"),
    ],
    one_of: &[],
};

const NO_HYSTERESIS: &str = "a run is judged once: there is nothing to go up and down";
const RUN_ONCE: &str = "a run is judged once, as soon as it is too long or too short";
const NO_PER: &str = "it is always judged for each run";

/// `duration`
pub(super) static DURATION_BOUND: Table = bounds::bound(
    "a bound on `duration`",
    "{ max: 2h }",
    &[
        Key::new("min", Kind::Form(&units::DURATION), MIN),
        Key::new("max", Kind::Form(&units::DURATION), MAX),
        SEVERITY,
        Key::elsewhere("for", RUN_ONCE),
        Key::elsewhere("within", RUN_ONCE),
        Key::elsewhere("keep_firing_for", RUN_ONCE),
        Key::elsewhere("clear_below", NO_HYSTERESIS),
        Key::elsewhere("clear_above", NO_HYSTERESIS),
        Key::elsewhere("per", NO_PER),
    ],
);

const COUNTED_ONCE: &str = "runs are counted for each scheduled time, or within a window";

/// `runs`
pub(super) static RUNS_BOUND: Table = bounds::bound(
    "a bound on `runs`",
    "{ min: 1, max: 1 }",
    &[
        Key::new("min", COUNT, MIN),
        Key::new("max", COUNT, MAX),
        Key::new(
            "within",
            Kind::Form(&units::DURATION),
            "Length of the window, for a job without a schedule: what started in it is counted.",
        ),
        SEVERITY,
        Key::elsewhere("for", COUNTED_ONCE),
        Key::elsewhere("keep_firing_for", COUNTED_ONCE),
        Key::elsewhere("clear_below", COUNTED_ONCE),
        Key::elsewhere("clear_above", COUNTED_ONCE),
        Key::elsewhere("per", COUNTED_ONCE),
    ],
);

/// `success`
pub static SUCCESS: Table = Table {
    what: "`success`",
    doc: "Which ends of a run are good; any other is an alarm.",
    example: "{ exit_codes: [0] }",
    keys: &[
        Key::new("exit_codes", Kind::OneOrMany(&Kind::Whole(0, 255)), "Good exit codes (default 0)."),
        Key::new("signals", Kind::OneOrMany(&Kind::Form(&SIGNAL)), "Signals whose kill is good (default: none)."),
        Key::new("severity", Kind::Choice(&bounds::SEVERITIES), "How bad another end is (default warning)."),
    ],
    one_of: &["exit_codes", "signals", "severity"],
};

/// The words of `overlap`.
pub const OVERLAPS: [Choice; 2] =
    [Choice::new("allow", "It may."), Choice::new("forbid", "That is an alarm until only one runs.")];

/// `schedule`
pub const SCHEDULE: Form = Form {
    what: "a cron expression of five fields",
    pattern: None,
    examples: &["0 2 * * *", "*/15 * * * 1-5", "@daily"],
};
/// `timezone`
pub const ZONE: Form = Form { what: "a time zone", pattern: None, examples: &["Asia/Seoul", "UTC", "Europe/Berlin"] };
