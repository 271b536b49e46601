//! Log files in the real daemon: rotation by the real logrotate under load, restarts, many files, files of others.
#![expect(clippy::unwrap_used, reason = "what helps a test fails as the test does")]

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use procprobe_tests::daemon::{Daemon, PATIENCE, Setup};
use procprobe_tests::event::Event;
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::Builder::new().prefix("procprobe-logs-").tempdir().unwrap()
}

fn append(path: &Path, text: &str) {
    OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// A log `app` that looks for `hit`.
fn policy(pattern: &Path, more: &str) -> String {
    format!("logs:\n  app: {{ path: \"{}\", any: [hit]{more} }}\n", pattern.display())
}

fn is_matched(event: &Event) -> bool {
    event.name() == "procprobe.log.matched"
}

fn counted(events: &[Event]) -> u64 {
    events.iter().filter(|event| is_matched(event)).filter_map(|event| event.number("count")).sum()
}

/// Waits until so many lines were told, and for a moment in which one too many would be.
#[track_caller]
fn wait_for_lines(daemon: &Daemon, count: u64) {
    daemon.stream.find(&format!("{count} lines"), PATIENCE, |events| (counted(events) >= count).then_some(()));
    assert_eq!(counted(&daemon.stream.events()), count);
}

/// Starts it; once it says that it watches, it follows so many files.
fn start(setup: Setup, files: u64) -> Daemon {
    let daemon = setup.start();
    let status = daemon.status();
    assert_eq!(status["log_files"]["logs"][0]["files"], files, "{status}");
    daemon
}

#[track_caller]
fn wait_for_files(daemon: &Daemon, files: u64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = daemon.status();
        if status["log_files"]["logs"][0]["files"] == files {
            return;
        }
        assert!(Instant::now() < deadline, "{files} files are not followed: {status}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Writes until it is stopped, and opens the file again when its name leads to another one.
struct Writer {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    /// Held while a batch is written.
    pause: Arc<Mutex<()>>,
    thread: thread::JoinHandle<()>,
}

impl Writer {
    fn start(path: PathBuf) -> Self {
        let (stop, written, pause) = (Arc::default(), Arc::default(), Arc::default());
        let (stopped, count, paused) = (Arc::clone(&stop), Arc::clone(&written), Arc::clone(&pause));
        let thread = thread::spawn(move || write_lines(&path, &stopped, &count, &paused));
        Self { stop, written, pause, thread }
    }

    fn finish(self) -> u64 {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().unwrap();
        self.written.load(Ordering::SeqCst)
    }
}

fn write_lines(path: &Path, stop: &AtomicBool, written: &AtomicU64, pause: &Mutex<()>) {
    let open = || OpenOptions::new().create(true).append(true).open(path).unwrap();
    let mut file: File = open();
    while !stop.load(Ordering::SeqCst) {
        {
            let _writing = pause.lock().unwrap();
            // As a daemon that is told to open its log again, some time after the rotation.
            if fs::metadata(path).is_ok_and(|named| named.ino() != file.metadata().unwrap().ino()) {
                file = open();
            }
            for _ in 0..50 {
                let number = written.fetch_add(1, Ordering::SeqCst);
                writeln!(file, "line {number} hit and some words more\nline {number} without").unwrap();
            }
        }
        thread::sleep(Duration::from_millis(1));
    }
}

struct Logrotate {
    folder: TempDir,
}

impl Logrotate {
    /// Rotates one file in one of its ways.
    fn new(path: &Path, how: &str) -> Self {
        let folder = folder();
        let text = format!("{} {{\n  rotate 100\n  missingok\n  {how}\n}}\n", path.display());
        fs::write(folder.path().join("conf"), text).unwrap();
        fs::set_permissions(folder.path().join("conf"), fs::Permissions::from_mode(0o644)).unwrap();
        Self { folder }
    }

    fn run(&self) {
        let mut command = Command::new("logrotate");
        command
            .arg("--force")
            .arg("--state")
            .arg(self.folder.path().join("state"))
            .arg(self.folder.path().join("conf"));
        let output =
            command.output().unwrap_or_else(|error| panic!("logrotate (Debian: apt-get install logrotate): {error}"));
        assert!(output.status.success(), "{output:?}");
    }
}

#[test]
fn lines_are_told_and_alarms_fire_and_resolve() {
    let folder = folder();
    let path = folder.path().join("app.log");
    append(&path, "hit from before\n");
    let daemon =
        start(Setup::new().policy(&policy(&path, ", ignore: [HealthCheck], lines: { max: 1, within: 3s }")), 1);
    append(&path, "hit 1\nnothing\nhit HealthCheck\n");
    let matched = daemon.wait_for("the line", is_matched);
    assert_eq!((matched.text("line"), matched.text("keyword")), ("hit 1", "hit"));
    assert_eq!((matched.text("log.file.path"), matched.number("count")), (path.to_str().unwrap(), Some(1)));
    append(&path, "hit 2\u{1b}[31m \u{ff}\n");
    let firing = daemon.wait_for("the alarm", |event| event.is_alarm("firing", "app.lines.max"));
    assert_eq!((firing.text("policy.kind"), firing.number("value")), ("log", Some(2)));
    assert_eq!(firing.evidence()[1]["line"], "hit 2\\x1b[31m \u{ff}");
    let status = daemon.status();
    assert_eq!(status["engine"]["firing"][0], "app.lines.max");
    assert_eq!(status["log_files"]["logs"][0]["files"], 1);
    assert_eq!(status["log_files"]["logs"][0]["lines"], 4);
    daemon.wait_for("its end", |event| event.is_alarm("resolved", "app.lines.max"));
    wait_for_lines(&daemon, 2);
}

#[test]
fn logrotate_create_under_load_loses_nothing() {
    let folder = folder();
    let path = folder.path().join("app.log");
    append(&path, "");
    let daemon = start(Setup::new().policy(&policy(&path, "")), 1);
    let writer = Writer::start(path.clone());
    let logrotate = Logrotate::new(&path, "create 0640 root root");
    for _ in 0..5 {
        thread::sleep(Duration::from_millis(200));
        logrotate.run();
    }
    let written = writer.finish();
    assert!(folder.path().join("app.log.5").exists() && written > 1000);
    wait_for_lines(&daemon, written);
}

#[test]
fn logrotate_compressing_at_once_loses_nothing() {
    let folder = folder();
    let path = folder.path().join("app.log");
    append(&path, "");
    let daemon = start(Setup::new().policy(&policy(&path, "")), 1);
    let logrotate = Logrotate::new(&path, "create 0640 root root\n  compress");
    for round in 0..5 {
        // A file that came and went before anybody looked is lost: this one is followed.
        append(&path, "hit\n");
        wait_for_lines(&daemon, round * 1001 + 1);
        append(&path, &"hit\n".repeat(1000));
        logrotate.run();
    }
    wait_for_lines(&daemon, 5 * 1001);
}

/// What is written between logrotate's copy and its truncation is lost, also to whoever reads the log: the writer pauses
/// there, and what was written before is read before.
#[test]
fn logrotate_copytruncate_starts_over() {
    let folder = folder();
    let path = folder.path().join("app.log");
    append(&path, "");
    let daemon = start(Setup::new().policy(&policy(&path, "")), 1);
    let writer = Writer::start(path.clone());
    let logrotate = Logrotate::new(&path, "copytruncate");
    for _ in 0..5 {
        thread::sleep(Duration::from_millis(200));
        let _paused = writer.pause.lock().unwrap();
        wait_for_lines(&daemon, writer.written.load(Ordering::SeqCst));
        logrotate.run();
    }
    let written = writer.finish();
    wait_for_lines(&daemon, written);
}

#[test]
fn a_restart_counts_every_line_once() {
    let folder = folder();
    let state = folder.path().join("state");
    let path = folder.path().join("app.log");
    append(&path, "");
    let setup = || Setup::new().policy(&policy(&path, "")).state(&state);
    let writer = Writer::start(path.clone());
    let logrotate = Logrotate::new(&path, "create 0640 root root");
    // What is written before the first look at the file is not the first daemon's.
    let paused = writer.pause.lock().unwrap();
    let mut daemon = start(setup(), 1);
    let before = writer.written.load(Ordering::SeqCst);
    drop(paused);
    let mut total = 0;
    for rotate in [false, true, false] {
        thread::sleep(Duration::from_millis(200));
        assert_eq!(daemon.stop(), Some(0));
        total += counted(&daemon.stream.events());
        thread::sleep(Duration::from_millis(100));
        if rotate {
            logrotate.run();
        }
        daemon = setup().start();
    }
    let written = writer.finish() - before;
    assert!(written > total);
    wait_for_lines(&daemon, written - total);
}

#[test]
fn a_thousand_files_in_a_hundred_directories() {
    let folder = folder();
    let path = |number: usize| folder.path().join(format!("{}/{number}.log", number % 100));
    for number in 0..500 {
        fs::create_dir_all(path(number).parent().unwrap()).unwrap();
        append(&path(number), "hit from before\n");
    }
    let pattern = folder.path().join("*/*.log");
    let daemon = start(Setup::new().policy(&policy(&pattern, ", lines: { max: 5000, within: 10m }")), 500);
    // Half of them are new.
    for round in 0..3 {
        for number in 0..1000 {
            append(&path(number), &format!("hit {round}\nnothing\n"));
        }
    }
    wait_for_lines(&daemon, 3000);
    let status = daemon.status();
    assert_eq!(status["log_files"]["logs"][0]["files"], 1000, "{status}");
    assert_eq!(status["log_files"]["failures"], serde_json::json!([]));
    assert_eq!(status["engine"]["logs"][0]["bounds"][0]["value"], 3000.0);
}

#[test]
fn files_of_others_are_read_with_one_capability_of_one_thread() {
    let folder = folder();
    let path = folder.path().join("app.log");
    append(&path, "");
    std::os::unix::fs::chown(&path, Some(65_534), Some(65_534)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let daemon = start(Setup::new().policy(&policy(&path, "")), 1);
    append(&path, "hit\n");
    wait_for_lines(&daemon, 1);
    let mut seen = Vec::new();
    for thread in fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap() {
        let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        let field = |name: &str| {
            let line =
                status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}{status}"));
            line.trim().to_owned()
        };
        let capabilities = ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"].map(|set| {
            let set = u64::from_str_radix(&field(set), 16).unwrap();
            (set != 0).then_some(set == 1 << 2)
        });
        let expected = if field("Name:") == "logs" { [None, Some(true), Some(true), None] } else { [None; 4] };
        assert_eq!(capabilities, expected, "{status}");
        seen.push(field("Name:"));
    }
    assert_eq!(seen.iter().filter(|name| *name == "logs").count(), 1, "{seen:?}");
}

#[test]
fn a_reload_keeps_the_places() {
    let folder = folder();
    let (one, two) = (folder.path().join("1.log"), folder.path().join("2.log"));
    append(&one, "hit from before\n");
    append(&two, "hit from before\n");
    let daemon = start(Setup::new().policy(&policy(&one, "")), 1);
    append(&one, "hit 1\n");
    wait_for_lines(&daemon, 1);
    daemon.replace_policies(&[&policy(&folder.path().join("*.log"), "")]);
    daemon.reload();
    daemon.wait_for("the reload", |event| event.name() == "procprobe.agent.reloaded");
    wait_for_files(&daemon, 2);
    append(&one, "hit 2\n");
    append(&two, "hit 3\n");
    wait_for_lines(&daemon, 3);
}

#[test]
fn logs_that_a_reload_brings_are_followed() {
    let folder = folder();
    let path = folder.path().join("app.log");
    append(&path, "hit from before\n");
    let daemon = Setup::new().policy("groups: {}\n").start();
    daemon.replace_policies(&[&policy(&path, "")]);
    daemon.reload();
    wait_for_files(&daemon, 1);
    append(&path, "hit 1\n");
    wait_for_lines(&daemon, 1);
}
