//! The last slice of a process: CPU time that the scheduler has not booked yet when the exit is told.
//!
//! It books at its tick and when it switches, so the exit of a process that lived 1 ms tells next to nothing of it. The account
//! has it, a few ms later. Where no account comes, as many ns are added as the ends of others had lately. Accounts are missing
//! now and then: their tracepoint fires in whatever task the kernel happens to interrupt, and on some virtual machines
//! nothing is traced in tasks of the machine's own.

use std::time::Duration;

use crate::time::KTime;

/// No last slice is longer: the longest tick that kernels have. What is more was booked late for other reasons.
const LONGEST_NS: u64 = 10_000_000;
/// The mean follows each end by this share of the difference.
const SHARE: u64 = 16;

/// The mean over the last processes that ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LastSlice {
    mean_ns: Option<u64>,
}

impl LastSlice {
    /// A process had this CPU time at its exit, and that in its account.
    pub(super) fn learn(&mut self, exit_cpu_ns: u64, cpu_ns: u64) {
        let slice = cpu_ns.saturating_sub(exit_cpu_ns).min(LONGEST_NS);
        self.mean_ns = Some(match self.mean_ns {
            None => slice,
            Some(mean) => (mean * (SHARE - 1) + slice) / SHARE,
        });
    }

    /// CPU time of a process that had so much of it at its exit and has no account. It is no more than the time that it lived,
    /// unless several threads had used more by then.
    pub(super) fn complete(&self, exit_cpu_ns: u64, start: KTime, exit: KTime) -> u64 {
        let lived = exit.since(start).max(Duration::from_nanos(exit_cpu_ns));
        let lived = u64::try_from(lived.as_nanos()).unwrap_or(u64::MAX);
        exit_cpu_ns.saturating_add(self.mean_ns.unwrap_or_default()).min(lived)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(ends: &[(u64, u64)], (exit_cpu_ns, lived_ns): (u64, u64), expected: u64) {
        let mut slice = LastSlice::default();
        ends.iter().for_each(|(exit, account)| slice.learn(*exit, *account));
        assert_eq!(slice.complete(exit_cpu_ns, KTime(50), KTime(50 + lived_ns)), expected, "{ends:?}");
    }

    #[test]
    fn what_is_missing_is_what_others_had() {
        // Nothing was seen yet.
        check(&[], (7, 1_000), 7);
        check(&[(100, 1_100)], (7, 5_000), 1_007);
        check(&[(0, 1_600), (0, 0)], (0, 5_000), 1_500);
        check(&[(0, 1_000); 50], (0, 5_000), 1_000);
        // Nobody used more than there was time for, but for several threads.
        check(&[(0, 1_000)], (10, 600), 600);
        check(&[(0, 1_000)], (900, 600), 900);
        // An account that is less than the exit said, and one that is out of all proportion.
        check(&[(500, 400)], (10, 5_000), 10);
        check(&[(0, u64::MAX)], (0, u64::MAX - 50), LONGEST_NS);
        check(&[(0, 1)], (u64::MAX, 10), u64::MAX);
    }
}
