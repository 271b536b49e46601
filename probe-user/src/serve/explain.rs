//! Answers "which groups does this process belong to, and why not to the others" with the engine itself.

use std::sync::Arc;
use std::time::Duration;

use super::{Described, Fields, MatchReport, Verdict};
use crate::engine::{self, Engine, Input, Processes, Settings};
use crate::event::clean;
use crate::model::Process;
use crate::policy::spec::{HostFacts, PolicySet, Users};
use crate::record::{Identity, ProcessKey, Scan, TaskRow};
use crate::time::KTime;

/// About a process of a running engine.
pub fn of_living(engine: &Engine, pid: u32) -> MatchReport {
    let Some(process) = engine.table().of_tgid(pid).filter(|process| process.exit.is_none()) else {
        return MatchReport::default();
    };
    report(engine, process)
}

/// About a process of a scan, with the policies as they are and an engine of its own.
pub fn of_scan(policies: &Arc<PolicySet>, users: &Arc<Users>, key: ProcessKey, scan: Scan) -> MatchReport {
    let mut engine = Engine::new(settings(), policies, Arc::clone(users));
    engine.step(KTime::default(), Input::Scan(scan), &mut Vec::new());
    engine.table().get(key).map(|process| report(&engine, process)).unwrap_or_default()
}

/// About a process that might be. Errors say which field cannot be understood.
pub fn of_fields(policies: &Arc<PolicySet>, users: &Arc<Users>, fields: &Fields) -> Result<MatchReport, String> {
    let exe = fields.exe.as_deref().unwrap_or_default();
    let file_name = exe.rsplit('/').next().unwrap_or_default();
    let comm = fields.comm.as_deref().unwrap_or_else(|| cut(file_name, 15));
    let key = ProcessKey { tgid: 0, start: KTime::default() };
    let row = TaskRow {
        key,
        identity: Identity {
            parent: None,
            start_boot_ns: 0,
            cgroup_id: 0,
            uid: fields.user.as_deref().map_or(Ok(0), |user| uid(users, user))?,
            gid: 0,
            comm: comm.into(),
            kernel_thread: false,
        },
        exe: exe.into(),
        cgroup: fields.cgroup.as_deref().unwrap_or_default().into(),
        threads: 1,
        zombie: None,
        reaped_cpu_ns: 0,
    };
    let args = fields.args.as_deref().unwrap_or_default().into();
    let scan = Scan { began: KTime::default(), rows: vec![row], args: vec![(key, args)] };
    Ok(of_scan(policies, users, key, scan))
}

/// What a selector does not look at does not matter here.
const fn settings() -> Settings {
    Settings {
        host: HostFacts { cpus: 1, memory_bytes: 1 },
        start_grace: Duration::ZERO,
        processes: Processes::None,
        forks: false,
        args: false,
        redact: Vec::new(),
    }
}

fn uid(users: &Users, user: &str) -> Result<u32, String> {
    if let Ok(uid) = user.parse() {
        return Ok(uid);
    }
    let named = users.0.iter().find(|(_, name)| &***name == user);
    named.map(|(uid, _)| *uid).ok_or_else(|| format!("this host has no user `{}`", clean(user)))
}

/// The first bytes, at a character's border.
fn cut(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or(text)
}

fn report(engine: &Engine, process: &Process) -> MatchReport {
    let groups = engine.explain(process.key).into_iter().map(|explanation| {
        let verdict = explanation.verdict;
        Verdict {
            group: explanation.group,
            job: explanation.job,
            declared: explanation.declared,
            belongs: verdict.belongs(),
            why: match verdict {
                engine::Verdict::Selected => "`match` selects it".to_owned(),
                engine::Verdict::Descends => "it descends from a member".to_owned(),
                engine::Verdict::TakenOut => "`except` takes it out".to_owned(),
                engine::Verdict::KeptOut { field } => format!("`{field}` keeps it out"),
            },
        }
    });
    let groups = groups.collect();
    let described = Described {
        pid: process.key.tgid,
        exe: clean(&process.program.exe),
        args: clean(&process.program.joined_args()),
        comm: clean(&process.identity.comm),
        uid: process.identity.uid,
        cgroup: clean(&process.cgroup),
    };
    MatchReport { process: Some(described), groups }
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;
    use crate::policy::glob::Glob;
    use crate::policy::spec::{Group, PathGlob, Response, Selector, User};

    fn group(name: &str, select: Selector) -> Group {
        Group {
            name: name.into(),
            declared: "a.yaml:1".into(),
            select,
            except: None,
            include_children: false,
            bounds: Vec::new(),
            response: Response::default(),
            events: true,
        }
    }

    fn policies() -> Arc<PolicySet> {
        let exe = Selector {
            exe: vec![PathGlob { name_only: true, glob: Glob::name("ngin?").unwrap() }],
            ..Selector::default()
        };
        let worker = Selector { args: vec![Regex::new("worker process").unwrap()], ..exe.clone() };
        let web = Selector { user: vec![User::Name("www-data".into())], ..Selector::default() };
        let children = Selector { parent: vec!["exe".into()], ..Selector::default() };
        let groups = vec![group("children", children), group("exe", exe), group("web", web), group("worker", worker)];
        Arc::new(PolicySet { groups, ..PolicySet::default() })
    }

    fn users() -> Arc<Users> {
        Arc::new(Users([(33, "www-data".into())].into()))
    }

    fn check(report: &MatchReport, expected: &[(&str, bool, &str)]) {
        let found: Vec<_> =
            report.groups.iter().map(|group| (group.group.as_str(), group.belongs, group.why.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_process_that_might_be_is_explained() {
        let fields = Fields { exe: Some("/usr/sbin/nginx".into()), user: Some("www-data".into()), ..Fields::default() };
        let report = of_fields(&policies(), &users(), &fields).unwrap();
        let process = report.process.clone().unwrap();
        assert_eq!((process.comm.as_str(), process.uid), ("nginx", 33));
        check(
            &report,
            &[
                ("children", false, "`parent` keeps it out"),
                ("exe", true, "`match` selects it"),
                ("web", true, "`match` selects it"),
                ("worker", false, "`args` keeps it out"),
            ],
        );
        let unknown = Fields { user: Some("nobody-here".into()), ..Fields::default() };
        assert!(of_fields(&policies(), &users(), &unknown).unwrap_err().contains("nobody-here"));
    }

    #[test]
    fn a_scan_knows_parents() {
        let row = |tgid, parent, exe: &str| TaskRow {
            key: ProcessKey { tgid, start: KTime::from_secs(u64::from(tgid)) },
            identity: Identity {
                parent,
                start_boot_ns: 0,
                cgroup_id: 0,
                uid: 0,
                gid: 0,
                comm: "x".into(),
                kernel_thread: false,
            },
            exe: exe.into(),
            cgroup: "".into(),
            threads: 1,
            zombie: None,
            reaped_cpu_ns: 0,
        };
        let parent = row(5, None, "/usr/sbin/nginx");
        let child = row(7, Some(parent.key), "/bin/sh");
        let key = child.key;
        let scan = Scan { began: KTime::from_secs(9), rows: vec![child, parent], args: Vec::new() };
        let report = of_scan(&policies(), &users(), key, scan);
        assert_eq!(report.groups[0].why, "`match` selects it");
    }
}
