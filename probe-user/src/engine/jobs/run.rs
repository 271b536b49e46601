//! One run: a process that started the job, all that descends from it, and what they used.

use std::collections::BTreeSet;

use crate::event::Attributes;
use crate::model::Exit;
use crate::record::{Account, ExitStatus, ProcessKey};
use crate::time::{KTime, Wall};

use crate::policy::spec::Success;

/// One run, from its start until its end has been told.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) root: ProcessKey,
    pub(super) start: KTime,
    /// Its start was seen, or happened unseen while the daemon ran.
    pub(super) seen: bool,
    /// It has not been counted yet.
    pub(super) fresh: bool,
    /// The scheduled time that it started for.
    pub(super) scheduled: Option<Wall>,
    /// The root, as it was when the run started.
    pub(super) root_facts: Attributes,
    /// `sh (4211)`.
    pub(super) who: String,
    /// Its command line, as far as it may be told.
    pub(super) command: String,
    /// Processes of the tree that live, the root among them.
    pub(super) living: BTreeSet<ProcessKey>,
    /// Those that have ended, of which the account is not closed.
    pub(super) open: BTreeSet<ProcessKey>,
    pub(super) used: Used,
    pub(super) end: Option<Exit>,
}

/// What the tree has used, as far as its processes have ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Used {
    pub(super) processes: u64,
    pub(super) cpu_ns: u64,
    /// Of the process with the largest.
    pub(super) peak_rss_bytes: u64,
    /// Some account was not complete, or some process ended before the daemon started.
    pub(super) incomplete: bool,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Succeeded,
    Failed,
    /// Its end was lost.
    Unknown,
}

impl Run {
    /// A process enters the tree. After the end nothing does: what was left behind is no run.
    pub(super) fn entered(&mut self, key: ProcessKey) {
        if self.end.is_none() && self.living.insert(key) {
            self.used.processes += 1;
        }
    }

    /// A process of the tree has ended.
    pub(super) fn exited(&mut self, key: ProcessKey, exit: &Exit) {
        if self.end.is_some() || !self.living.remove(&key) {
            return;
        }
        self.open.insert(key);
        self.used.peak_rss_bytes = self.used.peak_rss_bytes.max(exit.peak_rss_bytes);
        if key == self.root {
            self.end = Some(exit.clone());
        }
    }

    /// What a process of the tree used in its whole life.
    pub(super) fn closed(&mut self, key: ProcessKey, account: Account) {
        if self.open.remove(&key) {
            self.used.cpu_ns = self.used.cpu_ns.saturating_add(account.cpu_ns);
            self.used.incomplete |= !account.exact;
        }
    }

    /// Takes in a run that turns out to be a part of this one.
    pub(super) fn take_in(&mut self, other: Self) {
        self.living.extend(other.living);
        self.open.extend(other.open);
        let (used, more) = (&mut self.used, other.used);
        used.processes += more.processes;
        used.cpu_ns = used.cpu_ns.saturating_add(more.cpu_ns);
        used.peak_rss_bytes = used.peak_rss_bytes.max(more.peak_rss_bytes);
        used.incomplete |= more.incomplete;
    }

    /// It has ended, and all that it used is known.
    pub(super) fn is_complete(&self) -> bool {
        self.end.is_some() && self.open.is_empty()
    }
}

impl Outcome {
    pub(super) fn of(exit: &Exit, success: &Success) -> Self {
        let good = match exit.status {
            None => return Self::Unknown,
            Some(ExitStatus::Code(code)) => success.exit_codes.contains(&code),
            Some(ExitStatus::Signal { number, .. }) => success.signals.contains(&number),
        };
        if good { Self::Succeeded } else { Self::Failed }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}
