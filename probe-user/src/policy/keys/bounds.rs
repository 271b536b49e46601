//! The keys of a group's bounds: the same for every measure but for the kind of its limits and two keys that not all
//! have. What the bounds of jobs, logs, the host and peers share with them is here too.

use super::{host, job, log, peers};
use crate::policy::spec::Measure;
use crate::yaml::keys::{Choice, Form, Key, Kind, Table};
use crate::yaml::units;

pub(super) const FOR: Key = Key::new(
    "for",
    Kind::Form(&units::DURATION),
    "Fires only after it was breached for so long (default 0s: at once).",
);
pub(super) const KEEP: Key = Key::new(
    "keep_firing_for",
    Kind::Form(&units::DURATION),
    "Stays firing for so long after the last breach (default 0s).",
);
const WITHIN: Key =
    Key::required("within", Kind::Form(&units::DURATION), "Length of the window: what happened in it is counted.");
pub(super) const SEVERITY: Key = Key::new("severity", Kind::Choice(&SEVERITIES), "How bad it is (default warning).");
const PER: Key = Key::new("per", Kind::Choice(&PER_WORDS), "Of what the bound is judged (default group).");
const NO_WITHIN: Key = Key::elsewhere(
    "within",
    "only starts, exits, failures and oom_kills are counted within a window; `for` says how long",
);
const AGE_PER: Key = Key::new("per", Kind::Choice(&AGE_PER_WORDS), "`age` is always judged for each process.");
const NO_PER: Key = Key::elsewhere("per", "this measure is about the group as a whole");

/// The words of `severity`, as [`crate::event::Severity`] has them.
pub const SEVERITIES: [Choice; 3] = [
    Choice::new("info", "Worth knowing."),
    Choice::new("warning", "Worth looking at."),
    Choice::new("critical", "Worth waking someone."),
];

/// The words of `per`.
pub const PER_WORDS: [Choice; 2] =
    [Choice::new("group", "Of the sum over the group."), Choice::new("process", "Of each process by itself.")];

/// The words of `per` where only one makes sense.
pub const AGE_PER_WORDS: [Choice; 1] = [Choice::new("process", "Of each process by itself.")];

pub(super) const MIN: &str = "Less is a breach; the value itself is healthy.";
pub(super) const MAX: &str = "More is a breach; the value itself is healthy.";
pub(super) const CLEAR_BELOW: &str = "Once firing, a `max` is healthy again only from here down.";
pub(super) const CLEAR_ABOVE: &str = "Once firing, a `min` is healthy again only from here up.";

/// The keys of a bound whose limits are of one kind, and the two keys that not every measure has.
const fn bound_keys(limit: Kind, within: Key, per: Key) -> [Key; 9] {
    [
        Key::new("min", limit, MIN),
        Key::new("max", limit, MAX),
        FOR,
        within,
        KEEP,
        Key::new("clear_below", limit, CLEAR_BELOW),
        Key::new("clear_above", limit, CLEAR_ABOVE),
        per,
        SEVERITY,
    ]
}

pub(super) const fn bound(what: &'static str, example: &'static str, keys: &'static [Key]) -> Table {
    Table { what, doc: "One or both of `min` and `max`, and when they count.", example, keys, one_of: &["min", "max"] }
}

/// Largest count in a bound; every one is exact as a float.
pub const COUNT_MAX: u32 = 1_000_000_000;
pub(super) const COUNT: Kind = Kind::Whole(0, COUNT_MAX);

/// What a measure's key holds: one bound or a list.
pub(super) const COUNT_BOUNDS: Kind = Kind::OneOrMany(&Kind::Table(&COUNT_BOUND));
pub(super) const THREADS_BOUNDS: Kind = Kind::OneOrMany(&Kind::Table(&THREADS_BOUND));
pub(super) const CPU_BOUNDS: Kind = Kind::OneOrMany(&Kind::Table(&CPU_BOUND));
pub(super) const MEMORY_BOUNDS: Kind = Kind::OneOrMany(&Kind::Table(&MEMORY_BOUND));
pub(super) const RATE_BOUNDS: Kind = Kind::OneOrMany(&Kind::Table(&RATE_BOUND));
pub(super) const WINDOW_BOUNDS: Kind = Kind::OneOrMany(&Kind::Table(&WINDOW_BOUND));
pub(super) const AGE_BOUNDS: Kind = Kind::OneOrMany(&Kind::Table(&AGE_BOUND));

