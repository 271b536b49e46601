//! `procprobe status`: asks the daemon how it stands. Exit code 1 when the daemon is unhealthy (GET /health says the same),
//! when something fires or cannot be delivered, or when no daemon answers.

mod render;

use serde_json::Value;

use super::args::{Format, StatusArgs};
use super::{Exit, answer, print};
use crate::serve::client;
pub(super) use render::{list, word};

pub(super) fn status(args: &StatusArgs) -> Exit {
    let Some(report) = answer(client::status(&args.socket)) else { return Exit::NotWell };
    match args.format {
        Format::Text => print(&render::text(&report)),
        // `{:#}` of a JSON value is its indented text.
        Format::Json => print(&format!("{report:#}\n")),
    }
    if is_healthy(&report) { Exit::Well } else { Exit::NotWell }
}

/// The daemon does its work, nothing fires, every collector takes events and metrics, and every destination alarms.
fn is_healthy(report: &Value) -> bool {
    let firing = report["engine"]["firing"].as_array().is_some_and(|firing| !firing.is_empty());
    let unhealthy = report["unhealthy"].as_array().is_some_and(|reasons| !reasons.is_empty());
    let mut ways_out = ["collectors", "notify"].iter().flat_map(|key| report[*key].as_array().into_iter().flatten());
    let is_well = |way: &Value| way["healthy"].as_bool().unwrap_or(true);
    !firing && !unhealthy && ways_out.all(|way| is_well(way) && is_well(&way["metrics"]))
}
