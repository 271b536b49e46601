//! `procprobe run` as somebody starts it by hand, on a terminal.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use procprobe_tests::daemon::{PATIENCE, binary, require_host};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// A daemon on a terminal of its own, which `script` makes.
struct OnTerminal {
    script: Child,
    shown: String,
    pieces: Receiver<String>,
    folder: TempDir,
}

impl OnTerminal {
    fn start(policy: &str) -> Self {
        require_host();
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path();
        std::fs::write(place.join("own.yaml"), policy).unwrap();
        let command = format!(
            "exec {} run --policies {1}/own.yaml --state-dir {1}/state --socket {1}/api.sock --no-pin \
             --http 127.0.0.1:0 --start-grace 0s",
            binary().display(),
            place.display()
        );
        let mut script = Command::new("script")
            .args(["--quiet", "--return", "--command", &command, "/dev/null"])
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start script (Debian's package bsdutils): {error}"));
        let mut terminal = script.stdout.take().unwrap();
        let (sender, pieces) = channel();
        thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = terminal.read(&mut piece) {
                if sender.send(String::from_utf8_lossy(&piece[..length]).into_owned()).is_err() {
                    return;
                }
            }
        });
        Self { script, shown: String::new(), pieces, folder }
    }

    /// Waits until this is on the terminal.
    fn waits_for(&mut self, what: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.shown.contains(what) {
            match self.pieces.recv_timeout(Duration::from_millis(200)) {
                Ok(piece) => self.shown.push_str(&piece),
                Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
                Err(error) => panic!("no {what:?} came ({error}): {}", self.shown),
            }
        }
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        // It outlives its terminal, for a hangup is a reload to it: it is asked who it is, and told to end.
        let socket = self.folder.path().join("api.sock");
        let asked = Command::new(binary()).args(["status", "--format", "json", "--socket"]).arg(socket).output();
        let status = asked.ok().and_then(|output| serde_json::from_slice::<Value>(&output.stdout).ok());
        let pid =
            status.and_then(|status| i32::try_from(status["agent"]["pid"].as_i64()?).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _ = kill_process(pid, Signal::TERM);
        } else {
            // It never came up.
            let _ = self.script.kill();
        }
        let _ = self.script.wait();
    }
}

#[test]
fn one_screen_says_what_is_attached_and_watched_and_then_come_events() {
    let policy = "version: 1\ngroups:\n  ghost: { match: { exe: /nonexistent/program }, count: { min: 1 } }\n\
                  jobs:\n  nightly: { match: { exe: /nonexistent/backup }, schedule: '0 3 * * *' }\n";
    let mut daemon = OnTerminal::start(policy);
    daemon.waits_for("ghost: 0 processes, minimum 1");
    let shown = daemon.shown.replace('\r', "");
    let begins = shown.find("procprobe 0").unwrap_or_else(|| panic!("{shown}"));
    // It has one blank line inside and one at its end.
    let mut parts = shown[begins..].splitn(3, "\n\n");
    let (title, screen, events) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
    assert!(title.contains(", Linux "), "{title}");
    for line in [
        "attached  ",
        "watching  1 group: ghost\n",
        "          1 job: nightly\n",
        "events    below",
        "ask       procprobe status",
        "page      http://127.0.0.1:",
    ] {
        assert!(screen.contains(line), "no {line:?} in {screen}");
    }
    assert!(screen.contains(&format!("--socket {}", daemon.folder.path().join("api.sock").display())), "{screen}");
    assert!(screen.lines().count() < 24, "{screen}");
    assert!(events.contains("agent.started"), "{events}");
}
