//! The events in hand: what of them goes next, and what becomes of those over which the collector breaks. Pure.
//!
//! An HTTP 500 is the collector's own fault, which heals, or that of one event, which never does. Which of the two it is
//! shows only in what becomes of others:
//! - a part that was broken over [`TRIES`] times steps aside for what is behind it, were it its own second half. Both take
//!   turns from then on; with each further break a part is halved, until it is one event;
//! - one event is given up when it was broken over again although the same URL had taken something else in between, and
//!   that [`WITNESSES`] times: then it is the event;
//! - a collector that takes nothing at all proves nothing: everything is kept and tried again for ever.
//!
//! What steps aside is bounded ([`Room`]). Where it is full, what is next has to wait: a collector that breaks over more
//! than that in a row is taken for one that breaks over everything. Events that step aside come late, behind others.

use std::collections::VecDeque;

use bytes::Bytes;

/// So often the same part is sent in a row before it steps aside.
const TRIES: u32 = 6;

/// So often something else must have been taken between two breaks over one event.
const WITNESSES: u32 = 2;

/// So many full batches may step aside.
const BATCHES: usize = 8;

/// How much may step aside.
#[derive(Clone, Copy, Debug)]
struct Room {
    events: usize,
    bytes: usize,
}

/// Events that go in one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    /// Never empty.
    pub(super) lines: Vec<Bytes>,
    /// It has stepped aside.
    pub(super) suspected: bool,
    /// In a row.
    breaks: u32,
    /// [`Parts::taken`] at the last break.
    at: u64,
    witnesses: u32,
}

/// All that was read from the spool and is not done.
#[derive(Debug)]
pub(super) struct Parts {
    /// In order.
    fresh: VecDeque<Part>,
    /// What has stepped aside; the next to be tried first.
    suspects: VecDeque<Part>,
    room: Room,
    /// How many requests were taken, and by which URL the last of them.
    taken: u64,
    by: Option<usize>,
    /// Suspects take turns with the others.
    suspects_turn: bool,
}

impl Part {
    fn of(lines: Vec<Bytes>) -> Self {
        Self { lines, ..Self::default() }
    }

    fn bytes(&self) -> usize {
        self.lines.iter().map(Bytes::len).sum()
    }

    fn halves(mut self) -> [Self; 2] {
        let right = self.lines.split_off(self.lines.len() / 2);
        let right = Self { lines: right, ..self };
        [self, right]
    }
}

impl Parts {
    /// Nothing yet; batches will be of this size at most.
    pub(super) const fn new(batch_events: usize, batch_bytes: usize) -> Self {
        let room = Room { events: batch_events.saturating_mul(BATCHES), bytes: batch_bytes.saturating_mul(BATCHES) };
        Self { fresh: VecDeque::new(), suspects: VecDeque::new(), room, taken: 0, by: None, suspects_turn: false }
    }

    /// The next batch in order.
    pub(super) fn add(&mut self, lines: Vec<Bytes>) {
        if !lines.is_empty() {
            self.fresh.push_back(Part::of(lines));
        }
    }

    /// What comes next in order should be added.
    pub(super) fn wants_more(&self) -> bool {
        self.fresh.len() < 2 && self.fresh.front().is_none_or(|part| part.breaks >= TRIES)
    }

    /// [`Self::next`] has something.
    pub(super) fn has_next(&self) -> bool {
        !self.fresh.is_empty() || self.due().is_some()
    }

    /// All of it is done.
    pub(super) fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.suspects.is_empty()
    }

    /// How many events have stepped aside.
    pub(super) fn suspected(&self) -> u64 {
        self.suspects.iter().map(|part| part.lines.len() as u64).sum()
    }

    /// What to send now. It is the caller's until it is handed back or done.
    pub(super) fn next(&mut self) -> Option<Part> {
        let due = self.due();
        let place = due.filter(|_| self.fresh.is_empty() || self.suspects_turn);
        self.suspects_turn = place.is_none();
        match place {
            Some(place) => self.suspects.remove(place),
            None => self.fresh.pop_front(),
        }
    }

    /// The URL of this number took something.
    pub(super) const fn took(&mut self, by: usize) {
        self.taken += 1;
        self.by = Some(by);
    }

    /// The part is too large: its halves are next.
    pub(super) fn halve(&mut self, part: Part) {
        let lane = if part.suspected { &mut self.suspects } else { &mut self.fresh };
        let [left, right] = part.halves();
        lane.push_front(right);
        lane.push_front(left);
    }

    /// The URL of this number broke over the part. Returned, it is one event and given up.
    pub(super) fn broke(&mut self, mut part: Part, by: usize) -> Option<Part> {
        let witnessed = part.suspected && part.at < self.taken && self.by == Some(by);
        part.witnesses += u32::from(witnessed);
        part.breaks = part.breaks.saturating_add(1);
        part.at = self.taken;
        let is_last = self.fresh.is_empty();
        if !part.suspected {
            if part.breaks < TRIES || (is_last && part.lines.len() == 1) || !self.has_room_for(&part) {
                self.fresh.push_front(part);
                return None;
            }
            if is_last {
                let [left, right] = part.halves();
                self.fresh.push_front(right);
                part = left;
            }
            part.suspected = true;
        }
        if part.lines.len() > 1 {
            // What was said of the whole was not said of each event in it.
            self.halve(Part { witnesses: 0, ..part });
            return None;
        }
        if part.witnesses >= WITNESSES {
            return Some(part);
        }
        self.suspects.push_back(part);
        None
    }

    /// The suspect to be tried next. Trying a single event again says something only after something else was taken.
    fn due(&self) -> Option<usize> {
        self.suspects.iter().position(|part| part.lines.len() > 1 || part.at < self.taken)
    }

    fn has_room_for(&self, part: &Part) -> bool {
        let bytes: usize = self.suspects.iter().map(Part::bytes).sum();
        let events: usize = self.suspects.iter().map(|part| part.lines.len()).sum();
        events + part.lines.len() <= self.room.events && (events == 0 || bytes + part.bytes() <= self.room.bytes)
    }
}

#[cfg(test)]
mod tests;
