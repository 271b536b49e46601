//! The file of what is known at a position of the tail: one line for each thing, and one that ends a group of them and says
//! of which position the whole is. Groups are appended; what a later position needs is the sum of those up to it.
//!
//! It need not reach the disk: it is worth something only while the programs are attached, and they do not outlive the
//! kernel that has its pages. A group whose end is missing, or lies beyond the position that is settled, never counted.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::note::Alarms;
use crate::engine::{KnownTable, Standing};
use crate::model::Known;
use crate::record::ProcessKey;
use crate::time::KTime;

/// A longer line was not written by this program.
const LINE_MAX: u64 = 1 << 20;
/// Nor was a larger file.
const FILE_MAX: u64 = 1 << 30;

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// Which programs it is about.
    Instance(u64),
    /// A process, as it is now.
    Known(Known),
    /// A process that is no more: tgid and start.
    Gone(u32, u64),
    /// The path of a cgroup.
    Cgroup(u64, Arc<str>),
    /// No alarm is on but those that follow.
    Alarms,
    /// An alarm that is on.
    Alarm(Standing),
    /// All that was told lost, by reason.
    Lost(BTreeMap<String, u64>),
    /// The group is whole: position, and when the table was first seeded.
    End(u64, u64),
}

/// What is added to the file in one go.
#[derive(Debug, Default)]
pub(super) struct Group<'a> {
    pub(super) gone: Vec<ProcessKey>,
    pub(super) cgroups: Vec<(u64, Arc<str>)>,
    pub(super) alarms: Option<&'a Alarms>,
    pub(super) lost: Option<&'a BTreeMap<String, u64>>,
    pub(super) position: u64,
    pub(super) seeded: KTime,
}

/// What the groups come to.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Left {
    pub(super) table: KnownTable,
    pub(super) alarms: Alarms,
    pub(super) lost: BTreeMap<String, u64>,
}

/// The file that is written to.
#[derive(Debug)]
pub(super) struct KnownFile {
    file: File,
    /// Its length when it was new, and now.
    first: u64,
    bytes: u64,
}

fn path(directory: &Path, generation: u64) -> PathBuf {
    directory.join(format!("known.{generation}"))
}

impl KnownFile {
    /// A file that is not there yet.
    pub(super) fn new(directory: &Path, generation: u64, instance: u64) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let path = path(directory, generation);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)?;
        let mut file = Self { file, first: 0, bytes: 0 };
        file.write(|out| put(out, &Line::Instance(instance)))?;
        Ok(file)
    }

    /// Adds a group with these processes.
    pub(super) fn append(&mut self, known: impl Iterator<Item = Known>, group: &Group<'_>) -> io::Result<()> {
        self.write(|out| {
            for known in known {
                put(out, &Line::Known(known))?;
            }
            for key in &group.gone {
                put(out, &Line::Gone(key.tgid, key.start.0))?;
            }
            for (id, path) in &group.cgroups {
                put(out, &Line::Cgroup(*id, Arc::clone(path)))?;
            }
            if let Some(alarms) = group.alarms {
                put(out, &Line::Alarms)?;
                for alarm in alarms.values() {
                    put(out, &Line::Alarm(alarm.clone()))?;
                }
            }
            if let Some(lost) = group.lost {
                put(out, &Line::Lost(lost.clone()))?;
            }
            put(out, &Line::End(group.position, group.seeded.0))
        })?;
        if self.first == 0 {
            self.first = self.bytes;
        }
        Ok(())
    }

    /// Most of it is history.
    pub(super) const fn is_long(&self) -> bool {
        const SMALL: u64 = 1 << 20;
        self.bytes > SMALL + 3 * self.first
    }

    fn write(&mut self, write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>) -> io::Result<()> {
        let mut out = BufWriter::with_capacity(16 << 10, &self.file);
        write(&mut out)?;
        out.flush()?;
        drop(out);
        self.bytes = self.file.metadata()?.len();
        Ok(())
    }
}

