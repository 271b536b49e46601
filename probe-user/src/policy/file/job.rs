//! Reads a job: a selector, a schedule, and bounds that are judged once for each run or scheduled time.

use std::sync::Arc;
use std::time::Duration;

use super::{Draft, Origin, body, conditions, group, response, unique};
use crate::diagnostic::quoted;
use crate::policy::keys::{JOB, OVERLAPS, SCHEDULE, SIGNAL, SUCCESS, ZONE};
use crate::policy::limits::{self, severity};
use crate::policy::schedule::Schedule;
use crate::policy::spec::{Bound, Job, Limit, Measure, Overlap, Per, Response, Selector, Side, Success};
use crate::signal;
use crate::time::Wall;
use crate::yaml::{Decoder, Entry, Fields, Node};

/// Cron starts within a second, systemd's timers within a minute: this is for a busy host on top.
const START_WITHIN: Duration = Duration::from_mins(5);
/// Where the search for the shortest time between two scheduled ones begins: some year's beginning.
const SEARCH_FROM: Wall = Wall(1_767_225_600_000_000_000);
/// How many scheduled times it looks at: expressions repeat themselves within hours, weeks or months.
const SEARCH_MAX: usize = 60;

/// A job as its file declares it.
pub(super) fn read<'s>(d: &mut Decoder<'_>, origin: Origin<'s>, entry: &Entry) -> Draft<'s, Job> {
    let job = Job {
        name: Arc::from(&*entry.key),
        declared: origin.source.declared(entry.span),
        select: Selector::default(),
        except: None,
        schedule: None,
        start_within: START_WITHIN,
        bounds: Vec::new(),
        success: Success::default(),
        overlap: Overlap::default(),
        response: Response::default(),
    };
    let mut draft = origin.draft(entry.span, job);
    if let Some(fields) = d.fields(&body(entry), &JOB) {
        fill(d, &fields, &mut draft);
    }
    draft
}

fn fill(d: &mut Decoder<'_>, fields: &Fields<'_>, draft: &mut Draft<'_, Job>) {
    let job = &mut draft.item;
    (job.select, job.except) = group::selectors(d, fields, &mut draft.names);
    draft.conditions = conditions(d, fields);
    job.schedule = schedule(d, fields);
    job.start_within = start_within(d, fields, job.schedule.as_ref());
    for measure in [Measure::Duration, Measure::Runs] {
        if let Some(node) = fields.get(measure.as_str()) {
            limits::bounds(d, measure, node, &mut job.bounds);
        }
    }
    runs(d, fields, job);
    if let Some(node) = fields.get("success") {
        job.success = success(d, node);
    }
    if let Some(node) = fields.get("overlap") {
        let forbidden = d.choice(node, &OVERLAPS) == Some(1);
        job.overlap = if forbidden { Overlap::Forbid } else { Overlap::Allow };
    }
    job.response = response::read(d, fields, &mut draft.names);
}

