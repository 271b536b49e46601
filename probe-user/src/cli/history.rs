//! `procprobe history`: what a group or job used over some time, as a line of blocks and a table of steps for each measure.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::args::{Format, HistoryArgs};
use super::words::{amount, span, table};
use super::{Exit, answer, complain, print};
use crate::event::clean;
use crate::series::{BoundReport, HistoryReport, Point, SeriesReport};
use crate::serve::client;

/// Columns of a line of blocks.
const LINE: usize = 60;
/// Rows of a table, unless a step was asked for.
const ROWS: usize = 12;

pub(super) fn history(args: &HistoryArgs) -> Exit {
    let asking = client::history(&args.socket, &args.name, &args.since, args.step.as_deref());
    let Some(mut report) = answer(asking) else { return Exit::NotWell };
    if !args.measure.is_empty() {
        report.series.retain(|series| args.measure.contains(&series.measure));
        report.bounds.retain(|bound| args.measure.contains(&bound.measure));
    }
    match args.format {
        Format::Text => print(&text(&report, args.step.is_some(), &TimeZone::system())),
        Format::Json => match serde_json::to_string_pretty(&report) {
            Ok(json) => print(&format!("{json}\n")),
            Err(error) => {
                complain(&format!("procprobe: {error}"));
                return Exit::NotWell;
            }
        },
    }
    Exit::Well
}

/// A page: of each measure a line of blocks with its extremes and bounds, then a table of all of them.
fn text(report: &HistoryReport, every_step: bool, zone: &TimeZone) -> String {
    let mut page = String::new();
    let (from, to) = (seconds(&report.from), seconds(&report.to));
    let step = seconds_of(report.step_seconds).max(1);
    let (begin, end) = (when(from, zone, true), when(to, zone, true));
    let _ = writeln!(page, "{}, {begin} to {end}, a value for each {}", clean(&report.name), span(report.step_seconds));
    if report.series.is_empty() {
        page.push_str("nothing is known of it in this time\n");
        return page;
    }
    page.push('\n');
    let wide = report.series.iter().map(|series| series.measure.len()).max().unwrap_or(0);
    for series in &report.series {
        let all = fold(&series.points);
        let show = |value: f64| amount(&series.measure, value);
        let _ = writeln!(page, "{:<wide$}  {}", clean(&series.measure), line(&series.points, from, to));
        let range = if all.1.to_bits() == all.3.to_bits() {
            format!("always {}", show(all.3))
        } else {
            format!("{} to {}, {} on average", show(all.1), show(all.3), show(hundredths(all.2)))
        };
        let _ = write!(page, "{:<wide$}  {range}", "");
        for bound in report.bounds.iter().filter(|bound| bound.measure == series.measure) {
            let BoundReport { bound, limit, severity, .. } = bound;
            let _ = write!(page, "; {} {} ({})", clean(bound), show(*limit), clean(severity));
        }
        page.push('\n');
    }
    page.push('\n');
    steps(&mut page, &report.series, (from, to, step), every_step, zone);
    page
}

/// One row for each step, or for so many of them together that they fit.
fn steps(page: &mut String, series: &[SeriesReport], (from, to, step): (i64, i64, i64), every: bool, zone: &TimeZone) {
    let rows = i64::try_from(ROWS).unwrap_or(i64::MAX);
    let together = if every { step } else { (((to - from) / step + rows - 1) / rows).max(1) * step };
    let with_day = to - from > 86_400;
    // Of so many columns, those that a person asks for first.
    let shown: Vec<&SeriesReport> = series.iter().take(COLUMNS - 1).collect();
    let mut head: [String; COLUMNS] = std::array::from_fn(|_| String::new());
    "TIME".clone_into(&mut head[0]);
    for (cell, series) in head.iter_mut().skip(1).zip(&shown) {
        *cell = clean(&series.measure).to_uppercase();
    }
    let mut table_rows = vec![head];
    let mut at = from;
    while at < to {
        let end = at + together;
        let cells = shown.iter().map(|series| {
            let within: Vec<Point> = series.points.iter().filter(|p| p.0 >= at && p.0 < end).copied().collect();
            cell(&series.measure, &within)
        });
        let mut row: [String; COLUMNS] = std::array::from_fn(|_| String::new());
        row[0] = when(at, zone, with_day);
        for (place, cell) in row.iter_mut().skip(1).zip(cells) {
            *place = cell;
        }
        table_rows.push(row);
        at = end;
    }
    table(page, &table_rows);
}

/// Time and measures.
const COLUMNS: usize = 8;

/// `3 (1 to 4)`, or one value where there is no other; `-` where nothing is known.
fn cell(measure: &str, points: &[Point]) -> String {
    if points.is_empty() {
        return "-".to_owned();
    }
    let Point(_, lowest, mean, highest) = fold(points);
    let show = |value: f64| amount(measure, value);
    if lowest.to_bits() == highest.to_bits() {
        return show(mean);
    }
    format!("{} ({} to {})", show(hundredths(mean)), show(lowest), show(highest))
}

