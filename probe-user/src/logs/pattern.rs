//! Globs on absolute paths, held against the file system: which files they name now, and which directories would tell
//! when that changes.
//!
//! A pattern is walked part by part, so that only directories that can hold a match are read. With `**`, or with a `/`
//! inside `{}`, everything below its fixed beginning is walked, without following links to directories. What is looked
//! at is bounded; what a bound cut off is told.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

use crate::policy::glob::{Glob, GlobError, is_exact};

/// Most files that all patterns together may name.
pub(super) const FILES_MAX: usize = 8192;
/// Most directories that are watched.
const DIRECTORIES_MAX: usize = 2048;
/// Most entries of one directory that are looked at.
const ENTRIES_MAX: usize = 100_000;
/// How deep `**` goes.
const DEPTH_MAX: usize = 16;

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    whole: Glob,
    parts: Parts,
}

#[derive(Clone, Debug)]
enum Parts {
    /// Each matches one component.
    Steps(Vec<Step>),
    /// Whole paths below a directory.
    Below(PathBuf),
}

#[derive(Clone, Debug)]
enum Step {
    Exact(String),
    Wild(Glob),
}

/// What patterns name at one moment.
#[derive(Debug, Default)]
pub(super) struct Sight {
    /// Not known yet to be files.
    pub(super) files: Vec<PathBuf>,
    /// Those in which files may come and go.
    pub(super) directories: BTreeSet<PathBuf>,
    /// Directories that could not be read.
    pub(super) unreadable: Vec<(PathBuf, Error)>,
    /// Not everything was looked at.
    pub(super) cut: bool,
}

impl Pattern {
    pub(super) fn new(text: &str) -> Result<Self, GlobError> {
        let whole = Glob::path(text)?;
        let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
        let in_braces = text.match_indices('/').any(|(at, _)| {
            let before = text.get(..at).unwrap_or_default();
            before.matches('{').count() > before.matches('}').count()
        });
        if text.contains("**") || in_braces {
            let fixed = parts.iter().take(parts.len().saturating_sub(1)).take_while(|part| is_exact(part));
            let base = Path::new("/").join(fixed.collect::<PathBuf>());
            return Ok(Self { whole, parts: Parts::Below(base) });
        }
        let step = |part: &&str| {
            Ok(if is_exact(part) { Step::Exact((*part).to_owned()) } else { Step::Wild(Glob::path(part)?) })
        };
        let steps = parts.iter().map(step).collect::<Result<_, GlobError>>()?;
        Ok(Self { whole, parts: Parts::Steps(steps) })
    }

    /// As it was written.
    pub(super) fn as_str(&self) -> &str {
        self.whole.as_str()
    }

    /// Whether it names this path.
    pub(super) fn names(&self, path: &str) -> bool {
        self.whole.is_match(path)
    }

    /// Whether a name that came or went in a directory may change what it names. Says yes when in doubt.
    pub(super) fn is_concerned(&self, directory: &Path, name: &str) -> bool {
        match &self.parts {
            Parts::Below(_) => true,
            Parts::Steps(steps) => match steps.get(directory.components().count().saturating_sub(1)) {
                Some(Step::Exact(exact)) => exact == name,
                Some(Step::Wild(glob)) => glob.is_match(name),
                None => false,
            },
        }
    }

    /// Adds what it names now.
    pub(super) fn look(&self, sight: &mut Sight) {
        match &self.parts {
            Parts::Steps(steps) => sight.walk(Path::new("/"), steps),
            Parts::Below(base) => match existing(base) {
                Some(directory) if directory == base => sight.descend(base, &self.whole, 0),
                Some(directory) => sight.watch(directory),
                None => {}
            },
        }
    }
}

impl Sight {
    fn walk(&mut self, directory: &Path, steps: &[Step]) {
        match steps {
            [] => {}
            [Step::Exact(name)] => {
                self.watch(directory);
                let path = directory.join(name);
                if fs::symlink_metadata(&path).is_ok() {
                    self.add(path);
                }
            }
            [Step::Wild(glob)] => {
                self.watch(directory);
                for path in self.entries(directory, Some(glob)) {
                    self.add(path);
                }
            }
            [Step::Exact(name), rest @ ..] => {
                let next = directory.join(name);
                if next.is_dir() {
                    self.walk(&next, rest);
                } else {
                    self.watch(directory);
                }
            }
            [Step::Wild(glob), rest @ ..] => {
                self.watch(directory);
                for path in self.entries(directory, Some(glob)) {
                    if path.is_dir() {
                        self.walk(&path, rest);
                    }
                }
            }
        }
    }

