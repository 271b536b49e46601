//! `cargo xtask test`: everything that must hold before a change is good, as CI runs it.
//!
//! The steps share what they compile: one profile (dev) and always the same set of packages, for another set would
//! give some dependency other features and compile it a second time. End-to-end tests are never skipped: on a host that
//! cannot run them the command fails and says what is missing.

mod end_to_end;

use std::process::Command;

use anyhow::Result;

use crate::place::{self, Profile};
use crate::step::{note, run, step};
use crate::toolchain::Choice;
use crate::{host, object, packages, vm};

/// Unit tests and end-to-end tests; unless filtered lints before them, and after them the oldest and newest kernels.
pub(crate) fn all(choice: Choice, filter: &[String]) -> Result<()> {
    // First what needs no compiling: a host that cannot run the last step should say so at once.
    host::ready_for_kernel_programs()?;
    let path = packages::for_tests()?;
    if filter.is_empty() {
        packages::for_machines(vm::Arch::HOST)?;
    }
    object::build(choice, false)?;
    if filter.is_empty() {
        lint_built(choice)?;
    }
    step("test build", "the daemon and all tests, dev profile", || {
        run(cargo("build").args(["--bin", "procprobe"]))?;
        run(cargo("test").arg("--no-run"))
    })?;
    step("unit tests", "each crate's own", || run(tests().args(["--lib", "--bins"]).args(to_harness(filter, None))))?;
    step("policy tests", "those of the shipped policies, in virtual time", || {
        let folders = ["policies", "policies/examples", "policies/cookbook"].map(|folder| place::root().join(folder));
        run(Command::new(place::binary(Profile::Debug, "procprobe")).arg("test").args(folders))
    })?;
    step(
        "end-to-end tests",
        "the daemon in the running kernel, with real processes; and the crates' test folders",
        || end_to_end::all(filter, &path),
    )?;
    if filter.is_empty() {
        step("other kernels", "one test of each thing that the kernel does, in virtual machines", vm::some)?;
    }
    Ok(())
}

/// rustfmt and clippy on both sides.
pub(crate) fn lint(choice: Choice) -> Result<()> {
    object::build(choice, false)?;
    lint_built(choice)
}

fn lint_built(choice: Choice) -> Result<()> {
    step("rustfmt", "one way to write it", || run(place::cargo().args(["fmt", "--all", "--check"])))?;
    step("clippy", "user side, all targets, warnings are errors", || {
        run(cargo("clippy").args(["--all-targets", "--", "-D", "warnings"]))
    })?;
    step("clippy", "kernel side", || {
        if !object::lint(choice)? {
            note(
                "clippy",
                "this compiler has none for the kernel side; `rustup component add clippy` for a nightly adds it",
            );
        }
        Ok(())
    })
}

/// Always the default members: the same set for every step.
fn cargo(subcommand: &str) -> Command {
    let mut command = place::cargo();
    command.arg(subcommand);
    command
}

fn tests() -> Command {
    let mut command = cargo("test");
    command.arg("--no-fail-fast");
    command
}

/// Arguments for the test harness itself.
fn to_harness(filter: &[String], threads: Option<u32>) -> Vec<String> {
    let mut arguments = vec!["--".to_owned()];
    arguments.extend(filter.iter().cloned());
    if let Some(threads) = threads {
        arguments.push(format!("--test-threads={threads}"));
    }
    arguments
}
