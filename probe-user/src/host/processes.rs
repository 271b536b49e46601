//! Living processes as /proc tells them, for `procprobe match` without a daemon. Never on the path of an event.
//!
//! /proc is read file by file while processes come and go: what is gone in between is left out.

use std::fs;
use std::path::Path;

use crate::record::{Identity, ProcessKey, Scan, TaskRow};
use crate::time::KTime;

/// `PF_KTHREAD`
const KERNEL_THREAD: u64 = 0x0020_0000;
/// /proc counts start times in ticks of 10 ms.
const TICK_NS: u64 = 10_000_000;
/// Parents of parents are followed so far.
const ANCESTORS: usize = 64;
/// Arguments are read so far, as the daemon does.
const ARGS_MAX: usize = 4096;

/// A process and its ancestors, as a scan would find them; `None` when there is no such process.
pub fn with_ancestors(pid: u32) -> Option<(ProcessKey, Scan)> {
    with_ancestors_in(Path::new("/proc"), pid)
}

fn with_ancestors_in(proc: &Path, pid: u32) -> Option<(ProcessKey, Scan)> {
    let mut scan = Scan::default();
    let mut next = Some(pid);
    let mut parents = Vec::new();
    while let Some(pid) = next
        && scan.rows.len() < ANCESTORS
    {
        let Some((row, parent, args)) = read(proc, pid) else { break };
        scan.args.push((row.key, args));
        scan.rows.push(row);
        parents.push(parent);
        next = Some(parent).filter(|parent| *parent != 0);
    }
    let keys: Vec<_> = scan.rows.iter().map(|row| row.key).collect();
    for (row, parent) in scan.rows.iter_mut().zip(keys.iter().skip(1)) {
        row.identity.parent = Some(*parent);
    }
    keys.first().map(|key| (*key, scan))
}

/// One process, its parent's pid and its arguments.
fn read(proc: &Path, pid: u32) -> Option<(TaskRow, u32, Box<str>)> {
    let dir = proc.join(pid.to_string());
    let text = |name: &str| fs::read(dir.join(name)).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let stat = Stat::parse(&text("stat")?)?;
    let status = text("status")?;
    let first_id = |key: &str| {
        status.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse::<u32>().ok())
    };
    let start_boot_ns = stat.start_ticks.saturating_mul(TICK_NS);
    let exe = fs::read_link(dir.join("exe")).map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
    let cgroup = text("cgroup").unwrap_or_default();
    let cgroup = cgroup.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default();
    let row = TaskRow {
        key: ProcessKey { tgid: pid, start: KTime(start_boot_ns) },
        identity: Identity {
            parent: None,
            start_boot_ns,
            cgroup_id: 0,
            uid: first_id("Uid:")?,
            gid: first_id("Gid:")?,
            comm: stat.comm.as_str().into(),
            kernel_thread: stat.flags & KERNEL_THREAD != 0,
        },
        exe: exe.strip_suffix(" (deleted)").unwrap_or(&exe).into(),
        cgroup: cgroup.into(),
        threads: stat.threads,
        zombie: None,
        reaped_cpu_ns: 0,
    };
    Some((row, stat.parent, args(fs::read(dir.join("cmdline")).unwrap_or_default())))
}

/// Separated by NUL, without a closing one.
fn args(mut bytes: Vec<u8>) -> Box<str> {
    bytes.truncate(ARGS_MAX);
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    String::from_utf8_lossy(&bytes).into()
}

/// What /proc/PID/stat says.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    comm: String,
    parent: u32,
    flags: u64,
    threads: u32,
    start_ticks: u64,
}

impl Stat {
    /// The comm may hold anything, also `) R 1`: it ends at the last parenthesis.
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.split_once('(')?;
        let (comm, rest) = rest.rsplit_once(')')?;
        let words: Vec<&str> = rest.split_whitespace().collect();
        let word = |index: usize| words.get(index).copied();
        Some(Self {
            comm: comm.to_owned(),
            parent: word(1)?.parse().ok()?,
            flags: word(6)?.parse().ok()?,
            threads: word(17)?.parse().ok()?,
            start_ticks: word(19)?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_comm_does_not_shift_the_fields() {
        let text = "7 (a) R 1 (x)) S 5 7 7 0 -1 2097216 0 0 0 0 0 0 0 0 20 0 3 0 123 0 0\n";
        let expected = Stat { comm: "a) R 1 (x)".into(), parent: 5, flags: 2_097_216, threads: 3, start_ticks: 123 };
        assert_eq!(Stat::parse(text), Some(expected));
        for text in ["", "7", "7 (a", "7 (a) S", "7 (a) S x 7 7 0 -1 0"] {
            assert_eq!(Stat::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn arguments_are_bounded_and_keep_their_separators() {
        assert_eq!(&*args(b"a\0b c\0\0".to_vec()), "a\0b c");
        assert_eq!(&*args(Vec::new()), "");
        assert!(args(vec![b'x'; 10_000]).len() <= ARGS_MAX);
    }

    #[test]
    fn this_process_is_found_with_its_ancestors() {
        let (key, scan) = with_ancestors(std::process::id()).unwrap();
        assert_eq!(key, scan.rows[0].key);
        assert_eq!(Path::new(&*scan.rows[0].exe), std::env::current_exe().unwrap());
        assert_eq!(scan.args[0].1.split('\0').next().unwrap(), std::env::args().next().unwrap());
        assert_eq!(scan.rows.last().unwrap().identity.parent, None);
        assert!(scan.rows.windows(2).all(|pair| pair[0].identity.parent == Some(pair[1].key)));
        assert_eq!(with_ancestors(u32::MAX), None);
    }
}
