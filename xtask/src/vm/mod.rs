//! `cargo xtask vm`: the end-to-end tests on other kernels, each in a virtual machine of its own.
//!
//! Debian's kernels are booted with a file system made on the spot, two machines at a time. A machine that does not come
//! to its end, a test that did not run and a program that costs the verifier too much are failures; each is told with the
//! place of the machine's log. Everything is kept under target/vm.

mod archive;
mod checks;
mod cpio;
mod image;
mod kernels;
mod machine;
mod report;

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use self::checks::Extent;
use self::image::Built;
use self::kernels::Kernel;
use self::machine::Told;
use crate::place::{self, Profile};
use crate::step::{note, output_of, run, step};
use crate::toolchain::Choice;
use crate::{object, packages};

/// Machines at a time: each keeps two processors of the host busy at times, one most of the time, and waits in between.
const AT_A_TIME: usize = 3;
/// A machine that is not done by then hangs. Tests have bounds of their own.
const BOUND: Duration = Duration::from_mins(30);

/// Builds what the machines run, boots the kernels of these versions, tells what became of it. `write` puts the table
/// into the documentation.
pub(crate) fn all(choice: Choice, versions: &[String], write: bool) -> Result<()> {
    let versions = kernels::wanted(versions)?;
    if write && versions != kernels::ALL {
        bail!("--write makes the whole table: `cargo xtask vm all --write`");
    }
    packages::for_machines()?;
    object::build(choice, false)?;
    step("test build", "the daemon and all tests, dev profile", || {
        run(place::cargo().args(["build", "--bin", "procprobe"]))?;
        run(place::cargo().args(["test", "--no-run"]))
    })?;
    let rows = boot_all(&versions, Extent::All)?;
    print!("{}", report::table(&rows));
    if write {
        let place = place::root().join("docs/kernels.md");
        place.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(&place, report::document(&rows)).with_context(|| format!("cannot write {}", place.display()))?;
        note("table", &format!("written to {}", place.display()));
    }
    verdict(&rows)
}

/// The first test of each row on the kernels that stand for the others, with what `cargo xtask test` has built.
pub(crate) fn some() -> Result<()> {
    let rows = boot_all(&kernels::TESTED.map(str::to_owned), Extent::First)?;
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
fn boot_all(versions: &[String], extent: Extent) -> Result<Vec<Row>> {
    let folder = place::vm_dir();
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let kernels = kernels::fetch(&folder, versions)?;
    let initramfs = folder.join("machine.cpio");
    image::write(&built()?, extent, &folder, &initramfs)?;
    step("machines", &format!("{} kernels, {AT_A_TIME} at a time", kernels.len()), || {
        let waiting = Mutex::new(kernels.iter().enumerate().collect::<VecDeque<_>>());
        let next = || lock(&waiting).pop_front();
        let done = Mutex::new(BTreeMap::new());
        std::thread::scope(|scope| {
            for _ in 0..AT_A_TIME {
                scope.spawn(|| {
                    while let Some((index, kernel)) = next() {
                        let row = boot(kernel, extent, &initramfs, &folder);
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

fn boot(kernel: &Kernel, extent: Extent, initramfs: &Path, folder: &Path) -> Result<Row> {
    let log = folder.join(format!("{}.log", kernel.wanted));
    let started = Instant::now();
    let told = machine::boot(&kernel.image, initramfs, &log, BOUND)?;
    let row = Row { kernel: kernel.clone(), extent, told, log };
    let (passed, of) = report::count(&row);
    note(
        &format!("kernel {}", row.kernel.version()),
        &format!("{passed} of {of} tests passed, {:.1} s", started.elapsed().as_secs_f64()),
    );
    Ok(row)
}

/// Where cargo put what it built.
fn built() -> Result<Built> {
    let text = output_of(place::cargo().args(["test", "--no-run", "--message-format=json"]))?;
    let artifacts = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let of_tests = artifacts.filter_map(|artifact| {
        let is_test = artifact["profile"]["test"] == true && artifact["target"]["kind"][0] == "test";
        let path = artifact["executable"].as_str()?;
        is_test.then(|| Some((artifact["target"]["name"].as_str()?.to_owned(), PathBuf::from(path))))?
    });
    let binary = |name: &str| place::binary(Profile::Debug, name);
    Ok(Built { daemon: binary("procprobe"), guest: binary("guest"), actor: binary("actor"), tests: of_tests.collect() })
}
