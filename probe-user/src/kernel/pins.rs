//! Where programs and maps outlive the daemon: a directory of its own in the kernel's bpf file system.
//!
//! Everybody may make a directory in /sys/fs/bpf, and whoever owns the pins decides what the daemon sees. So the directory
//! must be one, not a link to one, belong to the daemon's user and be closed to all others; anything else is refused by
//! name, never mended. One daemon at a time has it: it is locked for as long as the value lives.
//!
//! Below it is one directory for each version of what is pinned. It is filled under another name and renamed when all is
//! there, so that what a start left half done is never taken for whole.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use probe_common::ABI_VERSION;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstatfs, major, minor, open, statfs};
use rustix::io::Errno;

/// Where pins are when nothing else is said.
pub const DEFAULT_PINS: &str = "/sys/fs/bpf/procprobe";

/// `BPF_FS_MAGIC` of include/uapi/linux/magic.h.
const BPF_FS: u64 = 0xcafe_4a11;

/// What is pinned under a name of this kind is half done. The file system wants no dots in names.
const UNFINISHED: &str = "-new";
/// Files of links begin so.
pub(super) const LINK: &str = "link_";
/// Files of programs begin so.
pub(super) const PROGRAM: &str = "program_";

/// The directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PinsError {
    /// There is no such file system: `mount -t bpf bpf /sys/fs/bpf`.
    #[error("{}: no bpf file system is mounted there (`mount -t bpf bpf /sys/fs/bpf`)", .0.display())]
    NoBpffs(PathBuf),
    /// It may be somebody else's.
    #[error("the directory of pins {} is refused: {why}; remove it, or name another one with --pin-dir", path.display())]
    Refused {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Another daemon has it.
    #[error("another procprobe has its pins in {}; give this one its own with --pin-dir, or --no-pin", .0.display())]
    InUse(PathBuf),
    /// The system refused something.
    #[error("the directory of pins {}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The directory, checked and locked.
#[derive(Debug)]
pub struct Pins {
    path: PathBuf,
    /// Holds the lock until it is dropped.
    _lock: File,
}

/// What somebody finds who only looks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The daemon that has it; 0 when it is in another pid namespace.
    pub holder: Option<u32>,
    /// Names of what is pinned.
    pub versions: Vec<String>,
}

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Programs that were attached.
    pub links: usize,
    /// Programs.
    pub programs: usize,
    /// Maps.
    pub maps: usize,
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { links, programs, maps } = self;
        write!(f, "{links} links, {programs} programs, {maps} maps")
    }
}

impl Pins {
    /// Makes the directory if it is missing, checks it and locks it.
    pub fn open(path: &Path) -> Result<Self, PinsError> {
        let parent = path.parent().unwrap_or(Path::new("/"));
        match statfs(parent) {
            Ok(found) if is_bpffs(found.f_type) => {}
            Ok(_) | Err(Errno::NOENT) => return Err(PinsError::NoBpffs(path.to_owned())),
            Err(error) => return Err(failed(path)(error.into())),
        }
        match fs::DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed(path)(error)),
            _ => Self::of_present(path),
        }
    }

    /// The directory, if there is one.
    pub fn find(path: &Path) -> Result<Option<Self>, PinsError> {
        match fs::symlink_metadata(path) {
            Ok(_) => Self::of_present(path).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(path)(error)),
        }
    }

    /// What is there, without locking it; `None`: no such directory.
    pub fn look(path: &Path) -> Result<Option<Found>, PinsError> {
        match fs::symlink_metadata(path) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(path)(error)),
        }
        let place = Self::checked(path)?.metadata().map_err(failed(path))?;
        let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
        let versions = versions(path)?.into_iter().map(|(name, _)| name).collect();
        Ok(Some(Found { holder: holder(&locks, place.dev(), place.ino()), versions }))
    }

    fn of_present(path: &Path) -> Result<Self, PinsError> {
        let directory = Self::checked(path)?;
        match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: directory }),
            Err(Errno::WOULDBLOCK) => Err(PinsError::InUse(path.to_owned())),
            Err(error) => Err(failed(path)(error.into())),
        }
    }

    /// The directory, if nobody else can have made or changed it.
    fn checked(path: &Path) -> Result<File, PinsError> {
        let refused = |why: String| PinsError::Refused { path: path.to_owned(), why };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory: File = match open(path, flags, Mode::empty()) {
            Ok(directory) => directory.into(),
            Err(Errno::LOOP | Errno::NOTDIR) => return Err(refused("it is no directory, or a link to one".to_owned())),
            Err(error) => return Err(failed(path)(error.into())),
        };
        let found = directory.metadata().map_err(failed(path))?;
        let own = rustix::process::geteuid().as_raw();
        if found.uid() != own {
            return Err(refused(format!("it belongs to user {}, not to {own}", found.uid())));
        }
        let mode = found.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(refused(format!("its mode is {mode:04o}, others may look into it; expected 0700")));
        }
        if !is_bpffs(fstatfs(&directory).map_err(|error| failed(path)(error.into()))?.f_type) {
            return Err(refused("it lies in another file system".to_owned()));
        }
        Ok(directory)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the pins of a version are, if they are all there.
    pub(super) fn version(&self, name: &str) -> Option<PathBuf> {
        Some(self.path.join(name)).filter(|path| path.is_dir())
    }

    /// An empty directory for the pins of a version, until [`Self::finish`].
    pub(super) fn begin(&self, name: &str) -> Result<PathBuf, PinsError> {
        let path = self.path.join(format!("{name}{UNFINISHED}"));
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(failed(&path))?;
        Ok(path)
    }

    /// Everything of that version is there.
    pub(super) fn finish(&self, name: &str) -> Result<PathBuf, PinsError> {
        let path = self.path.join(name);
        fs::rename(self.path.join(format!("{name}{UNFINISHED}")), &path).map_err(failed(&path))?;
        Ok(path)
    }

    /// What starts left half done is removed.
    pub(super) fn tidy(&self) -> Result<(), PinsError> {
        for (name, path) in self.versions()? {
            if name.ends_with(UNFINISHED) {
                remove(&path, &mut Removed::default())?;
            }
        }
        Ok(())
    }

    /// All versions that are there, by name.
    pub(super) fn versions(&self) -> Result<Vec<(String, PathBuf)>, PinsError> {
        versions(&self.path)
    }

    /// Detaches and removes everything, the directory too.
    pub fn remove_all(self) -> Result<Removed, PinsError> {
        let mut removed = Removed::default();
        for (_, path) in self.versions()? {
            remove(&path, &mut removed)?;
        }
        fs::remove_dir(&self.path).map_err(failed(&self.path))?;
        Ok(removed)
    }
}

