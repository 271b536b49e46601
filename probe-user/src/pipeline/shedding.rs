//! Holds the daemon to its own limits: measures what it uses and carries out what the [`Guard`] decides.
//!
//! The kernel counts the time of its programs only where `kernel.bpf_stats_enabled` is set. Elsewhere it is estimated from
//! the records.

use super::Daemon;
use super::start::engine_settings;
use crate::agent::{self, Guard, Step, Usage, steps};
use crate::config::load::Prepared;
use crate::engine::{Processes, Settings};
use crate::time::KTime;

/// What a record costs the kernel side about: measured 1 to 3 us, exec the dearest.
const RECORD_NS: u64 = 2_500;

/// A guard for these policies and this configuration.
pub(super) fn guard(prepared: &Prepared) -> Guard {
    Guard::new(prepared.config.limits, steps_of(prepared))
}

fn steps_of(prepared: &Prepared) -> Vec<Step> {
    let events = &prepared.config.events;
    steps(events.processes, events.args, prepared.policies.select_by_args())
}

impl Daemon {
    /// Looks at what the daemon uses, when it is time to.
    pub(super) fn look_at_itself(&mut self, now: KTime) {
        if !self.guard.is_due(now) {
            return;
        }
        let memory = match agent::own_memory() {
            Ok(memory) => memory,
            Err(error) => {
                tracing::debug!(%error, "the daemon's own memory cannot be read");
                0
            }
        };
        let own = u64::try_from(agent::own_time().as_nanos()).unwrap_or(u64::MAX);
        let usage = Usage { cpu_ns: own.saturating_add(self.kernel_ns()), memory };
        if let Some(shed) = self.guard.look(now, usage) {
            self.leave_out();
            self.outlets.tell(agent::shed(now, &shed, self.guard.limits()));
        }
    }

    /// Other limits or policies are in force.
    pub(super) fn limits_changed(&mut self) {
        self.guard.set(self.prepared.config.limits, steps_of(&self.prepared));
        self.leave_out();
    }

    /// Sources and engine do without what is left out.
    fn leave_out(&mut self) {
        let left_out = self.guard.left_out();
        let args = left_out.contains(&Step::Args);
        let processes = left_out.contains(&Step::Processes);
        self.core.leave_out_args(args);
        let settings = engine_settings(&self.prepared);
        let told = if processes { Processes::None } else { settings.processes };
        self.core.engine_mut().settings_changed(Settings { processes: told, ..settings });
    }

    /// One of so many samples is taken.
    pub(super) fn sample_one_of(&self) -> u32 {
        let factor = |step: &Step| if let Step::Sampling(of) = step { Some(*of) } else { None };
        self.guard.left_out().iter().filter_map(factor).max().unwrap_or(1)
    }

    /// What `status` says of it; `None` while everything is taken in.
    pub(super) fn left_out_note(&self) -> Option<String> {
        let words: Vec<String> = self.guard.left_out().iter().map(|step| step.words()).collect();
        (!words.is_empty()).then(|| format!("to stay within its own limits it leaves out {}", words.join(", ")))
    }

    fn kernel_ns(&self) -> u64 {
        let kernel = self.core.kernel();
        let (costs, records) = (kernel.losses.costs(), kernel.records.stats().total());
        let runs: u64 = costs.iter().map(|cost| cost.runs).sum();
        // Fewer runs than records: the kernel did not count all the time.
        if runs < records { records.saturating_mul(RECORD_NS) } else { costs.iter().map(|cost| cost.run_time_ns).sum() }
    }
}
