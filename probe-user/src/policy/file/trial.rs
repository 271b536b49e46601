//! Reads `tests`: steps and expectations in the order of time.

mod figures;
mod peer;
mod step;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{Origin, unique};
use crate::diagnostic::{Source, Span, quoted};
use crate::event::name;
use crate::policy::keys::{ALARM, CLOCK, EVENT, EXPECT, NAME, TEST, TITLE};
use crate::policy::matching::{Named, valid_name};
use crate::policy::spec::{AlarmName, Expectation, HostFacts, Trial};
use crate::time::Wall;
use crate::yaml::{Decoder, Fields, Node};

/// Wall clock at 0s where nothing is said: 2026-01-01T00:00:00Z.
const CLOCK_DEFAULT: Wall = Wall(1_767_225_600_000_000_000);
/// A small server.
const FACTS: HostFacts = HostFacts { cpus: 4, memory_bytes: 8 << 30 };
/// Longest name, in bytes.
const TITLE_MAX: usize = 200;
/// The latest moment of a test: a year and a day.
const LONGEST: Duration = Duration::from_hours(366 * 24);

/// A test as its file declares it.
#[derive(Debug)]
pub(in crate::policy) struct TrialDraft<'s> {
    pub(in crate::policy) source: &'s Source,
    /// Where it begins.
    pub(in crate::policy) span: Span,
    /// Its policies are not resolved yet.
    pub(in crate::policy) trial: Trial,
    /// What `policies` names; `None`: everything of the file.
    pub(in crate::policy) policies: Option<Vec<Named>>,
    /// Runs of jobs, to be made into processes.
    pub(in crate::policy) runs: Vec<Run>,
    /// Alarms that are expected.
    pub(in crate::policy) alarms: Vec<Named>,
    /// Actions that are expected.
    pub(in crate::policy) actions: Vec<Named>,
}

pub(in crate::policy) use step::Run;

/// The tests of one file.
pub(super) fn read<'s>(d: &mut Decoder<'_>, origin: Origin<'s>, node: &Node) -> Vec<TrialDraft<'s>> {
    let mut drafts: Vec<TrialDraft<'s>> = Vec::new();
    for item in d.list(node) {
        let Some(fields) = d.fields(item, &TEST) else { continue };
        let draft = one(d, origin.source, &fields);
        let name = &draft.trial.name;
        if let Some(first) = drafts.iter().find(|other| other.trial.name == *name && !name.is_empty()) {
            let first = origin.source.place(first.span);
            d.error(fields.span, format!("there are two tests {}; the first is at {first}", quoted(name)));
        }
        drafts.push(draft);
    }
    drafts
}

fn one<'s>(d: &mut Decoder<'_>, source: &'s Source, fields: &Fields<'_>) -> TrialDraft<'s> {
    let mut facts = FACTS;
    if let Some(cpus) = fields.get("cpus").and_then(|node| d.whole(node, 1, 4096)) {
        facts.cpus = cpus;
    }
    if let Some(memory) = fields.get("memory").and_then(|node| d.size(node)) {
        facts.memory_bytes = memory;
    }
    let (steps, runs) = fields.get("steps").map(|node| step::read(d, node)).unwrap_or_default();
    let (mut alarms, mut actions) = (Vec::new(), Vec::new());
    let mut expect: Vec<Expectation> = Vec::new();
    for item in fields.get("expect").map(|node| d.list(node)).unwrap_or_default() {
        let Some(fields) = d.fields(item, &EXPECT) else { continue };
        let expected = expectation(d, source, &fields, &mut alarms, &mut actions);
        in_order(d, &fields, expect.last().map(|last| last.at));
        expect.push(expected);
    }
    let policies = fields.get("policies").map(|node| {
        let items = d.one_or_many(node);
        unique(d, items, |d, item| d.form(item, &NAME, |text| valid_name(text).map(|()| Arc::from(text))))
    });
    let trial = Trial {
        name: fields.get("name").and_then(|node| d.form(node, &TITLE, title)).unwrap_or_else(|| Arc::from("")),
        declared: source.declared(fields.span),
        policies: BTreeSet::new(),
        host: false,
        clock: fields.get("clock").and_then(|node| d.form(node, &CLOCK, clock)).unwrap_or(CLOCK_DEFAULT),
        start_grace: fields.get("start_grace").and_then(|node| d.duration(node)).unwrap_or_default(),
        facts,
        steps,
        expect,
    };
    TrialDraft { source, span: fields.span, trial, policies, runs, alarms, actions }
}

