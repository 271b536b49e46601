//! The keys of a log.

use super::bounds::{self, COUNT, FOR, KEEP, MAX, MIN, SEVERITY};
use super::response::{ACT, MODE, NOTIFY, REPEAT};
use super::selector::ONLY_IF;
use crate::yaml::keys::{Form, Key, Kind, Table};
use crate::yaml::units;

/// One log.
pub static LOG: Table = Table {
    what: "a log",
    doc: "Lines of some files and what must hold of them. A line matches when a keyword or an expression is found in it.",
    example: "{ path: /var/log/app/*.log, any: [OutOfMemoryError], lines: { max: 0, within: 1m } }",
    keys: &[
        Key::required(
            "path",
            Kind::OneOrMany(&Kind::Form(&LOG_PATH)),
            "Pattern on the files' absolute paths; rotated, truncated and new files are followed.",
        ),
        Key::new("any", Kind::OneOrMany(&Kind::Form(&KEYWORD)), "Literal keywords: a line with any of them matches."),
        Key::new(
            "regex",
            Kind::OneOrMany(&Kind::Form(&LOG_REGEX)),
            "Regular expressions: a line in which any of them is found matches.",
        ),
        Key::new(
            "ignore",
            Kind::OneOrMany(&Kind::Form(&KEYWORD)),
            "Literal keywords: a line with any of them does not match.",
        ),
        ONLY_IF,
        Key::new("lines", Kind::OneOrMany(&Kind::Table(&LINES_BOUND)), "Matching lines within a window."),
        Key::new(
            "quiet",
            Kind::Form(&units::DURATION),
            "After an alarm nothing of this log is told for so long, then one summary (default: everything is told).",
        ),
        REPEAT,
        NOTIFY,
        ACT,
        MODE,
        Key::elsewhere("match", "a log is matched by `any` (literal keywords) and `regex`"),
        Key::elsewhere("all", "a line with one of several keywords is `any`; both in one line is regex: 'a.*b|b.*a'"),
        Key::elsewhere("severity", "it belongs to a bound: lines: { max: 0, within: 1m, severity: critical }"),
        Key::elsewhere("within", "it belongs to a bound: lines: { max: 0, within: 1m }"),
        Key::elsewhere("max", "it belongs to a measure: lines: { max: 0, within: 1m }"),
        Key::elsewhere("min", "it belongs to a measure: lines: { min: 1, within: 1h }"),
    ],
    one_of: &["any", "regex"],
};

/// `lines`
pub(super) static LINES_BOUND: Table = bounds::bound(
    "a bound on `lines`",
    "{ max: 0, within: 1m }",
    &[
        Key::new("min", COUNT, MIN),
        Key::new("max", COUNT, MAX),
        Key::required(
            "within",
            Kind::Form(&units::DURATION),
            "Length of the window: lines that came in it are counted.",
        ),
        FOR,
        KEEP,
        Key::new("clear_below", COUNT, bounds::CLEAR_BELOW),
        Key::new("clear_above", COUNT, bounds::CLEAR_ABOVE),
        SEVERITY,
        Key::elsewhere("per", "lines are counted over all files of the log"),
    ],
);

/// `path` of a log
pub const LOG_PATH: Form = Form {
    what: "a pattern on an absolute path",
    pattern: Some("^/"),
    examples: &["/var/log/app/*.log", "/var/log/syslog"],
};
/// One of `any` or `ignore`
pub const KEYWORD: Form = Form { what: "a keyword", pattern: None, examples: &["OutOfMemoryError", "ORA-"] };
/// One of `regex`
pub const LOG_REGEX: Form =
    Form { what: "a regular expression on a line", pattern: None, examples: &["status=5[0-9][0-9]"] };
