//! What collectors of metrics are sent, asked for as the local API asks: nothing is computed in between.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::event::Host;
use crate::forward::{Ask, Snapshot};
use crate::metrics;
use crate::serve::{Query, StatusReport};
use crate::time::Wall;

/// Asks the pipeline; no snapshot where it is gone or busy with many other questions.
pub(super) fn ask(queries: mpsc::Sender<Query>, host: Arc<Host>) -> Ask {
    Box::new(move || {
        let (queries, host) = (queries.clone(), Arc::clone(&host));
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            queries.try_send(Query::Status { reply }).ok()?;
            Some(snapshot(&answer.await.ok()?, host))
        })
    })
}

fn snapshot(report: &StatusReport, host: Arc<Host>) -> Snapshot {
    let uptime = Duration::try_from_secs_f64(report.agent.uptime).unwrap_or_default();
    let began = report.time.0.saturating_sub(i64::try_from(uptime.as_nanos()).unwrap_or(i64::MAX));
    Snapshot { host, began: Wall(began), at: report.time, families: metrics::families(report) }
}
