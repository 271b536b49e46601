//! A file of /proc that is read again and again: kept open, read from its start, into a buffer that is kept too.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

/// The first size of a buffer, and the least that is read at a time.
const FIRST: usize = 4096;
/// No text of the kernel is read further: a host with so many mounts or interfaces is judged by the first of them.
const MAX: usize = 8 << 20;

/// A file, opened at the first reading.
#[derive(Debug)]
pub(super) struct Kept {
    path: PathBuf,
    file: Option<File>,
}

impl Kept {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path, file: None }
    }

    /// Its beginning: what one call gives. For files whose first lines are enough.
    pub(super) fn head<'a>(&mut self, buffer: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
        self.read(buffer, FIRST)
    }

    /// All of it.
    pub(super) fn all<'a>(&mut self, buffer: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
        self.read(buffer, MAX)
    }

    /// Where it is.
    pub(super) fn path(&self) -> PathBuf {
        self.path.clone()
    }

    /// The open file, once it has been read.
    pub(super) const fn file(&self) -> Option<&File> {
        self.file.as_ref()
    }

    fn read<'a>(&mut self, buffer: &'a mut Vec<u8>, max: usize) -> io::Result<&'a [u8]> {
        let read = self.fill(buffer, max);
        if read.is_err() {
            self.file = None;
        }
        Ok(buffer.get(..read?).unwrap_or_default())
    }

    fn fill(&mut self, buffer: &mut Vec<u8>, max: usize) -> io::Result<usize> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::open(&self.path)?),
        };
        let mut length = 0;
        loop {
            if buffer.len() < length + FIRST {
                buffer.resize((length * 2).max(FIRST), 0);
            }
            let room = buffer.get_mut(length..).unwrap_or_default();
            let some = match file.read_at(room, u64::try_from(length).unwrap_or(u64::MAX)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            length += some;
            // A text of several pages comes in several pieces; who wants its head needs no proof that it has ended.
            if some == 0 || length >= max || max == FIRST {
                break;
            }
        }
        if length < max {
            return Ok(length);
        }
        // Cut: a number at the end may not be whole.
        let end = buffer.get(..length).and_then(|text| text.iter().rposition(|byte| *byte == b'\n'));
        Ok(end.map_or(0, |end| end + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_anew_from_its_start() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let mut kept = Kept::new(path.clone());
        let mut buffer = Vec::new();
        assert!(kept.all(&mut buffer).is_err());
        for text in ["one\n".to_owned(), "line\n".repeat(20_000), String::new(), "x".to_owned()] {
            std::fs::write(&path, &text).unwrap();
            assert_eq!(kept.all(&mut buffer).unwrap(), text.as_bytes());
        }
    }

    #[test]
    fn a_text_too_long_is_cut_after_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "123456789\n".repeat(1000)).unwrap();
        let mut buffer = Vec::new();
        let head = Kept::new(path).head(&mut buffer).unwrap();
        assert!(head.len() <= FIRST && head.ends_with(b"789\n"), "{}", head.len());
    }

    #[test]
    fn the_kernel_s_own_files_are_read_whole() {
        for name in ["/proc/net/dev", "/proc/self/mountinfo", "/proc/meminfo"] {
            let mut buffer = Vec::new();
            let mut kept = Kept::new(name.into());
            let lines = |text: &[u8]| text.split(|byte| *byte == b'\n').count();
            let expected = std::fs::read(name).unwrap();
            for _ in 0..2 {
                assert_eq!(lines(kept.all(&mut buffer).unwrap()), lines(&expected), "{name}");
            }
        }
    }
}
