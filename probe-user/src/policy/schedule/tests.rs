use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;

fn wall_at(text: &str) -> Wall {
    let time: Timestamp = text.parse().unwrap();
    Wall(i64::try_from(time.as_nanosecond()).unwrap())
}

/// The scheduled times after `from`, as many as expected are, in UTC and to the minute.
#[track_caller]
fn check(cron: &str, zone: &str, from: &str, expected: &[&str]) {
    let schedule = Schedule::parse(cron, Some(zone)).unwrap();
    let first = schedule.next_after(wall_at(from));
    let times: Vec<Wall> =
        std::iter::successors(first, |time| schedule.next_after(*time)).take(expected.len()).collect();
    let shown: Vec<String> =
        times.iter().map(|time| time.to_string().trim_end_matches(":00.000000000Z").to_owned()).collect();
    assert_eq!(shown, expected, "{cron} in {zone} after {from}");
    for pair in times.windows(2) {
        assert_eq!(schedule.last_until(Wall(pair[1].0 - 1)), Some(pair[0]), "{cron} backwards");
        assert_eq!(schedule.last_until(pair[1]), Some(pair[1]), "{cron} at itself");
    }
}

#[test]
fn fields_are_those_of_cron() {
    let check = |cron, expected: &[&str]| check(cron, "UTC", "2026-11-22T03:12:30Z", expected);
    check("* * * * *", &["2026-11-22T03:13", "2026-11-22T03:14"]);
    check("12 3 * * *", &["2026-11-23T03:12", "2026-11-24T03:12"]);
    check("*/20 9-11/2 * * *", &["2026-11-22T09:00", "2026-11-22T09:20", "2026-11-22T09:40", "2026-11-22T11:00"]);
    check("5,10 0 1 jan,JUL *", &["2027-01-01T00:05", "2027-01-01T00:10", "2027-07-01T00:05"]);
    // 2026-11-22 is a Sunday: 0, 7 and sun are all of them.
    check("0 12 * * 0", &["2026-11-22T12:00", "2026-11-29T12:00"]);
    check("0 12 * * 7", &["2026-11-22T12:00", "2026-11-29T12:00"]);
    check("0 12 * * fri-sun", &["2026-11-22T12:00", "2026-11-27T12:00", "2026-11-28T12:00", "2026-11-29T12:00"]);
    // Both days given: either is enough. One of them with a star in front: both must match.
    check("0 0 1 * mon", &["2026-11-23T00:00", "2026-11-30T00:00", "2026-12-01T00:00"]);
    check("0 0 */10 * mon", &["2026-12-21T00:00", "2027-01-11T00:00"]);
    check("0 0 31 * *", &["2026-12-31T00:00", "2027-01-31T00:00", "2027-03-31T00:00"]);
    check("0 0 29 2 *", &["2028-02-29T00:00", "2032-02-29T00:00"]);
    check("0 0 29 2 */7", &["2032-02-29T00:00", "2060-02-29T00:00"]);
    check("@hourly", &["2026-11-22T04:00", "2026-11-22T05:00"]);
    check("@Daily", &["2026-11-23T00:00"]);
    check("@weekly", &["2026-11-29T00:00"]);
    check("@monthly", &["2026-12-01T00:00"]);
    check("@yearly", &["2027-01-01T00:00"]);
}

#[test]
fn a_zone_moves_the_times() {
    check("0 2 * * *", "Asia/Seoul", "2026-11-22T03:12:00Z", &["2026-11-22T17:00", "2026-11-23T17:00"]);
    check("30 2 * * *", "Asia/Kolkata", "2026-11-22T03:12:00Z", &["2026-11-22T21:00"]);
}

#[test]
fn a_time_in_the_gap_comes_right_after_it() {
    // New York, 2026-03-08: 02:00 becomes 03:00 at 07:00 UTC.
    let check = |cron, expected: &[&str]| check(cron, "America/New_York", "2026-03-07T12:00:00Z", expected);
    check("30 2 * * *", &["2026-03-08T07:00", "2026-03-09T06:30"]);
    check("0 3 * * *", &["2026-03-08T07:00", "2026-03-09T07:00"]);
    check("15,45 2 * * *", &["2026-03-08T07:00", "2026-03-09T06:15", "2026-03-09T06:45"]);
    check("30 1-3 8 * *", &["2026-03-08T06:30", "2026-03-08T07:00", "2026-03-08T07:30"]);
    // What follows the clock has nothing in the gap.
    check("30 * 8 3 *", &["2026-03-08T05:30", "2026-03-08T06:30", "2026-03-08T07:30"]);
    check("*/30 2 * * *", &["2026-03-09T06:00", "2026-03-09T06:30"]);
}

#[test]
fn a_time_that_comes_twice_is_due_once() {
    // Berlin, 2026-10-25: 03:00 becomes 02:00 at 01:00 UTC.
    let in_berlin = |cron, expected: &[&str]| check(cron, "Europe/Berlin", "2026-10-24T12:00:00Z", expected);
    in_berlin("30 2 * * *", &["2026-10-25T00:30", "2026-10-26T01:30"]);
    in_berlin("0 2,3 * * *", &["2026-10-25T00:00", "2026-10-25T02:00", "2026-10-26T01:00"]);
    // What follows the clock comes twice.
    in_berlin(
        "30 * 25 * *",
        &["2026-10-24T22:30", "2026-10-24T23:30", "2026-10-25T00:30", "2026-10-25T01:30", "2026-10-25T02:30"],
    );
    in_berlin("*/30 2 25 * *", &["2026-10-25T00:00", "2026-10-25T00:30", "2026-10-25T01:00", "2026-10-25T01:30"]);
    // Asked in the second of the two hours.
    check("30 2 * * *", "Europe/Berlin", "2026-10-25T01:10:00Z", &["2026-10-26T01:30"]);
}

