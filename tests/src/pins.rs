//! A directory of pins of a test's own, so that several daemons can have theirs at a time.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use aya::maps::{Map, MapData, MapError, PerCpuArray};
use nix::mount::{MsFlags, mount};
use probe_common::maps::{LOSS_REASONS, LossReason};
use rustix::fs::statfs;

use crate::daemon::binary;
use crate::mark;

/// Where the kernel's bpf file system belongs.
const BPFFS: &str = "/sys/fs/bpf";
/// `BPF_FS_MAGIC`
const MAGIC: u64 = 0xcafe_4a11;

/// The directory; dropped, everything in it is unloaded.
#[derive(Debug)]
pub struct PinDir(PathBuf);

impl PinDir {
    /// One that is not there yet. A host without the file system gets it.
    pub fn new() -> Self {
        let found = statfs(BPFFS).unwrap_or_else(|error| panic!("{BPFFS}: {error}"));
        if u64::try_from(found.f_type).ok() != Some(MAGIC) {
            mount(Some("bpf"), BPFFS, Some("bpf"), MsFlags::empty(), None::<&str>)
                .unwrap_or_else(|error| panic!("cannot mount the bpf file system at {BPFFS}: {error}"));
        }
        Self(Path::new(BPFFS).join(format!("procprobe-{}", mark())))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where everything of the one version is that is pinned.
    pub fn version(&self) -> PathBuf {
        let versions = self.versions();
        let [version] = &versions[..] else { panic!("not one version: {versions:?}") };
        version.clone()
    }

    /// Everything that is pinned, by version.
    pub fn versions(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.0).unwrap_or_else(|error| panic!("{}: {error}", self.0.display()));
        entries.flatten().map(|entry| entry.path()).collect()
    }

    /// `procprobe unload`
    pub fn unload(&self) -> Output {
        let output = Command::new(binary()).arg("unload").arg("--pin-dir").arg(&self.0).output();
        output.unwrap_or_else(|error| panic!("unload: {error}"))
    }
}

/// What the programs of this version could not deliver for want of room, as they count it.
pub fn lost_in_kernel(version: &Path) -> u64 {
    let read = || {
        let map = Map::from_map_data(MapData::from_pin(version.join("CPU_STATE"))?)?;
        let states: PerCpuArray<MapData, [u64; 1 + LOSS_REASONS + 1]> = map.try_into()?;
        let values = states.get(&0, 0)?;
        Ok::<u64, MapError>(values.iter().map(|state| state[1 + LossReason::RingFull as usize]).sum())
    };
    read().unwrap_or_else(|error| panic!("{}: {error}", version.display()))
}

impl Default for PinDir {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for PinDir {
    fn drop(&mut self) {
        let output = self.unload();
        assert!(output.status.success() || std::thread::panicking(), "{} stays: {output:?}", self.0.display());
    }
}
