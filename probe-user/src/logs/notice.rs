//! What the kernel tells about files and directories (inotify), so that nothing has to be looked at for nothing.
//!
//! Files are watched by themselves and not through their directory: that tells their changes whatever their name is by
//! then, and nothing of their neighbours. The kernel's limits on watches are told as errors of their own: what has no
//! watch is looked at from time to time.

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

/// One thing that was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice<'a> {
    /// The file of this watch was written to, or lost a name.
    File(i32),
    /// A name came or went in the directory of this watch.
    Name {
        watch: i32,
        name: &'a CStr,
        /// By being renamed.
        moved: Option<Moved>,
    },
    /// A directory came or went.
    Directory,
    /// So much happened that the kernel forgot some of it.
    Everything,
}

/// One half of a renaming; both have the same number and follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moved {
    From(u32),
    To(u32),
}

/// An inotify instance.
#[derive(Debug)]
pub(super) struct Notices(OwnedFd);

impl Notices {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?))
    }

    /// Watches an open file.
    pub(super) fn file(&self, file: BorrowedFd<'_>) -> io::Result<i32> {
        let flags = WatchFlags::MODIFY | WatchFlags::ATTRIB | WatchFlags::MOVE_SELF;
        Ok(inotify::add_watch(&self.0, format!("/proc/self/fd/{}", file.as_raw_fd()), flags)?)
    }

    /// Watches a directory for names; again and again, for another one may have its name by now.
    pub(super) fn directory(&self, path: &Path) -> io::Result<i32> {
        let flags = WatchFlags::CREATE | WatchFlags::MOVE | WatchFlags::DELETE;
        let flags = flags | WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF | WatchFlags::ONLYDIR;
        Ok(inotify::add_watch(&self.0, path, flags)?)
    }

    /// Ends a watch. The kernel may have ended it already.
    pub(super) fn forget(&self, watch: i32) {
        let _ = inotify::remove_watch(&self.0, watch);
    }

    /// Hands over all that was told since the last call.
    pub(super) fn drain(&self, mut each: impl FnMut(Notice<'_>)) -> io::Result<()> {
        let mut buffer = [MaybeUninit::uninit(); 16 << 10];
        let mut reader = inotify::Reader::new(&self.0, &mut buffer);
        loop {
            match reader.next() {
                Ok(event) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => each(Notice::Everything),
                Ok(event) if event.events().contains(ReadFlags::IGNORED) => {}
                Ok(event) => {
                    let told = event.events();
                    if told.intersects(ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF) {
                        each(Notice::Directory);
                    }
                    if let Some(name) = event.file_name() {
                        let moved = if told.contains(ReadFlags::MOVED_FROM) {
                            Some(Moved::From(event.cookie()))
                        } else {
                            told.contains(ReadFlags::MOVED_TO).then(|| Moved::To(event.cookie()))
                        };
                        each(Notice::Name { watch: event.wd(), name, moved });
                    }
                    if event.events().intersects(ReadFlags::MODIFY | ReadFlags::ATTRIB) {
                        each(Notice::File(event.wd()));
                    }
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Notices {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The host allows no more watches.
pub(super) fn is_limit(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOSPC | Errno::MFILE | Errno::NOMEM))
}
