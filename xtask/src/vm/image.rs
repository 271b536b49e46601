//! The file system that a machine boots with: the daemon and the test binaries as they were built for this host, the
//! shared libraries they need, a few of this host's programs that tests call, and the plan of the first process.
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

use super::checks::{self, Extent};
use super::cpio::Tree;
use crate::step::{output_of, run, step};

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
pub(crate) fn write(built: &Built, extent: Extent, folder: &Path, place: &Path) -> Result<()> {
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
            tree.program(at, stripped(path, folder)?);
            libraries(path, &mut tree)?;
        }
        for name in PROGRAMS {
            let path = on_path(name)?;
            libraries(&path, &mut tree)?;
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
                "run": [inside(binary), test, "--exact", "--test-threads=1", "--nocapture"],
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

/// Without what only debuggers read: it is two thirds of a binary, and all of it would be the machine's memory.
fn stripped(path: &Path, folder: &Path) -> Result<Vec<u8>> {
    let place = folder.join("stripped");
    run(Command::new("strip").arg("-o").arg(&place).arg(path))?;
    let bytes = read(&place)?;
    fs::remove_file(&place)?;
    Ok(bytes)
}

/// The shared libraries of a program, and what loads them, at the paths where the program looks for them.
fn libraries(program: &Path, tree: &mut Tree) -> Result<()> {
    for path in shared(&output_of(Command::new("ldd").arg(program))?) {
        if !tree.has(&path) {
            let bytes = read(&path)?;
            tree.program(&path, bytes);
        }
    }
    Ok(())
}

/// The paths in the output of ldd.
fn shared(ldd: &str) -> Vec<PathBuf> {
    let word = |line: &str| {
        let line = line.split_once("=>").map_or(line, |(_, found)| found);
        line.split_whitespace().next().filter(|word| word.starts_with('/')).map(PathBuf::from)
    };
    ldd.lines().filter_map(word).collect()
}

fn on_path(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/bin".into(), "/bin".into()])
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .with_context(|| format!("the machine's tests call `{name}`, which is not on PATH"))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_libraries_of_a_program_are_read_from_what_ldd_says() {
        let ldd = "\tlinux-vdso.so.1 (0x00007f4e)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
                   \tlibgone.so => not found\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f4e)\n\tstatically linked\n";
        let expected = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from);
        assert_eq!(shared(ldd), expected);
    }
}
