//! The events of peers: alarms of sets, verdicts, vouchings. Names and zones are other hosts' words: they go out cleaned.

use std::time::Duration;

use super::super::raise::Raised;
use super::super::tell::{number, secs};
use super::super::text;
use super::state::SetState;
use crate::event::{AlarmTurn, Attribute, Attributes, Event, Severity, clean, name};
use crate::policy::spec::Side;
use crate::record::{PeerStanding, PeerTurn, PeerVerdict, PeerView, PeerVouch};
use crate::time::KTime;

impl SetState {
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
        let evidence = self.tally.as_ref().map(|tally| tally.evidence.as_slice()).unwrap_or_default();
        if !evidence.is_empty() {
            let named = |peer: &PeerView| format!("{} ({})", clean(&peer.name), peer.standing.as_str());
            body.push_str("; down are ");
            body.push_str(&evidence.iter().map(named).collect::<Vec<_>>().join(", "));
        }
        let mut attributes = self.attributes(position, value, since)?;
        let list = evidence.iter().map(|peer| {
            let mut attributes = Attributes::default();
            attributes.put("peer", clean(&peer.name)).put("verdict", peer.standing.as_str());
            put_zone(&mut attributes, "peer.zone", &peer.zone);
            if let Some(since) = peer.since {
                attributes.put_attribute("since", Attribute::Time(since));
            }
            attributes
        });
        attributes.put_attribute("evidence", Attribute::List(list.collect()));
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
        let mut attributes = self.attributes(position, value, at.before(duration))?;
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
        let words = text::of_peers(bound.spec.measure, bound.is_share());
        let sentence = words.breach(bound.spec.side, value, bound.held.rule().limit);
        Some(format!("{}: {sentence}", self.spec.name))
    }

    fn attributes(&self, position: usize, value: f64, since: KTime) -> Option<Attributes> {
        let bound = self.bounds.get(position)?;
        let (spec, rule) = (&bound.spec, bound.held.rule());
        let mut attributes = Attributes::default();
        attributes.put("policy.name", &*self.spec.name);
        attributes.put("policy.kind", "peers");
        attributes.put("measure", spec.measure.as_str());
        attributes.put("bound", spec.side.as_str());
        attributes.put("limit", number(rule.limit));
        attributes.put("value", number(value));
        if bound.is_share() {
            attributes.put("share", true);
        }
        attributes.put_some("members", self.tally.as_ref().map(|tally| tally.members));
        attributes.put_attribute("since", Attribute::Time(since));
        attributes.put("degraded", false);
        attributes.put("declared", &*spec.declared);
        if spec.side == Side::Max || spec.clear.is_some() {
            attributes.put_some("clear", spec.clear.map(|_| number(rule.clear)));
        }
        Some(attributes)
    }
}

/// A verdict that this host is a witness of.
pub(super) fn verdict(at: KTime, verdict: &PeerVerdict) -> Event {
    let PeerVerdict { turn, verdict: held_for, peer, own, zone, was, incident, witnesses, since, silence } = verdict;
    let mut attributes = Attributes::default();
    attributes.put("peer", clean(peer));
    put_zone(&mut attributes, "peer.zone", zone);
    attributes.put("verdict", held_for.as_str());
    attributes.put_some("was", was.map(PeerStanding::as_str));
    attributes.put("incident", &**incident);
    attributes.put_attribute("since", Attribute::Time(*since));
    attributes.put_some("duration", silence.map(secs));
    let list = witnesses.iter().map(|witness| {
        let mut attributes = Attributes::default();
        attributes.put("name", clean(&witness.name));
        put_zone(&mut attributes, "zone", &witness.zone);
        attributes.put("evidence", clean(&witness.evidence));
        attributes
    });
    attributes.put_attribute("witnesses", Attribute::List(list.collect()));
    let place = if zone.is_empty() { String::new() } else { format!(" in {}", clean(zone)) };
    let who = format!("{}{place}", clean(peer));
    let lasted = text::span(silence.unwrap_or_else(|| at.since(*since)));
    let by = match witnesses.len() {
        0 => String::new(),
        1 => ", by 1 witness".to_owned(),
        many => format!(", by {many} witnesses"),
    };
    let (name, severity, body) = match turn {
        PeerTurn::Down => {
            let severity = match held_for {
                PeerStanding::HostDown => Severity::Critical,
                PeerStanding::AgentDown | PeerStanding::PathDown => Severity::Warning,
                _ => Severity::Info,
            };
            let said = match held_for {
                _ if *own => "reaches too few of the others to speak of anybody: its own path is down",
                PeerStanding::HostDown => "is down: neither its daemon nor the host answers",
                PeerStanding::AgentDown => "answers, but its procprobe does not",
                PeerStanding::PathDown => "lives, and some have no way to it",
                _ => "is not heard of, and nobody can tell why",
            };
            (name::PEER_DOWN, severity, format!("{who} {said}; last sign of life {lasted} ago{by}"))
        }
        PeerTurn::Recovered => {
            let said = match own {
                true => format!("{who} reaches enough of the others again after {lasted}"),
                false => format!("{who} is back after {lasted} ({})", held_for.as_str()),
            };
            (name::PEER_RECOVERED, Severity::Info, said)
        }
        PeerTurn::Reclassified => {
            let said = match held_for {
                PeerStanding::PathDown => {
                    format!("{who} was not down: it lived through {lasted} of silence, only the path was gone")
                }
                PeerStanding::AgentDown => {
                    format!("{who} was not down: the host lived through {lasted} of silence, its procprobe did not")
                }
                other => format!("{who} is held for {} now, {lasted} after its last sign of life{by}", other.as_str()),
            };
            (name::PEER_RECLASSIFIED, Severity::Info, said)
        }
    };
    Event { name, severity, at, body, attributes, alarm: None }
}

/// A host without a way to the collector lives: this one tells the collector so.
pub(super) fn vouched(at: KTime, vouch: &PeerVouch) -> Event {
    let PeerVouch { peer, zone, boot, sequence, uptime, losses, proof } = vouch;
    let mut attributes = Attributes::default();
    attributes.put("peer", clean(peer));
    put_zone(&mut attributes, "peer.zone", zone);
    attributes.put("verdict", PeerStanding::PathDown.as_str());
    attributes.put("peer.boot.id", clean(boot)).put("peer.sequence", *sequence).put("peer.uptime", secs(*uptime));
    attributes.put("peer.losses", *losses).put("peer.proof", &**proof);
    let body = format!(
        "{} lives (up {}) and has no way to the collector: this host speaks for it",
        clean(peer),
        text::span(*uptime)
    );
    Event { name: name::PEER_VOUCHED, severity: Severity::Info, at, body, attributes, alarm: None }
}

fn put_zone(attributes: &mut Attributes, name: &'static str, zone: &str) {
    if !zone.is_empty() {
        attributes.put(name, clean(zone));
    }
}
