//! The keys of the configuration file: the one table behind decoding, "did you mean" and the JSON Schema.

use crate::yaml::keys::{Choice, Form, Key, Kind, Table};
use crate::yaml::units;

/// An absolute path.
pub(super) const PATH: Form = Form { what: "an absolute path", pattern: Some("^/"), examples: &["/var/lib/procprobe"] };
/// A word or name.
pub(super) const NAME: Form = Form { what: "a name", pattern: None, examples: &["web-1"] };
/// A label's value.
pub(super) const LABEL: Form = Form { what: "a text", pattern: None, examples: &["web"] };
/// A collector's URL.
pub(super) const URL: Form =
    Form { what: "a URL", pattern: Some("^https?://"), examples: &["https://collector.example/events"] };
/// A regular expression.
pub(super) const REGEX: Form =
    Form { what: "a regular expression", pattern: None, examples: &["(?i)(password|token)=\\S+"] };
/// A file mode.
pub(super) const MODE: Form =
    Form { what: "a file mode in octal digits", pattern: Some("^0?[0-7]{3}$"), examples: &["0660"] };
/// An address to listen on.
pub(super) const LISTEN: Form = Form {
    what: "an IP address and a port, or off",
    pattern: Some("^(off|.+:[0-9]{1,5})$"),
    examples: &["127.0.0.1:9464", "off"],
};
/// Where peers are heard.
pub(super) const PEER_LISTEN: Form =
    Form { what: "an IP address and a port", pattern: Some("^.+:[0-9]{1,5}$"), examples: &["0.0.0.0:7946"] };
/// Where others reach this host.
pub(super) const ADVERTISE: Form =
    Form { what: "an IP address, maybe with a port", pattern: None, examples: &["10.0.0.5", "10.0.0.5:7946"] };
/// A port.
pub(super) const PORT: Form =
    Form { what: "a port from 1 to 65535", pattern: Some("^[1-9][0-9]{0,4}$"), examples: &["22"] };
/// Another host of the site.
pub(super) const JOIN: Form = Form {
    what: "an address, a DNS name or the path of a file with some",
    pattern: None,
    examples: &["10.0.0.2:7946", "peers.example", "/etc/procprobe/peers.list"],
};
/// How often, if at all.
pub(super) const INTERVAL: Form = Form {
    what: "a duration or `off`",
    pattern: Some(r"^(off|(?=.)([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?)$"),
    examples: &["15s", "off"],
};
/// A directory of pins.
pub(super) const PINS: Form = Form {
    what: "an absolute path in a bpf file system, or off",
    pattern: Some("^(off|/.+)$"),
    examples: &["/sys/fs/bpf/procprobe", "off"],
};
/// A group of the host.
pub(super) const GROUP: Form = Form { what: "a group's name or number", pattern: None, examples: &["procprobe"] };

const PATHS: Kind = Kind::OneOrMany(&Kind::Form(&PATH));

/// The whole file.
pub static CONFIG: Table = Table {
    what: "the configuration",
    doc: "procprobe's configuration; everything has a default, and flags win over the file",
    example: "{ sample_interval: 1s }",
    keys: &[
        Key::new("node", Kind::Table(&NODE), "this host among others"),
        Key::new("policies", PATHS, "policy files and directories (*.yaml)"),
        Key::new("sample_interval", Kind::Form(&units::DURATION), "how often usage is sampled, 100ms to 1h"),
        Key::new("start_grace", Kind::Form(&units::DURATION), "nothing fires for so long after the start"),
        Key::new("events", Kind::Table(&EVENTS), "what is told of processes"),
        Key::new("collector", Kind::OneOrMany(&Kind::Table(&COLLECTOR)), "one or several; each gets every event"),
        Key::new("state", Kind::Table(&STATE), "what outlives the daemon"),
        Key::new("pins", Kind::Form(&PINS), "where programs and maps outlive the daemon, or off"),
        Key::new("api", Kind::Table(&API), "the local API"),
        Key::new("http", Kind::Table(&HTTP), "the page, metrics and health over HTTP, read-only"),
        Key::new("peers", Kind::Table(&PEERS), "hosts that watch each other"),
        Key::new("limits", Kind::Table(&LIMITS), "bounds on the daemon's own CPU and memory"),
    ],
    one_of: &[],
};

