//! Sites as a script tells them, and the story that the engine must tell of them.
//!
//! A script is one step a line: `seconds verb arguments`.
//!
//! | verb | |
//! |---|---|
//! | `is NAME STANDING` | what is held of a host from now on; `web-*` are labelled `role=web`, `?-b` stand in zone b |
//! | `told` | the engine hears of everybody |
//! | `tick` | time alone has passed |
//! | `policies N` | others from the list |

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::tests::world;
use crate::engine::{Effect, Engine, Input, State};
use crate::event::{Event, Severity, name};
use crate::policy::glob::Glob;
use crate::policy::spec::{Bound, Limit, Measure, PeerSelector, PeerSet, Per, PolicySet, Response, Side, Users};
use crate::record::{PeerNews, PeerStanding, PeerTurn, PeerVerdict, PeerView, PeerVouch, PeerWitness, Scan};
use crate::time::KTime;

struct Site {
    engine: Engine,
    sets: Vec<Arc<PolicySet>>,
    hosts: BTreeMap<String, PeerView>,
    now: KTime,
    events: Vec<Event>,
}

/// `measure side limit options`; options: `for=S`, `zone=PATTERN`, `label=PATTERN` (of `role`).
fn policies(text: &str, repeat: Option<Duration>) -> Arc<PolicySet> {
    let sets = text.split(';').map(str::trim).filter(|text| !text.is_empty()).enumerate().map(|(number, text)| {
        let mut words = text.split_whitespace();
        let measure = words.next().unwrap();
        let measure = Measure::PEERS.into_iter().find(|known| known.as_str() == measure).expect(measure);
        let side = if words.next() == Some("min") { Side::Min } else { Side::Max };
        let limit = words.next().unwrap();
        let limit = match limit.strip_suffix('%') {
            Some(share) => Limit::HostShare(share.parse::<f64>().unwrap() / 100.0),
            None => Limit::Absolute(limit.parse().unwrap()),
        };
        let mut bound = Bound {
            measure,
            side,
            limit,
            clear: None,
            hold: Duration::ZERO,
            keep_firing: Duration::ZERO,
            within: Duration::ZERO,
            per: Per::Group,
            severity: Severity::Warning,
            declared: "peers.yaml:1".into(),
        };
        let mut select = PeerSelector::default();
        for option in words {
            match option.split_once('=').unwrap() {
                ("for", text) => bound.hold = Duration::from_secs(text.parse().unwrap()),
                ("zone", text) => select.zones.push(Glob::name(text).unwrap()),
                ("label", text) => select.labels.push(("role".into(), vec![Glob::name(text).unwrap()])),
                (other, _) => panic!("no option {other}"),
            }
        }
        PeerSet {
            name: format!("s{number}").into(),
            declared: "peers.yaml:1".into(),
            select,
            bounds: vec![bound],
            response: Response { repeat, notify: vec!["ops".into()], ..Response::default() },
        }
    });
    Arc::new(PolicySet { peers: sets.collect(), ..PolicySet::default() })
}

impl Site {
    fn new(sets: &[&str]) -> Self {
        let sets: Vec<_> = sets.iter().map(|set| policies(set, None)).collect();
        let settings = crate::engine::Settings { start_grace: Duration::ZERO, ..world::settings() };
        let engine = Engine::new(settings, &sets[0], Arc::new(Users::default()));
        let mut site = Self { engine, sets, hosts: BTreeMap::new(), now: KTime(0), events: Vec::new() };
        site.step(Input::Scan(Scan::default()));
        site
    }

    fn step(&mut self, input: Input) {
        let mut effects = Vec::new();
        self.engine.step(self.now, input, &mut effects);
        for effect in effects {
            if let Effect::Emit(event) = effect {
                self.events.push(event);
            }
        }
    }

