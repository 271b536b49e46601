//! The places that outlive the daemon: `logs.json` in the state directory.
//!
//! Replaced as a whole (written beside, synced, renamed, directory synced), so that a crash leaves the old places or the
//! new ones. A file that cannot be read as such is set aside under another name and told; every file is then taken from
//! its end, as at the first start.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::follow::Place;

const VERSION: u32 = 1;
/// Far more than that many files need.
const SIZE_MAX: u64 = 16 << 20;

/// What was known when the daemon was last running.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Places {
    version: u32,
    /// Patterns that were looked at: what they name anew has appeared since.
    pub(super) patterns: Vec<String>,
    pub(super) files: Vec<Kept>,
}

/// One file's place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    /// Its name at that time; bytes that are not UTF-8 replaced.
    pub(super) path: String,
    pub(super) ino: u64,
    at: u64,
    skip: bool,
    head_len: usize,
    head: u64,
}

impl Kept {
    pub(super) fn new(path: &Path, ino: u64, place: Place) -> Self {
        let Place { at, skip, head_len, head } = place;
        Self { path: path.to_string_lossy().into_owned(), ino, at, skip, head_len, head }
    }

    pub(super) const fn place(&self) -> Place {
        let Self { at, skip, head_len, head, .. } = *self;
        Place { at, skip, head_len, head }
    }
}

impl Places {
    pub(super) const fn new(patterns: Vec<String>, files: Vec<Kept>) -> Self {
        Self { version: VERSION, patterns, files }
    }

    /// What was kept; nothing and a note where that cannot be read.
    pub(super) fn read(directory: &Path) -> (Self, Option<String>) {
        let path = directory.join("logs.json");
        let mut text = Vec::new();
        let read = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return (Self::default(), None),
            opened => opened.and_then(|file| file.take(SIZE_MAX).read_to_end(&mut text)),
        };
        let wrong = match (read, serde_json::from_slice::<Self>(&text)) {
            (Ok(_), Ok(places)) if places.version == VERSION => return (places, None),
            (Ok(_), Ok(places)) => format!("version {} is not {VERSION}", places.version),
            (Ok(_), Err(error)) => error.to_string(),
            (Err(error), _) => error.to_string(),
        };
        // So that it can be looked at; where that fails the next write replaces it.
        let _ = fs::rename(&path, path.with_extension("damaged"));
        (Self::default(), Some(format!("{}: {wrong}; log files are read from their end", path.display())))
    }

    /// On return they are on disk.
    pub(super) fn write(&self, directory: &Path) -> io::Result<()> {
        let (path, beside) = (directory.join("logs.json"), directory.join("logs.json.new"));
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&beside)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        File::open(directory)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_damaged_is_told() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Places::read(folder.path()), (Places::default(), None));
        let place = Place { at: 7, skip: true, head_len: 5, head: u64::MAX };
        let kept = Kept::new(Path::new("/var/log/ä"), 3, place);
        assert_eq!(kept.place(), place);
        let places = Places::new(vec!["/var/log/*".into()], vec![kept]);
        places.write(folder.path()).unwrap();
        assert_eq!(Places::read(folder.path()), (places, None));
        for damaged in ["", "{", "[1]", r#"{"version":2,"patterns":[],"files":[]}"#] {
            fs::write(folder.path().join("logs.json"), damaged).unwrap();
            let (places, note) = Places::read(folder.path());
            assert_eq!(places, Places::default());
            assert!(note.unwrap().contains("logs.json: "), "{damaged}");
            assert_eq!(fs::read_to_string(folder.path().join("logs.damaged")).unwrap(), damaged);
        }
    }
}
