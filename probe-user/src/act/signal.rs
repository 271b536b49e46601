//! Signals processes, each only if it still is the one that is meant.
//!
//! A number can be another process's by now. So the number is first turned into a descriptor, which stays with one
//! process; then that process's start is compared; and the signal goes to the descriptor. What is no more, is a zombie, or
//! started at another time is gone.

use std::fs;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, getpid, getppid, pidfd_open, pidfd_send_signal};

use super::run::poll_for;
use super::wire::{Aim, Answer};

/// Signals, and kills what still lives after the time for it. The end of `stop` leaves out the killing: nobody gets less
/// time than the policy gives, and nothing that the daemon began goes on without it. Who is left so is told.
pub(super) fn signal(aim: &Aim, stop: BorrowedFd<'_>) -> Result<Answer, String> {
    let Some(signal) = Signal::from_named_raw(i32::from(aim.signal)) else {
        return Err(format!("{} cannot be sent", crate::signal::name(aim.signal)));
    };
    let (mut hit, mut gone, mut refused) = (Vec::new(), Vec::new(), None);
    for (pid, start_boot_ns) in &aim.targets {
        let sent = take_aim(*pid, *start_boot_ns).and_then(|process| {
            pidfd_send_signal(&process, signal)?;
            Ok(process)
        });
        match sent {
            Ok(process) => hit.push((*pid, process)),
            Err(Errno::SRCH) => gone.push(*pid),
            Err(error) => refused = Some(format!("{} to {pid}: {error}", crate::signal::name(aim.signal))),
        }
    }
    if let (true, Some(why)) = (hit.is_empty(), refused) {
        return Err(why);
    }
    let pids = hit.iter().map(|(pid, _)| *pid).collect();
    let (mut killed, mut left) = (Vec::new(), Vec::new());
    if let Some(after) = aim.then_kill_after {
        if outlive(&mut hit, after, stop) {
            for (pid, process) in hit {
                if pidfd_send_signal(&process, Signal::KILL).is_ok() {
                    killed.push(pid);
                }
            }
        } else {
            left.extend(hit.into_iter().map(|(pid, _)| pid));
        }
    }
    Ok(Answer::Signalled { pids, killed, left, gone })
}

/// The process, if it is the one that is meant. Never pid 1, this process or the daemon.
fn take_aim(pid: u32, start_boot_ns: u64) -> Result<OwnedFd, Errno> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
    if pid == Pid::INIT || pid == getpid() || Some(pid) == getppid() {
        return Err(Errno::PERM);
    }
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).map_err(|_| Errno::SRCH)?;
    let tick_ns = 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1);
    if is_it(&stat, start_boot_ns / tick_ns) { Ok(process) } else { Err(Errno::SRCH) }
}

/// Whether a line of /proc/PID/stat is of a living process that started at this tick since boot.
fn is_it(stat: &str, start_ticks: u64) -> bool {
    /// Behind the name, which may hold anything.
    const START: usize = 19;
    let Some((_, rest)) = stat.rsplit_once(')') else { return false };
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let lives = fields.first().is_some_and(|state| !matches!(*state, "Z" | "X" | "x"));
    lives && fields.get(START).is_some_and(|start| start.parse() == Ok(start_ticks))
}

/// Leaves those that live so long. False if `stop` ends before that: it leaves those that live until then.
fn outlive(processes: &mut Vec<(u32, OwnedFd)>, at_least: Duration, stop: BorrowedFd<'_>) -> bool {
    let deadline = Instant::now() + at_least;
    loop {
        let mut places: Vec<PollFd<'_>> =
            processes.iter().map(|(_, process)| PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)).collect();
        if places.is_empty() {
            return true;
        }
        places.push(PollFd::from_borrowed_fd(stop, PollFlags::IN));
        let left = deadline.saturating_duration_since(Instant::now());
        let polled = poll_for(&mut places, left);
        let mut ready = places.iter().map(|place| !place.revents().is_empty()).collect::<Vec<_>>();
        let stopped = ready.pop().unwrap_or(false);
        let mut ended = ready.into_iter();
        processes.retain(|_| !ended.next().unwrap_or(false));
        if left.is_zero() {
            return true;
        }
        if stopped || polled.is_err() {
            return processes.is_empty();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_start() {
        let stat = |state: &str| format!("7 (a) R 1 (b)) {state} 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 1");
        assert!(is_it(&stat("S"), 4242));
        assert!(!is_it(&stat("S"), 4241));
        assert!(!is_it(&stat("Z"), 4242));
        for nonsense in ["", "7", "7 (a) S 1", "7 (a"] {
            assert!(!is_it(nonsense, 4242), "{nonsense}");
        }
    }
}