    fn play(&mut self, script: &str) {
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let words: Vec<&str> = line.split_whitespace().collect();
            self.now = KTime::from_secs(words[0].parse().unwrap());
            match words[1..] {
                ["is", host, standing] => {
                    let standing = PeerStanding::ALL.into_iter().find(|known| known.as_str() == standing).unwrap();
                    let role = host.split_once('-').map_or(host, |(role, _)| role);
                    let view = PeerView {
                        name: host.into(),
                        zone: if host.ends_with("-b") { "b".into() } else { "a".into() },
                        labels: vec![("role".into(), role.into())],
                        standing,
                        since: (standing != PeerStanding::Alive).then_some(self.now),
                    };
                    self.hosts.insert(host.to_owned(), view);
                }
                ["told"] => {
                    let members = self.hosts.values().cloned().collect();
                    self.step(Input::Peers(PeerNews::Members(members)));
                }
                ["tick"] => self.step(Input::Tick),
                ["policies", number] => {
                    let set = Arc::clone(&self.sets[number.parse::<usize>().unwrap()]);
                    self.step(Input::Policies(set, Arc::new(Users::default())));
                }
                _ => panic!("no step {line}"),
            }
        }
    }

    fn told(&self) -> Vec<String> {
        let alarm = |event: &Event| {
            let at = Duration::from_nanos(event.at.0).as_secs();
            let alarm = event.alarm.as_ref().map(|alarm| alarm.name.to_string()).unwrap_or_default();
            format!("{at} {} {alarm}", event.name.rsplit('.').next().unwrap_or_default()).trim().to_owned()
        };
        self.events.iter().map(alarm).collect()
    }
}

#[track_caller]
fn check(sets: &[&str], script: &str, expected: &[&str]) -> Site {
    let mut site = Site::new(sets);
    site.play(script);
    assert_eq!(site.told(), expected);
    site
}

const FIVE: &str =
    "1 is web-1 alive\n 1 is web-2 alive\n 1 is web-3 alive\n 1 is web-b alive\n 1 is db-1 alive\n 1 told\n";

#[test]
fn a_share_of_a_set_must_live() {
    let script = format!("{FIVE} 10 is web-1 host_down\n 10 told\n 20 is web-2 host_down\n 20 told\n 90 tick\n");
    let site = check(&["alive min 60% for=30 label=web"], &script, &["50 firing s0.alive.min"]);
    let body = "s0: 50% of the hosts alive, minimum 60%; down are web-1 (host_down), web-2 (host_down)";
    assert_eq!(site.events[0].body, body);
    assert_eq!(site.events[0].attributes.get("members"), Some(&4.into()));
    assert_eq!(site.events[0].attributes.get("policy.kind"), Some(&"peers".into()));
    let again = format!("{script} 100 is web-1 alive\n 100 told\n");
    check(&["alive min 60% for=30 label=web"], &again, &["50 firing s0.alive.min", "100 resolved s0.alive.min"]);
    // Another zone's, and nobody's.
    check(&["alive min 100% zone=b"], &script, &[]);
    check(&["alive min 100% zone=c"], &script, &[]);
    check(&["alive min 1 zone=c"], &script, &["1 firing s0.alive.min"]);
}

#[test]
fn only_who_is_shown_to_be_down_is_down() {
    for standing in ["path_down", "unknown", "agent_down"] {
        check(&["alive min 100%; down max 0"], &format!("{FIVE} 5 is web-1 {standing}\n 5 told\n 99 tick\n"), &[]);
    }
    check(
        &["agents_down max 0"],
        &format!("{FIVE} 5 is web-1 agent_down\n 5 told\n"),
        &["5 firing s0.agents_down.max"],
    );
    check(&["down max 0"], &format!("{FIVE} 5 is web-1 host_down\n 5 told\n"), &["5 firing s0.down.max"]);
    // Who said that it ends is missed by a number alone.
    let left = format!("{FIVE} 5 is web-1 left\n 5 told\n");
    check(&["alive min 100%; down max 0; agents_down max 0"], &left, &[]);
    check(&["alive min 5"], &left, &["5 firing s0.alive.min"]);
}

#[test]
fn nothing_is_judged_before_something_is_known() {
    let mut site = check(&["alive min 1"], "9 tick", &[]);
    let status = site.engine.status(site.now);
    assert_eq!(status.peers[0].members, None);
    assert_eq!((status.peers[0].bounds[0].state, status.peers[0].bounds[0].value), (State::Unknown, None));
    site.play(FIVE);
    let status = site.engine.status(site.now);
    assert_eq!((status.peers[0].members, status.peers[0].bounds[0].state), (Some(5), State::Healthy));
}

