//! The policies that are shipped: they load, alone and together, on a host where everything is installed and on one
//! where nothing is, and editors accept them.
#![expect(clippy::expect_used, reason = "a test that cannot read its own files has failed")]

mod schema_check;

use std::path::{Path, PathBuf};

use probe_user::diagnostic::{Diagnostics, Source};
use probe_user::policy::spec::Measure;
use probe_user::policy::{HostLabels, Lacks, Loaded, load, parse, schema};
use probe_user::trial::{report, run};
use probe_user::yaml;
use probe_user::yaml::read::Trust;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn sources(name: &str) -> Vec<Source> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder(name))
        .expect("the folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    files
        .iter()
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy();
            Source::new(&name, std::fs::read_to_string(path).expect("a text"))
        })
        .collect()
}

/// All that is shipped, folder by folder.
const FOLDERS: [&str; 3] = ["policies", "policies/examples", "policies/cookbook"];

fn everything() -> Vec<Source> {
    FOLDERS.into_iter().flat_map(sources).collect()
}

/// A host that every file applies to.
fn host() -> HostLabels {
    HostLabels { name: "node-1".to_owned(), labels: [("role".to_owned(), "pg-primary".to_owned())].into() }
}

#[track_caller]
fn loaded(sources: &[Source], exists: bool) -> Loaded {
    parse(sources, &host(), &|_| exists).unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
}

fn names(loaded: &Loaded) -> Vec<&str> {
    loaded.policies.groups.iter().map(|group| &*group.name).collect()
}

#[test]
fn where_everything_is_there_everything_is_loaded() {
    let base = loaded(&sources("policies"), true);
    assert_eq!(base.notes, []);
    assert_eq!(
        names(&base),
        [
            "all-processes",
            "core-dumps",
            "core-dumps-apport",
            "cron",
            "init",
            "oom-victims",
            "procprobe",
            "services",
            "sshd",
            "systemd-journald",
            "user-processes"
        ]
    );
    // Names are unique over all of them, so that any of them can be used together.
    let all = loaded(&everything(), true);
    assert_eq!(all.notes, []);
    assert_eq!(all.files, 37);
}

/// A fresh container or a build machine: no systemd, no sshd, no cron. Nothing that must be there may be asked for.
#[test]
fn where_nothing_is_there_nothing_is_missed() {
    let base = loaded(&sources("policies"), false);
    assert_eq!(names(&base), ["all-processes", "core-dumps", "oom-victims", "procprobe", "user-processes"]);
    for group in &base.policies.groups {
        for bound in &group.bounds {
            assert_eq!(bound.side.as_str(), "max", "{}: only what is there can be too much", group.name);
        }
    }
}

/// Sampling processes costs more the more there are, so what is loaded without being asked for does without it.
#[test]
fn the_base_needs_no_sampling_and_tells_no_process_twice() {
    for group in &loaded(&sources("policies"), true).policies.groups {
        for bound in &group.bounds {
            assert!(!bound.measure.is_sampled() && bound.measure != Measure::Age, "{}", group.name);
        }
        let everything = group.select.comm.iter().any(|comm| comm.as_str() == "*");
        assert_eq!(group.events, !everything, "{}", group.name);
    }
}

#[test]
fn the_examples_load_one_by_one_and_their_folders_are_not_read_with_the_base() {
    let host = host();
    for examples in ["policies/examples", "policies/cookbook"] {
        for source in sources(examples) {
            let path = folder(examples).join(&*source.name);
            let loaded = load(&[path], &host, &Lacks::default(), Trust::Anyone)
                .unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
            assert_eq!(loaded.files, 1);
        }
    }
    let loaded = load(&[folder("policies")], &host, &Lacks::default(), Trust::Anyone)
        .unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    assert_eq!(loaded.files, 5);
}

#[test]
fn editors_accept_them() {
    for source in &everything() {
        let mut diagnostics = Diagnostics::new();
        let tree = yaml::parse(source, &mut diagnostics).expect("YAML");
        assert_eq!(schema_check::errors(&schema(), &tree), Vec::<String>::new(), "{}", source.name);
    }
}

/// Each file has tests of its own, and they hold.
#[test]
fn their_own_tests_pass() {
    let all = everything();
    let loaded = loaded(&all, true);
    for source in &all {
        let own = loaded.trials.iter().filter(|trial| trial.declared.starts_with(&format!("{}:", source.name))).count();
        assert!(own > 0, "{} has no tests", source.name);
    }
    let outcomes: Vec<_> = loaded.trials.iter().map(|trial| run(trial, &loaded.policies)).collect();
    assert!(outcomes.iter().all(|outcome| outcome.passed), "{}", report::text(&outcomes));
}
