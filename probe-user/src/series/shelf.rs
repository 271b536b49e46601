//! The files of the history: values of seconds in files of half an hour, each of which is thinned to minutes when it is
//! full; a quarter of the room is for seconds, the rest for minutes.
//!
//! Nothing is forced to disk: a crash of the machine loses what its kernel had not written. What goes is the oldest, when it is
//! old (an hour, seven days) or when there is no room. A file that is another's, or of a version that this one does not know, is
//! set aside under another name, one at a time; an end that was not written whole, or is damaged, is cut off.

use std::collections::BTreeMap;
use std::io;

use super::figure::PER_GROUP;
use super::frame::{self, Grain, Kind, put_entry};
use super::play::{Interval, Player, Sink};
use super::recorder::{Block, Chunk};
use super::thin::Thinner;
use super::volume::{Volume, Walked};
use crate::spool::disk::Disk;

/// Values of each second are kept for so long.
pub(super) const SECONDS_KEPT: i64 = 3_600;
/// Those of minutes.
pub(super) const MINUTES_KEPT: i64 = 7 * 86_400;

/// A file of seconds is full when it is so long.
const FULL_SECONDS: i64 = 1_800;
/// A file of minutes.
const FULL_MINUTES: i64 = 86_400;
/// Series that are thinned at a time: what that takes in memory.
const THINNED_AT_A_TIME: u32 = 64 * PER_GROUP;

/// The files.
#[derive(Debug)]
pub(super) struct Shelf<D> {
    disk: D,
    max_bytes: u64,
    /// In the order in which they were written.
    seconds: Vec<Volume>,
    minutes: Vec<Volume>,
    /// The last file of seconds is written to, and everything that it should have is in it.
    writing: bool,
    next: u64,
    /// Something could not be written: nothing fits behind it.
    broken: bool,
    /// Why a file of seconds could not be thinned.
    pub(super) unthinned: Option<String>,
    /// Something went before it was old.
    pub(super) short: bool,
    /// Frames that could not be read.
    pub(super) damaged: u64,
}

impl<D: Disk> Shelf<D> {
    /// Takes up what is there; `notes` get what is worth knowing of it.
    pub(super) fn open(disk: D, max_bytes: u64, notes: &mut Vec<String>) -> io::Result<Self> {
        let (seconds, minutes) = (Vec::new(), Vec::new());
        let mut shelf = Self {
            disk,
            max_bytes,
            seconds,
            minutes,
            writing: false,
            next: 1,
            broken: false,
            unthinned: None,
            short: false,
            damaged: 0,
        };
        let mut found: Vec<(Volume, u64)> = Vec::new();
        for (name, bytes) in shelf.disk.list()? {
            found.extend(Volume::named(&name).map(|volume| (volume, bytes)));
        }
        found.sort_by_key(|(volume, _)| volume.number);
        shelf.next = found.last().map_or(1, |(volume, _)| volume.number.saturating_add(1));
        let last_of =
            |grain| found.iter().rev().find(|(volume, _)| volume.grain == grain).map(|(volume, _)| volume.number);
        let last = [last_of(Grain::Seconds), last_of(Grain::Minutes)];
        let mut thinned = Vec::new();
        for (mut volume, bytes) in found {
            let of_minutes = volume.grain == Grain::Minutes;
            let walked = volume.walk(&shelf.disk, bytes, |interval| {
                if of_minutes {
                    thinned.push(interval);
                }
            })?;
            if walked == Walked::Foreign {
                notes.push(shelf.set_aside(&volume)?);
                continue;
            }
            if walked == Walked::Torn {
                let torn = bytes - volume.bytes;
                let what = format!("{}: {torn} bytes at its end are damaged, or were not written whole", volume.name);
                // A crash tears the last file of each kind.
                if last.contains(&Some(volume.number)) {
                    tracing::info!("{what}");
                } else {
                    notes.push(format!("the history of measures has a gap: {what}"));
                    shelf.damaged += 1;
                }
                shelf.disk.cut(&volume.name, volume.bytes)?;
            }
            match volume.span {
                None => shelf.disk.remove(&volume.name)?,
                Some(_) if of_minutes => shelf.minutes.push(volume),
                Some(_) => shelf.seconds.push(volume),
            }
        }
        for volume in &mut shelf.seconds {
            volume.thinned = volume.span.is_some_and(|span| thinned.contains(&span));
        }
        Ok(shelf)
    }

