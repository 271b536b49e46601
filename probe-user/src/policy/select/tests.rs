use std::sync::Arc;

use regex::Regex;

use super::*;
use crate::model::{Process, Usage};
use crate::record::{Comm, Identity, ProcessKey, Program};
use crate::time::KTime;

const ID: &str = "4d1b7a0c5e9f4d1b7a0c5e9f4d1b7a0c5e9f4d1b7a0c5e9f4d1b7a0c5e9faaaa";

/// An nginx worker as most hosts have it.
fn nginx() -> Process {
    Process {
        key: ProcessKey { tgid: 10, start: KTime::from_secs(1) },
        identity: Identity {
            parent: None,
            start_boot_ns: 0,
            cgroup_id: 1,
            uid: 33,
            gid: 33,
            comm: Comm::from("nginx"),
            kernel_thread: false,
        },
        program: Arc::new(Program {
            exe: Arc::from("/usr/sbin/nginx"),
            filename: Arc::from(""),
            args: Box::from("nginx: worker\0process"),
            args_count: 2,
            args_cut: false,
        }),
        cgroup: Arc::from("/system.slice/nginx.service"),
        program_since: KTime::from_secs(1),
        execs: 1,
        threads: 1,
        usage: Usage::default(),
        last_signal: None,
        oom: false,
        exit: None,
    }
}

fn kernel_thread() -> Process {
    let mut process = nginx();
    process.identity = Identity { uid: 0, comm: Comm::from("kworker/0:1"), kernel_thread: true, ..process.identity };
    process.program = Arc::new(Program::default());
    process.cgroup = Arc::from("/");
    process
}

fn exe(pattern: &str) -> Selector {
    Selector { exe: vec![PathGlob::new(pattern).expect(pattern)], ..Selector::default() }
}

fn comm(pattern: &str) -> Selector {
    Selector { comm: vec![Glob::name(pattern).expect(pattern)], ..Selector::default() }
}

fn args(pattern: &str) -> Selector {
    Selector { args: vec![Regex::new(pattern).expect(pattern)], ..Selector::default() }
}

fn user(user: User) -> Selector {
    Selector { user: vec![user], ..Selector::default() }
}

fn cgroup(pattern: CgroupPattern) -> Selector {
    Selector { cgroup: vec![pattern], ..Selector::default() }
}

fn cgroup_path(pattern: &str) -> Selector {
    cgroup(CgroupPattern::Path(Glob::path(pattern).expect(pattern)))
}

#[track_caller]
fn check(process: &Process, selector: &Selector, expected: Option<Field>) {
    let users = Users([(33, Arc::from("www-data"))].into());
    let found = selector.mismatch(process, &users, &|group| group == "masters");
    assert_eq!(found, expected, "{selector:?}");
}

#[test]
fn a_path_glob_stops_at_slashes_and_a_name_looks_at_the_file() {
    let out = Some(Field::Exe);
    for (pattern, expected) in [
        ("/usr/sbin/nginx", None),
        ("/usr/sbin/ngin", out),
        ("nginx", None),
        ("sbin", out),
        ("ngin?", None),
        ("ng*", None),
        ("*", None),
        ("/usr/*/nginx", None),
        ("/*/nginx", out),
        ("/*", out),
        ("/**", None),
        ("**/nginx", None),
        ("/usr/**/nginx", None),
        ("/usr/{bin,sbin}/nginx", None),
        ("{apache2,nginx}", None),
        ("[a-m]ginx", out),
        ("[!a-m]ginx", None),
        ("Nginx", out),
    ] {
        check(&nginx(), &exe(pattern), expected);
    }
}

#[test]
fn each_field_keeps_out_what_it_does_not_name() {
    let (comm_out, user_out, cgroup_out, args_out) = (Field::Comm, Field::User, Field::Cgroup, Field::Args);
    let parent = |group: &str| Selector { parent: vec![Arc::from("none"), Arc::from(group)], ..Selector::default() };
    for (selector, expected) in [
        (Selector::default(), None),
        (comm("nginx"), None),
        (comm("ngin"), Some(comm_out)),
        (comm("n*x"), None),
        (user(User::Uid(33)), None),
        (user(User::Uid(0)), Some(user_out)),
        (user(User::Name("www-data".into())), None),
        (user(User::Name("root".into())), Some(user_out)),
        (args("worker process"), None),
        (args("^nginx: worker process$"), None),
        (args("master"), Some(args_out)),
        (cgroup_path("/system.slice/*"), None),
        (cgroup_path("/*"), Some(cgroup_out)),
        (cgroup(CgroupPattern::Unit("nginx.service".into())), None),
        (cgroup(CgroupPattern::Unit("nginx".into())), Some(cgroup_out)),
        (cgroup(CgroupPattern::Container(ID[..12].into())), Some(cgroup_out)),
        (parent("masters"), None),
        (parent("others"), Some(Field::Parent)),
    ] {
        check(&nginx(), &selector, expected);
    }
}

#[test]
fn one_of_several_patterns_is_enough_and_all_fields_must_match() {
    let mut both = exe("/opt/nginx");
    both.exe.extend(exe("nginx").exe);
    check(&nginx(), &both, None);
    // The cheap field speaks first.
    check(&nginx(), &Selector { comm: comm("x").comm, ..args("master") }, Some(Field::Comm));
    check(&nginx(), &Selector { comm: comm("nginx").comm, ..args("master") }, Some(Field::Args));
}

#[test]
fn kernel_threads_only_on_demand() {
    let asked = |mut selector: Selector| {
        selector.kernel_threads = true;
        selector
    };
    check(&kernel_thread(), &comm("*"), Some(Field::KernelThread));
    check(&kernel_thread(), &asked(comm("*")), None);
    check(&kernel_thread(), &asked(comm("kworker*")), None);
    check(&kernel_thread(), &asked(comm("kworker/0:?")), None);
    check(&nginx(), &asked(comm("*")), Some(Field::KernelThread));
}

#[test]
fn containers() {
    for (path, found) in [
        (format!("/docker/{ID}"), true),
        (format!("/system.slice/docker-{ID}.scope"), true),
        (format!("/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope"), true),
        (format!("/kubepods/burstable/pod1/crio-{ID}.scope/inner"), true),
        (format!("/system.slice/containerd.service/kubepods-pod:cri-containerd:{ID}"), true),
        (format!("/docker/{}", &ID[1..]), false),
        (format!("/docker/{ID}0"), false),
        ("/system.slice/docker.service".to_owned(), false),
        (String::new(), false),
    ] {
        assert_eq!(container_id(&path), found.then_some(ID), "{path}");
        let mut process = nginx();
        process.cgroup = Arc::from(path);
        let expected = (!found).then_some(Field::Cgroup);
        check(&process, &cgroup(CgroupPattern::Container(ID[..12].into())), expected);
        check(&process, &cgroup(CgroupPattern::Container(ID.into())), expected);
        check(&process, &cgroup(CgroupPattern::Container("000000000000".into())), Some(Field::Cgroup));
    }
}

#[test]
fn a_process_without_arguments_or_program() {
    let mut process = nginx();
    process.program = Arc::new(Program::default());
    check(&process, &args("^$"), None);
    check(&process, &args("."), Some(Field::Args));
    check(&process, &exe("*"), None);
    check(&process, &exe("/**"), Some(Field::Exe));
}
