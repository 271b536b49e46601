//! A real container, made by runc out of the host's own programs: namespaces of its own for pids, mounts, IPC, host name
//! and network, and a cgroup that is named as container runtimes name theirs.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{fs, io};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::actor::Actor;
use crate::mark;

/// The container. Dropped, everything in it is killed, and it is removed.
#[derive(Debug)]
pub struct Container {
    id: String,
    /// Its configuration, the folder that is its root, and what runc knows of it.
    folder: TempDir,
    /// runc, which waits for its end.
    runc: Option<Actor>,
}

impl Container {
    /// One that does not run yet.
    pub fn prepare() -> Self {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        // Sixty-four hexadecimal digits, no two alike on this host.
        let digits: String = mark().chars().filter(char::is_ascii_hexdigit).collect();
        let id = format!("{digits:f<64}");
        Self { id, folder, runc: None }
    }

    /// Its name, 64 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Runs the line by the host's shell as the first process inside; the actor is `/actor` there.
    pub fn start(&mut self, actor: &str, line: &str) {
        let folder = self.folder.path();
        let root = folder.join("root");
        let made = lay_out(&root).and_then(|mut mounts| {
            mounts.push(bind(actor, "/actor"));
            fs::write(root.join("actor"), "")?;
            fs::write(folder.join("config.json"), self.config(line, &mounts).to_string())
        });
        made.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut command = self.command();
        command.args(["run", "--bundle"]).arg(folder).arg(&self.id);
        self.runc = Some(Actor::of(&mut command));
    }

    /// The host's number of its first process. Panics when it has ended.
    pub fn pid(&self) -> u64 {
        let state = self.command().arg("state").arg(&self.id).output().unwrap_or_else(|error| panic!("{error}"));
        let told: Value = serde_json::from_slice(&state.stdout).unwrap_or_default();
        told["pid"].as_u64().unwrap_or_else(|| panic!("runc state: {state:?}"))
    }

    /// Writes a line to its first process's stdin.
    pub fn say(&mut self, line: &str) {
        let Some(runc) = &mut self.runc else { panic!("it does not run") };
        runc.say(line);
    }

    /// Closes its stdin and waits for its end; its exit code.
    pub fn wait(&mut self) -> Option<i32> {
        self.runc.as_mut().and_then(|runc| runc.wait().code())
    }

    fn command(&self) -> Command {
        let mut command = Command::new("runc");
        command.arg("--root").arg(self.folder.path().join("state"));
        command
    }

    fn config(&self, line: &str, mounts: &[Value]) -> Value {
        let namespaces = ["pid", "network", "ipc", "uts", "mount"].map(|kind| json!({ "type": kind }));
        json!({
            "ociVersion": "1.0.2",
            "process": {
                "user": { "uid": 0, "gid": 0 },
                "args": ["/bin/sh", "-c", line],
                "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
                "cwd": "/",
                "noNewPrivileges": true,
            },
            "root": { "path": "root", "readonly": true },
            "mounts": mounts,
            "linux": {
                "cgroupsPath": format!("/{}", self.id),
                "namespaces": namespaces,
            },
        })
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // It may never have run, or be gone; both are right.
        let _ = self.command().args(["delete", "--force", &self.id]).stderr(Stdio::null()).status();
    }
}

/// What the host's programs need of its file system, and a /proc.
fn lay_out(root: &Path) -> io::Result<Vec<Value>> {
    let mut mounts = vec![
        json!({ "destination": "/proc", "type": "proc", "source": "proc" }),
        json!({ "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"] }),
    ];
    for folder in [root.to_owned(), root.join("proc"), root.join("dev")] {
        fs::create_dir(folder)?;
    }
    for name in ["/bin", "/lib", "/lib32", "/lib64", "/libx32", "/usr"] {
        let inside = root.join(name.trim_start_matches('/'));
        match fs::symlink_metadata(name) {
            Ok(found) if found.is_symlink() => symlink(fs::read_link(name)?, inside)?,
            Ok(_) => {
                fs::create_dir(inside)?;
                mounts.push(bind(name, name));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(mounts)
}

fn bind(from: &str, to: &str) -> Value {
    json!({ "destination": to, "type": "bind", "source": from, "options": ["rbind", "ro"] })
}