/// Whether this program can read what a version of this name left: its wire is this one's.
pub fn is_readable(version: &str) -> bool {
    version.starts_with(&format!("v{ABI_VERSION}-"))
}

fn versions(path: &Path) -> Result<Vec<(String, PathBuf)>, PinsError> {
    let mut versions = Vec::new();
    for entry in fs::read_dir(path).map_err(failed(path))? {
        let entry = entry.map_err(failed(path))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            versions.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
        }
    }
    versions.sort_unstable();
    Ok(versions)
}

/// Who has locked a file, in the text of /proc/locks: `1: FLOCK  ADVISORY  WRITE 708 00:20:12345 0 EOF`.
fn holder(locks: &str, device: u64, inode: u64) -> Option<u32> {
    let place = format!("{:02x}:{:02x}:{inode}", major(device), minor(device));
    locks.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip_while(|word| *word != "FLOCK").skip(3);
        let pid = words.next()?.parse().ok()?;
        (words.next()? == place).then_some(pid)
    })
}

/// Removes the pins of one version, those that keep programs attached first: nothing is told any more then.
pub(super) fn remove(path: &Path, removed: &mut Removed) -> Result<(), PinsError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(failed(path))? {
        let name = entry.map_err(failed(path))?.file_name().to_string_lossy().into_owned();
        let rank = usize::from(!name.starts_with(LINK));
        files.push((rank, name));
    }
    files.sort_unstable();
    for (_, name) in files {
        let file = path.join(&name);
        fs::remove_file(&file).map_err(failed(&file))?;
        let count = match &name {
            name if name.starts_with(LINK) => &mut removed.links,
            name if name.starts_with(PROGRAM) => &mut removed.programs,
            _ => &mut removed.maps,
        };
        *count += 1;
    }
    fs::remove_dir(path).map_err(failed(path))
}

fn is_bpffs(kind: impl TryInto<u64>) -> bool {
    kind.try_into().is_ok_and(|kind| kind == BPF_FS)
}

pub(super) fn failed(path: &Path) -> impl FnOnce(io::Error) -> PinsError {
    let path = path.to_owned();
    move |source| PinsError::Io { path, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn whoever_has_the_lock_is_found() {
        let locks = "1: POSIX  ADVISORY  WRITE 11 00:20:77 0 EOF\n2: FLOCK  ADVISORY  WRITE 12 00:20:78 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 13 fd:01:77 0 EOF\n3: -> FLOCK  ADVISORY  WRITE 14 00:20:77 0 EOF\n\
                     FLOCK\n\n4: FLOCK ADVISORY WRITE x 00:20:79 0 EOF\n";
        let device = rustix::fs::makedev(0, 0x20);
        assert_eq!(holder(locks, device, 78), Some(12));
        assert_eq!(holder(locks, rustix::fs::makedev(0xfd, 1), 77), Some(13));
        assert_eq!((holder(locks, device, 79), holder(locks, device, 7), holder("", device, 77)), (None, None, None));
    }

    #[test]
    fn what_anybody_could_have_made_is_refused_by_looking_too() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Pins::look(&folder.path().join("none")).unwrap().is_none());
        for (mode, expected) in [(0o755, "its mode is 0755"), (0o700, "lies in another file system")] {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
            let error = Pins::look(folder.path()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        std::os::unix::fs::symlink(folder.path(), folder.path().join("link")).unwrap();
        let error = Pins::look(&folder.path().join("link")).unwrap_err().to_string();
        assert!(error.contains("a link to one"), "{error}");
    }
}
