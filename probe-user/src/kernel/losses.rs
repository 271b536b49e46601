//! What the kernel side could not deliver, and what it costs.
//!
//! Three sources: the programs' own per-CPU counters, the kernel's count of runs that it skipped because the program was
//! already running on that CPU (`recursion_misses`, 5.12), and the run-time statistics that it keeps when
//! `kernel.bpf_stats_enabled` is set.

use std::fs::File;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::fs::FileExt as _;

use aya::maps::{MapData, MapError, PerCpuArray};
use aya::programs::ProgramFd;
use probe_common::maps::{LOSS_REASONS, LossReason};

use super::tail::REASONS;
use crate::record::{Loss, Lost};

/// A `CpuState` as aya can read it: the sequence number, then a counter for each reason, then what only programs need.
pub(super) type CpuWords = [u64; 1 + LOSS_REASONS + 1];

/// More than the kernel says of a program: a dozen lines, and it hands out with one read what fits.
const FDINFO_BYTES: usize = 2048;

/// Reads the counters and remembers what it has already told.
pub struct Losses {
    cpu_state: PerCpuArray<MapData, CpuWords>,
    /// What programs before these could not deliver: by reason, and runs that were skipped.
    before: [u64; REASONS],
    told: [u64; LOSS_REASONS],
    programs: Vec<Program>,
    misses_told: u64,
}

/// A program, and what the kernel says of it. The file stays open: opening it is dearer than reading it.
struct Program {
    name: &'static str,
    fdinfo: Option<File>,
    /// What the file is about.
    _fd: ProgramFd,
}

/// What one program cost so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProgramCost {
    /// Its name.
    pub program: &'static str,
    /// How often it ran; 0 while `kernel.bpf_stats_enabled` is off.
    pub runs: u64,
    /// Time in it, ns; likewise.
    pub run_time_ns: u64,
}

impl Losses {
    pub(super) fn new(
        cpu_state: PerCpuArray<MapData, CpuWords>,
        programs: Vec<(&'static str, ProgramFd)>,
        before: [u64; REASONS],
    ) -> Self {
        let programs = programs.into_iter().map(Program::new).collect();
        Self { cpu_state, before, told: [0; LOSS_REASONS], programs, misses_told: 0 }
    }

    /// Everything that these programs and those before them could not deliver: for programs that come after them.
    pub(super) fn totals(&self) -> Result<[u64; REASONS], MapError> {
        let values = self.cpu_state.get(&0, 0)?;
        let mut totals = self.before;
        for (index, total) in totals.iter_mut().enumerate() {
            *total += match index {
                LOSS_REASONS => self.programs.iter().map(|program| program.figures().misses).sum::<u64>(),
                reason => values.iter().map(|words| words[1 + reason]).sum(),
            };
        }
        Ok(totals)
    }

    /// Of programs that an earlier daemon has told of: so much of each reason is not new.
    pub fn go_on(&mut self, told: impl Fn(Lost) -> u64) {
        self.told = LossReason::ALL.map(|reason| told(Lost::Kernel(reason)));
        self.misses_told = told(Lost::Recursion);
    }

    /// What was lost since the last call. One system call: cheap enough for every drain.
    pub fn new_losses(&mut self, losses: &mut Vec<Loss>) {
        let values = match self.cpu_state.get(&0, 0) {
            Ok(values) => values,
            Err(error) => {
                tracing::error!(%error, "the loss counters cannot be read");
                return;
            }
        };
        for (index, reason) in LossReason::ALL.into_iter().enumerate() {
            let total = self.before[index] + values.iter().map(|words| words[1 + index]).sum::<u64>();
            let count = total.saturating_sub(self.told[index]);
            if count > 0 {
                self.told[index] = total;
                losses.push(Loss { reason: Lost::Kernel(reason), count });
            }
        }
    }

    /// Runs that the kernel skipped since the last call. Reads a file for each program: for slow ticks only.
    pub fn new_misses(&mut self) -> Option<Loss> {
        let misses = self.programs.iter().map(|program| program.figures().misses).sum::<u64>();
        let total = self.before[LOSS_REASONS] + misses;
        let count = total.saturating_sub(self.misses_told);
        self.misses_told = total;
        (count > 0).then_some(Loss { reason: Lost::Recursion, count })
    }

    /// What each program cost so far.
    pub fn costs(&self) -> Vec<ProgramCost> {
        let cost = |program: &Program| {
            let figures = program.figures();
            ProgramCost { program: program.name, runs: figures.runs, run_time_ns: figures.run_time_ns }
        };
        self.programs.iter().map(cost).collect()
    }
}

/// What the kernel says of one program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Figures {
    runs: u64,
    run_time_ns: u64,
    misses: u64,
}

impl Program {
    /// Its entry under /proc/self/fdinfo; aya's own view of a program lacks the misses.
    fn new((name, fd): (&'static str, ProgramFd)) -> Self {
        let fdinfo = File::open(format!("/proc/self/fdinfo/{}", fd.as_fd().as_raw_fd())).ok();
        Self { name, fdinfo, _fd: fd }
    }

    /// Read anew; zeros where the file cannot be read.
    fn figures(&self) -> Figures {
        let mut text = [0; FDINFO_BYTES];
        let read = self.fdinfo.as_ref().and_then(|file| file.read_at(&mut text, 0).ok()).unwrap_or_default();
        std::str::from_utf8(&text[..read]).map(parse).unwrap_or_default()
    }
}

/// Lines of `name: number`; what a kernel does not know yet is 0.
fn parse(fdinfo: &str) -> Figures {
    let mut figures = Figures::default();
    for line in fdinfo.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        let Ok(value) = value.trim().parse() else { continue };
        match name {
            "run_cnt" => figures.runs = value,
            "run_time_ns" => figures.run_time_ns = value,
            "recursion_misses" => figures.misses = value,
            _ => {}
        }
    }
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fdinfo_is_read_by_name() {
        let text = "pos:\t0\nprog_type:\t26\nprog_tag:\t5f6e\nrun_time_ns:\t420\nrun_cnt:\t7\nrecursion_misses:\t2\n";
        assert_eq!(parse(text), Figures { runs: 7, run_time_ns: 420, misses: 2 });
        assert_eq!(parse("run_cnt:\tx\n:\nrun_time_ns"), Figures::default());
    }
}
