//! All files that the logs of the policies name, read in rounds.
//!
//! A file is followed as what it is, not by its name: renamed, it is read on from where it was; without a name that any
//! log names, it is read to its end for as long as somebody may still write to it ([`LET_GO`], or [`LET_GO_DELETED`]
//! when it has no name at all). Which files there are is looked at ([`super::look`]) when the kernel tells that names have
//! changed, and every [`LOOK_EVERY`] for what it does not tell (network file systems, memory mappings).
//!
//! A round reads each changed file once, [`BUDGET`] bytes at most, so that a large one does not hold up the others, and
//! makes one message of what matched. Every failure is kept by path, told once, and tried again at the next look.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::follow::{BUFFER, FileId, Follower, Round};
use super::notice::{Moved, Notice, Notices};
use super::places::{Kept, Places};
use super::wanted::Wanted;
use crate::record::{LogLine, LogLines};
use crate::time::KTime;

/// How often everything is looked at, whatever the kernel told.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(30);
/// How often files are read that the kernel could not be asked to watch.
const POLL_EVERY: Duration = Duration::from_secs(2);
/// How much of one file is read in one round.
const BUDGET: u64 = 4 << 20;
/// What is left of a file without a line end counts when it has no name any more and was quiet for so long.
const LAST_LINE_AFTER: Duration = Duration::from_secs(2);
/// A renamed file that was quiet for so long is let go.
const LET_GO: Duration = Duration::from_mins(5);
/// A deleted file that was quiet for so long is let go: until then its space on the disk is not free.
const LET_GO_DELETED: Duration = Duration::from_secs(5);
/// Most files without a name; beyond that those that were quiet for longest are let go at once.
const GONE_MAX: usize = 1024;
/// Most renamed files that are remembered until the next look.
const RENAMED_MAX: usize = 1024;
/// A place that has moved is on disk so much later.
const SAVE_AFTER: Duration = Duration::from_secs(5);
/// How many lines of a round are told.
const LINES_TOLD: usize = 5;
/// How much of a line is told, in bytes.
const TEXT_MAX: usize = 4096;

/// One file.
#[derive(Debug)]
pub(super) struct Tracked {
    follower: Follower,
    pub(super) path: PathBuf,
    /// Indices among the wanted.
    pub(super) logs: BTreeSet<usize>,
    pub(super) watch: Option<i32>,
    /// Since when no log names it.
    pub(super) gone: Option<KTime>,
    changed: KTime,
    pub(super) dirty: bool,
}

/// A directory in which names may come and go.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) watch: Option<i32>,
    /// What it holds is named by links from elsewhere.
    pub(super) linked: bool,
}

/// Why something is not read.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) why: String,
    /// It was there when its pattern was looked at for the first time.
    pub(super) old: bool,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) wanted: Vec<Wanted>,
    pub(super) notices: Notices,
    pub(super) tracked: BTreeMap<FileId, Tracked>,
    pub(super) by_watch: HashMap<i32, FileId>,
    pub(super) directories: BTreeMap<PathBuf, Directory>,
    /// Patterns that were looked at before: what they name anew has appeared since.
    pub(super) known: BTreeSet<String>,
    /// Places of the last run that no file was found for yet.
    pub(super) kept: Vec<Kept>,
    pub(super) refused: BTreeMap<PathBuf, Refused>,
    /// Why something has no watch, told already.
    pub(super) unwatched: BTreeMap<PathBuf, String>,
    /// What was renamed since the last look: its name now and the one before.
    pub(super) renamed: BTreeMap<PathBuf, PathBuf>,
    pub(super) buffer: Vec<u8>,
    /// The next look.
    pub(super) look_at: KTime,
    poll_at: Option<KTime>,
    /// Since when there is something to be saved.
    pub(super) moved: Option<KTime>,
}

impl Files {
    /// None yet, with the places of the last run.
    pub(super) fn new(places: Places) -> io::Result<Self> {
        Ok(Self {
            wanted: Vec::new(),
            notices: Notices::new()?,
            tracked: BTreeMap::new(),
            by_watch: HashMap::new(),
            directories: BTreeMap::new(),
            known: places.patterns.into_iter().collect(),
            kept: places.files,
            refused: BTreeMap::new(),
            unwatched: BTreeMap::new(),
            renamed: BTreeMap::new(),
            buffer: vec![0; BUFFER],
            look_at: KTime::default(),
            poll_at: None,
            moved: None,
        })
    }

