//! The events of the host's bounds.

use std::sync::Arc;
use std::time::Duration;

use super::super::evidence::Evidence;
use super::super::held::Change;
use super::super::raise::{Raised, Told};
use super::super::tell::{number, secs};
use super::super::text;
use super::bound::HostState;
use super::values::Lack;
use super::{Around, Hosts, evidence};
use crate::event::{AlarmTurn, Attribute, Attributes, Event, Severity, clean, name};
use crate::policy::spec::{Measure, Side};
use crate::time::KTime;

/// Something to tell of one thing of one bound.
#[derive(Debug)]
pub(super) struct News {
    bound: Arc<str>,
    instance: Option<Arc<str>>,
    what: What,
}

#[derive(Debug)]
enum What {
    /// With why it ended, where that is not that it is healthy again.
    Turn(Change, Option<&'static str>),
    Lacks(Lack, KTime),
    HasAgain(Lack, KTime),
}

impl News {
    pub(super) fn turn(
        bound: &Arc<str>,
        instance: Option<Arc<str>>,
        (change, why): (Change, Option<&'static str>),
    ) -> Self {
        Self { bound: Arc::clone(bound), instance, what: What::Turn(change, why) }
    }

    pub(super) fn lacks(bound: &Arc<str>, instance: Option<Arc<str>>, lack: Lack, at: KTime) -> Self {
        Self { bound: Arc::clone(bound), instance, what: What::Lacks(lack, at) }
    }

    pub(super) fn has_again(bound: &Arc<str>, instance: Option<Arc<str>>, lack: Lack, at: KTime) -> Self {
        Self { bound: Arc::clone(bound), instance, what: What::HasAgain(lack, at) }
    }

    fn at(&self) -> KTime {
        match self.what {
            What::Lacks(_, at)
            | What::HasAgain(_, at)
            | What::Turn(Change::Fired { at, .. } | Change::Repeated { at, .. } | Change::Resolved { at, .. }, _) => at,
        }
    }
}

impl Hosts {
    /// Tells what happened, in the order of its moments.
    pub(super) fn put_out(&self, mut news: Vec<News>, around: Around<'_>, out: &mut Vec<Told>) {
        if news.is_empty() {
            return;
        }
        news.sort_by_key(News::at);
        for News { bound, instance, what } in news {
            let Some(bound) = self.bounds.iter().find(|state| state.name == bound) else { continue };
            let instance = instance.as_ref();
            let told = match what {
                What::Turn(Change::Fired { at, since, value }, _) => {
                    Told::Alarm(self.firing(bound, instance, (at, since, value), AlarmTurn::Fired, around))
                }
                What::Turn(Change::Repeated { at, since, value }, _) => {
                    Told::Alarm(self.firing(bound, instance, (at, since, value), AlarmTurn::Repeated, around))
                }
                What::Turn(Change::Resolved { at, duration, value }, why) => {
                    Told::Alarm(bound.resolved(instance, at, duration, value, why))
                }
                // The doubt is told by itself.
                What::Lacks(Lack::InDoubt, _) | What::HasAgain(Lack::InDoubt, _) => continue,
                What::Lacks(lack, at) => Told::Event(bound.lacking(instance, lack, at, false)),
                What::HasAgain(lack, at) => Told::Event(bound.lacking(instance, lack, at, true)),
            };
            out.push(told);
        }
    }

    fn firing(
        &self,
        bound: &HostState,
        instance: Option<&Arc<str>>,
        (at, since, value): (KTime, KTime, f64),
        turn: AlarmTurn,
        around: Around<'_>,
    ) -> Raised {
        let size = instance.and_then(|path| self.sizes.get(path));
        let Evidence { clause, list } = evidence::of(bound.spec.bound.measure, size, around);
        let mut body = bound.breach(instance, value);
        if let Some(clause) = clause {
            body.push_str("; ");
            body.push_str(&clause);
        }
        let mut attributes = bound.attributes(instance, value, since);
        attributes.put_attribute("evidence", Attribute::List(list));
        if turn == AlarmTurn::Repeated {
            attributes.put("repeated", true);
        }
        bound.raised(name::POLICY_FIRING, instance, at, body, attributes, turn)
    }
}

impl HostState {
    /// The end of an alarm. `why` is told when it is not that the value is healthy again.
    pub(super) fn resolved(
        &self,
        instance: Option<&Arc<str>>,
        at: KTime,
        duration: Duration,
        value: f64,
        why: Option<&'static str>,
    ) -> Raised {
        let body = text::ending(&self.subject(instance), &self.breach(instance, value), duration, why);
        let mut attributes = self.attributes(instance, value, at.before(duration));
        attributes.put("duration", secs(duration));
        attributes.put_some("reason", why);
        self.raised(name::POLICY_RESOLVED, instance, at, body, attributes, AlarmTurn::Resolved)
    }

