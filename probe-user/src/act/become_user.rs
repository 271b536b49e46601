//! `procprobe become`: turns itself into an action's program, as its user.
//!
//! It is a process with a single thread, so that user, groups and capabilities change for all of it. What cannot be done
//! is said on stderr, which is the action's output, with the exit codes that shells have for it: 127 for a program that is
//! not there, 126 for one that cannot be executed.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use caps::CapSet;
use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

/// Who, and what.
#[derive(Clone, Debug, clap::Args)]
pub struct Become {
    /// User number
    #[arg(long, requires = "gid")]
    pub uid: Option<u32>,
    /// Group number
    #[arg(long, requires = "uid")]
    pub gid: Option<u32>,
    /// Further groups
    #[arg(long, value_delimiter = ',')]
    pub groups: Vec<u32>,
    /// The program and its arguments
    #[arg(last = true, required = true)]
    pub argv: Vec<std::ffi::OsString>,
}

/// Does not return but with the exit code of a failure.
pub fn execute(wanted: &Become) -> u8 {
    close_inherited();
    if let Err(error) = give_up(wanted) {
        crate::cli::complain(&format!("procprobe: cannot become user {}: {error}", wanted.uid.unwrap_or_default()));
        return 126;
    }
    let Some((program, arguments)) = wanted.argv.split_first() else { return 126 };
    let error = Command::new(program).args(arguments).exec();
    crate::cli::complain(&format!("procprobe: cannot execute {}: {error}", program.display()));
    if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 }
}

/// Whatever the daemon was started with is none of the program's business. The daemon's own descriptors close by themselves.
fn close_inherited() {
    let Ok(folder) = fs::read_dir("/proc/self/fd") else { return };
    let open: Vec<i32> = folder.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for descriptor in open.into_iter().filter(|descriptor| *descriptor > 2) {
        // The folder's own is among them, and closed by now.
        let _ = nix::unistd::close(descriptor);
    }
}

fn give_up(wanted: &Become) -> io::Result<()> {
    if let (Some(uid), Some(gid)) = (wanted.uid, wanted.gid) {
        let groups: Vec<Gid> = wanted.groups.iter().map(|group| Gid::from_raw(*group)).collect();
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        set_thread_groups(&groups)?;
        set_thread_res_gid(gid, gid, gid)?;
        set_thread_res_uid(uid, uid, uid)?;
    }
    for set in [CapSet::Ambient, CapSet::Inheritable] {
        caps::clear(None, set).map_err(io::Error::other)?;
    }
    Ok(())
}
