//! Who waits for an account or an exit, by the moment it has waited too long.
//!
//! Processes end in the order in which their records come, or nearly, and most of them wait for some milliseconds: they
//! enter at the back and leave at the front. Who leaves from between others is crossed out, and taken out with them or when
//! half of the places are such.

use std::collections::VecDeque;

use super::{KTime, ProcessKey};

/// Shorter queues are left as they are, whatever is crossed out in them.
const WORTH_SWEEPING: usize = 64;
/// Room for so many is kept.
const ROOM_KEPT: usize = 1024;

/// The queue, by moment and key. Neither its first nor its last place is crossed out.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    queue: VecDeque<Wait>,
    crossed_out: usize,
    /// Whoever takes a step asks for it.
    first: Option<KTime>,
}

#[derive(Debug)]
struct Wait {
    at: KTime,
    key: ProcessKey,
    over: bool,
}

impl Deadlines {
    pub(super) fn insert(&mut self, at: KTime, key: ProcessKey) {
        let wait = Wait { at, key, over: false };
        if self.queue.back().is_none_or(|last| (last.at, last.key) < (at, key)) {
            self.queue.push_back(wait);
            self.first.get_or_insert(at);
            return;
        }
        match self.place(at, key) {
            Ok(place) => {
                if let Some(again) = self.queue.get_mut(place).filter(|wait| wait.over) {
                    again.over = false;
                    self.crossed_out -= 1;
                }
            }
            Err(place) => self.queue.insert(place, wait),
        }
        self.first = self.queue.front().map(|first| first.at);
    }

    pub(super) fn remove(&mut self, at: KTime, key: ProcessKey) {
        let is_first = self.queue.front().is_some_and(|first| (first.at, first.key) == (at, key));
        let place = if is_first { Ok(0) } else { self.place(at, key) };
        let Some(wait) = place.ok().and_then(|place| self.queue.get_mut(place)).filter(|wait| !wait.over) else {
            return;
        };
        wait.over = true;
        self.crossed_out += 1;
        self.tidy();
    }

    /// The earliest moment.
    pub(super) const fn next(&self) -> Option<KTime> {
        self.first
    }

    /// The earliest moment, and who waits until then.
    pub(super) fn first(&self) -> Option<(KTime, ProcessKey)> {
        self.queue.front().map(|first| (first.at, first.key))
    }

    fn place(&self, at: KTime, key: ProcessKey) -> Result<usize, usize> {
        self.queue.binary_search_by(|wait| (wait.at, wait.key).cmp(&(at, key)))
    }

    fn tidy(&mut self) {
        while self.queue.front().is_some_and(|first| first.over) {
            self.queue.pop_front();
            self.crossed_out -= 1;
        }
        while self.queue.back().is_some_and(|last| last.over) {
            self.queue.pop_back();
            self.crossed_out -= 1;
        }
        if self.queue.len() > WORTH_SWEEPING && self.crossed_out > self.queue.len() / 2 {
            self.queue.retain(|wait| !wait.over);
            self.crossed_out = 0;
        }
        if self.queue.capacity() > ROOM_KEPT && self.queue.len() < self.queue.capacity() / 8 {
            self.queue.shrink_to(self.queue.len() * 2);
        }
        self.first = self.queue.front().map(|first| first.at);
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn key(tgid: u32) -> ProcessKey {
        ProcessKey { tgid, start: KTime(1) }
    }

    proptest! {
        #[test]
        fn it_is_an_ordered_set(acts in prop::collection::vec((0..4_u8, 0..40_u64, 0..4_u32), 0..400)) {
            let (mut deadlines, mut oracle) = (Deadlines::default(), BTreeSet::new());
            for (act, at, tgid) in acts {
                let wait = (KTime(at), key(tgid));
                match act {
                    0 | 1 => {
                        deadlines.insert(wait.0, wait.1);
                        oracle.insert(wait);
                    }
                    2 => {
                        deadlines.remove(wait.0, wait.1);
                        oracle.remove(&wait);
                    }
                    _ => {
                        if let Some((at, key)) = deadlines.first() {
                            deadlines.remove(at, key);
                        }
                        oracle.pop_first();
                    }
                }
                prop_assert_eq!(deadlines.first(), oracle.first().copied());
                prop_assert_eq!(deadlines.next(), oracle.first().map(|(at, _)| *at));
                let kept: Vec<_> = deadlines.queue.iter().filter(|wait| !wait.over).map(|wait| (wait.at, wait.key)).collect();
                prop_assert_eq!(kept, oracle.iter().copied().collect::<Vec<_>>());
                prop_assert!(deadlines.queue.len() <= 2 * oracle.len().max(WORTH_SWEEPING));
            }
        }
    }

    #[test]
    fn a_burst_gives_its_memory_back() {
        let mut deadlines = Deadlines::default();
        for tgid in 0..100_000 {
            deadlines.insert(KTime(tgid.into()), key(tgid));
        }
        for tgid in 10..100_000 {
            deadlines.remove(KTime(tgid.into()), key(tgid));
        }
        assert_eq!(deadlines.first(), Some((KTime(0), key(0))));
        assert!(deadlines.queue.capacity() <= ROOM_KEPT, "room for {}", deadlines.queue.capacity());
    }
}
