//! The file system that a machine boots with: the daemon and the test binaries, the shared libraries they need, a few
//! programs that tests call, and the plan of the first process.
//!
//! It is the same for every kernel, and holds nothing of the kernel's own: all that is needed is built into Debian's cloud
//! kernels.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::arch::Arch;
use super::checks::{self, Extent};
use super::cpio::Tree;
use super::programs::Programs;
use crate::place;
use crate::step::{run, step};

/// What tests and their scripts call.
const PROGRAMS: [&str; 17] = [
    "sh", "cat", "chmod", "env", "grep", "id", "ls", "mkdir", "mount", "setpriv", "sleep", "taskset", "timeout",
    "touch", "true", "unshare", "wc",
];
/// A test that is not done by then, emulated and beside another machine, hangs.
const SECONDS_FOR_A_TEST: u64 = 360;
/// How much more patience the tests need there.
const PATIENCE: &str = "10";
/// How many times fewer processes they start in numbers: one takes a tenth of a second.
const FEWER: &str = "10";

/// What was built for the machine.
#[derive(Clone, Debug)]
pub(crate) struct Built {
    /// `procprobe`
    pub(crate) daemon: PathBuf,
    /// Its first process.
    pub(crate) guest: PathBuf,
    /// The tests' own program; they know it by the path that it was built under.
    pub(crate) actor: PathBuf,
    /// Test binaries by name.
    pub(crate) tests: BTreeMap<String, PathBuf>,
}

/// Writes the file system to `place`, with the tests that are to be run.
pub(crate) fn write(built: &Built, arch: Arch, extent: Extent, place: &Path) -> Result<()> {
    let found = Programs::of(arch)?;
    step("machine's file system", "daemon, tests, libraries; made anew for each run", || {
        let mut tree = Tree::default();
        tree.open_folder("/tmp");
        for folder in ["/run", "/var/lib", "/root"] {
            tree.folder(folder);
        }
        tree.link("/usr/bin", "../bin");
        tree.file("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/sh\n");
        tree.file("/etc/group", "root:x:0:\nnogroup:x:65534:\n");
        tree.file("/etc/hostname", "machine\n");
        tree.file("/plan.json", &plan(built, extent)?.to_string());
        let mut programs = vec![
            (built.guest.clone(), PathBuf::from("/init")),
            (built.daemon.clone(), PathBuf::from("/bin/procprobe")),
            (built.actor.clone(), built.actor.clone()),
        ];
        for name in binaries(extent) {
            let path = built.tests.get(name).with_context(|| format!("cargo built no test binary {name}"))?;
            programs.push((path.clone(), inside(name)));
        }
        for (path, at) in &programs {
            let bytes = stripped(path, arch)?;
            if *path == built.daemon && !carries(&bytes, &read(&place::object())?) {
                bail!("{} carries other kernel programs than {}", path.display(), place::object().display());
            }
            tree.program(at, bytes);
            add_libraries(&found, path, &mut tree)?;
        }
        for name in PROGRAMS {
            let path = found.find(name)?;
            add_libraries(&found, &path, &mut tree)?;
            tree.program(&Path::new("/bin").join(name), read(&path)?);
        }
        let file = File::create(place).with_context(|| format!("cannot write {}", place.display()))?;
        let mut out = BufWriter::new(file);
        tree.write(&mut out)?;
        Ok(out.flush()?)
    })
}

/// Where a test binary is in the machine.
fn inside(name: &str) -> PathBuf {
    Path::new("/tests").join(name)
}

/// All test binaries that some check names.
fn binaries(extent: Extent) -> Vec<&'static str> {
    let mut names: Vec<&str> = checks::tests(extent).map(|(binary, _)| binary).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// As the first process reads it.
fn plan(built: &Built, extent: Extent) -> Result<Value> {
    let checks: Vec<Value> = checks::tests(extent)
        .map(|(binary, test)| {
            json!({
                "name": format!("{binary}::{test}"),
                // What takes a whole machine is ignored anywhere else.
                "run": [inside(binary), test, "--exact", "--include-ignored", "--test-threads=1", "--nocapture"],
                "expect": "test result: ok. 1 passed",
                "seconds": SECONDS_FOR_A_TEST,
            })
        })
        .collect();
    if !built.daemon.is_file() {
        bail!("{} is not built", built.daemon.display());
    }
    Ok(json!({
        "environment": {
            "PATH": "/bin",
            "HOME": "/root",
            "TMPDIR": "/tmp",
            "PROCPROBE_BIN": "/bin/procprobe",
            "PROCPROBE_PATIENCE": PATIENCE,
            "PROCPROBE_FEWER": FEWER,
            "RUST_BACKTRACE": "0",
        },
        "checks": checks,
    }))
}

/// Whether these very kernel programs are in that daemon: they are the same file, whatever the daemon is compiled for.
fn carries(daemon: &[u8], object: &[u8]) -> bool {
    !object.is_empty() && daemon.windows(object.len()).any(|part| part == object)
}

/// Without what only debuggers read: it is two thirds of a binary, and all of it would be the machine's memory.
fn stripped(path: &Path, arch: Arch) -> Result<Vec<u8>> {
    let place = arch.folder().join("stripped");
    run(Command::new(arch.tool("strip")).arg("-o").arg(&place).arg(path))?;
    let bytes = read(&place)?;
    fs::remove_file(&place)?;
    Ok(bytes)
}

/// Adds the libraries of a program that are not there yet.
fn add_libraries(programs: &Programs, program: &Path, tree: &mut Tree) -> Result<()> {
    for (file, at) in programs.libraries(program)? {
        if !tree.has(&at) {
            let bytes = read(&file)?;
            tree.program(&at, bytes);
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_carries_the_very_object() {
        let check = |daemon: &str, object: &str| carries(daemon.as_bytes(), object.as_bytes());
        assert!(check("before OBJECT after", "OBJECT"));
        assert!(!check("before OBJEKT after", "OBJECT"));
        assert!(!check("", "OBJECT") && !check("daemon", ""));
    }
}
