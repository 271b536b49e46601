//! `procprobe record`: everything that the kernel tells, into a file.

use std::fmt::Write as _;

use super::args::RecordArgs;
use super::run::orders;
use super::{Exit, complain};
use crate::config::load::{Flags, host_labels};
use crate::engine::text::span;
use crate::host::lacks;
use crate::pipeline::recorder::{self, RecordSettings, Recorded};
use crate::policy::spec::Users;
use crate::policy::{self, users};
use crate::recording::facts::Ended;
use crate::telemetry::{self, LogFormat};
use crate::yaml::read::Trust;

pub(super) fn record(args: &RecordArgs) -> Exit {
    if let Err(error) = telemetry::start(LogFormat::default()) {
        complain(&format!("procprobe: the log cannot be started: {error}"));
    }
    let flags = Flags { config: args.config.clone(), sample_interval: args.sample_interval, ..Flags::default() };
    let config = match flags.config(Trust::OwnerOnly) {
        Ok(config) => config,
        Err(wrong) => {
            complain(&wrong.to_string());
            return Exit::Config;
        }
    };
    let users = users::read().unwrap_or_else(|error| {
        tracing::warn!("/etc/passwd cannot be read ({error}): users are known by number only");
        Users::default()
    });
    let host = host_labels(&config);
    let policies = match policy::load(&args.policies, &host, &lacks::read(), Trust::OwnerOnly) {
        Ok(loaded) => loaded.policies,
        wrong => {
            complain(&policy::report(&wrong));
            return Exit::Config;
        }
    };
    let settings = RecordSettings {
        path: args.file.clone(),
        max_bytes: args.max_size,
        duration: args.duration,
        sample_interval: config.sample_interval,
        args_max: if args.no_args { 0 } else { config.events.args_max },
        host,
        users,
        policies,
        socket: config.api.socket.clone(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(async {
            let orders = orders()?;
            let ready = || complain(&format!("procprobe: recording to {}", args.file.display()));
            recorder::record(settings, orders, ready).await
        }),
        Err(error) => Err(error.into()),
    };
    match ended {
        Ok(recorded) => {
            complain(&format!("procprobe: {}", told(&recorded)));
            Exit::Well
        }
        Err(error) => {
            complain(&format!("procprobe: {error}"));
            error.exit()
        }
    }
}

/// What was written, and how fast the file grew.
fn told(recorded: &Recorded) -> String {
    let Recorded { ended, lasted, bytes, written } = recorded;
    let why = match ended {
        Ended::Stopped => "stopped",
        Ended::Duration => "the time is over",
        Ended::Full => "the file is full (--max-size): what came after that is not in it",
    };
    let secs = lasted.as_secs_f64().max(1e-3);
    let mib = |bytes: f64| bytes / 1_048_576.0;
    let mut text = format!(
        "{why}; {} recorded: {} kernel records ({:.0} a second), {} usage rows, {:.1} MiB ({:.1} MiB an hour, 1:{:.1} compressed)",
        span(*lasted),
        written.records,
        written.records as f64 / secs,
        written.usage_rows,
        mib(*bytes as f64),
        mib(*bytes as f64 / secs * 3600.0),
        written.raw_bytes as f64 / (*bytes).max(1) as f64,
    );
    if written.lost > 0 {
        let _ = write!(text, "; {} records were lost", written.lost);
    }
    text
}
