//! `procprobe doctor`: what this kernel and these capabilities allow, line by line, each with its remedy.
//!
//! [`facts`] looks, [`judge`] decides from what was found and is pure. The last line is the proof: where nothing speaks
//! against it, the programs are loaded and attached for a moment. Exit code 77 when anything fails.

mod facts;
mod judge;
mod peers;

use std::fmt::Display;
use std::time::Duration;

use crate::cli::args::DoctorArgs;
use crate::cli::{Exit, block_on, print};
use crate::config::load::Flags;
use crate::kernel::loader::{LoadSettings, attach};
use crate::kernel::pins::Pins;
use crate::peers::{bindable, shared_keys};
use crate::yaml::read::Trust;
use facts::Facts;
use judge::{Line, Verdict, judge};

/// A collector that takes longer to accept a connection is told as out of reach.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

pub(crate) fn doctor(args: &DoctorArgs) -> Exit {
    let flags = Flags {
        config: args.config.clone(),
        state_dir: args.state_dir.clone(),
        collector: args.collector.clone(),
        ..Flags::default()
    };
    let config = flags.config(Trust::OwnerOnly);
    let mut lines = judge(&Facts::gather());
    lines.push(configuration(&config));
    let config = config.unwrap_or_default();
    lines.push(facts::state_dir(&config.state_dir));
    if let Some(path) = &config.pins {
        lines.push(judge::pins(path, Pins::look(path)));
    }
    if let Some(site) = &config.peers {
        lines.push(peers::shared_keys(&shared_keys(&site.key_files)));
        let running = config.api.socket.exists();
        lines.push(peers::socket(site.listen, running, bindable(site.listen)));
    }
    for collector in &config.collectors {
        for endpoint in &collector.endpoints {
            let reached =
                block_on(facts::reach(endpoint, CONNECT_WITHIN)).unwrap_or_else(|error| Err(error.to_string()));
            lines.push(judge::collector(&endpoint.to_string(), reached));
        }
    }
    if lines.iter().all(|line| line.verdict != Verdict::Fail) {
        lines.push(programs(proof()));
    }
    print(&lines.iter().map(ToString::to_string).collect::<String>());
    let failed = lines.iter().any(|line| line.verdict == Verdict::Fail);
    if failed { Exit::Kernel } else { Exit::Well }
}

fn configuration<C, E: Display>(read: &Result<C, E>) -> Line {
    match read {
        Ok(_) => Line::new(Verdict::Ok, "configuration", "no errors".to_owned()),
        Err(wrong) => Line::new(Verdict::Fail, "configuration", wrong.to_string()).remedy("mend the file"),
    }
}

fn programs(tried: Result<(), String>) -> Line {
    match tried {
        Ok(()) => Line::new(Verdict::Ok, "programs", "they load and attach".to_owned()),
        Err(why) => Line::new(Verdict::Fail, "programs", why),
    }
}

/// Loads and attaches the programs, and lets go of them at once.
fn proof() -> Result<(), String> {
    let settings = LoadSettings { ring_bytes: 1 << 16, ..LoadSettings::default() };
    block_on(async { attach(settings, None).map(drop).map_err(|error| error.to_string()) })
        .unwrap_or_else(|error| Err(format!("no runtime to try them in: {error}")))
}
