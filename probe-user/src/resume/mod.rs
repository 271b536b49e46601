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
//!   position for which that is said, and so is an account that waits for its exit.
//!
//! When the tail is full before the spool has accepted (a storm, a disk that stands still), the position moves all the
//! same: collection does not wait. Were the daemon killed right then, events that are numbered and not accepted would be
//! lost; the gap in the numbers tells so. Nothing of this outlives the boot, nor has it to.

mod file;
mod note;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use self::file::{Group, KnownFile, Left};
use self::note::{Alarms, Note, Said};
use crate::engine::{Engine, KnownTable, Restored};
use crate::event::Event;
use crate::kernel::records::PinnedTail;
use crate::kernel::tail::{Kind, Settled};
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
    /// Marks of what an earlier daemon told.
    told_before: HashSet<u64>,
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

/// A record that is to be written again.
#[derive(Debug)]
struct Again {
    key: ProcessKey,
    waiting: Waiting,
    bytes: Vec<u8>,
}

/// A group is in the file and becomes what counts.
#[derive(Clone, Copy, Debug)]
struct Pending {
    settled: Settled,
    /// When everything below this number is accepted.
    below: u64,
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
        let notes = notes(tail, &mut resumed.notes);
        let told_before = accepted(&notes, numbers, &mut alarms, &mut lost);
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

