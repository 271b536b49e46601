//! The newest values of every series, in memory: what was noted since the last block. Pure: times come in, blocks go out.
//!
//! A value costs something when it changes, at most once a second: several changes within a second are kept as the lowest,
//! the last and the highest. Bounded: [`SERIES_MAX`] series of some hundred bytes, and a block is due when the points come to
//! [`POINT_BYTES_MAX`], so that all of it stays below 2 MiB. Groups that find no room are counted.
//!
//! Time is that of the wall clock. Where it jumps, or nobody has looked for so long that values cannot be taken for granted,
//! the block ends and nothing is carried over: in between nothing is known.

use std::collections::HashMap;
use std::sync::Arc;

use super::figure::Figure;
use super::frame::put_entry;
use super::run::{Pen, Points, What};

/// Most series whose values are kept.
pub const SERIES_MAX: usize = 8_192;

/// A block is due when so many bytes of points wait for it.
const POINT_BYTES_MAX: usize = 512 << 10;

/// The wall clock may go back by so many seconds, and is taken to stand still.
const BACK_SECONDS: i64 = 2;

/// After so many seconds without a look nothing is known of what was in between; the daemon's heartbeat comes more often.
const GAP_SECONDS: i64 = 90;

/// A block is due when it is so old: with a heartbeat each 30 s a crash loses a minute at most.
const BLOCK_SECONDS: i64 = 55;

/// So much lies together in a file at most, before it is compressed.
const CHUNK_BYTES: usize = 64 << 10;

/// No value is larger.
const NOTHING: u64 = u64::MAX;

/// What is known of a measure at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reading {
    /// Nothing: it is not measured.
    Unmeasured,
    /// Nothing new.
    AsBefore,
    /// This.
    Value(f64),
}

/// One series.
#[derive(Clone, Debug)]
struct Hot {
    id: u32,
    /// The present second's changes, if there are any: seconds since the block began, and the values.
    second: Option<u32>,
    lo: u64,
    last: u64,
    hi: u64,
    /// As written last, and as it was when the block began.
    known: u64,
    start: u64,
    pen: Pen,
    run: Vec<u8>,
}

/// All series.
#[derive(Debug, Default)]
pub struct Recorder {
    /// Since when the present block runs, and up to when somebody has looked.
    began: Option<i64>,
    now: i64,
    /// By the engine's numbers of groups: the number here; `None`: there was no room.
    places: HashMap<usize, Option<u32>>,
    groups: Vec<Group>,
    series: Vec<Hot>,
    point_bytes: usize,
    /// Series that the groups here have or may get: what is measured of a group stays the same until others come.
    promised: usize,
    left_out: usize,
    /// The present block is the first of a file.
    fresh: bool,
    /// So many groups were named in the file.
    named: usize,
}

#[derive(Debug)]
struct Group {
    name: Arc<str>,
    /// Where its series are.
    figures: [Option<u16>; Figure::COUNT],
}

/// What a look at the clock says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// Values are what they were.
    GoesOn,
    /// Nothing is known any more: all is to be noted.
    Begins {
        /// The block that ended with that.
        ended: Option<Block>,
    },
}

/// What was noted from `from` until before `to`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// Seconds since 1970.
    pub from: i64,
    /// The same.
    pub to: i64,
    /// It rests on nothing before it, and begins a file.
    pub fresh: bool,
    /// Groups that no block of the file has named yet.
    pub names: Vec<(u32, Arc<str>)>,
    /// The runs of series that have points.
    pub chunks: Vec<Chunk>,
}

/// Some runs, each behind the number of its series and its length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// The lowest number.
    pub first: u32,
    /// The highest.
    pub last: u32,
    /// All of it.
    pub bytes: Vec<u8>,
}

/// Runs of a group's series.
pub(super) type Runs = Vec<(Figure, Vec<u8>)>;

/// What blocks do not have yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// Seconds since 1970.
    pub from: i64,
    /// The same.
    pub to: i64,
    /// The group's name, and the runs of its series; each begins with what was known at `from`.
    pub groups: Vec<(Arc<str>, Runs)>,
}

