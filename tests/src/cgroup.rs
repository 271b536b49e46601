//! Cgroups of a test's own: one with limited memory, in whichever hierarchy has that controller here, and a plain one.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

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

/// The cgroup. Dropped, it is removed.
#[derive(Debug)]
pub struct MemoryCgroup {
    path: PathBuf,
}

impl MemoryCgroup {
    /// Makes one in which so many bytes can be used, without swap. Panics where no hierarchy offers it, saying what
    /// was looked for.
    pub fn new(name: &str, limit_bytes: u64) -> Self {
        let mounts = read(Path::new("/proc/self/mounts"));
        let mounts: Vec<Vec<&str>> = mounts.lines().map(|line| line.split(' ').collect()).collect();
        let v1 = mounts.iter().find_map(|mount| match mount[..] {
            [_, at, "cgroup", options, ..] if options.split(',').any(|option| option == "memory") => {
                Some(Path::new(at))
            }
            _ => None,
        });
        if let Some(root) = v1 {
            let cgroup = Self::make(root.join(name));
            write(&cgroup.path.join("memory.limit_in_bytes"), &limit_bytes.to_string());
            // Not on every kernel, and there may be no swap at all.
            let _ = fs::write(cgroup.path.join("memory.memsw.limit_in_bytes"), limit_bytes.to_string());
            return cgroup;
        }
        let v2 = mounts.iter().find_map(|mount| match mount[..] {
            [_, at, "cgroup2", ..] => Some(Path::new(at)),
            _ => None,
        });
        let Some(root) =
            v2.filter(|root| read(&root.join("cgroup.controllers")).split_whitespace().any(|c| c == "memory"))
        else {
            panic!("no cgroup hierarchy with a memory controller is mounted here, neither v1 nor v2")
        };
        write(&root.join("cgroup.subtree_control"), "+memory");
        let cgroup = Self::make(root.join(name));
        write(&cgroup.path.join("memory.max"), &limit_bytes.to_string());
        let _ = fs::write(cgroup.path.join("memory.swap.max"), "0");
        cgroup
    }

    fn make(path: PathBuf) -> Self {
        fs::create_dir(&path).unwrap_or_else(|error| panic!("cannot make {}: {error}", path.display()));
        Self { path }
    }

    /// Writing a pid there moves the process.
    pub fn procs(&self) -> PathBuf {
        self.path.join("cgroup.procs")
    }
}

impl Drop for MemoryCgroup {
    fn drop(&mut self) {
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
