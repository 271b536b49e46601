//! Sizes of file systems, asked for by threads of their own.
//!
//! `statvfs` waits for a server that may never answer, and nothing can be done about a thread that waits there. So the
//! daemon asks a thread for all of them at once, waits for a moment, and takes what is not there by then at a later
//! sample. A mount that
//! takes longer than [`STUCK_AFTER`] is told as "does not answer" and left to its thread; another thread goes on with the
//! others. It is asked again when that thread has come back. Threads are few: beyond [`STUCK_MAX`] lost ones nothing is
//! asked until one comes back, and everything that would have been asked does not answer.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::kept::Kept;
use super::mounts::{self, Mount};
use crate::event::clean;
use crate::policy::spec::HostBound;
use crate::record::{DiskSize, HostDisk};
use crate::time::KTime;

/// File systems are looked at so often at most.
pub(super) const EVERY: Duration = Duration::from_secs(5);
/// A sample waits so long for sizes: a thread that runs needs some 50 us.
const WAIT: Duration = Duration::from_millis(20);
/// A mount that takes longer does not answer.
const STUCK_AFTER: Duration = Duration::from_secs(5);
/// Threads that may wait for good.
const STUCK_MAX: usize = 8;
/// A thread's stack: it calls one thing.
const STACK: usize = 128 << 10;

/// What tells the size of a file system.
pub(super) type Ask = fn(&Path) -> io::Result<DiskSize>;

/// All file systems that policies mean.
#[derive(Debug)]
pub(super) struct Disks {
    bounds: Vec<HostBound>,
    table: Kept,
    mounts: Vec<Arc<Mount>>,
    ask: Ask,
    asker: Option<Asker>,
    stuck: Vec<(Arc<Mount>, Asker)>,
    round: Option<Round>,
    /// When the last round began.
    began: Option<KTime>,
}

/// A round through all mounts.
#[derive(Debug)]
struct Round {
    found: Vec<HostDisk>,
    /// Asked for, in this order, and not answered.
    waiting: VecDeque<Arc<Mount>>,
    /// The first of them is being asked since.
    since: KTime,
}

/// A thread, and the ways to and from it.
#[derive(Debug)]
struct Asker {
    questions: Sender<Vec<Arc<Mount>>>,
    /// One word for each list of questions that has been answered as a whole: waiting for each answer would be a wake-up
    /// for each.
    done: Receiver<()>,
    answers: Arc<Answers>,
}

/// What a thread has found out, in the order of the questions.
#[derive(Debug, Default)]
struct Answers {
    found: Mutex<Vec<io::Result<DiskSize>>>,
    /// Nobody reads them any more.
    let_go: AtomicBool,
}

