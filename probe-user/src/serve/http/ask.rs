//! Questions to the pipeline: each waits so long and no longer, and says in words why there is no answer.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::engine::Roster;
use crate::peers::PeersReport;
use crate::series::HistoryReport;
use crate::serve::{AlarmsOn, Query, StatusReport};
use crate::spool::View;

/// The way to the pipeline.
#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    queries: mpsc::Sender<Query>,
    within: Duration,
}

impl Pipeline {
    pub(super) fn new(queries: mpsc::Sender<Query>, within: Duration) -> Self {
        Self { queries, within }
    }

    async fn ask<T>(&self, query: impl FnOnce(oneshot::Sender<T>) -> Query) -> Result<T, String> {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            self.queries.send(query(reply)).await.ok()?;
            answer.await.ok()
        };
        match timeout(self.within, asked).await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err("the daemon is ending".to_owned()),
            Err(_) => Err(format!("the daemon stands still: no answer within {:?}", self.within)),
        }
    }

    /// What `procprobe status` gets.
    pub(super) async fn status(&self) -> Result<StatusReport, String> {
        self.ask(|reply| Query::Status { reply }).await
    }

    /// The alarms that are on.
    pub(super) async fn alarms(&self) -> Result<AlarmsOn, String> {
        self.ask(|reply| Query::Alarms { reply }).await
    }

    /// The members of a group or job; `None` where there is none of this name.
    pub(super) async fn group(&self, name: String) -> Result<Option<Roster>, String> {
        self.ask(|reply| Query::Group { name, reply }).await
    }

    /// What a group or job used; `None` where there is none of this name.
    pub(super) async fn history(
        &self,
        name: String,
        since: Duration,
        step: Option<Duration>,
    ) -> Result<Option<HistoryReport>, String> {
        self.ask(|reply| Query::History { name, since, step, reply }).await
    }

    /// Everybody of the site; `None` where no peers are configured.
    pub(super) async fn peers(&self) -> Result<Option<PeersReport>, String> {
        self.ask(|reply| Query::Peers { reply }).await
    }

    /// The way to the events that are not older.
    pub(super) async fn events(&self, since: Option<Duration>) -> Result<View, String> {
        self.ask(|reply| Query::Events { since, follow: false, reply }).await
    }
}
