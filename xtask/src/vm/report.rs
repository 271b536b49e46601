//! What the machines told, as a table for people and as the page that is kept in the documentation; and what of it is a
//! failure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::checks::{self, CHECKS, Check, Test, VERIFIER};
use super::{Arch, Extent, Row};

/// Most instructions that the verifier may go through for one program. The kernel's own limit is a million: this leaves
/// room for kernels that are more thorough.
const VERIFIER_BOUND: u64 = 200_000;
/// How much of a failed test's output is shown.
const SHOWN_LINES: usize = 40;

fn name((binary, test): Test) -> String {
    format!("{binary}::{test}")
}

/// Why this test is no success on that kernel.
fn failure(row: &Row, test: Test) -> Option<String> {
    match row.told.outcomes.get(&name(test)) {
        None => Some("it did not run".to_owned()),
        Some(outcome) => outcome.failure.clone(),
    }
}

/// How many tests passed, and how many there are.
pub(crate) fn count(row: &Row) -> (usize, usize) {
    let tests: Vec<Test> = checks::tests(row.extent).collect();
    (tests.iter().filter(|test| failure(row, **test).is_none()).count(), tests.len())
}

/// Instructions that the verifier went through, by program.
fn verified(row: &Row) -> BTreeMap<String, u64> {
    let Some(outcome) = row.told.outcomes.get(&name(VERIFIER)) else { return BTreeMap::new() };
    let line = |line: &str| {
        let (program, count) = line.split_once("verifier ")?.1.split_once(' ')?;
        Some((program.to_owned(), count.trim().parse().ok()?))
    };
    outcome.output.lines().filter_map(line).collect()
}

/// Everything that must not be, a paragraph each; empty when all is well.
pub(crate) fn failures(rows: &[Row]) -> Vec<String> {
    let mut found = Vec::new();
    for row in rows {
        let kernel = row.kernel.version();
        if let Some(why) = &row.told.broken {
            found.push(format!("{kernel}: {why}; its log: {}", row.log.display()));
        }
        if row.told.release != row.kernel.release {
            found.push(format!("{kernel}: it calls itself {:?}, not {}", row.told.release, row.kernel.release));
        }
        for test in checks::tests(row.extent) {
            let Some(why) = failure(row, test) else { continue };
            let output = row.told.outcomes.get(&name(test)).map_or("", |outcome| outcome.output.as_str());
            found.push(format!("{kernel}: {}: {why}\n{}", name(test), end_of(output)));
        }
        let programs = verified(row);
        if programs.is_empty() {
            found.push(format!("{kernel}: what the programs cost the verifier was not told"));
        }
        for (program, count) in programs.iter().filter(|(_, count)| **count > VERIFIER_BOUND) {
            found.push(format!(
                "{kernel}: the verifier goes through {count} instructions of `{program}`; more than {VERIFIER_BOUND} is \
                 too near to the kernel's limit of 1000000"
            ));
        }
    }
    found
}

/// The last lines, indented.
fn end_of(output: &str) -> String {
    let lines: Vec<&str> = output.lines().collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].iter().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "    {line}");
        text
    })
}

/// What stands in a cell.
fn cell(row: &Row, check: &Check) -> String {
    let tests = check.tests(row.extent);
    match tests.iter().filter(|test| failure(row, **test).is_some()).count() {
        0 => "ok".to_owned(),
        failed => format!("FAILED {failed}/{}", tests.len()),
    }
}

/// The heads and the lines of one table: a kernel in each column.
fn lines(rows: &[Row]) -> Vec<Vec<String>> {
    let mut lines = vec![head("check", rows)];
    for check in &CHECKS {
        let tests = rows.first().map_or(0, |row| check.tests(row.extent).len());
        let mut line = vec![format!("{} ({tests})", check.what)];
        line.extend(rows.iter().map(|row| cell(row, check)));
        lines.push(line);
    }
    lines
}

fn verifier_lines(rows: &[Row]) -> Vec<Vec<String>> {
    let by_kernel: Vec<BTreeMap<String, u64>> = rows.iter().map(verified).collect();
    let mut programs: Vec<&String> = by_kernel.iter().flat_map(BTreeMap::keys).collect();
    programs.sort_unstable();
    programs.dedup();
    let mut lines = vec![head("program", rows)];
    for program in programs {
        let mut line = vec![program.clone()];
        line.extend(by_kernel.iter().map(|of| of.get(program).map_or_else(String::new, u64::to_string)));
        lines.push(line);
    }
    lines
}

fn head(first: &str, rows: &[Row]) -> Vec<String> {
    std::iter::once(first.to_owned()).chain(rows.iter().map(|row| row.kernel.version().to_owned())).collect()
}

