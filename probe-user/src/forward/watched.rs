//! Files of a collector that are looked at again while it is sent to: what tells that one has changed.
//!
//! Whoever looks does so on a thread of its own kind: a file on a network's file system that hangs holds up delivery to this
//! collector and nothing else.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

/// Files are not looked at more often than that.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What changes when a file is written or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Seen {
    pub(super) fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}
