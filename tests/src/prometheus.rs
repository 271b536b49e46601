//! The real Prometheus, on a port and in a folder of its own, and its promtool.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::daemon::PATIENCE;
use crate::{port, web};

/// A running Prometheus. Dropped, it is killed.
#[derive(Debug)]
pub struct Prometheus {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts it on this scrape job's settings (YAML, indented by four), several scrapes a second.
    pub fn scrape(job: &str) -> Self {
        let address = port::free();
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let config = folder.path().join("prometheus.yml");
        let text = format!("global: {{ scrape_interval: 300ms, scrape_timeout: 300ms }}\nscrape_configs:\n{job}");
        fs::write(&config, text).unwrap_or_else(|error| panic!("{}: {error}", config.display()));
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("tsdb").display()));
        command.arg(format!("--web.listen-address={address}"));
        let log = fs::File::create(folder.path().join("log")).unwrap_or_else(|error| panic!("{error}"));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        let child = child.unwrap_or_else(|error| missing("prometheus", &error));
        Self { child, address, _folder: folder }
    }

    /// The values of a PromQL expression with their labels, once they are as they must be. Panics with the last answer
    /// after [`PATIENCE`].
    pub fn wait_for(&self, expression: &str, is_so: impl Fn(&[(Value, f64)]) -> bool) -> Vec<(Value, f64)> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.query(expression);
            let result = answer.as_ref().and_then(|answer| answer["data"]["result"].as_array());
            let values: Option<Vec<_>> = result.map(|result| result.iter().filter_map(value).collect());
            if let Some(values) = values.filter(|values| is_so(values)) {
                return values;
            }
            assert!(Instant::now() < deadline, "{expression}: {answer:#?}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn query(&self, expression: &str) -> Option<Value> {
        let escape = |byte: u8| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        };
        let query: String = expression.bytes().map(escape).collect();
        let answer = web::get(self.address, &format!("/api/v1/query?query={query}"), "").ok()?;
        serde_json::from_str(&answer.body).ok()
    }
}

fn value(of: &Value) -> Option<(Value, f64)> {
    Some((of["metric"].clone(), of["value"][1].as_str()?.parse().ok()?))
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended already; both are right.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `promtool check metrics` has against an exposition; empty when it is content.
pub fn lint(text: &str) -> String {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| missing("promtool", &error));
    let stdin = child.stdin.take();
    // It reads everything before it says anything.
    stdin.map(|mut stdin| stdin.write_all(text.as_bytes())).transpose().unwrap_or_else(|error| panic!("{error}"));
    let output = child.wait_with_output().unwrap_or_else(|error| panic!("promtool: {error}"));
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    if output.status.success() { said } else { format!("{}\n{said}", output.status) }
}

fn missing(program: &str, error: &std::io::Error) -> ! {
    panic!(
        "cannot start {program} ({error}): `cargo xtask test` fetches it, or install Debian's package prometheus \
         without its service"
    )
}
