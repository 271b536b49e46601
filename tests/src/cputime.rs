//! CPU time as exits tell it, held against the truth.
//!
//! The account of a process is closed where the kernel frees it: in a softirq that interrupts whatever happens to run.
//! Some kernels of virtual machines run no programs in the context of their own init, so that there, rarely, an account
//! never comes. Such an exit says `process.cpu.exact: false` and is off by no more than the last slices; this is what is held
//! against it here, and that it stays rare.

use crate::event::Event;

/// The longest tick, in s: the ledger has a running thread's time up to the last one.
const SLICE: f64 = 0.010;

/// The CPU time of several processes.
#[derive(Clone, Copy, Debug)]
pub struct CpuTime {
    told: f64,
    processes: usize,
    inexact: usize,
}

impl CpuTime {
    /// As these exits tell it. Panics on one that tells no CPU time.
    pub fn of<'a>(exits: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut sum = Self { told: 0.0, processes: 0, inexact: 0 };
        for exit in exits {
            sum.told += exit.float("process.cpu.time").unwrap_or_else(|| panic!("{}", exit.0));
            sum.processes += 1;
            sum.inexact += usize::from(is_inexact(exit));
        }
        sum
    }

    /// In s.
    pub const fn told(&self) -> f64 {
        self.told
    }

    /// How many of the exits say that they may lack something.
    pub const fn inexact(&self) -> usize {
        self.inexact
    }

    /// Panics unless it is the truth, in s, within 1 %, and a slice of each of their `threads` for exits that own to not
    /// knowing the last one: what they tell of it is what others' last slices were. These are rare: each thread is freed by
    /// itself, one in fifty may go unseen.
    pub fn assert_is(&self, truth: f64, threads: usize) {
        assert!(self.inexact * 50 <= self.processes * threads + 49, "too many exits without an account: {self:?}");
        let unknown = (self.inexact * threads) as f64 * SLICE;
        let (least, most) = (truth * 0.99 - unknown, truth * 1.01 + unknown);
        assert!((least..=most).contains(&self.told), "true: {truth} s; {self:?}");
    }
}

/// An event with CPU time that may lack something, and says so.
pub fn is_inexact(event: &Event) -> bool {
    event.attribute("process.cpu.exact").as_bool() == Some(false)
}
