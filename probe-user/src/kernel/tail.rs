//! The tail: what was read from the ring and is not settled yet, together with notes of what became of it. It lies in
//! memory that outlives the daemon ([`super::shared`]), so that the next one can go on where this one was killed.
//!
//! A log of frames in a circle. Positions are bytes since the first frame ever and only rise. Between [`Tail::settled`]
//! and [`Tail::end`] lie the frames that count.
//!
//! What holds, at whatever instruction the daemon is killed:
//! - a frame is there as a whole or not at all: its words are stored before the end moves behind it;
//! - how far it is settled, and the generation that goes with that, change together: both are written beside, then one
//!   word says which of the two pairs counts.
//!
//! Nothing is overwritten: whoever appends looks for room first. What is read back is checked; damage ends the reading.

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};

use probe_common::maps::LOSS_REASONS;

/// What a tail begins with; another number is another layout.
const MAGIC: u64 = 0x7072_6f63_7461_6901;
/// Words in front of the frames.
pub(super) const HEAD: usize = 16;

const INSTANCE: usize = 1;
const FLAGS: usize = 2;
const BEGAN: usize = 3;
const END: usize = 4;
/// Which of the pairs counts, 0 or 1.
const CHOSEN: usize = 5;
/// Two pairs: settled position, generation.
const PAIRS: usize = 6;
const SINCE: usize = 10;
const LOST: usize = 11;

/// Reasons for losses that are counted in the kernel.
pub(super) const REASONS: usize = LOSS_REASONS + 1;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A record of the ring, as the kernel wrote it.
    Record,
    /// What the daemon remembers for the next one.
    Note,
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Where it lies.
    pub position: u64,
    /// What it is.
    pub kind: Kind,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// What the whole tail is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// A number of its own, to tell what belongs to it.
    pub instance: u64,
    /// Facts of who made it.
    pub flags: u64,
    /// When the programs began to tell, CLOCK_MONOTONIC ns.
    pub began: u64,
    /// What they told up to then was told by others: it is not taken out of their ring.
    pub since: u64,
    /// What others before them could not deliver, by reason.
    pub lost: [u64; REASONS],
}

/// How far it is settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// What lies before is done with.
    pub position: u64,
    /// Which file has what is known at that position.
    pub generation: u64,
}

