//! The last slice of a process: CPU time that the scheduler has not booked yet when the exit is told.
//!
//! It books at its tick and when it switches, so the exit of a process that lived 1 ms tells next to nothing of it. The account
//! has it, a few ms later. Where no account comes, as much is added as others had lately at their ends. Accounts are missing
//! now and then: their tracepoint fires in whatever task the kernel happens to interrupt, and on some virtual machines
//! nothing is traced in tasks of the machine's own.

use std::time::Duration;

/// No last slice is longer: the longest tick that kernels have. What is more was booked late for other reasons.
const LONGEST_NS: u64 = 10_000_000;
/// The mean follows each end by this share of the difference.
const SHARE: u64 = 16;
/// Lives of up to 2^n us, each class twice as long as the one before; the last has all that are longer.
const CLASSES: usize = 24;

/// The mean over the last processes that ended, by how long they had lived: of a short life the last slice is most.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LastSlice {
    means_ns: [Option<u64>; CLASSES],
}

impl LastSlice {
    /// A process of this life had this CPU time at its exit, and that in its account.
    pub(super) fn learn(&mut self, lived: Duration, exit_cpu_ns: u64, cpu_ns: u64) {
        let slice = cpu_ns.saturating_sub(exit_cpu_ns).min(LONGEST_NS);
        if let Some(mean) = self.means_ns.get_mut(class(lived)) {
            *mean = Some(mean.map_or(slice, |mean| (mean * (SHARE - 1) + slice) / SHARE));
        }
    }

    /// CPU time of a process that had so much of it at its exit and has no account. It is no more than the time that it lived,
    /// unless several threads had used more by then.
    pub(super) fn complete(&self, lived: Duration, exit_cpu_ns: u64) -> u64 {
        let most = u64::try_from(lived.as_nanos()).unwrap_or(u64::MAX).max(exit_cpu_ns);
        // As of a shorter life, where none of this length has ended yet.
        let mean = self.means_ns.iter().take(class(lived) + 1).rev().find_map(|mean| *mean);
        exit_cpu_ns.saturating_add(mean.unwrap_or_default()).min(most)
    }
}

fn class(lived: Duration) -> usize {
    let bits = u128::BITS - lived.as_micros().leading_zeros();
    usize::try_from(bits).unwrap_or(CLASSES).min(CLASSES - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ends as (lived, CPU time at the exit, CPU time of the account), then the life without an account; all in ns.
    #[track_caller]
    fn check(ends: &[(u64, u64, u64)], (lived, exit_cpu_ns): (u64, u64), expected: u64) {
        let mut slice = LastSlice::default();
        for (lived, exit, account) in ends {
            slice.learn(Duration::from_nanos(*lived), *exit, *account);
        }
        assert_eq!(slice.complete(Duration::from_nanos(lived), exit_cpu_ns), expected, "{ends:?}");
    }

    #[test]
    fn what_is_missing_is_what_others_had() {
        // Nothing was seen yet.
        check(&[], (1_000, 7), 7);
        check(&[(5_000, 100, 1_100)], (5_000, 7), 1_007);
        check(&[(5_000, 0, 1_600), (5_000, 0, 0)], (5_000, 0), 1_500);
        check(&[(5_000, 0, 1_000); 50], (5_000, 0), 1_000);
        // Longer lives are another matter.
        check(&[(5_000, 0, 1_000), (90_000_000, 0, 3_000_000)], (5_500, 0), 1_000);
        check(&[(90_000_000, 0, 3_000_000)], (5_000, 7), 7);
        check(&[(5_000, 0, 1_000)], (90_000_000, 7), 1_007);
        check(&[(u64::MAX, 0, 500)], (u64::MAX / 2, 1), 501);
        // Nobody used more than there was time for, but for several threads.
        check(&[(900, 0, 1_000)], (600, 10), 600);
        check(&[(900, 0, 1_000)], (600, 900), 900);
        // An account that is less than the exit said, and one that is out of all proportion.
        check(&[(5_000, 500, 400)], (5_000, 10), 10);
        check(&[(u64::MAX, 0, u64::MAX)], (u64::MAX, 0), LONGEST_NS);
        check(&[(0, 0, 1)], (0, u64::MAX), u64::MAX);
    }
}
