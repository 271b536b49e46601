//! Which numbers of a sender have come: each counts once, late ones within a window, older ones never. Pure.

/// Words of the bitmap.
const WORDS: usize = 16;
/// So far behind the highest number one may still come.
pub(super) const WINDOW: u64 = 64 * WORDS as u64;

/// The numbers of one sender.
#[derive(Clone, Debug)]
pub(super) struct Window {
    highest: u64,
    /// Bit `n % WINDOW` is number n, for the last [`WINDOW`] numbers up to the highest.
    seen: [u64; WORDS],
}

impl Window {
    /// Nothing has come; numbers begin with 1.
    pub(super) const fn new() -> Self {
        Self { highest: 0, seen: [0; WORDS] }
    }

    /// Whether this number has not come yet and is not too old to tell.
    pub(super) fn is_new(&self, number: u64) -> bool {
        if number == 0 {
            return false;
        }
        if number > self.highest {
            return true;
        }
        self.highest - number < WINDOW && !self.bit(number)
    }

    /// It has come. Only for one that is new, and after its seal was found right.
    pub(super) fn mark(&mut self, number: u64) {
        if number > self.highest {
            if number - self.highest >= WINDOW {
                self.seen = [0; WORDS];
            } else {
                for skipped in self.highest + 1..number {
                    self.set(skipped, false);
                }
            }
            self.highest = number;
        }
        self.set(number, true);
    }

    fn place(number: u64) -> (usize, u64) {
        let place = number % WINDOW;
        (usize::try_from(place / 64).unwrap_or_default(), 1 << (place % 64))
    }

    fn bit(&self, number: u64) -> bool {
        let (word, bit) = Self::place(number);
        self.seen.get(word).is_some_and(|word| word & bit != 0)
    }

    fn set(&mut self, number: u64, to: bool) {
        let (word, bit) = Self::place(number);
        if let Some(word) = self.seen.get_mut(word) {
            *word = if to { *word | bit } else { *word & !bit };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::vec;
    use proptest::prelude::{prop_oneof, proptest};

    use super::*;

    proptest! {
        /// Held against a set of everything that came.
        #[test]
        fn each_number_counts_once(numbers in vec(prop_oneof![0_u64..3000, 0_u64..10, 2990_u64..3010], 0..400)) {
            let (mut window, mut all) = (Window::new(), BTreeSet::new());
            for number in numbers {
                let highest = all.last().copied().unwrap_or(0);
                let expected = number > 0 && !all.contains(&number) && number + WINDOW > highest;
                assert_eq!(window.is_new(number), expected, "{number} after {highest}");
                if expected {
                    window.mark(number);
                    all.insert(number);
                }
            }
        }
    }

    #[test]
    fn far_jumps_forget_what_is_too_old() {
        let mut window = Window::new();
        window.mark(1);
        window.mark(u64::MAX);
        assert!(!window.is_new(1) && !window.is_new(u64::MAX) && window.is_new(u64::MAX - 1));
        assert!(!window.is_new(u64::MAX - WINDOW) && window.is_new(u64::MAX - WINDOW + 1));
    }
}
