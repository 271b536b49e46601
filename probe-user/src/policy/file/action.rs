//! Reads an action: a program that is run as it is written, never through a shell, or a signal.

use std::sync::Arc;
use std::time::Duration;

use super::destination::rate;
use super::job::read_signal;
use super::{Draft, Origin, body};
use crate::policy::keys::{ACTION, ARGUMENT, USER_FORM};
use crate::policy::matching::user;
use crate::policy::spec::{Action, ActionKind};
use crate::yaml::{Decoder, Entry, Fields, Node, Value};

/// How long a program may run where nothing is said.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The most that can be said: what runs longer is no answer to an alarm.
const TIMEOUT_MAX: Duration = Duration::from_hours(24);
/// The last one that is not a real-time signal.
const SIGNAL_MAX: u8 = 31;
/// SIGKILL, after which nothing else is needed.
const KILL: u8 = 9;

/// An action as its file declares it.
pub(super) fn read<'s>(d: &mut Decoder<'_>, origin: Origin<'s>, entry: &Entry) -> Option<Draft<'s, Action>> {
    let node = body(entry);
    let fields = d.fields(&node, &ACTION)?;
    let action = Action {
        name: Arc::from(&*entry.key),
        declared: origin.source.declared(entry.span),
        kind: kind(d, &fields),
        max_runs: rate(d, &fields, "max_runs"),
    };
    Some(origin.draft(entry.span, action))
}

/// What is done. An action that is wrong is one all the same, so that others may name it.
fn kind(d: &mut Decoder<'_>, fields: &Fields<'_>) -> ActionKind {
    let misplaced = |d: &mut Decoder<'_>, name: &str, help: &str| {
        if let Some(entry) = fields.entry(name) {
            d.error_help(entry.span, format!("`{name}` cannot be given here"), help);
        }
    };
    if let Some(node) = fields.get("signal") {
        for name in ["as", "timeout"] {
            misplaced(d, name, "it belongs to an action that has `run`");
        }
        misplaced(d, "run", "an action runs a program or sends a signal: make it two");
        let signal = read_signal(d, node);
        if signal.is_some_and(|signal| signal > SIGNAL_MAX) {
            d.error_help(node.span, "real-time signals cannot be sent", "a signal from 1 to 31, such as TERM or HUP");
        }
        let then_kill_after = fields.get("then_kill_after").and_then(|node| d.some_duration(node));
        if signal == Some(KILL) {
            misplaced(d, "then_kill_after", "nothing outlives KILL: leave it out, or send TERM first");
        }
        return ActionKind::Signal { signal: signal.unwrap_or(15), then_kill_after };
    }
    misplaced(d, "then_kill_after", "it belongs to an action that has `signal`; a program is killed after `timeout`");
    let argv = fields.get("run").map(|node| argv(d, node)).unwrap_or_default();
    let as_user = fields.get("as").and_then(|node| d.form(node, &USER_FORM, user));
    let timeout = fields.get("timeout").and_then(|node| {
        let timeout = d.some_duration(node)?;
        if timeout > TIMEOUT_MAX {
            d.error(node.span, "the longest `timeout` of an action is 1d");
        }
        Some(timeout)
    });
    ActionKind::Run { argv, user: as_user, timeout: timeout.unwrap_or(TIMEOUT) }
}

fn argv(d: &mut Decoder<'_>, node: &Node) -> Vec<Arc<str>> {
    if let Value::Scalar(scalar) = &node.value
        && !node.is_nothing()
    {
        let words: Vec<String> = scalar.text.split_whitespace().map(|word| word.escape_debug().to_string()).collect();
        let help = format!("no shell reads it: write run: [{}]", words.join(", "));
        d.wrong(node, "a list of the program and its arguments", &help);
        return Vec::new();
    }
    let mut argv = Vec::new();
    for (index, item) in d.list(node).iter().enumerate() {
        // An empty argument is one; YAML has it in quotes.
        argv.extend(d.form(item, &ARGUMENT, |text| {
            if text.contains('\0') {
                return Err("a program's arguments have no NUL in them".to_owned());
            }
            if index == 0 {
                program(text)?;
            }
            Ok(Arc::from(text))
        }));
    }
    argv
}

/// An absolute path, or a name that is looked for in the PATH.
fn program(text: &str) -> Result<(), String> {
    match text {
        "" => Err("the program comes first".to_owned()),
        _ if text.contains('/') && !text.starts_with('/') => {
            Err("a daemon has no folder of its own to start from: give the program's absolute path, or its name"
                .to_owned())
        }
        _ if text.contains(char::is_whitespace) && !text.starts_with('/') => {
            Err("the program and each argument are items of their own: [systemctl, restart, nginx]".to_owned())
        }
        _ => Ok(()),
    }
}
