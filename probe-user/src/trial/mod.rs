//! Runs the tests of policies: the real engine, the real matcher of log lines, and a virtual host and time. Pure.
//!
//! A test is played as the daemon would live through it. At 0s the first scan finds what was started at 0s; after that
//! every start, exec and exit is a record, usage and figures of the host are sampled each second, and the engine is woken
//! when it asks for it. Between two things that happen no time passes, so that hours take milliseconds. At one moment
//! steps come first, then samples, then what time alone brings, then expectations.
//!
//! Actions count as taken when the engine orders them; every policy is taken to `enforce`, and nothing is really done.

mod host;
mod judge;
mod peers;
mod play;
mod processes;
pub mod report;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::policy::lines::MatcherError;
use crate::policy::spec::{Mode, PolicySet, Trial};

/// What came of one test.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The test's name.
    pub name: Arc<str>,
    /// Where it was declared, `file:line`.
    pub declared: Arc<str>,
    /// Nothing was otherwise than expected.
    pub passed: bool,
    /// What was otherwise, in the order of time.
    pub failures: Vec<Failure>,
    /// Why it could not be played at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One expectation that was not met.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// When, from the start of the daemon.
    #[serde(rename = "at_seconds", serialize_with = "seconds")]
    pub at: Duration,
    /// Where the expectation was declared, `file:line`.
    pub declared: Arc<str>,
    /// `firing`, `resolved`, `events` or `actions`.
    pub what: &'static str,
    /// What should have been.
    pub expected: Vec<String>,
    /// What was.
    pub seen: Vec<String>,
    /// What happened around it, oldest first.
    pub timeline: Vec<Moment>,
}

/// One line of a timeline.
#[derive(Clone, Debug, Serialize)]
pub struct Moment {
    /// When, from the start of the daemon.
    #[serde(rename = "at_seconds", serialize_with = "seconds")]
    pub at: Duration,
    /// What.
    pub text: String,
}

fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

/// Plays one test with its share of the policies.
pub fn run(trial: &Trial, policies: &PolicySet) -> Outcome {
    let set = Arc::new(share(trial, policies));
    let (failures, error) = match play::play(trial, &set) {
        Ok(failures) => (failures, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    Outcome {
        name: Arc::clone(&trial.name),
        declared: Arc::clone(&trial.declared),
        passed: failures.is_empty() && error.is_none(),
        failures,
        error,
    }
}

/// Why a test cannot be played.
#[derive(Debug, thiserror::Error)]
enum PlayError {
    #[error(transparent)]
    Lines(#[from] MatcherError),
    #[error("the engine asks again and again to be woken at {0:?}: this is a fault of procprobe, please report it")]
    Sleepless(Duration),
}

/// What of the policies a test is about, with every action enforced.
fn share(trial: &Trial, policies: &PolicySet) -> PolicySet {
    let mut set = policies.clone();
    let file = trial.declared.rsplit_once(':').map_or("", |(file, _)| file);
    set.groups.retain(|group| trial.policies.contains(&group.name));
    set.jobs.retain(|job| trial.policies.contains(&job.name));
    set.logs.retain(|log| trial.policies.contains(&log.name));
    set.peers.retain(|peers| trial.policies.contains(&peers.name));
    set.host.retain(|block| trial.host && block.declared.rsplit_once(':').is_some_and(|(of, _)| of == file));
    let responses = set
        .groups
        .iter_mut()
        .map(|of| &mut of.response)
        .chain(set.jobs.iter_mut().map(|of| &mut of.response))
        .chain(set.logs.iter_mut().map(|of| &mut of.response))
        .chain(set.peers.iter_mut().map(|of| &mut of.response))
        .chain(set.host.iter_mut().map(|of| &mut of.response));
    for response in responses {
        response.mode = Mode::Enforce;
    }
    set
}

#[cfg(test)]
mod tests;
