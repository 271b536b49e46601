//! Each file of `tests/broken` is wrong in several ways. The whole text that a person gets is kept as a snapshot: what
//! is told, where, in which order, and with which help.
#![expect(clippy::expect_used, reason = "a test that cannot read its own files has failed")]

use std::path::{Path, PathBuf};

use probe_user::diagnostic::Source;
use probe_user::policy::{HostLabels, parse, report};

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files
}

fn source(path: &Path) -> Source {
    let name = path.file_name().expect("a name").to_string_lossy().into_owned();
    Source::new(&name, std::fs::read_to_string(path).expect("a text"))
}

#[test]
fn each_broken_file_is_explained() {
    let files = files();
    assert!(files.len() >= 16, "found only {} files", files.len());
    for path in files {
        let source = source(&path);
        let result = parse(std::slice::from_ref(&source), &HostLabels::default(), &|_| true);
        assert!(result.is_err(), "{} is not broken", source.name);
        let stem = source.name.trim_end_matches(".yaml").to_owned();
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true, snapshot_path => "broken" }, {
            insta::assert_snapshot!(stem, report(&result));
        });
    }
}

#[test]
fn files_are_told_together() {
    let one = Source::new("one.yaml", "version: 1\ngroups:\n  web: { match: { exe: nginx } }\n  mail: { mtch: {} }\n");
    let two = Source::new("two.yaml", "version: 3\ngroups:\n  web: { match: { exe: httpd } }\n");
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true, snapshot_path => "broken" }, {
        insta::assert_snapshot!("two_files", report(&parse(&[one, two], &HostLabels::default(), &|_| true)));
    });
}
