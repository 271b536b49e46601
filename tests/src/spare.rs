//! A copy of this host that forgets: what is installed, written or pinned there is gone with it.
//!
//! A mount and a network namespace with overlays over the folders that packages write to, and a bpf file system of its
//! own. Processes are the host's: the daemon sees all of them.

use std::fmt::Display;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::daemon::require_host;

/// Mounts, says so, and stays until its standard input ends.
const ENTER: &str = r#"set -e
ip link set lo up
mount -t tmpfs tmpfs "$1"
for folder in etc usr var run; do
    mkdir -p "$1/$folder/up" "$1/$folder/work"
    mount -t overlay overlay -o "lowerdir=/$folder,upperdir=$1/$folder/up,workdir=$1/$folder/work" "/$folder"
done
mount -t bpf bpf /sys/fs/bpf
echo ready
cat > /dev/null
"#;

/// The copy. Dropped, it is gone.
#[derive(Debug)]
pub struct SpareHost {
    holder: Child,
    _folder: TempDir,
}

impl SpareHost {
    /// Makes it.
    pub fn new() -> Self {
        require_host();
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "sh", "-c", ENTER, "sh"]).arg(folder.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let mut line = String::new();
        let stdout = holder.stdout.take();
        stdout.map(|stdout| BufReader::new(stdout).read_line(&mut line));
        assert_eq!(line, "ready\n", "the copy of the host cannot be made: {:?}", holder.wait());
        Self { holder, _folder: folder }
    }

    /// A command that runs there.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.holder.id().to_string(), "--mount", "--net", "--", program]);
        // Its own paths, not those of whoever tests.
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
        command
    }

    /// The file that stands for its network.
    pub fn network(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.holder.id()).into()
    }

    /// Runs a line of the shell there; panics with what it said unless it succeeds, else returns that.
    pub fn run(&self, line: impl Display) -> String {
        let output = self.command("sh").args(["-c", &line.to_string()]).output();
        let output = output.unwrap_or_else(|error| panic!("{line}: {error}"));
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "`{line}` ended with {}: {said}", output.status);
        said
    }

    /// Whether something of this path is there.
    pub fn has(&self, path: impl AsRef<Path>) -> bool {
        let tried = self.command("test").arg("-e").arg(path.as_ref()).status();
        tried.unwrap_or_else(|error| panic!("{error}")).success()
    }
}

impl Default for SpareHost {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for SpareHost {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}
