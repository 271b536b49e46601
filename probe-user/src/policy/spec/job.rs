//! Jobs: cron and batch work that must run, end well, and not run too long.

use std::sync::Arc;
use std::time::Duration;

use super::{Bound, Response, Selector};
use crate::event::Severity;
use crate::policy::schedule::Schedule;

/// A job and what must hold of its runs. A run is a process that matches, with all its descendants, unless it descends
/// from a run of the same job itself.
#[derive(Clone, Debug)]
pub struct Job {
    /// Unique over all files, among groups, jobs and logs alike.
    pub name: Arc<str>,
    /// Where it was declared, `file:line`.
    pub declared: Arc<str>,
    /// What starts a run.
    pub select: Selector,
    /// What is taken out again.
    pub except: Option<Selector>,
    /// When it is to run; `None`: whenever it runs.
    pub schedule: Option<Schedule>,
    /// A run counts for a scheduled time when it starts at most so long after it.
    pub start_within: Duration,
    /// Bounds on `duration` and `runs`, in the order of the file. A scheduled job without a bound on `runs` has a
    /// minimum of 1.
    pub bounds: Vec<Bound>,
    /// Which ends are good.
    pub success: Success,
    /// Whether runs may overlap.
    pub overlap: Overlap,
    /// What its alarms lead to.
    pub response: Response,
}

/// Which ends of a run are good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Success {
    /// Good exit codes.
    pub exit_codes: Vec<u8>,
    /// Signals whose kill is good.
    pub signals: Vec<u8>,
    /// Of the alarm about a bad end.
    pub severity: Severity,
}

impl Default for Success {
    fn default() -> Self {
        Self { exit_codes: vec![0], signals: Vec::new(), severity: Severity::Warning }
    }
}

/// Whether a run may start while another one runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overlap {
    /// It may.
    #[default]
    Allow,
    /// That is an alarm.
    Forbid,
}
