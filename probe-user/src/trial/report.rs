//! What `procprobe test` says, in words.

use std::fmt::Write as _;
use std::time::Duration;

use super::{Failure, Outcome};
use crate::event::clean;
use crate::policy::spec::Happening;
use crate::record::ExitStatus;
use crate::signal;

/// One line for each test, what went wrong below it, and how many there were.
pub fn text(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        let verdict = if outcome.passed { "ok  " } else { "FAIL" };
        let _ = writeln!(text, "{verdict}  {}  ({})", clean(&outcome.name), outcome.declared);
        if let Some(error) = &outcome.error {
            let _ = writeln!(text, "      {}", clean(error));
        }
        for failure in &outcome.failures {
            tell(&mut text, failure);
        }
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.passed).count();
    let tests = outcomes.len();
    let plural = if tests == 1 { "" } else { "s" };
    let _ = match failed {
        0 if tests == 0 => write!(text, "0 tests: these files have none; `tests` in a policy file holds some"),
        0 => write!(text, "{tests} test{plural}: all passed"),
        _ => write!(text, "{tests} test{plural}: {failed} failed"),
    };
    text
}

fn tell(text: &mut String, failure: &Failure) {
    let at = moment(failure.at);
    let _ = writeln!(text, "      at {at}, {} ({}):", failure.what, failure.declared);
    let rows = failure.expected.len().max(failure.seen.len()).max(1);
    let cell = |cells: &[String], row: usize| match cells.get(row) {
        Some(cell) => cell.clone(),
        None if row == 0 => "(none)".to_owned(),
        None => String::new(),
    };
    let left: Vec<String> = (0..rows).map(|row| cell(&failure.expected, row)).collect();
    let width = left.iter().map(|cell| cell.chars().count()).max().unwrap_or(0).max("expected".len());
    let _ = writeln!(text, "        {:<width$}   seen", "expected");
    for (row, left) in left.iter().enumerate() {
        let line = format!("        {left:<width$}   {}", cell(&failure.seen, row));
        let _ = writeln!(text, "{}", line.trim_end());
    }
    if !failure.timeline.is_empty() {
        text.push_str("      until then:\n");
        let width = failure.timeline.iter().map(|line| moment(line.at).len()).max().unwrap_or(0);
        for line in &failure.timeline {
            let _ = writeln!(text, "        {:>width$}  {}", moment(line.at), line.text);
        }
    }
}

/// `1h0m5s` as people write it: whole units, milliseconds where there are any.
fn moment(at: Duration) -> String {
    let (seconds, millis) = (at.as_secs(), at.subsec_millis());
    let parts = [
        (seconds / 86_400, "d"),
        (seconds / 3600 % 24, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
        (u64::from(millis), "ms"),
    ];
    let given = parts.iter().filter(|(number, _)| *number > 0);
    let words = given.fold(String::new(), |words, (number, unit)| format!("{words}{number}{unit}"));
    if words.is_empty() { "0s".to_owned() } else { words }
}

/// A step, as a timeline has it.
pub(super) fn step_text(what: &Happening) -> String {
    let status = |status: &ExitStatus| match status {
        ExitStatus::Code(code) => format!("code {code}"),
        ExitStatus::Signal { number, .. } => signal::name(*number),
    };
    match what {
        Happening::Start { pid, program, .. } => {
            let looks =
                program.as_ref().and_then(|looks| looks.args.as_ref().or(looks.exe.as_ref()).or(looks.comm.as_ref()));
            format!("{pid} starts{}", looks.map(|looks| format!(": {}", clean(looks))).unwrap_or_default())
        }
        Happening::Exec { pid, program } => {
            let looks = program.args.as_ref().or(program.exe.as_ref());
            format!("{pid} executes{}", looks.map(|looks| format!(" {}", clean(looks))).unwrap_or_default())
        }
        Happening::Exit { pid, status: end, oom, .. } => {
            let oom = if *oom { ", chosen by the OOM killer" } else { "" };
            format!("{pid} ends: {}{oom}", status(end))
        }
        Happening::Usage { pid, .. } => format!("{pid} uses something else"),
        Happening::Log { path, line, times } => {
            let often = if *times == 1 { String::new() } else { format!(", {times} times") };
            format!("{} in {}{often}", clean(line), clean(path))
        }
        Happening::Host(_) => "figures of the host change".to_owned(),
        Happening::Peer(step) => {
            let names: Vec<String> = step.names.iter().map(|name| clean(name)).collect();
            format!("{}: {}", names.join(", "), step.standing.as_str())
        }
        Happening::ClockJump(nanos) => {
            let (sign, by) = (if *nanos < 0 { "back" } else { "forward" }, Duration::from_nanos(nanos.unsigned_abs()));
            format!("the clock is set {sign} by {}", moment(by))
        }
        Happening::Suspend(slept) => format!("the host sleeps for {}", moment(*slept)),
        Happening::Lose(count) => format!("{count} records are lost"),
    }
}
