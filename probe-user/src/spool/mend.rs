//! Opening what the last run left, and putting right what is damaged.
//!
//! A file that ends in a seal is taken at its word. One that does not is read: what a crash cut off in the middle of a
//! batch was never accepted and is cut away; damage in what had been accepted is set aside as a whole, under the name with
//! `.damaged` behind it, and what is whole is kept.

use std::collections::VecDeque;
use std::io;

use super::disk::Disk;
use super::frame::{Frame, Seal};
use super::segment::{Segment, Stop, first_of, frames, next_frame, seal_of, survey};
use super::state::{Found, Memory, State};
use super::store::Store;
use super::{Limits, Lost};

/// Damaged files that are kept for people to look at.
const DAMAGED_MAX: usize = 2;

impl<D: Disk> Store<D> {
    /// Opens the spool for these collectors. One that was not there before goes on where the furthest behind of those that
    /// are no longer there stood, else it begins with what comes now.
    pub(super) fn open_on(mut disk: D, limits: Limits, sinks: &[String]) -> io::Result<Self> {
        let (memory, found) = Memory::open(&mut disk)?;
        let mut store = Self {
            disk,
            limits,
            segments: VecDeque::new(),
            next: 1,
            memory,
            state: State::default(),
            unwritten: false,
            notes: Vec::new(),
        };
        let mut files = store.disk.list()?;
        files.sort();
        for (name, length) in files {
            if name.rsplit('.').next() == Some("new") {
                store.disk.remove(&name)?;
            } else if let Some(first) = first_of(&name) {
                store.take_up(&name, first, length)?;
            }
        }
        store.drop_repeated()?;
        store.next = store.segments.iter().map(|segment| segment.last() + 1).max().unwrap_or(1);
        store.take_up_sinks(sinks, found)?;
        Ok(store)
    }

    /// One segment of an earlier run. None is written to again: what its end looks like is not known for certain.
    fn take_up(&mut self, name: &str, first: u64, length: u64) -> io::Result<()> {
        if let Some((holds, bytes)) = seal_of(&self.disk, name, length)? {
            let sealed = Segment { bytes, holds, sealed: true, ..Segment::new(first) };
            self.segments.push_back(sealed);
            return Ok(());
        }
        let found = survey(&self.disk, name, length)?;
        let segment = Segment { bytes: found.end, holds: found.holds, sealed: true, ..Segment::new(first) };
        self.segments.push_back(segment);
        if found.damaged {
            return self.mend(name, length);
        }
        if found.holds.frames == 0 {
            self.segments.pop_back();
            return self.disk.remove(name);
        }
        self.disk.cut(name, found.end)?;
        let mut seal = Vec::new();
        found.holds.write(&mut seal);
        self.disk.write(name, found.end, &seal)?;
        self.disk.sync(name)
    }

    /// What a crash left twice while two segments were joined.
    fn drop_repeated(&mut self) -> io::Result<()> {
        let mut reached = 0;
        let mut repeated = Vec::new();
        for segment in &self.segments {
            if segment.last() < reached {
                repeated.push(segment.name.clone());
            } else {
                reached = segment.last() + 1;
            }
        }
        for name in repeated {
            self.disk.remove(&name)?;
            self.segments.retain(|segment| segment.name != name);
        }
        Ok(())
    }

    /// Sets a damaged segment aside and keeps what is whole in it.
    pub(super) fn mend(&mut self, name: &str, length: u64) -> io::Result<()> {
        let Some(place) = self.segments.iter().position(|segment| segment.name == name) else { return Ok(()) };
        let mut kept = Vec::new();
        let mut holds = Seal::default();
        let mut offset = 0;
        while offset < length {
            let (stopped, stop) = frames(&self.disk, name, offset, length, |_, frame, line| {
                if holds.frames == 0 || frame.position > holds.last_position {
                    let frame = Frame { settled: 0, ..*frame };
                    frame.write(line, &mut kept);
                    holds.count(&frame);
                }
                true
            })?;
            if stop != Stop::NoFrame {
                break;
            }
            match next_frame(&self.disk, name, stopped, length)? {
                Some((next, _)) => offset = next,
                None => break,
            }
        }
        let Some(segment) = self.segments.get(place).cloned() else { return Ok(()) };
        let expected = self.expected(place, &segment, &holds);
        let lost = expected.saturating_sub(u64::from(holds.frames)).max(1);
        self.add_lost(Lost { damaged: lost, ..Lost::default() });
        let damaged = format!("{name}.damaged");
        self.disk.rename(name, &damaged)?;
        if holds.frames > 0 {
            let bytes = kept.len() as u64;
            holds.write(&mut kept);
            self.disk.create(name)?;
            self.disk.write(name, 0, &kept)?;
            self.disk.sync(name)?;
            let mended = Segment { bytes, holds, sealed: true, moved: segment.moved + 1, ..segment };
            if let Some(slot) = self.segments.get_mut(place) {
                *slot = mended;
            }
        } else {
            self.segments.remove(place);
        }
        self.disk.sync_names()?;
        self.notes.push(format!("{name} was damaged: at least {lost} events are lost, the file is kept as {damaged}"));
        self.forget_old_damage()
    }

