//! A daemon of a test's own: policies, state and socket in a temporary folder, its events read as they come.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::event::Event;
use crate::stream::Stream;

/// Long enough for whatever must come, on a machine that is busy with other tests. Nothing waits so long when all is
/// well.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// When the patience of whoever begins to wait now is at its end. `PROCPROBE_PATIENCE` multiplies it, where a machine is
/// known to be slow.
pub fn end_of_patience() -> Instant {
    Instant::now() + stretched(PATIENCE)
}

/// So long, or as much longer as `PROCPROBE_PATIENCE` says.
pub(crate) fn stretched(bound: Duration) -> Duration {
    let factor = std::env::var("PROCPROBE_PATIENCE").ok().and_then(|factor| factor.parse().ok());
    bound.saturating_mul(factor.unwrap_or(1).max(1))
}

/// So many processes, or fewer by the factor `PROCPROBE_FEWER`, where starting each of them takes long.
pub fn at_most(count: usize) -> usize {
    let factor = std::env::var("PROCPROBE_FEWER").ok().and_then(|factor| factor.parse().ok());
    count / factor.unwrap_or(1).max(1)
}

/// How a daemon is to be started.
#[derive(Debug, Default)]
pub struct Setup {
    policies: Vec<(String, String)>,
    arguments: Vec<OsString>,
    wrapper: Vec<OsString>,
    state: Option<PathBuf>,
    http: Option<String>,
    pins: Option<PathBuf>,
    limits: Option<[String; 2]>,
    binary: Option<PathBuf>,
}

impl Setup {
    /// Nothing but a folder without policies.
    pub fn new() -> Self {
        Self::default()
    }

    /// A policy file; `version: 1` is put in front.
    pub fn policy(mut self, text: &str) -> Self {
        self.policies.push((format!("{}.yaml", self.policies.len()), format!("version: 1\n{text}")));
        self
    }

    /// A file among the policies, exactly so.
    pub fn file(mut self, name: &str, text: &str) -> Self {
        self.policies.push((name.to_owned(), text.to_owned()));
        self
    }

    /// `--events WHICH`
    pub fn events(self, which: &str) -> Self {
        self.args(["--events", which])
    }

    /// Further arguments of `procprobe run`.
    pub fn args<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// A state directory that outlives the daemon.
    pub fn state(mut self, directory: &Path) -> Self {
        self.state = Some(directory.to_owned());
        self
    }

    /// `--http WHERE`; off when not given, for several run at a time.
    pub fn http(mut self, listen: &str) -> Self {
        self.http = Some(listen.to_owned());
        self
    }

    /// `--pin-dir DIR`; nothing is pinned when not given.
    pub fn pins(mut self, directory: &Path) -> Self {
        self.pins = Some(directory.to_owned());
        self
    }

    /// What it may use of a core and of memory; without it so much that nothing is ever left out.
    pub fn limits(mut self, cpu: &str, memory: &str) -> Self {
        self.limits = Some([cpu.to_owned(), memory.to_owned()]);
        self
    }

    /// Another daemon than that under test.
    pub fn binary(mut self, path: &Path) -> Self {
        self.binary = Some(path.to_owned());
        self
    }

    /// A command that starts the daemon in its place, such as `setpriv`.
    pub fn under<A: Into<OsString>>(mut self, wrapper: impl IntoIterator<Item = A>) -> Self {
        self.wrapper.extend(wrapper.into_iter().map(Into::into));
        self
    }

    fn lay_out(&self) -> TempDir {
        let folder = tempfile::Builder::new().prefix("procprobe-").tempdir().unwrap_or_else(|error| panic!("{error}"));
        write_folder(&folder.path().join("policies"), &self.policies);
        folder
    }

