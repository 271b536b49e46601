//! The local API: read-only HTTP on a unix socket, for `procprobe status`, `procprobe match` and scripts. What is shown over
//! TCP is [`http`]'s.
//!
//! - `GET /v1/status`: [`StatusReport`];
//! - `GET /v1/events?since=10m&name=GLOB&follow=true`: the local history, one event a line ([`events`]);
//! - `GET /v1/peers`: everybody of the site, a [`PeersReport`];
//! - `GET /v1/group?name=NAME`: the members of a group or job, with what each uses ([`Roster`]);
//! - `GET /v1/history?name=NAME&since=1h&step=60s`: what a group or job used over that time, a [`HistoryReport`]; points are as far
//!   apart as `step` says or farther, for there are [`crate::series::POINTS_MAX`] at most. `since` (1 h) and `step` may be left out;
//! - `GET /v1/measures?since=24h`: all of them summed up over that time, a [`MeasuresReport`];
//! - `GET /v1/alarms`: the alarms that are on, each as it was told last ([`AlarmsOn`]);
//! - `GET /v1/match?pid=N`, or `?exe=..&args=..&user=..&comm=..&cgroup=..`: a [`MatchReport`].
//!
//! The pipeline owns all state: a request becomes a [`Query`] with a place for the answer, and the pipeline answers
//! between two records. Hostile or stuck clients cost little: so many connections, each so long ([`listener`]), so many
//! queries waiting, each so long ([`routes`]). Who may connect is decided by the socket's permissions ([`socket`]).

pub mod client;
mod events;
pub mod explain;
mod health;
pub mod http;
mod listener;
mod routes;
mod socket;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

pub use health::reasons;
pub use socket::BindError;

use crate::agent::{Cost, KernelCost};
use crate::config::Api;
use crate::engine::{self, Roster};
use crate::forward;
use crate::logs::LogsReport;
use crate::notify;
use crate::outlet::Dropped;
use crate::peers::{self, PeersReport};
use crate::series::{self, HistoryReport, MeasuresReport};
use crate::spool::{self, View};
use crate::time::Wall;

/// Queries that may wait for the pipeline.
const QUERIES: usize = 8;
/// The whole life of a connection: answers are short, and whoever needs more asks again.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(30);

/// A question to the pipeline. An answer that nobody waits for any more may be thrown away.
#[derive(Debug)]
pub enum Query {
    /// How the daemon stands.
    Status {
        /// Where the answer goes.
        reply: oneshot::Sender<StatusReport>,
    },
    /// The local history.
    Events {
        /// Only what is not older; `None`: everything, or what comes from now on where it is followed.
        since: Option<Duration>,
        /// What comes is wanted too.
        follow: bool,
        /// Where the way to it goes.
        reply: oneshot::Sender<View>,
    },
    /// Everybody of the site.
    Peers {
        /// Where the answer goes; `None` where no peers are configured.
        reply: oneshot::Sender<Option<PeersReport>>,
    },
    /// The members of a group or job.
    Group {
        /// Its name.
        name: String,
        /// Where the answer goes; `None`: there is no such group.
        reply: oneshot::Sender<Option<Roster>>,
    },
    /// What a group or job used over some time.
    History {
        /// Its name.
        name: String,
        /// So far back.
        since: Duration,
        /// Points at least so far apart.
        step: Option<Duration>,
        /// Where the answer goes; `None`: there is no such group.
        reply: oneshot::Sender<Option<HistoryReport>>,
    },
    /// What all of them used over some time, summed up.
    Measures {
        /// So far back.
        since: Duration,
        /// Where the answer goes.
        reply: oneshot::Sender<MeasuresReport>,
    },
    /// The alarms that are on.
    Alarms {
        /// Where the answer goes.
        reply: oneshot::Sender<AlarmsOn>,
    },
    /// Which groups a process belongs to.
    Match {
        /// Which process.
        subject: Subject,
        /// Where the answer goes; an error is a question that cannot be answered as it is ([`explain::of_fields`]).
        reply: oneshot::Sender<Result<MatchReport, String>>,
    },
}

/// The process that a match is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// One that lives.
    Pid(u32),
    /// One that might.
    Fields(Fields),
}

/// A process that might be. What is not given is empty, and no pattern on it matches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fields {
    /// Path of its executable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exe: Option<String>,
    /// Its arguments, joined by spaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<String>,
    /// Its user, by name or number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The kernel's name of it; the executable's file name when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comm: Option<String>,
    /// Path of its cgroup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
}

