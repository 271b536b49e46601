//! From what the core says to what the engine is told.

use std::sync::Arc;
use std::time::Duration;

use super::core::{Evidence, Kind, State, Verdict, View, What, Words};
use super::keys::hex;
use crate::record::{PeerStanding, PeerTurn, PeerVerdict, PeerView, PeerVouch, PeerWitness};

/// What is held of a member.
pub(super) fn standing(view: &View<'_>) -> PeerStanding {
    match (view.state, view.verdict) {
        (State::Left(_), None) => PeerStanding::Left,
        (State::Alive | State::Suspect, Some(What::PathDown)) => PeerStanding::PathDown,
        // Whoever is only missed is alive until there is a verdict.
        (State::Alive | State::Suspect, _) => PeerStanding::Alive,
        (State::Down | State::Left(_), verdict) => verdict.map_or(PeerStanding::Unknown, of_what),
    }
}

/// A member as policies see it.
pub(super) fn view(view: &View<'_>) -> PeerView {
    let standing = standing(view);
    let mut labels: Vec<(Arc<str>, Arc<str>)> =
        view.member.labels.iter().map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect();
    labels.sort();
    PeerView {
        name: view.member.name.as_str().into(),
        zone: view.member.zone.as_str().into(),
        labels,
        standing,
        since: (standing != PeerStanding::Alive).then_some(view.since),
    }
}

/// A verdict for the engine; `own`: it is about this host.
pub(super) fn verdict(verdict: &Verdict, own: bool) -> PeerVerdict {
    let Verdict { kind, what, was, peer, incident, witnesses, since, until, mine: _ } = verdict;
    PeerVerdict {
        turn: match kind {
            Kind::Down => PeerTurn::Down,
            Kind::Recovered => PeerTurn::Recovered,
            Kind::Reclassified => PeerTurn::Reclassified,
        },
        verdict: of_what(*what),
        was: was.map(of_what),
        peer: peer.name.as_str().into(),
        own,
        zone: peer.zone.as_str().into(),
        incident: hex(incident).into(),
        witnesses: witnesses
            .iter()
            .map(|witness| PeerWitness {
                name: witness.name.as_str().into(),
                zone: witness.zone.as_str().into(),
                evidence: evidence(witness.evidence).into(),
            })
            .collect(),
        since: *since,
        silence: until.map(|until| until.since(*since)),
    }
}

/// A heartbeat that is vouched for; `zone`: of the member, as it is known.
pub(super) fn vouch(words: &Words, zone: &str) -> PeerVouch {
    PeerVouch {
        peer: words.name.as_str().into(),
        zone: zone.into(),
        boot: hex(&words.boot).into(),
        sequence: words.seq,
        uptime: Duration::from_nanos(words.up_ns),
        losses: words.losses,
        proof: hex(&words.signed).into(),
    }
}

/// The word for what became of a member.
pub(super) const fn of_what(what: What) -> PeerStanding {
    match what {
        What::HostDown => PeerStanding::HostDown,
        What::AgentDown => PeerStanding::AgentDown,
        What::PathDown => PeerStanding::PathDown,
        What::Unknown => PeerStanding::Unknown,
    }
}

/// `3 direct probes and 2 by others without an answer, the host does not answer, silent for 6.5 s`
fn evidence(evidence: Evidence) -> String {
    let Evidence { direct, indirect, host, silent_ms } = evidence;
    let host = match host {
        Some(true) => "the host answers",
        Some(false) => "the host does not answer",
        None => "the host was not asked",
    };
    let silent = Duration::from_millis(silent_ms.into()).as_secs_f64();
    format!("{direct} direct probes and {indirect} by others without an answer, {host}, silent for {silent:.1} s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_a_sentence() {
        let tried = Evidence { direct: 3, indirect: 2, host: Some(false), silent_ms: 6543 };
        assert_eq!(
            evidence(tried),
            "3 direct probes and 2 by others without an answer, the host does not answer, silent for 6.5 s"
        );
        assert!(evidence(Evidence { host: Some(true), ..tried }).contains("the host answers"));
        assert!(evidence(Evidence { host: None, ..tried }).contains("was not asked"));
    }
}