    fn descend(&mut self, directory: &Path, glob: &Glob, depth: usize) {
        self.watch(directory);
        for path in self.entries(directory, None) {
            let is_directory = fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir());
            if !is_directory && glob.is_match(&path.to_string_lossy()) {
                self.add(path);
            } else if is_directory && depth < DEPTH_MAX {
                self.descend(&path, glob, depth + 1);
            } else if is_directory {
                self.cut = true;
            }
        }
    }

    /// Sorted, so that the same files are taken each time where there are too many.
    fn entries(&mut self, directory: &Path, glob: Option<&Glob>) -> Vec<PathBuf> {
        let read = match fs::read_dir(directory) {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::NotFound => return Vec::new(),
            Err(error) => {
                self.unreadable.push((directory.to_owned(), error));
                return Vec::new();
            }
        };
        let mut paths = Vec::new();
        for (count, entry) in read.enumerate() {
            if count == ENTRIES_MAX {
                self.cut = true;
                break;
            }
            let Ok(entry) = entry else { break };
            let name = entry.file_name();
            if glob.is_none_or(|glob| glob.is_match(&name.to_string_lossy())) {
                paths.push(directory.join(name));
            }
        }
        paths.sort_unstable();
        paths
    }

    fn watch(&mut self, directory: &Path) {
        if self.directories.len() == DIRECTORIES_MAX {
            self.cut = true;
        } else {
            self.directories.insert(directory.to_owned());
        }
    }

    fn add(&mut self, path: PathBuf) {
        if self.files.len() == FILES_MAX {
            self.cut = true;
        } else {
            self.files.push(path);
        }
    }
}

/// The path itself or its nearest ancestor that is a directory.
fn existing(path: &Path) -> Option<&Path> {
    path.ancestors().find(|ancestor| ancestor.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a pattern below a folder names and watches there, relative to it.
    #[track_caller]
    fn check(pattern: &str, files: &[&str], directories: &[&str]) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for file in ["a/1.log", "a/2.log", "a/1.txt", "b/1.log", "b/deep/er/3.log", "0.log"] {
            fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            fs::write(root.join(file), "").unwrap();
        }
        let mut sight = Sight::default();
        Pattern::new(&format!("{}{pattern}", root.display())).unwrap().look(&mut sight);
        let relative = |paths: Vec<PathBuf>| -> Vec<String> {
            paths.iter().map(|path| path.strip_prefix(root).unwrap().display().to_string()).collect()
        };
        assert_eq!(relative(sight.files), files, "{pattern}");
        assert_eq!(relative(sight.directories.into_iter().collect()), directories, "{pattern}");
        assert!(sight.unreadable.is_empty() && !sight.cut);
    }

    #[test]
    fn what_is_named_and_watched() {
        check("/0.log", &["0.log"], &[""]);
        check("/*.log", &["0.log"], &[""]);
        check("/a/*.log", &["a/1.log", "a/2.log"], &["a"]);
        check("/?/1.log", &["a/1.log", "b/1.log"], &["", "a", "b"]);
        check("/{a,b}/[12].log", &["a/1.log", "a/2.log", "b/1.log"], &["", "a", "b"]);
        check("/{a/1,b/1}.log", &["a/1.log", "b/1.log"], &["", "a", "b", "b/deep", "b/deep/er"]);
        check("/b/**/*.log", &["b/1.log", "b/deep/er/3.log"], &["b", "b/deep", "b/deep/er"]);
        check("/none/x/*.log", &[], &[""]);
        check("/none/**/*.log", &[], &[""]);
        check("/a/none.log", &[], &["a"]);
    }

    #[test]
    fn names_that_concern_a_pattern() {
        let concerned = |pattern: &str, directory: &str, name: &str| {
            Pattern::new(pattern).unwrap().is_concerned(Path::new(directory), name)
        };
        assert!(concerned("/var/log/*.log", "/var/log", "a.log"));
        assert!(!concerned("/var/log/*.log", "/var/log", "a.log.1"));
        assert!(concerned("/var/log/*/a.log", "/var/log", "b"));
        assert!(concerned("/var/log/*/a.log", "/var/log/b", "a.log"));
        assert!(!concerned("/var/log/*/a.log", "/var/log/b", "b.log"));
        assert!(concerned("/var/log/app/a.log", "/var", "log"));
        assert!(concerned("/var/**/a.log", "/var/log/b", "c"));
    }

    #[test]
    fn a_directory_that_cannot_be_read_is_told() {
        let mut sight = Sight::default();
        Pattern::new("/proc/self/status/*.log").unwrap().look(&mut sight);
        assert_eq!(sight.directories, [PathBuf::from("/proc/self")].into());
        assert!(Pattern::new("/a/{").is_err());
    }
}
