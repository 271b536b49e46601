//! The file that remembers the next sequence number: `sequence` in the state directory.
//!
//! One line, `procprobe-sequence 1 BOOT_ID NEXT clean|reserved`. It is replaced as a whole (written beside, synced,
//! renamed, directory synced), so that a crash leaves the old line or the new one. A line that is neither (a damaged
//! disk, a hand's edit) is set aside under another name and told, never guessed at. `lock` beside it is held for the life
//! of the daemon: two daemons on one directory would number alike.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

const MAGIC: &str = "procprobe-sequence";
const VERSION: &str = "1";
/// A valid line is far shorter.
const LONGEST: u64 = 512;

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The boot that the number belongs to.
    pub(super) boot_id: String,
    /// The first number that may be used.
    pub(super) next: u64,
    /// The last run said goodbye.
    pub(super) clean: bool,
}

/// What was there when the ledger was opened.
#[derive(Debug)]
pub(super) enum Found {
    Nothing,
    Entry(Entry),
    Damaged {
        why: &'static str,
        /// Where the damaged file is now.
        kept: PathBuf,
    },
}

#[derive(Debug)]
pub(super) enum Error {
    /// Another daemon holds the directory.
    Locked,
    Io(io::Error),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The open state directory.
#[derive(Debug)]
pub(super) struct Ledger {
    path: PathBuf,
    beside: PathBuf,
    directory: File,
    /// Holds the lock until it is dropped.
    _lock: File,
}

impl Ledger {
    /// Makes the directory if it is missing, locks it, and reads what the last run left.
    pub(super) fn open(directory: &Path) -> Result<(Self, Found), Error> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let lock = private(&directory.join("lock"))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(Error::Locked),
            Err(error) => return Err(Error::Io(error.into())),
        }
        let ledger = Self {
            path: directory.join("sequence"),
            beside: directory.join("sequence.new"),
            directory: File::open(directory)?,
            _lock: lock,
        };
        let found = ledger.read()?;
        Ok((ledger, found))
    }

    /// Replaces the file; on return the line is on disk.
    pub(super) fn write(&mut self, entry: &Entry) -> io::Result<()> {
        let state = if entry.clean { "clean" } else { "reserved" };
        let mut file = private(&self.beside)?;
        file.set_len(0)?;
        writeln!(file, "{MAGIC} {VERSION} {} {} {state}", entry.boot_id, entry.next)?;
        file.sync_all()?;
        fs::rename(&self.beside, &self.path)?;
        self.directory.sync_all()
    }

    fn read(&self) -> io::Result<Found> {
        let mut bytes = Vec::new();
        match File::open(&self.path) {
            Ok(file) => file.take(LONGEST).read_to_end(&mut bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(error) => return Err(error),
        };
        match parse(&bytes) {
            Ok(entry) => Ok(Found::Entry(entry)),
            Err(why) => {
                let kept = self.path.with_extension("damaged");
                fs::rename(&self.path, &kept)?;
                Ok(Found::Damaged { why, kept })
            }
        }
    }
}

fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)
}

/// The entry in a line, or what is wrong with it.
pub(super) fn parse(bytes: &[u8]) -> Result<Entry, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "not text")?;
    let line = text.strip_suffix('\n').ok_or("no end of line")?;
    let [magic, version, boot_id, next, state] =
        line.split(' ').collect::<Vec<_>>().try_into().map_err(|_| "not five words")?;
    if magic != MAGIC || version != VERSION {
        return Err("not a sequence file of this version");
    }
    let next = next.parse::<u64>().map_err(|_| "the number is none")?;
    if next == 0 {
        return Err("the number is 0");
    }
    let clean = match state {
        "clean" => true,
        "reserved" => false,
        _ => return Err("neither clean nor reserved"),
    };
    if boot_id.is_empty() {
        return Err("no boot id");
    }
    Ok(Entry { boot_id: boot_id.to_owned(), next, clean })
}
