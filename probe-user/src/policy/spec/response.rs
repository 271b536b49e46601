//! What an alarm leads to beside its event: where it is sent, and what is done about it.

use std::sync::Arc;
use std::time::Duration;

use super::PolicySet;

/// What a policy says about all its alarms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// A firing alarm is told again after so long.
    pub repeat: Option<Duration>,
    /// Names of [`Destination`]s, in the order of the file.
    pub notify: Vec<Arc<str>>,
    /// Names of [`Action`]s, in the order of the file.
    pub act: Vec<Arc<str>>,
    /// Whether actions are carried out.
    pub mode: Mode,
}

impl PolicySet {
    /// What every policy leads to.
    pub fn responses(&self) -> impl Iterator<Item = &Response> {
        let groups = self.groups.iter().map(|group| &group.response);
        let jobs = self.jobs.iter().map(|job| &job.response);
        let logs = self.logs.iter().map(|log| &log.response);
        let hosts = self.host.iter().map(|host| &host.response);
        groups.chain(jobs).chain(logs).chain(hosts).chain(self.peers.iter().map(|peers| &peers.response))
    }

    /// Some policy has actions carried out.
    pub fn enforces(&self) -> bool {
        self.responses().any(|response| response.mode == Mode::Enforce && !response.act.is_empty())
    }
}

/// What becomes of actions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// What would have been done is told.
    #[default]
    Observe,
    /// They are carried out.
    Enforce,
}

/// Where alarms are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Unique over all files.
    pub name: Arc<str>,
    /// Where it was declared, `file:line`.
    pub declared: Arc<str>,
    /// What speaks there.
    pub kind: DestinationKind,
    /// A file with a bearer token.
    pub token_file: Option<Arc<str>>,
    /// How long one request may take.
    pub timeout: Duration,
    /// At most so many requests within a time; `None`: no limit.
    pub max_rate: Option<Rate>,
}

/// What speaks at a [`Destination`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DestinationKind {
    /// The event is posted as JSON.
    Webhook {
        /// `http` or `https`.
        url: Arc<str>,
        /// A file with the key of the HMAC-SHA256 signature.
        secret_file: Option<Arc<str>>,
    },
    /// Alertmanager's API v2.
    Alertmanager {
        /// Base URLs: every one gets every alarm, as Alertmanager's own high availability wants it.
        urls: Vec<Arc<str>>,
        /// Labels added to every alarm.
        labels: Vec<(Arc<str>, Arc<str>)>,
    },
}

/// So many within a time: `3 per 1h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// Within any span so long.
    pub per: Duration,
}

/// What can be done about an alarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// Unique over all files.
    pub name: Arc<str>,
    /// Where it was declared, `file:line`.
    pub declared: Arc<str>,
    /// What.
    pub kind: ActionKind,
    /// At most so often; `None`: at every alarm.
    pub max_runs: Option<Rate>,
}

/// The kinds of [`Action`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActionKind {
    /// Runs a program.
    Run {
        /// The program and its arguments; never a shell's line.
        argv: Vec<Arc<str>>,
        /// User name or uid that runs it; `None`: the daemon's own.
        user: Option<super::User>,
        /// Killed after so long, with its process group.
        timeout: Duration,
    },
    /// Signals the processes in breach.
    Signal {
        /// Number of the signal.
        signal: u8,
        /// SIGKILL after so long, where it still lives.
        then_kill_after: Option<Duration>,
    },
}