#[test]
fn half_an_hour_and_midnight_are_changes_too() {
    // Lord Howe: 2026-10-04 02:00 becomes 02:30 (15:30 UTC), 2026-04-05 02:00 becomes 01:30 (15:00 UTC).
    check("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", &["2026-10-03T15:30", "2026-10-04T15:15"]);
    check("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T00:00:00Z", &["2026-04-04T14:45", "2026-04-05T15:15"]);
    check(
        "*/15 1 5 4 *",
        "Australia/Lord_Howe",
        "2026-04-04T14:40:00Z",
        &["2026-04-04T14:45", "2026-04-04T15:00", "2026-04-04T15:15", "2027-04-04T14:30"],
    );
    // Beirut: midnight itself is skipped, 2026-03-29 00:00 becomes 01:00.
    check("0 0 * * *", "Asia/Beirut", "2026-03-28T12:00:00Z", &["2026-03-28T22:00", "2026-03-29T21:00"]);
    // Seoul has had no change for decades.
    check("30 2 * * *", "Asia/Seoul", "2026-03-28T12:00:00Z", &["2026-03-28T17:30", "2026-03-29T17:30"]);
}

#[test]
fn what_is_wrong_is_said() {
    #[track_caller]
    fn check(cron: &str, zone: &str, expected: &str) {
        let error = Schedule::parse(cron, Some(zone)).unwrap_err();
        assert!(error.contains(expected), "{cron} {zone}: {error}");
    }
    check("", "UTC", "expected five fields (minute, hour, day of the month, month, day of the week), found 0");
    check("* * * *", "UTC", "found 4");
    check("0 * * * * *", "UTC", "found 6");
    check("60 * * * *", "UTC", "minute: expected 0 to 59, found \"60\"");
    check("+5 * * * *", "UTC", "minute: expected 0 to 59, found \"+5\"");
    check("* 24 * * *", "UTC", "hour: expected 0 to 23");
    check("0 0 0 * *", "UTC", "day of the month: expected 1 to 31");
    check("0 0 * dez *", "UTC", "month: expected 1 to 12 or jan to dec, found \"dez\"");
    check("0 0 * * 8", "UTC", "day of the week: expected 0 to 7 or sun to sat");
    check("0 0 L * *", "UTC", "day of the month");
    check("0 0 * * 5#2", "UTC", "day of the week");
    check("5/10 * * * *", "UTC", "a step needs a range");
    check("*/0 * * * *", "UTC", "a step is a number from 1 to 59");
    check("30-10 * * * *", "UTC", "the range 30-10 runs backwards");
    check("1,,2 * * * *", "UTC", "minute: expected");
    check("0 0 30 2 *", "UTC", "no such day");
    check("0 0 31 4,6 *", "UTC", "no such day");
    check("@reboot", "UTC", "@hourly");
    check("0 0 * * *", "Asia/Soul", "no such time zone");
    check("0 0 * * *", "../../etc/passwd", "no such time zone");
    check("\u{1b}[2J * * * *", "UTC", "\"\\u{1b}[2J\"");
    check(&"1,".repeat(200), "UTC", "at most 256");
}

/// Every minute that a clock on the wall shows, one after the other, as cron walks through them.
fn naive(cron: &Cron, zone: &TimeZone, from: Timestamp, until: Timestamp) -> Vec<Timestamp> {
    let minute = jiff::SignedDuration::from_mins(1);
    let matches = |time: DateTime| cron.first_from(time) == Some(time);
    let mut times = Vec::new();
    // How far the clock on the wall has come.
    let mut reached: Option<DateTime> = None;
    let mut now = from;
    while now < until {
        let civil = zone.to_datetime(now);
        let due = if cron.is_wild() {
            matches(civil)
        } else {
            let mut virtual_time = reached.map_or(civil, |reached| reached + minute);
            let mut due = false;
            while virtual_time <= civil {
                due |= matches(virtual_time);
                virtual_time += minute;
            }
            due
        };
        reached = Some(reached.map_or(civil, |reached| reached.max(civil)));
        if due {
            times.push(now);
        }
        now += minute;
    }
    times
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn it_is_what_a_clock_on_the_wall_shows(
        minute in prop::sample::select(vec!["*", "*/20", "0", "30", "15,45", "50-59/3"]),
        hour in prop::sample::select(vec!["*", "*/3", "0", "1", "2", "3", "1-3", "23"]),
        day in prop::sample::select(vec!["*", "*/2", "1", "8,25,29"]),
        weekday in prop::sample::select(vec!["*", "sun", "mon-fri", "6"]),
        zone in prop::sample::select(vec!["America/New_York", "Europe/Berlin", "Asia/Seoul", "Australia/Lord_Howe"]),
        day_of_year in prop::sample::select(vec![66, 87, 94, 276, 297, 304, 200]),
    ) {
        let schedule = Schedule::parse(&format!("{minute} {hour} {day} * {weekday}"), Some(zone)).unwrap();
        let midnight: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let from = midnight + jiff::SignedDuration::from_hours(24 * (day_of_year - 2));
        let until = from + jiff::SignedDuration::from_hours(24 * 4);
        let expected: Vec<Wall> = naive(&schedule.cron, &schedule.zone, from, until).into_iter().filter_map(wall).collect();
        let first = schedule.next_after(Wall(wall(from).unwrap().0 - 1));
        let found: Vec<Wall> = std::iter::successors(first, |time| schedule.next_after(*time))
            .take_while(|time| *time < wall(until).unwrap())
            .collect();
        prop_assert_eq!(found, expected);
    }
}
