//! The keys of `host`: bounds whose limits are shares of the host, written as `10%`, or amounts.

use super::bounds::{self, CLEAR_ABOVE, CLEAR_BELOW, COUNT, FOR, KEEP, MAX, MIN, SEVERITY};
use super::response::{ACT, MODE, NOTIFY, REPEAT};
use super::selector::ONLY_IF;
use crate::yaml::keys::{Form, Key, Kind, Table};
use crate::yaml::units;

/// One `host` block.
pub static HOST_BLOCK: Table = Table {
    what: "`host`",
    doc: "What must hold of the host itself.",
    example: "{ memory_available: { min: 10%, for: 1m } }",
    keys: &[
        ONLY_IF,
        Key::new("cpu", CPU_BOUNDS, "CPU used, as a share of all CPUs."),
        Key::new("load", LOAD_BOUNDS, "Load average of one minute."),
        Key::new("memory_available", MEMORY_BOUNDS, "Memory that can be had without swapping."),
        Key::new("swap_used", MEMORY_BOUNDS, "Swap in use."),
        Key::new("disk_free", DISK_BOUNDS, "Space left for users of each file system by itself."),
        Key::new("inodes_free", INODES_BOUNDS, "Inodes left of each file system by itself."),
        Key::new("processes", PROCESSES_BOUNDS, "Processes alive."),
        Key::new("pressure_cpu", PRESSURE_BOUNDS, "Share of time in which some task waited for a CPU (PSI)."),
        Key::new("pressure_memory", PRESSURE_BOUNDS, "Share of time in which some task waited for memory (PSI)."),
        Key::new("pressure_io", PRESSURE_BOUNDS, "Share of time in which some task waited for storage (PSI)."),
        Key::new("network_receive", NETWORK_BOUNDS, "Bytes a second received by each interface by itself."),
        Key::new("network_transmit", NETWORK_BOUNDS, "Bytes a second sent by each interface by itself."),
        REPEAT,
        NOTIFY,
        ACT,
        MODE,
        Key::elsewhere("severity", "it belongs to a bound: cpu: { max: 90%, severity: critical }"),
        Key::elsewhere("for", "it belongs to a bound: cpu: { max: 90%, for: 5m }"),
        Key::elsewhere("path", "it belongs to a bound: disk_free: { path: /, min: 10% }"),
        Key::elsewhere("interface", "it belongs to a bound: network_receive: { interface: eth0, max: 100MiB/s }"),
        Key::elsewhere("match", "the host is one; sets of processes are declared under `groups`"),
        Key::elsewhere("memory", "write memory_available: { min: 10% }"),
        Key::elsewhere("count", "write processes: { max: 5000 }"),
    ],
    one_of: &[
        "memory_available",
        "cpu",
        "load",
        "swap_used",
        "disk_free",
        "inodes_free",
        "processes",
        "pressure_cpu",
        "pressure_memory",
        "pressure_io",
        "network_receive",
        "network_transmit",
    ],
};

const CPU_BOUNDS: Kind = Kind::OneOrMany(&Kind::Table(&CPU_BOUND));
const LOAD_BOUNDS: Kind = Kind::OneOrMany(&Kind::Table(&LOAD_BOUND));
const MEMORY_BOUNDS: Kind = Kind::OneOrMany(&Kind::Table(&MEMORY_BOUND));
const DISK_BOUNDS: Kind = Kind::OneOrMany(&Kind::Table(&DISK_BOUND));
const INODES_BOUNDS: Kind = Kind::OneOrMany(&Kind::Table(&INODES_BOUND));
const PROCESSES_BOUNDS: Kind = Kind::OneOrMany(&Kind::Table(&PROCESSES_BOUND));
const PRESSURE_BOUNDS: Kind = Kind::OneOrMany(&Kind::Table(&PRESSURE_BOUND));
const NETWORK_BOUNDS: Kind = Kind::OneOrMany(&Kind::Table(&NETWORK_BOUND));

