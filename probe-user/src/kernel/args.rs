//! Arguments from a process's own memory, by /proc: for processes older than the daemon, and for those that rewrite them
//! (setproctitle) without telling the kernel. Never on the path of an event.

use std::fs::File;
use std::io::Read as _;

use super::convert::arguments;

/// The first `most` bytes of a process's arguments, separated by NULs; `None` when it is gone or a zombie.
///
/// The number may have been given to another process since it was learned: the caller drains the ring before it uses
/// the answer, for the end of the first one is in there by then.
pub fn read(tgid: u32, most: usize) -> Option<Box<str>> {
    let file = File::open(format!("/proc/{tgid}/cmdline")).ok()?;
    let mut bytes = Vec::new();
    file.take(u64::try_from(most).unwrap_or(u64::MAX)).read_to_end(&mut bytes).ok()?;
    Some(arguments(&bytes))
}