/// The memory holds something else than a tail.
#[derive(Debug, thiserror::Error)]
#[error("the tail is damaged: {0}")]
pub struct Damaged(&'static str);

/// The log, in whatever memory there is.
#[derive(Debug)]
pub struct Tail<M> {
    memory: M,
    about: About,
    end: u64,
    settled: Settled,
}

impl<M: Deref<Target = [AtomicU64]>> Tail<M> {
    /// An empty one, in memory that is all 0.
    pub fn make(memory: M, about: About) -> Self {
        let tail = Self { memory, about, end: 0, settled: Settled::default() };
        tail.write_about();
        tail.put(0, MAGIC);
        tail
    }

    /// Goes on for other programs, from `since` on; those before them could not deliver so much.
    pub(super) fn go_on(&mut self, since: u64, lost: [u64; REASONS]) {
        self.about = About { since, lost, ..self.about };
        self.write_about();
    }

    fn write_about(&self) {
        let About { instance, flags, began, since, lost } = self.about;
        let words = [(INSTANCE, instance), (FLAGS, flags), (BEGAN, began), (SINCE, since)];
        words.into_iter().chain((LOST..).zip(lost)).for_each(|(place, word)| self.put(place, word));
    }

    /// What another daemon left.
    pub(super) fn open(memory: M) -> Result<Self, Damaged> {
        let mut tail = Self { memory, about: About::default(), end: 0, settled: Settled::default() };
        if tail.get(0) != MAGIC {
            return Err(Damaged("it does not begin as one"));
        }
        tail.about = About {
            instance: tail.get(INSTANCE),
            flags: tail.get(FLAGS),
            began: tail.get(BEGAN),
            since: tail.get(SINCE),
            lost: std::array::from_fn(|reason| tail.get(LOST + reason)),
        };
        tail.end = tail.get(END);
        let pair = PAIRS + if tail.get(CHOSEN) == 0 { 0 } else { 2 };
        tail.settled = Settled { position: tail.get(pair), generation: tail.get(pair + 1) };
        let held = tail.end.checked_sub(tail.settled.position).ok_or(Damaged("its end lies before its beginning"))?;
        if held > tail.capacity() || !tail.end.is_multiple_of(8) || !tail.settled.position.is_multiple_of(8) {
            return Err(Damaged("its positions make no sense"));
        }
        Ok(tail)
    }

    /// What it is about.
    pub const fn about(&self) -> About {
        self.about
    }

    /// Position behind the last frame.
    pub const fn end(&self) -> u64 {
        self.end
    }

    /// How far it is settled.
    pub const fn settled(&self) -> Settled {
        self.settled
    }

    /// Bytes of frames, their heads included, that find room.
    pub fn room(&self) -> u64 {
        self.capacity() - (self.end - self.settled.position)
    }

    /// Bytes of frames in all.
    pub fn capacity(&self) -> u64 {
        (self.memory.len().saturating_sub(HEAD) * 8) as u64
    }

    /// Appends a frame; on return it outlives the daemon. False: there is no room, and nothing was done.
    pub fn append(&mut self, kind: Kind, bytes: &[u8]) -> bool {
        let size = size(bytes.len());
        if size > self.room() {
            return false;
        }
        let tag: u64 = if kind == Kind::Record { 1 } else { 2 };
        self.put_at(self.end, tag << 32 | bytes.len() as u64);
        let mut at = self.end + 8;
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.put_at(at, u64::from_le_bytes(*word));
            at += 8;
        }
        if !rest.is_empty() {
            let mut last = [0; 8];
            last.iter_mut().zip(rest).for_each(|(place, byte)| *place = *byte);
            self.put_at(at, u64::from_le_bytes(last));
        }
        self.end += size;
        self.put(END, self.end);
        true
    }

    /// The frame at a position, and the position behind it; `None` at the end.
    pub fn read(&self, position: u64) -> Result<Option<(Frame, u64)>, Damaged> {
        if position == self.end {
            return Ok(None);
        }
        if position < self.settled.position || position > self.end {
            return Err(Damaged("a frame lies outside of it"));
        }
        let head = self.get_at(position);
        let kind = match head >> 32 {
            1 => Kind::Record,
            2 => Kind::Note,
            _ => return Err(Damaged("a frame of an unknown kind")),
        };
        let length = usize::try_from(head & u64::from(u32::MAX)).map_err(|_| Damaged("a frame is too long"))?;
        let next = position.checked_add(size(length)).filter(|next| *next <= self.end);
        let next = next.ok_or(Damaged("a frame goes beyond its end"))?;
        let mut bytes = Vec::with_capacity(length.next_multiple_of(8));
        let mut at = position + 8;
        while at < next {
            bytes.extend_from_slice(&self.get_at(at).to_le_bytes());
            at += 8;
        }
        bytes.truncate(length);
        Ok(Some((Frame { position, kind, bytes }, next)))
    }

    /// What lies before is done with; what is known there has this generation.
    pub fn settle(&mut self, settled: Settled) {
        let other = u64::from(self.get(CHOSEN) == 0);
        let pair = if other == 0 { PAIRS } else { PAIRS + 2 };
        self.put(pair, settled.position.clamp(self.settled.position, self.end));
        self.put(pair + 1, settled.generation);
        self.put(CHOSEN, other);
        self.settled = Settled { position: settled.position.clamp(self.settled.position, self.end), ..settled };
    }

    /// In an empty one: goes on at a position of another tail, so that positions mean there what they meant here.
    pub(super) fn begin_at(&mut self, settled: Settled) {
        self.end = settled.position;
        self.put(END, self.end);
        self.settle(settled);
    }

    fn place(&self, position: u64) -> usize {
        let words = self.memory.len().saturating_sub(HEAD).max(1) as u64;
        HEAD + usize::try_from(position / 8 % words).unwrap_or_default()
    }

    fn put_at(&self, position: u64, word: u64) {
        self.put(self.place(position), word);
    }

    fn get_at(&self, position: u64) -> u64 {
        self.get(self.place(position))
    }

    fn put(&self, place: usize, word: u64) {
        if let Some(place) = self.memory.get(place) {
            // In this order also for whoever looks after a SIGKILL.
            place.store(word, Ordering::Release);
        }
    }

    fn get(&self, place: usize) -> u64 {
        self.memory.get(place).map_or(0, |word| word.load(Ordering::Acquire))
    }
}