impl Answers {
    fn found(&self) -> MutexGuard<'_, Vec<io::Result<DiskSize>>> {
        // A thread that panicked would have pushed a whole answer or none.
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disks {
    pub(super) fn new(table: PathBuf, ask: Ask) -> Self {
        Self {
            bounds: Vec::new(),
            table: Kept::new(table),
            mounts: Vec::new(),
            ask,
            asker: None,
            stuck: Vec::new(),
            round: None,
            began: None,
        }
    }

    /// Other bounds from now on: the next sample begins anew.
    pub(super) fn set_bounds(&mut self, bounds: Vec<HostBound>) {
        let is_needed = !bounds.is_empty();
        *self = Self { bounds, stuck: std::mem::take(&mut self.stuck), ..Self::new(self.table.path(), self.ask) };
        // Without bounds nobody would notice that these have come back: each ends by itself.
        self.stuck.retain(|_| is_needed);
    }

    /// Some bound is about a file system.
    pub(super) fn is_wanted(&self) -> bool {
        !self.bounds.is_empty()
    }

    /// All sizes, when a round has just ended. `slack`: a round that would be due so soon begins now.
    pub(super) fn sample(&mut self, now: KTime, slack: Duration, buffer: &mut Vec<u8>) -> Option<Vec<HostDisk>> {
        if !self.is_wanted() {
            return None;
        }
        self.stuck.retain(|(_, asker)| asker.answers.found().is_empty());
        if self.round.is_none() && self.began.is_none_or(|began| began.after(EVERY) <= now.after(slack)) {
            self.begin(now, buffer);
        }
        self.collect(now);
        let round = self.round.take_if(|round| round.waiting.is_empty())?;
        Some(round.found)
    }

    fn begin(&mut self, now: KTime, buffer: &mut Vec<u8>) {
        self.began = Some(now);
        self.look_for_mounts(buffer);
        let mut round = Round { found: Vec::new(), waiting: VecDeque::new(), since: now };
        for mount in &self.mounts {
            if self.stuck.iter().any(|(stuck, _)| stuck.path == mount.path) {
                round.found.push(unknown(mount));
            } else {
                round.waiting.push_back(Arc::clone(mount));
            }
        }
        self.ask_for(&mut round);
        self.round = Some(round);
    }

    /// Reads the table of mounts where it has changed.
    fn look_for_mounts(&mut self, buffer: &mut Vec<u8>) {
        if !self.table.file().is_none_or(has_changed) {
            return;
        }
        match self.table.all(buffer) {
            Ok(text) => self.mounts = mounts::wanted(text, &self.bounds).into_iter().map(Arc::new).collect(),
            Err(error) => {
                tracing::warn!("the table of mounts cannot be read: {error}");
                self.mounts.clear();
            }
        }
    }

    /// Hands the round's questions to a thread; where there is none to be had they stay unanswered.
    fn ask_for(&mut self, round: &mut Round) {
        if round.waiting.is_empty() {
            return;
        }
        if self.asker.is_none() && self.stuck.len() < STUCK_MAX {
            self.asker = Asker::start(self.ask)
                .inspect_err(|error| tracing::warn!("no thread for the sizes of file systems: {error}"))
                .ok();
        }
        let questions = round.waiting.iter().cloned().collect();
        // Answers may have been read before the word that they are all there: it is not about the next ones.
        while self.asker.as_ref().is_some_and(|asker| asker.done.try_recv().is_ok()) {}
        if !self.asker.as_ref().is_some_and(|asker| asker.questions.send(questions).is_ok()) {
            self.asker = None;
            round.found.extend(round.waiting.drain(..).map(|mount| unknown(&mount)));
        }
    }

    fn collect(&mut self, now: KTime) {
        let Some(mut round) = self.round.take() else { return };
        while let Some(asker) = self.asker.as_ref().filter(|_| !round.waiting.is_empty()) {
            // Done, or not within this time, or the thread has ended: what it has found says which.
            let waited = asker.done.recv_timeout(WAIT);
            for answer in asker.answers.found().drain(..) {
                round.since = now;
                let answered = round.waiting.pop_front();
                round.found.extend(answered.map(|mount| HostDisk { size: answer.ok(), ..unknown(&mount) }));
            }
            let has_ended = waited == Err(RecvTimeoutError::Disconnected);
            if now.since(round.since) < STUCK_AFTER && !has_ended {
                break;
            }
            let Some(mount) = round.waiting.pop_front() else { break };
            tracing::warn!("{} does not answer: its size is not known", clean(&mount.shown));
            round.found.push(unknown(&mount));
            round.since = now;
            if let Some(asker) = self.asker.take() {
                asker.answers.let_go.store(true, Ordering::Relaxed);
                if !has_ended {
                    self.stuck.push((mount, asker));
                }
            }
            self.ask_for(&mut round);
        }
        self.round = Some(round);
    }
}

impl Asker {
    fn start(ask: Ask) -> io::Result<Self> {
        let (questions, asked) = channel::<Vec<Arc<Mount>>>();
        let (tell, done) = channel();
        let answers = Arc::new(Answers::default());
        let shared = Arc::clone(&answers);
        let thread = std::thread::Builder::new().name("disks".to_owned()).stack_size(STACK);
        thread.spawn(move || {
            for mounts in asked {
                for mount in mounts {
                    let answer = ask(&mount.path);
                    shared.found().push(answer);
                    if shared.let_go.load(Ordering::Relaxed) {
                        return;
                    }
                }
                if tell.send(()).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { questions, done, answers })
    }
}

/// The kernel marks the table as an error and urgent when it is another one than at the last look.
fn has_changed(table: &std::fs::File) -> bool {
    let mut looked_at = [PollFd::new(table, PollFlags::PRI)];
    let changed = poll(&mut looked_at, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
    changed.is_err() || looked_at.iter().any(|table| !table.revents().is_empty())
}

fn unknown(mount: &Mount) -> HostDisk {
    HostDisk { path: Arc::clone(&mount.shown), kind: mount.kind, size: None }
}

/// `statvfs`.
pub(super) fn size(path: &Path) -> io::Result<DiskSize> {
    let found = rustix::fs::statvfs(path)?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Ok(DiskSize {
        bytes: bytes(found.f_blocks),
        bytes_used: bytes(found.f_blocks.saturating_sub(found.f_bfree)),
        bytes_free: bytes(found.f_bavail),
        inodes: found.f_files,
        inodes_free: found.f_favail,
    })
}
