//! CPU time as exits tell it, held against the truth.
//!
//! The account of a process is closed where the kernel frees it: in a softirq that interrupts whatever happens to run.
//! Some kernels of virtual machines run no programs in the context of their own init, so that there, rarely, an account
//! never comes. Such an exit says `process.cpu.exact: false` and is off by no more than the last slices; this is what is held
//! against it here, and that it stays rare.

use crate::event::Event;

/// What an exit without an account can lack or, being an estimate, have too much, in s: the ledger has a running thread's time up
/// to the last tick, and the test's processes have up to four threads besides the first.
const SLICES: f64 = 0.020;

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

    /// Panics unless it is the truth, in s, within 1 %, and within some slices for each exit that owns to not knowing them.
    /// These are rare among tasks; each thread of a process is one.
    pub fn assert_is(&self, truth: f64) {
        assert!(self.inexact * 10 <= self.processes + 50, "too many exits without an account: {self:?}");
        let off = truth * 0.01 + self.inexact as f64 * SLICES;
        assert!((self.told - truth).abs() <= off, "true: {truth} s; {self:?}");
    }
}

/// An event with CPU time that may lack something, and says so.
pub fn is_inexact(event: &Event) -> bool {
    event.attribute("process.cpu.exact").as_bool() == Some(false)
}