    /// Whether an earlier daemon has told this already.
    pub fn was_told(&mut self, event: &Event) -> bool {
        !self.told_before.is_empty() && note::mark(event).is_some_and(|mark| self.told_before.remove(&mark))
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

    /// Settles what can be settled. Everything below the number `accepted` is accepted; `next` is the next number.
    pub fn keep(&mut self, now: KTime, engine: &Engine, tail: &mut PinnedTail, accepted: u64, next: u64) {
        if now >= self.forget_at && !self.told_before.is_empty() {
            self.told_before = HashSet::new();
        }
        if self.pending.is_some_and(|pending| pending.below <= accepted) {
            self.settle(tail);
        }
        let used = tail.capacity() - tail.room();
        let due = now >= self.last.1.after(EVERY) || used > tail.capacity() / 4;
        if self.pending.is_none() && due && tail.end() > self.last.0 {
            self.write(now, engine, tail, next);
            if next <= accepted {
                self.settle(tail);
            }
        }
    }

    /// Settles everything at once, accepted or not: the first time, and when the tail is full.
    pub fn keep_now(&mut self, now: KTime, engine: &Engine, tail: &mut PinnedTail) {
        self.settle(tail);
        let again = self.waiting_frames(now, engine, tail);
        self.write(now, engine, tail, 0);
        self.settle(tail);
        if self.failed {
            // Better to forget than to stand still.
            tail.settle(Settled { position: tail.end(), generation: 0 });
        }
        // Only now there is room for them.
        self.append_again(again, tail);
    }

    fn settle(&mut self, tail: &mut PinnedTail) {
        if let Some(pending) = self.pending.take() {
            tail.settle(pending.settled);
            file::remove_others(&self.directory, pending.settled.generation);
        }
    }

    /// Writes what is known at the end of the tail, and behind it again what waits there.
    fn write(&mut self, now: KTime, engine: &Engine, tail: &mut PinnedTail, below: u64) {
        let position = tail.end();
        self.last = (position, now);
        if self.again_at.is_some_and(|again| again <= now) {
            self.again_at = None;
            self.all = true;
        }
        if let Err(error) = self.write_group(position, engine) {
            if !std::mem::replace(&mut self.failed, true) {
                tracing::error!(%error, "what the next daemon needs cannot be written; a crash now may repeat or lose events");
            }
            self.all = true;
            return;
        }
        self.failed = false;
        self.pending = Some(Pending { settled: Settled { position, generation: self.generation }, below });
        if below > 0 {
            let again = self.waiting_frames(now, engine, tail);
            self.append_again(again, tail);
        }
        // What was written again is nothing new.
        self.last.0 = tail.end();
    }

    fn append_again(&mut self, again: Vec<Again>, tail: &mut PinnedTail) {
        self.waiting.clear();
        for Again { key, waiting, bytes } in again {
            let position = tail.end();
            if tail.append(Kind::Record, &bytes) {
                self.waiting.entry(key).or_default().push(Waiting { position, ..waiting });
            }
        }
    }

    fn write_group(&mut self, position: u64, engine: &Engine) -> std::io::Result<()> {
        let table = engine.table();
        let anew = self.all || self.file.as_ref().is_none_or(KnownFile::is_long);
        if anew {
            self.generation += 1;
            self.file = Some(KnownFile::new(&self.directory, self.generation, self.instance)?);
            self.kept.clear();
            self.dirty = table.iter().map(|process| process.key).collect();
            self.ended = table.iter().filter(|process| process.exit.is_some()).map(|process| process.key).collect();
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut ended = std::mem::take(&mut self.ended);
        // Those that wait for their account may still be closed.
        let (waiting, gone) = ended.drain(..).partition(|key| table.get(*key).is_some());
        self.ended = waiting;
        let gone: Vec<ProcessKey> = gone;
        let cgroups = if anew {
            table.cgroups().map(|(id, path)| (id, Arc::clone(path))).collect()
        } else {
            let path = |id: u64| Some((id, Arc::clone(table.cgroup_path(id)?)));
            self.cgroups.drain(..).filter_map(path).collect()
        };
        let pids = self.dirty_pids.drain(..).filter_map(|pid| Some(table.of_tgid(pid)?.key));
        self.dirty.extend(pids);
        let (kept, said) = (&mut self.kept, anew || self.said);
        let group = Group {
            gone: gone.into_iter().filter(|key| kept.remove(key)).collect(),
            cgroups,
            alarms: said.then_some(&self.alarms),
            lost: said.then_some(&self.lost),
            position,
            seeded: table.seeded().unwrap_or_default(),
        };
        let known = self.dirty.drain().filter_map(|key| engine.known(key)).inspect(|known| {
            kept.insert(known.key());
        });
        file.append(known, &group)?;
        self.cgroups.clear();
        self.dirty.shrink_to(KEYS_KEPT);
        (self.all, self.said) = (false, false);
        Ok(())
    }

    /// The records that must lie behind what is known now: those of processes that are not closed yet.
    fn waiting_frames(&self, now: KTime, engine: &Engine, tail: &PinnedTail) -> Vec<Again> {
        let open = self.waiting.iter().filter(|(key, _)| engine.table().get(**key).is_some());
        let matters = |waiting: &Waiting| !waiting.fades || waiting.at.after(SIGNALS_COUNT) > now;
        let all = open.flat_map(|(key, all)| all.iter().map(move |waiting| (*key, *waiting)));
        let mut order: Vec<_> = all.filter(|(_, waiting)| matters(waiting)).collect();
        order.sort_unstable_by_key(|(_, waiting)| waiting.position);
        let frame = |(key, waiting): (ProcessKey, Waiting)| {
            Some(Again { key, waiting, bytes: tail.read(waiting.position).ok()??.0.bytes })
        };
        order.into_iter().filter_map(frame).collect()
    }
}

fn notes(tail: &PinnedTail, wrong: &mut Vec<String>) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut at = tail.settled().position;
    loop {
        match tail.read(at) {
            Ok(None) => return notes,
            Ok(Some((frame, next))) => {
                if frame.kind == Kind::Note {
                    notes.extend(Note::read(&frame.bytes));
                }
                at = next;
            }
            Err(error) => {
                wrong.push(format!("{error}: what the last daemon had read may be told again or be lost"));
                return notes;
            }
        }
    }
}

/// The marks of events that were accepted; what these said is taken in.
fn accepted(notes: &[Note], numbers: Numbers, alarms: &mut Alarms, lost: &mut BTreeMap<String, u64>) -> HashSet<u64> {
    let runs: Vec<(u64, u64)> = notes
        .iter()
        .filter_map(|note| match note {
            Note::Run { accepted, first } => Some((*accepted, *first)),
            _ => None,
        })
        .collect();
    let is_accepted =
        |seq: u64| seq <= numbers.accepted && !runs.iter().any(|(accepted, first)| seq > *accepted && seq < *first);
    let mut marks = HashSet::new();
    for note in notes {
        match note {
            Note::Told { seq, mark } if is_accepted(*seq) => drop(marks.insert(*mark)),
            Note::Said { seq, what } if is_accepted(*seq) => Said::apply(what.clone(), alarms, lost),
            _ => {}
        }
    }
    marks
}
