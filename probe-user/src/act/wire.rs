//! What daemon and helper say to each other: one line of JSON each. Both are the same program; nothing else speaks it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::Order;
use crate::policy::spec::{ActionKind, User};
use crate::record::{Acted, ExitStatus, Outcome};

/// An order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ask {
    pub(super) order: u64,
    pub(super) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum What {
    Run(Program),
    Signal(Aim),
}

/// A program to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Program {
    pub(super) argv: Vec<String>,
    pub(super) user: Option<Who>,
    pub(super) timeout: Duration,
    /// Names in full.
    pub(super) environment: Vec<(String, String)>,
}

/// Who runs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Who {
    Name(String),
    Uid(u32),
}

/// Processes to signal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Aim {
    pub(super) signal: u8,
    pub(super) then_kill_after: Option<Duration>,
    /// Pid, and the CLOCK_BOOTTIME ns at which it started.
    pub(super) targets: Vec<(u32, u64)>,
}

/// What became of an order; [`Outcome`] as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Answer {
    Ran { code: Option<u8>, signal: Option<u8>, core_dumped: bool, timed_out: bool, took_ns: u64, output: String },
    Signalled { pids: Vec<u32>, killed: Vec<u32>, left: Vec<u32>, gone: Vec<u32> },
    Failed { why: String },
}

/// An order as a line.
pub(super) fn ask(order: &Order) -> serde_json::Result<String> {
    let what = match &order.action.kind {
        ActionKind::Run { argv, user, timeout } => What::Run(Program {
            argv: argv.iter().map(ToString::to_string).collect(),
            user: user.as_ref().map(|user| match user {
                User::Name(name) => Who::Name(name.to_string()),
                User::Uid(uid) => Who::Uid(*uid),
            }),
            timeout: *timeout,
            environment: order.facts.iter().map(|(name, value)| (format!("PROCPROBE_{name}"), value.clone())).collect(),
        }),
        ActionKind::Signal { signal, then_kill_after } => What::Signal(Aim {
            signal: *signal,
            then_kill_after: *then_kill_after,
            targets: order.targets.iter().map(|target| (target.key.tgid, target.start_boot_ns)).collect(),
        }),
    };
    line(&Ask { order: order.number, what })
}

/// Anything as a line.
pub(super) fn line(value: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string(value).map(|line| line + "\n")
}

/// What an answer says.
pub(super) fn answer(line: &str) -> serde_json::Result<Acted> {
    let (order, answer) = serde_json::from_str::<(u64, Answer)>(line)?;
    let outcome = match answer {
        Answer::Ran { code, signal, core_dumped, timed_out, took_ns, output } => {
            let status =
                code.map(ExitStatus::Code).or_else(|| signal.map(|number| ExitStatus::Signal { number, core_dumped }));
            Outcome::Ran { status, timed_out, took_ns, output: output.into() }
        }
        Answer::Signalled { pids, killed, left, gone } => Outcome::Signalled { pids, killed, left, gone },
        Answer::Failed { why } => Outcome::Failed { why: why.into() },
    };
    Ok(Acted { order, outcome })
}
