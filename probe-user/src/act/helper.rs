//! `procprobe act`, the process that does what the daemon must not wait for and has no capabilities for.
//!
//! It takes orders on stdin, does each in a thread of its own, and answers on stdout. At the end of stdin the daemon is
//! gone: programs that run are ended as if their time were over, and so is the helper.

use std::io::{self, BufRead as _, PipeReader, Write as _};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::thread;

use caps::{CapSet, Capability, CapsHashSet};

use super::wire::{Answer, Ask, What, line};
use super::{run, signal};

/// What it takes to become another user, and to signal whatever belongs to one.
const KEPT: [Capability; 3] = [Capability::CAP_SETUID, Capability::CAP_SETGID, Capability::CAP_KILL];

/// A thread here calls little.
const STACK: usize = 256 << 10;

/// Runs until stdin ends.
pub fn serve() -> io::Result<()> {
    // A terminal's ^C is for the daemon. Fails where this is the leader of a group already, which is as good.
    let _ = rustix::process::setsid();
    if let Err(error) = keep_only(&KEPT) {
        tracing::warn!("the helper keeps its capabilities: {error}");
    }
    outlive_hangups()?;
    let (stop, running) = io::pipe()?;
    let stop = Arc::new(stop);
    let mut threads = Vec::new();
    for order in io::stdin().lock().lines() {
        let Ask { order, what } = serde_json::from_str(&order?).map_err(io::Error::other)?;
        let stop = Arc::clone(&stop);
        threads.retain(|thread: &thread::JoinHandle<()>| !thread.is_finished());
        threads.push(thread::Builder::new().stack_size(STACK).spawn(move || tell(order, &perform(&what, &stop)))?);
    }
    drop(running);
    for thread in threads {
        // One that panicked has said so.
        let _ = thread.join();
    }
    Ok(())
}

/// Whoever reloads the daemon by its name (`pkill -HUP`) hits this process as well. The signal is caught and not ignored: programs
/// that are run would inherit that.
fn outlive_hangups() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _entered = runtime.enter();
    // What catches it stays for as long as the process does.
    tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).map(drop)
}

fn perform(what: &What, stop: &PipeReader) -> Answer {
    let done = match what {
        What::Run(program) => run::run(program, stop.as_fd()),
        What::Signal(aim) => signal::signal(aim, stop.as_fd()),
    };
    done.unwrap_or_else(|why| Answer::Failed { why })
}

/// Nobody may be listening any more.
fn tell(order: u64, answer: &Answer) {
    if let Ok(line) = line(&(order, answer)) {
        let mut stdout = io::stdout().lock();
        let _ = stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush());
    }
}

/// Gives up all capabilities but these. Root's programs have all of root's again once they are executed; other users need
/// them in the ambient set, for [`super::become_user`] to have them.
fn keep_only(kept: &[Capability]) -> Result<(), caps::errors::CapsError> {
    let held = caps::read(None, CapSet::Permitted)?;
    let kept: CapsHashSet = kept.iter().copied().filter(|capability| held.contains(capability)).collect();
    caps::clear(None, CapSet::Ambient)?;
    let inherited = if rustix::process::geteuid().is_root() { CapsHashSet::new() } else { kept.clone() };
    caps::set(None, CapSet::Inheritable, &inherited)?;
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)?;
    caps::set(None, CapSet::Ambient, &inherited)
}
