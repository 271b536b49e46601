//! The keys of `tests`.

use super::bounds::{CORES, MEMORY};
use super::host::{INODES, SHARE, SPACE};
use super::response::SIGNAL;
use super::{NAME, PEER_LABEL, USER_FORM};
use crate::yaml::keys::{Choice, Form, Key, Kind, Table};
use crate::yaml::units;

/// Largest process id of Linux.
pub const PID_MAX: u32 = 4_194_304;
/// Most lines of one step.
pub const TIMES_MAX: u32 = 1_000_000;
/// Most processes of one step.
pub const COPIES_MAX: u32 = 100_000;
const COPIES: Key = Key::new(
    "copies",
    Kind::Whole(1, COPIES_MAX),
    "So many processes alike, with pids that follow each other (default 1).",
);
const PID: Key = Key::required("pid", Kind::Whole(2, PID_MAX), "Process id within the test; pid 1 is always there.");

/// One test.
pub static TEST: Table = Table {
    what: "a test",
    doc: "What happens on a host, and which alarms that leads to; run by `procprobe test` in virtual time.",
    example: "{ name: a dead master, steps: [{ at: 0s, start: { pid: 10, exe: nginx } }], \
              expect: [{ at: 1s, firing: [] }] }",
    keys: &[
        Key::required("name", Kind::Form(&TITLE), "What the test shows, in a sentence; unique within the file."),
        Key::new(
            "policies",
            Kind::OneOrMany(&Kind::Form(&NAME)),
            "Names of groups, jobs, logs and peers that are loaded, `host` among them (default: all of this file). Groups that \
             are somebody's `parent` are loaded with them.",
        ),
        Key::new(
            "clock",
            Kind::Form(&CLOCK),
            "Wall clock at 0s, with its distance from UTC (default 2026-01-01T00:00:00Z).",
        ),
        Key::new(
            "start_grace",
            Kind::Form(&units::DURATION),
            "Nothing fires before so long after 0s, when the daemon starts (default 0s).",
        ),
        Key::new("cpus", Kind::Whole(1, 4096), "CPUs of the host (default 4)."),
        Key::new("memory", Kind::Form(&units::SIZE), "Memory of the host (default 8GiB)."),
        Key::required("steps", Kind::List(&Kind::Table(&STEP)), "What happens, in the order of time."),
        Key::required("expect", Kind::List(&Kind::Table(&EXPECT)), "What must have come of it, in the order of time."),
    ],
    one_of: &[],
};

/// One of `steps`.
pub static STEP: Table = Table {
    what: "a step",
    doc: "A moment and one thing that happens.",
    example: "{ at: 60s, exit: { pid: 11, signal: KILL } }",
    keys: &[
        Key::required("at", Kind::Form(&units::DURATION), "When, from the start of the daemon."),
        Key::new("start", Kind::Table(&START), "A process starts; at 0s: it was there before the daemon."),
        Key::new("exec", Kind::Table(&EXEC), "A process runs another program."),
        Key::new("exit", Kind::Table(&EXIT), "A process ends."),
        Key::new("usage", Kind::Table(&USAGE), "What a process uses from then on; sampled each second."),
        Key::new("log", Kind::Table(&LINE), "Lines appear in a file."),
        Key::new("host", Kind::Table(&FIGURES), "Figures of the host from then on; sampled each second."),
        Key::new("peer", Kind::Table(&PEER), "What is held of hosts of the site from then on."),
        Key::new("job", Kind::Table(&RUN), "A run of a job: a process that it matches starts, and ends."),
        Key::new("clock_jump", Kind::Form(&JUMP), "The wall clock is set forward, or back (`-1h`)."),
        Key::new("suspend", Kind::Form(&units::DURATION), "The host sleeps for so long; virtual time stands still."),
        Key::new("lose", Kind::Whole(1, TIMES_MAX), "So many kernel records are lost; the daemon looks again at once."),
    ],
    one_of: &["start", "exec", "exit", "usage", "log", "host", "peer", "job", "clock_jump", "suspend", "lose"],
};

