//! One file that is read as it grows: where its next line begins, and whether it is still the file that it was.
//!
//! Nothing of a file is kept in memory but its place: a line that is not complete yet is read again from its beginning
//! once its end has come. Lines are cut at [`LINE_MAX`]; what is beyond that of a line is skipped, and the line counts
//! once.
//!
//! A file that became shorter, or whose first bytes are not what they were, was truncated or written anew and is read
//! from its beginning. What `copytruncate` of logrotate loses between its copy and its truncation is lost here too.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, SeekFrom, Stat};
use rustix::io::Errno;

/// Longest line that is looked at, in bytes.
pub(super) const LINE_MAX: usize = 64 << 10;
/// How much is read at a time; larger than a line.
pub(super) const BUFFER: usize = 256 << 10;
/// How many of the first bytes tell a file from another one.
const HEAD_MAX: usize = 1024;

/// A file as long as it exists, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FileId {
    dev: u64,
    pub(super) ino: u64,
}

/// Why a path is not followed.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    /// Reading it would not be reading a log.
    #[error("it is {0}, not a file")]
    NotAFile(&'static str),
    /// It is a directory: patterns name these too.
    #[error("it is a directory")]
    Directory,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<Errno> for OpenError {
    fn from(error: Errno) -> Self {
        Self::Io(error.into())
    }
}

/// A path resolved, without reading or waking anything behind it.
pub(super) struct Named {
    handle: OwnedFd,
    pub(super) id: FileId,
}

impl Named {
    /// Follows links; refuses what is not a regular file.
    pub(super) fn find(path: &Path) -> Result<Self, OpenError> {
        let handle = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let stat = rustix::fs::fstat(&handle)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(Self { handle, id: FileId::of(&stat) }),
            FileType::Directory => Err(OpenError::Directory),
            FileType::Fifo => Err(OpenError::NotAFile("a FIFO")),
            FileType::Socket => Err(OpenError::NotAFile("a socket")),
            _ => Err(OpenError::NotAFile("a device")),
        }
    }

    /// Opens exactly what was found, even if the path names something else by now.
    pub(super) fn open(&self) -> Result<OwnedFd, OpenError> {
        let path = format!("/proc/self/fd/{}", self.handle.as_raw_fd());
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        Ok(rustix::fs::open(path, flags, Mode::empty())?)
    }
}

impl FileId {
    #[allow(clippy::useless_conversion, clippy::unnecessary_cast, reason = "the types differ between architectures")]
    fn of(stat: &Stat) -> Self {
        Self { dev: stat.st_dev as u64, ino: stat.st_ino as u64 }
    }
}

/// Where a file is read on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// The beginning of the next line.
    pub(super) at: u64,
    /// ... which is the rest of one that was too long, to be skipped.
    pub(super) skip: bool,
    /// How many of the first bytes `head` is about.
    pub(super) head_len: usize,
    /// Hash of the first bytes.
    pub(super) head: u64,
}

/// What one reading found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Round {
    /// Lines, whether they matched or not.
    pub(super) lines: u64,
    /// Bytes that were looked at.
    pub(super) bytes: u64,
    /// The file was truncated or written anew.
    pub(super) restarted: bool,
    /// There is more.
    pub(super) more: bool,
}

/// An open file and its place.
#[derive(Debug)]
pub(super) struct Follower {
    file: OwnedFd,
    place: Place,
    /// No line ends between the place and here.
    seen: u64,
}

impl Follower {
    /// From its beginning.
    pub(super) fn from_start(file: OwnedFd) -> Self {
        Self { file, place: Place::default(), seen: 0 }
    }

    /// From its end: what is there was written before. A last line without its end is taken when that comes.
    pub(super) fn from_end(file: OwnedFd, buffer: &mut [u8]) -> io::Result<Self> {
        let mut follower = Self::from_start(file);
        let size = follower.size()?;
        let back = size.min(LINE_MAX as u64);
        let read = follower.read_at(buffer.get_mut(..LINE_MAX).unwrap_or_default(), size - back)?;
        let tail = buffer.get(..read).unwrap_or_default();
        let last = memchr::memrchr(b'\n', tail).map(|end| size - back + end as u64 + 1);
        let skip = last.is_none() && back < size;
        follower.place = Place { at: last.unwrap_or(if skip { size } else { 0 }), skip, ..Place::default() };
        follower.seen = follower.place.at;
        follower.remember_head()?;
        Ok(follower)
    }

    /// From a place that was kept, if this is the same file; the descriptor is given back if not.
    pub(super) fn resume(file: OwnedFd, place: Place) -> Result<Self, OwnedFd> {
        let follower = Self { file, place, seen: place.at };
        let same = follower.size().is_ok_and(|size| size >= place.at) && follower.has_its_head().unwrap_or(false);
        if same { Ok(follower) } else { Err(follower.file) }
    }

    /// To be written down.
    pub(super) const fn place(&self) -> Place {
        self.place
    }

    /// No name leads to it any more.
    pub(super) fn is_deleted(&self) -> bool {
        rustix::fs::fstat(&self.file).is_ok_and(|stat| stat.st_nlink == 0)
    }