pub(super) static PEERS: Table = Table {
    what: "`peers`",
    doc: "the hosts of a site watch each other and say who is down; all of them hold the same key",
    example: "{ join: [\"10.0.0.2:7946\"], key_file: /etc/procprobe/peers.key }",
    keys: &[
        Key::new("listen", Kind::Form(&PEER_LISTEN), "where, over UDP and TCP [0.0.0.0:7946]"),
        Key::new(
            "advertise",
            Kind::Form(&ADVERTISE),
            "where others reach this host, if not at the address that it sends from",
        ),
        Key::new(
            "open_port",
            Kind::Form(&PORT),
            "a TCP port at which this host answers though its daemon is gone; asked besides an ICMP echo and the daemon's own",
        ),
        Key::new(
            "join",
            Kind::OneOrMany(&Kind::Form(&JOIN)),
            "some others: addresses, DNS names, and files with one of them a line; all are looked at again now and then",
        ),
        Key::required(
            "key_file",
            Kind::OneOrMany(&Kind::Form(&PATH)),
            "a file with the shared key, mode 0600; of two the first seals, and both open, to change keys",
        ),
        Key::elsewhere("zone", "it belongs to `node`: node: { zone: seoul-a }"),
        Key::elsewhere("labels", "they belong to `node`: node: { labels: { role: web } }"),
        Key::elsewhere("key", "keys stand in files of their own: key_file: /etc/procprobe/peers.key"),
    ],
    one_of: &[],
};

static LIMITS: Table = Table {
    what: "`limits`",
    doc: "beyond these it leaves out arguments, then events about processes, then samples",
    example: "{ cpu: 1%, memory: 64MiB }",
    keys: &[
        Key::new("cpu", Kind::Form(&units::PERCENT), "of one core, its kernel programs included, 0.01% to 100% [1%]"),
        Key::new("memory", Kind::Form(&units::SIZE), "resident, 1MiB to 16GiB [64MiB]"),
    ],
    one_of: &[],
};

static NODE: Table = Table {
    what: "`node`",
    doc: "this host among others",
    example: "{ name: web-1 }",
    keys: &[
        Key::new("name", Kind::Form(&NAME), "instead of the kernel's host name"),
        Key::new("zone", Kind::Form(&LABEL), "where the host stands; the label `zone`"),
        Key::new("labels", Kind::Named(&NAME, &Kind::Form(&LABEL)), "what policies can select hosts by"),
    ],
    one_of: &[],
};

static EVENTS: Table = Table {
    what: "`events`",
    doc: "what is told of processes; policies see everything in any case",
    example: "{ processes: all }",
    keys: &[
        Key::new("processes", Kind::Choice(&PROCESSES), "for which processes start and exit are told"),
        Key::new("forks", Kind::Bool, "forks that have not executed anything are told too"),
        Key::new("args", Kind::Bool, "arguments are told"),
        Key::new("args_max", Kind::Form(&units::SIZE), "how much of the arguments is recorded, at most 4KiB"),
        Key::new("redact", Kind::OneOrMany(&Kind::Form(&REGEX)), "what is replaced in arguments before they are told"),
    ],
    one_of: &[],
};

/// In the order of [`crate::engine::Processes`]' use in the decoder.
pub(super) static PROCESSES: [Choice; 3] = [
    Choice::new("matched", "processes that belong to a group"),
    Choice::new("all", "every process"),
    Choice::new("none", "no process"),
];

