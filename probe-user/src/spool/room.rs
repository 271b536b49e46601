//! Room: what goes when the spool is full, and in which order.

use std::io;

use super::WhenFull;
use super::disk::Disk;
use super::frame::{Class, Frame, SEAL, Seal};
use super::segment::{Segment, frames};
use super::store::Store;

impl<D: Disk> Store<D> {
    /// Frees what it takes to add `size` bytes, as far as the limits allow it.
    pub(super) fn make_room(&mut self, size: u64) -> io::Result<()> {
        // The seal of the segment that is written to, and of the next one.
        let needed = size + 2 * SEAL as u64;
        while self.bytes() + needed > self.limits.max_bytes {
            if self.segments.len() <= 1 {
                // Only the one that is written to: it becomes an old one.
                if self.segments.back().is_none_or(|segment| segment.sealed || segment.holds.frames == 0) {
                    if self.segments.is_empty() {
                        return Ok(());
                    }
                } else {
                    self.seal();
                }
            }
            let acknowledged = self.acknowledged();
            let Some(front) = self.segments.front() else { return Ok(()) };
            if front.last() < acknowledged {
                self.remove_front(acknowledged)?;
            } else if self.limits.when_full == WhenFull::DropNewest {
                return Ok(());
            } else if let Some(place) = self.oldest_with_processes() {
                if self.thin(place, acknowledged).is_err() {
                    // A disk without any room left cannot even take the little that stays of a segment.
                    self.remove_front(acknowledged)?;
                }
            } else {
                self.remove_front(acknowledged)?;
            }
        }
        Ok(())
    }

    fn oldest_with_processes(&self) -> Option<usize> {
        let is_old = |segment: &Segment| segment.sealed && segment.holds.process_frames > 0;
        self.segments.iter().position(is_old)
    }

    /// Removes the oldest segment; what not every collector has is counted.
    fn remove_front(&mut self, acknowledged: u64) -> io::Result<()> {
        let Some(front) = self.segments.front() else { return Ok(()) };
        let name = front.name.clone();
        let mut dropped = 0_u64;
        if front.last() >= acknowledged {
            let mut last = 0;
            let counted = frames(&self.disk, &name, 0, front.bytes, |_, frame, _| {
                dropped += u64::from(frame.position >= acknowledged.max(last));
                last = frame.position + 1;
                true
            });
            if counted.is_err() {
                dropped = u64::from(front.holds.frames);
            }
        }
        self.note_drops(dropped)?;
        self.disk.remove(&name)?;
        self.segments.pop_front();
        self.disk.sync_names()
    }

    /// Takes the starts and exits of processes out of a segment, and joins what stays to the one before where both are
    /// small. A crash in between leaves frames twice, which readers skip by their positions.
    fn thin(&mut self, place: usize, acknowledged: u64) -> io::Result<()> {
        let Some(segment) = self.segments.get(place).cloned() else { return Ok(()) };
        let mut kept = Vec::new();
        let mut holds = Seal::default();
        let mut dropped = 0_u64;
        let before = place.checked_sub(1).and_then(|before| self.segments.get(before)).cloned();
        let joined = before.filter(|before| before.size() + segment.size() / 4 <= self.limits.segment_bytes);
        let mut last = 0;
        for part in joined.iter().chain([&segment]) {
            frames(&self.disk, &part.name, 0, part.bytes, |_, frame, line| {
                if frame.position < last {
                    return true;
                }
                last = frame.position + 1;
                if frame.class == Class::Process {
                    dropped += u64::from(frame.position >= acknowledged);
                } else {
                    let frame = Frame { settled: 0, ..*frame };
                    frame.write(line, &mut kept);
                    holds.count(&frame);
                }
                true
            })?;
        }
        self.note_drops(dropped)?;
        let target = joined.as_ref().unwrap_or(&segment);
        if holds.frames > 0 {
            let bytes = kept.len() as u64;
            holds.write(&mut kept);
            let beside = format!("{}.new", target.name);
            self.disk.create(&beside)?;
            self.disk.write(&beside, 0, &kept)?;
            self.disk.sync(&beside)?;
            self.disk.rename(&beside, &target.name)?;
            // From here on the file is another one, whatever fails behind it.
            let thinned = Segment { bytes, holds, sealed: true, moved: target.moved + 1, ..target.clone() };
            if let Some(slot) = self.segments.iter_mut().find(|slot| slot.first == thinned.first) {
                *slot = thinned;
            }
            self.disk.sync_names()?;
            if joined.is_some() {
                self.disk.remove(&segment.name)?;
                self.segments.remove(place);
            }
        } else {
            self.disk.remove(&segment.name)?;
            self.segments.remove(place);
        }
        Ok(())
    }

    /// Writes down how many are about to be dropped. Should the daemon die before that is done, they are counted twice
    /// rather than not at all.
    fn note_drops(&mut self, dropped: u64) -> io::Result<()> {
        if dropped == 0 {
            return Ok(());
        }
        self.state.lost.full += dropped;
        self.save(true)
    }
}
