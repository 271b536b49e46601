//! The spool's state over its files: appending, reading, acknowledging. One thread at a time; whoever shares it locks it.

use std::collections::VecDeque;
use std::io;

use bytes::Bytes;

use super::disk::Disk;
use super::frame::{Frame, HEADER, PAYLOAD_MAX, SEAL, Seal};
use super::segment::{Segment, Stop, frames};
use super::state::{Memory, State};
use super::{Class, Limits, Lost, WhenFull};

/// One event to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What goes first when room is short.
    pub class: Class,
    /// When it happened, ns since 1970.
    pub wall: i64,
    /// The event as one line of JSON.
    pub line: Bytes,
}

/// A reader's place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The next position that it wants.
    pub(super) position: u64,
    /// Where that lies, as far as remembered: first position of a segment, how often its frames had moved, offset.
    place: Option<(u64, u32, u64)>,
}

impl Cursor {
    /// From this position on.
    pub(super) const fn at(position: u64) -> Self {
        Self { position, place: None }
    }
}

/// What a reader got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Read {
    /// Positions and events, in order.
    pub(super) entries: Vec<(u64, Entry)>,
    /// Where to go on.
    pub(super) next: Cursor,
}

/// All files.
#[derive(Debug)]
pub(super) struct Store<D> {
    pub(super) disk: D,
    pub(super) limits: Limits,
    /// By position; the last may still be written to.
    pub(super) segments: VecDeque<Segment>,
    /// Position of the next event. Rises also for what could not be written: no two events ever share one.
    pub(super) next: u64,
    pub(super) memory: Memory,
    pub(super) state: State,
    /// Losses in `state` that are not on disk: they have to be before anything else is accepted.
    pub(super) unwritten: bool,
    /// What is to be said to people.
    pub(super) notes: Vec<String>,
}

impl<D: Disk> Store<D> {
    /// Keeps events; on return all of them are on disk, but for those that a full spool refused (which are counted, see
    /// [`Store::untold`]). On an error none counts as accepted: hand them in again. False: what tells of losses is among
    /// those that were refused.
    pub(super) fn append(&mut self, batch: &[Entry]) -> io::Result<bool> {
        self.write_losses()?;
        let fits = |entry: &&Entry| entry.line.len() <= PAYLOAD_MAX;
        let size: u64 = batch.iter().filter(fits).map(|entry| (HEADER + entry.line.len()) as u64).sum();
        self.make_room(size)?;
        let held = self.bytes() + SEAL as u64;
        let mut settled = self.active()?.bytes;
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        let mut holds = Vec::with_capacity(batch.len());
        let mut refused = 0;
        let mut told = true;
        for entry in batch {
            let size = HEADER + entry.line.len();
            let most = self.limits.max_bytes;
            let most = if entry.class == Class::Loss { most + most / 16 } else { most };
            let full = self.limits.when_full == WhenFull::DropNewest && held + (bytes.len() + size) as u64 > most;
            if full || entry.line.len() > PAYLOAD_MAX {
                refused += 1;
                told &= entry.class != Class::Loss;
                continue;
            }
            let frame =
                Frame { class: entry.class, position: self.next, wall: entry.wall, settled, length: entry.line.len() };
            self.next += 1;
            frame.write(&entry.line, &mut bytes);
            holds.push(frame);
        }
        self.state.lost.full += refused;
        self.unwritten |= refused > 0;
        if !holds.is_empty() {
            let name = self.active()?.name.clone();
            let written = self.write_losses().and_then(|()| self.disk.write(&name, settled, &bytes));
            if let Err(error) = written.and_then(|()| self.disk.sync(&name)) {
                self.state.lost.full -= refused;
                self.abandon(&name, settled);
                return Err(error);
            }
            settled += bytes.len() as u64;
            let segment = self.active()?;
            segment.bytes = settled;
            for frame in &holds {
                segment.holds.count(frame);
            }
            if settled >= self.limits.segment_bytes {
                self.seal();
            }
        }
        Ok(told)
    }

    /// Counts losses that happened elsewhere. They are on disk before the next event is.
    pub(super) fn add_lost(&mut self, lost: Lost) {
        self.state.lost = self.state.lost.plus(lost);
        self.unwritten |= lost != Lost::default();
    }

    fn write_losses(&mut self) -> io::Result<()> {
        if self.unwritten { self.save(true) } else { Ok(()) }
    }

    /// Events from a cursor on: at most `max` of them and at most `max_bytes`, but at least one if there is one.
    pub(super) fn read(&mut self, from: Cursor, max: usize, max_bytes: usize) -> io::Result<Read> {
        self.read_but(from, max, max_bytes, None)
    }

    /// The same without one class, which ends at the end of a file too: looking for a few among many must not take long.
    pub(super) fn read_but(
        &mut self,
        from: Cursor,
        max: usize,
        max_bytes: usize,
        without: Option<Class>,
    ) -> io::Result<Read> {
        let mut entries = Vec::new();
        let mut bytes = 0;
        let mut cursor = from;
        while entries.len() < max {
            let Some(segment) = self.segments.iter().find(|segment| segment.last() >= cursor.position).cloned() else {
                break;
            };
            let begin = match cursor.place {
                Some((first, moved, offset)) if first == segment.first && moved == segment.moved => offset,
                _ => 0,
            };
            let mut position = cursor.position;
            let got = frames(&self.disk, &segment.name, begin, segment.bytes, |_, frame, line| {
                // What a crash or a merge left twice is read once.
                if frame.position < position {
                    return true;
                }
                if without == Some(frame.class) {
                    position = frame.position + 1;
                    return true;
                }
                if entries.len() >= max || (!entries.is_empty() && bytes + line.len() > max_bytes) {
                    return false;
                }
                bytes += line.len();
                position = frame.position + 1;
                let line = Bytes::copy_from_slice(line);
                entries.push((frame.position, Entry { class: frame.class, wall: frame.wall, line }));
                true
            });
            let (offset, stop) = match got {
                Ok(got) => got,
                Err(error) => {
                    // A sector that cannot be read must not hold up what lies behind it for ever.
                    self.give_up(&segment.name, &error)?;
                    cursor = Cursor::at(position);
                    continue;
                }
            };
            cursor = Cursor { position, place: Some((segment.first, segment.moved, offset)) };
            match stop {
                Stop::Enough => break,
                Stop::End => {
                    cursor = Cursor::at(position.max(segment.last() + 1));
                    if without.is_some() {
                        break;
                    }
                }
                Stop::NoFrame => {
                    let length = segment.size();
                    self.mend(&segment.name, length)?;
                    cursor.place = None;
                }
            }
        }
        Ok(Read { entries, next: cursor })
    }

