//! Programs of others that the tests run against: the real logrotate, the real Alertmanager, the real Prometheus, a real
//! OpenTelemetry collector, the real runc, a real browser; and the emulator of machines.
//!
//! What is on PATH is taken as it is. Else Debian's package is fetched: installed where that only adds a program, and
//! unpacked under target/ where installing would start a service that nobody asked for. Without apt or root the error
//! names the command.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::step::{run, step};
use crate::vm::Arch;
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

const FOR_TESTS: [Program; 10] = [
    Program { name: "logrotate", package: "logrotate", why: "rotates what is read meanwhile", how: How::Install },
    Program {
        name: "prometheus-alertmanager",
        package: "prometheus-alertmanager",
        why: "takes alarms and shows them",
        how: How::Unpack,
    },
    Program { name: "prometheus", package: "prometheus", why: "scrapes metrics", how: How::Unpack },
    Program { name: "systemd-analyze", package: "systemd", why: "judges the unit", how: How::Install },
    Program { name: "runc", package: "runc", why: "makes a real container", how: How::Install },
    Program { name: "curl", package: "curl", why: "asks what the pages of docs/ ask", how: How::Install },
    Program { name: "tmux", package: "tmux", why: "is the terminal of `procprobe top`", how: How::Install },
    Program { name: "chromium", package: "chromium", why: "looks at the page", how: How::Install },
    Program { name: "chromedriver", package: "chromium-driver", why: "leads the browser", how: How::Install },
    Program { name: "pkill", package: "procps", why: "signals what they signal", how: How::Install },
];

const BINUTILS: Program =
    Program { name: "strip", package: "binutils", why: "makes what machines run smaller", how: How::Install };
/// From PyPI, each of this version: an OpenTelemetry collector, code that is not ours to decode what leaves it, and the schemas of
/// Kubernetes.
const PYTHON: [&str; 3] = ["rotel==0.0.1a15", "opentelemetry-proto==1.45.2", "kubernetes-validate==1.37.0"];
/// Succeeds where they are.
const PYTHON_HAS: &str =
    "import rotel, opentelemetry.proto.collector.logs.v1.logs_service_pb2, kubernetes_validate, yaml";

/// Sees to it that what the tests run against is there; returns the PATH on which they find it.
pub(crate) fn for_tests() -> Result<OsString> {
    let mut updated = see_to(&FOR_TESTS)?;
    if !python_has_it() {
        step("python", "an OpenTelemetry collector, a decoder of its protocol, schemas of Kubernetes", || {
            python(&mut updated)
        })?;
    }
    path()
}

const RPMBUILD: Program =
    Program { name: "rpmbuild", package: "rpm", why: "makes packages for rpm", how: How::Install };

const BUILDAH: Program =
    Program { name: "buildah", package: "buildah", why: "makes container images", how: How::Install };

/// Sees to it that packages can be made, also for rpm, also images.
pub(crate) fn for_packages(for_rpm: bool, images: bool) -> Result<()> {
    see_to(&[BINUTILS])?;
    if for_rpm {
        see_to(&[RPMBUILD])?;
    }
    if images {
        see_to(&[BUILDAH])?;
    }
    Ok(())
}

/// Sees to it that virtual machines can be booted, and compiled for.
pub(crate) fn for_machines(arch: Arch) -> Result<()> {
    let qemu =
        Program { name: arch.qemu(), package: arch.qemu_package(), why: "boots other kernels", how: How::Install };
    see_to(&[qemu, BINUTILS])?;
    if arch.is_host() {
        return Ok(());
    }
    let (compiler, library) = (arch.tool("gcc"), format!("libc6-dev-{}-cross", arch.debian()));
    if found(&compiler) && Path::new("/usr").join(arch.gnu()).join("include/stdio.h").is_file() {
        return Ok(());
    }
    let packages = [format!("gcc-{}", arch.gnu()), library];
    if !host::on_path("apt-get") || !host::is_root() {
        bail!(
            "compiling for {} needs {compiler} and its C library: as root `apt-get install {}`",
            arch.name(),
            packages.join(" ")
        );
    }
    step(&compiler, &format!("compiles for {}", arch.name()), || {
        run(apt().arg("update"))?;
        run(apt().args(["install", "--yes", "--no-install-recommends"]).args(&packages))
    })
}

/// True when apt's lists are new by then.
fn see_to(programs: &[Program]) -> Result<bool> {
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
    Ok(updated)
}

/// A Python of the tests' own, so that nothing is installed into the host's.
fn python(updated: &mut bool) -> Result<()> {
    let folder = place::python_dir();
    let make = || Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder).output();
    if !make().is_ok_and(|made| made.status.success()) {
        if !host::on_path("apt-get") || !host::is_root() {
            bail!(
                "the tests need Python with venv: as root `apt-get install python3-venv` on Debian, or the like elsewhere"
            );
        }
        if !std::mem::replace(updated, true) {
            run(apt().arg("update"))?;
        }
        run(apt().args(["install", "--yes", "--no-install-recommends", "python3-venv"]))?;
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    }
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    run(Command::new(folder.join("bin/python3")).args(pip).args(PYTHON))?;
    if !python_has_it() {
        bail!("{} has no {} after their installation", folder.display(), PYTHON.join(", "));
    }
    Ok(())
}

fn python_has_it() -> bool {
    let python = place::python_dir().join("bin/python3");
    Command::new(python).args(["-c", PYTHON_HAS]).output().is_ok_and(|tried| tried.status.success())
}

/// How apt is to be told that nobody looks: on a terminal it shows how far a download is.
pub(crate) fn quiet() -> &'static [&'static str] {
    if std::io::stderr().is_terminal() { &[] } else { &["-qq"] }
}

/// apt, asking nothing. A mirror that does not answer is given up soon; killing apt half-way would leave dpkg
/// locked.
pub(crate) fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command.args(quiet()).args(["-o", "Acquire::http::Timeout=20", "-o", "Acquire::Retries=1"]);
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
    let python = place::python_dir().join("bin");
    let more = [
        place::packages_dir().join("usr/bin"),
        place::packages_dir().join("usr/sbin"),
        "/usr/sbin".into(),
        "/sbin".into(),
    ];
    // Before the host's own, which lacks what the tests need.
    std::env::join_paths(std::iter::once(python).chain(std::env::split_paths(&own)).chain(more))
        .context("PATH cannot be extended")
}

fn found(name: &str) -> bool {
    path().is_ok_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).is_file()))
}