    /// Marks what the kernel says has changed.
    pub(super) fn listen(&mut self) -> io::Result<()> {
        let Self { notices, tracked, by_watch, look_at, directories, wanted, renamed, .. } = self;
        let concerns = |path: &Path, directory: &Directory, name: &str| {
            directory.linked
                || wanted.iter().flat_map(|wanted| &wanted.patterns).any(|pattern| pattern.is_concerned(path, name))
        };
        // What leaves a name, until it is told which name it gets.
        let mut leaving: Option<(u32, PathBuf)> = None;
        notices.drain(|notice| match notice {
            Notice::File(watch) => {
                if let Some(tracked) = by_watch.get(&watch).and_then(|id| tracked.get_mut(id)) {
                    tracked.dirty = true;
                }
            }
            Notice::Name { watch, name, moved } => {
                let mut named = directories.iter().filter(|(_, directory)| directory.watch == Some(watch));
                let Some((path, directory)) = named.next() else { return };
                let name = name.to_string_lossy();
                let concerned = concerns(path, directory, &name) || named.any(|(path, d)| concerns(path, d, &name));
                if concerned {
                    *look_at = KTime::default();
                }
                let path = path.join(&*name);
                match moved {
                    Some(Moved::From(cookie)) => {
                        let first = renamed.remove(&path).or_else(|| concerned.then_some(path));
                        leaving = first.map(|first| (cookie, first));
                    }
                    Some(Moved::To(cookie)) => {
                        if let Some((_, first)) = leaving.take().filter(|(left, _)| *left == cookie)
                            && renamed.len() < RENAMED_MAX
                        {
                            renamed.insert(path, first);
                        }
                    }
                    None => {}
                }
            }
            Notice::Directory => *look_at = KTime::default(),
            Notice::Everything => {
                for tracked in tracked.values_mut() {
                    tracked.dirty = true;
                }
                *look_at = KTime::default();
            }
        })
    }

    /// Opens what has a wanted name now, where names may have changed or were not looked at for long.
    pub(super) fn look_if_due(&mut self, now: KTime) {
        if self.look_at <= now {
            // Not only because of a name: what the kernel does not tell is read too.
            if self.look_at > KTime::default() {
                self.tracked.values_mut().for_each(|tracked| tracked.dirty = true);
            }
            self.look(now);
            self.look_at = now.after(LOOK_EVERY);
        }
    }

    /// One round: looks round if that is due, reads what has changed, and lets go of what is over.
    pub(super) fn round(&mut self, now: KTime, sink: &mut dyn FnMut(LogLines)) {
        self.look_if_due(now);
        if self.poll_at.is_some_and(|at| at <= now) {
            self.tracked
                .values_mut()
                .filter(|tracked| tracked.watch.is_none())
                .for_each(|tracked| tracked.dirty = true);
        }
        // What was renamed before what has its name now.
        let dirty = self.tracked.iter().filter(|(_, tracked)| tracked.dirty);
        let mut ids: Vec<(bool, FileId)> = dirty.map(|(id, tracked)| (tracked.gone.is_none(), *id)).collect();
        ids.sort_unstable();
        for (_, id) in ids {
            self.read(id, now, Follower::read_some, sink);
        }
        self.let_go(now, sink);
        let unwatched = self.tracked.values().any(|tracked| tracked.watch.is_none());
        self.poll_at = match self.poll_at {
            Some(at) if unwatched && at > now => Some(at),
            _ => unwatched.then(|| now.after(POLL_EVERY)),
        };
    }

    /// When the next round is due if the kernel tells nothing.
    pub(super) fn next(&self, now: KTime) -> KTime {
        let gone = self.tracked.values().filter_map(|tracked| {
            let quiet = tracked.quiet_since()?;
            let after = [LAST_LINE_AFTER, LET_GO_DELETED, LET_GO];
            after.into_iter().map(|after| quiet.after(after)).find(|at| *at > now)
        });
        let dirty = self.tracked.values().any(|tracked| tracked.dirty).then_some(now);
        [Some(self.look_at), self.poll_at, gone.min(), dirty].into_iter().flatten().min().unwrap_or(now)
    }

    /// When the places are to be written down.
    pub(super) fn save_at(&self) -> Option<KTime> {
        self.moved.map(|moved| moved.after(SAVE_AFTER))
    }

    /// What is to be written down; everything has been from here on.
    pub(super) fn places(&mut self) -> Places {
        self.moved = None;
        let kept = |(id, tracked): (&FileId, &Tracked)| Kept::new(&tracked.path, id.ino, tracked.follower.place());
        let files = self.tracked.iter().map(kept).chain(self.kept.iter().cloned());
        Places::new(self.known.iter().cloned().collect(), files.collect())
    }

