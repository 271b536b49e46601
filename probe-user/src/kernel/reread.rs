//! A look at a process by /proc: for processes older than the daemon, and for those that change their arguments
//! (setproctitle) or their user (setuid) without telling anyone. Never on the path of an event.
//!
//! A number may have been given to another process since it was learned: the caller drains the ring before it uses the
//! answer, for the end of the first one is in there by then.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};

use super::convert::arguments;
use crate::record::Reread;

/// The first `most` bytes of a process's arguments, separated by NULs; `None` when it is gone or a zombie.
pub fn args(tgid: u32, most: usize) -> Option<Box<str>> {
    let mut file = File::open(format!("/proc/{tgid}/cmdline")).ok()?;
    // Nearly always one read and the one that finds the end.
    let mut bytes = vec![0; most];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    Some(arguments(bytes.get(..filled)?))
}

/// What a process says of itself now, with its user if that is wanted; `None` when it is gone or a zombie.
pub fn look(tgid: u32, most: usize, user: bool) -> Option<Reread> {
    let args = args(tgid, most)?;
    let status = user.then(|| fs::read_to_string(format!("/proc/{tgid}/status")).ok()).flatten();
    Some(Reread { args, uid: status.as_deref().and_then(real_uid) })
}

/// The first of the four numbers in the line `Uid:`.
fn real_uid(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_real_user_is_the_first_of_four() {
        let check = |status: &str, expected: Option<u32>| assert_eq!(real_uid(status), expected, "{status}");
        check("Name:\tnginx\nUid:\t33\t34\t35\t36\nGid:\t1\t1\t1\t1\n", Some(33));
        check("Name:\tnginx\n", None);
        check("Uid:\n", None);
    }

    #[test]
    fn this_process_says_what_it_is() {
        let found = look(std::process::id(), 4096, true).unwrap();
        assert_eq!(found.uid, Some(rustix::process::getuid().as_raw()));
        let first = std::env::args().next().unwrap();
        assert_eq!(found.args.split('\0').next(), Some(&*first));
        assert_eq!(look(std::process::id(), 1, false).unwrap().args.len(), 1);
    }
}
