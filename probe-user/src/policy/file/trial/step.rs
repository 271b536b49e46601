//! Reads steps, and holds their pids against who lives at that moment.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{figures, in_order, peer};
use crate::policy::file::job::read_signal;
use crate::policy::keys::{
    ARGS_LINE, CGROUP_PATH, COMM_NAME, COPIES_MAX, EXE_PATH, JUMP, LOG_FILE, LOG_LINE, NAME, PID_MAX, STEP, TIMES_MAX,
    USER_FORM,
};
use crate::policy::limits;
use crate::policy::matching::{Named, user, valid_name};
use crate::policy::spec::{Happening, Looks, Measure, Step, Use};
use crate::record::ExitStatus;
use crate::yaml::keys::Kind;
use crate::yaml::{Decoder, Entry, Fields, Node, units};

/// Longest name of a process, without the closing NUL.
const COMM_MAX: usize = 15;
/// Signal of the OOM killer.
const KILL: u8 = 9;

/// A run of a job, to be made into a process that the job matches.
#[derive(Debug)]
pub(in crate::policy) struct Run {
    /// Name of the job.
    pub(in crate::policy) job: Named,
    /// Before which step it stands.
    pub(in crate::policy) position: usize,
    /// When it starts.
    pub(in crate::policy) at: Duration,
    /// When and how it ends.
    pub(in crate::policy) end: Option<(Duration, ExitStatus)>,
    /// What is said of its process.
    pub(in crate::policy) looks: Looks,
}

/// Who lives.
struct Pids(BTreeSet<u32>);

/// All steps, in order; runs of jobs by themselves.
pub(super) fn read(d: &mut Decoder<'_>, node: &Node) -> (Vec<Step>, Vec<Run>) {
    let (mut steps, mut runs): (Vec<Step>, Vec<Run>) = (Vec::new(), Vec::new());
    let mut pids = Pids(BTreeSet::from([1]));
    let mut last = None;
    for item in d.list(node) {
        let Some(fields) = d.fields(item, &STEP) else { continue };
        let at = in_order(d, &fields, last);
        last = Some(at.max(last.unwrap_or_default()));
        let mut given = fields.iter().filter(|(key, _)| key.name != "at");
        let Some((key, entry)) = given.next() else { continue };
        if let Some((second, entry)) = given.next() {
            let message =
                format!("a step has one thing that happens, this one has `{}` and `{}`", key.name, second.name);
            d.error_help(entry.span, message, "make it a step of its own, at the same moment");
        }
        if key.name == "job" {
            runs.extend(run(d, key.kind, entry, at, steps.len()));
        } else {
            let happenings = happening(d, key.name, key.kind, entry, &mut pids);
            steps.extend(happenings.into_iter().map(|what| Step { at, what }));
        }
    }
    (steps, runs)
}

fn happening(d: &mut Decoder<'_>, name: &str, kind: Kind, entry: &Entry, pids: &mut Pids) -> Vec<Happening> {
    let one = if let Kind::Table(table) = kind {
        let Some(fields) = d.fields(&entry.value, table) else { return Vec::new() };
        match name {
            "start" => return start(d, &fields, pids),
            "exit" => return exit(d, &fields, pids),
            "exec" => {
                let program = looks(d, &fields);
                pids.living(d, &fields).map(|pid| Happening::Exec { pid, program })
            }
            "usage" => usage(d, &fields, pids),
            "log" => log(d, &fields),
            "peer" => peer::read(d, &fields).map(Happening::Peer),
            _ => Some(Happening::Host(figures::read(d, &fields))),
        }
    } else {
        match name {
            "clock_jump" => jump(d, &entry.value).map(Happening::ClockJump),
            "suspend" => d.some_duration(&entry.value).map(Happening::Suspend),
            _ => d.whole(&entry.value, 1, TIMES_MAX).map(Happening::Lose),
        }
    };
    one.into_iter().collect()
}

/// `copies`: how many processes, with pids one after the other.
fn copies(d: &mut Decoder<'_>, fields: &Fields<'_>) -> u32 {
    fields.get("copies").and_then(|node| d.whole(node, 1, COPIES_MAX)).unwrap_or(1)
}

