//! The daemon's log: `tracing` to stderr, as text or JSON. Events never go here, and nothing of the log goes to stdout.
//!
//! `RUST_LOG` chooses what is logged; without it, or when it is wrong (that is told), everything from `info` up.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

/// How the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging; once for the life of the process.
pub fn start(format: LogFormat) -> Result<(), TryInitError> {
    let wanted = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    let builder = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into());
    let (filter, wrong) = match builder.parse(&wanted) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("info"), Some(error)),
    };
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match format {
        LogFormat::Text => {
            let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            subscriber.with_ansi(io::stderr().is_terminal() && !no_color).with_target(false).finish().try_init()?;
        }
        LogFormat::Json => subscriber.json().flatten_event(true).finish().try_init()?,
    }
    if let Some(error) = wrong {
        tracing::warn!(%error, "RUST_LOG is not understood; logging from info up");
    }
    Ok(())
}
