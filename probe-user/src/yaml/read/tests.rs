use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;

struct Case {
    name: &'static str,
    bytes: &'static [u8],
    mode: u32,
    trust: Trust,
    expected: Result<(), &'static str>,
}

#[track_caller]
fn check(case: &Case) {
    let folder = tempfile::tempdir().expect("a folder");
    let path: PathBuf = folder.path().join("a.yaml");
    fs::write(&path, case.bytes).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(case.mode)).expect("mode set");
    let found = file(&path, case.trust).map(|_| ()).map_err(|diagnostic| {
        let shown = diagnostic.to_string();
        shown.rsplit_once("a.yaml:").map_or(shown.clone(), |(_, rest)| rest.trim().to_owned())
    });
    assert_eq!(found, case.expected.map_err(str::to_owned), "{}", case.name);
}

#[test]
fn files_are_read_with_care() {
    use Trust::{Anyone, OwnerOnly};
    const HUGE: &[u8] = &[b'a'; SIZE_MAX + 1];
    let cases = [
        Case { name: "plain", bytes: b"a: 1", mode: 0o644, trust: OwnerOnly, expected: Ok(()) },
        Case {
            name: "group writes",
            bytes: b"a: 1",
            mode: 0o664,
            trust: OwnerOnly,
            expected: Err("can be written by its group (mode 0664)\n help: chmod go-w"),
        },
        Case {
            name: "all write",
            bytes: b"a: 1",
            mode: 0o666,
            trust: OwnerOnly,
            expected: Err("can be written by its group and everybody (mode 0666)\n help: chmod go-w"),
        },
        Case { name: "all write, only checked", bytes: b"a: 1", mode: 0o666, trust: Anyone, expected: Ok(()) },
        Case {
            name: "latin 1",
            bytes: b"a: 1\nb: caf\xe9",
            mode: 0o644,
            trust: OwnerOnly,
            expected: Err(
                "2:7: this byte is not UTF-8\n 2 | b: caf\u{fffd}\n   |       ^\n help: save the file as UTF-8",
            ),
        },
        Case {
            name: "huge",
            bytes: HUGE,
            mode: 0o644,
            trust: OwnerOnly,
            expected: Err("has more than the 1048576 bytes that are read\n help: split the file"),
        },
    ];
    cases.iter().for_each(check);
}

#[test]
fn what_is_no_file_is_refused_without_blocking() {
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("pipe.yaml");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600), 0)
        .expect("a pipe");
    for (path, expected) in [
        (pipe, "is not a regular file"),
        (folder.path().to_path_buf(), "is not a regular file"),
        (folder.path().join("none.yaml"), "cannot be opened: no such file or directory"),
    ] {
        assert_eq!(file(&path, Trust::Anyone).expect_err("refused").message, expected);
    }
}
