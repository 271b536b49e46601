//! Reads bounds of every measure: limits in the measure's unit, and everything about a bound that could never do what it seems to say.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use super::keys::{
    self, AGE_PER_WORDS, CORES, COUNT_MAX, INODES, LOAD, MEMBERS, MEMORY, PER_WORDS, SEVERITIES, SHARE, SPACE,
};
use super::spec::{Bound, Limit, Measure, Per, Side};
use crate::diagnostic::Span;
use crate::event::Severity;
use crate::yaml::keys::Choice;
use crate::yaml::{Decoder, Fields, Node, units};

/// The bounds of one measure, appended in the order of the file. What was wrong is told and left out.
pub(super) fn bounds(d: &mut Decoder<'_>, measure: Measure, node: &Node, into: &mut Vec<Bound>) {
    let mut placed = Vec::new();
    for item in d.one_or_many(node) {
        if let Some(fields) = d.fields(item, keys::bound_table(measure)) {
            one(d, measure, &fields, &mut placed);
        }
    }
    among(d, &placed);
    into.extend(placed.into_iter().map(|(bound, _)| bound));
}

/// A limit and where it stands.
pub(super) type Placed<T> = (T, Span);

/// The ends of one bound.
pub(super) fn one(d: &mut Decoder<'_>, measure: Measure, fields: &Fields<'_>, into: &mut Vec<Placed<Bound>>) {
    let mut read = |name: &str| fields.get(name).and_then(|node| Some((limit(d, measure, node)?, node.span)));
    let (min, max) = (read("min"), read("max"));
    let (above, below) = (read("clear_above"), read("clear_below"));
    let given = |name: &str| fields.entry(name);
    for (clear, side) in [("clear_above", "min"), ("clear_below", "max")] {
        if let Some(entry) = given(clear).filter(|_| given(side).is_none()) {
            d.error_help(
                entry.span,
                format!("`{clear}` without `{side}`"),
                format!("it says when a `{side}` is healthy again"),
            );
        }
    }
    never_breached(d, measure, min, max);
    wrong_side(d, min, max, above, below);
    let mut duration = |name: &str| fields.get(name).and_then(|node| d.duration(node)).unwrap_or_default();
    let (hold, keep_firing) = (duration("for"), duration("keep_firing_for"));
    if let Some(entry) = given("for").filter(|_| measure == Measure::Age && min.is_some() && !hold.is_zero()) {
        let message = "`for` beside `min` of `age`: this bound can never be breached for so long";
        let help = "whether a process has lived for long enough is judged once, when it ends: leave `for` out";
        d.error_help(entry.span, message, help);
    }
    let within = fields.get("within").and_then(|node| d.some_duration(node)).unwrap_or_default();
    let template = Bound {
        measure,
        side: Side::Min,
        limit: Limit::Absolute(0.0),
        clear: None,
        hold,
        keep_firing,
        within,
        per: per(d, measure, fields),
        severity: severity(d, fields),
        declared: d.source.declared(fields.span),
    };
    let mut push = |side, limit: Option<Placed<Limit>>, clear: Option<Placed<Limit>>| {
        if let Some((limit, span)) = limit {
            let clear = clear.map(|(clear, _)| clear);
            into.push((
                Bound { side, limit, clear, declared: Arc::clone(&template.declared), ..template.clone() },
                span,
            ));
        }
    };
    push(Side::Min, min, above);
    push(Side::Max, max, below);
}

fn per(d: &mut Decoder<'_>, measure: Measure, fields: &Fields<'_>) -> Per {
    let is_age = measure == Measure::Age;
    let words: &[Choice] = if is_age { &AGE_PER_WORDS } else { &PER_WORDS };
    let chosen = fields.get("per").and_then(|node| d.choice(node, words)).and_then(|index| words.get(index));
    if is_age || chosen.is_some_and(|choice| choice.word == "process") { Per::Process } else { Per::Group }
}