/// Expression and zone are tried by themselves, so that each is told where it stands.
fn schedule(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<Schedule> {
    let zone = fields
        .get("timezone")
        .map(|node| d.form(node, &ZONE, |text| Schedule::parse("0 0 * * *", Some(text)).map(|_| text.to_owned())));
    let Some(node) = fields.get("schedule") else {
        for name in ["timezone", "start_within"] {
            if let Some(entry) = fields.entry(name) {
                d.error_help(entry.span, format!("`{name}` without `schedule`"), "it is about scheduled times");
            }
        }
        return None;
    };
    // After a zone that is wrong the expression is still tried, for its errors.
    let zone = zone.map(|zone| zone.unwrap_or_else(|| "UTC".to_owned()));
    d.form(node, &SCHEDULE, |text| Schedule::parse(text, zone.as_deref()))
}

fn start_within(d: &mut Decoder<'_>, fields: &Fields<'_>, schedule: Option<&Schedule>) -> Duration {
    let shortest = schedule.and_then(shortest_gap);
    let given = fields.get("start_within").and_then(|node| Some((d.some_duration(node)?, node.span)));
    let Some((within, span)) = given else {
        return shortest.map_or(START_WITHIN, |shortest| shortest.min(START_WITHIN));
    };
    if let Some(shortest) = shortest.filter(|shortest| within > *shortest) {
        let message = format!("`start_within` is longer than the {} between two scheduled times", in_words(shortest));
        d.error_help(span, message, "a run could not be told to belong to the one or the other");
    }
    within
}

/// The shortest time between two scheduled ones, as far as a bounded search finds it.
fn shortest_gap(schedule: &Schedule) -> Option<Duration> {
    let times = std::iter::successors(schedule.next_after(SEARCH_FROM), |time| schedule.next_after(*time));
    let times: Vec<Wall> = times.take(SEARCH_MAX).collect();
    times.windows(2).map(|pair| Duration::from_nanos(pair[1].0.abs_diff(pair[0].0))).min()
}

/// `1h30m`, as policies write it.
fn in_words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let parts = [(seconds / 86_400, "d"), (seconds / 3600 % 24, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let given = parts.iter().filter(|(number, _)| *number > 0);
    given.fold(String::new(), |words, (number, unit)| format!("{words}{number}{unit}"))
}

/// What windows and minima mean depends on whether there is a schedule.
fn runs(d: &mut Decoder<'_>, fields: &Fields<'_>, job: &mut Job) {
    let is_scheduled = fields.get("schedule").is_some();
    for node in fields.get("runs").map(Node::items).into_iter().flatten() {
        let crate::yaml::Value::Map(entries) = &node.value else { continue };
        let within = entries.iter().find(|entry| entry.key == "within");
        match within {
            Some(entry) if is_scheduled => {
                let help = "leave it out: with a schedule, runs are counted for each scheduled time";
                d.error_help(entry.span, "`within` of `runs` beside a schedule", help);
            }
            None if !is_scheduled => {
                let help = "such as `runs: { min: 1, within: 1d }`, or give the job a `schedule`";
                d.error_help(node.span, "without a schedule, a bound on `runs` needs the key `within`", help);
            }
            _ => {}
        }
        let zero = |entry: &&Entry| {
            entry.key == "min" && matches!(&entry.value.value, crate::yaml::Value::Scalar(of) if of.text == "0")
        };
        if let Some(entry) = entries.iter().find(zero).filter(|_| !is_scheduled) {
            let message = "`runs` is never below 0: this bound can never be breached";
            d.error_help(entry.value.span, message, "leave `min` out");
        }
    }
    let is_min = |bound: &Bound| bound.measure == Measure::Runs && bound.side == Side::Min;
    if is_scheduled && !job.bounds.iter().any(is_min) {
        job.bounds.push(Bound {
            measure: Measure::Runs,
            side: Side::Min,
            limit: Limit::Absolute(1.0),
            clear: None,
            hold: Duration::ZERO,
            keep_firing: Duration::ZERO,
            within: Duration::ZERO,
            per: Per::Group,
            severity: crate::event::Severity::default(),
            declared: fields
                .entry("schedule")
                .map_or_else(|| Arc::clone(&job.declared), |of| d.source.declared(of.span)),
        });
    }
    // `min: 0` has said what it has to say.
    job.bounds.retain(|bound| !is_min(bound) || bound.limit != Limit::Absolute(0.0));
}

fn success(d: &mut Decoder<'_>, node: &Node) -> Success {
    let mut success = Success::default();
    let Some(fields) = d.fields(node, &SUCCESS) else { return success };
    let mut values = |name: &str, read: fn(&mut Decoder<'_>, &Node) -> Option<u8>| {
        let items = d.one_or_many(fields.get(name)?);
        Some(unique(d, items, read).into_iter().map(|(value, _)| value).collect())
    };
    let code = |d: &mut Decoder<'_>, node: &Node| d.whole(node, 0, 255).and_then(|code| u8::try_from(code).ok());
    success.exit_codes = values("exit_codes", code).unwrap_or(success.exit_codes);
    success.signals = values("signals", read_signal).unwrap_or_default();
    success.severity = severity(d, &fields);
    success
}

/// `TERM`, `SIGTERM` or `15`.
pub(in crate::policy) fn read_signal(d: &mut Decoder<'_>, node: &Node) -> Option<u8> {
    d.form(node, &SIGNAL, |text| {
        signal::number(text).ok_or_else(|| match signal::nearest(text) {
            Some(meant) => format!("did you mean {}?", quoted(meant)),
            None => "a name of signal(7), or a number from 1 to 64".to_owned(),
        })
    })
}