const EXE: Key = Key::new("exe", Kind::Form(&EXE_PATH), "Path of the executable.");
const ARGS: Key = Key::new("args", Kind::Form(&ARGS_LINE), "Arguments joined by spaces (default: the executable).");
const COMM: Key = Key::new("comm", Kind::Form(&COMM_NAME), "The kernel's name (default: the executable's file name).");
const USER: Key = Key::new("user", Kind::Form(&USER_FORM), "Name or number of the real user (default root).");
const CGROUP: Key = Key::new("cgroup", Kind::Form(&CGROUP_PATH), "Path of the cgroup (default /).");

static START: Table = Table {
    what: "`start`",
    doc: "A process starts. Without `exe` it goes on with its parent's program.",
    example: "{ pid: 10, exe: /usr/sbin/nginx, user: www-data }",
    keys: &[
        PID,
        EXE,
        ARGS,
        COMM,
        USER,
        CGROUP,
        Key::new("parent", Kind::Whole(1, PID_MAX), "Pid of the parent (default 1)."),
        Key::new("kernel", Kind::Bool, "It is a kernel thread (default false)."),
        COPIES,
    ],
    one_of: &["exe", "comm", "parent"],
};

static EXEC: Table = Table {
    what: "`exec`",
    doc: "A process runs another program.",
    example: "{ pid: 10, exe: /usr/sbin/nginx }",
    keys: &[PID, Key::required("exe", Kind::Form(&EXE_PATH), "Path of the executable."), ARGS, COMM, USER],
    one_of: &[],
};

static EXIT: Table = Table {
    what: "`exit`",
    doc: "A process ends, with code 0 where nothing else is said.",
    example: "{ pid: 11, signal: KILL }",
    keys: &[
        PID,
        Key::new("code", Kind::Whole(0, 255), "Exit code (default 0)."),
        Key::new("signal", Kind::Form(&SIGNAL), "The signal that killed it."),
        Key::new("killer", Kind::Form(&COMM_NAME), "Name of the process that sent the signal."),
        Key::new("oom", Kind::Bool, "The kernel's OOM killer chose it, which is signal KILL (default false)."),
        COPIES,
    ],
    one_of: &[],
};

static USAGE: Table = Table {
    what: "`usage`",
    doc: "What a process uses from then on. What is not given stays as it was; at its start a process uses nothing.",
    example: "{ pid: 10, cpu: 1.5 cores, memory: 1GiB }",
    keys: &[
        PID,
        Key::new("cpu", Kind::Form(&CORES), "CPU used, in cores or as a share of the host."),
        Key::new("cpu_wait", Kind::Form(&CORES), "Time spent runnable but waiting for a CPU."),
        Key::new("memory", Kind::Form(&MEMORY), "Resident memory."),
        Key::new("threads", Kind::Whole(1, PID_MAX), "Threads alive."),
        Key::new("read", Kind::Form(&units::RATE), "Bytes read from storage a second."),
        Key::new("write", Kind::Form(&units::RATE), "Bytes written to storage a second."),
    ],
    one_of: &["cpu", "cpu_wait", "memory", "threads", "read", "write"],
};

static LINE: Table = Table {
    what: "`log`",
    doc: "Lines appear in a file, and every log whose `path` matches sees them.",
    example: "{ path: /var/log/app/app.log, line: \"java.lang.OutOfMemoryError\" }",
    keys: &[
        Key::required("path", Kind::Form(&LOG_FILE), "Absolute path of the file."),
        Key::required("line", Kind::Form(&LOG_LINE), "The line, without its end."),
        Key::new("times", Kind::Whole(1, TIMES_MAX), "How often it appears (default 1)."),
    ],
    one_of: &[],
};

