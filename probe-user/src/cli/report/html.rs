//! The report as one file of HTML: tables, pictures, and nothing that is loaded from elsewhere. Pure.
//!
//! What it shows comes from processes and policies: everything is cleaned and escaped, there is no script, and a policy of its own
//! (CSP) forbids the browser to run or load anything but the style sheet, which it names by its hash.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::groups::yaml;
use super::render::short;
use super::{Whole, chart};
use crate::cli::words::{amount, bytes, span};
use crate::event::clean;
use crate::series::HistoryReport;

/// Groups that bounds are suggested for on a page.
const SUGGESTED_MAX: usize = 100;
/// Rows of a table.
const ROWS_MAX: usize = 200;

/// Colours by the reader's own choice of light or dark; tables scroll by themselves where a page is narrow.
const STYLE: &str = "\
:root{color-scheme:light dark;--ink:light-dark(#1c2024,#e8e8ea);--dim:light-dark(#60646c,#a0a4ab);\
--paper:light-dark(#fff,#16181b);--card:light-dark(#f6f7f9,#1f2226);--line:light-dark(#0b62d6,#6ab0ff);\
--bad:light-dark(#b3261e,#ff8a80)}\
body{margin:0 auto;max-width:72rem;padding:1rem;background:var(--paper);color:var(--ink);\
font:16px/1.5 system-ui,sans-serif}\
h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2rem}h3{font-size:1rem;margin:.5rem 0}\
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.9rem}\
th,td{text-align:left;padding:.25rem .75rem .25rem 0;vertical-align:top;white-space:nowrap}th{color:var(--dim)}\
.wide{white-space:normal}.bad{color:var(--bad);font-weight:600}.dim{color:var(--dim)}\
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(20rem,100%),1fr));gap:1rem}\
.card{background:var(--card);border-radius:.5rem;padding:.75rem 1rem;min-width:0}\
svg{display:block;width:100%;height:7.5rem}.line{fill:none;stroke:var(--line);stroke-width:1.5;vector-effect:non-scaling-stroke}\
.band{fill:var(--line);opacity:.2}.limit{stroke:var(--bad);stroke-width:1.5;stroke-dasharray:6 4;vector-effect:non-scaling-stroke}\
pre{background:var(--card);border-radius:.5rem;padding:1rem;overflow-x:auto}";

/// Text as it may stand in HTML, in an element or in a quoted attribute.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in clean(text).chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            letter => safe.push(letter),
        }
    }
    safe
}

/// The whole page.
pub(super) fn page(since: &str, whole: &Whole, charts: &[HistoryReport]) -> String {
    let (sum, groups) = (&whole.sum, &whole.groups);
    let host = if sum.host.is_empty() { "this host".to_owned() } else { sum.host.clone() };
    let title = escape(&format!("{host}: the last {since}"));
    let hash = base64(ring::digest::digest(&ring::digest::SHA256, STYLE.as_bytes()).as_ref());
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; \
         form-action 'none'\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n<title>{title}</title>\n<style>{STYLE}</style></head>\n<body>\n\
         <h1>{title}</h1>\n",
    );
    let times = [&sum.first, &sum.last].map(|time| escape(&short(time.as_deref().unwrap_or("-"))));
    let _ = writeln!(page, "<p class=\"dim\">{} events from {} to {} (UTC)</p>", sum.events, times[0], times[1]);
    alarms(&mut page, whole);
    pictures(&mut page, charts);
    consumers(&mut page, whole);
    jobs(&mut page, whole);
    processes(&mut page, whole);
    bounds(&mut page, whole);
    if !groups.suggested.is_empty() {
        page.push_str(
            "<h2>Suggested bounds</h2>\n<p>None of them would have fired. Paste them below their group.</p>\n<pre>",
        );
        page.push_str(&lines(&yaml(&groups.suggested, SUGGESTED_MAX)));
        page.push_str("</pre>\n");
    }
    losses(&mut page, whole);
    page.push_str("</body></html>\n");
    page
}

/// Several lines, each escaped.
fn lines(text: &str) -> String {
    text.lines().map(|line| escape(line) + "\n").collect()
}