    fn set_aside(&mut self, volume: &Volume) -> io::Result<String> {
        for (old, _) in self.disk.list()? {
            if old.ends_with(".damaged") {
                self.disk.remove(&old)?;
            }
        }
        let aside = format!("{}.damaged", volume.name);
        self.disk.rename(&volume.name, &aside)?;
        let why = "it is no file of this version";
        Ok(format!("the history of measures has a gap: {}: {why}; it is set aside as {aside}", volume.name))
    }

    /// Writes a block. After an error nothing is written before a block that begins a file.
    pub(super) fn put(&mut self, block: &Block) -> io::Result<()> {
        if block.fresh {
            self.writing = false;
            self.thin_all();
        } else if !self.writing {
            return Err(io::Error::other("the block before this one was not written"));
        }
        let bytes = lay_out(block)?;
        self.make_room(block.to, bytes.len() as u64)?;
        self.writing = false;
        self.broken = true;
        let fresh = if block.fresh { Some(self.create(Grain::Seconds)?) } else { None };
        self.seconds.extend(fresh);
        let Some(volume) = self.seconds.last_mut() else { return Ok(()) };
        let last_series = block.chunks.last().map_or(0, |chunk| chunk.last);
        append(&mut self.disk, volume, &bytes, Interval { from: block.from, to: block.to }, last_series)?;
        (self.writing, self.broken) = (true, false);
        Ok(())
    }

    fn create(&mut self, grain: Grain) -> io::Result<Volume> {
        let volume = Volume::new(grain, self.next);
        self.next += 1;
        self.disk.create(&volume.name)?;
        if let Err(error) = self.disk.write(&volume.name, 0, &grain.header()) {
            // What has no header would be in the way of the next start.
            let _ = self.disk.remove(&volume.name);
            return Err(error);
        }
        Ok(volume)
    }

    /// The next block should begin a file.
    pub(super) fn is_full(&self) -> bool {
        let full = |volume: &Volume| {
            volume.bytes >= self.max_bytes / 16
                || volume.span.is_some_and(|span| span.to - span.from >= FULL_SECONDS - 60)
        };
        self.broken || (self.writing && self.seconds.last().is_some_and(full))
    }

    /// Thins the files of seconds that are not yet: all but the one that is written to. One that cannot be is tried again
    /// when the next one is full.
    pub(super) fn thin_all(&mut self) {
        let done = self.seconds.len() - usize::from(self.writing);
        let due: Vec<Volume> = self.seconds.iter().take(done).filter(|volume| !volume.thinned).cloned().collect();
        self.unthinned = None;
        for volume in due {
            if let Err(error) = self.thin(&volume) {
                self.unthinned = Some(format!("{} cannot be thinned: {error}", volume.name));
            } else if let Some(volume) = self.seconds.iter_mut().find(|other| other.number == volume.number) {
                volume.thinned = true;
            }
        }
    }

    fn thin(&mut self, volume: &Volume) -> io::Result<()> {
        let Some(span) = volume.span else { return Ok(()) };
        let mut chunks = Vec::new();
        let mut names = Names::default();
        let mut first = 0;
        while first <= volume.last_series {
            let last = first.saturating_add(THINNED_AT_A_TIME - 1);
            let mut thinner = Thinner::new(span.from, first..=last);
            let mut player = Player::of_seconds(&mut thinner, None);
            let damaged = volume.play(&self.disk, &mut player)?;
            player.end();
            if first == 0 {
                self.damaged += damaged;
                volume.play(&self.disk, &mut Player::of_seconds(&mut names, None))?;
            }
            for (series, run) in thinner.runs(span.to).filter(|(_, run)| !run.is_empty()) {
                Chunk::add(&mut chunks, series, &run);
            }
            first = last.saturating_add(1);
        }
        let names = names.0.into_iter().map(|(group, name)| (group, name.into())).collect();
        let block = Block { from: span.from, to: span.to, fresh: false, names, chunks };
        let bytes = lay_out(&block)?;
        let largest = self.max_bytes / 16;
        let full = |volume: &Volume| {
            volume.bytes >= largest || volume.span.is_some_and(|of| !(0..FULL_MINUTES).contains(&(span.to - of.from)))
        };
        self.make_room(span.to, bytes.len() as u64)?;
        if self.minutes.last().is_none_or(full) {
            let fresh = self.create(Grain::Minutes)?;
            self.minutes.push(fresh);
        }
        let Some(into) = self.minutes.last_mut() else { return Ok(()) };
        append(&mut self.disk, into, &bytes, span, volume.last_series)
    }