/// How the daemon stands: what `procprobe status` shows, and what metrics are made of.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StatusReport {
    /// The moment that all of it is about.
    pub time: Wall,
    /// Why the daemon does not do its work; empty while it does.
    pub unhealthy: Vec<String>,
    /// The daemon itself.
    pub agent: AgentReport,
    /// Groups, bounds, alarms.
    pub engine: engine::Status,
    /// The files of logs; absent where no policy names any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_files: Option<LogsReport>,
    /// Each collector.
    pub collectors: Vec<forward::Status>,
    /// The durable queue.
    #[serde(default)]
    pub spool: spool::Status,
    /// The history of measures.
    pub measures: series::Status,
    /// The other hosts of the site; absent where no peers are configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peers: Option<peers::Summary>,
    /// Each destination of notifications.
    pub notify: Vec<notify::Status>,
    /// Events dropped on the way to stdout, to disk and to collectors since the start.
    pub dropped: Vec<Dropped>,
    /// Records lost inside the kernel or on the way from it, by reason, since the start.
    pub lost: Vec<Dropped>,
}

/// The daemon itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AgentReport {
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// The host's name.
    pub host: String,
    /// Seconds since it started.
    pub uptime: f64,
    /// Number of the last event.
    pub seq: u64,
    /// Processes in the table.
    pub processes: usize,
    /// For which processes start and exit are told: `all`, `matched` or `none`.
    #[serde(default)]
    pub told: String,
    /// What works less well than it should.
    pub degraded: Vec<String>,
    /// Where its programs are pinned; `None`: nowhere, and they go with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pins: Option<PathBuf>,
    /// Where metrics and health are answered over HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<SocketAddr>,
    /// What it costs.
    pub cost: Cost,
    /// What its programs cost inside the kernel.
    pub kernel: KernelCost,
}

/// The alarms that are on, as their events told them last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlarmsOn {
    /// By name and instance.
    pub alarms: Vec<ToldAlarm>,
    /// How many more are on that no room was left for.
    pub left_out: usize,
}

/// An alarm that is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldAlarm {
    /// `nginx.count.min`
    pub name: String,
    /// What of the bound's set, where it judges several things by themselves.
    pub instance: Option<String>,
    /// Its event, JSON as it went out.
    pub event: Bytes,
}

/// Which groups a process belongs to, and why not to the others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MatchReport {
    /// The process; `None` when there is none by that pid.
    pub process: Option<Described>,
    /// One for each group, in order.
    pub groups: Vec<Verdict>,
}

/// A process as selectors see it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Described {
    /// Its pid; 0 for one that might be.
    pub pid: u32,
    /// Path of its executable.
    pub exe: String,
    /// Its arguments, joined by spaces.
    pub args: String,
    /// The kernel's name of it.
    pub comm: String,
    /// Its user's number.
    pub uid: u32,
    /// Path of its cgroup.
    pub cgroup: String,
}

/// Whether a process belongs to one group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The group, or the job.
    pub group: String,
    /// It is a job.
    #[serde(default)]
    pub job: bool,
    /// Where it is declared.
    pub declared: String,
    /// It does.
    pub belongs: bool,
    /// By what, or what keeps it out, in words.
    pub why: String,
}

/// The running API. Dropping it leaves the socket behind; [`Server::close`] takes it away.
#[derive(Debug)]
pub struct Server {
    queries: mpsc::Sender<Query>,
    task: JoinHandle<()>,
    socket: socket::Bound,
}

/// Listens on the configured socket and hands queries over. Runs on the present tokio runtime. Giving the socket to a
/// group may take CAP_CHOWN: call it before capabilities are dropped.
pub fn spawn(api: &Api) -> Result<(Server, mpsc::Receiver<Query>), BindError> {
    spawn_with(api, CONNECTION_LIFETIME)
}

fn spawn_with(api: &Api, lifetime: Duration) -> Result<(Server, mpsc::Receiver<Query>), BindError> {
    let (listener, socket) = socket::bind(api)?;
    let (queries, inbox) = mpsc::channel(QUERIES);
    let listener = listener::Bounded::new(listener, lifetime);
    let routes = routes::router(queries.clone()).into_make_service_with_connect_info::<listener::Lease>();
    let task = tokio::spawn(async move {
        // It only ends with its task.
        let _ = axum::serve(listener, routes).await;
    });
    Ok((Server { queries, task, socket }, inbox))
}

impl Server {
    /// For others who ask the pipeline.
    pub const fn queries(&self) -> &mpsc::Sender<Query> {
        &self.queries
    }

    /// Stops answering and takes the socket away.
    pub fn close(self) {
        self.task.abort();
        self.socket.remove();
    }
}
