//! A file system as the kernel unpacks it at its start: a cpio archive of the `newc` kind, not compressed, for it lives
//! for one boot.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

const FOLDER: u32 = 0o040_755;
const OPEN_FOLDER: u32 = 0o041_777;
const FILE: u32 = 0o100_644;
const PROGRAM: u32 = 0o100_755;
const LINK: u32 = 0o120_777;

/// The files of the archive, each below folders that are made for it.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    entries: BTreeMap<PathBuf, (u32, Vec<u8>)>,
}

impl Tree {
    /// A folder without anything in it.
    pub(crate) fn folder(&mut self, path: &str) {
        self.put(Path::new(path), FOLDER, Vec::new());
    }

    /// A folder in which everybody may make something of their own.
    pub(crate) fn open_folder(&mut self, path: &str) {
        self.put(Path::new(path), OPEN_FOLDER, Vec::new());
    }

    /// A file that only the reader of its text knows what to do with.
    pub(crate) fn file(&mut self, path: &str, text: &str) {
        self.put(Path::new(path), FILE, text.as_bytes().to_vec());
    }

    /// A program, or a library.
    pub(crate) fn program(&mut self, path: &Path, bytes: Vec<u8>) {
        self.put(path, PROGRAM, bytes);
    }

    /// A symbolic link.
    pub(crate) fn link(&mut self, path: &str, to: &str) {
        self.put(Path::new(path), LINK, to.as_bytes().to_vec());
    }

    /// Whether something is there already.
    pub(crate) fn has(&self, path: &Path) -> bool {
        self.entries.contains_key(&inside(path))
    }

    fn put(&mut self, path: &Path, mode: u32, bytes: Vec<u8>) {
        let path = inside(path);
        for above in path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()) {
            self.entries.entry(above.to_owned()).or_insert((FOLDER, Vec::new()));
        }
        self.entries.insert(path, (mode, bytes));
    }

    /// Writes the archive. Folders come before what is in them: the map's order sees to that.
    pub(crate) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        // The first process has its console from this one, before it has mounted anything.
        let console = Entry { path: Path::new("dev/console"), mode: 0o020_600, bytes: &[], device: (5, 1) };
        let mut number = 1;
        Entry { path: Path::new("dev"), mode: FOLDER, bytes: &[], device: (0, 0) }.write(number, out)?;
        number += 1;
        console.write(number, out)?;
        for (path, (mode, bytes)) in self.entries.iter().filter(|(path, _)| *path != Path::new("dev")) {
            number += 1;
            Entry { path, mode: *mode, bytes, device: (0, 0) }.write(number, out)?;
        }
        Entry { path: Path::new("TRAILER!!!"), mode: 0, bytes: &[], device: (0, 0) }.write(0, out)
    }
}

/// As the archive has names: without a root.
fn inside(path: &Path) -> PathBuf {
    path.components().filter(|part| matches!(part, Component::Normal(_))).collect()
}

struct Entry<'a> {
    path: &'a Path,
    mode: u32,
    bytes: &'a [u8],
    /// Major and minor number of a device.
    device: (u32, u32),
}

impl Entry<'_> {
    fn write(&self, number: u32, out: &mut impl Write) -> io::Result<()> {
        let name = self.path.as_os_str().as_encoded_bytes();
        let length =
            |length: usize| u32::try_from(length).map_err(|_| io::Error::other("a file of 4 GiB is too large"));
        let (owner, links, time, device) = (0, 1, 0, 0);
        let fields = [
            number,
            self.mode,
            owner,
            owner,
            links,
            time,
            length(self.bytes.len())?,
            device,
            device,
            self.device.0,
            self.device.1,
            length(name.len() + 1)?,
            0,
        ];
        write!(out, "070701")?;
        for field in fields {
            write!(out, "{field:08x}")?;
        }
        // Header and name, and contents, end at a multiple of four; the header has 110 bytes.
        out.write_all(name)?;
        out.write_all(&[0; 4][..=pad(110 + name.len() + 1)])?;
        out.write_all(self.bytes)?;
        out.write_all(&[0; 4][..pad(self.bytes.len())])
    }
}

const fn pad(length: usize) -> usize {
    (4 - length % 4) % 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_what_its_format_says() {
        let mut tree = Tree::default();
        tree.file("/a/b", "hello");
        let mut bytes = Vec::new();
        tree.write(&mut bytes).unwrap();
        assert_eq!(bytes.len() % 4, 0);
        let text = String::from_utf8_lossy(&bytes);
        let file = "070701\
                    00000004000081a400000000000000000000000100000000\
                    0000000500000000000000000000000000000000\
                    0000000400000000a/b\0";
        assert!(text.contains(&format!("{file}\0\0hello\0\0\0")), "{text}");
        assert!(text.starts_with("070701") && text.contains("TRAILER!!!\0"), "{text}");
    }

    #[test]
    fn what_is_put_in_is_below_folders_that_come_first() {
        let mut tree = Tree::default();
        tree.program(Path::new("/bin/tool"), vec![7; 1001]);
        tree.link("/usr/bin", "../bin");
        tree.folder("/tmp");
        assert!(tree.has(Path::new("/bin/tool")) && !tree.has(Path::new("/bin/other")));
        let names: Vec<_> = tree.entries.keys().map(|path| path.display().to_string()).collect();
        assert_eq!(names, ["bin", "bin/tool", "tmp", "usr", "usr/bin"]);
    }
}