/// Both tables, for the terminal.
pub(crate) fn table(rows: &[Row]) -> String {
    format!("{}\n{}", aligned(&lines(rows)), aligned(&verifier_lines(rows)))
}

fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(String::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for line in lines {
        for (cell, width) in line.iter().zip(&widths) {
            let _ = write!(text, "{cell:<width$}  ");
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

/// Where the page of the documentation is, in the tree.
pub(crate) fn page(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "docs/kernels.md",
        Arch::Aarch64 => "docs/kernels-aarch64.md",
    }
}

/// The page of the documentation. Only what ran is in it. What is the same for all processors stands on the page of
/// PCs alone.
pub(crate) fn document(arch: Arch, rows: &[Row], object_hash: &str) -> String {
    let (call, more) = match arch {
        Arch::X86_64 => ("all --write", "\nKernels on 64-bit ARM are on [a page of their own](kernels-aarch64.md).\n"),
        Arch::Aarch64 if rows.iter().any(|row| row.extent == Extent::First) => ("--arch aarch64 --first --write", ""),
        Arch::Aarch64 => ("--arch aarch64 --write", ""),
    };
    let mut text = format!(
        "# Kernels on {}\n\n\
         One object, one daemon, and the same tests on each of these kernels. They are Debian's, booted by\n\
         `cargo xtask vm {call}`, which wrote this page from what ran: no cell was filled in by hand, and a test that did\n\
         not run is a failure. The object with the kernel programs is the same file on every kernel and every processor;\n\
         the SHA-256 of this one is `{object_hash}`.\n{more}\n",
        arch.name()
    );
    text.push_str(&markdown(&lines(rows)));
    text.push_str("\nIn brackets how many tests a row stands for; `xtask/src/vm/checks.rs` names them");
    if arch == Arch::X86_64 {
        text.push_str(".\n\n## What the rows mean\n\n");
        for check in &CHECKS {
            let _ = writeln!(text, "- **{}.** {}", check.what, check.means);
        }
    } else {
        text.push_str(
            ", [the page of PCs](kernels.md)\nsays what they mean. `--first` leaves all but the first of each\n\
             row out. No machine is suspended here: the emulated one only knows a sleep in which its clocks go on.\n",
        );
    }
    text.push_str("\n## What the verifier goes through\n\n");
    let _ = write!(
        text,
        "Instructions of each program, as the kernel counts them when it is loaded. The kernel refuses at 1,000,000; the \
         matrix\nfails at {VERIFIER_BOUND}.\n\n"
    );
    text.push_str(&markdown(&verifier_lines(rows)));
    text.push_str(if arch == Arch::X86_64 { REPEAT } else { REPEAT_ELSEWHERE });
    text
}

/// How to make the page again.
const REPEAT: &str = "
## What kernels can lack

Fields and tracepoints that the programs need are looked up in the kernel's own types before anything is attached; a kernel
without one of them (or without BTF) is refused by name. Two things can be missing and the daemon runs all the same:

- pressure figures (PSI: not compiled in, or switched off on the command line);
- cgroups that could be matched (nobody ever mounted the unified hierarchy).

`procprobe doctor` says so, and `procprobe check`, `run` and a reload refuse what asks for them, at its place and with the
reason. `only_if` keeps a policy out of hosts that it is not meant for.

## How to repeat it

`cargo xtask vm all` boots all of them, `cargo xtask vm 6.1` one; `cargo xtask test` ends with the first test of each row on
the oldest, on 6.12 and on the newest. Debian is needed, or another system with apt, dpkg-deb and Debian's keys; qemu is
installed when it is missing (as root). Kernels come from the mirrors in the host's own apt sources and stay in
`target/vm/kernels`, logs in `target/vm/VERSION.log`. The machines have two processors and 1 GiB; they are emulated where
/dev/kvm is not of use, which makes them ten to twenty times slower.
";

/// The same for a processor that is not that of PCs.
const REPEAT_ELSEWHERE: &str = "
## How to repeat it

On a PC with Debian, as root: `cargo xtask vm --arch aarch64` boots 5.10, 6.12 and the newest kernel, `cargo xtask vm --arch
aarch64 6.1` one. The daemon and the tests are cross-compiled: gcc-aarch64-linux-gnu and libc6-dev-arm64-cross, the emulator
(qemu-system-arm) and Rust's standard library for aarch64-unknown-linux-gnu (by rustup) are installed when they are missing.
What the machines run else, a shell and a few small programs, are Debian's packages for arm64, unpacked under
`target/vm/aarch64` beside kernels and logs. All of it is emulated (a Cortex-A72, two processors, 1 GiB).
";

fn markdown(lines: &[Vec<String>]) -> String {
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        let _ = writeln!(text, "| {} |", line.join(" | "));
        if index == 0 {
            let _ = writeln!(text, "|{}", "---|".repeat(line.len()));
        }
    }
    text
}
