//! The end-to-end tests: first side by side those that mostly wait, then one file after the other what loads the machine.
//!
//! Every file of the test folders is run: one that is not named here is taken to load the machine. Each of those that
//! run side by side prints into a file of its own, shown as a whole when it has ended, so that no two mix.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command};

use anyhow::{Context as _, Result, bail};

use super::{tests, to_harness};
use crate::place::{self, Profile};
use crate::step::{line_of, note, output_of, run};
use crate::{host, package};

/// They wait for a minute of the clock, an interval of an outside program, a repeated notice: hardly ever for the processor.
const PATIENT: [&str; 6] = ["host", "jobs", "logs", "metrics", "notify", "peers"];

/// Where each kind of test lies.
const FOLDERS: [&str; 3] = ["probe-user/tests", "tests/simulation/tests", "tests/tests"];

/// Runs all of them whatever fails, and fails if one does. `path` is the PATH on which they find what they run against.
pub(super) fn all(filter: &[String], path: &OsStr) -> Result<()> {
    let packages = package::for_tests(&place::binary(Profile::Debug, "procprobe"))?;
    let runner = if host::is_root() { None } else { Some(runner()?) };
    let cargo = |names: &[String], threads: u32| {
        let mut command = tests();
        command.args(names.iter().flat_map(|name| ["--test", name]));
        command.env("PROCPROBE_BIN", place::binary(Profile::Debug, "procprobe")).env("PATH", path);
        command.env("PROCPROBE_PACKAGES", &packages);
        command.envs(runner.clone());
        command.args(to_harness(filter, Some(threads)));
        command
    };
    let (patient, busy): (Vec<_>, Vec<_>) = names()?.into_iter().partition(|name| PATIENT.contains(&name.as_str()));
    // Two threads for each: where one test waits for minutes of the clock, the others need not wait for it.
    let started: Result<Vec<_>> =
        patient.iter().map(|name| Aside::start(cargo(std::slice::from_ref(name), 2))).collect();
    let ended: Vec<_> = started?.into_iter().map(Aside::end).collect();
    // Each test starts a daemon of its own; more of them at a time than cores only makes them slow.
    let busy = run(&mut cargo(&busy, 2));
    ended.into_iter().collect::<Result<()>>().and(busy)
}

/// Their names, sorted.
fn names() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for folder in FOLDERS {
        let folder = place::root().join(folder);
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
            let path = entry?.path();
            if path.extension() == Some(OsStr::new("rs")) {
                names.extend(path.file_stem().and_then(OsStr::to_str).map(str::to_owned));
            }
        }
    }
    names.sort();
    if let Some(gone) = PATIENT.iter().find(|patient| !names.iter().any(|name| name == *patient)) {
        bail!("no test folder has `{gone}.rs`: take it out of the list in {}", file!());
    }
    Ok(names)
}

/// One that runs beside others.
struct Aside {
    child: Child,
    line: String,
    output: PathBuf,
}

impl Aside {
    fn start(mut command: Command) -> Result<Self> {
        let line = line_of(&command);
        note("beside the others", &line);
        let folder = place::root().join("target/tests");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let name: String = line.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let output = folder.join(format!("{name}.log"));
        let file = File::create(&output).with_context(|| format!("cannot write {}", output.display()))?;
        command.stdin(std::process::Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().with_context(|| format!("cannot start `{line}`"))?;
        Ok(Self { child, line, output })
    }

    fn end(mut self) -> Result<()> {
        let status = self.child.wait().with_context(|| format!("cannot wait for `{}`", self.line))?;
        let printed = fs::read(&self.output).with_context(|| format!("cannot read {}", self.output.display()))?;
        eprint!("{}", String::from_utf8_lossy(&printed));
        if !status.success() {
            bail!("`{}` ended with {status}", self.line);
        }
        Ok(())
    }
}

/// How cargo is told to start the tests as root.
fn runner() -> Result<(OsString, OsString)> {
    let text = output_of(Command::new("rustc").arg("-vV"))?;
    // As cargo spells it in the names of its variables.
    let triple = text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
    let variable = format!("CARGO_TARGET_{}_RUNNER", triple.to_uppercase().replace('-', "_"));
    Ok((variable.into(), "sudo --preserve-env=PATH,PROCPROBE_BIN,PROCPROBE_PACKAGES,RUST_LOG,RUST_BACKTRACE --".into()))
}
