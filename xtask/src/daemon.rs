//! The daemon: built around the kernel programs, and started with the policies of this tree.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};

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
        command.args(["build", "--profile", profile.name(), "--package", "probe-user", "--bin", "procprobe"]);
        if kernel_log {
            command.args(["--features", "kernel-log"]);
        }
        run(&mut command)
    })?;
    Ok(place::binary(profile, "procprobe"))
}

/// The daemon that [`build`] has just made, linked once more with the C library inside it: for a file system that has none.
/// A copy under target/package, for cargo has one place for both. Names of hosts are looked up in /etc/hosts and by DNS alone
/// then; what else /etc/nsswitch.conf may name is a library of the host's, and none may be loaded into such a program.
pub(crate) fn link_statically(profile: Profile) -> Result<PathBuf> {
    let copied = place::package_dir().join("static").join(profile.name()).join("procprobe");
    step("static daemon", "the same, with the C library inside", || {
        let cargo = |subcommand: &str| {
            let mut command = place::cargo();
            command.args([subcommand, "--profile", profile.name(), "--package", "probe-user", "--bin", "procprobe"]);
            command
        };
        run(cargo("rustc").args(["--", "-C", "target-feature=+crt-static"]))?;
        let folder = copied.parent().context("a file without a folder")?;
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let made = place::binary(profile, "procprobe");
        std::fs::copy(&made, &copied).with_context(|| format!("copying {}", made.display()))?;
        // The ordinary one back into its place: tests and packages know it there.
        run(&mut cargo("build"))
    })?;
    Ok(copied)
}

/// Becomes the daemon, so that signals reach it. `arguments` come after ours; with `--policies` among them the
/// policies of this tree stay out.
pub(crate) fn start(program: &Path, arguments: &[String]) -> Result<()> {
    host::ready_for_kernel_programs()?;
    let mut command = host::as_root(program)?;
    command.arg("run");
    if !arguments.iter().any(|argument| argument == "--policies" || argument.starts_with("--policies=")) {
        let policies = place::root().join("policies");
        keep_to_owner(&policies)?;
        command.arg("--policies").arg(policies);
    }
    let pins =
        |argument: &String| argument.starts_with("--pin-dir") || argument == "--no-pin" || argument == "--config";
    if !arguments.iter().any(pins) {
        // Whoever tries it out wants nothing left in the kernel.
        command.arg("--no-pin");
    }
    command.args(arguments);
    note("start", &crate::step::line_of(&command));
    // Only returns when it failed.
    Err(command.exec()).with_context(|| format!("cannot start {}", program.display()))
}

/// With a umask such as 0002 a clone's files can be written by their group, and the daemon refuses to be steered by such
/// files. These are ours, so we may close them.
fn keep_to_owner(folder: &Path) -> Result<()> {
    const OTHERS_WRITE: u32 = 0o022;
    for place in std::iter::once(folder.to_owned()).chain(inside(folder)?) {
        let mut permissions = std::fs::metadata(&place)?.permissions();
        if permissions.mode() & OTHERS_WRITE != 0 {
            note(
                "policies",
                &format!("chmod go-w {}: the daemon refuses files that others can write", place.display()),
            );
            permissions.set_mode(permissions.mode() & !OTHERS_WRITE);
            std::fs::set_permissions(&place, permissions).with_context(|| format!("chmod of {}", place.display()))?;
        }
    }
    Ok(())
}

/// The folder's entries that a daemon started on it reads.
fn inside(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let paths: Vec<PathBuf> = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    Ok(paths.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect())
}
