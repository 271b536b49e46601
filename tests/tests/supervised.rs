//! A daemon that a service manager started: what it is told, over a real socket, as sd_notify(3) has it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use procprobe_tests::daemon::{Daemon, PATIENCE, Setup};
use tempfile::TempDir;

/// The manager's end.
struct Manager {
    socket: UnixDatagram,
    folder: TempDir,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        Self { socket, folder }
    }

    /// Starts the daemon as a manager does, with a watchdog of so long where there is one.
    fn start(&self, setup: Setup, watchdog: Option<Duration>) -> Daemon {
        let socket = format!("NOTIFY_SOCKET={}", self.folder.path().join("notify").display());
        let watchdog = watchdog.map(|watchdog| format!("WATCHDOG_USEC={}", watchdog.as_micros()));
        let wrapper = ["env".to_owned(), socket].into_iter().chain(watchdog);
        setup.under(wrapper).start()
    }

    /// What it is told next, if it is told anything within this time.
    fn hears(&self, within: Duration) -> Option<String> {
        let mut told = [0; 4096];
        self.socket.set_read_timeout(Some(within)).unwrap();
        let length = self.socket.recv(&mut told).ok()?;
        Some(String::from_utf8_lossy(&told[..length]).into_owned())
    }

    /// Waits until it is told this, whatever else it is told before.
    fn waits_for(&self, line: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut others = Vec::new();
        while Instant::now() < deadline {
            match self.hears(Duration::from_millis(200)) {
                Some(told) if told.lines().any(|told| told.starts_with(line)) => return told,
                told => others.extend(told),
            }
        }
        panic!("not told {line}, only {others:?}")
    }
}

#[test]
fn the_manager_is_told_of_start_reload_and_end() {
    let manager = Manager::new();
    let mut daemon = manager.start(Setup::new(), None);
    assert_eq!(manager.waits_for("READY=1"), "READY=1\nSTATUS=no policies\n");
    daemon.replace_policies(&["groups:\n  none: { match: { exe: /nonexistent }, count: { max: 1 } }\n"]);
    daemon.reload();
    let reloading = manager.waits_for("RELOADING=1");
    assert!(reloading.contains("\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(manager.waits_for("READY=1"), "READY=1\nSTATUS=1 group\n");
    daemon.replace_policies(&["groups: nonsense\n"]);
    daemon.reload();
    manager.waits_for("RELOADING=1");
    assert_eq!(manager.waits_for("READY=1"), "READY=1\nSTATUS=1 group\n", "one that is refused changes nothing");
    assert_eq!(
        manager.hears(Duration::from_millis(500)),
        None,
        "without a watchdog it is not told that the daemon lives"
    );
    assert_eq!(daemon.stop(), Some(0));
    manager.waits_for("STOPPING=1");
}

#[test]
fn a_watchdog_hears_of_a_daemon_that_goes_round_and_not_of_one_that_stands_still() {
    let watchdog = Duration::from_secs(2);
    let manager = Manager::new();
    let daemon = manager.start(Setup::new(), Some(watchdog));
    manager.waits_for("READY=1");
    for _ in 0..3 {
        let told = manager.hears(watchdog * 5);
        assert_eq!(told.as_deref(), Some("WATCHDOG=1\n"));
    }
    // The daemon's first thread alone, the pipeline's, is halted: others answer as before.
    let pipeline = Pid::from_raw(daemon.pid().cast_signed());
    ptrace::seize(pipeline, ptrace::Options::empty()).unwrap();
    ptrace::interrupt(pipeline).unwrap();
    waitpid(pipeline, Some(WaitPidFlag::__WALL)).unwrap();
    // One may have been on its way.
    manager.hears(Duration::from_millis(10));
    assert_eq!(manager.hears(watchdog), None, "a manager would restart it now");
    ptrace::detach(pipeline, None).unwrap();
    manager.waits_for("WATCHDOG=1");
}