/// What a frame of so many bytes takes.
pub(super) const fn size(length: usize) -> u64 {
    8 + length.next_multiple_of(8) as u64
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    const ABOUT: About = About { instance: 7, flags: 1, began: 99, since: 98, lost: [1, 2, 3, 4] };

    fn memory(words: usize) -> Box<[AtomicU64]> {
        (0..HEAD + words).map(|_| AtomicU64::new(0)).collect()
    }

    fn frames<M: Deref<Target = [AtomicU64]>>(tail: &Tail<M>) -> Vec<(u64, Kind, Vec<u8>)> {
        let mut frames = Vec::new();
        let mut at = tail.settled().position;
        while let Some((frame, next)) = tail.read(at).unwrap() {
            assert_eq!(frame.position, at);
            frames.push((frame.position, frame.kind, frame.bytes));
            at = next;
        }
        frames
    }

    proptest! {
        /// Whatever is appended and settled, and however often it is opened anew: what counts is what a queue would have.
        #[test]
        fn it_is_a_queue_that_outlives_whoever_writes_it(
            steps in prop::collection::vec((0..4_u8, prop::collection::vec(any::<u8>(), 0..40)), 1..200),
        ) {
            let memory = memory(32);
            let mut tail = Tail::make(&memory[..], ABOUT);
            let mut queue: VecDeque<(u64, Kind, Vec<u8>)> = VecDeque::new();
            let mut generation = 0;
            for (what, bytes) in steps {
                match what {
                    0 | 1 => {
                        let kind = if what == 0 { Kind::Record } else { Kind::Note };
                        let held: u64 = queue.iter().map(|(_, _, bytes)| size(bytes.len())).sum();
                        let at = tail.end();
                        let fits = held + size(bytes.len()) <= tail.capacity();
                        prop_assert_eq!(tail.append(kind, &bytes), fits);
                        if fits {
                            queue.push_back((at, kind, bytes));
                        }
                    }
                    2 => {
                        let settled = bytes.len().min(queue.len());
                        queue.drain(..settled);
                        generation += 1;
                        let position = queue.front().map_or(tail.end(), |(position, _, _)| *position);
                        tail.settle(Settled { position, generation });
                    }
                    _ => {
                        tail = Tail::open(&memory[..]).unwrap();
                        prop_assert_eq!(tail.about(), ABOUT);
                        prop_assert_eq!(tail.settled().generation, generation);
                    }
                }
                prop_assert_eq!(frames(&tail), queue.iter().cloned().collect::<Vec<_>>());
            }
        }

        /// Hostile words end the reading, they do not end the reader.
        #[test]
        fn whatever_lies_there_is_read_or_refused(words in prop::collection::vec(any::<u64>(), HEAD..64), sane in any::<bool>()) {
            let memory: Vec<AtomicU64> = words.into_iter().map(AtomicU64::new).collect();
            memory[0].store(MAGIC, Ordering::Relaxed);
            if sane {
                let held = ((memory.len() - HEAD) * 8) as u64;
                memory[END].store(held, Ordering::Relaxed);
                (PAIRS..PAIRS + 4).for_each(|place| memory[place].store(0, Ordering::Relaxed));
            }
            if let Ok(tail) = Tail::open(&memory[..]) {
                let mut at = tail.settled().position;
                while let Ok(Some((_, next))) = tail.read(at) {
                    prop_assert!(next > at);
                    at = next;
                }
            }
        }
    }

    #[test]
    fn what_is_no_tail_is_refused() {
        assert!(Tail::open(&memory(8)[..]).is_err());
        assert!(Tail::open(&[][..]).is_err());
    }
}
