//! One measure of one group as a picture: inline SVG, a band from the lowest to the highest, the mean as a line, bounds drawn
//! in. Pure. A gap in the line is time of which nothing is known.

use std::fmt::Write as _;

use super::html::escape;
use crate::cli::words::amount;
use crate::series::{BoundReport, HistoryReport, Point, SeriesReport};

/// Size of a picture in its own units; the page scales it.
const WIDE: f64 = 600.0;
const HIGH: f64 = 120.0;
/// Room for words at the left and at the bottom.
const LEFT: f64 = 4.0;
const TOP: f64 = 16.0;

/// Where things are.
struct Frame {
    from: f64,
    to: f64,
    top: f64,
}

impl Frame {
    fn x(&self, at: f64) -> f64 {
        LEFT + (at - self.from) / (self.to - self.from).max(1.0) * (WIDE - LEFT)
    }

    fn y(&self, value: f64) -> f64 {
        TOP + (1.0 - (value / self.top).clamp(0.0, 1.0)) * (HIGH - TOP)
    }
}

/// A picture with what it shows in words, for those who cannot see it.
pub(super) fn svg(report: &HistoryReport, series: &SeriesReport, from: i64, to: i64) -> String {
    let bounds: Vec<&BoundReport> = report.bounds.iter().filter(|bound| bound.measure == series.measure).collect();
    let lowest = series.points.iter().map(|point| point.1).fold(f64::INFINITY, f64::min);
    let highest = series.points.iter().map(|point| point.3).fold(0.0, f64::max);
    // A limit that is far away would make a flat line of everything.
    let limits = bounds.iter().map(|bound| bound.limit).filter(|limit| *limit <= highest * 3.0 || highest <= 0.0);
    let top = limits.fold(highest, f64::max) * 1.08;
    let frame = Frame { from: from as f64, to: to as f64, top: if top > 0.0 { top } else { 1.0 } };
    let show = |value: f64| escape(&amount(&series.measure, (value * 100.0).round() / 100.0));
    let name = escape(&format!("{} of {}", series.measure, report.name));
    let mut picture = format!(
        "<svg viewBox=\"0 0 {WIDE} {HIGH}\" role=\"img\" aria-label=\"{name}: {} to {}\" preserveAspectRatio=\"none\">",
        show(lowest),
        show(highest),
    );
    for run in runs(&series.points, report.step_seconds) {
        draw(&mut picture, run, report.step_seconds, &frame);
    }
    for bound in bounds {
        if bound.limit <= frame.top {
            let y = frame.y(bound.limit);
            let _ = write!(picture, "<path class=\"limit\" d=\"M{LEFT} {y:.1}H{WIDE}\"/>");
        }
    }
    picture.push_str("</svg>");
    picture
}

/// Points without a gap between them.
fn runs(points: &[Point], step: f64) -> Vec<&[Point]> {
    points.chunk_by(|a, b| ((b.0 - a.0) as f64) < step * 1.5).collect()
}

fn draw(picture: &mut String, points: &[Point], step: f64, frame: &Frame) {
    let each = |value: fn(&Point) -> f64| {
        points.iter().map(move |point| {
            let (begin, y) = (point.0 as f64, frame.y(value(point)));
            (frame.x(begin), frame.x(begin + step), y)
        })
    };
    let mut band = String::new();
    for (place, (begin, end, y)) in each(|point| point.3).enumerate() {
        let letter = if place == 0 { 'M' } else { 'L' };
        let _ = write!(band, "{letter}{begin:.1} {y:.1}H{end:.1}");
    }
    for (begin, end, y) in each(|point| point.1).rev() {
        let _ = write!(band, "L{end:.1} {y:.1}H{begin:.1}");
    }
    let mut line = String::new();
    for (place, (begin, end, y)) in each(|point| point.2).enumerate() {
        let letter = if place == 0 { 'M' } else { 'L' };
        let _ = write!(line, "{letter}{begin:.1} {y:.1}H{end:.1}");
    }
    let _ = write!(picture, "<path class=\"band\" d=\"{band}Z\"/><path class=\"line\" d=\"{line}\"/>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_parts_the_line_and_a_limit_is_drawn_where_it_can_be_seen() {
        let points = vec![Point(0, 1.0, 2.0, 3.0), Point(60, 2.0, 2.0, 2.0), Point(300, 1.0, 1.0, 1.0)];
        let series = SeriesReport { measure: "count".into(), unit: "1".into(), points };
        let bound =
            |limit| BoundReport { measure: "count".into(), bound: "max".into(), limit, severity: "info".into() };
        let report = HistoryReport {
            name: "<web>".into(),
            step_seconds: 60.0,
            bounds: vec![bound(4.0), bound(1000.0)],
            ..HistoryReport::default()
        };
        let picture = svg(&report, &series, 0, 600);
        assert_eq!(picture.matches("class=\"line\"").count(), 2, "{picture}");
        assert_eq!(picture.matches("class=\"limit\"").count(), 1, "{picture}");
        assert!(picture.contains("count of &lt;web&gt;: 1 to 3"), "{picture}");
    }
}