static FIGURES: Table = Table {
    what: "`host` of a step",
    doc: "Figures of the host from then on. What is not given stays as it was; at 0s the host is idle and empty.",
    example: "{ memory_available: 5% }",
    keys: &[
        Key::new("cpu", Kind::Form(&SHARE), "CPU used, as a share of all CPUs."),
        Key::new("load", Kind::Form(&LOAD_VALUE), "Load average of one minute."),
        Key::new("memory_available", Kind::Form(&SPACE), "Memory that can be had without swapping."),
        Key::new("swap_used", Kind::Form(&SPACE), "Swap in use, of 8GB."),
        Key::new("disk_free", DISKS, "Space left of file systems, of 100GB each."),
        Key::new("inodes_free", INODES_OF, "Inodes left of file systems, of 1000000 each."),
        Key::new("pressure_cpu", Kind::Form(&SHARE), "Share of time in which some task waits for a CPU."),
        Key::new("pressure_memory", Kind::Form(&SHARE), "Share of time in which some task waits for memory."),
        Key::new("pressure_io", Kind::Form(&SHARE), "Share of time in which some task waits for storage."),
        Key::new("network_receive", TRAFFIC_OF, "Bytes a second received by interfaces."),
        Key::new("network_transmit", TRAFFIC_OF, "Bytes a second sent by interfaces."),
        Key::elsewhere("processes", "they are those that the test has started, and pid 1"),
    ],
    one_of: &[
        "memory_available",
        "cpu",
        "load",
        "swap_used",
        "disk_free",
        "inodes_free",
        "pressure_cpu",
        "pressure_memory",
        "pressure_io",
        "network_receive",
        "network_transmit",
    ],
};

const DISKS: Kind = Kind::OneOrMany(&Kind::Table(&DISK));
const INODES_OF: Kind = Kind::OneOrMany(&Kind::Table(&INODE));
const TRAFFIC_OF: Kind = Kind::OneOrMany(&Kind::Table(&TRAFFIC));

static DISK: Table = Table {
    what: "space of a file system",
    doc: "What is left of a mounted file system.",
    example: "{ path: /, free: 3% }",
    keys: &[
        Key::required("path", Kind::Form(&MOUNT_POINT), "The mount point."),
        Key::required("free", Kind::Form(&SPACE), "Space left for users."),
    ],
    one_of: &[],
};

static INODE: Table = Table {
    what: "inodes of a file system",
    doc: "What is left of a mounted file system.",
    example: "{ path: /, free: 3% }",
    keys: &[
        Key::required("path", Kind::Form(&MOUNT_POINT), "The mount point."),
        Key::required("free", Kind::Form(&INODES), "Inodes left."),
    ],
    one_of: &[],
};

static TRAFFIC: Table = Table {
    what: "traffic of an interface",
    doc: "What goes over a network interface.",
    example: "{ interface: eth0, rate: 100MiB/s }",
    keys: &[
        Key::required("interface", Kind::Form(&INTERFACE_NAME), "The interface's name."),
        Key::required("rate", Kind::Form(&units::RATE), "Bytes a second."),
    ],
    one_of: &[],
};

static PEER: Table = Table {
    what: "`peer` of a step",
    doc: "What is held of hosts of the site from then on. At 0s no other host is known.",
    example: "{ name: [web-1, web-2], zone: a, verdict: host_down }",
    keys: &[
        Key::required("name", Kind::OneOrMany(&Kind::Form(&HOST_NAME)), "The hosts' names."),
        Key::new("zone", Kind::Form(&ZONE_NAME), "Where they stand (default: as it was, none at first)."),
        Key::new(
            "labels",
            Kind::Named(&PEER_LABEL, &Kind::Form(&LABEL_TEXT)),
            "Their labels (default: as they were, none at first).",
        ),
        Key::new("verdict", Kind::Choice(&STANDINGS), "What is held of them (default alive)."),
    ],
    one_of: &[],
};

/// In the order of [`crate::record::PeerStanding::ALL`].
pub const STANDINGS: [Choice; 6] = [
    Choice::new("alive", "They are heard of."),
    Choice::new("path_down", "They live, and some have no way to them."),
    Choice::new("unknown", "Nobody can tell."),
    Choice::new("agent_down", "The hosts answer, procprobe on them does not."),
    Choice::new("host_down", "A quorum of witnesses had no sign of them."),
    Choice::new("left", "They said that they end."),
];

static RUN: Table = Table {
    what: "`job` of a step",
    doc: "A run: a process that the job matches starts, and ends after a while. What it is made of is taken from the job's \
          `match` where that can be told.",
    example: "{ name: nightly-backup, lasts: 30m }",
    keys: &[
        Key::required("name", Kind::Form(&NAME), "Name of the job."),
        Key::new("lasts", Kind::Form(&units::DURATION), "It ends after so long (default: not within the test)."),
        Key::new("code", Kind::Whole(0, 255), "Exit code (default 0)."),
        Key::new("signal", Kind::Form(&SIGNAL), "The signal that kills it."),
        EXE,
        ARGS,
        COMM,
        USER,
        CGROUP,
    ],
    one_of: &[],
};

