//! The kernel programs: compiled, linked, and laid where the daemon's build finds them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::step::{run, step};
use crate::toolchain::{Choice, TARGET, Toolchain};
use crate::{linker, place};

/// The programs that ship.
const SHIPPED: &str = "procprobe";

/// The program that `measure delivery` feeds a daemon with, for the benchmark alone.
const FEED: &str = "feed";

/// Makes `target/bpf/procprobe.bpf.o`. The file is left alone when nothing in it changed, so that the daemon is not
/// built anew either.
pub(crate) fn build(choice: Choice, kernel_log: bool) -> Result<PathBuf> {
    step("kernel programs", "compiled from source, no object is kept in the tree", || {
        make(choice, SHIPPED, &place::object(), kernel_log)
    })?;
    Ok(place::object())
}

/// Makes `target/bpf/feed.bpf.o`.
pub(crate) fn build_feed(choice: Choice) -> Result<()> {
    step("feed", "the program that puts made-up records into a daemon's ring", || {
        make(choice, FEED, &place::bpf_dir().join("feed.bpf.o"), false)
    })
}

fn make(choice: Choice, name: &str, object: &Path, kernel_log: bool) -> Result<()> {
    let toolchain = Toolchain::find(choice)?;
    let linker = linker::find()?;
    let mut command = cargo(&toolchain, "build", &[name], kernel_log);
    // No `--btf`: aya 0.14 hands on function records that do not fit the programs it cuts out, and the kernel
    // refuses them ("number of funcs in func_info doesn't match number of subprogs").
    run(command.env("CARGO_ENCODED_RUSTFLAGS", format!("-Clinker={}", linker.display())))?;
    let built = place::bpf_dir().join(toolchain.folder()).join(TARGET).join("release").join(name);
    let bytes = std::fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?;
    if std::fs::read(object).ok().as_ref() != Some(&bytes) {
        std::fs::write(object, &bytes).with_context(|| format!("cannot write {}", object.display()))?;
    }
    Ok(())
}

/// Clippy on the kernel side; false when the compiler has none.
pub(crate) fn lint(choice: Choice) -> Result<bool> {
    let toolchain = Toolchain::find(choice)?;
    if !toolchain.has_clippy() {
        return Ok(false);
    }
    let mut command = cargo(&toolchain, "clippy", &[SHIPPED, FEED], false);
    run(command.args(["--", "-D", "warnings"]))?;
    Ok(true)
}

fn cargo(toolchain: &Toolchain, subcommand: &str, names: &[&str], kernel_log: bool) -> Command {
    let mut command = toolchain.cargo(subcommand);
    command.args(["--release", "--package", "probe-ebpf", "--target", TARGET, "--target-dir"]);
    command.arg(place::bpf_dir().join(toolchain.folder()));
    for name in names {
        command.args(["--bin", *name]);
    }
    if kernel_log {
        command.args(["--features", "kernel-log"]);
    }
    command
}