fn title(text: &str) -> Result<Arc<str>, String> {
    match text {
        "" => Err("it says what the test shows".to_owned()),
        _ if text.len() > TITLE_MAX => Err(format!("at most {TITLE_MAX} bytes")),
        _ if text.contains(char::is_control) => Err("one line without control characters".to_owned()),
        _ => Ok(Arc::from(text)),
    }
}

fn clock(text: &str) -> Result<Wall, String> {
    let moment: jiff::Timestamp =
        text.parse().map_err(|_| "date, time and the distance from UTC, as in RFC 3339".to_owned())?;
    i64::try_from(moment.as_nanosecond()).map(Wall).map_err(|_| "a year before 2262".to_owned())
}

/// `at`: not before what stands above it.
fn in_order(d: &mut Decoder<'_>, fields: &Fields<'_>, last: Option<Duration>) -> Duration {
    let Some(node) = fields.get("at") else { return last.unwrap_or_default() };
    let Some(at) = d.duration(node) else { return last.unwrap_or_default() };
    if last.is_some_and(|last| at < last) {
        d.error_help(node.span, "this comes before what stands above it", "write them in the order of time");
    }
    if at > LONGEST {
        d.error(node.span, "a test lasts at most 366d");
    }
    at
}

fn expectation(
    d: &mut Decoder<'_>,
    source: &Source,
    fields: &Fields<'_>,
    alarms: &mut Vec<Named>,
    actions: &mut Vec<Named>,
) -> Expectation {
    let mut names = |d: &mut Decoder<'_>, key: &str| {
        let items = d.names(fields.get(key)?);
        let read = unique(d, items, |d, item| d.text(item, &ALARM).map(alarm_name));
        alarms.extend(read.iter().map(|(of, span)| (Arc::clone(&of.name), *span)));
        Some(read.into_iter().map(|(of, _)| of).collect())
    };
    let (firing, resolved) = (names(d, "firing"), names(d, "resolved"));
    let events =
        fields.get("events").map(|node| d.names(node).iter().filter_map(|item| d.form(item, &EVENT, event)).collect());
    let taken = fields.get("actions").map(|node| {
        let mut taken = Vec::new();
        for item in d.names(node) {
            if let Some(name) = d.form(item, &NAME, |text| valid_name(text).map(|()| Arc::<str>::from(text))) {
                actions.push((Arc::clone(&name), item.span));
                taken.push(name);
            }
        }
        taken
    });
    Expectation {
        at: fields.get("at").and_then(|node| d.duration(node)).unwrap_or_default(),
        declared: source.declared(fields.span),
        firing,
        resolved,
        events,
        actions: taken,
    }
}

/// `host.disk_free.min /data`: after a space, of what.
fn alarm_name(text: &str) -> AlarmName {
    let (name, instance) = text.split_once(' ').map_or((text, None), |(name, of)| (name, Some(of)));
    AlarmName { name: Arc::from(name), instance: instance.map(Arc::from) }
}

/// The events that can be expected, without `procprobe.`.
const EVENTS: [&str; 8] = [
    name::JOB_STARTED,
    name::JOB_SUCCEEDED,
    name::JOB_FAILED,
    name::JOB_MISSED,
    name::JOB_OVERRAN,
    name::JOB_OVERLAPPED,
    name::LOG_MATCHED,
    name::AGENT_LOST,
];

fn event(text: &str) -> Result<Arc<str>, String> {
    let short = |name: &'static str| name.trim_start_matches("procprobe.");
    let bare = short_of(text);
    if let Some(name) = EVENTS.iter().copied().map(short).find(|name| *name == bare) {
        return Ok(Arc::from(name));
    }
    Err(match bare {
        "policy.firing" | "policy.resolved" => "alarms are expected under `firing` and `resolved`".to_owned(),
        "action.ran" | "action.skipped" => "actions are expected under `actions`".to_owned(),
        _ => match crate::diagnostic::nearest(bare, EVENTS.iter().copied().map(short)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("one of {}", EVENTS.map(short).join(", ")),
        },
    })
}

fn short_of(text: &str) -> &str {
    text.strip_prefix("procprobe.").unwrap_or(text)
}
