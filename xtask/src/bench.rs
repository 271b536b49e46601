//! `cargo xtask bench`: builds what ships and measures it. The measuring itself is a program of the tests crate
//! (`tests/src/bin/measure`), so that building xtask does not wait for it.

use anyhow::Result;

use crate::place::{self, Profile};
use crate::step::{run, step};
use crate::toolchain::Choice;
use crate::{daemon, host, object};

/// Rows to measure, none for all of them; `quick` does a tenth of the work.
pub(crate) fn measure(choice: Choice, quick: bool, rows: &[String]) -> Result<()> {
    host::ready_for_kernel_programs()?;
    let procprobe = daemon::build(choice, Profile::Release, false)?;
    object::build_feed(choice)?;
    step("workload", "the processes to be watched, and what measures", || {
        run(place::cargo().args(["build", "--release", "--package", "procprobe-tests", "--bins"]))
    })?;
    let mut command = host::as_root(&place::binary(Profile::Release, "measure"))?;
    command.env("PROCPROBE_BIN", procprobe);
    if quick {
        command.arg("--quick");
    }
    // Its table is the result and goes to stdout.
    let status = command.args(rows).status()?;
    anyhow::ensure!(status.success(), "not everything could be measured");
    Ok(())
}
