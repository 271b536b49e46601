//! The first command on a machine that has rustup and a C compiler, and nothing else yet.

use std::process::Command;
use std::time::Instant;

use crate::figure::Figure;
use crate::observe::root;
use crate::{Effort, Outcome};

pub(crate) fn build(_: Effort) -> Outcome {
    let folder = tempfile::tempdir()?;
    let clone = folder.path().join("clone");
    let root = root();
    let cloned = Command::new("git").args(["clone", "--quiet", "--no-hardlinks"]).arg(&root).arg(&clone).status()?;
    if !cloned.success() {
        return Err(format!("cannot clone {}", root.display()).into());
    }
    let started = Instant::now();
    let mut command = Command::new("cargo");
    // Crates are fetched anew; compilers are not: which are there already is a matter of the machine.
    command.args(["xtask", "build"]).current_dir(&clone).env("CARGO_HOME", folder.path().join("cargo"));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_") && name != "CARGO_HOME" || name == "CARGO") {
            command.env_remove(name);
        }
    }
    let status = command.stdout(std::io::stderr()).status()?;
    if !status.success() {
        return Err(format!("cargo xtask build: {status}").into());
    }
    let minutes = started.elapsed().as_secs_f64() / 60.0;
    Ok(vec![Figure::new(
        "first build from a clean clone",
        "under 6 minutes",
        format!("{minutes:.1} minutes"),
        minutes < 6.0,
    )])
}