/// A table; nothing without rows. Cells are HTML.
fn table(page: &mut String, title: &str, heads: &[&str], rows: &[Vec<String>]) {
    if rows.is_empty() {
        return;
    }
    let _ = write!(page, "<h2>{title}</h2>\n<div class=\"scroll\"><table><thead><tr>");
    for head in heads {
        let _ = write!(page, "<th scope=\"col\">{head}</th>");
    }
    page.push_str("</tr></thead><tbody>\n");
    for row in rows.iter().take(ROWS_MAX) {
        page.push_str("<tr>");
        for cell in row {
            let _ = write!(page, "<td>{cell}</td>");
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody></table></div>\n");
    if rows.len() > ROWS_MAX {
        let _ = writeln!(page, "<p class=\"dim\">and {} more</p>", rows.len() - ROWS_MAX);
    }
}

fn alarms(page: &mut String, whole: &Whole) {
    if whole.sum.alarms.is_empty() {
        page.push_str("<h2>Alarms</h2>\n<p>None.</p>\n");
    }
    let row = |alarm: &super::summary::Alarm| {
        let flapping = if alarm.flapping { ", flapping" } else { "" };
        let now = if alarm.on { format!("<span class=\"bad\">on{flapping}</span>") } else { format!("over{flapping}") };
        vec![
            escape(&format!("{} {}", alarm.name(), alarm.limit)),
            escape(&alarm.severity),
            alarm.fired.to_string(),
            span(alarm.firing_seconds),
            span(alarm.longest_seconds),
            now,
            escape(&alarm.last),
        ]
    };
    let rows: Vec<Vec<String>> = whole.sum.alarms.iter().map(row).collect();
    table(page, "Alarms", &["alarm", "severity", "fired", "was on", "longest", "now", "told last"], &rows);
}

fn pictures(page: &mut String, charts: &[HistoryReport]) {
    for report in charts.iter().filter(|report| !report.series.is_empty()) {
        let (from, to) = (seconds(&report.from), seconds(&report.to));
        let _ = writeln!(page, "<h2>{}</h2>\n<div class=\"cards\">", escape(&report.name));
        for series in &report.series {
            let highest = series.points.iter().map(|point| point.3).fold(0.0, f64::max);
            let latest = series.points.last().map_or(0.0, |point| point.2);
            let show = |value: f64| escape(&amount(&series.measure, (value * 100.0).round() / 100.0));
            let bounds = report.bounds.iter().filter(|bound| bound.measure == series.measure);
            let bounds = bounds.fold(String::new(), |mut text, bound| {
                let _ = write!(text, ", {} {}", escape(&bound.bound), show(bound.limit));
                text
            });
            let _ = writeln!(
                page,
                "<div class=\"card\"><h3>{} <span class=\"dim\">{} now, {} at most{bounds}</span></h3>{}\
                 <div class=\"dim\">{} to {}</div></div>",
                escape(&series.measure),
                show(latest),
                show(highest),
                chart::svg(report, series, from, to),
                when(from),
                when(to),
            );
        }
        page.push_str("</div>\n");
    }
}

fn seconds(time: &str) -> i64 {
    time.parse::<Timestamp>().map_or(0, Timestamp::as_second)
}

fn when(seconds: i64) -> String {
    let Ok(time) = Timestamp::from_second(seconds) else { return "?".to_owned() };
    time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M UTC").to_string()
}

fn consumers(page: &mut String, whole: &Whole) {
    let groups = &whole.groups;
    let row = |consumer: &super::groups::Consumer| {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        vec![
            escape(&consumer.name),
            span(consumer.seconds),
            or_dash(consumer.cpu_seconds.map(|cpu| format!("{cpu:.2} s"))),
            or_dash(consumer.cpu_highest.map(|cpu| amount("cpu", cpu))),
            or_dash(consumer.memory_mean.map(bytes)),
            or_dash(consumer.memory_highest.map(bytes)),
        ]
    };
    let heads = ["group", "known for", "CPU", "highest CPU", "memory", "highest memory"];
    for (title, of) in [("Most CPU", &groups.top_groups_by_cpu), ("Most memory", &groups.top_groups_by_memory)] {
        table(page, title, &heads, &of.iter().map(row).collect::<Vec<_>>());
    }
}

fn jobs(page: &mut String, whole: &Whole) {
    let row = |job: &super::summary::Job| {
        let counts =
            [job.succeeded, job.failed, job.missed, job.overran, job.overlapped].map(|count| count.to_string());
        let mut row = vec![escape(&job.name)];
        row.extend(counts);
        row.extend([span(job.longest_seconds), format!("{:.2} s", job.cpu_seconds)]);
        row
    };
    let heads = ["job", "succeeded", "failed", "missed", "overran", "overlapped", "longest", "CPU"];
    table(page, "Jobs", &heads, &whole.sum.jobs.iter().map(row).collect::<Vec<_>>());
}

fn processes(page: &mut String, whole: &Whole) {
    let row = |program: &super::summary::Program| {
        let peak = if program.peak_bytes > 0 { bytes(program.peak_bytes as f64) } else { "?".to_owned() };
        vec![escape(&program.name), program.ended.to_string(), format!("{:.2} s", program.cpu_seconds), peak]
    };
    let rows: Vec<Vec<String>> = whole.sum.top_cpu.iter().map(row).collect();
    table(page, "Programs whose processes ended", &["program", "ended", "CPU", "peak memory"], &rows);
    let all = &whole.sum.processes;
    let _ = writeln!(
        page,
        "<p>Processes that were told: {} started, {} ended, {} of these within a second; {} failed, {} killed by a signal, {} by \
         the OOM killer.</p>",
        all.started, all.ended, all.short_lived, all.failed, all.by_signal, all.by_oom,
    );
}

fn bounds(page: &mut String, whole: &Whole) {
    let row = |advice: &super::groups::Advice| {
        let limit = escape(&amount(&advice.measure, advice.limit));
        vec![escape(&advice.bound), limit, advice.verdict.to_owned(), escape(&advice.why)]
    };
    let rows: Vec<Vec<String>> = whole.groups.bounds_to_look_at.iter().map(row).collect();
    table(page, "Bounds worth another look", &["bound", "limit", "it is", "because"], &rows);
}

fn losses(page: &mut String, whole: &Whole) {
    let row = |loss: &super::summary::Loss| vec![loss.count.to_string(), escape(&loss.place), escape(&loss.reason)];
    let rows: Vec<Vec<String>> = whole.sum.losses.iter().map(row).collect();
    if rows.is_empty() {
        page.push_str("<h2>Lost or dropped</h2>\n<p>Nothing.</p>\n");
    }
    table(page, "Lost or dropped", &["how many", "where", "reason"], &rows);
}

/// Base64 with padding, for the hash.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let letter = usize::try_from(bits >> (18 - 6 * place) & 63).ok().and_then(|at| LETTERS.get(at));
            let is_there = place <= three.len();
            text.push(letter.filter(|_| is_there).map_or('=', |letter| char::from(*letter)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::groups::Groups;
    use super::super::summary::{Adder, Summary};
    use super::*;
    use crate::series::{Point, SeriesReport};

    #[test]
    fn base64_is_that_of_everyone() {
        for (bytes, expected) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(base64(bytes.as_bytes()), expected);
        }
    }

    #[test]
    fn nothing_that_a_process_says_becomes_html_and_nothing_is_loaded() {
        let evil = "<script src=//x>'\"&\u{1b}";
        let mut adder = Adder::default();
        let event = serde_json::json!({"name": "procprobe.policy.firing", "severity": evil, "body": evil,
            "host": {"host.name": evil}, "time": evil,
            "attributes": {"policy.name": evil, "measure": evil, "bound": "min", "limit": evil, "where": evil}});
        adder.line(event.to_string().as_bytes());
        let sum = Summary {
            top_cpu: vec![super::super::summary::Program { name: evil.into(), ..Default::default() }],
            ..adder.summary()
        };
        let consumer = super::super::groups::Consumer { name: evil.into(), ..Default::default() };
        let advice = super::super::groups::Advice { bound: evil.into(), why: evil.into(), ..Default::default() };
        let bound = super::super::groups::SuggestedBound { why: evil.into(), ..Default::default() };
        let groups = Groups {
            top_groups_by_cpu: vec![consumer],
            bounds_to_look_at: vec![advice],
            suggested: vec![super::super::groups::Suggested { group: evil.into(), bounds: vec![bound] }],
            ..Groups::default()
        };
        let series = SeriesReport { measure: evil.into(), unit: evil.into(), points: vec![Point(0, 1.0, 1.0, 1.0)] };
        let chart =
            HistoryReport { name: evil.into(), series: vec![series], step_seconds: 1.0, ..HistoryReport::default() };
        let page = page(evil, &Whole { sum, groups }, &[chart]);
        assert!(!page.contains("<script") && !page.contains('\u{1b}'), "{page}");
        assert!(page.contains("&lt;script src=//x&gt;&#39;&quot;&amp;\\x1b"), "{page}");
        for outside in ["http:", "https:", "url(", "@import", "src=\"", "href=", "style=\""] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert!(page.contains("default-src 'none'; style-src 'sha256-"), "{page}");
    }
}
