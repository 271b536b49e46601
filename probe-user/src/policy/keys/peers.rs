//! The keys of `peers`: sets of the site's hosts.

use super::bounds::{self, CLEAR_ABOVE, CLEAR_BELOW, FOR, KEEP, MAX, MIN, SEVERITY};
use super::response::{ACT, MODE, NOTIFY, REPEAT};
use super::selector::ONLY_IF;
use crate::yaml::keys::{Form, Key, Kind, Table};

/// One set of hosts.
pub static PEERS: Table = Table {
    what: "a set of peers",
    doc: "Hosts of the site, as this one knows them, and how many of them must be there. A host that is alive, that cannot \
          be reached by some (path_down) or of which nobody can tell (unknown) counts as alive.",
    example: "{ match: { zone: seoul-a }, alive: { min: 80%, for: 1m } }",
    keys: &[
        Key::new("match", Kind::Table(&PEER_MATCH), "Which hosts: all given fields must match (default: all)."),
        ONLY_IF,
        Key::new("alive", BOUNDS, "Hosts that live: a number, or a share of all that have not said that they end."),
        Key::new("down", BOUNDS, "Hosts that a quorum of witnesses found down (host_down), likewise."),
        Key::new("agents_down", BOUNDS, "Hosts that answer, but whose procprobe does not (agent_down), likewise."),
        REPEAT,
        NOTIFY,
        ACT,
        MODE,
        Key::elsewhere("zone", "it belongs to `match`: match: { zone: seoul-a }"),
        Key::elsewhere("name", "it belongs to `match`: match: { name: \"web-*\" }"),
        Key::elsewhere("labels", "they belong to `match`: match: { labels: { role: web } }"),
        Key::elsewhere("severity", "it belongs to a bound: alive: { min: 80%, severity: critical }"),
        Key::elsewhere("for", "it belongs to a bound: alive: { min: 80%, for: 1m }"),
        Key::elsewhere("min", "it belongs to a measure: alive: { min: 80% }"),
        Key::elsewhere("max", "it belongs to a measure: down: { max: 0 }"),
        Key::elsewhere("count", "write alive: { min: 2 }"),
    ],
    one_of: &["alive", "down", "agents_down"],
};

/// Which hosts.
pub static PEER_MATCH: Table = Table {
    what: "`match` of peers",
    doc: "All given fields must match; of a list within one field any one is enough.",
    example: "{ zone: seoul-a }",
    keys: &[
        Key::new("name", Kind::OneOrMany(&Kind::Form(&PEER_NAME)), "Pattern on the host's name."),
        Key::new("zone", Kind::OneOrMany(&Kind::Form(&PEER_ZONE)), "Pattern on the host's zone."),
        Key::new(
            "labels",
            Kind::Named(&PEER_LABEL, &Kind::OneOrMany(&Kind::Form(&PEER_VALUE))),
            "Patterns on the values of the host's labels, as its configuration gives them under `node`.",
        ),
        Key::elsewhere("role", "labels have a place of their own: match: { labels: { role: web } }"),
        Key::elsewhere("host", "write name: \"web-*\""),
    ],
    one_of: &["name", "zone", "labels"],
};

const BOUNDS: Kind = Kind::OneOrMany(&Kind::Table(&PEER_BOUND));
const MEMBERS_KIND: Kind = Kind::Form(&MEMBERS);

/// A bound on any measure of peers.
pub(super) static PEER_BOUND: Table = bounds::bound(
    "a bound on peers",
    "{ min: 80%, for: 1m }",
    &[
        Key::new("min", MEMBERS_KIND, MIN),
        Key::new("max", MEMBERS_KIND, MAX),
        FOR,
        KEEP,
        Key::new("clear_below", MEMBERS_KIND, CLEAR_BELOW),
        Key::new("clear_above", MEMBERS_KIND, CLEAR_ABOVE),
        SEVERITY,
        Key::elsewhere("within", "hosts are not counted within a window; `for` says how long"),
        Key::elsewhere("per", "the bound is about the set as a whole"),
    ],
);

/// A limit on hosts.
pub const MEMBERS: Form =
    Form { what: "a number or a percentage", pattern: Some(r"^[0-9]+((\.[0-9]+)? ?%)?$"), examples: &["80%", "2"] };
/// A pattern on a host's name.
pub const PEER_NAME: Form = Form { what: "a pattern on a host's name", pattern: None, examples: &["web-*", "db-1"] };
/// A pattern on a zone.
pub const PEER_ZONE: Form = Form { what: "a pattern on a zone", pattern: None, examples: &["seoul-a", "seoul-*"] };
/// Name of a host's label.
pub const PEER_LABEL: Form = Form { what: "a label's name", pattern: None, examples: &["role", "rack"] };
/// A pattern on a label's value.
pub const PEER_VALUE: Form = Form { what: "a pattern on a label's value", pattern: None, examples: &["web", "db-*"] };
