//! The thread that follows log files, started only where policies want it.
//!
//! It has to start before the daemon gives up its privileges: log files mostly belong to root and a group of their own,
//! and reading all of them takes CAP_DAC_READ_SEARCH, which that thread alone keeps. Where a reload brings the first log,
//! the thread starts without it and reads what root may read by ownership; what it may not is told.

use std::path::Path;
use std::time::Duration;

use tokio::sync::mpsc;

use super::privileges;
use crate::engine::Input;
use crate::logs::{LogsReport, Source};
use crate::policy::spec::PolicySet;

/// How long the thread may take to end.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the daemon's start waits for them to be opened.
const OPEN_WITHIN: Duration = Duration::from_secs(2);

/// The thread, if there is one.
#[derive(Debug, Default)]
pub(super) struct LogFiles(Option<Source>);

impl LogFiles {
    /// Starts the thread if some policy wants it; it waits for [`LogFiles::begin`]. What is degraded goes to `notes`.
    pub(super) fn prepare(
        policies: &PolicySet,
        state_dir: &Path,
        feed: &mpsc::Sender<Input>,
        notes: &mut Vec<String>,
    ) -> Self {
        if policies.logs.is_empty() {
            return Self(None);
        }
        match Source::spawn(state_dir, feed.clone(), keep_reading) {
            Ok((source, told)) => {
                notes.extend(told);
                Self(Some(source))
            }
            Err(error) => {
                notes.push(format!("log files are not followed: {error}"));
                Self(None)
            }
        }
    }

    /// These policies from the start on. Returns when their files are open, so that whatever is written to one after the
    /// daemon has said that it watches is seen; a file system that does not answer is waited for no longer than a moment.
    pub(super) async fn begin(&self, policies: &PolicySet) {
        if let Self(Some(source)) = self
            && tokio::time::timeout(OPEN_WITHIN, source.watch(&policies.logs)).await.is_err()
        {
            tracing::warn!("log files take longer than {OPEN_WITHIN:?} to be opened: lines are taken in from then on");
        }
    }

    /// These policies from now on.
    pub(super) fn watch(&mut self, policies: &PolicySet, state_dir: &Path, feed: &mpsc::Sender<Input>) -> Vec<String> {
        let mut notes = Vec::new();
        if self.0.is_none() {
            *self = Self::prepare(policies, state_dir, feed, &mut notes);
        }
        if let Self(Some(source)) = self {
            drop(source.watch(&policies.logs));
        }
        notes
    }

    /// How it stands; `None` where no policy wants it.
    pub(super) fn report(&self) -> Option<LogsReport> {
        self.0.as_ref().map(Source::report)
    }

    /// Ends the thread and hands everything that it has read to `take`: its places say that this was taken.
    pub(super) async fn stop<E>(
        self,
        inputs: &mut mpsc::Receiver<Input>,
        mut take: impl FnMut(Input) -> Result<(), E>,
    ) -> Result<(), E> {
        let Self(Some(source)) = self else { return Ok(()) };
        let mut ended = source.stop();
        let patience = tokio::time::sleep(PATIENCE);
        tokio::pin!(patience);
        loop {
            tokio::select! {
                biased;
                Some(input) = inputs.recv() => take(input)?,
                _ = &mut ended => break,
                // A file system that does not answer must not keep the daemon from ending.
                () = &mut patience => break,
            }
        }
        while let Ok(input) = inputs.try_recv() {
            take(input)?;
        }
        Ok(())
    }
}

/// What the thread does first.
fn keep_reading() {
    if let Err(error) = privileges::keep_reading() {
        tracing::warn!("the thread that reads log files keeps its privileges: {error}");
    }
}
