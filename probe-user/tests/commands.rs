//! The program itself: what it prints where, and its exit codes. Nothing here needs the kernel's help.

#![expect(clippy::unwrap_used, reason = "the helpers of these tests are tests too")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

const GOOD: &str = "version: 1\ngroups:\n  shells:\n    match: { exe: dash }\n    count: { max: 5 }\n";
const BAD: &str = "version: 1\ngroups:\n  shells:\n    match: { exee: sh }\n    count: { maxx: 5 }\n";

fn procprobe(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_procprobe"))
        .args(args)
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs the program; each part must be in its stdout or stderr, as the first word says.
#[track_caller]
fn check(args: &[&str], code: i32, parts: &[(&str, &str)]) -> Output {
    let output = procprobe(args);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{args:?}\n{stdout}\n{stderr}");
    for (stream, part) in parts {
        let told = if *stream == "out" { &stdout } else { &stderr };
        assert!(told.contains(part), "{args:?}: no {part:?} in std{stream}\nstdout: {stdout}\nstderr: {stderr}");
    }
    output
}

fn file(dir: &TempDir, name: &str, text: &str) -> String {
    let path = dir.path().join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    shown(&path)
}

fn shown(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

#[test]
fn check_tells_every_error_and_nothing_else() {
    let dir = TempDir::new().unwrap();
    let (good, bad) = (file(&dir, "good.yaml", GOOD), file(&dir, "bad.yaml", BAD));
    check(&["check", &good], 0, &[("out", "1 file, 1 group, 1 bound: no errors")]);
    let output = check(
        &["check", &bad],
        1,
        &[("err", "bad.yaml:4:14: "), ("err", "did you mean `exe`?"), ("err", "bad.yaml:5:14: ")],
    );
    assert!(output.stdout.is_empty());
    check(&["check", &shown(&dir.path().join("missing"))], 1, &[("err", "missing")]);
    let config = file(&dir, "config.yaml", "sample_intervall: 1s\npeers: {}\n");
    check(
        &["check", &good, "--config", &config],
        1,
        &[
            ("err", "did you mean `sample_interval`?"),
            ("err", "`peers` needs the key `key_file`"),
            ("out", "no errors"),
        ],
    );
    let config = file(&dir, "config.yaml", "sample_interval: 1s\n");
    check(&["check", "--config", &config], 0, &[("out", "the configuration has no errors")]);
}

#[test]
fn tests_of_policies_are_played() {
    let dir = TempDir::new().unwrap();
    let tests = "tests:\n  - name: five are enough\n    steps: [{ at: 1s, start: { pid: 10, exe: /bin/dash, copies: 6 } }]\n    \
                 expect: [{ at: 2s, firing: [WHAT] }]\n";
    let good = file(&dir, "good.yaml", &format!("{GOOD}{}", tests.replace("WHAT", "shells.count.max")));
    let output = check(&["test", &good], 0, &[("out", "ok    five are enough"), ("out", "1 test: all passed")]);
    assert!(output.stderr.is_empty());
    let bad = file(&dir, "bad.yaml", &format!("{GOOD}{}", tests.replace("WHAT", "")));
    check(&["test", &bad], 1, &[("out", "FAIL  five are enough"), ("out", "(none)     shells.count.max")]);
    let output = check(&["test", &bad, "--format", "json"], 1, &[]);
    let outcomes: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(outcomes[0]["failures"][0]["seen"][0], "shells.count.max");
    let wrong = file(&dir, "wrong.yaml", &format!("{GOOD}{}", tests.replace("WHAT", "shels.count.max")));
    check(&["test", &wrong], 1, &[("err", "wrong.yaml:9:33: "), ("err", "did you mean `shells.count.max`?")]);
    check(&["check", &good], 0, &[("out", "no errors")]);
}

#[test]
fn run_refuses_what_is_wrong_before_it_touches_the_kernel() {
    let dir = TempDir::new().unwrap();
    let bad = file(&dir, "bad.yaml", BAD);
    let state = shown(&dir.path().join("state"));
    let socket = shown(&dir.path().join("api.sock"));
    let run = |more: &[&str], parts: &[(&str, &str)]| {
        let mut args = vec!["run", "--state-dir", &state, "--socket", &socket];
        args.extend(more);
        let output = check(&args, 78, parts);
        assert!(output.stdout.is_empty() && !Path::new(&socket).exists());
    };
    run(&["--policies", &bad], &[("err", "bad.yaml:4:14"), ("err", "nothing is started")]);
    let config = file(&dir, "config.yaml", "collector: { url: https://u:hunter2@h/, tsl: {} }\n");
    run(&["--config", &config], &[("err", "unknown key `tsl`"), ("err", "https://*********@h/")]);
    fs::set_permissions(dir.path().join("config.yaml"), fs::Permissions::from_mode(0o666)).unwrap();
    run(&["--config", &config], &[("err", "chmod go-w")]);
    run(&["--config", "/nonexistent/procprobe.yaml"], &[("err", "/nonexistent/procprobe.yaml")]);
}

#[test]
fn match_works_without_a_daemon() {
    let dir = TempDir::new().unwrap();
    let good = file(&dir, "good.yaml", GOOD);
    let pid = std::process::id().to_string();
    check(&["match", &pid, "--policies", &good], 0, &[("out", "- shells  `exe` keeps it out")]);
    check(&["match", "--exe", "/bin/dash", "--policies", &good], 0, &[("out", "+ shells  `match` selects it")]);
    let output = check(&["match", "--comm", "x", "--policies", &good, "--format", "json"], 0, &[]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["groups"][0]["belongs"], false);
    let jobs = file(&dir, "jobs.yaml", "version: 1\njobs: { nightly: { match: { args: backup } } }\n");
    let place = format!("(job, {jobs}:2)");
    check(
        &["match", "--exe", "/bin/sh", "--args", "sh -c backup", "--policies", &jobs],
        0,
        &[("out", "+ nightly  `match` selects it"), ("out", &place)],
    );
    check(&["match", "--exe", "/bin/sh", "--policies", &jobs], 0, &[("out", "- nightly  `args` keeps it out")]);
    check(&["match", "4294967295", "--policies", &good], 1, &[("err", "there is no process 4294967295")]);
    check(&["match", "--user", "no-such-user", "--policies", &good], 1, &[("err", "no-such-user")]);
}

#[test]
fn without_a_daemon_status_and_match_say_so() {
    let dir = TempDir::new().unwrap();
    let socket = shown(&dir.path().join("api.sock"));
    check(&["status", "--socket", &socket], 1, &[("err", "start one with `procprobe run`")]);
    check(&["match", "1", "--socket", &socket], 1, &[("err", "--policies")]);
}

#[test]
fn top_wants_a_terminal() {
    let output = check(&["top"], 2, &[("err", "needs a terminal"), ("err", "procprobe status")]);
    assert!(output.stdout.is_empty());
}

#[test]
fn texts_for_editors_shells_and_readers() {
    for args in [&["schema"][..], &["schema", "config"]] {
        let schema: serde_json::Value = serde_json::from_slice(&check(args, 0, &[]).stdout).unwrap();
        assert_eq!(schema["additionalProperties"], false);
    }
    for shell in ["bash", "zsh", "fish"] {
        check(&["completions", shell], 0, &[("out", "procprobe")]);
    }
    check(&["man"], 0, &[("out", ".TH"), ("out", "procprobe")]);
    check(&["man", "run"], 0, &[("out", ".TH procprobe-run"), ("out", "collector")]);
    check(&["man", "fly"], 2, &[("err", "no command `fly`")]);
}

#[test]
fn a_wrong_command_line_is_exit_code_2() {
    for args in [&["fly"][..], &["run", "--events", "some"], &["test"], &["match"], &["status", "--format", "xml"]] {
        check(args, 2, &[("err", "--help")]);
    }
    check(&["--version"], 0, &[("out", env!("CARGO_PKG_VERSION"))]);
}

/// The policies that are shipped are checked by the program that is shipped with them.
#[test]
fn the_shipped_policies_have_no_errors() {
    let policies = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../policies");
    check(&["check", &shown(&policies), &shown(&policies.join("examples"))], 0, &[("out", "no errors")]);
}