    fn raised(
        &self,
        name: &'static str,
        instance: Option<&Arc<str>>,
        at: KTime,
        body: String,
        attributes: Attributes,
        turn: AlarmTurn,
    ) -> Raised {
        let severity = self.spec.bound.severity;
        let event = Event { name, severity, at, body, attributes, alarm: None };
        Raised::new(event, &self.name, instance.cloned(), turn, &self.response, Vec::new())
    }

    /// It cannot be judged, or again it can.
    fn lacking(&self, instance: Option<&Arc<str>>, lack: Lack, at: KTime, again: bool) -> Event {
        let measure = self.spec.bound.measure;
        let thing = instance.map(|instance| clean(instance)).unwrap_or_default();
        let kind = if is_of_disk(measure) { "mount point" } else { "network interface" };
        let what = match (lack, again) {
            (Lack::NoAnswer, false) => format!("{thing} does not answer"),
            (Lack::NoAnswer, true) => format!("{thing} answers again"),
            (Lack::Missing, false) => format!("there is no {kind} {thing}"),
            (Lack::Missing, true) => format!("there is a {kind} {thing} again"),
            (Lack::NotMeasured | Lack::InDoubt, false) => format!("this kernel does not tell {}", measure.as_str()),
            (Lack::NotMeasured | Lack::InDoubt, true) => format!("the kernel tells {} again", measure.as_str()),
        };
        let judged = if again { "is judged" } else { "is not judged" };
        let mut attributes = Attributes::default();
        attributes.put("where", "host");
        attributes.put("reason", lack.as_str());
        attributes.put("count", 1);
        attributes.put("reconciled", again);
        attributes.put("alarm", &*self.name);
        self.put_instance(instance, &mut attributes);
        let severity = if again { Severity::Info } else { Severity::Warning };
        let body = format!("host: {what}: {} {judged}", self.name);
        Event { name: name::AGENT_LOST, severity, at, body, attributes, alarm: None }
    }

    fn breach(&self, instance: Option<&Arc<str>>, value: f64) -> String {
        let (bound, thing) = (&self.spec.bound, instance.map(|instance| clean(instance)));
        let words = text::of_host(bound.measure, self.is_share(), thing.as_deref());
        format!("host: {}", words.breach(bound.side, value, self.rule.limit))
    }

    /// `host`, or `host: disk_free of /data`.
    fn subject(&self, instance: Option<&Arc<str>>) -> String {
        let measure = self.spec.bound.measure.as_str();
        match instance {
            Some(instance) => format!("host: {measure} of {}", clean(instance)),
            None => format!("host: {measure}"),
        }
    }

    fn attributes(&self, instance: Option<&Arc<str>>, value: f64, since: KTime) -> Attributes {
        let spec = &self.spec.bound;
        let mut attributes = Attributes::default();
        attributes.put("policy.name", "host");
        attributes.put("policy.kind", "host");
        attributes.put("measure", spec.measure.as_str());
        attributes.put("bound", spec.side.as_str());
        attributes.put("limit", number(self.rule.limit));
        attributes.put("value", number(value));
        if self.is_share() {
            attributes.put("share", true);
        }
        attributes.put_attribute("since", Attribute::Time(since));
        attributes.put("degraded", false);
        attributes.put("declared", &*spec.declared);
        if spec.side == Side::Max || spec.clear.is_some() {
            attributes.put_some("clear", spec.clear.map(|_| number(self.rule.clear)));
        }
        self.put_instance(instance, &mut attributes);
        attributes
    }

    fn put_instance(&self, instance: Option<&Arc<str>>, attributes: &mut Attributes) {
        let is_of_disk = is_of_disk(self.spec.bound.measure);
        let key = if is_of_disk { "system.filesystem.mountpoint" } else { "network.interface.name" };
        attributes.put_some(key, instance.map(|instance| clean(instance)));
    }
}

const fn is_of_disk(measure: Measure) -> bool {
    matches!(measure, Measure::DiskFree | Measure::InodesFree)
}
