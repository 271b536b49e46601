//! Going on where the last daemon stopped, however it did: each start and each end is told once, and an alarm that is on
//! stays the same alarm.
//!
//! Three things outlive the daemon:
//! - the ring, with what it has not read ([`crate::kernel::pinned`]);
//! - the tail, with what it has read and not settled: each record is copied there before it is taken out of the ring, and
//!   each event that a record leads to is noted there before it is handed to the spool ([`note`]);
//! - the file of what it knows at some position of the tail: the processes alive, the alarms that are on, what it has told
//!   lost ([`file`]).
//!
//! A *settled* position is one of which all this is true: the file says what was known when everything before it was taken
//! in, and every event that this led to is accepted by the spool. To settle, the file is written first, for the end of the
//! tail as it is then; when the spool has accepted all that was numbered by then, the position moves there. It moves in one
//! store, together with the number of the file.
//!
//! The next daemon puts back what the file says of the settled position, takes in the tail from there, then the ring, then
//! looks round. Why nothing is told twice and nothing is left out:
//! - What a record leads to depends on what is known and on the records alone, and both are what they were. So the events
//!   of the records behind the settled position come out again: those that nobody got are told now.
//! - Those that were accepted are known by their notes, and are left out. Events are accepted in the order of their numbers
//!   (what a full inbox drops is counted there), so the last one on disk tells which. The number of a note that never got
//!   there is ruled out for good by the note of the next run.
//! - A record is in the tail as a whole or in the ring; the one that can be in both is compared
//!   ([`crate::kernel::records`]).
//! - A process that has ended and waits for its account is known as if it lived; its exit is written again behind the
//!   position for which that is said, and so is an account that waits for its exit, and the note of an event that was
//!   accepted and is still to come out again.
//!
//! When the tail is full before the spool has accepted (a storm, a disk that stands still), the position moves all the
//! same: collection does not wait. Were the daemon killed right then, events that are numbered and not accepted would be
//! lost; the gap in the numbers tells so. Nothing of this outlives the boot, nor has it to.

mod file;
mod note;
mod settle;
mod told;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use smallvec::SmallVec;

use self::file::{KnownFile, Left};
use self::note::{Alarms, Note};
use self::settle::Pending;
use self::told::Told;
use crate::engine::{Engine, KnownTable, Restored};
use crate::event::Event;
use crate::kernel::records::PinnedTail;
use crate::kernel::tail::Kind;
use crate::record::{Body, ProcessKey, Record};
use crate::time::KTime;

/// A position is settled at most so often while there is room.
const EVERY: Duration = Duration::from_secs(5);
/// Room for so many processes is kept from group to group.
const KEYS_KEPT: usize = 1024;
/// What was accepted before is known by its notes for so long after a start; by then every account has come or is given up.
const REMEMBER: Duration = Duration::from_mins(1);
/// Signals older than this have killed nobody any more.
const SIGNALS_COUNT: Duration = Duration::from_secs(2);
/// So long after a scan everything is written anew once more: what it missed is closed by then.
const SCAN_SETTLES: Duration = Duration::from_secs(5);

/// How the numbers of events go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// The last event that an earlier run got accepted.
    pub accepted: u64,
    /// The first of this run.
    pub first: u64,
}

/// What the last daemon left.
#[derive(Debug, Default)]
pub struct Resumed {
    /// For the engine, before anything else.
    pub restored: Restored,
    /// What was told lost in the kernel, by reason.
    pub lost: BTreeMap<String, u64>,
    /// Records of the tail from here to there come first.
    pub records: (u64, u64),
    /// What works less well than it should.
    pub notes: Vec<String>,
}

/// Keeps what the next daemon needs.
#[derive(Debug)]
pub struct Keeper {
    directory: PathBuf,
    file: Option<KnownFile>,
    generation: u64,
    instance: u64,
    /// What an earlier daemon told.
    told_before: Told,
    forget_at: KTime,
    /// Processes and cgroups of which something was told since the last group.
    dirty: HashSet<ProcessKey>,
    dirty_pids: Vec<u32>,
    cgroups: Vec<u64>,
    /// Processes that may have ended.
    ended: Vec<ProcessKey>,
    /// Processes that are in the file.
    kept: HashSet<ProcessKey>,
    /// Where records lie that must be written again while their process is not closed.
    waiting: HashMap<ProcessKey, SmallVec<[Waiting; 2]>>,
    /// Everything is to be written anew.
    all: bool,
    again_at: Option<KTime>,
    alarms: Alarms,
    lost: BTreeMap<String, u64>,
    said: bool,
    pending: Option<Pending>,
    /// End of the tail when the last group was written, and when that was.
    last: (u64, KTime),
    failed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    position: u64,
    at: KTime,
    /// A signal: it matters for a while only.
    fades: bool,
}

