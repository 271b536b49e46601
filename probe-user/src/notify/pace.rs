//! `max_rate`: at most so many requests within any span so long. Pure: time comes in as an argument.

use std::collections::VecDeque;

use tokio::time::Instant;

use crate::policy::spec::Rate;

#[derive(Debug)]
pub(super) struct Pace {
    rate: Option<Rate>,
    /// The last requests, oldest first, no more than the rate allows.
    made: VecDeque<Instant>,
}

impl Pace {
    pub(super) const fn new(rate: Option<Rate>) -> Self {
        Self { rate, made: VecDeque::new() }
    }

    /// When the next request may be made; `None`: now.
    pub(super) fn wait_until(&self, now: Instant) -> Option<Instant> {
        let Rate { count, per } = self.rate?;
        let is_full = self.made.len() >= usize::try_from(count).unwrap_or(usize::MAX);
        let free = self.made.front().filter(|_| is_full)?.checked_add(per)?;
        (free > now).then_some(free)
    }

    /// A request is made.
    pub(super) fn took(&mut self, now: Instant) {
        let Some(Rate { count, .. }) = self.rate else { return };
        self.made.push_back(now);
        while self.made.len() > usize::try_from(count).unwrap_or(usize::MAX) {
            self.made.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn no_span_holds_more_than_the_rate() {
        let second = Duration::from_secs(1);
        let mut pace = Pace::new(Some(Rate { count: 2, per: 10 * second }));
        let start = Instant::now();
        let at = |seconds: u32| start + seconds * second;
        for (now, wait) in [(0, None), (4, None), (5, Some(10)), (10, None), (11, Some(14)), (14, None)] {
            assert_eq!(pace.wait_until(at(now)), wait.map(at), "at {now}");
            if wait.is_none() {
                pace.took(at(now));
            }
        }
        let mut free = Pace::new(None);
        (0..1000).for_each(|_| free.took(start));
        assert_eq!(free.wait_until(start), None);
        assert!(free.made.is_empty());
    }
}
