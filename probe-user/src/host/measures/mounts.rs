//! Which mounted file systems policies mean, from /proc/self/mountinfo.
//!
//! A mount point that is covered by a later mount is not seen by anyone, so only the last mount of a path counts. Of a
//! file system with several mounts (bind mounts, subvolumes) the one with the shortest path stands for it.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use super::parse;
use crate::policy::spec::HostBound;
use crate::record::MountKind;

/// More mounts than this are not looked at: who has so many is told so in the log.
pub(super) const MOUNTS_MAX: usize = 1024;

/// Looking at one of these would mount something; what they mount is in the table by itself.
const TRIGGER: &[u8] = b"autofs";

/// Types that hold nothing that people put there, or are full from the start.
const PSEUDO: [&[u8]; 34] = [
    b"binfmt_misc",
    b"bpf",
    b"cgroup",
    b"cgroup2",
    b"configfs",
    b"cramfs",
    b"debugfs",
    b"devpts",
    b"devtmpfs",
    b"efivarfs",
    b"erofs",
    b"fuse.gvfsd-fuse",
    b"fuse.lxcfs",
    b"fuse.portal",
    b"fuse.snapfuse",
    b"fusectl",
    b"hugetlbfs",
    b"iso9660",
    b"mqueue",
    b"nfsd",
    b"nsfs",
    b"proc",
    b"pstore",
    b"ramfs",
    b"resctrl",
    b"rpc_pipefs",
    b"securityfs",
    b"selinuxfs",
    b"smackfs",
    b"squashfs",
    b"sysfs",
    b"tmpfs",
    b"tracefs",
    b"udf",
];

/// One mount that some policy means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// To look at it.
    pub(super) path: PathBuf,
    /// To name it: invalid UTF-8 replaced.
    pub(super) shown: Arc<str>,
    pub(super) kind: MountKind,
}

/// Those that the bounds mean, sorted by path.
pub(super) fn wanted(text: &[u8], bounds: &[HostBound]) -> Vec<Mount> {
    let mut tops: BTreeMap<Vec<u8>, (&[u8], bool)> = BTreeMap::new();
    for line in parse::mounts(text).filter(|line| line.kind != TRIGGER) {
        let pseudo = is_pseudo(&line);
        tops.insert(line.path, (line.device, pseudo));
    }
    let mut own: HashMap<&[u8], &[u8]> = HashMap::new();
    for (path, (device, _)) in tops.iter().filter(|(_, (_, pseudo))| !pseudo) {
        own.entry(device).and_modify(|best| *best = shorter(best, path)).or_insert(path);
    }
    let mut mounts = Vec::new();
    for (path, (device, pseudo)) in &tops {
        let kind = match own.get(device) {
            _ if *pseudo => MountKind::Pseudo,
            Some(best) if *best != path.as_slice() => MountKind::Again,
            _ => MountKind::Own,
        };
        let shown = String::from_utf8_lossy(path);
        if bounds.iter().any(|bound| bound.means_mount(&shown, kind)) {
            let path = PathBuf::from(OsString::from_vec(path.clone()));
            mounts.push(Mount { shown: shown.into(), path, kind });
        }
    }
    if mounts.len() > MOUNTS_MAX {
        tracing::warn!("{} mounts are meant by host policies: only {MOUNTS_MAX} are looked at", mounts.len());
        mounts.truncate(MOUNTS_MAX);
    }
    mounts
}

/// An overlay lies over file systems that are counted by themselves, but for the root of a container.
fn is_pseudo(line: &parse::MountLine<'_>) -> bool {
    PSEUDO.contains(&line.kind) || (line.kind == b"overlay" && line.path != b"/")
}

fn shorter<'a>(one: &'a [u8], other: &'a [u8]) -> &'a [u8] {
    if other.len() < one.len() { other } else { one }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::Severity;
    use crate::policy::glob::Glob;
    use crate::policy::spec::{Bound, Limit, Measure, Per, Side};

    const TABLE: &[u8] = b"21 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
        22 21 0:5 / /proc rw - proc proc rw\n\
        23 21 0:6 / /run rw - tmpfs tmpfs rw\n\
        24 21 8:2 / /data/long/way rw - xfs /dev/sda2 rw\n\
        25 21 8:2 /sub /data/short rw - xfs /dev/sda2 rw\n\
        26 21 7:1 / /snap/core rw - squashfs /dev/loop1 ro\n\
        27 21 0:9 / /net rw - autofs systemd-1 rw\n\
        28 21 0:10 / /mnt/nfs rw - nfs4 server:/x rw\n\
        29 21 0:11 / /var/lib/docker/merged rw - overlay overlay rw\n\
        30 21 8:3 / /covered rw - ext4 /dev/sda3 rw\n\
        31 21 0:12 / /covered rw - tmpfs tmpfs rw\n\
        32 21 8:4 / /mnt/a\\040b\xff rw - ext4 /dev/sda4 rw\n";

    #[track_caller]
    fn check(patterns: &[&str], expected: &[&str]) {
        let bound = Bound {
            measure: Measure::DiskFree,
            side: Side::Min,
            limit: Limit::HostShare(0.1),
            clear: None,
            hold: Duration::ZERO,
            keep_firing: Duration::ZERO,
            within: Duration::ZERO,
            per: Per::Group,
            severity: Severity::Warning,
            declared: "host.yaml:1".into(),
        };
        let targets = patterns.iter().map(|pattern| Glob::path(pattern).unwrap()).collect();
        let found = wanted(TABLE, &[HostBound { bound, targets }]);
        let found: Vec<&str> = found.iter().map(|mount| &*mount.shown).collect();
        assert_eq!(found, expected, "{patterns:?}");
    }

    #[test]
    fn without_a_name_each_real_file_system_is_meant_once() {
        check(&[], &["/", "/data/short", "/mnt/a b\u{fffd}", "/mnt/nfs"]);
    }

    #[test]
    fn a_pattern_means_real_ones_and_a_name_means_any() {
        check(&["/**"], &["/", "/data/long/way", "/data/short", "/mnt/a b\u{fffd}", "/mnt/nfs"]);
        check(&["/mnt/*", "/"], &["/", "/mnt/a b\u{fffd}", "/mnt/nfs"]);
        check(&["/run"], &["/run"]);
        check(&["/ru*"], &[]);
        check(&["/covered", "/net", "/nowhere", "/var/lib/docker/merged"], &["/covered", "/var/lib/docker/merged"]);
    }

    #[test]
    fn the_root_of_a_container_is_real() {
        let text = b"1 0 0:50 / / rw - overlay overlay rw\n";
        assert!(!is_pseudo(&parse::mounts(text).next().unwrap()));
    }
}
