//! Says what is done and why, runs it, and says how long it took.
//!
//! Everything goes to stderr: stdout belongs to the results (tables, events). A command that fails is an error with its
//! whole command line, so that it can be repeated by hand.

use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// One announced step. `work` may print; its own lines stand between the announcement and the end.
pub(crate) fn step<T>(what: &str, why: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("xtask: {what}: {why}");
    let started = Instant::now();
    let result = work();
    let seconds = started.elapsed().as_secs_f64();
    match &result {
        Ok(_) => eprintln!("xtask: {what}: done, {seconds:.1} s"),
        Err(_) => eprintln!("xtask: {what}: failed after {seconds:.1} s"),
    }
    result
}

/// Something found or decided that costs no time worth telling.
pub(crate) fn note(what: &str, found: &str) {
    eprintln!("xtask: {what}: {found}");
}

/// Runs to the end with our stdin and stderr; what it prints to stdout goes to stderr as well.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = line_of(command);
    let status = command
        .stdout(std::io::stderr())
        .status()
        .with_context(|| format!("cannot start `{line}`: is it installed?"))?;
    if !status.success() {
        bail!("`{line}` ended with {status}");
    }
    Ok(())
}

/// Runs to the end and returns its stdout; its stderr is part of the error when it fails.
pub(crate) fn output_of(command: &mut Command) -> Result<String> {
    let line = line_of(command);
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{line}`: is it installed?"))?;
    if !output.status.success() {
        bail!("`{line}` ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{line}` printed something that is not UTF-8"))
}

/// Like [`run`], but ends it when it takes longer: what waits on a network that is not there must not hang the build.
pub(crate) fn run_within(command: &mut Command, bound: Duration) -> Result<()> {
    let line = line_of(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .spawn()
        .with_context(|| format!("cannot start `{line}`: is it installed?"))?;
    let deadline = Instant::now() + bound;
    loop {
        if let Some(status) = child.try_wait()? {
            if !status.success() {
                bail!("`{line}` ended with {status}");
            }
            return Ok(());
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            bail!("`{line}` did not end within {} s and was stopped", bound.as_secs());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The command as a person would type it, without its environment.
pub(crate) fn line_of(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        let argument = argument.to_string_lossy();
        let plain =
            !argument.is_empty() && argument.chars().all(|c| c.is_ascii_alphanumeric() || "-_./=:,+@".contains(c));
        let _ = if plain { write!(line, " {argument}") } else { write!(line, " '{argument}'") };
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_can_be_pasted_into_a_shell() {
        let mut command = Command::new("cargo");
        command.args(["build", "--features", "", "a b"]);
        assert_eq!(line_of(&command), "cargo build --features '' 'a b'");
    }

    #[test]
    fn what_fails_or_hangs_is_an_error_that_names_it() {
        let failed = run(Command::new("sh").args(["-c", "exit 3"])).unwrap_err().to_string();
        assert!(failed.contains("sh -c 'exit 3'") && failed.contains('3'), "{failed}");
        let missing = format!("{:#}", run(&mut Command::new("no-such-program-here")).unwrap_err());
        assert!(missing.contains("no-such-program-here"), "{missing}");
        let started = Instant::now();
        let hung = run_within(Command::new("sleep").arg("60"), Duration::from_millis(100)).unwrap_err().to_string();
        assert!(hung.contains("did not end") && started.elapsed() < Duration::from_secs(30), "{hung}");
    }
}