static COUNT_BOUND: Table =
    bound("a bound on `count`", "{ min: 2, max: 64, for: 10s }", &bound_keys(COUNT, NO_WITHIN, NO_PER));
static THREADS_BOUND: Table = bound("a bound on `threads`", "{ max: 200 }", &bound_keys(COUNT, NO_WITHIN, PER));
static CPU_BOUND: Table =
    bound("a bound on CPU time", "{ max: 1.5 cores, for: 30s }", &bound_keys(Kind::Form(&CORES), NO_WITHIN, PER));
static MEMORY_BOUND: Table =
    bound("a bound on `memory`", "{ max: 2GiB, for: 1m }", &bound_keys(Kind::Form(&MEMORY), NO_WITHIN, PER));
static RATE_BOUND: Table = bound(
    "a bound on storage traffic",
    "{ max: 10MiB/s, for: 1m }",
    &bound_keys(Kind::Form(&units::RATE), NO_WITHIN, PER),
);
static WINDOW_BOUND: Table =
    bound("a bound on a counted measure", "{ max: 5, within: 1m }", &bound_keys(COUNT, WITHIN, NO_PER));
const ONLY_GROWS: &str = "an age only grows: the alarm is over when the process ends, and not before";

static AGE_BOUND: Table = bound(
    "a bound on `age`",
    "{ max: 1d }",
    &[
        Key::new("min", Kind::Form(&units::DURATION), MIN),
        Key::new("max", Kind::Form(&units::DURATION), MAX),
        FOR,
        AGE_PER,
        SEVERITY,
        NO_WITHIN,
        Key::elsewhere("keep_firing_for", ONLY_GROWS),
        Key::elsewhere("clear_below", ONLY_GROWS),
        Key::elsewhere("clear_above", ONLY_GROWS),
    ],
);

/// A limit on `cpu` and `cpu_wait`.
pub const CORES: Form = Form {
    what: "an amount of CPU with its unit",
    pattern: Some(r"^[0-9]+(\.[0-9]+)?( ?cores?| ?% host)$"),
    examples: &["1.5 cores", "25% host"],
};
/// A limit on `memory`.
pub const MEMORY: Form = Form {
    what: "an amount of memory with its unit",
    pattern: Some(r"^[0-9]+(\.[0-9]+)?( ?(B|[KMGT]iB|[kKMGT]B)| ?% host)$"),
    examples: &["512MiB", "2GiB", "25% host"],
};

/// The table of a measure's bounds.
pub fn bound_table(measure: Measure) -> &'static Table {
    match measure {
        Measure::Count => &COUNT_BOUND,
        Measure::Threads => &THREADS_BOUND,
        Measure::Cpu | Measure::CpuWait => &CPU_BOUND,
        Measure::Memory => &MEMORY_BOUND,
        Measure::Read | Measure::Write => &RATE_BOUND,
        Measure::Starts | Measure::Exits | Measure::Failures | Measure::OomKills => &WINDOW_BOUND,
        Measure::Age => &AGE_BOUND,
        Measure::Runs => &job::RUNS_BOUND,
        Measure::Duration => &job::DURATION_BOUND,
        Measure::Lines => &log::LINES_BOUND,
        Measure::HostCpu => &host::CPU_BOUND,
        Measure::Load => &host::LOAD_BOUND,
        Measure::MemoryAvailable | Measure::SwapUsed => &host::MEMORY_BOUND,
        Measure::DiskFree => &host::DISK_BOUND,
        Measure::InodesFree => &host::INODES_BOUND,
        Measure::Processes => &host::PROCESSES_BOUND,
        Measure::PressureCpu | Measure::PressureMemory | Measure::PressureIo => &host::PRESSURE_BOUND,
        Measure::NetworkReceive | Measure::NetworkTransmit => &host::NETWORK_BOUND,
        Measure::Alive | Measure::Down | Measure::AgentsDown => &peers::PEER_BOUND,
    }
}