    /// How many frames a damaged segment should hold: as many as are known, or as the positions leave room for.
    fn expected(&self, place: usize, segment: &Segment, whole: &Seal) -> u64 {
        if segment.holds.frames > whole.frames {
            return u64::from(segment.holds.frames);
        }
        let next = self.segments.get(place + 1).map(|next| next.first);
        let behind = next.unwrap_or(if whole.frames == 0 { segment.first + 1 } else { whole.last_position + 1 });
        behind.saturating_sub(segment.first)
    }

    fn forget_old_damage(&mut self) -> io::Result<()> {
        let mut damaged: Vec<String> = self
            .disk
            .list()?
            .into_iter()
            .map(|(name, _)| name)
            .filter(|name| name.rsplit('.').next() == Some("damaged"))
            .collect();
        damaged.sort();
        let old = damaged.len().saturating_sub(DAMAGED_MAX);
        damaged.into_iter().take(old).try_for_each(|name| self.disk.remove(&name))
    }

    fn take_up_sinks(&mut self, sinks: &[String], found: Found) -> io::Result<()> {
        let unreadable = found == Found::Damaged;
        if unreadable {
            self.notes
                .push("what the collectors have acknowledged cannot be read: all that is kept is sent again".into());
        }
        let before = if let Found::State(state) = found { state } else { State::default() };
        self.state.lost = self.state.lost.plus(before.lost);
        let oldest = self.segments.front().map_or(self.next, |segment| segment.first);
        self.next = before.sinks.values().copied().chain([self.next]).max().unwrap_or(self.next);
        self.state.sinks.clone_from(&before.sinks);
        self.place_sinks(sinks, unreadable.then_some(oldest));
        // Who begins here must be found here again, also after a crash.
        if self.state == before { Ok(()) } else { self.save(true) }
    }

    /// Other collectors from now on. One that was not there before goes on where the furthest behind of those that are gone
    /// stood, else it begins with what comes now.
    pub(super) fn set_sinks(&mut self, sinks: &[String]) -> io::Result<()> {
        self.place_sinks(sinks, None);
        self.save(true)
    }

    fn place_sinks(&mut self, sinks: &[String], fresh: Option<u64>) {
        let before = std::mem::take(&mut self.state.sinks);
        let gone = before.iter().filter(|(name, _)| !sinks.contains(name)).map(|(_, position)| *position).min();
        let fresh = fresh.or(gone).unwrap_or(self.next);
        let placed = sinks.iter().map(|sink| (sink.clone(), before.get(sink).copied().unwrap_or(fresh)));
        self.state.sinks = placed.collect();
    }

    /// Sets a segment aside that cannot be read.
    pub(super) fn give_up(&mut self, name: &str, error: &io::Error) -> io::Result<()> {
        let Some(place) = self.segments.iter().position(|segment| segment.name == name) else { return Ok(()) };
        let frames = self.segments.get(place).map_or(0, |segment| u64::from(segment.holds.frames));
        let damaged = format!("{name}.damaged");
        self.state.lost.damaged += frames;
        self.save(true)?;
        self.disk.rename(name, &damaged)?;
        self.segments.remove(place);
        self.notes
            .push(format!("{name} cannot be read ({error}): {frames} events are lost, the file is kept as {damaged}"));
        self.forget_old_damage()
    }
}
