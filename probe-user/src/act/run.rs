//! Runs an action's program: never a shell, with an environment of its own, in its own process group, for a limited time.
//!
//! The group goes with the program: what is left of it when the program ends, or when its time is over, gets SIGTERM and,
//! [`GRACE`] later, SIGKILL. What is to outlive an action must leave the group (`setsid`) or belong to a service manager.

use std::io::{self, PipeReader, Read as _};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::account::{self, Account};
use super::tail::Tail;
use super::wire::{Answer, Program};

/// From SIGTERM to SIGKILL.
const GRACE: Duration = Duration::from_secs(2);

/// Reads of what is still in the pipe after the last SIGKILL.
const LAST_READS: u32 = 64;

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs it to its end. The end of `stop` ends its time. An error is a program that was not even begun.
pub(super) fn run(program: &Program, stop: BorrowedFd<'_>) -> Result<Answer, String> {
    let account = program.user.as_ref().map(account::find).transpose()?;
    let began = Instant::now();
    let (output, child) = start(program, account.as_ref()).map_err(|error| format!("it cannot be started: {error}"))?;
    let mut running = Running::new(child, output, began + program.timeout).map_err(|error| error.to_string())?;
    running.watch(stop);
    let Running { mut child, tail, timed_out, .. } = running;
    let status = child.wait().map_err(|error| format!("its end cannot be learnt: {error}"))?;
    let number = |value: Option<i32>| value.and_then(|value| u8::try_from(value).ok());
    Ok(Answer::Ran {
        code: number(status.code()),
        signal: number(status.signal()),
        core_dumped: status.core_dumped(),
        timed_out,
        took_ns: u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX),
        output: tail.into_text(),
    })
}

fn start(program: &Program, account: Option<&Account>) -> io::Result<(PipeReader, Child)> {
    let (output, writer) = io::pipe()?;
    let mut command = Command::new(super::OWN_PROGRAM);
    command.arg0("procprobe").arg("become").env_clear().env("PATH", PATH).env("SHELL", "/bin/sh");
    if let Some(Account { name, uid, gid, groups, home }) = account {
        command.args(["--uid", &uid.to_string(), "--gid", &gid.to_string()]);
        let groups: Vec<String> = groups.iter().map(ToString::to_string).collect();
        command.args(["--groups", &groups.join(",")]);
        command.env("HOME", home).env("USER", name).env("LOGNAME", name);
    } else {
        command.env("HOME", "/");
    }
    command.arg("--").args(&program.argv);
    command.envs(program.environment.iter().map(|(name, value)| (name, value)));
    command.current_dir("/").process_group(0);
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let child = command.spawn()?;
    Ok((output, child))
}

struct Running {
    child: Child,
    /// Says when the program has ended.
    ended: OwnedFd,
    has_ended: bool,
    /// `None` once nobody is left who could write.
    output: Option<PipeReader>,
    tail: Tail,
    /// End of the program's time, then of its group's.
    deadline: Instant,
    /// The group has been asked to end.
    is_ending: bool,
    timed_out: bool,
}

impl Running {
    fn new(mut child: Child, output: PipeReader, deadline: Instant) -> io::Result<Self> {
        let ended = match pidfd_open(Pid::from_child(&child), PidfdFlags::empty()) {
            Ok(ended) => ended,
            Err(error) => {
                child.kill()?;
                child.wait()?;
                return Err(error.into());
            }
        };
        let (output, tail) = (Some(output), Tail::default());
        Ok(Self { child, ended, has_ended: false, output, tail, deadline, is_ending: false, timed_out: false })
    }

    /// Until nobody of the group is left, or has been killed. The child is not waited for yet: as long as its number is
    /// taken, its group's is.
    fn watch(&mut self, stop: BorrowedFd<'_>) {
        while !self.has_ended || self.output.is_some() {
            let now = Instant::now();
            if now >= self.deadline {
                if self.is_ending {
                    break;
                }
                self.timed_out = true;
                self.end_group(now);
            }
            match self.wait(stop, self.deadline.saturating_duration_since(now)) {
                Ok(Ready { stopped: true, .. }) => self.end_group(Instant::now()),
                Ok(Ready { ended: true, .. }) => {
                    self.has_ended = true;
                    self.read_all();
                    if self.output.is_some() && !self.is_ending {
                        self.end_group(Instant::now());
                    }
                }
                Ok(Ready { output: true, .. }) => self.read(),
                Ok(_) => {}
                // It can only be that something basic is wrong: then it is over.
                Err(_) => break,
            }
        }
        self.signal_group(Signal::KILL);
        self.read_all();
    }

    fn wait(&self, stop: BorrowedFd<'_>, at_most: Duration) -> io::Result<Ready> {
        // The end of a pipe is told also where nothing is asked for: what has been seen is left out.
        let mut places = Vec::with_capacity(3);
        let mut marks: Vec<fn(&mut Ready)> = Vec::with_capacity(3);
        if !self.is_ending {
            places.push(PollFd::from_borrowed_fd(stop, PollFlags::IN));
            marks.push(|ready| ready.stopped = true);
        }
        if !self.has_ended {
            places.push(PollFd::new(&self.ended, PollFlags::IN));
            marks.push(|ready| ready.ended = true);
        }
        if let Some(output) = &self.output {
            places.push(PollFd::new(output, PollFlags::IN));
            marks.push(|ready| ready.output = true);
        }
        poll_for(&mut places, at_most)?;
        let mut ready = Ready::default();
        for (place, mark) in places.iter().zip(marks) {
            if !place.revents().is_empty() {
                mark(&mut ready);
            }
        }
        Ok(ready)
    }

    fn end_group(&mut self, now: Instant) {
        self.signal_group(Signal::TERM);
        self.is_ending = true;
        self.deadline = now + GRACE;
    }

    fn signal_group(&self, signal: Signal) {
        // Nobody may be left in it.
        let _ = kill_process_group(Pid::from_child(&self.child), signal);
    }

    /// Call it only when there is something: it waits otherwise.
    fn read(&mut self) {
        let mut buffer = [0; 4096];
        match self.output.as_mut().map(|output| output.read(&mut buffer)) {
            Some(Ok(length)) if length > 0 => self.tail.push(buffer.get(..length).unwrap_or_default()),
            Some(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => self.output = None,
        }
    }

    /// What is in the pipe now.
    fn read_all(&mut self) {
        for _ in 0..LAST_READS {
            let Some(output) = &self.output else { return };
            let mut places = [PollFd::new(output, PollFlags::IN)];
            if !matches!(poll_for(&mut places, Duration::ZERO), Ok(1..)) {
                return;
            }
            self.read();
        }
    }
}

/// What has happened.
#[derive(Clone, Copy, Debug, Default)]
struct Ready {
    stopped: bool,
    ended: bool,
    output: bool,
}

/// How many are ready; at once when one is.
pub(super) fn poll_for(places: &mut [PollFd<'_>], at_most: Duration) -> io::Result<usize> {
    let timeout = Timespec::try_from(at_most).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 });
    match poll(places, Some(&timeout)) {
        Err(rustix::io::Errno::INTR) => Ok(0),
        other => Ok(other?),
    }
}
