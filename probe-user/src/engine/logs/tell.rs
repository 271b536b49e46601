//! The events of logs: names, sentences and attributes as EVENTS.md fixes them. Lines are cleaned, cut and redacted
//! before they come here.

use std::time::Duration;

use super::super::raise::Raised;
use super::super::tell::{number, secs};
use super::super::text;
use super::state::{Line, LogState};
use crate::event::{AlarmTurn, Attribute, Attributes, Event, Severity, name};
use crate::policy::spec::Side;
use crate::time::KTime;

/// Longest line in a sentence, in bytes.
const SENTENCE_MAX: usize = 160;

impl LogState {
    /// `procprobe.log.matched`: a line, and how many it stands for. `silence`: how long nothing was told before.
    pub(super) fn matched(&self, at: KTime, line: &Line, count: u64, silence: Option<Duration>) -> Event {
        let mut attributes = line.attributes();
        attributes.put("count", count);
        attributes.put("policy.name", &*self.spec.name);
        attributes.put_some("quiet", silence.map(secs));
        let (name, path, shown) = (&self.spec.name, &line.path, cut(&line.text, SENTENCE_MAX));
        let body = match silence {
            Some(silence) => {
                let lines = if count == 1 { "line" } else { "lines" };
                format!("{name}: {count} {lines} in {} of silence, the last in {path}: {shown}", text::span(silence))
            }
            None if count > 1 => format!("{name}: {count} lines, the last in {path}: {shown}"),
            None => format!("{name}: {path}: {shown}"),
        };
        Event { name: name::LOG_MATCHED, severity: Severity::Info, at, body, attributes, alarm: None }
    }

    /// The alarm of a bound.
    pub(super) fn firing(
        &self,
        position: usize,
        at: KTime,
        since: KTime,
        value: f64,
        repeated: bool,
    ) -> Option<Raised> {
        let mut body = self.breach(position, value)?;
        if let Some(line) = self.last.back() {
            body.push_str("; last in ");
            body.push_str(&line.path);
            body.push_str(": ");
            body.push_str(&cut(&line.text, SENTENCE_MAX));
        }
        let mut attributes = self.policy_attributes(position, value, since)?;
        if let Some(line) = self.last.back() {
            attributes.put("log.file.path", &*line.path).put("keyword", &*line.keyword);
        }
        let evidence = self.last.iter().map(|line| {
            let mut attributes = line.attributes();
            attributes.put_attribute("time", Attribute::Time(line.at));
            attributes
        });
        attributes.put_attribute("evidence", Attribute::List(evidence.collect()));
        if repeated {
            attributes.put("repeated", true);
        }
        let turn = if repeated { AlarmTurn::Repeated } else { AlarmTurn::Fired };
        self.raised(position, name::POLICY_FIRING, at, body, attributes, turn)
    }

    /// The end of the alarm of a bound. `reason` is told when it is not that the value is healthy again.
    pub(super) fn resolved(
        &self,
        position: usize,
        at: KTime,
        duration: Duration,
        reason: Option<&'static str>,
    ) -> Option<Raised> {
        let value = self.bounds.get(position)?.held.value().unwrap_or_default();
        let body = text::ending(&self.spec.name, &self.breach(position, value)?, duration, reason);
        let mut attributes = self.policy_attributes(position, value, at.before(duration))?;
        attributes.put("duration", secs(duration));
        attributes.put_some("reason", reason);
        self.raised(position, name::POLICY_RESOLVED, at, body, attributes, AlarmTurn::Resolved)
    }

    fn raised(
        &self,
        position: usize,
        name: &'static str,
        at: KTime,
        body: String,
        attributes: Attributes,
        turn: AlarmTurn,
    ) -> Option<Raised> {
        let bound = self.bounds.get(position)?;
        let event = Event { name, severity: bound.spec.severity, at, body, attributes, alarm: None };
        Some(Raised::new(event, &bound.name, None, turn, &self.response, Vec::new()))
    }

    fn breach(&self, position: usize, value: f64) -> Option<String> {
        let bound = self.bounds.get(position)?;
        let spec = &bound.spec;
        let sentence = text::breach(spec.measure, spec.side, value, bound.held.rule().limit, spec.within);
        Some(format!("{}: {sentence}", self.spec.name))
    }

    fn policy_attributes(&self, position: usize, value: f64, since: KTime) -> Option<Attributes> {
        let bound = self.bounds.get(position)?;
        let (spec, rule) = (&bound.spec, bound.held.rule());
        let mut attributes = Attributes::default();
        attributes.put("policy.name", &*self.spec.name);
        attributes.put("policy.kind", "log");
        attributes.put("measure", spec.measure.as_str());
        attributes.put("bound", spec.side.as_str());
        attributes.put("limit", number(rule.limit));
        attributes.put("value", number(value));
        attributes.put_attribute("since", Attribute::Time(since));
        attributes.put("degraded", false);
        attributes.put("declared", &*spec.declared);
        attributes.put("within", secs(spec.within));
        if spec.side == Side::Max || spec.clear.is_some() {
            attributes.put_some("clear", spec.clear.map(|_| number(rule.clear)));
        }
        Some(attributes)
    }
}

impl Line {
    fn attributes(&self) -> Attributes {
        let mut attributes = Attributes::default();
        attributes.put("log.file.path", &*self.path).put("keyword", &*self.keyword).put("line", &*self.text);
        attributes
    }
}

/// The beginning of a text, at most so many bytes and a mark that something was cut off.
pub(super) fn cut(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let end = (0..=bytes).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…", text.get(..end).unwrap_or_default())
}
