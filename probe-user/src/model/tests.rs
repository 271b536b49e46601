//! The table's tests: a small script language for records, and one `check` that compares what the table said.

mod history;
mod order;
mod scans;
mod usage;

use std::fmt::Write as _;
use std::sync::Arc;

use super::{Appearance, Change, KTime, Process, ProcessKey, Program, Table};
use crate::record::{Account, Body, ExitStatus, Identity, Record, Reread, Scan, SignalSent, TaskRow, UsageRow};

/// The process with this tgid that started at this millisecond.
fn key(tgid: u32, start_ms: u64) -> ProcessKey {
    ProcessKey { tgid, start: KTime::from_millis(start_ms) }
}

fn identity(comm: &str, parent: Option<ProcessKey>) -> Identity {
    Identity { parent, start_boot_ns: 0, cgroup_id: 1, uid: 1000, gid: 1000, comm: comm.into(), kernel_thread: false }
}

fn program(exe: &str) -> Arc<Program> {
    let args = format!("{exe}\0-x");
    Arc::new(Program { exe: exe.into(), filename: exe.into(), args: args.into(), args_count: 2, args_cut: false })
}

fn record(at_ms: u64, key: ProcessKey, body: Body) -> Record {
    Record { at: KTime::from_millis(at_ms), key, body }
}

fn fork(at_ms: u64, child: ProcessKey, forker: ProcessKey) -> Record {
    record(at_ms, child, Body::Fork { identity: identity("forked", Some(forker)), forker })
}

fn exec(at_ms: u64, key: ProcessKey, exe: &str) -> Record {
    exec_child_of(at_ms, key, exe, None)
}

fn exec_child_of(at_ms: u64, key: ProcessKey, exe: &str, parent: Option<ProcessKey>) -> Record {
    record(at_ms, key, Body::Exec { identity: identity(exe, parent), program: program(exe) })
}

fn exit(at_ms: u64, key: ProcessKey, status: ExitStatus) -> Record {
    let body = Body::Exit { status, peak_rss_bytes: 4096, cpu_ns: 70, comm: "ended".into(), uid: 7, parent_tgid: 1 };
    record(at_ms, key, body)
}

const OK: ExitStatus = ExitStatus::Code(0);

fn killed(number: u8) -> ExitStatus {
    ExitStatus::Signal { number, core_dumped: false }
}

fn account(at_ms: u64, key: ProcessKey) -> Record {
    account_of(at_ms, key, 100)
}

fn account_of(at_ms: u64, key: ProcessKey, cpu_ns: u64) -> Record {
    record(at_ms, key, Body::Account(Account { cpu_ns, wait_ns: 1, read_bytes: 2, write_bytes: 3, exact: true }))
}

fn signal(at_ms: u64, key: ProcessKey, number: u8, sender_tgid: u32) -> Record {
    let sent = SignalSent { number, by_kernel: false, sender_tgid, sender_uid: 0, sender_comm: "bash".into() };
    record(at_ms, key, Body::Signal(sent))
}

fn rename(at_ms: u64, key: ProcessKey, comm: &str) -> Record {
    record(at_ms, key, Body::Rename { comm: comm.into() })
}

fn cgroup(id: u64, path: &str) -> Record {
    record(0, key(1, 1), Body::Cgroup { id, path: path.into() })
}

/// A living process in a scan.
fn row(key: ProcessKey, exe: &str, parent: Option<ProcessKey>) -> TaskRow {
    TaskRow {
        key,
        identity: identity(exe, parent),
        exe: exe.into(),
        cgroup: "/".into(),
        threads: 1,
        zombie: None,
        reaped_cpu_ns: 0,
    }
}

fn zombie(key: ProcessKey, status: ExitStatus) -> TaskRow {
    TaskRow { zombie: Some(status), ..row(key, "", None) }
}

