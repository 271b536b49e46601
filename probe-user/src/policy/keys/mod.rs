//! The keys of a policy file, said once: decoding, "did you mean" and the JSON Schema are made from these tables.

mod bounds;
mod host;
mod job;
mod log;
mod peers;
mod response;
mod selector;
mod trial;

pub use bounds::{AGE_PER_WORDS, CORES, COUNT_MAX, MEMORY, PER_WORDS, SEVERITIES, bound_table};
pub use host::{HOST_BLOCK, INODES, INTERFACE, LOAD, MOUNT, SHARE, SPACE};
pub use job::{JOB, OVERLAPS, SCHEDULE, SUCCESS, ZONE};
pub use log::{KEYWORD, LOG, LOG_PATH, LOG_REGEX};
pub use peers::{MEMBERS, PEER_LABEL, PEER_MATCH, PEER_NAME, PEER_VALUE, PEER_ZONE, PEERS};
pub use response::*;
pub use selector::*;
pub use trial::*;

use crate::yaml::keys::{Form, Key, Kind, Table};

/// A whole file.
pub static FILE: Table = Table {
    what: "a policy file",
    doc: "procprobe policies: what must hold of processes, jobs, logs, the host and its peers, and what is done when it does not.",
    example: "{ version: 1, groups: { nginx: { match: { exe: nginx }, count: { min: 1 } } } }",
    keys: &[
        Key::required("version", Kind::Whole(1, 1), "Version of the policy language: 1."),
        Key::new("hosts", Kind::OneOrMany(&Kind::Form(&HOST)), HOSTS_DOC),
        Key::new(
            "groups",
            Kind::Named(&NAME, &Kind::Table(&GROUP)),
            "Groups of processes by name, unique over all files.",
        ),
        Key::new(
            "jobs",
            Kind::Named(&NAME, &Kind::Table(&JOB)),
            "Cron and batch work by name; groups, jobs, logs and peers share one set of names.",
        ),
        Key::new("logs", Kind::Named(&NAME, &Kind::Table(&LOG)), "Lines of log files by name."),
        Key::new(
            "host",
            Kind::OneOrMany(&Kind::Table(&HOST_BLOCK)),
            "Bounds on the host itself; of a list each part has its own `only_if` and `notify`.",
        ),
        Key::new(
            "peers",
            Kind::Named(&NAME, &Kind::Table(&PEERS)),
            "Sets of the site's hosts by name: how many of each must be there.",
        ),
        Key::new(
            "notify",
            Kind::Named(&NAME, &Kind::Table(&DESTINATION)),
            "Where alarms are sent, by name: whatever has alarms names them in its own `notify`.",
        ),
        Key::new(
            "actions",
            Kind::Named(&NAME, &Kind::Table(&ACTION)),
            "What can be done about an alarm, by name: whatever has alarms names them in `act`.",
        ),
        Key::new(
            "tests",
            Kind::List(&Kind::Table(&TEST)),
            "Tests of the policies, run by `procprobe test`; the daemon ignores them.",
        ),
    ],
    one_of: &[],
};

const HOSTS_DOC: &str = "The file applies only where a pattern matches the host's name, or one with `=` matches one of its labels \
                         written as key=value. Left out: everywhere.";

/// A pattern on the host's name or a label.
pub const HOST: Form = Form {
    what: "a pattern on the host's name or a label",
    pattern: None,
    examples: &["web-*", "role=web", "zone=seoul-*"],
};

/// Name of a group, a job, a log, a set of peers, a destination or an action.
pub const NAME: Form = Form {
    what: "a name",
    pattern: Some("^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$"),
    examples: &["nginx", "postgres-15", "site_a.workers"],
};

/// One group.
pub static GROUP: Table = Table {
    what: "a group",
    doc: "A set of processes and what must hold of it.",
    example: "{ match: { exe: nginx }, count: { min: 1 } }",
    keys: &[
        Key::required("match", Kind::Table(&MATCH), "What belongs to the group: all given fields must match."),
        Key::new("except", Kind::Table(&EXCEPT), "What is taken out again: a process that all given fields match."),
        Key::new("include_children", Kind::Bool, "Descendants of what is matched belong too (default false)."),
        ONLY_IF,
        Key::new(
            "events",
            Kind::Bool,
            "Starts and exits of its processes are told as events where those of matched processes are (default true). \
             false for a group that holds every process.",
        ),
        Key::new("count", bounds::COUNT_BOUNDS, "Processes alive."),
        Key::new("threads", bounds::THREADS_BOUNDS, "Threads alive."),
        Key::new("cpu", bounds::CPU_BOUNDS, "CPU used, in cores or as a share of the host's."),
        Key::new("cpu_wait", bounds::CPU_BOUNDS, "Time spent runnable but waiting for a CPU, in cores."),
        Key::new("memory", bounds::MEMORY_BOUNDS, "Resident memory, in bytes or as a share of the host's."),
        Key::new("read", bounds::RATE_BOUNDS, "Bytes read from storage a second."),
        Key::new("write", bounds::RATE_BOUNDS, "Bytes written to storage a second."),
        Key::new(
            "starts",
            bounds::WINDOW_BOUNDS,
            "Processes that entered the group within a window, by exec or by fork.",
        ),
        Key::new("exits", bounds::WINDOW_BOUNDS, "Processes of the group that ended within a window."),
        Key::new("failures", bounds::WINDOW_BOUNDS, "Of these, those with a non-zero exit code or killed by a signal."),
        Key::new("oom_kills", bounds::WINDOW_BOUNDS, "Processes that the kernel's OOM killer chose within a window."),
        Key::new("age", bounds::AGE_BOUNDS, "How long a process has lived; judged for each process."),
        REPEAT,
        NOTIFY,
        ACT,
        MODE,
        Key::elsewhere("severity", "it belongs to a bound: count: { min: 1, severity: critical }"),
        Key::elsewhere("for", "it belongs to a bound: count: { min: 1, for: 10s }"),
        Key::elsewhere("per", "it belongs to a bound: memory: { max: 1GiB, per: process }"),
        Key::elsewhere("min", "it belongs to a measure: count: { min: 1 }"),
        Key::elsewhere("max", "it belongs to a measure: count: { max: 10 }"),
        Key::elsewhere("exe", "it belongs to `match`: match: { exe: /usr/sbin/nginx }"),
        Key::elsewhere("comm", "it belongs to `match`: match: { comm: nginx }"),
        Key::elsewhere("args", "it belongs to `match`: match: { args: \"worker process\" }"),
        Key::elsewhere("user", "it belongs to `match`: match: { user: www-data }"),
        Key::elsewhere("cgroup", "it belongs to `match`: match: { cgroup: \"/system.slice/*\" }"),
        Key::elsewhere("unit", "it belongs to `match`: match: { unit: nginx.service }"),
        Key::elsewhere("container", "it belongs to `match`: match: { container: 4d1b7a0c5e9f }"),
        Key::elsewhere("parent", "it belongs to `match`: match: { parent: nginx-master }"),
        Key::elsewhere("kernel_threads", "it belongs to `match`: match: { kernel_threads: true }"),
    ],
    one_of: &[],
};