    fn command(&self, folder: &Path) -> Command {
        let daemon = self.binary.clone().unwrap_or_else(binary);
        let mut command = if let Some((program, before)) = self.wrapper.split_first() {
            let mut command = Command::new(program);
            command.args(before).arg(daemon);
            command
        } else {
            Command::new(daemon)
        };
        command.arg("run").arg("--policies").arg(folder.join("policies"));
        let state = self.state.clone().unwrap_or_else(|| folder.join("state"));
        command.arg("--state-dir").arg(state).arg("--socket").arg(folder.join("api.sock"));
        match &self.pins {
            Some(directory) => command.arg("--pin-dir").arg(directory),
            None => command.arg("--no-pin"),
        };
        command.args(["--http", self.http.as_deref().unwrap_or("off")]);
        let [cpu, memory] = self.limits.clone().unwrap_or_else(|| ["100%".to_owned(), "16GiB".to_owned()]);
        command.args(["--limit-cpu", &cpu, "--limit-memory", &memory]);
        command.args(["--format", "json", "--start-grace", "0s"]).args(&self.arguments);
        command.stdin(Stdio::null());
        // Collectors of tests are on this host; a test that is about proxies names its own.
        for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env_remove(proxy).env_remove(proxy.to_ascii_lowercase());
        }
        command
    }

    /// Starts it and waits until it says that it watches.
    pub fn start(self) -> Daemon {
        let daemon = self.start_unready();
        daemon.wait_for("procprobe.agent.started", |event| event.name() == "procprobe.agent.started");
        daemon
    }

    /// Starts it and does not wait.
    pub fn start_unready(self) -> Daemon {
        require_host();
        let folder = self.lay_out();
        self.start_in(folder)
    }

    fn start_in(self, folder: TempDir) -> Daemon {
        let mut command = self.command(folder.path());
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else { panic!("no pipes") };
        Daemon { child, stream: Stream::read(stdout, stderr), setup: self, folder }
    }

    /// Runs it to its end, for what must be refused. The error code is what [`Output::status`] says.
    pub fn refuse(self) -> Output {
        let folder = self.lay_out();
        let mut command = Command::new("timeout");
        let daemon = self.command(folder.path());
        command.args(["--signal=KILL", "30"]).arg(daemon.get_program()).args(daemon.get_args());
        command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"))
    }
}

/// A running daemon. Dropped, it is killed.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    /// What it prints.
    pub stream: Stream,
    setup: Setup,
    folder: TempDir,
}