fn put(out: &mut impl io::Write, line: &Line) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

/// Removes every file but that of this generation.
pub(super) fn remove_others(directory: &Path, generation: u64) {
    let keep = path(directory, generation);
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.path() != keep && entry.file_name().to_string_lossy().starts_with("known.") {
            // What cannot be removed is in nobody's way.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// What is known at a position, of these programs. The error says why that cannot be known.
pub(super) fn read(directory: &Path, generation: u64, instance: u64, position: u64) -> Result<Left, String> {
    let path = path(directory, generation);
    let wrong = |why: &str| format!("{}: {why}", path.display());
    let file = File::open(&path).map_err(|error| wrong(&error.to_string()))?;
    let mut reader = BufReader::new(file).take(FILE_MAX);
    let (mut left, mut group, mut ends) = (Builder::default(), Vec::new(), 0_u32);
    let (mut text, mut number) = (Vec::new(), 0_u64);
    loop {
        text.clear();
        let read =
            (&mut reader).take(LINE_MAX).read_until(b'\n', &mut text).map_err(|error| wrong(&error.to_string()))?;
        if read == 0 || text.pop() != Some(b'\n') {
            break;
        }
        number += 1;
        let line = serde_json::from_slice(&text).map_err(|error| wrong(&format!("line {number}: {error}")))?;
        match line {
            Line::Instance(found) if number == 1 && found == instance => {}
            Line::Instance(_) => return Err(wrong("it is about other programs")),
            Line::End(at, _) if at > position => break,
            Line::End(_, seeded) => {
                left.seeded = KTime(seeded);
                group.drain(..).for_each(|line| left.take(line));
                ends += 1;
            }
            line => group.push(line),
        }
    }
    if ends == 0 {
        return Err(wrong("no group in it is whole"));
    }
    Ok(left.build())
}

#[derive(Debug, Default)]
struct Builder {
    seeded: KTime,
    known: HashMap<ProcessKey, Known>,
    cgroups: BTreeMap<u64, Arc<str>>,
    alarms: Alarms,
    lost: BTreeMap<String, u64>,
}

impl Builder {
    fn take(&mut self, line: Line) {
        match line {
            Line::Known(known) => drop(self.known.insert(known.key(), known)),
            Line::Gone(tgid, start) => drop(self.known.remove(&ProcessKey { tgid, start: KTime(start) })),
            Line::Cgroup(id, path) => drop(self.cgroups.insert(id, path)),
            Line::Alarms => self.alarms.clear(),
            Line::Alarm(alarm) => {
                self.alarms.insert((Arc::clone(&alarm.name), alarm.instance.clone()), alarm);
            }
            Line::Lost(lost) => self.lost = lost,
            Line::Instance(_) | Line::End(..) => {}
        }
    }

    fn build(self) -> Left {
        let Self { seeded, known, cgroups, alarms, lost } = self;
        let mut processes: Vec<Known> = known.into_values().collect();
        processes.sort_unstable_by_key(|known| (known.start, known.pid));
        Left {
            table: KnownTable {
                seeded,
                programs_since: KTime::default(),
                processes,
                cgroups: cgroups.into_iter().collect(),
            },
            alarms,
            lost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(pid: u32, exe: &str) -> Known {
        Known { pid, start: u64::from(pid) * 10, exe: exe.into(), ..Known::default() }
    }

    fn group(position: u64, gone: &[u32]) -> Group<'static> {
        let gone = gone.iter().map(|pid| known(*pid, "").key()).collect();
        Group { gone, position, seeded: KTime(5), ..Group::default() }
    }

    #[track_caller]
    fn check(directory: &Path, position: u64, expected: &[(u32, &str)]) {
        let left = read(directory, 3, 77, position).unwrap();
        let found: Vec<(u32, &str)> = left.table.processes.iter().map(|known| (known.pid, &*known.exe)).collect();
        assert_eq!(found, expected, "at {position}");
        assert_eq!(left.table.seeded, KTime(5));
    }

    #[test]
    fn what_counts_is_the_sum_up_to_the_position() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = KnownFile::new(folder.path(), 3, 77).unwrap();
        file.append([known(1, "a"), known(2, "b")].into_iter(), &group(100, &[])).unwrap();
        file.append([known(2, "c"), known(3, "d")].into_iter(), &group(200, &[1])).unwrap();
        file.append(std::iter::empty(), &group(300, &[2, 3])).unwrap();
        check(folder.path(), 100, &[(1, "a"), (2, "b")]);
        check(folder.path(), 199, &[(1, "a"), (2, "b")]);
        check(folder.path(), 200, &[(2, "c"), (3, "d")]);
        check(folder.path(), 1000, &[]);
        assert!(read(folder.path(), 3, 78, 1000).is_err());
        assert!(read(folder.path(), 3, 77, 99).is_err());
        assert!(read(folder.path(), 4, 77, 99).is_err());
        assert!(!file.is_long());
        // A line without its end was being written when the daemon was killed.
        file.file.write_all(b"{\"known\":{\"pid\":9").unwrap();
        check(folder.path(), 1000, &[]);
        file.file.write_all(b"\n").unwrap();
        let error = read(folder.path(), 3, 77, 1000).unwrap_err();
        assert!(error.contains("known.3: line "), "{error}");
        remove_others(folder.path(), 4);
        assert!(read(folder.path(), 3, 77, 1000).is_err());
    }

    /// What is wrong with such a file, read for position 1000.
    #[track_caller]
    fn refused(content: &[u8], expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("known.3"), content).unwrap();
        let error = read(folder.path(), 3, 77, 1000).unwrap_err();
        assert!(error.contains("known.3: ") && error.contains(expected), "{error}");
    }

    #[test]
    fn damage_is_told_with_its_line() {
        refused(b"", "no group in it is whole");
        refused(b"{\"instance\":77}", "no group in it is whole");
        refused(b"{\"instance\":77}\n", "no group in it is whole");
        refused(b"{\"instance\":78}\n{\"end\":[5,5]}\n", "it is about other programs");
        refused(b"{\"end\":[5,5]}\n{\"instance\":77}\n", "it is about other programs");
        refused(b"{\"instance\":77}\n{\"instance\":77}\n", "it is about other programs");
        refused(b"{\"instance\":77}\n\xff\xfe\n", "line 2: ");
        refused(b"{\"instance\":77}\n\n", "line 2: ");
        refused(b"{\"instance\":77}\n{\"known\":{\"pid\":-1}}\n", "line 2: ");
        refused(b"{\"instance\":77}\n{\"other\":1}\n", "line 2: unknown variant");
        refused(format!("{{\"instance\":77}}\n{}\n", "[".repeat(100_000)).as_bytes(), "line 2: ");
        // A line that never ends is not read to its end.
        let endless = [b"{\"instance\":77}\n\"", &vec![b'a'; 2 << 20][..]].concat();
        refused(&endless, "no group in it is whole");
    }

    #[test]
    fn a_file_that_is_cut_anywhere_is_what_was_whole_before() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = KnownFile::new(folder.path(), 3, 77).unwrap();
        file.append([known(1, "a")].into_iter(), &group(100, &[])).unwrap();
        let first = file.bytes;
        file.append([known(2, "b")].into_iter(), &group(200, &[1])).unwrap();
        let whole = fs::read(folder.path().join("known.3")).unwrap();
        for cut in 0..=whole.len() {
            fs::write(folder.path().join("known.3"), &whole[..cut]).unwrap();
            let expected: &[u32] = match cut as u64 {
                cut if cut < first => &[],
                _ if cut < whole.len() => &[1],
                _ => &[2],
            };
            let left = read(folder.path(), 3, 77, 1000).map(|left| left.table.processes).unwrap_or_default();
            assert_eq!(left.iter().map(|known| known.pid).collect::<Vec<_>>(), expected, "cut at {cut}");
        }
    }
}
