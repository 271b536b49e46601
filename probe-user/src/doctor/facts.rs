//! Looks at the host. Nothing here decides anything; what cannot be looked at is part of the facts.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use caps::{CapSet, Capability};
use rustix::fs::Access;
use rustix::process::{Resource, getrlimit};

use super::judge::{Line, Verdict};
use crate::forward::Endpoint;
use crate::host::identity::kernel_release;
use crate::host::lacks;
use crate::kernel::btf::{Btf, VMLINUX};
use crate::kernel::layout;
use crate::policy::Lacks;

/// What was found.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// `uname -r`
    pub(super) release: String,
    /// The kernel's types could be read, or why not.
    pub(super) btf: Result<(), String>,
    /// Fields and tracepoints that are missing.
    pub(super) missing: Vec<String>,
    /// Of the capabilities that matter, those in the effective set; or why that is not known.
    pub(super) capabilities: Result<Vec<Capability>, String>,
    /// `None`: no limit.
    pub(super) memlock_bytes: Option<u64>,
    /// The chosen word of /sys/kernel/security/lockdown; `None` where the kernel has no lockdown.
    pub(super) lockdown: Option<String>,
    /// Where the unified cgroup hierarchy is mounted.
    pub(super) unified_cgroup: Option<PathBuf>,
    /// Where a bpf file system is mounted.
    pub(super) bpffs: Option<PathBuf>,
    /// `kernel.bpf_stats_enabled`
    pub(super) bpf_stats: bool,
    /// What policies can ask for and this kernel does not have.
    pub(super) lacks: Lacks,
}

/// The capabilities that the daemon can use.
pub(super) const CAPABILITIES: [Capability; 4] =
    [Capability::CAP_BPF, Capability::CAP_PERFMON, Capability::CAP_SYS_ADMIN, Capability::CAP_SYS_PTRACE];

impl Facts {
    pub(super) fn gather() -> Self {
        let (btf, missing) = match Btf::read(Path::new(VMLINUX)) {
            Ok(btf) => (Ok(()), layout::resolve(&btf).err().map(|error| error.missing).unwrap_or_default()),
            Err(error) => (Err(error.to_string()), Vec::new()),
        };
        let capabilities = caps::read(None, CapSet::Effective)
            .map(|held| CAPABILITIES.into_iter().filter(|capability| held.contains(capability)).collect())
            .map_err(|error| error.to_string());
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let flag = |path: &str| fs::read_to_string(path).is_ok_and(|text| text.trim() == "1");
        Self {
            release: kernel_release(),
            btf,
            missing,
            capabilities,
            memlock_bytes: getrlimit(Resource::Memlock).current,
            lockdown: fs::read_to_string("/sys/kernel/security/lockdown").ok().and_then(|text| chosen(&text)),
            unified_cgroup: mount_of(&mounts, "cgroup2"),
            bpffs: mount_of(&mounts, "bpf"),
            bpf_stats: flag("/proc/sys/kernel/bpf_stats_enabled"),
            lacks: lacks::read(),
        }
    }
}

/// The word in brackets of `none [integrity] confidentiality`.
fn chosen(text: &str) -> Option<String> {
    Some(text.split_once('[')?.1.split_once(']')?.0.to_owned())
}

/// The first mount point of a file system type, in the text of /proc/self/mounts.
fn mount_of(mounts: &str, kind: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let mut words = line.split(' ');
        let place = words.nth(1)?;
        (words.next()? == kind).then(|| PathBuf::from(place))
    })
}

/// Whether the state directory, or the nearest directory above it that exists, can be written.
pub(super) fn state_dir(wanted: &Path) -> Line {
    let existing = wanted.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let shown = wanted.display();
    let writable = if existing.is_dir() {
        rustix::fs::access(existing, Access::WRITE_OK | Access::EXEC_OK).map_err(io::Error::from)
    } else {
        Err(io::ErrorKind::NotADirectory.into())
    };
    match writable {
        Ok(()) if existing == wanted => Line::new(Verdict::Ok, "state directory", format!("{shown} can be written")),
        Ok(()) => Line::new(Verdict::Ok, "state directory", format!("{shown} is made at the first start")),
        Err(error) => Line::new(Verdict::Warn, "state directory", format!("{}: {error}", existing.display()))
            .remedy("event numbers start anew with each run; name a writable one with --state-dir or state.dir"),
    }
}

/// Whether anything accepts a connection there.
pub(super) async fn reach(endpoint: &Endpoint, within: Duration) -> Result<(), String> {
    let (host, port) = endpoint.address();
    match tokio::time::timeout(within, tokio::net::TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", within.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_mounts_are_found() {
        assert_eq!(chosen("none [integrity] confidentiality\n").as_deref(), Some("integrity"));
        assert_eq!(chosen("none"), None);
        let mounts = "proc /proc proc rw 0 0\nbad\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(mount_of(mounts, "cgroup2"), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(mount_of(mounts, "bpf"), None);
    }

    #[test]
    fn a_state_directory_below_a_file_is_none() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(state_dir(dir.path()).verdict, Verdict::Ok);
        assert_eq!(state_dir(&dir.path().join("new/deep")).verdict, Verdict::Ok);
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(state_dir(&file.join("state")).verdict, Verdict::Warn);
    }

    #[tokio::test]
    async fn a_closed_port_is_out_of_reach() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        assert_eq!(reach(&endpoint, Duration::from_secs(5)).await, Ok(()));
        drop(listener);
        assert!(reach(&endpoint, Duration::from_secs(5)).await.is_err());
    }

    #[test]
    fn this_host_can_be_looked_at() {
        let facts = Facts::gather();
        assert!(!facts.release.is_empty() && facts.capabilities.is_ok(), "{facts:?}");
    }
}
