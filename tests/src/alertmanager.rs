//! The real Alertmanager, on a port and in a folder of its own.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use serde_json::Value;
use tempfile::TempDir;

use crate::daemon::PATIENCE;
use crate::port;

/// Debian's name of the program.
const PROGRAM: &str = "prometheus-alertmanager";

/// Where Debian's looks for its templates.
const SHARE: &str = "/usr/share";
const TEMPLATES: &str = "prometheus/alertmanager";

/// For a shell: becomes the program ($0), with these folders ($1) seen as one; its process id stays the shell's.
const LAID_OVER: &str = r#"mount -t overlay none -o "$1" /usr/share && shift && exec "$0" "$@""#;

/// What it says, in its folder.
const LOG: &str = "log";

/// Groups by policy, at once, and tells nobody.
const CONFIG: &str = "
route: { receiver: nobody, group_by: [policy], group_wait: 1s, group_interval: 1s }
receivers: [{ name: nobody }]
";

/// A running Alertmanager. Dropped, it is killed.
#[derive(Debug)]
pub struct Alertmanager {
    child: Child,
    address: SocketAddr,
    folder: TempDir,
}

impl Alertmanager {
    /// Starts it and waits until it answers.
    pub fn start() -> Self {
        let address = port::free();
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let config = folder.path().join("config.yaml");
        fs::write(&config, CONFIG).unwrap_or_else(|error| panic!("{}: {error}", config.display()));
        let mut command = program();
        command.arg("--config.file").arg(&config).arg("--storage.path").arg(folder.path());
        command.args(["--web.listen-address", &address.to_string(), "--cluster.listen-address="]);
        let log = fs::File::create(folder.path().join(LOG)).unwrap_or_else(|error| panic!("{error}"));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        let child = child.unwrap_or_else(|error| {
            panic!(
                "cannot start {PROGRAM} ({error}): `cargo xtask test` fetches it, or install the package of that name"
            )
        });
        let alertmanager = Self { child, address, folder };
        alertmanager.wait_for("an answer", "/-/ready", |_| Some(()));
        alertmanager
    }

    /// For a policy.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it says of itself at this path, once that is as it must be. Panics with the last answer after [`PATIENCE`].
    pub fn wait_for<T>(&self, what: &str, path: &str, mut find: impl FnMut(&Value) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.get(path);
            if let Some(found) = answer.as_ref().ok().and_then(&mut find) {
                return found;
            }
            if Instant::now() >= deadline {
                let log = fs::read_to_string(self.folder.path().join(LOG)).unwrap_or_default();
                panic!("{what} did not come from {path}: {answer:#?}\n{log}");
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// JSON where it is some, else a text.
    fn get(&self, path: &str) -> std::io::Result<Value> {
        let mut stream = TcpStream::connect(self.address)?;
        // HTTP/1.0: the body ends with the connection.
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        if !head.contains(" 200 ") {
            return Err(std::io::Error::other(answer));
        }
        Ok(serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned())))
    }
}

/// The program where it finds its templates. Debian's looks for them under /usr/share and does not start without them;
/// one that was only unpacked has them beside itself, and gets them laid over /usr/share in a mount namespace of its own.
fn program() -> Command {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|folder| folder.join(PROGRAM)).find(|program| program.is_file());
    let unpacked = found.and_then(|program| Some(program.parent()?.parent()?.join("share")));
    let unpacked = unpacked.filter(|share| share.join(TEMPLATES).is_dir());
    let (true, Some(share)) = (!Path::new(SHARE).join(TEMPLATES).exists(), unpacked) else {
        return Command::new(PROGRAM);
    };
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", LAID_OVER, PROGRAM]).arg(format!("lowerdir={}:{SHARE}", share.display()));
    command
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        // It may have ended already; both are right.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
