//! How long the runs of each job took, for suggestions: what the engine tells of runs that ended well. How long a run
//! took that failed says little about the next good one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::event::{Event, name};
use crate::policy::spec::PolicySet;

/// The runs of one job that ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Took {
    pub(super) runs: u64,
    pub(super) shortest: Duration,
    pub(super) longest: Duration,
}

/// All jobs of the policies; `None` of one of which no run has ended well.
#[derive(Clone, Debug, Default)]
pub(super) struct Durations(BTreeMap<Arc<str>, Option<Took>>);

impl Durations {
    pub(super) fn new(policies: &PolicySet) -> Self {
        Self(policies.jobs.iter().map(|job| (Arc::clone(&job.name), None)).collect())
    }

    pub(super) fn note(&mut self, event: &Event) {
        if event.name != name::JOB_SUCCEEDED {
            return;
        }
        let job = event.attributes.get("job.name").and_then(serde_json::Value::as_str);
        let lasted = event.attributes.get("duration").and_then(serde_json::Value::as_f64);
        let lasted = lasted.and_then(|secs| Duration::try_from_secs_f64(secs).ok());
        let (Some(lasted), Some(took)) = (lasted, job.and_then(|job| self.0.get_mut(job))) else { return };
        let before = took.unwrap_or(Took { runs: 0, shortest: lasted, longest: lasted });
        *took = Some(Took {
            runs: before.runs + 1,
            shortest: before.shortest.min(lasted),
            longest: before.longest.max(lasted),
        });
    }

    /// By name.
    pub(super) fn jobs(&self) -> impl Iterator<Item = (&Arc<str>, Option<Took>)> {
        self.0.iter().map(|(job, took)| (job, *took))
    }
}
