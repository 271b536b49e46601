//! `cargo xtask bench`: what procprobe must reach, measured for real against the release daemon.
//!
//! `measure [--quick] [ROW...]`: prints one line for each figure as it is known, then all of them as a table. Nothing
//! here fails because a figure is bad: machines are noisy, people judge. It fails when something could not be measured.
//! Each row says what else went on: processes started by others while it measured make its figures worse.

mod completeness;
mod cost;
mod delivery;
mod figure;
mod fresh;
mod logs;
mod matching;
mod memory;
mod observe;
mod peers;
mod replay;
mod speed;
mod workload;

use std::error::Error;
use std::process::ExitCode;

use crate::figure::Figure;

type Outcome = Result<Vec<Figure>, Box<dyn Error>>;

/// How long and how often.
#[derive(Clone, Copy)]
struct Effort {
    quick: bool,
}

impl Effort {
    /// The full number, or a tenth of it.
    fn of(self, full: u64) -> u64 {
        if self.quick { (full / 10).max(1) } else { full }
    }
}

/// Name, what is measured, how.
type Row = (&'static str, &'static str, fn(Effort) -> Outcome);

const ROWS: [Row; 14] = [
    ("storm", "short processes, started as fast as two cores can", completeness::storm),
    ("cpu", "CPU time against what the scheduler charged", completeness::cpu),
    ("latency", "exit of a watched process to its alarm on stdout", speed::latency),
    ("attach", "start of the daemon to its first event", speed::attach),
    ("idle", "the daemon's CPU on an idle host, and under a steady pace of processes", cost::cpu),
    ("wakeups", "how often an idle daemon wakes up", cost::wakeups),
    ("workload", "what the host's own work loses", workload::slowdown),
    ("match", "many policies, many processes: the engine alone", matching::many),
    ("replay", "a recording of lives that never were: how fast, how large", replay::speed),
    ("delivery", "events through engine, spool and OTLP to a collector", delivery::rate),
    ("memory", "resident memory before and after many short processes", memory::resident),
    ("peers", "what watching each other costs", peers::member),
    ("logs", "lines of log files held against policies", logs::throughput),
    ("fresh", "first build on a machine that has nothing yet (only when asked for by name)", fresh::build),
];

fn main() -> ExitCode {
    let (flags, wanted): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|word| word.starts_with("--"));
    let unknown = wanted.iter().find(|name| !ROWS.iter().any(|(row, ..)| row == name));
    let unknown = unknown.or_else(|| flags.iter().find(|flag| *flag != "--quick"));
    if let Some(unknown) = unknown {
        let names: Vec<&str> = ROWS.iter().map(|(row, ..)| *row).collect();
        eprintln!("measure: no row or flag {unknown}; rows: {}; flag: --quick", names.join(" "));
        return ExitCode::from(2);
    }
    let effort = Effort { quick: !flags.is_empty() };
    let mut figures = Vec::new();
    let mut failed = false;
    for (name, what, measure) in ROWS {
        let chosen = if wanted.is_empty() { name != "fresh" } else { wanted.iter().any(|word| word == name) };
        if !chosen {
            continue;
        }
        eprintln!("measure: {name}: {what}");
        match measure(effort) {
            Ok(measured) => {
                for figure in &measured {
                    eprintln!("measure: {name}: {}", figure.line());
                }
                figures.extend(measured);
            }
            Err(error) => {
                eprintln!("measure: {name}: could not be measured: {error}");
                failed = true;
            }
        }
    }
    print!("{}", figure::table(&figures));
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
