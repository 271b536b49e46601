//! `procprobe report`: the local history summed up: alarms, jobs, processes, losses, what groups used, and bounds that follow
//! from that.
//!
//! It reads what `procprobe events --since` and `procprobe history` read, once, and keeps sums alone: a long history takes time and
//! no memory.

mod chart;
mod groups;
mod html;
mod render;
mod summary;
mod told;
mod used;

use serde::Serialize;

use super::args::{ReportArgs, ReportFormat};
use super::{Exit, answer, print};
use crate::series::HistoryReport;
use crate::serve::client::{self, AskError, Told};

use self::groups::{Groups, Now};
use self::summary::{Adder, Summary};

/// Groups that a page has charts of.
const CHARTS: usize = 12;

/// All of it.
#[derive(Debug, Serialize)]
struct Whole {
    #[serde(flatten)]
    sum: Summary,
    #[serde(flatten)]
    groups: Groups,
}

pub(super) fn report(args: &ReportArgs) -> Exit {
    let Some(text) = answer(ask(args)) else { return Exit::NotWell };
    print(&text);
    Exit::Well
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
enum ReportError {
    /// The daemon cannot be asked.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// What came of it cannot be written.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

async fn ask(args: &ReportArgs) -> Result<String, ReportError> {
    let told = Told { since: Some(args.since.clone()), name: None, follow: false };
    let mut adder = Adder::default();
    let take = |line: &[u8]| {
        adder.line(line);
        true
    };
    client::events(&args.socket, &told, take).await?;
    let measures = client::measures(&args.socket, &args.since).await?;
    let now: Now = client::status_as(&args.socket).await?;
    let whole = Whole { sum: adder.summary(), groups: groups::groups(measures, &now) };
    Ok(match args.format {
        ReportFormat::Text => render::text(&args.since, &whole.sum, &whole.groups),
        ReportFormat::Json => format!("{}\n", serde_json::to_string_pretty(&whole)?),
        ReportFormat::Html => {
            let mut charts: Vec<HistoryReport> = Vec::new();
            for name in whole.groups.names(CHARTS) {
                // One that went with a reload meanwhile has no chart.
                charts.extend(client::history(&args.socket, &name, &args.since, None).await.ok());
            }
            html::page(&args.since, &whole, &charts)
        }
    })
}
