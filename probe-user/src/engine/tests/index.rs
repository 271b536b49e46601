//! The index against the long way: every group asked about every process.

use std::sync::Arc;

use proptest::prelude::*;

use super::world::settings;
use super::*;
use crate::engine::group::GroupState;
use crate::engine::index::Index;
use crate::engine::reread::Hope;
use crate::model::Process;
use crate::policy::select::Subject;
use crate::policy::spec::{CgroupPattern, User, Users};
use crate::record::{Identity, ProcessKey, Program};
use crate::time::KTime;

const CONTAINER: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn one_of<T: Clone + std::fmt::Debug + 'static>(values: Vec<T>) -> impl Strategy<Value = Vec<T>> {
    let most = 2.min(values.len());
    prop_oneof![2 => Just(Vec::new()), 1 => prop::sample::subsequence(values, 1..=most)]
}

fn selector() -> impl Strategy<Value = Selector> {
    let exe = [
        "/bin/app",
        "app",
        "/opt/*/run",
        "**/sh",
        "a*",
        "/opt/**",
        "*",
        "**",
        "[ab]*",
        "/opt/{x,y}/{run,go}",
        "{/bin,/opt/x}/app",
    ];
    let comm = ["app", "a*", "*", "[as]?p", "kworker/*"];
    let args = ["serve", "^app( |$)", "x|y", "[0-9]+", "(?i)SERVE", "port=\\d+"];
    let cgroup = vec![
        CgroupPattern::Unit("web.service".into()),
        CgroupPattern::Container(CONTAINER[..12].into()),
        CgroupPattern::Container(CONTAINER[..40].into()),
        CgroupPattern::Path(Glob::path("/user.slice/**").unwrap()),
        CgroupPattern::Path(Glob::path("/system.slice/web.service").unwrap()),
        CgroupPattern::Path(Glob::path("**").unwrap()),
    ];
    let user = vec![User::Uid(0), User::Uid(33), User::Name("www-data".into()), User::Name("nobody".into())];
    (
        one_of(exe.iter().map(|exe| PathGlob::new(exe).unwrap()).collect()),
        one_of(comm.iter().map(|comm| Glob::name(comm).unwrap()).collect()),
        one_of(args.iter().map(|args| Regex::new(args).unwrap()).collect()),
        one_of(user),
        one_of(cgroup),
        one_of(vec!["g0".into(), "g1".into(), "nobody knows".into()]),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(exe, comm, args, user, cgroup, parent, kernel_threads)| Selector {
            exe,
            comm,
            args,
            user,
            cgroup,
            parent,
            kernel_threads,
        })
}

fn process() -> impl Strategy<Value = Process> {
    let exe = ["", "/bin/app", "/usr/bin/app", "/opt/x/run", "/opt/x/app", "/bin/sh", "/opt/y/go", "/b"];
    let args = ["", "app", "app\0serve", "sh\0-c\0x", "app\0--port=80", "Serve"];
    let cgroup = [
        String::new(),
        "/".to_owned(),
        "/system.slice/web.service".to_owned(),
        "/system.slice/web.service/inner".to_owned(),
        "/user.slice/user-0.slice".to_owned(),
        format!("/system.slice/docker-{CONTAINER}.scope"),
    ];
    let comm = ["", "app", "shp", "kworker/0:1", "sh"];
    let select = prop::sample::select::<&'static str>;
    let (exe, args, comm) = (select(exe.to_vec()), select(args.to_vec()), select(comm.to_vec()));
    let uid = prop::sample::select(vec![0_u32, 33, 65_534, 1000]);
    (exe, args, comm, prop::sample::select(cgroup.to_vec()), uid).prop_map(|(exe, args, comm, cgroup, uid)| {
        let identity = Identity {
            parent: None,
            start_boot_ns: 1,
            cgroup_id: 1,
            uid,
            gid: 0,
            comm: comm.into(),
            kernel_thread: false,
        };
        let program = Program { exe: exe.into(), args: args.into(), ..Program::default() };
        let key = ProcessKey { tgid: 10, start: KTime(1) };
        Process { cgroup: cgroup.into(), ..Process::new(key, identity, Arc::new(program), KTime(1)) }
    })
}

proptest! {
    /// Who is not asked would have said no, and would have hoped for no more than the index says.
    #[test]
    fn it_leaves_out_only_those_that_say_no(
        selectors in prop::collection::vec(selector(), 1..12),
        process in process(),
        parents_groups in prop::sample::subsequence(vec![0_usize, 1, 2], 0..3),
    ) {
        let groups: Vec<GroupState> = selectors
            .into_iter()
            .enumerate()
            .map(|(number, select)| {
                let group = group(&format!("g{number}"), select, Vec::new());
                GroupState::new(&group, &settings().host, KTime::default())
            })
            .collect();
        let index = Index::new(&groups);
        let users = Users([(0, "root".into()), (33, "www-data".into())].into());
        let subject = Subject::new(&process, &users);
        let parent_in = |name: &str| index.by_name(name).is_some_and(|group| parents_groups.contains(&group));
        let mut asked = Vec::new();
        index.candidates(&subject, &parents_groups, &mut asked);
        asked.sort_unstable();
        asked.dedup();
        let mut hope_of_others = Hope::None;
        for (number, group) in groups.iter().enumerate() {
            if asked.contains(&number) {
                continue;
            }
            let (belongs, hope) = group.admits(&subject, &parent_in, false);
            prop_assert!(!belongs, "{number}: {:?}", group.spec.select);
            hope_of_others = hope_of_others.max(hope);
        }
        prop_assert_eq!(index.hope_of_others(&subject, &asked), hope_of_others);
    }
}

/// Most kinds of selectors are found without asking: only the one that fits nowhere is asked about a stranger.
#[test]
fn strangers_meet_few_groups() {
    let select = |exe: &str| Selector { exe: vec![PathGlob::new(exe).unwrap()], ..Selector::default() };
    let args = Selector { args: vec![Regex::new("--name=x").unwrap()], ..Selector::default() };
    let user = Selector { user: vec![User::Name("www-data".into())], ..Selector::default() };
    let selectors = [select("/bin/app"), select("app*"), select("/opt/**"), args, user, select("[ab]*")];
    let groups: Vec<GroupState> = selectors
        .into_iter()
        .enumerate()
        .map(|(number, select)| {
            let group = group(&format!("g{number}"), select, Vec::new());
            GroupState::new(&group, &settings().host, KTime::default())
        })
        .collect();
    let identity = Identity {
        parent: None,
        start_boot_ns: 1,
        cgroup_id: 1,
        uid: 5,
        gid: 5,
        comm: "sh".into(),
        kernel_thread: false,
    };
    let program = Program { exe: "/bin/sh".into(), args: "sh\0-c".into(), ..Program::default() };
    let process = Process::new(ProcessKey { tgid: 1, start: KTime(1) }, identity, Arc::new(program), KTime(1));
    let users = Users::default();
    let mut asked = Vec::new();
    Index::new(&groups).candidates(&Subject::new(&process, &users), &[], &mut asked);
    assert_eq!(asked, [5]);
}