    /// Follows one more file.
    pub(super) fn track(&mut self, id: FileId, follower: Follower, path: PathBuf, logs: BTreeSet<usize>, now: KTime) {
        // What cannot be watched is told at the end of the look that found it.
        let watch = self.notices.file(follower.as_fd()).ok();
        if let Some(watch) = watch {
            self.by_watch.insert(watch, id);
        }
        self.tracked.insert(id, Tracked { follower, path, logs, watch, gone: None, changed: now, dirty: true });
        self.moved.get_or_insert(now);
    }

    /// Ends the following of a file.
    pub(super) fn untrack(&mut self, id: FileId, now: KTime) {
        if let Some(watch) = self.tracked.remove(&id).and_then(|tracked| tracked.watch) {
            self.by_watch.remove(&watch);
            self.notices.forget(watch);
        }
        self.moved.get_or_insert(now);
    }

    /// Files without a name end when nobody writes to them any more.
    fn let_go(&mut self, now: KTime, sink: &mut dyn FnMut(LogLines)) {
        let quiet = |tracked: &Tracked, after| tracked.quiet_since().is_some_and(|since| since.after(after) <= now);
        let mut gone: Vec<(KTime, FileId)> =
            self.tracked.iter().filter_map(|(id, tracked)| Some((tracked.quiet_since()?, *id))).collect();
        gone.sort_unstable();
        let too_many = gone.len().saturating_sub(GONE_MAX);
        for (position, (since, id)) in gone.into_iter().enumerate() {
            if position >= too_many && since.after(LAST_LINE_AFTER) > now {
                break;
            }
            self.read(id, now, Follower::finish, sink);
            let over = self.tracked.get(&id).is_some_and(|tracked| {
                let deleted = || tracked.follower.is_deleted();
                position < too_many || quiet(tracked, LET_GO) || (quiet(tracked, LET_GO_DELETED) && deleted())
            });
            if over {
                self.untrack(id, now);
            }
        }
    }

    fn read(&mut self, id: FileId, now: KTime, how: How, sink: &mut dyn FnMut(LogLines)) {
        let Self { tracked, wanted, buffer, refused, moved, .. } = self;
        let Some(tracked) = tracked.get_mut(&id) else { return };
        let mut tallies: Vec<(usize, u64, Vec<LogLine>)> =
            tracked.logs.iter().map(|log| (*log, 0, Vec::new())).collect();
        let read = how(&mut tracked.follower, buffer, &mut |text| {
            for (log, count, first) in &mut tallies {
                let Some(wanted) = wanted.get(*log) else { continue };
                wanted.matcher.scan(text, |found| {
                    *count += 1;
                    if first.len() < LINES_TOLD {
                        let text = found.line.get(..TEXT_MAX).unwrap_or(found.line);
                        let text = String::from_utf8_lossy(text).into();
                        first.push(LogLine { keyword: Arc::clone(found.keyword), text });
                    }
                });
            }
        });
        let round = match read {
            Ok(round) => round,
            Err(error) => {
                tell_refused(refused, &tracked.path, error.to_string(), false);
                tracked.dirty = false;
                return;
            }
        };
        tracked.dirty = round.more;
        if round != Round::default() {
            tracked.changed = now;
            moved.get_or_insert(now);
        }
        if round.restarted {
            tracing::info!("{} was truncated or written anew: read from its beginning", tracked.path.display());
        }
        let path: Arc<str> = tracked.path.to_string_lossy().into();
        for (log, count, first) in tallies {
            let Some(wanted) = wanted.get_mut(log) else { continue };
            wanted.lines = wanted.lines.saturating_add(round.lines);
            wanted.matched = wanted.matched.saturating_add(count);
            if count > 0 {
                sink(LogLines { log: Arc::clone(&wanted.name), path: Arc::clone(&path), count, first });
            }
        }
    }
}

/// [`Follower::read_some`] or [`Follower::finish`].
type How = fn(&mut Follower, &mut [u8], &mut dyn FnMut(&[u8])) -> io::Result<Round>;

impl Follower {
    fn read_some(&mut self, buffer: &mut [u8], each: &mut dyn FnMut(&[u8])) -> io::Result<Round> {
        self.read(buffer, BUDGET, each)
    }
}

impl AsFd for Tracked {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.follower.as_fd()
    }
}

impl Tracked {
    /// Since when nobody has written to it, if no log names it.
    fn quiet_since(&self) -> Option<KTime> {
        self.gone.map(|gone| gone.max(self.changed))
    }
}

/// Once for each path and reason.
pub(super) fn tell_refused(refused: &mut BTreeMap<PathBuf, Refused>, path: &Path, why: String, old: bool) {
    let told = refused.get(path).is_some_and(|refused| refused.why == why);
    if !told {
        tracing::warn!("{} is not read: {why}", path.display());
        let old = refused.get(path).map_or(old, |refused| refused.old);
        refused.insert(path.to_owned(), Refused { why, old });
    }
}