/// What the table can be told.
#[derive(Clone, Debug)]
enum Told {
    Record(Record),
    Scan(u64, Vec<TaskRow>),
    Sample(u64, Vec<UsageRow>),
    Args(ProcessKey, &'static str),
    Expire(u64),
}

impl From<Record> for Told {
    fn from(record: Record) -> Self {
        Self::Record(record)
    }
}

fn tell(table: &mut Table, told: &Told) -> Vec<Change> {
    let mut changes = Vec::new();
    match told {
        Told::Record(record) => table.record(record, &mut changes),
        Told::Scan(began_ms, rows) => {
            let scan = Scan { began: KTime::from_millis(*began_ms), rows: rows.clone(), args: Vec::new() };
            table.scan(&scan, &mut changes);
        }
        Told::Sample(now_ms, rows) => table.sample(KTime::from_millis(*now_ms), rows, &mut changes),
        Told::Args(key, args) => {
            let found = Reread { args: (*args).into(), uid: None };
            table.reread(*key, &found, &mut changes);
        }
        Told::Expire(now_ms) => table.expire(KTime::from_millis(*now_ms), &mut changes),
    }
    assert!(table.kin_is_right());
    changes
}

/// A change in a few words, with what the table or the handed-over process says at that moment.
fn words(table: &Table, change: &Change) -> String {
    let who = |key: &ProcessKey| table.get(*key).map_or_else(|| "?".to_owned(), describe);
    match change {
        Change::Appeared { key, how } => {
            let how = match how {
                Appearance::Forked => "forked",
                Appearance::Seeded => "seeded",
                Appearance::Found => "found",
            };
            format!("{how} {} {}", key.tgid, who(key))
        }
        Change::Executed { key } => format!("executed {} {}", key.tgid, who(key)),
        Change::Redefined { key } => format!("redefined {} {}", key.tgid, who(key)),
        Change::Exited { key } => format!("exited {}", key.tgid),
        Change::OomVictim { key } => format!("oom {}", key.tgid),
        Change::Used { key, delta } => format!("used {} {}", key.tgid, delta.cpu_ns),
        Change::Closed { process, account, delta } => {
            let mut text = format!("closed {} {} ", process.key.tgid, describe(process));
            let exit = process.exit.as_ref().unwrap();
            match exit.status {
                None => text.push_str("unknown"),
                Some(ExitStatus::Code(code)) => write!(text, "code={code}").unwrap(),
                Some(ExitStatus::Signal { number, .. }) => write!(text, "signal={number}").unwrap(),
            }
            if let Some(killer) = &exit.killer {
                write!(text, " killer={}", killer.pid).unwrap();
            }
            if exit.oom {
                text.push_str(" oom");
            }
            let about = if account.exact { "" } else { "~" };
            write!(text, " cpu={about}{} delta={}", account.cpu_ns, delta.cpu_ns).unwrap();
            text
        }
    }
}

/// `exe:comm`, with `^parent` when there is one and `@cgroup` when that is known and not the root.
fn describe(process: &Process) -> String {
    let mut text = format!("{}:{}", process.program.exe, &*process.identity.comm);
    if let Some(parent) = process.identity.parent {
        write!(text, "^{}", parent.tgid).unwrap();
    }
    if process.cgroup.len() > 1 {
        write!(text, "@{}", process.cgroup).unwrap();
    }
    text
}

/// Tells a new table everything, and compares the changes of each step, one line a step (`-` for none).
#[track_caller]
fn check(told: impl IntoIterator<Item = (Told, &'static str)>) -> Table {
    let mut table = Table::new();
    for (step, (told, expected)) in told.into_iter().enumerate() {
        let changes = tell(&mut table, &told);
        let said: Vec<String> = changes.iter().map(|change| words(&table, change)).collect();
        let said = if said.is_empty() { "-".to_owned() } else { said.join("; ") };
        assert_eq!(said, expected, "step {step}: {told:?}");
    }
    table
}

/// Nothing is left of the processes that were there.
#[track_caller]
fn assert_bare(table: &Table) {
    assert!(table.is_empty(), "{:?}", table.iter().map(|process| process.key).collect::<Vec<_>>());
    assert_eq!(table.store.iter().count(), 0);
    assert_eq!(table.kin.parents(), 0, "children left in the index");
    assert_eq!(table.cgroups.sizes().1, 0, "somebody still waits for a cgroup");
    assert!(table.deadlines.is_empty(), "{:?}", table.deadlines);
}
