//! The last slice of a process: CPU time that the scheduler has not booked yet when the exit is told.
//!
//! It books at its tick and when it switches, so the exit of a process that lived 1 ms tells next to nothing of it. The account
//! has it, a few ms later. Where no account comes, as much is added as others had lately at their ends. Accounts are missing
//! now and then: their tracepoint fires in whatever task the kernel happens to interrupt, and on some virtual machines
//! nothing is traced in tasks of the machine's own.
//!
//! A process goes on using CPU time after its exit was told: since Linux 6.16 the tracepoint comes before its memory is given back,
//! which can take as long as all the rest of a short life. So it may have used more than there was time for until then.

use std::time::Duration;

/// No last slice is longer: the longest tick that kernels have. What is more was booked late for other reasons.
const LONGEST_NS: u64 = 10_000_000;
/// The mean follows each end by this share of the difference.
const SHARE: u64 = 16;
/// Lives of up to 2^n us, each class twice as long as the one before; the last has all that are longer.
const CLASSES: usize = 24;

/// Means over the last processes that ended, by how long they had lived: of a short life the last slice is most.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LastSlice {
    classes: [Option<Means>; CLASSES],
}

#[derive(Clone, Copy, Debug)]
struct Means {
    /// What the exit did not tell of.
    slice_ns: u64,
    /// What was used beyond the time from start to exit.
    beyond_ns: u64,
}

impl LastSlice {
    /// A process of this life had this CPU time at its exit, and that in its account.
    pub(super) fn learn(&mut self, lived: Duration, exit_cpu_ns: u64, cpu_ns: u64) {
        let seen = Means {
            slice_ns: cpu_ns.saturating_sub(exit_cpu_ns).min(LONGEST_NS),
            beyond_ns: cpu_ns.saturating_sub(nanos(lived).max(exit_cpu_ns)).min(LONGEST_NS),
        };
        if let Some(class) = self.classes.get_mut(class(lived)) {
            *class = Some(class.map_or(seen, |means| means.follow(seen)));
        }
    }

    /// CPU time of a process that had so much of it at its exit and has no account. It is no more than the time that it lived, and
    /// what others used beyond theirs, unless several threads had used more by then.
    pub(super) fn complete(&self, lived: Duration, exit_cpu_ns: u64) -> u64 {
        let (shorter, longer) = self.classes.split_at(class(lived) + 1);
        // As of a shorter life, where none of this length has ended yet, or else of a longer one.
        let Some(means) = shorter.iter().rev().chain(longer).find_map(|class| *class) else { return exit_cpu_ns };
        let most = nanos(lived).max(exit_cpu_ns).saturating_add(means.beyond_ns);
        exit_cpu_ns.saturating_add(means.slice_ns).min(most)
    }
}

impl Means {
    const fn follow(self, seen: Self) -> Self {
        Self { slice_ns: follow(self.slice_ns, seen.slice_ns), beyond_ns: follow(self.beyond_ns, seen.beyond_ns) }
    }
}

const fn follow(mean: u64, seen: u64) -> u64 {
    (mean * (SHARE - 1) + seen) / SHARE
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
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
        // They do for a shorter one where nothing else is known; there was not more time than that.
        check(&[(90_000_000, 0, 3_000_000)], (5_000, 7), 5_000);
        check(&[(90_000_000, 0, 3_000)], (5_000, 7), 3_007);
        check(&[(5_000, 0, 1_000)], (90_000_000, 7), 1_007);
        check(&[(u64::MAX, 0, 500)], (u64::MAX / 2, 1), 501);
        // Nobody used more than there was time for, but for several threads.
        check(&[(900, 0, 800)], (600, 10), 600);
        check(&[(900, 0, 800)], (600, 900), 900);
        // What a process does after its exit was told comes on top.
        check(&[(900, 0, 1_000)], (600, 10), 700);
        check(&[(900, 0, 1_000)], (600, 900), 1_000);
        check(&[(900, 850, 1_000)], (800, 750), 900);
        // An account that is less than the exit said, and one that is out of all proportion.
        check(&[(5_000, 500, 400)], (5_000, 10), 10);
        check(&[(u64::MAX, 0, u64::MAX)], (u64::MAX, 0), LONGEST_NS);
        check(&[(0, 0, 1)], (0, u64::MAX), u64::MAX);
    }
}