    /// Removes what is old at `now`, and what is oldest until so many bytes more fit.
    fn make_room(&mut self, now: i64, more: u64) -> io::Result<()> {
        let (quarter, mut short) = (self.max_bytes / 4, self.short);
        for (volumes, kept, room) in
            [(&mut self.seconds, SECONDS_KEPT, quarter), (&mut self.minutes, MINUTES_KEPT, self.max_bytes - quarter)]
        {
            while let Some(oldest) = volumes.first() {
                let is_old = oldest.span.is_some_and(|span| span.to < now - kept);
                let is_too_much = volumes.iter().map(|volume| volume.bytes).sum::<u64>() + more > room;
                let is_written_to = self.writing && oldest.grain == Grain::Seconds && volumes.len() == 1;
                if is_written_to || !(is_old || is_too_much) {
                    break;
                }
                short |= !is_old;
                self.disk.remove(&oldest.name)?;
                volumes.remove(0);
            }
        }
        self.short = short;
        Ok(())
    }

    /// Plays all of it, minutes where there are no seconds any more. Returns up to where something was told.
    pub(super) fn play<S: Sink>(&mut self, span: Interval, sink: &mut S) -> io::Result<Option<i64>> {
        let begin = |volumes: &[Volume]| volumes.iter().filter_map(|volume| volume.span).map(|span| span.from).min();
        let since_seconds = begin(&self.seconds).unwrap_or(i64::MAX);
        let touches = |volume: &Volume| volume.span.is_some_and(|of| of.from < span.to && of.to > span.from);
        let mut player = Player::of_minutes(sink, since_seconds);
        for volume in &self.minutes {
            if touches(volume) {
                self.damaged += volume.play(&self.disk, &mut player)?;
            } else {
                player.pass(volume.span);
            }
        }
        player.renumbered();
        // Minutes are played up to where seconds begin, whatever the last of them was about.
        let told = player.end().map(|end| end.min(since_seconds));
        let mut player = Player::of_seconds(sink, told);
        for volume in &self.seconds {
            if touches(volume) {
                self.damaged += volume.play(&self.disk, &mut player)?;
            } else {
                player.pass(volume.span);
            }
        }
        Ok(player.end())
    }

    /// The disk, for whoever opens it anew.
    #[cfg(test)]
    pub(super) fn into_disk(self) -> D {
        self.disk
    }

    /// Length of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.seconds.iter().chain(&self.minutes).map(|volume| volume.bytes).sum()
    }

    /// When seconds and minutes begin, of those before `now`.
    pub(super) fn reach(&self, now: i64) -> [Option<i64>; 2] {
        let begin = |volumes: &[Volume]| {
            let spans = volumes.iter().filter_map(|volume| volume.span).map(|span| span.from);
            spans.filter(|from| *from <= now).min()
        };
        [begin(&self.seconds), begin(&self.minutes)]
    }
}

/// A block as it lies in a file.
fn lay_out(block: &Block) -> io::Result<Vec<u8>> {
    let interval = Interval { from: block.from, to: block.to };
    let mut bytes = Vec::new();
    for names in block.names.chunks(1_000) {
        let mut payload = Vec::new();
        for (group, name) in names {
            put_entry(*group, name.as_bytes(), &mut payload);
        }
        frame::write(Kind::Names, (0, 0), interval, &payload, &mut bytes)?;
    }
    for (place, chunk) in (1..).zip(&block.chunks) {
        let kind = if place == block.chunks.len() { Kind::LastRuns } else { Kind::Runs };
        frame::write(kind, (chunk.first, chunk.last), interval, &chunk.bytes, &mut bytes)?;
    }
    if block.chunks.is_empty() {
        // It was looked, and nothing has changed.
        frame::write(Kind::LastRuns, (1, 0), interval, &[], &mut bytes)?;
    }
    Ok(bytes)
}

fn append(disk: &mut impl Disk, to: &mut Volume, bytes: &[u8], interval: Interval, last_series: u32) -> io::Result<()> {
    if let Err(error) = disk.write(&to.name, to.bytes, bytes) {
        // A part of it may be there.
        let _ = disk.cut(&to.name, to.bytes);
        return Err(error);
    }
    to.extend(interval, last_series, to.bytes + bytes.len() as u64);
    Ok(())
}

/// Takes in names alone.
#[derive(Debug, Default)]
struct Names(BTreeMap<u32, String>);

impl Sink for Names {
    fn renumbered(&mut self) {}

    fn named(&mut self, group: u32, name: &str) {
        self.0.insert(group, name.to_owned());
    }

    fn wants(&self, _: u32, _: u32) -> bool {
        false
    }

    fn forget_from(&mut self, _: i64) {}

    fn held(&mut self, _: u32, _: i64, _: i64, _: u64) {}

    fn reached(&mut self, _: u32, _: i64, _: i64, _: u64, _: u64) {}
}
