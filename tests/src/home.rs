//! A configuration and a state directory that outlive a daemon, and what of them can be asked.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::account::id_in;
use crate::daemon::{Daemon, Setup, end_of_patience, stretched};
use crate::event::Event;
use crate::pins::PinDir;

/// State and configuration.
#[derive(Debug)]
pub struct Home {
    folder: TempDir,
}

impl Home {
    /// With this configuration.
    pub fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let home = Self { folder };
        home.configure(config);
        home
    }

    /// Another configuration, from the next start or reload on.
    pub fn configure(&self, config: &str) {
        let path = self.folder.path().join("procprobe.yaml");
        fs::write(&path, config).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// The state directory.
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// A daemon with both.
    pub fn setup(&self) -> Setup {
        let config = self.folder.path().join("procprobe.yaml");
        Setup::new().state(&self.state()).args(["--config".as_ref(), config.as_os_str()])
    }
}

/// The same for a daemon that is killed: pins as well.
#[derive(Debug)]
pub struct PinnedHome {
    // Dropped first: state is of no use without pins.
    /// What lives on in the kernel.
    pub pins: PinDir,
    /// State and configuration.
    pub home: Home,
}

impl PinnedHome {
    /// Nothing is pinned yet.
    pub fn new() -> Self {
        Self { pins: PinDir::new(), home: Home::new("start_grace: 0s\n") }
    }

    /// A daemon with all of it.
    pub fn setup(&self) -> Setup {
        self.home.setup().pins(self.pins.path())
    }
}

impl Default for PinnedHome {
    fn default() -> Self {
        Self::new()
    }
}

/// The history once so much of it fits, or what there is when nothing more is to be hoped for.
pub fn history_when(daemon: &Daemon, count: usize, fits: impl Fn(&Event) -> bool) -> Vec<Event> {
    let deadline = end_of_patience();
    loop {
        let found = history(daemon, None);
        let fitting = found.iter().filter(|event| fits(event)).count();
        if fitting >= count || Instant::now() >= deadline {
            return found;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The history, once enough of it fits.
pub fn history_with(daemon: &Daemon, what: &str, count: usize, fits: impl Fn(&Event) -> bool) -> Vec<Event> {
    let found = history_when(daemon, count, &fits);
    let fitting = found.iter().filter(|event| fits(event)).count();
    assert!(fitting >= count, "{fitting} of {count} {what}\n{}", daemon.stream.describe());
    found
}

/// What the local history holds, in order; `since` such as `2s`.
pub fn history(daemon: &Daemon, since: Option<&str>) -> Vec<Event> {
    let parse = |line: &str| Event(serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}")));
    told(daemon, since).lines().map(parse).collect()
}

/// The ids of the same, without reading the rest: there may be very many.
pub fn history_ids(daemon: &Daemon, since: Option<&str>) -> Vec<String> {
    told(daemon, since).lines().map(|line| id_in(line).to_owned()).collect()
}

fn told(daemon: &Daemon, since: Option<&str>) -> String {
    let mut arguments = vec!["events", "--format", "json"];
    arguments.extend(since.map(|since| ["--since", since]).into_iter().flatten());
    let mut told = None;
    // A daemon that is too busy for half a minute breaks an answer off.
    wait_until("a whole answer", Duration::from_mins(2), || {
        let output = daemon.command(&arguments);
        told = output.status.success().then_some(output.stdout);
        told.is_some()
    });
    String::from_utf8(told.unwrap_or_default()).unwrap_or_else(|error| panic!("{error}"))
}

/// None while the daemon is too busy to answer.
pub fn status(daemon: &Daemon) -> Option<Value> {
    serde_json::from_slice(&daemon.command(&["status", "--format", "json"]).stdout).ok()
}

/// The first collector has everything that is on disk.
pub fn is_caught_up(daemon: &Daemon) -> bool {
    status(daemon).is_some_and(|status| status["collectors"][0]["queued_events"] == 0)
}

/// Panics when this does not come about in time.
pub fn wait_until(what: &str, within: Duration, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + stretched(within);
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not come within {within:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