impl Daemon {
    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it answers.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("api.sock")
    }

    /// Where its policies are.
    pub fn policies(&self) -> PathBuf {
        self.folder.path().join("policies")
    }

    /// Puts these files in the place of its policies; `version: 1` is put in front of each. Takes effect at the next
    /// [`Self::reload`].
    pub fn replace_policies(&self, texts: &[&str]) {
        let folder = self.policies();
        fs::remove_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let files: Vec<_> = texts
            .iter()
            .enumerate()
            .map(|(index, text)| (format!("{index}.yaml"), format!("version: 1\n{text}")))
            .collect();
        write_folder(&folder, &files);
    }

    /// Sends SIGHUP; the answer is an event.
    pub fn reload(&self) {
        self.signal(Signal::HUP);
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap_or_else(|error| panic!("kill: {error}"));
    }

    /// Kills it with SIGKILL, does something, and starts it again on the same policies and state. What it printed before
    /// is gone.
    pub fn crash(&mut self, meanwhile: impl FnOnce()) {
        self.signal(Signal::KILL);
        self.child.wait().unwrap_or_else(|error| panic!("wait: {error}"));
        meanwhile();
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let folder = std::mem::replace(&mut self.folder, folder);
        *self = std::mem::take(&mut self.setup).start_in(folder);
        self.wait_for("procprobe.agent.started", |event| event.name() == "procprobe.agent.started");
    }

    /// The first event, of all so far and to come, that fits. Panics with everything seen after [`PATIENCE`].
    pub fn wait_for(&self, what: &str, fits: impl Fn(&Event) -> bool) -> Event {
        let mut looked_at = 0;
        self.stream.find(what, PATIENCE, |events| {
            let new = events.iter().skip(looked_at).find(|event| fits(event)).cloned();
            looked_at = events.len();
            new
        })
    }

    /// All events that fit, once there are at least so many.
    pub fn wait_for_count(&self, what: &str, count: usize, fits: impl Fn(&Event) -> bool) -> Vec<Event> {
        let mut looked_at = 0;
        let mut found = Vec::new();
        self.stream.find(what, PATIENCE, |events| {
            found.extend(events.iter().skip(looked_at).filter(|event| fits(event)).cloned());
            looked_at = events.len();
            (found.len() >= count).then(|| std::mem::take(&mut found))
        })
    }

    /// Panics if such an event has come; call it after something that comes later has been waited for.
    pub fn assert_none(&self, what: &str, fits: impl Fn(&Event) -> bool) {
        if let Some(event) = self.stream.events().iter().find(|event| fits(event)) {
            panic!("{what}: {}\n{}", event.0, self.stream.describe());
        }
    }

    /// `procprobe status --format json`, whatever its exit code.
    pub fn status(&self) -> Value {
        let output = self.command(&["status", "--format", "json"]);
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("status: {error}: {output:?}\n{}", self.stream.describe()))
    }

    /// Where it answers over HTTP.
    pub fn http_address(&self) -> SocketAddr {
        let status = self.status();
        let address = status["agent"]["http"].as_str().and_then(|address| address.parse().ok());
        address.unwrap_or_else(|| panic!("not over HTTP: {status:#}"))
    }

    /// A `procprobe` command that speaks to this daemon.
    pub fn command(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary());
        command.args(arguments).arg("--socket").arg(self.folder.path().join("api.sock")).stdin(Stdio::null());
        command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"))
    }

    /// SIGTERM, and its exit code once everything that it printed was read.
    pub fn stop(&mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.wait().code()
    }

    /// Waits until it has ended and everything that it printed was read.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = end_of_patience();
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => {
                    self.stream.wait_for_end(PATIENCE);
                    let garbage = self.stream.garbage();
                    assert!(garbage.is_empty(), "stdout is for events alone: {garbage:?}");
                    assert!(status.signal().is_none(), "{status}\n{}", self.stream.describe());
                    return status;
                }
                Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
                Ok(None) => panic!("the daemon does not end\n{}", self.stream.describe()),
                Err(error) => panic!("wait: {error}"),
            }
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already; both are right.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The `procprobe` under test: `PROCPROBE_BIN`, else this workspace's newest build.
pub fn binary() -> PathBuf {
    if let Some(named) = std::env::var_os("PROCPROBE_BIN") {
        let path = PathBuf::from(named);
        assert!(path.is_file(), "PROCPROBE_BIN names {}, which is not there", path.display());
        return path;
    }
    let target = std::env::current_exe()
        .ok()
        .and_then(|test| {
            Some(
                test.ancestors()
                    .find(|path| path.ends_with("debug") || path.ends_with("release"))?
                    .parent()?
                    .to_owned(),
            )
        })
        .unwrap_or_else(|| panic!("this test does not run from a target folder; name the daemon in PROCPROBE_BIN"));
    let newest = ["debug", "release"]
        .map(|profile| target.join(profile).join("procprobe"))
        .into_iter()
        .filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)))
        .max();
    let Some((_, path)) = newest else {
        panic!("no daemon is built in {}; run `cargo xtask build` or name it in PROCPROBE_BIN", target.display())
    };
    path
}

/// End-to-end tests are not skipped where they cannot run: they fail and say what is missing.
pub fn require_host() {
    assert!(
        rustix::process::geteuid().is_root(),
        "end-to-end tests load kernel programs and need root; `cargo xtask test` asks for it"
    );
    assert!(
        Path::new("/sys/kernel/btf/vmlinux").exists(),
        "/sys/kernel/btf/vmlinux is missing: this kernel carries no BTF (CONFIG_DEBUG_INFO_BTF=y)"
    );
}

fn write_folder(folder: &Path, files: &[(String, String)]) {
    let written = fs::create_dir_all(folder)
        .and_then(|()| files.iter().try_for_each(|(name, text)| fs::write(folder.join(name), text)));
    written.unwrap_or_else(|error| panic!("cannot write {}: {error}", folder.display()));
}