pub(super) fn severity(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Severity {
    let chosen = fields.get("severity").and_then(|node| d.choice(node, &SEVERITIES));
    match chosen {
        Some(0) => Severity::Info,
        Some(2) => Severity::Critical,
        _ => Severity::Warning,
    }
}

/// A limit in the measure's own unit.
pub(super) fn limit(d: &mut Decoder<'_>, measure: Measure, node: &Node) -> Option<Limit> {
    match measure {
        Measure::Count
        | Measure::Threads
        | Measure::Starts
        | Measure::Exits
        | Measure::Failures
        | Measure::OomKills
        | Measure::Runs
        | Measure::Lines
        | Measure::Processes => d.whole(node, 0, COUNT_MAX).map(|count| Limit::Absolute(f64::from(count))),
        Measure::Cpu | Measure::CpuWait => d.form(node, &CORES, cores),
        Measure::Memory => d.form(node, &MEMORY, memory),
        // At most 2^50, so exact.
        Measure::Read | Measure::Write | Measure::NetworkReceive | Measure::NetworkTransmit => {
            d.form(node, &units::RATE, units::rate).map(|rate| Limit::Absolute(rate as f64))
        }
        Measure::Age | Measure::Duration => d.duration(node).map(|long: Duration| Limit::Absolute(long.as_secs_f64())),
        Measure::HostCpu | Measure::PressureCpu | Measure::PressureMemory | Measure::PressureIo => {
            d.form(node, &SHARE, |text| host_share(text).map(Limit::HostShare))
        }
        Measure::Load => d.form(node, &LOAD, load),
        Measure::MemoryAvailable | Measure::SwapUsed | Measure::DiskFree => d.form(node, &SPACE, space),
        Measure::InodesFree => d.form(node, &INODES, inodes),
        Measure::Alive | Measure::Down | Measure::AgentsDown => d.form(node, &MEMBERS, members),
    }
}

fn cores(text: &str) -> Result<Limit, String> {
    let (number, unit) = units::number_and_unit(text)?;
    match unit {
        "core" | "cores" => units::decimal(number).map(Limit::Absolute),
        "% host" => share(number),
        "%" => Err(format!("of what? Write {number}% host for a share of the host's CPUs, or cores: 1.5 cores")),
        "" => Err(format!("the unit is missing: {number} cores, or {number}% host")),
        _ => Err("the units are cores and % host".to_owned()),
    }
}

fn memory(text: &str) -> Result<Limit, String> {
    let (number, unit) = units::number_and_unit(text)?;
    match unit {
        "% host" => share(number),
        "%" => Err(format!("of what? Write {number}% host for a share of the host's memory, or bytes: 512MiB")),
        _ => units::size(text).map(|bytes| Limit::Absolute(bytes as f64)),
    }
}

fn share(number: &str) -> Result<Limit, String> {
    let share = units::decimal(number)? / 100.0;
    if share > 1.0 { Err("the most is 100% host".to_owned()) } else { Ok(Limit::HostShare(share)) }
}

/// `10%`: what it is a share of, the measure says.
fn host_share(text: &str) -> Result<f64, String> {
    let (number, unit) = units::number_and_unit(text)?;
    match unit {
        "% host" | "" => Err(format!("write {number}%")),
        "core" | "cores" => Err("it is a share of all CPUs: 90%".to_owned()),
        _ => units::percent(text),
    }
}

fn load(text: &str) -> Result<Limit, String> {
    let (number, unit) = units::number_and_unit(text)?;
    match unit {
        "" => units::decimal(number).map(Limit::Absolute),
        "per core" => units::decimal(number).map(Limit::HostShare),
        _ => Err(format!("a number of processes, or so many for each CPU: {number} per core")),
    }
}

fn space(text: &str) -> Result<Limit, String> {
    let (number, unit) = units::number_and_unit(text)?;
    match unit {
        "" => Err(format!("the unit is missing: {number}%, or bytes such as {number}GiB")),
        "%" | "% host" => host_share(text).map(Limit::HostShare),
        _ => units::size(text).map(|bytes| Limit::Absolute(bytes as f64)),
    }
}

fn inodes(text: &str) -> Result<Limit, String> {
    if text.ends_with('%') {
        return host_share(text).map(Limit::HostShare);
    }
    // At most 18 digits, and nobody needs the last of them.
    let whole = !text.is_empty() && text.len() <= 18 && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u64>() {
        Ok(number) if whole => Ok(Limit::Absolute(number as f64)),
        _ => Err("a percentage, or how many: 100000".to_owned()),
    }
}

/// So many hosts, or so many of all of them.
fn members(text: &str) -> Result<Limit, String> {
    if text.ends_with('%') {
        return units::percent(text).map(Limit::HostShare);
    }
    let whole = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u32>() {
        Ok(number) if whole && number <= COUNT_MAX => Ok(Limit::Absolute(f64::from(number))),
        _ => Err("how many hosts, or a percentage of them: 80%".to_owned()),
    }
}

fn never_breached(d: &mut Decoder<'_>, measure: Measure, min: Option<Placed<Limit>>, max: Option<Placed<Limit>>) {
    let name = measure.as_str();
    // A scheduled job says by `runs: { min: 0 }` that a scheduled time may pass without a run.
    let min = min.filter(|_| measure != Measure::Runs);
    if let Some((Limit::Absolute(0.0) | Limit::HostShare(0.0), span)) = min {
        d.error_help(span, format!("`{name}` is never below 0: this bound can never be breached"), "leave `min` out");
    }
    if let Some((Limit::HostShare(1.0), span)) = max.filter(|_| measure != Measure::Load) {
        let whole = if Measure::PEERS.contains(&measure) { "all of them" } else { "the whole host" };
        let message = format!("`{name}` is never above {whole}: this bound can never be breached");
        d.error_help(span, message, "give a smaller share, or leave `max` out");
    }
}

fn wrong_side(
    d: &mut Decoder<'_>,
    min: Option<Placed<Limit>>,
    max: Option<Placed<Limit>>,
    above: Option<Placed<Limit>>,
    below: Option<Placed<Limit>>,
) {
    let is_less = |a: Option<Placed<Limit>>, b: Option<Placed<Limit>>| {
        a.zip(b).is_some_and(|((a, _), (b, _))| compare(a, b) == Some(Ordering::Less))
    };
    if let Some((_, span)) = above.filter(|_| is_less(above, min)) {
        d.error_help(span, "`clear_above` is below its `min`", "it must not be less: from there up the alarm is over");
    }
    if let Some((_, span)) = below.filter(|_| is_less(max, below)) {
        d.error_help(
            span,
            "`clear_below` is above its `max`",
            "it must not be more: from there down the alarm is over",
        );
    }
    if let Some((_, span)) = above.filter(|_| is_less(max, above)) {
        d.error_help(span, "`clear_above` is above `max`", "an alarm would end only where the next one begins");
    }
    if let Some((_, span)) = below.filter(|_| is_less(below, min)) {
        d.error_help(span, "`clear_below` is below `min`", "an alarm would end only where the next one begins");
    }
}

/// The bounds of one measure together: one that no value can satisfy, or that is there twice.
pub(super) fn among(d: &mut Decoder<'_>, placed: &[Placed<Bound>]) {
    for (index, (later, span)) in placed.iter().enumerate() {
        let same = |a: &Bound| a.within == later.within && a.per == later.per;
        for (earlier, place) in placed[..index].iter().filter(|(earlier, _)| same(earlier)) {
            let (min, max) = if later.side == Side::Max { (earlier, later) } else { (later, earlier) };
            let crossed = min.side != max.side && compare(max.limit, min.limit) == Some(Ordering::Less);
            if crossed {
                let message = format!("`min` is above `max` of {}", d.source.place(*place));
                let own = if later.side == Side::Max {
                    format!("`max` is below `min` of {}", d.source.place(*place))
                } else {
                    message
                };
                d.error_help(*span, own, "no value could ever be healthy");
                return;
            }
            if *later == (Bound { declared: Arc::clone(&later.declared), ..earlier.clone() }) {
                let message = format!("the same bound is given twice; first at {}", d.source.place(*place));
                d.error_help(*span, message, "keep one of them");
                return;
            }
        }
    }
}

/// Limits of different kinds (cores and a share of the host) cannot be compared before the host is known.
fn compare(a: Limit, b: Limit) -> Option<Ordering> {
    match (a, b) {
        (Limit::Absolute(a), Limit::Absolute(b)) | (Limit::HostShare(a), Limit::HostShare(b)) => a.partial_cmp(&b),
        _ => None,
    }
}
