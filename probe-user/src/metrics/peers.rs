//! The site as this host knows it: members by what is held of them, how this host fares, what went over the wire.

use super::{Family, Gathered, flag, point};
use crate::serve::StatusReport;

pub(super) fn put(report: &StatusReport, out: &mut Gathered) {
    let Some(peers) = &report.peers else { return };
    out.put(
        Family::gauge("procprobe_peers", "{host}", "Hosts of the site, this one among them, by what is held of each."),
        peers.members.iter().map(|(standing, number)| point(&[("verdict", standing)], *number as f64)),
    );
    let mut one = |family: Family, value: f64| out.put(family, [point(&[], value)]);
    one(
        Family::gauge(
            "procprobe_peers_isolated",
            "1",
            "1 while this host reaches too few of the others to speak of any.",
        ),
        flag(peers.isolated),
    );
    one(
        Family::gauge("procprobe_peers_health_score", "1", "0 while this host is well; more makes it slower to judge."),
        f64::from(peers.score),
    );
    one(Family::gauge("procprobe_peers_asked", "{host}", "Hosts that it tried lately."), f64::from(peers.asked));
    one(
        Family::gauge("procprobe_peers_reached", "{host}", "Of these, hosts that it reached."),
        f64::from(peers.reached),
    );
    let traffic = &peers.traffic;
    one(
        Family::counter("procprobe_peers_unsent_total", "{packet}", "Packets and messages that could not be sent."),
        traffic.unsent as f64,
    );
    one(
        Family::counter("procprobe_peers_untold_total", "{verdict}", "Verdicts that the daemon did not take in time."),
        traffic.untold as f64,
    );
    let ways = |sent: u64, received: u64| {
        [("sent", sent), ("received", received)].map(|(way, number)| point(&[("direction", way)], number as f64))
    };
    out.put(
        Family::counter("procprobe_peers_packets_total", "{packet}", "Datagrams to and from others."),
        ways(traffic.sent_packets, traffic.received_packets),
    );
    out.put(
        Family::counter("procprobe_peers_bytes_total", "By", "Their bytes, without headers of the network."),
        ways(traffic.sent_bytes, traffic.received_bytes),
    );
    out.put(
        Family::counter("procprobe_peers_streams_total", "{message}", "Messages to and from others over TCP."),
        ways(traffic.sent_streams, traffic.received_streams),
    );
    out.put(
        Family::counter("procprobe_peers_refused_total", "{packet}", "What was not let in or not believed, by reason."),
        peers.refused.iter().map(|(why, number)| point(&[("reason", why)], *number as f64)),
    );
}