    /// Hands all complete lines to `each`, in texts of whole lines; stops after about `budget` bytes.
    pub(super) fn read(&mut self, buffer: &mut [u8], budget: u64, each: &mut dyn FnMut(&[u8])) -> io::Result<Round> {
        let mut round = Round::default();
        if self.size()? < self.seen || !self.has_its_head()? {
            self.restart()?;
            round.restarted = true;
        }
        loop {
            if self.seen > self.place.at && self.seen - self.place.at <= LINE_MAX as u64 {
                // Part of a line is known to be there: only what is new can end it.
                let read = self.read_at(buffer, self.seen)?;
                if read == 0 {
                    break;
                }
                let new = buffer.get(..read).unwrap_or_default();
                if memchr::memchr(b'\n', new).is_none() && self.seen + read as u64 - self.place.at <= LINE_MAX as u64 {
                    self.seen += read as u64;
                    continue;
                }
            }
            let read = self.read_at(buffer, self.place.at)?;
            let text = buffer.get(..read).unwrap_or_default();
            let left = self.take(text, &mut round.lines, each);
            self.seen = self.place.at + left as u64;
            round.bytes += (read - left) as u64;
            if read < buffer.len() {
                break;
            }
            if round.bytes >= budget {
                round.more = true;
                break;
            }
        }
        self.remember_head()?;
        Ok(round)
    }

    /// What is left at the end without a line end is a line too: nothing follows it any more.
    pub(super) fn finish(&mut self, buffer: &mut [u8], each: &mut dyn FnMut(&[u8])) -> io::Result<Round> {
        let mut round = self.read(buffer, u64::MAX, each)?;
        if self.seen > self.place.at {
            let left = usize::try_from(self.seen - self.place.at).unwrap_or(0).min(buffer.len());
            let read = self.read_at(buffer.get_mut(..left).unwrap_or_default(), self.place.at)?;
            each(buffer.get(..read).unwrap_or_default());
            self.place.at += read as u64;
            self.seen = self.place.at;
            round.lines += 1;
            self.remember_head()?;
        }
        Ok(round)
    }

    /// Takes the lines of a text that begins at the place; returns how much is left of it, at most [`LINE_MAX`].
    fn take(&mut self, text: &[u8], lines: &mut u64, each: &mut dyn FnMut(&[u8])) -> usize {
        let mut rest = text;
        while !rest.is_empty() {
            if self.place.skip {
                let end = memchr::memchr(b'\n', rest);
                self.place.skip = end.is_none();
                rest = end.and_then(|end| rest.get(end + 1..)).unwrap_or_default();
                continue;
            }
            let window = rest.get(..=LINE_MAX).unwrap_or(rest);
            if let Some(end) = memchr::memrchr(b'\n', window) {
                let whole = rest.get(..=end).unwrap_or_default();
                each(whole);
                *lines += memchr::memchr_iter(b'\n', whole).count() as u64;
                rest = rest.get(end + 1..).unwrap_or_default();
            } else if rest.len() > LINE_MAX {
                each(rest.get(..LINE_MAX).unwrap_or_default());
                *lines += 1;
                self.place.skip = true;
                rest = rest.get(LINE_MAX..).unwrap_or_default();
            } else {
                break;
            }
        }
        self.place.at += (text.len() - rest.len()) as u64;
        rest.len()
    }

    fn restart(&mut self) -> io::Result<()> {
        // A writer that does not append leaves a hole in front of what it goes on to write.
        let at = match rustix::fs::seek(&self.file, SeekFrom::Data(0)) {
            Ok(at) => at,
            Err(Errno::NXIO | Errno::INVAL | Errno::OPNOTSUPP) => 0,
            Err(error) => return Err(error.into()),
        };
        self.place = Place { at, ..Place::default() };
        self.seen = at;
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(u64::try_from(rustix::fs::fstat(&self.file)?.st_size).unwrap_or(0))
    }

    fn has_its_head(&self) -> io::Result<bool> {
        Ok(self.place.head_len == 0 || self.hash_head(self.place.head_len)? == Some(self.place.head))
    }

    /// The more of the beginning has been seen, the more of it is remembered.
    fn remember_head(&mut self) -> io::Result<()> {
        let len = usize::try_from(self.seen).unwrap_or(HEAD_MAX).min(HEAD_MAX);
        if len > self.place.head_len
            && let Some(head) = self.hash_head(len)?
        {
            (self.place.head_len, self.place.head) = (len, head);
        }
        Ok(())
    }

    /// `None`: the file is shorter.
    fn hash_head(&self, len: usize) -> io::Result<Option<u64>> {
        let mut head = [0; HEAD_MAX];
        let head = head.get_mut(..len.min(HEAD_MAX)).unwrap_or_default();
        Ok((self.read_at(head, 0)? == head.len()).then(|| hash(head)))
    }

    /// As much as there is.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match rustix::io::pread(&self.file, rest, at + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(filled)
    }
}

impl AsFd for Follower {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// FNV-1a: the same in every version, for it is kept on disk.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests;
