//! Figures of the host as the kernel counts them: nothing is divided or judged here.

use std::sync::Arc;

use crate::time::KTime;

/// Figures of the host at one moment, as the kernel counts them. What nobody asked for is `None`, and so is what the
/// kernel does not say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostSample {
    /// When.
    pub at: KTime,
    /// The figures speak for the time up to here: when no other sample has come by then, nobody has looked. `None`:
    /// until the next sample, whenever that is.
    pub until: Option<KTime>,
    /// CPU time of all CPUs since the boot.
    pub cpu: Option<HostCpu>,
    /// The load average of one minute.
    pub load: Option<f64>,
    /// Memory and swap.
    pub memory: Option<HostMemory>,
    /// Every mounted file system that was asked for; `None`: they were not looked at this time, what was known holds.
    pub disks: Option<Vec<HostDisk>>,
    /// Every network interface that was asked for.
    pub interfaces: Option<Vec<HostInterface>>,
    /// Time in which some task waited, since the boot.
    pub pressure: HostPressure,
}

/// CPU time of all CPUs since the boot, in ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostCpu {
    /// Idle and waiting for storage.
    pub idle_ns: u64,
    /// All, guests counted once.
    pub total_ns: u64,
}

/// Memory and swap, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostMemory {
    /// `MemTotal`.
    pub total: u64,
    /// `MemAvailable`.
    pub available: u64,
    /// `SwapTotal`.
    pub swap_total: u64,
    /// `SwapFree`.
    pub swap_free: u64,
}

/// A mounted file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostDisk {
    /// Its mount point.
    pub path: Arc<str>,
    /// Whether policies that name no mount point mean it.
    pub kind: MountKind,
    /// `None`: it is mounted, but does not answer, or may not be looked at.
    pub size: Option<DiskSize>,
}

/// What a mount is, for policies that do not name it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MountKind {
    /// A file system that holds what people put there.
    #[default]
    Own,
    /// Another mount of a file system that is mounted elsewhere too.
    Again,
    /// The kernel's own (proc, tmpfs), or one that is always full (squashfs).
    Pseudo,
}

/// How large a file system is and what is left of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskSize {
    /// Its size in bytes, with what is reserved for root.
    pub bytes: u64,
    /// In use.
    pub bytes_used: u64,
    /// Left for users.
    pub bytes_free: u64,
    /// Its inodes; 0 where the file system has no such number.
    pub inodes: u64,
    /// Left for users.
    pub inodes_free: u64,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostInterface {
    /// Its name.
    pub name: Arc<str>,
    /// Bytes received since it came up.
    pub received: u64,
    /// Bytes sent since it came up.
    pub sent: u64,
}

/// Time in which some task waited since the boot (PSI's `some total`), in us; `None` where the kernel does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostPressure {
    /// For a CPU.
    pub cpu_us: Option<u64>,
    /// For memory.
    pub memory_us: Option<u64>,
    /// For storage.
    pub io_us: Option<u64>,
}
