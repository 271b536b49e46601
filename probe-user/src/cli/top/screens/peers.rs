//! The hosts of the site: what is held of each, and when it was last heard.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet};

use super::{Cell, Column, Detail, Mark, Row, State, Table, counted};
use crate::cli::top::report::{Peer, SiteSummary};
use crate::cli::words::span;

pub(super) const ORDERS: [&str; 4] = ["zone", "verdict", "heard", "name"];

const COLUMNS: [Column; 9] = [
    Column::left("ZONE", 10).from(50),
    Column::growing("NAME", 12),
    Column::left("STATE", 9).from(60),
    Column::left("VERDICT", 10),
    Column::right("SINCE", 7).from(70),
    Column::right("HEARD", 7),
    Column::right("TRIP", 7).from(60),
    Column::left("COLLECTOR", 9).from(96),
    Column::left("ADDRESS", 21).from(110),
];

/// What to do where there are none.
const HOW: &str = "no peers: hosts that watch each other tell a host that is down from a path that broke.\n\
                   `procprobe peers key /etc/procprobe/peers.key` makes a key that all of them share; in the \
                   configuration of each:\n\
                   peers: { join: [10.0.0.2, 10.0.0.3], key_file: /etc/procprobe/peers.key }\n\
                   A restart of the daemon takes it up; docs/peers.md says more.";

pub(super) fn table(state: &State) -> Table {
    let nobody = |empty: String| Table { title: "peers".into(), columns: COLUMNS.to_vec(), rows: Vec::new(), empty };
    let Some(report) = state.shown() else { return nobody(String::new()) };
    let Some(site) = &report.peers else {
        // What keeps the daemon from being a member is told there.
        let notes = report.agent.degraded.iter().filter(|note| note.contains("peers"));
        let lines: Vec<&str> = notes.map(String::as_str).chain([HOW]).collect();
        return nobody(lines.join("\n"));
    };
    let Some(peers) = &state.peers else {
        return nobody(state.peers_wrong.clone().unwrap_or_else(|| "asking for the hosts of the site...".into()));
    };
    let pane = state.pane();
    let mut members: Vec<&Peer> = peers.members.iter().collect();
    members.sort_by(|a, b| {
        let ordering = by(pane.sort, a, b).then_with(|| a.name.cmp(&b.name));
        if pane.inverted { ordering.reverse() } else { ordering }
    });
    let wrong = state.peers_wrong.as_ref().map(|why| format!("as of a while ago ({why}): ")).unwrap_or_default();
    Table {
        title: format!("{wrong}{}", title(site, &members)),
        columns: COLUMNS.to_vec(),
        rows: members.into_iter().map(row).collect(),
        empty: "nobody is known".into(),
    }
}

/// `5 hosts in 2 zones: 4 alive, 1 host_down; reached 3 of 4 lately`
fn title(site: &SiteSummary, members: &[&Peer]) -> String {
    let zones: BTreeSet<&str> = members.iter().map(|peer| peer.zone.as_str()).filter(|zone| !zone.is_empty()).collect();
    let place = if zones.is_empty() { String::new() } else { format!(" in {}", counted(zones.len(), "zone", "zones")) };
    // Of this answer's own hosts: the report beside it is of another moment.
    let mut verdicts: BTreeMap<&str, usize> = BTreeMap::new();
    for peer in members {
        *verdicts.entry(&peer.verdict).or_default() += 1;
    }
    let held: Vec<String> = verdicts.into_iter().map(|(verdict, count)| format!("{count} {verdict}")).collect();
    let mut title = format!("{}{place}: {}", counted(members.len(), "host", "hosts"), held.join(", "));
    let own = if site.isolated {
        "; this host reaches too few of the others: it speaks of nobody".to_owned()
    } else if site.score > 0 {
        format!("; this host is slow or badly connected (score {})", site.score)
    } else {
        format!("; reached {} of {} lately", site.reached, site.asked)
    };
    title.push_str(&own);
    for note in &site.notes {
        title = format!("{title}; {note}");
    }
    title
}