impl Recorder {
    /// It is this second. Comes before whatever is noted in it.
    pub fn look(&mut self, now: i64) -> Look {
        let goes_on = now >= self.now - BACK_SECONDS && now <= self.now + GAP_SECONDS;
        if self.began.is_some() && goes_on {
            self.now = self.now.max(now);
            return Look::GoesOn;
        }
        let ended = self.end();
        (self.began, self.now, self.fresh) = (Some(now), now, true);
        Look::Begins { ended }
    }

    /// What a group's measures are now. `place` is the engine's number of it.
    pub fn note(&mut self, place: usize, name: &Arc<str>, readings: &[Reading; Figure::COUNT]) {
        let Some(began) = self.began else { return };
        let second = u32::try_from(self.now - began).unwrap_or(u32::MAX);
        let group = self.places.get(&place).copied().unwrap_or_else(|| {
            let group = self.admit(name, readings);
            self.left_out += usize::from(group.is_none());
            self.places.insert(place, group);
            group
        });
        let Some(group) = group else { return };
        for (figure, reading) in Figure::all().zip(readings) {
            if *reading == Reading::AsBefore {
                continue;
            }
            let Some(series) = self.series_of(group, figure, *reading) else { continue };
            let Some(hot) = self.series.get_mut(series) else { continue };
            let before = hot.run.len();
            match reading {
                Reading::Value(value) => hot.note(second, figure.quanta(*value)),
                _ => hot.lose(second),
            }
            self.point_bytes += hot.run.len() - before;
        }
    }

    /// A new group, if there is room for what is measured of it.
    fn admit(&mut self, name: &Arc<str>, readings: &[Reading; Figure::COUNT]) -> Option<u32> {
        let needed = readings.iter().filter(|reading| **reading != Reading::Unmeasured).count();
        if self.promised + needed > SERIES_MAX {
            return None;
        }
        self.promised += needed;
        let group = u32::try_from(self.groups.len()).ok()?;
        self.groups.push(Group { name: Arc::clone(name), figures: [None; Figure::COUNT] });
        Some(group)
    }

    /// The place of a series, made when a first value comes.
    fn series_of(&mut self, group: u32, figure: Figure, reading: Reading) -> Option<usize> {
        let figures = &mut self.groups.get_mut(usize::try_from(group).ok()?)?.figures;
        let place = figures.get_mut(figure.place())?;
        if let Some(place) = place {
            return Some(usize::from(*place));
        }
        if reading == Reading::Unmeasured || self.series.len() >= SERIES_MAX {
            return None;
        }
        let at = self.series.len();
        *place = u16::try_from(at).ok();
        self.series.push(Hot::new(figure.series(group)));
        Some(at)
    }

    /// The block should end: it is old or large.
    pub fn is_due(&self) -> bool {
        self.point_bytes >= POINT_BYTES_MAX || self.began.is_some_and(|began| self.now - began >= BLOCK_SECONDS)
    }

    /// Ends the block before the present second; the next one goes on from there. `fresh`: that one begins a file.
    pub fn cut(&mut self, fresh: bool) -> Option<Block> {
        let began = self.began.filter(|began| *began < self.now)?;
        let block = self.block(began, self.now);
        self.began = Some(self.now);
        if fresh {
            self.refresh();
        }
        Some(block)
    }

    /// The present block begins a file: it is to say all by itself. Only right after [`Recorder::cut`].
    pub fn refresh(&mut self) {
        (self.fresh, self.named) = (true, 0);
        for hot in &mut self.series {
            if hot.known != NOTHING {
                hot.pen.write(0, What::Flat(hot.known), &mut hot.run);
                self.point_bytes += hot.run.len();
            }
        }
    }

    /// Ends the block with the present second and forgets everything: other groups come, or nobody looks any more.
    pub fn end(&mut self) -> Option<Block> {
        let began = self.began.take()?;
        let block = self.block(began, self.now + 1);
        *self = Self::default();
        Some(block)
    }

