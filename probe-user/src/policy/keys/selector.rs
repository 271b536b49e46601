//! The keys of `match`, `except` and `only_if`.

use super::NAME;
use crate::yaml::keys::{Form, Key, Kind, Table};

const EXE: Key = Key::new(
    "exe",
    Kind::OneOrMany(&Kind::Form(&EXE_FORM)),
    "Pattern on the executable's path as /proc/PID/exe names it; without a / on the file's name.",
);
const COMM: Key =
    Key::new("comm", Kind::OneOrMany(&Kind::Form(&COMM_FORM)), "Pattern on the kernel's name, at most 15 bytes.");
const ARGS: Key = Key::new(
    "args",
    Kind::OneOrMany(&Kind::Form(&ARGS_FORM)),
    "Regular expression that is looked for in the arguments joined by spaces.",
);
const USER: Key = Key::new("user", Kind::OneOrMany(&Kind::Form(&USER_FORM)), "Name or number of the real user.");
const CGROUP: Key =
    Key::new("cgroup", Kind::OneOrMany(&Kind::Form(&CGROUP_FORM)), "Pattern on the path of the cgroup.");
const UNIT: Key = Key::new(
    "unit",
    Kind::OneOrMany(&Kind::Form(&UNIT_FORM)),
    "systemd unit in the path of the cgroup; .service is added to a name without a suffix.",
);
const CONTAINER: Key = Key::new(
    "container",
    Kind::OneOrMany(&Kind::Form(&CONTAINER_FORM)),
    "Id of the container, or at least its first 12 digits.",
);
const PARENT: Key =
    Key::new("parent", Kind::OneOrMany(&Kind::Form(&NAME)), "The parent process belongs to the group of this name.");

/// What belongs to a group.
pub static MATCH: Table = Table {
    what: "`match`",
    doc: "All given fields must match; of a list within one field any one is enough.",
    example: "{ exe: /usr/sbin/nginx }",
    keys: &[
        EXE,
        COMM,
        ARGS,
        USER,
        CGROUP,
        UNIT,
        CONTAINER,
        PARENT,
        Key::new("kernel_threads", Kind::Bool, "Kernel threads, and only they, are matched (default false)."),
    ],
    one_of: &["exe", "comm", "args", "user", "cgroup", "unit", "container", "parent", "kernel_threads"],
};

/// What is taken out of a group again.
pub static EXCEPT: Table = Table {
    what: "`except`",
    doc: "All given fields must match; of a list within one field any one is enough.",
    example: "{ args: worker }",
    keys: &[
        EXE,
        COMM,
        ARGS,
        USER,
        CGROUP,
        UNIT,
        CONTAINER,
        PARENT,
        Key::elsewhere("kernel_threads", "a group has either kernel threads or other processes: say so in `match`"),
    ],
    one_of: &["exe", "comm", "args", "user", "cgroup", "unit", "container", "parent"],
};

const CONDITIONS: Kind = Kind::OneOrMany(&Kind::Table(&CONDITION));

/// Where it is loaded: the same for everything that can be conditional.
pub(super) const ONLY_IF: Key = Key::new(
    "only_if",
    CONDITIONS,
    "It is loaded only where this holds when policies are loaded; of a list, where all of it holds.",
);

/// One condition of `only_if`.
pub static CONDITION: Table = Table {
    what: "`only_if`",
    doc: "Holds where the path exists; of a list of paths, where any one exists.",
    example: "{ path: /usr/sbin/sshd }",
    keys: &[Key::required(
        "path",
        Kind::OneOrMany(&Kind::Form(&PATH_FORM)),
        "Absolute path of a file or folder; of a list any one is enough.",
    )],
    one_of: &[],
};

/// `exe`
pub const EXE_FORM: Form = Form {
    what: "a pattern on the executable's path",
    pattern: None,
    examples: &["/usr/sbin/nginx", "nginx", "/opt/*/bin/java", "/opt/**"],
};
/// `comm`
pub const COMM_FORM: Form =
    Form { what: "a pattern on the kernel's name of the process", pattern: None, examples: &["nginx", "php-fpm*"] };
/// `args`
pub const ARGS_FORM: Form = Form {
    what: "a regular expression on the arguments",
    pattern: None,
    examples: &["worker process", "^java .* -jar /opt/app\\.jar"],
};
/// `user`
pub const USER_FORM: Form = Form { what: "a user's name or number", pattern: None, examples: &["www-data", "33"] };
/// `cgroup`
pub const CGROUP_FORM: Form = Form {
    what: "a pattern on the cgroup's path",
    pattern: None,
    examples: &["/system.slice/*", "/kubepods.slice/**"],
};
/// `unit`
pub const UNIT_FORM: Form =
    Form { what: "a systemd unit", pattern: None, examples: &["nginx.service", "nginx", "postgresql@*.service"] };
/// `container`
pub const CONTAINER_FORM: Form =
    Form { what: "a container's id", pattern: Some("^[0-9A-Fa-f]{12,64}$"), examples: &["4d1b7a0c5e9f"] };
/// `path` of `only_if`
pub const PATH_FORM: Form = Form { what: "an absolute path", pattern: Some("^/"), examples: &["/usr/sbin/sshd"] };