fn by(order: usize, a: &Peer, b: &Peer) -> Ordering {
    let worst_first = || Reverse(badness(a)).cmp(&Reverse(badness(b)));
    match ORDERS.get(order).copied() {
        Some("name") => Ordering::Equal,
        Some("verdict") => worst_first().then_with(|| a.zone.cmp(&b.zone)),
        Some("heard") => {
            let silent = |peer: &Peer| if peer.myself { 0.0 } else { peer.heard_seconds.unwrap_or(f64::INFINITY) };
            silent(b).total_cmp(&silent(a))
        }
        _ => a.zone.cmp(&b.zone).then_with(worst_first),
    }
}

/// How much somebody should look at it.
fn badness(peer: &Peer) -> u8 {
    match peer.verdict.as_str() {
        "host_down" => 6,
        "agent_down" => 5,
        "path_down" => 4,
        "alive" if peer.state == "alive" => 1,
        "alive" => 2,
        "left" => 0,
        _ => 3,
    }
}

fn mark(peer: &Peer) -> Mark {
    match badness(peer) {
        0 => Mark::Dim,
        1 => Mark::Good,
        2..=4 => Mark::Warn,
        _ => Mark::Bad,
    }
}

fn row(peer: &Peer) -> Row {
    let mine = if peer.myself { " *" } else { "" };
    let dash = || Cell::marked("-", Mark::Dim);
    let heard = match peer.heard_seconds {
        Some(heard) => Cell::text(span(heard)),
        None if peer.myself => dash(),
        None => Cell::marked("never", Mark::Dim),
    };
    Row::new(
        peer.name.clone(),
        vec![
            if peer.zone.is_empty() { dash() } else { Cell::text(&peer.zone) },
            Cell::text(format!("{}{mine}", peer.name)),
            Cell::text(&peer.state),
            Cell::marked(&peer.verdict, mark(peer)),
            Cell::text(span(peer.since_seconds)),
            heard,
            peer.round_trip_seconds.map_or_else(dash, |trip| Cell::text(milliseconds(trip))),
            Cell::marked(&peer.collector, if peer.collector == "lost" { Mark::Warn } else { Mark::Plain }),
            Cell::text(&peer.address),
        ],
    )
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.1}ms", seconds * 1e3)
}

/// All that is known of it, and of its zone.
pub(super) fn detail(state: &State, id: &str) -> Option<Detail> {
    state.shown()?.peers.as_ref()?;
    let members = &state.peers.as_ref()?.members;
    let peer = members.iter().find(|peer| peer.name == id)?;
    let since = span(peer.since_seconds);
    let mut sentences = vec![if peer.myself {
        format!("this host; held for {} for {since}", peer.verdict)
    } else {
        let heard = peer.heard_seconds.map_or_else(
            || "never heard by this host itself".into(),
            |heard| format!("last heard {} ago", span(heard)),
        );
        let trip = peer.round_trip_seconds.map(|trip| format!(", round trip {}", milliseconds(trip)));
        format!("{}, held for {} for {since}; {heard}{}", peer.state, peer.verdict, trip.unwrap_or_default())
    }];
    if let Some(incident) = &peer.incident {
        sentences.push(format!("incident {incident}; `procprobe events --name '*.peer.*'` has its witnesses"));
    }
    if peer.collector == "lost" {
        sentences.push("it says that it does not reach its collector".into());
    }
    if !peer.labels.is_empty() {
        let labels: Vec<String> = peer.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        sentences.push(format!("labels: {}", labels.join(", ")));
    }
    if !peer.zone.is_empty() {
        let beside: Vec<&Peer> = members.iter().filter(|other| other.zone == peer.zone).collect();
        let alive = beside.iter().filter(|other| other.verdict == "alive").count();
        sentences.push(format!("zone {}: {alive} of {} alive", peer.zone, counted(beside.len(), "host", "hosts")));
    }
    Some(Detail::Text(format!("{} ({})", peer.name, peer.address), sentences))
}
