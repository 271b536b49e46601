//! One virtual machine: boots a kernel with a file system that has the checks, and hears what became of them.
//!
//! Where the processor can run machines of its own qemu lets it, else it emulates: /dev/kvm is missing in many machines that
//! are virtual themselves, and half there in some. Everything the machine says is kept in a log; the lines of its first
//! process (`tests/src/bin/guest.rs`) are the result. The machine is ended when its time is over: what it had
//! not told by then is missing, and missing is failed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::arch::Arch;

/// Before each line of the first process; see there.
const MARK: &str = "@procprobe ";

/// What became of one test.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outcome {
    /// Why it did not pass, if it did not.
    pub(crate) failure: Option<String>,
    /// How long it took, s.
    pub(crate) seconds: f64,
    /// The end of what it printed.
    pub(crate) output: String,
}

/// What a machine told.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Told {
    /// `uname -r` of what really ran.
    pub(crate) release: String,
    /// By name of the test.
    pub(crate) outcomes: BTreeMap<String, Outcome>,
    /// Why it did not come to its end, if it did not.
    pub(crate) broken: Option<String>,
}

impl Told {
    /// One line of the console. False when it was the last that counts.
    fn hear(&mut self, line: &str) -> bool {
        let Some((_, line)) = line.split_once(MARK) else { return true };
        let Ok(line) = serde_json::from_str::<Value>(line) else { return true };
        let text = |name: &str| line[name].as_str().map(str::to_owned);
        if let Some(release) = text("release") {
            self.release = release;
        }
        if let Some(check) = text("check") {
            let failure = if line["passed"] == true { None } else { Some(text("why").unwrap_or_default()) };
            let seconds = line["seconds"].as_f64().unwrap_or_default();
            let output = text("output").unwrap_or_default();
            self.outcomes.insert(check, Outcome { failure, seconds, output });
        }
        if let Some(error) = text("error") {
            self.broken = Some(error);
            return false;
        }
        if line["end"] == true {
            self.broken = None;
            return false;
        }
        true
    }
}

/// A machine that has not said anything for so long hangs. Every test ends sooner, and says so.
const SILENCE: Duration = Duration::from_mins(7);

/// Boots and listens until the machine is off, or `bound` has passed. `heard` is told how it stands after each line.
pub(crate) fn boot(
    arch: Arch,
    kernel: &Path,
    initramfs: &Path,
    log: &Path,
    bound: Duration,
    heard: impl FnMut(&Told),
) -> Result<Told> {
    let mut command = Command::new(arch.qemu());
    command.args(arch.machine()).args(["-m", "1024", "-smp", "2"]);
    let accelerators: &[&str] =
        if arch.is_host() && has_kvm() { &["-accel", "kvm", "-accel", "tcg"] } else { &["-accel", "tcg,thread=multi"] };
    command.args(accelerators);
    // A kernel that panics resets the machine; then this is its end.
    command.args(["-display", "none", "-no-reboot", "-nodefaults", "-serial", "stdio"]);
    command.arg("-kernel").arg(kernel).arg("-initrd").arg(initramfs).arg("-append");
    // Level 2 leaves panics and BUGs on the console, and nothing that could come in between our lines.
    command.arg(format!("console={} panic=-1 loglevel=2 mitigations=off nowatchdog", arch.console()));
    let mut file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let stderr = file.try_clone()?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()
        .with_context(|| format!("cannot start {}", arch.qemu()))?;
    let told = listen(&mut child, &mut file, bound, heard);
    // It may be off already; both are right.
    let _ = child.kill();
    let _ = child.wait();
    told
}

/// The device alone says little: it can be there in a machine whose processor hides what it takes.
fn has_kvm() -> bool {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let can = cpu.split_whitespace().any(|flag| flag == "vmx" || flag == "svm");
    can && File::options().read(true).write(true).open("/dev/kvm").is_ok()
}

fn listen(child: &mut Child, log: &mut File, bound: Duration, mut heard: impl FnMut(&Told)) -> Result<Told> {
    let stdout = child.stdout.take().context("no pipe")?;
    let (sender, lines) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let deadline = Instant::now() + bound;
    let mut told = Told { broken: Some("the machine ended before its checks did".to_owned()), ..Told::default() };
    loop {
        match lines.recv_timeout(SILENCE.min(deadline.saturating_duration_since(Instant::now()))) {
            Ok(line) => {
                log.write_all(&line)?;
                log.write_all(b"\n")?;
                if !told.hear(String::from_utf8_lossy(&line).trim_end()) {
                    break;
                }
                heard(&told);
            }
            Err(RecvTimeoutError::Timeout) => {
                told.broken = Some(if Instant::now() < deadline {
                    format!("the machine said nothing for {} s and was ended", SILENCE.as_secs())
                } else {
                    format!("the machine was not done after {} s and was ended", bound.as_secs())
                });
                break;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    drop(lines);
    drop(reader);
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_machine_says_is_heard_between_the_kernels_own_lines() {
        let mut told = Told { broken: Some("no end".to_owned()), ..Told::default() };
        for line in [
            "[    1.0] Linux version",
            "@procprobe {\"release\":\"6.1.0\"}",
            "@procprobe {torn",
            "[    2.0] noise @procprobe {\"check\":\"a::b\",\"passed\":true,\"why\":null,\"seconds\":1.5,\"output\":\"x\\ny\"}",
            "@procprobe {\"check\":\"a::c\",\"passed\":false,\"why\":\"it ended with code 101\",\"seconds\":2,\"output\":\"\"}",
        ] {
            assert!(told.hear(line), "{line}");
        }
        assert!(told.broken.is_some());
        assert!(!told.hear("@procprobe {\"end\":true}"));
        assert_eq!((told.release.as_str(), &told.broken), ("6.1.0", &None));
        let outcome = |failure: Option<&str>, seconds, output: &str| Outcome {
            failure: failure.map(str::to_owned),
            seconds,
            output: output.to_owned(),
        };
        assert_eq!(told.outcomes["a::b"], outcome(None, 1.5, "x\ny"));
        assert_eq!(told.outcomes["a::c"], outcome(Some("it ended with code 101"), 2.0, ""));
        assert!(!told.hear("@procprobe {\"error\":\"cannot mount bpf\"}"));
        assert_eq!(told.broken.as_deref(), Some("cannot mount bpf"));
    }
}
