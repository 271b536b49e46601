//! Which files there are: names held against what is followed.
//!
//! A file that is there when its pattern is looked at for the first time is read from its end: what it holds was written
//! before anybody asked. One that appears later is read from its beginning, also when that was while the daemon was
//! down. One that was followed before is read on; had it been renamed meanwhile, it is found by its number in the
//! directory where it was, and read to its end first.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::DirEntryExt as _;
use std::path::{Path, PathBuf};

use super::files::{Directory, Files, tell_refused};
use super::follow::{FileId, Follower, Named, OpenError};
use super::notice::is_limit;
use super::pattern::{FILES_MAX, Sight};
use super::places::Kept;
use crate::time::KTime;

/// Most entries of a directory that are held against a file that is looked for by its number.
const ENTRIES_MAX: usize = 100_000;

/// A file that some log names.
struct Candidate {
    named: Named,
    /// Sorted.
    paths: Vec<PathBuf>,
    logs: BTreeSet<usize>,
    /// All patterns that name it are looked at for the first time.
    old: bool,
}

impl Files {
    /// Finds what has appeared, was renamed or has gone.
    pub(super) fn look(&mut self, now: KTime) {
        let (candidates, directories) = self.candidates();
        let mut directories: BTreeMap<PathBuf, bool> = directories.into_iter().map(|path| (path, false)).collect();
        self.finish_kept(&candidates, now);
        self.find_renamed(&candidates, now);
        let ids: BTreeSet<FileId> = candidates.keys().copied().collect();
        for (id, candidate) in candidates {
            // A link leads to a directory that tells when what it leads to is replaced.
            let target = candidate.paths.iter().filter(|path| path.is_symlink());
            let target = target.filter_map(|path| Some(fs::canonicalize(path).ok()?.parent()?.to_owned()));
            directories.extend(target.map(|path| (path, true)));
            self.take(id, candidate, now);
        }
        self.watch(directories);
        let patterns = self.wanted.iter().flat_map(|wanted| &wanted.patterns);
        let known: BTreeSet<String> = patterns.map(|pattern| pattern.as_str().to_owned()).collect();
        if known != self.known {
            self.known = known;
            self.moved.get_or_insert(now);
        }
        let unnamed: Vec<FileId> = self.tracked.keys().filter(|id| !ids.contains(id)).copied().collect();
        for id in unnamed {
            match self.tracked.get_mut(&id) {
                Some(tracked) if !tracked.logs.is_empty() => {
                    tracked.gone.get_or_insert(now);
                }
                _ => self.untrack(id, now),
            }
        }
    }