static COLLECTOR: Table = Table {
    what: "a collector",
    doc: "where events are sent",
    example: r#"{ url: "https://collector.example/events" }"#,
    keys: &[
        Key::required("url", Kind::OneOrMany(&Kind::Form(&URL)), "where; of several the first that answers"),
        Key::new("protocol", Kind::Choice(&PROTOCOLS), "what is sent"),
        Key::new("compression", Kind::Choice(&COMPRESSIONS), "of the request's body"),
        Key::new("catch_up", Kind::Form(&units::RATE), "most that is sent while more than a batch waits [no limit]"),
        Key::new("first", Kind::Choice(&FIRST), "what goes first of what waits [oldest]"),
        Key::new("token_file", Kind::Form(&PATH), "a file with a bearer token, readable by its owner and group only"),
        Key::new("tls", Kind::Table(&TLS), "certificate authorities or a client certificate of your own"),
        Key::new("metrics_interval", Kind::Form(&INTERVAL), "how often metrics are sent by otlp, 1s to 1h, or off"),
    ],
    one_of: &[],
};

pub(super) static TLS: Table = Table {
    what: "`tls`",
    doc: "files of TLS (PEM), read at the start",
    example: "{ ca_file: /etc/procprobe/ca.pem }",
    keys: &[
        Key::new("ca_file", Kind::Form(&PATH), "the authorities that are believed, instead of the system's"),
        Key::new("cert_file", Kind::Form(&PATH), "this host's certificate, and those up to its authority"),
        Key::new("key_file", Kind::Form(&PATH), "its key, readable by its owner and group only"),
    ],
    one_of: &[],
};

/// In the order of [`crate::forward::Protocol`]'s use in the decoder.
pub(super) static PROTOCOLS: [Choice; 2] = [
    Choice::new("ndjson", "POST of application/x-ndjson, one event a line"),
    Choice::new("otlp", "OTLP/HTTP, protobuf: logs to /v1/logs below the URL, metrics to /v1/metrics"),
];

/// In the order of [`crate::forward::Compression`]'s use in the decoder.
pub(super) static COMPRESSIONS: [Choice; 3] =
    [Choice::new("none", "as it is"), Choice::new("gzip", "gzip"), Choice::new("zstd", "zstd")];

pub(super) static FIRST: [Choice; 2] = [
    Choice::new("oldest", "everything in order"),
    Choice::new("alarms", "alarms and what the daemon says of itself, then the rest"),
];

static STATE: Table = Table {
    what: "`state`",
    doc: "what outlives the daemon",
    example: "{ dir: /var/lib/procprobe }",
    keys: &[
        Key::new("dir", Kind::Form(&PATH), "the directory"),
        Key::new("spool_max", Kind::Form(&units::SIZE), "most that events take on disk, 1MiB to 1TiB [256MiB]"),
        Key::new("when_full", Kind::Choice(&WHEN_FULL), "what goes when they would take more"),
        Key::new(
            "measures_max",
            Kind::Form(&units::SIZE),
            "most that the history of measures takes on disk, 4MiB to 1TiB [64MiB]",
        ),
    ],
    one_of: &[],
};

/// In the order of [`crate::spool::WhenFull`]'s use in the decoder.
pub(super) static WHEN_FULL: [Choice; 2] = [
    Choice::new("drop_oldest", "the oldest, starts and exits of processes before all others"),
    Choice::new("drop_newest", "what comes"),
];

static HTTP: Table = Table {
    what: "`http`",
    doc: "the page for browsers, GET /metrics and GET /health over HTTP; beyond loopback only with a token, without one no arguments and no lines of logs",
    example: r#"{ listen: "127.0.0.1:9464" }"#,
    keys: &[
        Key::new("listen", Kind::Form(&LISTEN), "where; 127.0.0.1:9464 when not given"),
        Key::new("token_file", Kind::Form(&PATH), "a file with the bearer token that clients must show"),
    ],
    one_of: &[],
};

static API: Table = Table {
    what: "`api`",
    doc: "the local API, read-only, on a unix socket",
    example: "{ socket: /run/procprobe/api.sock }",
    keys: &[
        Key::new("socket", Kind::Form(&PATH), "the socket's path"),
        Key::new("mode", Kind::Form(&MODE), "the socket's permissions"),
        Key::new("group", Kind::Form(&GROUP), "the socket's group"),
    ],
    one_of: &[],
};
