//! The kernel programs: compiled, linked, and laid where the daemon's build finds them.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::step::{run, step};
use crate::toolchain::{Choice, TARGET, Toolchain};
use crate::{linker, place};

/// Makes `target/bpf/procprobe.bpf.o`. The file is left alone when nothing in it changed, so that the daemon is not
/// built anew either.
pub(crate) fn build(choice: Choice, kernel_log: bool) -> Result<PathBuf> {
    let toolchain = Toolchain::find(choice)?;
    let linker = linker::find()?;
    let object = place::object();
    step("kernel programs", "compiled from source, no object is kept in the tree", || {
        let mut command = cargo(&toolchain, "build", kernel_log);
        // No `--btf`: aya 0.14 hands on function records that do not fit the programs it cuts out, and the kernel
        // refuses them ("number of funcs in func_info doesn't match number of subprogs").
        run(command.env("CARGO_ENCODED_RUSTFLAGS", format!("-Clinker={}", linker.display())))?;
        let built = place::bpf_dir().join(toolchain.folder()).join(TARGET).join("release/procprobe");
        let bytes = std::fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?;
        if std::fs::read(&object).ok().as_ref() != Some(&bytes) {
            std::fs::write(&object, &bytes).with_context(|| format!("cannot write {}", object.display()))?;
        }
        Ok(())
    })?;
    Ok(object)
}

/// Clippy on the kernel side; false when the compiler has none.
pub(crate) fn lint(choice: Choice) -> Result<bool> {
    let toolchain = Toolchain::find(choice)?;
    if !toolchain.has_clippy() {
        return Ok(false);
    }
    let mut command = cargo(&toolchain, "clippy", false);
    run(command.args(["--", "-D", "warnings"]))?;
    Ok(true)
}

fn cargo(toolchain: &Toolchain, subcommand: &str, kernel_log: bool) -> Command {
    let mut command = toolchain.cargo(subcommand);
    command.args(["--release", "--package", "probe-ebpf", "--bin", "procprobe", "--target", TARGET, "--target-dir"]);
    command.arg(place::bpf_dir().join(toolchain.folder()));
    if kernel_log {
        command.args(["--features", "kernel-log"]);
    }
    command
}
