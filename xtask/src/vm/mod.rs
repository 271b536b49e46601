//! `cargo xtask vm`: the end-to-end tests on other kernels, each in a virtual machine of its own.
//!
//! Debian's kernels are booted with a file system made on the spot, three machines at a time. A machine that does not come
//! to its end, a test that did not run and a program that costs the verifier too much are failures; each is told with the
//! place of the machine's log. Everything is kept under target/vm.

mod arch;
mod archive;
mod checks;
mod cpio;
mod image;
mod kernels;
mod machine;
mod programs;
mod report;

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

pub(crate) use self::arch::Arch;
pub(crate) use self::checks::Extent;
use self::image::Built;
use self::kernels::Kernel;
use self::machine::Told;
use crate::place;
use crate::step::{note, output_of, run, step};
use crate::toolchain::Choice;
use crate::{object, packages};

/// Machines at a time: each keeps two processors of the host busy at times, one most of the time, and waits in between.
const AT_A_TIME: usize = 3;
/// A machine that is not done by then hangs. Tests have bounds of their own.
const BOUND: Duration = Duration::from_mins(30);
/// Between two words about how far a machine is.
const SAY_EVERY: Duration = Duration::from_secs(30);

/// Builds what the machines run, boots the kernels of these versions, tells what became of it. `write` puts the table
/// into the documentation: all of it on the host's processor, what was asked for on another.
pub(crate) fn all(choice: Choice, arch: Arch, extent: Extent, versions: &[String], write: bool) -> Result<()> {
    let versions = kernels::wanted(versions)?;
    if write && arch.is_host() && (versions != kernels::ALL || extent == Extent::First) {
        bail!("--write makes the whole table: `cargo xtask vm all --write`");
    }
    // The emulator's ARM machines only know a sleep in which their clocks go on.
    let extent = if arch == Arch::Aarch64 && extent == Extent::All { Extent::Awake } else { extent };
    packages::for_machines(arch)?;
    arch.ready_to_compile()?;
    object::build(choice, false)?;
    step("test build", "the daemon and all tests, dev profile", || {
        run(arch.cargo("build").args(["--bin", "procprobe"]))?;
        run(tests(arch).arg("--quiet"))
    })?;
    let rows = boot_all(arch, &versions, extent)?;
    print!("{}", report::table(&rows));
    if write {
        let place = place::root().join(report::page(arch));
        place.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(&place, report::document(arch, &rows, &object_hash()?))
            .with_context(|| format!("cannot write {}", place.display()))?;
        note("table", &format!("written to {}", place.display()));
    }
    verdict(&rows)
}

/// SHA-256 of the kernel programs.
fn object_hash() -> Result<String> {
    let told = output_of(Command::new("sha256sum").arg(place::object()))?;
    Ok(told.split_whitespace().next().unwrap_or_default().to_owned())
}

/// The first test of each row on the kernels that stand for the others, with what `cargo xtask test` has built.
pub(crate) fn some() -> Result<()> {
    let rows = boot_all(Arch::HOST, &kernels::TESTED.map(str::to_owned), Extent::First)?;
    eprint!("{}", report::table(&rows));
    verdict(&rows)
}

fn verdict(rows: &[Row]) -> Result<()> {
    let failures = report::failures(rows);
    if failures.is_empty() {
        return Ok(());
    }
    bail!("not every kernel holds:\n{}", failures.join("\n"))
}

/// One kernel, and what its machine told.
pub(crate) struct Row {
    kernel: Kernel,
    /// What was to be run on it.
    extent: Extent,
    told: Told,
    log: PathBuf,
}

/// What was built before is booted on each kernel.
fn boot_all(arch: Arch, versions: &[String], extent: Extent) -> Result<Vec<Row>> {
    let folder = arch.folder();
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let kernels = kernels::fetch(arch, versions)?;
    let initramfs = folder.join("machine.cpio");
    image::write(&built(arch)?, arch, extent, &initramfs)?;
    step("machines", &format!("{} kernels, {AT_A_TIME} at a time", kernels.len()), || {
        let waiting = Mutex::new(kernels.iter().enumerate().collect::<VecDeque<_>>());
        let next = || lock(&waiting).pop_front();
        let done = Mutex::new(BTreeMap::new());
        std::thread::scope(|scope| {
            for _ in 0..AT_A_TIME {
                scope.spawn(|| {
                    while let Some((index, kernel)) = next() {
                        let row = boot(arch, kernel, extent, &initramfs);
                        lock(&done).insert(index, row);
                    }
                });
            }
        });
        done.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
    })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn boot(arch: Arch, kernel: &Kernel, extent: Extent, initramfs: &Path) -> Result<Row> {
    let log = arch.folder().join(format!("{}.log", kernel.wanted));
    let started = Instant::now();
    let (mut last, all) = (started, checks::tests(extent).count());
    // Emulated, it takes many minutes.
    let heard = |told: &Told| {
        if last.elapsed() >= SAY_EVERY {
            last = Instant::now();
            let failed = told.outcomes.values().filter(|outcome| outcome.failure.is_some()).count();
            let so_far = format!("{} of {all} tests so far, {failed} failed", told.outcomes.len());
            note(&format!("kernel {}", kernel.version()), &so_far);
        }
    };
    let told = machine::boot(arch, &kernel.image, initramfs, &log, BOUND, heard)?;
    let row = Row { kernel: kernel.clone(), extent, told, log };
    let (passed, of) = report::count(&row);
    note(
        &format!("kernel {}", row.kernel.version()),
        &format!("{passed} of {of} tests passed, {:.1} s", started.elapsed().as_secs_f64()),
    );
    Ok(row)
}

/// Builds the tests: on this host the set that every step has, for another processor what its machines run.
fn tests(arch: Arch) -> Command {
    let mut command = arch.cargo("test");
    command.arg("--no-run");
    if !arch.is_host() {
        command.args(["--package", "procprobe-tests"]);
    }
    command
}

/// Where cargo put what it built.
fn built(arch: Arch) -> Result<Built> {
    let text = output_of(tests(arch).arg("--message-format=json"))?;
    let artifacts = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let of_tests = artifacts.filter_map(|artifact| {
        let is_test = artifact["profile"]["test"] == true && artifact["target"]["kind"][0] == "test";
        let path = artifact["executable"].as_str()?;
        is_test.then(|| Some((artifact["target"]["name"].as_str()?.to_owned(), PathBuf::from(path))))?
    });
    Ok(Built {
        daemon: arch.built("procprobe"),
        guest: arch.built("guest"),
        actor: arch.built("actor"),
        tests: of_tests.collect(),
    })
}
