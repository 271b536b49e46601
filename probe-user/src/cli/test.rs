//! `procprobe test`: plays the tests of the given policies.

use super::args::{Format, TestArgs};
use super::{Exit, complain, print};
use crate::policy;
use crate::trial::{self, Outcome, report};
use crate::yaml::read::Trust;

pub(super) fn test(args: &TestArgs) -> Exit {
    let loaded = match policy::load_anywhere(&args.paths, Trust::Anyone) {
        Ok(loaded) => loaded,
        wrong => {
            complain(&policy::report(&wrong));
            return Exit::NotWell;
        }
    };
    let outcomes: Vec<Outcome> = loaded.trials.iter().map(|of| trial::run(of, &loaded.policies)).collect();
    match args.format {
        Format::Text => print(&format!("{}\n", report::text(&outcomes))),
        Format::Json => match serde_json::to_string_pretty(&outcomes) {
            Ok(json) => print(&format!("{json}\n")),
            Err(error) => complain(&format!("procprobe: {error}")),
        },
    }
    if outcomes.iter().all(|outcome| outcome.passed) { Exit::Well } else { Exit::NotWell }
}