#[test]
fn a_reload_keeps_what_says_the_same() {
    let sets = ["alive min 100%", "alive min 100%", "alive min 100% zone=b", "down max 3"];
    let begin = format!("{FIVE} 5 is web-1 host_down\n 5 told\n");
    check(&sets, &format!("{begin} 9 policies 1\n 9 told\n"), &["5 firing s0.alive.min"]);
    let over = ["5 firing s0.alive.min", "9 resolved s0.alive.min"];
    let site = check(&sets, &format!("{begin} 9 policies 2\n"), &over);
    assert!(site.events[1].body.ends_with("over after 4s: policy removed"), "{}", site.events[1].body);
    check(&sets, &format!("{begin} 9 policies 3\n"), &over);
    // What is known is held against new policies at once.
    check(&["down max 3", "down max 0"], &format!("{begin} 9 policies 1\n"), &["9 firing s0.down.max"]);
}

fn verdict(turn: PeerTurn, verdict: PeerStanding) -> PeerVerdict {
    PeerVerdict {
        turn,
        verdict,
        peer: "web-\u{1b}1".into(),
        own: false,
        zone: "a".into(),
        was: None,
        incident: "00ff".into(),
        witnesses: vec![PeerWitness { name: "w".into(), zone: "b".into(), evidence: "tried".into() }; 2],
        since: KTime::from_secs(90),
        silence: None,
    }
}

#[test]
fn verdicts_are_told_as_they_come() {
    let mut site = Site::new(&[""]);
    site.now = KTime::from_secs(100);
    let turns = [
        (
            verdict(PeerTurn::Down, PeerStanding::HostDown),
            (name::PEER_DOWN, Severity::Critical),
            "web-\\x1b1 in a is down: neither its daemon nor the host answers; last sign of life 10s ago, by 2 witnesses",
        ),
        (
            verdict(PeerTurn::Down, PeerStanding::AgentDown),
            (name::PEER_DOWN, Severity::Warning),
            "web-\\x1b1 in a answers, but its procprobe does not; last sign of life 10s ago, by 2 witnesses",
        ),
        (
            PeerVerdict { own: true, witnesses: Vec::new(), ..verdict(PeerTurn::Down, PeerStanding::PathDown) },
            (name::PEER_DOWN, Severity::Warning),
            "web-\\x1b1 in a reaches too few of the others to speak of anybody: its own path is down; last sign of life \
             10s ago",
        ),
        (
            PeerVerdict {
                silence: Some(Duration::from_secs(75)),
                was: Some(PeerStanding::HostDown),
                ..verdict(PeerTurn::Reclassified, PeerStanding::PathDown)
            },
            (name::PEER_RECLASSIFIED, Severity::Info),
            "web-\\x1b1 in a was not down: it lived through 1m 15s of silence, only the path was gone",
        ),
        (
            PeerVerdict {
                silence: Some(Duration::from_secs(75)),
                was: Some(PeerStanding::HostDown),
                ..verdict(PeerTurn::Reclassified, PeerStanding::AgentDown)
            },
            (name::PEER_RECLASSIFIED, Severity::Info),
            "web-\\x1b1 in a was not down: the host lived through 1m 15s of silence, its procprobe did not",
        ),
        (
            PeerVerdict {
                silence: Some(Duration::from_secs(75)),
                ..verdict(PeerTurn::Recovered, PeerStanding::HostDown)
            },
            (name::PEER_RECOVERED, Severity::Info),
            "web-\\x1b1 in a is back after 1m 15s (host_down)",
        ),
    ];
    for (told, (name, severity), body) in turns {
        site.events.clear();
        site.step(Input::Peers(PeerNews::Verdict(Box::new(told))));
        let event = &site.events[0];
        assert_eq!((event.name, event.severity, event.body.as_str()), (name, severity, body));
        assert_eq!(event.attributes.get("incident"), Some(&"00ff".into()));
        assert_eq!(event.attributes.get("peer.zone"), Some(&"a".into()));
    }
    site.events.clear();
    let vouch = PeerVouch {
        peer: "web-2".into(),
        zone: "".into(),
        boot: "ff".into(),
        sequence: 7,
        uptime: Duration::from_hours(1),
        losses: 1,
        proof: "00".into(),
    };
    site.step(Input::Peers(PeerNews::Vouched(Box::new(vouch))));
    let event = &site.events[0];
    assert_eq!(event.name, name::PEER_VOUCHED);
    assert_eq!(event.body, "web-2 lives (up 1h) and has no way to the collector: this host speaks for it");
    assert_eq!(event.attributes.get("peer.sequence"), Some(&7.into()));
}
