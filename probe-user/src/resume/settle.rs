//! When what is known is written down, and from when on it counts.
//!
//! The group of what is known goes to the file first, then what must lie behind it goes into the tail once more: the records
//! that a process still waits with, and the marks of what an earlier daemon told of such a process. The position moves when the
//! spool has everything that was numbered by then, or when the tail is full. A file that cannot be written is tried again
//! with everything in it; a tail that is full meanwhile is forgotten, for collection does not wait.

use std::sync::Arc;

use super::file::{self, Group, KnownFile};
use super::{EVERY, KEYS_KEPT, Keeper, SIGNALS_COUNT, Waiting};
use crate::engine::Engine;
use crate::kernel::records::PinnedTail;
use crate::kernel::tail::{Kind, Settled};
use crate::record::ProcessKey;
use crate::time::KTime;

/// A record that is to be written again.
#[derive(Debug)]
struct Again {
    key: ProcessKey,
    waiting: Waiting,
    bytes: Vec<u8>,
}

/// A group is in the file and becomes what counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    settled: Settled,
    /// When everything below this number is accepted.
    below: u64,
}

impl Keeper {
    /// Settles what can be settled. Everything below the number `accepted` is accepted; `next` is the next number.
    pub fn keep(&mut self, now: KTime, engine: &Engine, tail: &mut PinnedTail, accepted: u64, next: u64) {
        if now >= self.forget_at {
            self.told_before.forget();
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
        for note in self.told_before.notes() {
            tail.append(Kind::Note, &note.write());
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