impl Keeper {
    /// Reads what the last daemon left, of a tail that belongs to attached programs.
    pub fn open(state_dir: &Path, tail: &mut PinnedTail, numbers: Numbers, now: KTime) -> (Self, Resumed) {
        let directory = state_dir.join("known");
        let (about, settled) = (tail.about(), tail.settled());
        let mut resumed = Resumed::default();
        let left = if settled.generation == 0 {
            // Before anything is settled nothing is known.
            if settled.position > 0 {
                resumed.notes.push("what the last daemon knew could not be kept".to_owned());
            }
            None
        } else {
            match file::read(&directory, settled.generation, about.instance, settled.position) {
                Ok(left) => Some(left),
                Err(why) => {
                    resumed.notes.push(format!("{why}; processes that ended before this start are not known by name"));
                    None
                }
            }
        };
        let known = left.is_some();
        let Left { mut table, mut alarms, mut lost } = left.unwrap_or_default();
        table.programs_since = KTime(about.began);
        let notes = told::notes(tail, &mut resumed.notes);
        let told_before = Told::of(&notes, numbers, &mut alarms, &mut lost);
        if !tail.append(Kind::Note, &Note::Run { accepted: numbers.accepted, first: numbers.first }.write()) {
            resumed.notes.push("the tail is full: a crash now may repeat events".to_owned());
        }
        resumed.records = (settled.position, tail.end());
        let table: Option<KnownTable> = known.then_some(table);
        resumed.restored = Restored { table, alarms: alarms.values().cloned().collect() };
        resumed.lost.clone_from(&lost);
        let keeper = Self {
            directory,
            file: None,
            generation: settled.generation,
            instance: about.instance,
            told_before,
            forget_at: now.after(REMEMBER),
            dirty: HashSet::new(),
            dirty_pids: Vec::new(),
            cgroups: Vec::new(),
            ended: Vec::new(),
            kept: HashSet::new(),
            waiting: HashMap::new(),
            all: true,
            again_at: None,
            alarms,
            lost,
            said: true,
            pending: None,
            // The first time at once: a daemon that dies early and often must get on all the same.
            last: (settled.position, KTime::default()),
            failed: false,
        };
        (keeper, resumed)
    }

    /// A record was taken in; it lies at this position.
    pub fn record(&mut self, position: u64, record: &Record) {
        let key = record.key;
        let mut wait = |fades| {
            let waiting = self.waiting.entry(key).or_default();
            waiting.push(Waiting { position, at: record.at, fades });
        };
        match &record.body {
            Body::Fork { .. } | Body::Exec { .. } | Body::Rename { .. } => drop(self.dirty.insert(key)),
            Body::Exit { .. } => {
                wait(false);
                self.ended.push(key);
            }
            Body::Account(_) => {
                wait(false);
                if self.waiting.get(&key).is_some_and(|waiting| waiting.len() == 1) {
                    // Its exit may be lost.
                    self.ended.push(key);
                }
            }
            Body::Signal(_) | Body::Oom => wait(true),
            Body::Cgroup { id, .. } => self.cgroups.push(*id),
        }
    }

    /// Something else about a process is known anew.
    pub fn changed(&mut self, key: ProcessKey) {
        self.dirty.insert(key);
    }

    /// Anything may be known anew.
    pub const fn all_changed(&mut self) {
        self.all = true;
    }

    /// The table was put right.
    pub fn scanned(&mut self, now: KTime) {
        self.all = true;
        self.again_at = Some(now.after(SCAN_SETTLES));
    }

    /// Gives back the room that is free, and what is kept of processes that are closed by now.
    pub fn shrink(&mut self, engine: &Engine) {
        let is_open = |key: &ProcessKey| engine.table().get(*key).is_some();
        self.dirty.retain(is_open);
        self.waiting.retain(|key, _| is_open(key));
        self.dirty.shrink_to_fit();
        self.ended.shrink_to_fit();
        self.kept.shrink_to_fit();
        self.waiting.shrink_to_fit();
    }

    /// Whether an earlier daemon has told this already.
    pub fn was_told(&mut self, event: &Event) -> bool {
        self.told_before.take(event)
    }

    /// An event gets this number. To be called before it is handed on.
    pub fn note(&mut self, seq: u64, event: &Event, tail: &mut PinnedTail) {
        let Some(note) = Note::of(seq, event) else { return };
        tail.append(Kind::Note, &note.write());
        match note {
            Note::Said { what, .. } => {
                what.apply(&mut self.alarms, &mut self.lost);
                self.said = true;
            }
            // A start that was told late is told now.
            _ => self
                .dirty_pids
                .extend(event.attributes.get("process.pid").and_then(|pid| u32::try_from(pid.as_u64()?).ok())),
        }
    }
}
