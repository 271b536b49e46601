//! The keys of what an alarm leads to: on whatever has alarms, and the destinations and actions that they name.

use super::NAME;
use crate::yaml::keys::{Choice, Form, Key, Kind, Table};
use crate::yaml::units;

pub(super) const REPEAT: Key = Key::new(
    "repeat",
    Kind::Form(&units::DURATION),
    "A firing alarm is told again after so long, at least 1s (default: never).",
);
pub(super) const NOTIFY: Key = Key::new(
    "notify",
    Kind::OneOrMany(&Kind::Form(&NAME)),
    "Names of the destinations under the file's `notify` that alarms are sent to.",
);
pub(super) const ACT: Key = Key::new(
    "act",
    Kind::OneOrMany(&Kind::Form(&NAME)),
    "Names of the actions under the file's `actions` that are taken when an alarm begins.",
);
pub(super) const MODE: Key = Key::new("mode", Kind::Choice(&MODES), "What becomes of actions (default observe).");

/// The words of `mode`.
pub const MODES: [Choice; 2] = [
    Choice::new("observe", "Reports what an action would have done."),
    Choice::new("enforce", "Does what an action says."),
];

/// A place that alarms are sent to.
pub static DESTINATION: Table = Table {
    what: "a destination",
    doc: "A webhook or an Alertmanager that alarms are sent to.",
    example: "{ webhook: \"https://ops.example/hook\" }",
    keys: &[
        Key::new("webhook", Kind::Form(&URL), "Each alarm's event is posted to this URL as JSON."),
        Key::new(
            "alertmanager",
            Kind::OneOrMany(&Kind::Form(&ALERTMANAGER_URL)),
            "Base URL of an Alertmanager (API v2); of a list every one gets every alarm, as its high availability wants.",
        ),
        Key::new(
            "token_file",
            Kind::Form(&FILE_PATH),
            "A file with the token that is sent as `Authorization: Bearer`; read again when it changes.",
        ),
        Key::new(
            "secret_file",
            Kind::Form(&FILE_PATH),
            "Of a webhook: a file with the key of the HMAC-SHA256 signature.",
        ),
        Key::new("timeout", Kind::Form(&units::DURATION), "How long one request may take, at most 5m (default 10s)."),
        Key::new(
            "max_rate",
            Kind::Form(&RATE),
            "At most so many requests within a time; what is more waits (default: no limit).",
        ),
        Key::new(
            "labels",
            Kind::Named(&LABEL, &Kind::Form(&LABEL_VALUE)),
            "Of an Alertmanager: labels added to every alarm.",
        ),
        Key::elsewhere("url", "write `webhook: URL` or `alertmanager: URL`: it says what speaks there"),
        Key::elsewhere("token", "secrets stand in files of their own: token_file: /etc/procprobe/ops.token"),
        Key::elsewhere("secret", "secrets stand in files of their own: secret_file: /etc/procprobe/ops.key"),
    ],
    one_of: &["webhook", "alertmanager"],
};

/// Something that can be done about an alarm.
pub static ACTION: Table = Table {
    what: "an action",
    doc: "A program that is run, or a signal to the processes in breach.",
    example: "{ run: [systemctl, restart, nginx], timeout: 30s }",
    keys: &[
        Key::new(
            "run",
            Kind::List(&Kind::Form(&ARGUMENT)),
            "The program and its arguments, never a shell's line; the program as an absolute path or a name in the PATH.",
        ),
        Key::new("signal", Kind::Form(&SIGNAL), "Sent to the processes in breach, whose identity is checked first."),
        Key::new("as", Kind::Form(&super::USER_FORM), "Of `run`: the user that runs it (default: the daemon's own)."),
        Key::new(
            "timeout",
            Kind::Form(&units::DURATION),
            "Of `run`: it is killed after so long, with all that it started, at most 1d (default 30s).",
        ),
        Key::new(
            "then_kill_after",
            Kind::Form(&units::DURATION),
            "Of `signal`: SIGKILL after so long for those that still live, if procprobe runs until then (default: never).",
        ),
        Key::new("max_runs", Kind::Form(&RATE), "At most so often within a time (default: at every alarm)."),
        Key::elsewhere("mode", "it belongs to the group, job, log or host whose alarm is acted on"),
        Key::elsewhere("user", "write `as: www-data`"),
        Key::elsewhere("command", "write `run: [systemctl, restart, nginx]`"),
    ],
    one_of: &["run", "signal"],
};

/// URL of a webhook.
pub const URL: Form =
    Form { what: "a URL", pattern: Some("^[Hh][Tt][Tt][Pp][Ss]?://[^@]+$"), examples: &["https://ops.example/hook"] };
/// Base URL of an Alertmanager.
pub const ALERTMANAGER_URL: Form =
    Form { what: "a base URL", pattern: Some("^[Hh][Tt][Tt][Pp][Ss]?://[^@]+$"), examples: &["http://127.0.0.1:9093"] };
/// `token_file` and `secret_file`
pub const FILE_PATH: Form =
    Form { what: "an absolute path", pattern: Some("^/"), examples: &["/etc/procprobe/ops.token"] };
/// `3 per 1h`
pub const RATE: Form = Form {
    what: "a number within a time",
    pattern: Some("^[1-9][0-9]* per [0-9dhms]+$"),
    examples: &["3 per 1h", "60 per 1m"],
};
/// Name of a label.
pub const LABEL: Form =
    Form { what: "a label's name", pattern: Some("^[A-Za-z_][A-Za-z0-9_]*$"), examples: &["team", "cluster"] };
/// Value of a label.
pub const LABEL_VALUE: Form = Form { what: "a label's value", pattern: None, examples: &["databases"] };
/// One of `run`.
pub const ARGUMENT: Form = Form { what: "a program or an argument", pattern: None, examples: &["systemctl"] };
/// `signal`
pub const SIGNAL: Form = Form { what: "a signal", pattern: None, examples: &["TERM", "SIGHUP", "15"] };
