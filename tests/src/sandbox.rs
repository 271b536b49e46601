//! Commands as people type them, with the paths and ports that they name, on a host that keeps nothing of it: in a network
//! of their own, with /etc, /var/lib and /run that forget what is written to them, and a bpf file system of their own.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::daemon::{binary, end_of_patience, require_host};

/// Mounts, and then runs what the test has written until its standard input ends.
const ENTER: &str = r#"set -e
ip link set lo up
mkdir "$1/layers"
mount -t tmpfs tmpfs "$1/layers"
for folder in etc var/lib run; do
    mkdir -p "$1/layers/$folder/up" "$1/layers/$folder/work"
    mount -t overlay overlay -o "lowerdir=/$folder,upperdir=$1/layers/$folder/up,workdir=$1/layers/$folder/work" "/$folder"
done
mount -t bpf bpf /sys/fs/bpf
mkdir -p /etc/procprobe
cp -p "$1/files/"* /etc/procprobe/
printf '%s\n' "$2" >> /etc/hosts
. "$1/commands"
cat > /dev/null
kill $started
wait
"#;

/// What is to be run, in this order.
#[derive(Debug)]
pub struct Plan {
    folder: TempDir,
    hosts: String,
    commands: Vec<String>,
}

/// All of it running. Dropped, it is ended.
#[derive(Debug)]
pub struct Sandbox {
    child: Child,
    folder: TempDir,
}

impl Plan {
    /// Nothing yet.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        fs::create_dir(folder.path().join("files")).unwrap_or_else(|error| panic!("{error}"));
        Self { folder, hosts: String::new(), commands: Vec::new() }.file("README", "of this test")
    }

    /// A file of /etc/procprobe that only root can read.
    pub fn file(self, name: &str, text: &str) -> Self {
        let path = self.folder.path().join("files").join(name);
        let written =
            fs::write(&path, text).and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o600)));
        written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        self
    }

    /// A line of /etc/hosts.
    pub fn host(mut self, line: &str) -> Self {
        self.hosts.push_str(line);
        self.hosts.push('\n');
        self
    }

    /// A command of the shell; the next one begins at once.
    pub fn run(mut self, command: &str) -> Self {
        self.commands.push(command.to_owned());
        self
    }

    /// Begins.
    pub fn start(self) -> Sandbox {
        require_host();
        let Self { folder, hosts, commands } = self;
        let place = folder.path();
        let mut script = String::new();
        for (number, command) in commands.iter().enumerate() {
            let place = place.display();
            let _ = writeln!(script, "(exec {command}) > {place}/{number}.out 2> {place}/{number}.err &");
            script.push_str("started=\"$started $!\"\n");
        }
        fs::write(place.join("commands"), script).unwrap_or_else(|error| panic!("{error}"));
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "sh", "-c", ENTER, "sh"]).arg(place).arg(hosts);
        settle(&mut command);
        let child = command.stdin(Stdio::piped()).spawn();
        Sandbox { child: child.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}")), folder }
    }
}

/// The daemon under test is the one that commands find, and nothing goes by way of a proxy.
fn settle(command: &mut Command) {
    let own = binary();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = own.parent().map(Path::to_owned).into_iter().chain(std::env::split_paths(&path));
    command.env("PATH", std::env::join_paths(paths).unwrap_or_else(|error| panic!("{error}")));
    for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env_remove(proxy).env_remove(proxy.to_ascii_lowercase());
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self::new()
    }
}

impl Sandbox {
    /// A shell in there, to run this. The sandbox must be complete: something that it started has printed something.
    pub fn shell(&self, script: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--target={}", self.child.id())).args(["--net", "--mount", "sh", "-c", script]);
        settle(&mut command);
        command
    }

    /// What the command of this number has printed.
    pub fn printed(&self, number: usize) -> String {
        let bytes = fs::read(self.folder.path().join(format!("{number}.out"))).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until a command has printed what fits. Panics with all that was said.
    pub fn wait_for<T>(&mut self, what: &str, number: usize, find: impl Fn(&str) -> Option<T>) -> T {
        let deadline = end_of_patience();
        loop {
            if let Some(found) = find(&self.printed(number)) {
                return found;
            }
            let ended = self.child.try_wait().ok().flatten();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "{what} did not come: {ended:?}\n{}",
                self.describe()
            );
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// The end of all that was said.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        for number in 0.. {
            for kind in ["out", "err"] {
                let Ok(said) = fs::read(self.folder.path().join(format!("{number}.{kind}"))) else { return text };
                let said = said.get(said.len().saturating_sub(4000)..).unwrap_or_default();
                let _ = writeln!(text, "--- {number}.{kind}\n{}", String::from_utf8_lossy(said));
            }
        }
        text
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // The shell ends what it has started when its input ends.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
