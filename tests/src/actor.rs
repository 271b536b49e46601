//! Processes for the daemon to see, all of them `src/bin/actor.rs`.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::event::Event;

/// A process that a test started. Dropped, it is killed.
#[derive(Debug)]
pub struct Actor {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

/// `actor ARGUMENTS... -- MARK`, not yet started; `actor` is the path of the binary.
pub fn command<A: AsRef<OsStr>>(actor: &str, arguments: impl IntoIterator<Item = A>, mark: &str) -> Command {
    let mut command = Command::new(actor);
    command.args(arguments).arg("--").arg(mark);
    command
}

impl Actor {
    /// `actor WORDS... -- MARK`, the words separated by spaces.
    pub fn start(actor: &str, words: &str, mark: &str) -> Self {
        Self::of(&mut command(actor, words.split(' '), mark))
    }

    /// Any command.
    pub fn of(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let stdin = child.stdin.take();
        let Some(stdout) = child.stdout.take() else { panic!("no pipe") };
        Self { child, stdin, stdout: BufReader::new(stdout) }
    }

    /// Such a command as the process of this number, which nobody has now.
    ///
    /// The kernel gives the next free pid above the last one. Others take pids as well, so it may need several tries;
    /// where the kernel has no ns_last_pid, turning the counter around does it.
    pub fn with_pid(wanted: u32, command: &mut Command) -> Self {
        const LAST: &str = "/proc/sys/kernel/ns_last_pid";
        let tries = if Path::new(LAST).exists() { 2_000 } else { 5_000_000 };
        for _ in 0..tries {
            // Refused only where it does not exist.
            let _ = fs::write(LAST, (wanted - 1).to_string());
            let actor = Self::of(command);
            if actor.pid() == wanted {
                return actor;
            }
        }
        panic!("pid {wanted} never came again")
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap_or_else(|error| panic!("kill: {error}"));
    }

    /// Writes a line to its stdin.
    pub fn say(&mut self, line: &str) {
        let Some(stdin) = &mut self.stdin else { panic!("its stdin is closed") };
        writeln!(stdin, "{line}").unwrap_or_else(|error| panic!("actor's stdin: {error}"));
    }

    /// Closes its stdin, which ends a herd, and waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        self.stdin = None;
        self.child.wait().unwrap_or_else(|error| panic!("wait: {error}"))
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap_or_else(|error| panic!("wait: {error}")).is_none()
    }

    /// The next line that it tells, as JSON.
    pub fn told(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap_or_else(|error| panic!("actor's stdout: {error}"));
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("actor said {line:?}: {error}"))
    }

    /// One of the figures in a line that it tells.
    pub fn told_number(told: &Value, name: &str) -> u64 {
        told[name].as_u64().unwrap_or_else(|| panic!("no {name} in {told}"))
    }

    /// Runs it to its end, which must be a success.
    pub fn finish(&mut self) {
        let status = self.wait();
        assert!(status.success(), "the actor ended with {status}, signal {:?}", status.signal());
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        self.stdin = None;
        // A test that fails leaves it in the middle: a herd's children would outlive it.
        let deadline = Instant::now() + Duration::from_secs(5);
        while thread::panicking() && matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
        // It may have ended already; both are right.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// So many short processes with this mark, to their end; `actor` is the path of the actor. [`came_and_went`] finds them.
pub fn come_and_go(actor: &str, count: usize, mark: &str) {
    let mut parent = Actor::start(actor, &format!("spawn {count} 2 exit {{byte}}"), mark);
    parent.told();
    parent.finish();
}

/// How many starts and exits of these are in what `procprobe events` prints as JSON.
pub fn came_and_went(printed: &[u8], mark: &str) -> (usize, usize) {
    let text = String::from_utf8_lossy(printed);
    let events = text.lines().filter_map(|line| serde_json::from_str(line).ok().map(Event));
    let ours: Vec<Event> = events.filter(|event| event.has_arg(mark) && event.has_arg("exit")).collect();
    let count = |is: fn(&Event) -> bool| ours.iter().filter(|event| is(event)).count();
    (count(Event::is_start), count(Event::is_exit))
}

/// A policy that has the actors of one mode and mark as its group; `bounds` is YAML, one bound a line.
pub fn group(name: &str, mode: &str, mark: &str, bounds: &str) -> String {
    let mut policy = format!("groups:\n  {name}:\n    match: {{ args: \"^[^ ]*actor {mode} (.* )?{mark}$\" }}\n");
    for bound in bounds.lines() {
        policy.extend(["    ", bound.trim(), "\n"]);
    }
    policy
}
