//! Lines that wait for a way out, bounded in bytes. When it is full the oldest go: what happens now matters most.

use std::collections::VecDeque;

use bytes::Bytes;

/// What a queued line costs beside its own bytes: its place in the queue and its allocation.
const OVERHEAD: usize = 64;

/// A bounded queue of serialised events.
#[derive(Debug)]
pub struct LineQueue {
    lines: VecDeque<Bytes>,
    bytes: usize,
    max_bytes: usize,
}

impl LineQueue {
    /// Holds at most `max_bytes`, overhead included.
    pub const fn new(max_bytes: usize) -> Self {
        Self { lines: VecDeque::new(), bytes: 0, max_bytes }
    }

    /// Adds a line; returns how many lines had to go for it (the line itself when it alone is too long).
    pub fn push(&mut self, line: Bytes) -> u64 {
        let cost = line.len() + OVERHEAD;
        if cost > self.max_bytes {
            return 1;
        }
        let mut dropped = 0;
        while self.bytes + cost > self.max_bytes && self.pop().is_some() {
            dropped += 1;
        }
        self.bytes += cost;
        self.lines.push_back(line);
        dropped
    }

    /// Takes the oldest line.
    pub fn pop(&mut self) -> Option<Bytes> {
        let line = self.lines.pop_front()?;
        self.bytes -= line.len() + OVERHEAD;
        if self.lines.is_empty() {
            // A burst must not keep its memory for the life of the daemon.
            self.lines.shrink_to(64);
        }
        Some(line)
    }

    /// Takes the oldest lines: at most `max_lines`, and at most `max_bytes` of text but at least one line.
    pub fn take(&mut self, max_lines: usize, max_bytes: usize) -> Vec<Bytes> {
        let mut taken = Vec::new();
        let mut bytes = 0;
        while let Some(line) = self.lines.front() {
            if taken.len() == max_lines || (!taken.is_empty() && bytes + line.len() > max_bytes) {
                break;
            }
            bytes += line.len();
            taken.extend(self.pop());
        }
        taken
    }

    /// Lines waiting.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// What they cost, overhead included.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a plain list: bounded, in order, and pushed = dropped + taken + left.
        #[test]
        fn it_is_bounded_and_loses_only_the_oldest(
            max in 100..2000_usize,
            steps in prop::collection::vec((0..400_usize, prop::option::of(1..5_usize)), 1..200),
        ) {
            let mut queue = LineQueue::new(max);
            let mut model: Vec<usize> = Vec::new();
            let (mut pushed, mut dropped, mut taken) = (0_u64, 0_u64, 0_u64);
            for (size, take) in steps {
                pushed += 1;
                let lost = queue.push(Bytes::from(vec![b'x'; size]));
                dropped += lost;
                if size + OVERHEAD <= max {
                    model.push(size);
                    model.drain(..usize::try_from(lost).unwrap());
                }
                if let Some(lines) = take {
                    let lines = queue.take(lines, 500);
                    taken += lines.len() as u64;
                    let expected: Vec<_> = model.drain(..lines.len()).collect();
                    prop_assert_eq!(lines.iter().map(Bytes::len).collect::<Vec<_>>(), expected);
                    prop_assert!(lines.len() == 1 || lines.iter().map(Bytes::len).sum::<usize>() <= 500);
                }
                prop_assert!(queue.bytes() <= max);
                prop_assert_eq!(queue.len(), model.len());
                prop_assert_eq!(queue.bytes(), model.iter().map(|size| size + OVERHEAD).sum::<usize>());
            }
            prop_assert_eq!(pushed, dropped + taken + model.len() as u64);
        }
    }
}
