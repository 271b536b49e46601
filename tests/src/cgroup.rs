//! Cgroups of a test's own: some with limits, in whichever hierarchy has that controller here, and a plain one.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// A cgroup in the unified hierarchy. Dropped, it is removed.
#[derive(Debug)]
pub struct PlainCgroup {
    path: PathBuf,
}

impl PlainCgroup {
    /// Makes one. An error says what is missing.
    pub fn new(name: &str) -> std::io::Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts")?;
        let unified = mounts.lines().find_map(|line| match line.split(' ').collect::<Vec<_>>()[..] {
            [_, at, "cgroup2", ..] => Some(PathBuf::from(at)),
            _ => None,
        });
        let path = unified.ok_or_else(|| std::io::Error::other("no unified cgroup hierarchy is mounted"))?.join(name);
        fs::create_dir(&path)?;
        Ok(Self { path })
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PlainCgroup {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// A cgroup in which something is limited. Dropped, what is in it is killed, and it is removed.
#[derive(Debug)]
pub struct LimitedCgroup {
    path: PathBuf,
}

impl LimitedCgroup {
    /// One in which so many bytes can be used, without swap. Panics where no hierarchy offers it, saying what was looked
    /// for.
    pub fn of_memory(name: &str, limit_bytes: u64) -> Self {
        let (cgroup, unified) = Self::new("memory", name);
        let (limit, swap, swap_limit) = if unified {
            ("memory.max", "memory.swap.max", 0)
        } else {
            ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", limit_bytes)
        };
        write(&cgroup.path.join(limit), &limit_bytes.to_string());
        // Not on every kernel, and there may be no swap at all.
        let _ = fs::write(cgroup.path.join(swap), swap_limit.to_string());
        cgroup
    }

    /// One that holds so many tasks. Panics likewise.
    pub fn of_tasks(name: &str, limit: u64) -> Self {
        let (cgroup, _) = Self::new("pids", name);
        write(&cgroup.path.join("pids.max"), &limit.to_string());
        cgroup
    }

    /// True: it is in the unified hierarchy.
    fn new(controller: &str, name: &str) -> (Self, bool) {
        let mounts = read(Path::new("/proc/self/mounts"));
        let mounts: Vec<Vec<&str>> = mounts.lines().map(|line| line.split(' ').collect()).collect();
        let v1 = mounts.iter().find_map(|mount| match mount[..] {
            [_, at, "cgroup", options, ..] if options.split(',').any(|option| option == controller) => {
                Some(Path::new(at))
            }
            _ => None,
        });
        if let Some(root) = v1 {
            return (Self::make(root.join(name)), false);
        }
        let v2 = mounts.iter().find_map(|mount| match mount[..] {
            [_, at, "cgroup2", ..] => Some(Path::new(at)),
            _ => None,
        });
        let offers = |root: &&Path| read(&root.join("cgroup.controllers")).split_whitespace().any(|c| c == controller);
        let Some(root) = v2.filter(offers) else {
            panic!("no cgroup hierarchy with a {controller} controller is mounted here, neither v1 nor v2")
        };
        write(&root.join("cgroup.subtree_control"), &format!("+{controller}"));
        (Self::make(root.join(name)), true)
    }

    fn make(path: PathBuf) -> Self {
        fs::create_dir(&path).unwrap_or_else(|error| panic!("cannot make {}: {error}", path.display()));
        Self { path }
    }

    /// Writing a pid there moves the process.
    pub fn procs(&self) -> PathBuf {
        self.path.join("cgroup.procs")
    }

    /// Kills what is in it, and what that starts meanwhile, until it is empty.
    pub fn kill_all(&self) {
        for _ in 0..1_000 {
            let procs = read(&self.procs());
            let pids: Vec<i32> = procs.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0).collect();
            if pids.is_empty() {
                return;
            }
            for pid in pids.into_iter().filter_map(Pid::from_raw) {
                // It may have ended since.
                let _ = kill_process(pid, Signal::KILL);
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for LimitedCgroup {
    fn drop(&mut self) {
        self.kill_all();
        remove(&self.path);
    }
}

/// The kernel lets go of the last process a moment after it has ended.
fn remove(path: &Path) {
    for _ in 0..100 {
        if fs::remove_dir(path).is_ok() {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("cannot write {text} to {}: {error}", path.display()));
}