impl Pids {
    /// The pid of a process that lives.
    fn living(&self, d: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<u32> {
        let node = fields.get("pid")?;
        let pid = d.whole(node, 2, PID_MAX)?;
        if !self.0.contains(&pid) {
            d.error_help(node.span, format!("no process {pid} lives at that moment"), "a step above has to start it");
            return None;
        }
        Some(pid)
    }
}

fn start(d: &mut Decoder<'_>, fields: &Fields<'_>, pids: &mut Pids) -> Vec<Happening> {
    let kernel = fields.get("kernel").and_then(|node| d.bool(node)).unwrap_or(false);
    let parent = fields.get("parent").map(|node| (d.whole(node, 1, PID_MAX), node.span));
    if let Some((Some(parent), span)) = parent.filter(|(parent, _)| parent.is_some_and(|pid| !pids.0.contains(&pid))) {
        d.error_help(span, format!("no process {parent} lives at that moment"), "a step above has to start it");
    }
    let said = ["exe", "args", "comm"].iter().any(|name| fields.get(name).is_some());
    let program = said.then(|| looks(d, fields));
    for name in ["user", "cgroup"] {
        if let Some(entry) = fields.entry(name).filter(|_| !said) {
            d.error_help(
                entry.span,
                format!("`{name}` without `exe`"),
                "without a program of its own a process is as its parent",
            );
        }
    }
    for name in ["exe", "args"] {
        if let Some(entry) = fields.entry(name).filter(|_| kernel) {
            d.error_help(entry.span, format!("kernel threads have no `{name}`"), "give its `comm`");
        }
    }
    let parent = parent.and_then(|(pid, _)| pid).unwrap_or(1);
    let Some(node) = fields.get("pid") else { return Vec::new() };
    let Some(first) = d.whole(node, 2, PID_MAX) else { return Vec::new() };
    let mut started = Vec::new();
    for pid in first..first.saturating_add(copies(d, fields)) {
        if pid > PID_MAX || !pids.0.insert(pid) {
            d.error_help(
                node.span,
                format!("process {pid} lives already"),
                "it has to exit first, or take another pid",
            );
            break;
        }
        started.push(Happening::Start { pid, parent, program: program.clone(), kernel });
    }
    started
}

/// What a process looks like.
fn looks(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Looks {
    let plain = |text: &str| if text.contains('\0') { Err("without NUL".to_owned()) } else { Ok(Arc::from(text)) };
    let absolute = |text: &str| {
        if text.starts_with('/') { Ok(Arc::from(text)) } else { Err("it begins with a /".to_owned()) }
    };
    Looks {
        exe: fields.get("exe").and_then(|node| {
            d.form(node, &EXE_PATH, |text| match text {
                "" => Err("a process has one".to_owned()),
                _ if text.contains('/') && !text.starts_with('/') => Err("real paths are absolute".to_owned()),
                // A bare name is what people write for a pattern; the path is as good as any.
                _ if !text.contains('/') => Ok(Arc::from(format!("/usr/bin/{text}"))),
                _ => plain(text),
            })
        }),
        args: fields.get("args").and_then(|node| d.form(node, &ARGS_LINE, plain)),
        comm: fields.get("comm").and_then(|node| d.form(node, &COMM_NAME, comm)),
        user: fields.get("user").and_then(|node| d.form(node, &USER_FORM, user)),
        cgroup: fields.get("cgroup").and_then(|node| d.form(node, &CGROUP_PATH, absolute)),
    }
}

fn comm(text: &str) -> Result<Arc<str>, String> {
    if text.is_empty() || text.len() > COMM_MAX {
        return Err(format!("the kernel keeps 1 to {COMM_MAX} bytes"));
    }
    Ok(Arc::from(text))
}

/// `code` or `signal`; code 0 where nothing is said.
fn status(d: &mut Decoder<'_>, fields: &Fields<'_>) -> ExitStatus {
    let code = fields.get("code").and_then(|node| d.whole(node, 0, 255)).and_then(|code| u8::try_from(code).ok());
    let signal = fields.get("signal").and_then(|node| read_signal(d, node));
    if let Some(entry) = fields.entry("code").filter(|_| fields.get("signal").is_some()) {
        d.error_help(entry.span, "`code` beside `signal`", "what a signal kills has no exit code");
    }
    match signal {
        Some(number) => ExitStatus::Signal { number, core_dumped: false },
        None => ExitStatus::Code(code.unwrap_or(0)),
    }
}

fn exit(d: &mut Decoder<'_>, fields: &Fields<'_>, pids: &mut Pids) -> Vec<Happening> {
    let mut status = status(d, fields);
    let oom = fields.get("oom").and_then(|node| d.bool(node)).unwrap_or(false);
    if oom {
        for name in ["code", "signal", "killer"] {
            if let Some(entry) = fields.entry(name) {
                d.error_help(entry.span, format!("`{name}` beside `oom`"), "the OOM killer sends KILL by itself");
            }
        }
        status = ExitStatus::Signal { number: KILL, core_dumped: false };
    }
    let killer = fields.get("killer").and_then(|node| d.form(node, &COMM_NAME, comm));
    if let Some(entry) = fields.entry("killer").filter(|_| fields.get("signal").is_none() && !oom) {
        d.error_help(entry.span, "`killer` without `signal`", "it is who sent the signal");
    }
    let Some(first) = pids.living(d, fields) else { return Vec::new() };
    let mut ended = Vec::new();
    for pid in first..first.saturating_add(copies(d, fields)) {
        if !pids.0.remove(&pid) {
            d.error(fields.span, format!("no process {pid} lives at that moment"));
            break;
        }
        ended.push(Happening::Exit { pid, status, killer: killer.clone(), oom });
    }
    ended
}

fn usage(d: &mut Decoder<'_>, fields: &Fields<'_>, pids: &Pids) -> Option<Happening> {
    let mut amount = |name: &str, measure| fields.get(name).and_then(|node| limits::limit(d, measure, node));
    let (cpu, cpu_wait) = (amount("cpu", Measure::Cpu), amount("cpu_wait", Measure::CpuWait));
    let memory = amount("memory", Measure::Memory);
    let threads = fields.get("threads").and_then(|node| d.whole(node, 1, PID_MAX));
    let mut rate = |name: &str| fields.get(name).and_then(|node| d.form(node, &units::RATE, units::rate));
    let (read, write) = (rate("read"), rate("write"));
    let pid = pids.living(d, fields)?;
    Some(Happening::Usage { pid, usage: Use { cpu, cpu_wait, memory, threads, read, write } })
}

fn log(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<Happening> {
    let path = d.form(fields.get("path")?, &LOG_FILE, |text| {
        if text.starts_with('/') { Ok(Arc::from(text)) } else { Err("it begins with a /".to_owned()) }
    });
    let line = d.form(fields.get("line")?, &LOG_LINE, |text| {
        if text.contains(['\n', '\r']) {
            Err("one line; `times` says how often".to_owned())
        } else {
            Ok(Arc::from(text))
        }
    });
    let times = fields.get("times").map_or(Some(1), |node| d.whole(node, 1, TIMES_MAX));
    Some(Happening::Log { path: path?, line: line?, times: times? })
}

fn jump(d: &mut Decoder<'_>, node: &Node) -> Option<i64> {
    d.form(node, &JUMP, |text| {
        let (sign, rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
        let nanos = i64::try_from(units::duration(rest)?.as_nanos()).map_err(|_| "that is too long".to_owned())?;
        Ok(sign * nanos)
    })
}

fn run(d: &mut Decoder<'_>, kind: Kind, entry: &Entry, at: Duration, position: usize) -> Option<Run> {
    let Kind::Table(table) = kind else { return None };
    let fields = &d.fields(&entry.value, table)?;
    let looks = looks(d, fields);
    let lasts = fields.get("lasts").and_then(|node| d.duration(node));
    let status = status(d, fields);
    for name in ["code", "signal"] {
        if let Some(entry) = fields.entry(name).filter(|_| fields.get("lasts").is_none()) {
            d.error_help(entry.span, format!("`{name}` without `lasts`"), "a run that does not end has none");
        }
    }
    let node = fields.get("name")?;
    let name = d.form(node, &NAME, |text| valid_name(text).map(|()| Arc::from(text)))?;
    Some(Run {
        job: (name, node.span),
        position,
        at,
        end: lasts.map(|lasts| (at.saturating_add(lasts), status)),
        looks,
    })
}