/// One of `expect`.
pub static EXPECT: Table = Table {
    what: "an expectation",
    doc: "What must be the case at a moment, after all that happens at it; each list must be exact.",
    example: "{ at: 71s, firing: [nginx.count.min] }",
    keys: &[
        Key::required("at", Kind::Form(&units::DURATION), "When, from the start of the daemon."),
        Key::new(
            "firing",
            Kind::Names(&Kind::Form(&ALARM)),
            "The alarms that are on: NAME.MEASURE.SIDE, such as nginx.count.min, and after a space maybe of what: a pid, a \
             mount point, an interface.",
        ),
        Key::new("resolved", Kind::Names(&Kind::Form(&ALARM)), "The alarms that ended since the last expectation."),
        Key::new(
            "events",
            Kind::Names(&Kind::Form(&EVENT)),
            "What was told of jobs and logs since the last expectation, in order: job.missed, log.matched and the like.",
        ),
        Key::new(
            "actions",
            Kind::Names(&Kind::Form(&NAME)),
            "The actions that were taken since the last expectation, in order; nothing is really done.",
        ),
    ],
    one_of: &["firing", "resolved", "events", "actions"],
};

/// Name of a test.
pub const TITLE: Form =
    Form { what: "a sentence", pattern: None, examples: &["a dead worker is an alarm, a quick restart is not"] };
/// `clock`
pub const CLOCK: Form = Form {
    what: "a moment with its distance from UTC",
    pattern: Some(r"^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d)?([Zz]|[+-]\d\d:?\d\d)$"),
    examples: &["2026-03-08T01:59:00-05:00", "2026-01-01T00:00:00Z"],
};
/// `clock_jump`
pub const JUMP: Form = Form {
    what: "a duration, maybe with a minus",
    pattern: Some(r"^-?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$"),
    examples: &["1h", "-30s"],
};
/// A path of an executable.
pub const EXE_PATH: Form =
    Form { what: "the path of an executable", pattern: None, examples: &["/usr/sbin/nginx", "nginx"] };
/// Arguments.
pub const ARGS_LINE: Form =
    Form { what: "arguments joined by spaces", pattern: None, examples: &["nginx: worker process"] };
/// A kernel's name of a process.
pub const COMM_NAME: Form = Form { what: "a name of at most 15 bytes", pattern: None, examples: &["nginx"] };
/// A path of a cgroup.
pub const CGROUP_PATH: Form =
    Form { what: "the path of a cgroup", pattern: Some("^/"), examples: &["/system.slice/nginx.service"] };
/// A path of a log file.
pub const LOG_FILE: Form =
    Form { what: "the path of a file", pattern: Some("^/"), examples: &["/var/log/app/app.log"] };
/// A line of it.
pub const LOG_LINE: Form = Form { what: "a line", pattern: None, examples: &["java.lang.OutOfMemoryError"] };
/// A load average.
pub const LOAD_VALUE: Form = Form { what: "a number", pattern: Some(r"^[0-9]+(\.[0-9]+)?$"), examples: &["8.5", "8"] };
/// A mount point.
pub const MOUNT_POINT: Form = Form { what: "a mount point", pattern: Some("^/"), examples: &["/", "/srv/data"] };
/// An interface.
pub const INTERFACE_NAME: Form = Form { what: "an interface's name", pattern: None, examples: &["eth0"] };
/// A host's name.
pub const HOST_NAME: Form = Form { what: "a host's name", pattern: None, examples: &["web-2"] };
/// A zone.
pub const ZONE_NAME: Form = Form { what: "a zone's name", pattern: None, examples: &["seoul-a"] };
/// A label's value.
pub const LABEL_TEXT: Form = Form { what: "a label's value", pattern: None, examples: &["web"] };
/// An alarm's name.
pub const ALARM: Form =
    Form { what: "an alarm's name", pattern: None, examples: &["nginx.count.min", "host.disk_free.min /"] };
/// An event's name.
pub const EVENT: Form = Form { what: "an event's name", pattern: None, examples: &["job.missed", "log.matched"] };