    /// A collector has everything below this position.
    pub(super) fn acknowledge(&mut self, sink: &str, below: u64) {
        if let Some(position) = self.state.sinks.get_mut(sink) {
            *position = below.clamp(*position, self.next);
        }
    }

    /// The last event that is kept.
    pub(super) fn last(&mut self) -> io::Result<Option<Entry>> {
        let mut from =
            self.segments.iter().rev().find(|segment| segment.holds.frames > 0).map(|last| Cursor::at(last.first));
        let mut found = None;
        while let Some(cursor) = from.take() {
            let read = self.read(cursor, 1000, 1 << 20)?;
            if let Some((_, entry)) = read.entries.into_iter().next_back() {
                found = Some(entry);
                from = Some(read.next);
            }
        }
        Ok(found)
    }

    /// Where a collector goes on.
    pub(super) fn cursor(&self, sink: &str) -> Cursor {
        Cursor::at(self.state.sinks.get(sink).copied().unwrap_or(self.next))
    }

    /// The first event that may have happened at `wall` (ns since 1970) or later.
    pub(super) fn since(&self, wall: i64) -> Cursor {
        let segment = self.segments.iter().find(|segment| segment.holds.frames > 0 && segment.holds.last_wall >= wall);
        Cursor::at(segment.map_or(self.next, |segment| segment.first))
    }

    /// Position of the next event.
    pub(super) const fn end(&self) -> u64 {
        self.next
    }

    /// Length of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(Segment::size).sum()
    }

    /// How many events a collector has not acknowledged, at most: exact but for a file of which it has a part.
    pub(super) fn waiting(&self, sink: &str) -> u64 {
        let from = self.cursor(sink).position;
        let of = |segment: &Segment| {
            let missing = (segment.last() + 1).saturating_sub(from.max(segment.first));
            u64::from(segment.holds.frames).min(missing)
        };
        self.segments.iter().map(of).sum()
    }

    /// When the oldest event happened that a collector has not acknowledged, ns since 1970; no later than that.
    pub(super) fn oldest_waiting(&self, sink: &str) -> Option<i64> {
        let from = self.cursor(sink).position;
        let segment = self.segments.iter().find(|segment| segment.holds.frames > 0 && segment.last() >= from)?;
        Some(segment.holds.first_wall)
    }

    /// What was lost and is to be told.
    pub(super) const fn untold(&self) -> Lost {
        self.state.lost
    }

    /// An event that tells of so many losses lies in the spool.
    pub(super) fn told(&mut self, lost: Lost) -> io::Result<()> {
        self.state.lost = self.state.lost.less(lost);
        self.save(false)
    }

    /// Writes down where each collector goes on. What a crash forgets of it without `sync` is sent again, with the same
    /// ids.
    pub(super) fn save(&mut self, sync: bool) -> io::Result<()> {
        self.memory.write(&mut self.disk, &self.state, sync)?;
        self.unwritten &= !sync;
        Ok(())
    }

    /// What people should hear, since the last call.
    pub(super) fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// Everything below it is with every collector.
    pub(super) fn acknowledged(&self) -> u64 {
        self.state.sinks.values().copied().min().unwrap_or(self.next)
    }

    /// The segment that is written to.
    pub(super) fn active(&mut self) -> io::Result<&mut Segment> {
        if self.segments.back().is_none_or(|segment| segment.sealed) {
            let segment = Segment::new(self.next);
            self.disk.create(&segment.name)?;
            self.disk.sync_names()?;
            self.segments.push_back(segment);
        }
        self.segments.back_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Ends the segment that is written to. A seal that cannot be written is missed only at the next start, which then
    /// has to read the segment.
    pub(super) fn seal(&mut self) {
        let Some(segment) = self.segments.back_mut().filter(|segment| !segment.sealed) else { return };
        let mut bytes = Vec::new();
        segment.holds.write(&mut bytes);
        let name = segment.name.clone();
        let written = self.disk.write(&name, segment.bytes, &bytes).and_then(|()| self.disk.sync(&name)).is_ok();
        segment.sealed = true;
        if !written {
            // Its size counts the seal all the same: the estimate errs to the safe side.
            let _ = self.disk.cut(&name, segment.bytes);
        }
    }

    /// After a failed write nothing is known of what lies behind the settled part: no more is written there.
    fn abandon(&mut self, name: &str, settled: u64) {
        let _ = self.disk.cut(name, settled);
        if let Some(segment) = self.segments.back_mut() {
            segment.sealed = true;
        }
        if self.segments.back().is_some_and(|segment| segment.holds == Seal::default()) {
            // Nothing was ever in it.
            let _ = self.disk.remove(name);
            self.segments.pop_back();
        }
    }
}
