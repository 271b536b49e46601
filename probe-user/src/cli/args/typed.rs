//! The values that options take: words to choose from, and texts that are checked while they are read.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

use crate::config::values;
use crate::engine::Processes;
use crate::forward::{Endpoint, Protocol};
use crate::policy::glob::Glob;
use crate::series::Figure;
use crate::{output, yaml};

/// Which file a schema is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// Policy files
    Policies,
    /// The configuration file
    Config,
}

/// How an answer looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

/// How a report looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For people
    Text,
    /// For programs
    Json,
    /// For people who are not here: one page of HTML with charts, that needs nothing else
    Html,
}

impl From<Format> for output::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::Text => Self::Text,
            Format::Json => Self::Json,
        }
    }
}

/// For which processes start and exit are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Told {
    /// Those that belong to a group
    Matched,
    /// Every one
    All,
    /// None
    None,
}

/// `--protocol`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Sent {
    /// POST of application/x-ndjson
    Ndjson,
    /// OTLP/HTTP: logs and metrics
    Otlp,
}

impl From<Sent> for Protocol {
    fn from(sent: Sent) -> Self {
        match sent {
            Sent::Ndjson => Self::Ndjson,
            Sent::Otlp => Self::Otlp,
        }
    }
}

impl From<Told> for Processes {
    fn from(told: Told) -> Self {
        match told {
            Told::Matched => Self::Matched,
            Told::All => Self::All,
            Told::None => Self::None,
        }
    }
}

pub(super) fn endpoint(text: &str) -> Result<Endpoint, String> {
    Endpoint::parse(text).map_err(|error| error.to_string())
}

pub(super) fn socket(text: &str) -> Result<PathBuf, String> {
    values::socket(PathBuf::from(text))
}

pub(super) fn pin_dir(text: &str) -> Result<PathBuf, String> {
    values::pins(text)?.ok_or_else(|| "expected an absolute path; --no-pin pins nothing".into())
}

pub(super) fn past(text: &str) -> Result<String, String> {
    yaml::units::duration(text).map(|_| text.to_owned())
}

pub(super) fn name_glob(text: &str) -> Result<String, String> {
    Glob::name(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

pub(super) fn measure(text: &str) -> Result<String, String> {
    let names = || Figure::all().map(|figure| figure.measure().as_str()).collect::<Vec<_>>().join(", ");
    Figure::named(text).map(|_| text.to_owned()).ok_or_else(|| format!("expected one of {}", names()))
}

pub(super) fn sample_interval(text: &str) -> Result<Duration, String> {
    values::sample_interval(yaml::units::duration(text)?)
}

pub(super) fn cpu_limit(text: &str) -> Result<f64, String> {
    values::cpu_limit(yaml::units::percent(text)?)
}

pub(super) fn memory_limit(text: &str) -> Result<u64, String> {
    values::memory_limit(yaml::units::size(text)?)
}

pub(super) fn max_size(text: &str) -> Result<u64, String> {
    let bytes = yaml::units::size(text)?;
    if bytes >= 1 << 16 { Ok(bytes) } else { Err("a recording needs 64KiB at least".into()) }
}

pub(super) fn ring_bytes(text: &str) -> Result<u32, String> {
    match text.parse::<u32>() {
        Ok(bytes) if bytes.is_power_of_two() && (4096..=1 << 30).contains(&bytes) => Ok(bytes),
        _ => Err("expected a power of two from 4096 to 1073741824".into()),
    }
}

pub(super) fn pid(text: &str) -> Result<u32, String> {
    text.parse()
        .map_err(|_| "a process is named by its number, as `pgrep` prints it; --exe describes one that might be".into())
}
