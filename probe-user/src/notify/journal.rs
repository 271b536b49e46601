//! The file that remembers what is still to be delivered and which alarms are on: `notify/journal` in the state directory.
//!
//! A header and one line for each thing that happened ([`super::notice::Line`]), appended; a notice is on disk before it is
//! sent the first time. When most of it is history it is replaced by what still counts (written beside, synced, renamed,
//! directory synced). A last line without its end is an append that a crash cut short: it was never acted on and is left
//! out. Any other line that cannot be read means a damaged file: that one is kept under another name and told, and what
//! could be read of it counts.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::notice::Line;

const HEADER: &str = "procprobe-notify 1\n";
/// A larger file was not written by this program.
const LARGEST: u64 = 256 << 20;
/// Events that destinations refused are kept for people to look at, so many bytes of them.
const REFUSED_LARGEST: u64 = 1 << 20;

/// The open journal.
#[derive(Debug)]
pub(super) struct Journal {
    directory: PathBuf,
    file: File,
    bytes: u64,
}

/// What the last run left.
#[derive(Debug, Default)]
pub(super) struct Left {
    pub(super) lines: Vec<Line>,
    /// What is wrong with the file, and where it is kept now.
    pub(super) damage: Option<String>,
}

impl Journal {
    /// Whether there is anything to open.
    pub(super) fn exists(directory: &Path) -> bool {
        directory.join("journal").exists()
    }

    /// Makes the directory if it is missing and reads what is there. The caller must then [`Self::replace`] it by what
    /// counts.
    pub(super) fn open(directory: &Path) -> io::Result<(Self, Left)> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let path = directory.join("journal");
        let mut left = Left::default();
        match File::open(&path) {
            Ok(file) => {
                if let Err(why) = read(file, &mut left.lines)? {
                    let kept = directory.join("journal.damaged");
                    fs::rename(&path, &kept)?;
                    left.damage = Some(format!("{} was damaged ({why}), kept as {}", path.display(), kept.display()));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let file = appending(&path)?;
        let bytes = file.metadata()?.len();
        Ok((Self { directory: directory.to_owned(), file, bytes }, left))
    }

    /// How long the file is.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds lines; with `sync` they are on disk on return.
    pub(super) fn append(&mut self, text: &[u8], sync: bool) -> io::Result<()> {
        let written = self.file.write_all(text).and_then(|()| if sync { self.file.sync_data() } else { Ok(()) });
        match written {
            Ok(()) => {
                self.bytes += text.len() as u64;
                Ok(())
            }
            Err(error) => {
                // Half a line in the middle would damage what comes after it.
                self.file.set_len(self.bytes)?;
                Err(error)
            }
        }
    }

    /// Leaves only these lines.
    pub(super) fn replace(&mut self, text: &[u8]) -> io::Result<()> {
        let (path, beside) = (self.directory.join("journal"), self.directory.join("journal.new"));
        let mut file = private().truncate(true).create(true).write(true).open(&beside)?;
        file.write_all(HEADER.as_bytes())?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        File::open(&self.directory)?.sync_all()?;
        self.file = appending(&path)?;
        self.bytes = (HEADER.len() + text.len()) as u64;
        Ok(())
    }

    /// Keeps an event that a destination refused for good; the oldest ones go when there are many.
    pub(super) fn set_aside(&self, line: &[u8]) -> io::Result<()> {
        let path = self.directory.join("refused.ndjson");
        let mut file = appending(&path)?;
        if file.metadata()?.len() > REFUSED_LARGEST {
            fs::rename(&path, self.directory.join("refused.old.ndjson"))?;
            file = appending(&path)?;
        }
        file.write_all(line)
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

fn appending(path: &Path) -> io::Result<File> {
    private().create(true).append(true).open(path)
}

/// Every line that can be read. The inner error says what is wrong with the file.
fn read(file: File, lines: &mut Vec<Line>) -> io::Result<Result<(), String>> {
    if file.metadata()?.len() > LARGEST {
        return Ok(Err(format!("more than {LARGEST} bytes")));
    }
    let mut reader = BufReader::new(file).take(LARGEST);
    let (mut text, mut number, mut wrong) = (Vec::new(), 0_u64, None);
    loop {
        text.clear();
        if reader.read_until(b'\n', &mut text)? == 0 || text.pop() != Some(b'\n') {
            break;
        }
        number += 1;
        if number == 1 {
            if text != HEADER.trim_end().as_bytes() {
                wrong = Some("it does not begin as a journal of this version".to_owned());
            }
            continue;
        }
        match Line::read(&text) {
            Some(line) => lines.push(line),
            None => wrong = wrong.or_else(|| Some(format!("line {number} cannot be read"))),
        }
    }
    Ok(wrong.map_or(Ok(()), Err))
}
