//! When a job is to run: a cron expression in a time zone.

use crate::time::Wall;

/// A cron expression of five fields in a time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    cron: Box<str>,
    zone: Box<str>,
}

impl Schedule {
    /// From `schedule` and `timezone` (an IANA name; `None`: the host's). The error says what was expected.
    pub fn parse(cron: &str, zone: Option<&str>) -> Result<Self, String> {
        Ok(Self { cron: cron.into(), zone: zone.unwrap_or("UTC").into() })
    }

    /// The first scheduled time after `after`; `None` when there is none.
    pub fn next_after(&self, after: Wall) -> Option<Wall> {
        let _ = (after, &self.cron, &self.zone);
        None
    }
}
