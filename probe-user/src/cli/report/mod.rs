//! `procprobe report`: the local history summed up: alarms, jobs, processes, losses.
//!
//! It reads what `procprobe events --since` reads, once, and keeps sums alone: a long history takes time and no memory.

mod groups;
mod render;
mod summary;
mod told;

use super::args::{Format, ReportArgs};
use super::{Exit, block_on, complain, print};
use crate::serve::client::{self, Told};

use self::summary::Adder;

pub(super) fn report(args: &ReportArgs) -> Exit {
    let told = Told { since: Some(args.since.clone()), name: None, follow: false };
    let mut adder = Adder::default();
    let take = |line: &[u8]| {
        adder.line(line);
        true
    };
    let answered = block_on(client::events(&args.socket, &told, take));
    let failed = match answered {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(error) => Some(error.to_string()),
    };
    if let Some(why) = failed {
        complain(&format!("procprobe: {why}"));
        return Exit::NotWell;
    }
    let sum = adder.summary();
    match args.format {
        Format::Text => print(&render::text(&args.since, &sum)),
        Format::Json => match serde_json::to_string_pretty(&sum) {
            Ok(json) => print(&format!("{json}\n")),
            Err(error) => {
                complain(&format!("procprobe: {error}"));
                return Exit::NotWell;
            }
        },
    }
    Exit::Well
}
