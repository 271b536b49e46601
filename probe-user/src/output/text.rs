//! An event as one line for people: local time, severity, what it is, the sentence.

use std::io::{self, IsTerminal as _};

use bytes::Bytes;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::event::{Severity, Stamped, clean};

/// Renders events for a terminal.
#[derive(Clone, Debug)]
pub struct Text {
    colours: bool,
    zone: TimeZone,
}

impl Text {
    /// In the host's time zone.
    pub fn new(colours: bool) -> Self {
        Self::in_zone(colours, TimeZone::system())
    }

    /// With colours when stdout is a terminal and `NO_COLOR` is not set.
    pub fn for_stdout() -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self::new(io::stdout().is_terminal() && !no_color)
    }

    /// The day of an event, for lines that only have its time.
    pub fn day(&self, time: &str) -> String {
        let time = time.parse::<Timestamp>();
        time.map_or_else(|_| String::new(), |time| time.to_zoned(self.zone.clone()).date().to_string())
    }

    /// In this time zone.
    pub const fn in_zone(colours: bool, zone: TimeZone) -> Self {
        Self { colours, zone }
    }

    /// One line with its newline.
    pub fn render(&self, event: &Stamped) -> Bytes {
        self.line(&event.time, event.severity, event.name, &event.body)
    }

    /// The same of an event's fields, wherever they come from.
    pub fn line(&self, time: &str, severity: Severity, name: &str, body: &str) -> Bytes {
        let time = time
            .parse::<Timestamp>()
            .map_or_else(|_| clean(time), |time| time.to_zoned(self.zone.clone()).strftime("%H:%M:%S%.3f").to_string());
        let name = if name.contains(char::is_control) { clean(name) } else { name.to_owned() };
        let short = name.strip_prefix("procprobe.").unwrap_or(&name);
        // A body is one sentence; should a newline slip in, it must not look like another event.
        let body = if body.contains(char::is_control) { clean(body) } else { body.to_owned() };
        let (dim, strong, end) = match (self.colours, severity) {
            (false, _) => ("", "", ""),
            (true, Severity::Info) => ("\x1b[2m", "", "\x1b[0m"),
            (true, Severity::Warning) => ("\x1b[2m", "\x1b[33m", "\x1b[0m"),
            (true, Severity::Critical) => ("\x1b[2m", "\x1b[1;31m", "\x1b[0m"),
        };
        let severity = severity.as_str();
        let (severity_end, short_end) = if strong.is_empty() { ("", end) } else { (end, end) };
        format!("{dim}{time}{end} {strong}{severity:<8}{severity_end} {dim}{short:<15}{short_end} {body}\n").into()
    }
}