    fn block(&mut self, from: i64, to: i64) -> Block {
        let seconds = u32::try_from(to - from).unwrap_or(u32::MAX);
        let mut chunks: Vec<Chunk> = Vec::new();
        // Series of a group lie together, whenever each of them came.
        let of_groups = self.groups.iter().flat_map(|group| group.figures).flatten();
        for place in of_groups.map(usize::from) {
            let Some(hot) = self.series.get_mut(place) else { continue };
            let run = hot.cut(seconds);
            if run.is_empty() {
                continue;
            }
            Chunk::add(&mut chunks, hot.id, &run);
        }
        self.point_bytes = 0;
        let number = |place: usize| u32::try_from(place).unwrap_or(u32::MAX);
        let new = self.groups.iter().enumerate().skip(self.named);
        let names = new.map(|(place, group)| (number(place), Arc::clone(&group.name))).collect();
        self.named = self.groups.len();
        Block { from, to, fresh: std::mem::take(&mut self.fresh), names, chunks }
    }

    /// What blocks do not have yet, of one group or of all.
    pub fn tail(&self, name: Option<&str>) -> Tail {
        let Some(from) = self.began else { return Tail::default() };
        let to = self.now + 1;
        let seconds = u32::try_from(to - from).unwrap_or(u32::MAX);
        let wanted = self.groups.iter().filter(|group| name.is_none_or(|name| *group.name == *name));
        let runs = |group: &Group| {
            let places = Figure::all().zip(group.figures).filter_map(|(figure, place)| Some((figure, place?)));
            places
                .filter_map(|(figure, place)| Some((figure, self.series.get(usize::from(place))?.whole(seconds))))
                .collect()
        };
        Tail { from, to, groups: wanted.map(|group| (Arc::clone(&group.name), runs(group))).collect() }
    }

    /// Groups whose measures are kept, and those that find no room.
    pub fn groups(&self) -> (usize, usize) {
        (self.groups.len(), self.left_out)
    }
}

impl Chunk {
    /// Appends a run to the last of these, or to a new one.
    pub(super) fn add(chunks: &mut Vec<Self>, series: u32, run: &[u8]) {
        if chunks.last().is_none_or(|chunk| chunk.bytes.len() + run.len() > CHUNK_BYTES) {
            chunks.push(Self::default());
        }
        if let Some(chunk) = chunks.last_mut() {
            chunk.put(series, run);
        }
    }

    fn put(&mut self, series: u32, run: &[u8]) {
        if self.bytes.is_empty() {
            self.first = series;
        }
        self.last = series;
        put_entry(series, run, &mut self.bytes);
    }
}

impl Hot {
    fn new(id: u32) -> Self {
        let (pen, run) = (Pen::default(), Vec::new());
        Self { id, second: None, lo: 0, last: 0, hi: 0, known: NOTHING, start: NOTHING, pen, run }
    }

    fn note(&mut self, second: u32, value: u64) {
        match self.second {
            Some(open) if open == second => {
                self.lo = self.lo.min(value);
                self.hi = self.hi.max(value);
                self.last = value;
            }
            None if value == self.known => {}
            open => {
                if open.is_some() {
                    self.close();
                }
                if value != self.known {
                    (self.second, self.lo, self.last, self.hi) = (Some(second), value, value, value);
                }
            }
        }
    }

    /// It is not measured any more.
    fn lose(&mut self, second: u32) {
        self.close();
        if self.known != NOTHING {
            self.known = NOTHING;
            self.pen.write(second, What::Unknown, &mut self.run);
        }
    }

    /// The present second is over.
    fn close(&mut self) {
        if let Some(second) = self.second.take() {
            self.known = self.last;
            self.pen.write(second, What::of(self.lo, self.last, self.hi), &mut self.run);
        }
    }

    /// The run of a block of so many seconds. What is not over yet goes into the next one, which begins with its second.
    fn cut(&mut self, seconds: u32) -> Vec<u8> {
        if self.second.is_some_and(|second| second < seconds) {
            self.close();
        }
        self.second = self.second.map(|_| 0);
        (self.start, self.pen) = (self.known, Pen::default());
        std::mem::take(&mut self.run)
    }

    /// All since the block began, by itself.
    fn whole(&self, seconds: u32) -> Vec<u8> {
        let (mut pen, mut run) = (Pen::default(), Vec::new());
        if self.start != NOTHING {
            pen.write(0, What::Flat(self.start), &mut run);
        }
        for (tick, what) in Points::of(&self.run).flatten() {
            pen.write(tick, what, &mut run);
        }
        if let Some(second) = self.second.filter(|second| *second < seconds) {
            pen.write(second, What::of(self.lo, self.last, self.hi), &mut run);
        }
        run
    }
}
