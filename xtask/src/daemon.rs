//! The daemon: built around the kernel programs, and started with the policies of this tree.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::place::{self, Profile};
use crate::step::{note, run, step};
use crate::toolchain::Choice;
use crate::{host, object};

/// Both sides: the object, then the daemon that carries it. Returns the daemon's path.
pub(crate) fn build(choice: Choice, profile: Profile, kernel_log: bool) -> Result<PathBuf> {
    object::build(choice, kernel_log)?;
    step("daemon", "carries the kernel programs inside itself", || {
        let mut command = place::cargo();
        command.args(["build", "--package", "probe-user", "--bin", "procprobe"]);
        if profile == Profile::Release {
            command.arg("--release");
        }
        if kernel_log {
            command.args(["--features", "kernel-log"]);
        }
        run(&mut command)
    })?;
    Ok(place::binary(profile, "procprobe"))
}

/// Becomes the daemon, so that signals reach it. `arguments` come after ours; with `--policies` among them the
/// policies of this tree stay out.
pub(crate) fn start(program: &std::path::Path, arguments: &[String]) -> Result<()> {
    host::ready_for_kernel_programs()?;
    let mut command = host::as_root(program)?;
    command.arg("run");
    if !arguments.iter().any(|argument| argument == "--policies" || argument.starts_with("--policies=")) {
        command.arg("--policies").arg(place::root().join("policies"));
    }
    command.args(arguments);
    note("start", &crate::step::line_of(&command));
    // Only returns when it failed.
    Err(command.exec()).with_context(|| format!("cannot start {}", program.display()))
}
