//! Programs of others that the tests run against: the real logrotate, the real Alertmanager, the emulator of machines.
//!
//! What is on PATH is taken as it is. Else Debian's package is fetched: installed where that only adds a program, and
//! unpacked under target/ where installing would start a service that nobody asked for. Without apt or root the error
//! names the command.

use std::ffi::OsString;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::step::{run, step};
use crate::{host, place};

/// One program.
struct Program {
    name: &'static str,
    package: &'static str,
    why: &'static str,
    how: How,
}

enum How {
    /// The package brings no service.
    Install,
    /// The package would start one.
    Unpack,
}

const FOR_TESTS: [Program; 2] = [
    Program { name: "logrotate", package: "logrotate", why: "rotates what is read meanwhile", how: How::Install },
    Program {
        name: "prometheus-alertmanager",
        package: "prometheus-alertmanager",
        why: "takes alarms and shows them",
        how: How::Unpack,
    },
];

const FOR_MACHINES: [Program; 2] = [
    Program { name: "qemu-system-x86_64", package: "qemu-system-x86", why: "boots other kernels", how: How::Install },
    Program { name: "strip", package: "binutils", why: "makes what they run smaller", how: How::Install },
];
/// Sees to it that what the tests run against is there; returns the PATH on which they find it.
pub(crate) fn for_tests() -> Result<OsString> {
    see_to(&FOR_TESTS)?;
    path()
}

/// Sees to it that virtual machines can be booted.
pub(crate) fn for_machines() -> Result<()> {
    see_to(&FOR_MACHINES)
}

fn see_to(programs: &[Program]) -> Result<()> {
    let mut updated = false;
    for program in programs {
        if found(program.name) {
            continue;
        }
        if !host::on_path("apt-get") || !host::is_root() {
            bail!(
                "the tests need {} ({}): as root `apt-get install {}` on Debian, or the like elsewhere",
                program.name,
                program.why,
                program.package
            );
        }
        step(program.name, program.why, || {
            if !std::mem::replace(&mut updated, true) {
                run(apt().arg("update"))?;
            }
            match program.how {
                How::Install => run(apt().args(["install", "--yes", "--no-install-recommends", program.package])),
                How::Unpack => unpack(program.package),
            }
        })?;
        if !found(program.name) {
            bail!("Debian's package {} brought no program {}", program.package, program.name);
        }
    }
    Ok(())
}

/// apt, quiet, asking nothing. A mirror that does not answer is given up soon; killing apt half-way would leave dpkg
/// locked.
pub(crate) fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command.args(["-qq", "-o", "Acquire::http::Timeout=20", "-o", "Acquire::Retries=1"]);
    command
}

fn unpack(package: &str) -> Result<()> {
    let folder = place::packages_dir();
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    // apt fetches as a user of its own where it may, and complains where it may not: either is good enough.
    run(apt().args(["-o", "APT::Sandbox::User=root", "download", package]).current_dir(&folder))?;
    let archives = std::fs::read_dir(&folder)?.filter_map(|entry| Some(entry.ok()?.path()));
    let begins = format!("{package}_");
    let archive = archives
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&begins)))
        .with_context(|| format!("apt-get download left no {package}_*.deb in {}", folder.display()))?;
    run(Command::new("dpkg").arg("-x").arg(&archive).arg(&folder))
}

/// PATH with what was unpacked, and with the folders of programs for root.
fn path() -> Result<OsString> {
    let own = std::env::var_os("PATH").unwrap_or_default();
    let more = [
        place::packages_dir().join("usr/bin"),
        place::packages_dir().join("usr/sbin"),
        "/usr/sbin".into(),
        "/sbin".into(),
    ];
    std::env::join_paths(std::env::split_paths(&own).chain(more)).context("PATH cannot be extended")
}

fn found(name: &str) -> bool {
    path().is_ok_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).is_file()))
}