    /// Everything that the patterns name, by file, and the directories to be watched.
    fn candidates(&mut self) -> (BTreeMap<FileId, Candidate>, BTreeSet<PathBuf>) {
        let mut paths: BTreeMap<PathBuf, (BTreeSet<usize>, bool)> = BTreeMap::new();
        let mut sight = Sight::default();
        for (index, wanted) in self.wanted.iter().enumerate() {
            for pattern in &wanted.patterns {
                pattern.look(&mut sight);
                let old = !self.known.contains(pattern.as_str());
                for path in sight.files.drain(..) {
                    let (logs, all_old) = paths.entry(path).or_insert_with(|| (BTreeSet::new(), true));
                    logs.insert(index);
                    *all_old &= old;
                }
            }
        }
        let Sight { unreadable, cut, directories, .. } = sight;
        let mut candidates: BTreeMap<FileId, Candidate> = BTreeMap::new();
        let mut refused: BTreeMap<PathBuf, (String, bool)> = BTreeMap::new();
        for (path, (logs, old)) in paths {
            let named = match Named::find(&path) {
                Ok(named) => named,
                Err(OpenError::Directory) => continue,
                Err(OpenError::Io(error)) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    refused.insert(path, (error.to_string(), old));
                    continue;
                }
            };
            let full = candidates.len() >= FILES_MAX && !candidates.contains_key(&named.id);
            if full {
                let why = format!("there are more than {FILES_MAX} files; name fewer");
                refused.insert(path, (why, old));
                break;
            }
            let candidate = candidates.entry(named.id).or_insert_with(|| Candidate {
                named,
                paths: Vec::new(),
                logs: BTreeSet::new(),
                old: true,
            });
            candidate.paths.push(path);
            candidate.logs.extend(logs);
            candidate.old &= old;
        }
        refused.extend(unreadable.into_iter().map(|(path, error)| (path, (error.to_string(), false))));
        if cut {
            let why = "too many entries, directories or levels; not all of it is looked at".to_owned();
            refused.insert(PathBuf::from("/"), (why, false));
        }
        // What is fine again, or gone, may be told again when it goes wrong again; what cannot be opened is decided later.
        let named: BTreeSet<&PathBuf> = candidates.values().flat_map(|candidate| &candidate.paths).collect();
        self.refused.retain(|path, _| refused.contains_key(path) || named.contains(path));
        for (path, (why, old)) in refused {
            tell_refused(&mut self.refused, &path, why, old);
        }
        (candidates, directories)
    }

    /// What was followed when the daemon ended and has another name now: to its end, before what has its name is read.
    fn finish_kept(&mut self, candidates: &BTreeMap<FileId, Candidate>, now: KTime) {
        let named: BTreeSet<u64> = candidates.keys().map(|id| id.ino).collect();
        let renamed: Vec<Kept> = self.kept.iter().filter(|kept| !named.contains(&kept.ino)).cloned().collect();
        self.kept.retain(|kept| named.contains(&kept.ino));
        for kept in renamed {
            let logs = self.logs_of(&kept.path);
            if logs.is_empty() {
                continue;
            }
            let found = find_renamed(&kept).and_then(|named| Some((named.id, named.open().ok()?)));
            let follower = found.and_then(|(id, file)| Some((id, Follower::resume(file, kept.place()).ok()?)));
            let Some((id, follower)) = follower else {
                tracing::info!("{} was replaced while the daemon was down; its rest is not found", kept.path);
                continue;
            };
            self.track(id, follower, PathBuf::from(&kept.path), logs, now);
            if let Some(tracked) = self.tracked.get_mut(&id) {
                tracked.gone = Some(now);
            }
        }
    }

    /// What appeared and was renamed since the last look: nothing of it has been read under its first name.
    fn find_renamed(&mut self, candidates: &BTreeMap<FileId, Candidate>, now: KTime) {
        for (path, first) in std::mem::take(&mut self.renamed) {
            let logs = self.logs_of(&first.to_string_lossy());
            let named = Named::find(&path).ok().filter(|named| {
                !logs.is_empty() && !self.tracked.contains_key(&named.id) && !candidates.contains_key(&named.id)
            });
            if let Some((id, Ok(file))) = named.map(|named| (named.id, named.open())) {
                self.track(id, Follower::from_start(file), first, logs, now);
                if let Some(tracked) = self.tracked.get_mut(&id) {
                    tracked.gone = Some(now);
                }
            }
        }
    }

    fn logs_of(&self, path: &str) -> BTreeSet<usize> {
        let named = self.wanted.iter().enumerate().filter(|(_, wanted)| wanted.names(path));
        named.map(|(index, _)| index).collect()
    }

    fn take(&mut self, id: FileId, candidate: Candidate, now: KTime) {
        let Candidate { named, paths, logs, old } = candidate;
        let Some(first) = paths.first() else { return };
        if let Some(tracked) = self.tracked.get_mut(&id) {
            tracked.gone = None;
            tracked.logs.extend(logs);
            if !paths.contains(&tracked.path) {
                tracked.path.clone_from(first);
                self.moved.get_or_insert(now);
            }
            return;
        }
        let old = self.refused.get(first).map_or(old, |refused| refused.old);
        match self.open(&named, first, old) {
            Ok(follower) => {
                self.refused.remove(first);
                self.track(id, follower, first.clone(), logs, now);
            }
            Err(error) => tell_refused(&mut self.refused, first, error.to_string(), old),
        }
    }

    fn open(&mut self, named: &Named, path: &Path, old: bool) -> Result<Follower, OpenError> {
        let file = named.open()?;
        let kept = self.kept.iter().position(|kept| kept.ino == named.id.ino).map(|at| self.kept.swap_remove(at));
        if let Some(kept) = kept {
            // Another file under a number that was used before has appeared since.
            return Ok(Follower::resume(file, kept.place()).unwrap_or_else(Follower::from_start));
        }
        tracing::debug!("{} is followed from its {}", path.display(), if old { "end" } else { "beginning" });
        if old { Ok(Follower::from_end(file, &mut self.buffer)?) } else { Ok(Follower::from_start(file)) }
    }

    /// Watches these directories, and no others; `true` for those that links lead to.
    fn watch(&mut self, directories: BTreeMap<PathBuf, bool>) {
        let mut unwatched = BTreeMap::new();
        let mut watched: BTreeMap<PathBuf, Directory> = BTreeMap::new();
        for (path, linked) in directories {
            // Again each time, for another directory may have the name by now. One that went since is not missed.
            let watch = match self.notices.directory(&path) {
                Ok(watch) => Some(watch),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => {
                    note_unwatched(&mut unwatched, &path, &error);
                    None
                }
            };
            watched.insert(path, Directory { watch, linked });
        }
        for (id, tracked) in self.tracked.iter_mut().filter(|(_, tracked)| tracked.watch.is_none()) {
            match self.notices.file(tracked.as_fd()) {
                Ok(watch) => {
                    tracked.watch = Some(watch);
                    self.by_watch.insert(watch, *id);
                }
                Err(error) => note_unwatched(&mut unwatched, &tracked.path, &error),
            }
        }
        let kept: BTreeSet<i32> = watched.values().filter_map(|directory| directory.watch).collect();
        let old = self.directories.values().filter_map(|directory| directory.watch);
        for watch in old.filter(|watch| !kept.contains(watch)) {
            self.notices.forget(watch);
        }
        self.directories = watched;
        for (path, why) in unwatched.iter().filter(|(path, why)| self.unwatched.get(*path) != Some(*why)) {
            tracing::warn!("{}: {why}", path.display());
        }
        self.unwatched = unwatched;
    }
}

/// What the kernel cannot be asked to watch. A limit of the host is told once and not for each that it concerns.
fn note_unwatched(unwatched: &mut BTreeMap<PathBuf, String>, path: &Path, error: &io::Error) {
    if is_limit(error) {
        let why = format!("{error}; files beyond this limit are looked at every 2 s");
        unwatched.entry(PathBuf::from("fs.inotify.max_user_watches")).or_insert(why);
    } else {
        unwatched.insert(path.to_owned(), format!("{error}; it cannot be watched and is looked at from time to time"));
    }
}

/// The file of a kept place under any name in the directory where it was.
fn find_renamed(kept: &Kept) -> Option<Named> {
    let entries = fs::read_dir(Path::new(&kept.path).parent()?).ok()?;
    let mut entries = entries.take(ENTRIES_MAX).filter_map(Result::ok);
    let found = entries.find(|entry| entry.ino() == kept.ino)?;
    Named::find(&found.path()).ok()
}
