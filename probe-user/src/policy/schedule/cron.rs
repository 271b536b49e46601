//! The five fields of cron, held against dates and times of day; time zones are somebody else's business.
//!
//! Numbers, `*`, ranges, steps (`*/5`, `8-18/2`), lists, English names of months and weekdays, and `@hourly` to
//! `@yearly`. As in cron, a day matches when both of its fields do if one of them begins with `*`, and when either does
//! otherwise. Extensions of other programs (seconds, years, `L`, `W`, `#`) are refused: cron would not run them.

use jiff::civil::{Date, DateTime, Time};

/// A schedule without a time in so many years never has one: a leap day on a certain weekday comes back after 28 years,
/// after 40 where a century without one lies in between.
pub(super) const YEARS: i16 = 41;

/// A leap year to begin a search in.
const LEAP_YEAR: i16 = 2000;

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

const NICKNAMES: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

/// What one field allows.
struct Kind {
    name: &'static str,
    first: u8,
    last: u8,
    /// From `first` on.
    names: &'static [&'static str],
}

const KINDS: [Kind; 5] = [
    Kind { name: "minute", first: 0, last: 59, names: &[] },
    Kind { name: "hour", first: 0, last: 23, names: &[] },
    Kind { name: "day of the month", first: 1, last: 31, names: &[] },
    Kind { name: "month", first: 1, last: 12, names: &MONTHS },
    Kind { name: "day of the week", first: 0, last: 7, names: &WEEKDAYS },
];

/// Numbers below 64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Set(u64);

impl Set {
    fn add(&mut self, number: u8) {
        self.0 |= 1 << (number & 63);
    }

    fn has(self, number: i8) -> bool {
        u8::try_from(number).is_ok_and(|number| self.0 & (1 << (number & 63)) != 0)
    }

    /// The least number that is not below `from`.
    fn first_from(self, from: i8) -> Option<i8> {
        (from.max(0)..60).find(|number| self.has(*number))
    }
}

/// What the fields say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cron {
    minutes: Set,
    hours: Set,
    days: Set,
    months: Set,
    weekdays: Set,
    /// Neither field of the day begins with `*`: either of them is enough.
    either_day: bool,
    wild: bool,
}

impl Cron {
    /// The error says which field is wrong and what it may hold.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = match NICKNAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
            Some((_, fields)) => fields,
            None if text.starts_with('@') => {
                let names: Vec<&str> = NICKNAMES.iter().map(|(name, _)| *name).collect();
                return Err(format!("expected one of {}, or five fields", names.join(", ")));
            }
            None => text,
        };
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            let names = KINDS.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ");
            return Err(format!("expected five fields ({names}), found {}", fields.len()));
        };
        let [minutes, hours, days, months, weekdays] = &KINDS;
        let is_star = |field: &str| field.starts_with('*');
        let mut cron = Self {
            minutes: minutes.read(minute)?,
            hours: hours.read(hour)?,
            days: days.read(day)?,
            months: months.read(month)?,
            weekdays: weekdays.read(weekday)?,
            either_day: !is_star(day) && !is_star(weekday),
            wild: is_star(minute) || is_star(hour),
        };
        if cron.weekdays.has(7) {
            cron.weekdays.add(0);
        }
        if cron.first_from(DateTime::constant(LEAP_YEAR, 1, 1, 0, 0, 0, 0)).is_none() {
            return Err("there is no such day in any year".to_owned());
        }
        Ok(cron)
    }

    /// It follows the clock on the wall: minute or hour begins with `*`.
    pub(super) const fn is_wild(&self) -> bool {
        self.wild
    }

    /// The first time at or after `from`.
    pub(super) fn first_from(&self, from: DateTime) -> Option<DateTime> {
        let (mut date, mut hour, mut minute) = (from.date(), from.hour(), from.minute());
        if from.second() > 0 || from.subsec_nanosecond() > 0 {
            minute += 1;
        }
        while date.year() <= from.year().saturating_add(YEARS) {
            if !self.months.has(date.month()) {
                date = date.last_of_month().tomorrow().ok()?;
                (hour, minute) = (0, 0);
                continue;
            }
            if let Some(time) = self.matches_day(date).then(|| self.first_time_from(hour, minute)).flatten() {
                return Some(DateTime::from_parts(date, time));
            }
            date = date.tomorrow().ok()?;
            (hour, minute) = (0, 0);
        }
        None
    }

    fn first_time_from(&self, hour: i8, minute: i8) -> Option<Time> {
        let same_hour = self.hours.has(hour).then(|| self.minutes.first_from(minute)).flatten();
        let (hour, minute) = match same_hour {
            Some(minute) => (hour, minute),
            None => (self.hours.first_from(hour + 1)?, self.minutes.first_from(0)?),
        };
        Time::new(hour, minute, 0, 0).ok()
    }

    fn matches_day(&self, date: Date) -> bool {
        let (day, weekday) = (self.days.has(date.day()), self.weekdays.has(date.weekday().to_sunday_zero_offset()));
        if self.either_day { day || weekday } else { day && weekday }
    }
}

impl Kind {
    fn read(&self, field: &str) -> Result<Set, String> {
        let mut set = Set::default();
        for part in field.split(',') {
            self.read_part(part, &mut set)?;
        }
        Ok(set)
    }

    fn read_part(&self, part: &str, set: &mut Set) -> Result<(), String> {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (part, None),
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (self.first, self.last),
            Some((first, last)) => (self.number(first)?, self.number(last)?),
            None if step.is_some() => return Err(format!("{}: a step needs a range: */5 or 0-30/5", self.name)),
            None => {
                let number = self.number(range)?;
                (number, number)
            }
        };
        // Friday to Sunday.
        let last = if self.last == 7 && last == 0 && first > 0 { 7 } else { last };
        if first > last {
            return Err(format!("{}: the range {first}-{last} runs backwards", self.name));
        }
        let step = match step.map(str::parse::<u8>) {
            None => 1,
            Some(Ok(step)) if step > 0 && step <= self.last => step,
            Some(_) => return Err(format!("{}: a step is a number from 1 to {}", self.name, self.last)),
        };
        (first..=last).step_by(usize::from(step)).for_each(|number| set.add(number));
        Ok(())
    }

    fn number(&self, word: &str) -> Result<u8, String> {
        let named = self.names.iter().zip(self.first..).find(|(name, _)| name.eq_ignore_ascii_case(word));
        if let Some((_, number)) = named {
            return Ok(number);
        }
        let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
        let number = word.parse::<u8>().ok().filter(|number| is_number && (self.first..=self.last).contains(number));
        number.ok_or_else(|| {
            let or_named = match self.names {
                [first, .., last] => format!(" or {first} to {last}"),
                _ => String::new(),
            };
            let word: String = word.chars().take(16).collect();
            format!("{}: expected {} to {}{or_named}, found {word:?}", self.name, self.first, self.last)
        })
    }
}
