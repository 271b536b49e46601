//! When a job is to run: a cron expression in a time zone.
//!
//! What cron (Vixie's, as Debian ships it) does with a clock change is what is expected here:
//! - a job at fixed times (neither minute nor hour begins with `*`) whose time falls into a gap is due at the first
//!   moment after the gap, once even if several of its times do; a time that comes twice is due the first time only;
//! - any other job follows the clock on the wall: nothing in a gap, and again in the hour that comes twice.
//!
//! Reading a schedule reads the host's time zone database; afterwards everything is computed, without I/O. A search ends
//! after [`cron::YEARS`](cron) years, and a schedule that has no time at all is refused when it is read.

mod cron;

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

use self::cron::Cron;
use crate::time::Wall;

/// Longest text of a schedule, in bytes.
const TEXT_MAX: usize = 256;

/// Where the host's own zone is named; without the file it is UTC.
const LOCALTIME: &str = "/etc/localtime";

/// Searches for a time in the past look back over these, in seconds, one after the other: minute, hour, day, month,
/// year, and beyond the rarest schedule.
const STRIDES: [i64; 6] = [60, 3_600, 86_400, 32 * 86_400, 367 * 86_400, 41 * 366 * 86_400];

/// A cron expression of five fields in a time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    text: Box<str>,
    cron: Cron,
    zone: TimeZone,
}

/// A stretch of time with one offset from UTC.
struct Period {
    /// The moment of the clock change that began it, and the offset before.
    begin: Option<(Timestamp, Offset)>,
    offset: Offset,
    /// Its end, exclusive.
    end: Option<Timestamp>,
}

impl Schedule {
    /// From `schedule` and `timezone` (an IANA name; `None`: the host's). The error says what was expected.
    pub fn parse(text: &str, zone: Option<&str>) -> Result<Self, String> {
        let text = text.trim();
        if text.len() > TEXT_MAX {
            return Err(format!("a schedule has at most {TEXT_MAX} characters"));
        }
        let cron = Cron::parse(text)?;
        let zone = match zone {
            Some(name) => named_zone(name)?,
            None => host_zone()?,
        };
        Ok(Self { text: text.into(), cron, zone })
    }

    /// The expression, as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The zone's IANA name; `local` where the host does not tell the name of its own.
    pub fn zone(&self) -> &str {
        self.zone.iana_name().unwrap_or("local")
    }

    /// A time as it reads in the zone: `2026-11-22T02:00:00+09:00[Asia/Seoul]`.
    pub fn shown(&self, time: Wall) -> String {
        Timestamp::from_nanosecond(i128::from(time.0))
            .map_or_else(|_| time.rfc3339(), |time| time.to_zoned(self.zone.clone()).to_string())
    }

    /// The first scheduled time after `after`; `None` when there is none.
    pub fn next_after(&self, after: Wall) -> Option<Wall> {
        let from = Timestamp::from_nanosecond(i128::from(after.0) + 1).ok()?;
        let mut period = self.period_of(from);
        let mut from = from;
        // Each turn of the loop is one clock change further; the search in civil time ends by itself.
        loop {
            if let Some(due) = self.due_after_gap(&period).filter(|due| *due >= from) {
                return wall(due);
            }
            let mut civil = period.offset.to_datetime(from);
            if let (Some((begin, before)), false) = (period.begin, self.cron.is_wild()) {
                // What the clock showed before it was set back has been.
                civil = civil.max(before.to_datetime(begin));
            }
            let due = period.offset.to_timestamp(self.cron.first_from(civil)?).ok()?;
            let Some(end) = period.end.filter(|end| due >= *end) else { return wall(due) };
            from = end;
            period = self.period_of(end);
        }
    }

    /// The last scheduled time at or before `at`, if there is one in living memory.
    pub fn last_until(&self, at: Wall) -> Option<Wall> {
        let from = STRIDES.iter().find_map(|stride| {
            let from = Wall(at.0.saturating_sub(stride.saturating_mul(1_000_000_000)));
            self.next_after(from).filter(|first| *first <= at)
        });
        std::iter::successors(from, |time| self.next_after(*time)).take_while(|time| *time <= at).last()
    }

    fn period_of(&self, at: Timestamp) -> Period {
        let offset = self.zone.to_offset(at);
        // Asked for what came before the next nanosecond, the database says what came until now.
        let until = at + jiff::SignedDuration::from_nanos(1);
        let change = self.zone.preceding(until).next().map(|change| change.timestamp());
        let begin = change.and_then(|change| {
            let before = change.checked_sub(jiff::SignedDuration::from_nanos(1)).ok()?;
            Some((change, self.zone.to_offset(before)))
        });
        Period { begin, offset, end: self.zone.following(at).next().map(|change| change.timestamp()) }
    }

    /// The beginning of a period, where a fixed time fell into the gap before it.
    fn due_after_gap(&self, period: &Period) -> Option<Timestamp> {
        let (begin, before) = period.begin.filter(|_| !self.cron.is_wild())?;
        let missed = self.cron.first_from(before.to_datetime(begin))?;
        (missed < period.offset.to_datetime(begin)).then_some(begin)
    }
}

fn wall(time: Timestamp) -> Option<Wall> {
    i64::try_from(time.as_nanosecond()).ok().map(Wall)
}

fn named_zone(name: &str) -> Result<TimeZone, String> {
    // It needs no database, and is all that is left where there is none.
    if name == "UTC" {
        return Ok(TimeZone::UTC);
    }
    TimeZone::get(name).map_err(|_| {
        if jiff::tz::db().is_definitively_empty() {
            return "the host has no time zone database: install tzdata, or use UTC".to_owned();
        }
        "no such time zone: expected a name such as Asia/Seoul, as /usr/share/zoneinfo has them".to_owned()
    })
}

fn host_zone() -> Result<TimeZone, String> {
    TimeZone::try_system().or_else(|error| {
        if std::env::var_os("TZ").is_none() && !std::path::Path::new(LOCALTIME).exists() {
            return Ok(TimeZone::UTC);
        }
        Err(format!("the host's time zone is not known ({error}): say which with timezone"))
    })
}

#[cfg(test)]
mod tests;
