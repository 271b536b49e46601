//! The first process of a virtual machine that `cargo xtask vm` boots: makes a file system that tests can live in, runs
//! the checks of its plan, tells on the console what became of each, and switches the machine off.
//!
//! The plan is [`PLAN`], JSON: `{"environment": {NAME: TEXT}, "checks": [{"name", "run": [PROGRAM, ARGUMENT...],
//! "expect", "seconds"}]}`. A check is passed when its program ends with 0 within its time and has printed `expect`: a test
//! harness that finds no test of the name ends with 0 as well. Each line for whoever booted us begins with [`MARK`]; the
//! console has the kernel's own lines, too.
//!
//! When this program fails the kernel panics, and the machine ends without the last line: that is told apart from a check
//! that failed.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::process::{WaitOptions, WaitStatus, wait};
use serde_json::{Value, json};

const PLAN: &str = "/plan.json";
/// `cargo xtask vm` looks for it.
const MARK: &str = "@procprobe ";
/// What a check printed is told up to this length, its end.
const TOLD_BYTES: u64 = 24 << 10;

/// Type, place, options.
const MOUNTS: [(&str, &str, &str); 6] = [
    ("proc", "/proc", ""),
    ("sysfs", "/sys", ""),
    ("devtmpfs", "/dev", "mode=0755"),
    ("cgroup2", "/sys/fs/cgroup", ""),
    ("bpf", "/sys/fs/bpf", "mode=0700"),
    ("tracefs", "/sys/kernel/tracing", ""),
];

fn main() {
    // Only the first process may do any of this: on a host it would be a disaster.
    if std::process::id() != 1 {
        eprintln!("guest: this is the first process of a virtual machine; `cargo xtask vm` boots one");
        std::process::exit(2);
    }
    let ended = match serve() {
        Ok(()) => json!({ "end": true }),
        Err(error) => json!({ "error": error.to_string() }),
    };
    tell(&ended);
    // The console's last bytes leave while the machine still runs.
    thread::sleep(Duration::from_millis(200));
    match reboot(RebootMode::RB_POWER_OFF) {
        Ok(never) => match never {},
        Err(error) => eprintln!("guest: cannot switch the machine off: {error}"),
    }
}

fn serve() -> Result<(), Box<dyn Error>> {
    for (kind, place, options) in MOUNTS {
        fs::create_dir_all(place)?;
        mount(Some(kind), place, Some(kind), MsFlags::empty(), Some(options))
            .map_err(|error| format!("cannot mount {kind} on {place}: {error}"))?;
    }
    let plan: Value = serde_json::from_slice(&fs::read(PLAN)?)?;
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    tell(&json!({ "release": release.trim() }));
    let environment: BTreeMap<&str, &str> = plan["environment"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
        .collect();
    for check in plan["checks"].as_array().ok_or("a plan without checks")? {
        tell(&run(check, &environment)?);
    }
    Ok(())
}

/// One line for whoever booted us.
fn tell(line: &Value) {
    println!("{MARK}{line}");
}

/// Runs one check to its end, or to the end of its time, and clears away what it left.
fn run(check: &Value, environment: &BTreeMap<&str, &str>) -> Result<Value, Box<dyn Error>> {
    let words: Vec<&str> = check["run"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let (program, arguments) = words.split_first().ok_or("a check without a program")?;
    let bound = Duration::from_secs(check["seconds"].as_u64().ok_or("a check without a bound")?);
    let expected = check["expect"].as_str().ok_or("a check without an expectation")?;
    let mut output = File::options().read(true).write(true).create(true).truncate(true).open("/output")?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(environment).current_dir("/tmp");
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output.try_clone()?);
    let started = Instant::now();
    let why = match command.spawn() {
        Ok(child) => end_of(child.id(), started + bound)?,
        Err(error) => Some(format!("cannot start {program}: {error}")),
    };
    let seconds = started.elapsed().as_secs_f64();
    clear_away();
    let length = output.metadata()?.len();
    output.seek(SeekFrom::Start(length.saturating_sub(TOLD_BYTES)))?;
    let mut bytes = Vec::new();
    output.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let why = why.or_else(|| {
        let found = text.contains(expected);
        (!found).then(|| format!("it did not print {expected:?}"))
    });
    Ok(json!({ "check": check["name"], "passed": why.is_none(), "why": why, "seconds": seconds, "output": text }))
}

/// Waits for it, and for whoever else has ended: the first process is the parent of all that lost theirs. Why it is no
/// success, if it is none.
fn end_of(pid: u32, deadline: Instant) -> Result<Option<String>, Box<dyn Error>> {
    loop {
        match wait(WaitOptions::NOHANG)? {
            Some((ended, status)) if u32::try_from(ended.as_raw_pid())? == pid => return Ok(describe(status)),
            Some(_) => {}
            None if Instant::now() >= deadline => return Ok(Some("it took too long and was ended".to_owned())),
            None => thread::sleep(Duration::from_millis(10)),
        }
    }
}

fn describe(status: WaitStatus) -> Option<String> {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(0), _) => None,
        (Some(code), _) => Some(format!("it ended with code {code}")),
        (None, signal) => Some(format!("it ended by signal {}", signal.unwrap_or_default())),
    }
}

/// The next check begins with nothing of this one: all processes but ours are ended, and their cgroups are removed.
fn clear_away() {
    // Nobody left to be signalled is an error as well.
    let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
    while wait(WaitOptions::empty()).is_ok_and(|ended| ended.is_some()) {}
    for entry in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().filter(|entry| is_folder(&entry.path()))
    {
        let _ = fs::remove_dir(entry.path());
    }
}

fn is_folder(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_dir())
}