const PATH: Key = Key::new(
    "path",
    Kind::OneOrMany(&Kind::Form(&MOUNT)),
    "Pattern on mount points, each judged by itself (default: all real file systems).",
);
const NO_PATH: Key = Key::elsewhere("path", "only disk_free and inodes_free are about a file system");
const NETWORK_INTERFACE: Key = Key::new(
    "interface",
    Kind::OneOrMany(&Kind::Form(&INTERFACE)),
    "Pattern on the names of interfaces, each judged by itself (default: all but the loopback).",
);
const NO_INTERFACE: Key =
    Key::elsewhere("interface", "only network_receive and network_transmit are about an interface");

/// The keys of a bound whose limits are of one kind, and the two keys that say what it is about.
const fn host_keys(limit: Kind, path: Key, interface: Key) -> [Key; 11] {
    [
        Key::new("min", limit, MIN),
        Key::new("max", limit, MAX),
        path,
        interface,
        FOR,
        KEEP,
        Key::new("clear_below", limit, CLEAR_BELOW),
        Key::new("clear_above", limit, CLEAR_ABOVE),
        SEVERITY,
        Key::elsewhere("within", "the host's measures are not counted within a window; `for` says how long"),
        Key::elsewhere("per", "this measure is about the host"),
    ]
}

pub(super) static CPU_BOUND: Table = bounds::bound(
    "a bound on the host's `cpu`",
    "{ max: 90%, for: 5m }",
    &host_keys(Kind::Form(&SHARE), NO_PATH, NO_INTERFACE),
);
pub(super) static LOAD_BOUND: Table = bounds::bound(
    "a bound on `load`",
    "{ max: 2 per core, for: 5m }",
    &host_keys(Kind::Form(&LOAD), NO_PATH, NO_INTERFACE),
);
pub(super) static MEMORY_BOUND: Table = bounds::bound(
    "a bound on the host's memory",
    "{ min: 10%, for: 1m }",
    &host_keys(Kind::Form(&SPACE), NO_PATH, NO_INTERFACE),
);
pub(super) static DISK_BOUND: Table = bounds::bound(
    "a bound on `disk_free`",
    "{ path: /, min: 10% }",
    &host_keys(Kind::Form(&SPACE), PATH, NO_INTERFACE),
);
pub(super) static INODES_BOUND: Table = bounds::bound(
    "a bound on `inodes_free`",
    "{ path: /, min: 5% }",
    &host_keys(Kind::Form(&INODES), PATH, NO_INTERFACE),
);
pub(super) static PROCESSES_BOUND: Table =
    bounds::bound("a bound on `processes`", "{ max: 5000 }", &host_keys(COUNT, NO_PATH, NO_INTERFACE));
pub(super) static PRESSURE_BOUND: Table = bounds::bound(
    "a bound on pressure",
    "{ max: 20%, for: 5m }",
    &host_keys(Kind::Form(&SHARE), NO_PATH, NO_INTERFACE),
);
pub(super) static NETWORK_BOUND: Table = bounds::bound(
    "a bound on network traffic",
    "{ max: 100MiB/s, for: 1m }",
    &host_keys(Kind::Form(&units::RATE), NO_PATH, NETWORK_INTERFACE),
);

/// A limit on `cpu` and pressure.
pub const SHARE: Form =
    Form { what: "a percentage", pattern: Some(r"^[0-9]+(\.[0-9]+)? ?%$"), examples: &["90%", "2.5%"] };
/// A limit on `load`.
pub const LOAD: Form =
    Form { what: "a load", pattern: Some(r"^[0-9]+(\.[0-9]+)?( per core)?$"), examples: &["2 per core", "8", "1.5"] };
/// A limit on memory, swap and disk space.
pub const SPACE: Form = Form {
    what: "a percentage or a size with its unit",
    pattern: Some(r"^[0-9]+(\.[0-9]+)? ?(%|B|[KMGT]iB|[kKMGT]B)$"),
    examples: &["10%", "512MiB", "20GiB"],
};
/// A limit on inodes.
pub const INODES: Form =
    Form { what: "a percentage or a number", pattern: Some(r"^[0-9]+((\.[0-9]+)? ?%)?$"), examples: &["5%", "100000"] };
/// `path` of a bound on file systems.
pub const MOUNT: Form =
    Form { what: "a pattern on a mount point", pattern: Some("^/"), examples: &["/", "/srv/*", "/var/**"] };
/// `interface` of a bound on network traffic.
pub const INTERFACE: Form =
    Form { what: "a pattern on an interface's name", pattern: None, examples: &["eth0", "en*"] };