/// Lowest, mean and highest of some points.
fn fold(points: &[Point]) -> Point {
    let lowest = points.iter().map(|point| point.1).fold(f64::INFINITY, f64::min);
    let highest = points.iter().map(|point| point.3).fold(f64::NEG_INFINITY, f64::max);
    let mean = points.iter().map(|point| point.2).sum::<f64>() / points.len().max(1) as f64;
    Point(points.first().map_or(0, |point| point.0), lowest, mean, highest)
}

/// The highest values over time as blocks; a blank where nothing is known.
fn line(points: &[Point], from: i64, to: i64) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let mut columns: [Option<f64>; LINE] = [None; LINE];
    let wide = i64::try_from(LINE).unwrap_or(i64::MAX);
    for point in points {
        let column = (point.0 - from).saturating_mul(wide) / (to - from).max(1);
        if let Some(place) = usize::try_from(column).ok().and_then(|column| columns.get_mut(column)) {
            *place = Some(place.map_or(point.3, |value| value.max(point.3)));
        }
    }
    // A step can be wider than a column: what holds in it fills those that it covers.
    let step = points.windows(2).map(|pair| pair[1].0 - pair[0].0).min().unwrap_or(to - from);
    let covers = usize::try_from(step.saturating_mul(wide) / (to - from).max(1)).unwrap_or(0);
    let mut left = 0;
    let mut last = None;
    for column in &mut columns {
        match column {
            Some(value) => (last, left) = (Some(*value), covers.saturating_sub(1)),
            None if left > 0 => {
                *column = last;
                left -= 1;
            }
            None => {}
        }
    }
    let highest = columns.iter().flatten().copied().fold(0.0, f64::max);
    let block = |value: f64| {
        let eighth = (1_u8..8).filter(|eighth| value * 8.0 > highest * f64::from(*eighth)).count();
        BLOCKS.get(eighth).copied().unwrap_or('█')
    };
    columns.iter().map(|column| column.map_or(' ', block)).collect::<String>().trim_end().to_owned()
}

/// Means have more digits than anyone reads.
fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn seconds(time: &str) -> i64 {
    time.parse::<Timestamp>().map_or(0, Timestamp::as_second)
}

#[expect(clippy::cast_possible_truncation, reason = "there is no checked conversion from f64; this one saturates")]
fn seconds_of(seconds: f64) -> i64 {
    seconds.round() as i64
}

/// The time of the day, with the day before it where that is not clear.
fn when(seconds: i64, zone: &TimeZone, with_day: bool) -> String {
    let Ok(time) = Timestamp::from_second(seconds) else { return "?".to_owned() };
    let format = if with_day { "%Y-%m-%d %H:%M:%S" } else { "%H:%M:%S" };
    time.to_zoned(zone.clone()).strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> HistoryReport {
        let count = (0..30).map(|step| {
            let value = f64::from(2 + step % 3);
            Point(1_764_000_000 + i64::from(step) * 60, 1.0, value, value)
        });
        let cpu = (10..20).map(|step| Point(1_764_000_000 + step * 60, 0.5, 0.5, 0.5));
        HistoryReport {
            name: "we\u{1b}b".into(),
            from: "2025-11-24T16:00:00Z".into(),
            to: "2025-11-24T16:30:00Z".into(),
            step_seconds: 60.0,
            series: vec![
                SeriesReport { measure: "count".into(), unit: "1".into(), points: count.collect() },
                SeriesReport { measure: "cpu".into(), unit: "cores".into(), points: cpu.collect() },
            ],
            bounds: vec![BoundReport {
                measure: "cpu".into(),
                bound: "max".into(),
                limit: 1.5,
                severity: "warning".into(),
            }],
        }
    }

    #[test]
    fn a_page() {
        insta::assert_snapshot!(text(&report(), false, &TimeZone::UTC), @r"
        we\x1bb, 2025-11-24 16:00:00 to 2025-11-24 16:30:00, a value for each 1m

        count  ▄▄▆▆██▄▄▆▆██▄▄▆▆██▄▄▆▆██▄▄▆▆██▄▄▆▆██▄▄▆▆██▄▄▆▆██▄▄▆▆██▄▄▆▆██
               1 to 4, 3 on average
        cpu                        ████████████████████
               always 0.50 cores; max 1.50 cores (warning)

        TIME      COUNT       CPU
        16:00:00  3 (1 to 4)  -
        16:03:00  3 (1 to 4)  -
        16:06:00  3 (1 to 4)  -
        16:09:00  3 (1 to 4)  0.50 cores
        16:12:00  3 (1 to 4)  0.50 cores
        16:15:00  3 (1 to 4)  0.50 cores
        16:18:00  3 (1 to 4)  0.50 cores
        16:21:00  3 (1 to 4)  -
        16:24:00  3 (1 to 4)  -
        16:27:00  3 (1 to 4)  -
        ");
    }

    #[test]
    fn nothing_is_known() {
        let report = HistoryReport { series: Vec::new(), ..report() };
        insta::assert_snapshot!(text(&report, true, &TimeZone::UTC), @r"
        we\x1bb, 2025-11-24 16:00:00 to 2025-11-24 16:30:00, a value for each 1m
        nothing is known of it in this time
        ");
    }
}
