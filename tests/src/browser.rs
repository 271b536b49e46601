//! A real browser without a screen: Chromium, driven by its chromedriver over WebDriver (plain HTTP and JSON).
//!
//! Each has a profile of its own in a temporary folder, talks to this host alone, and ends with all of its processes.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::daemon::end_of_patience;
use crate::port;

/// No sandbox, for tests run as root; and nothing that asks the network for what no test wants.
const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// A running browser with one window. Dropped, it is ended.
#[derive(Debug)]
pub struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
    folder: TempDir,
}

impl Browser {
    /// With a window of so many pixels.
    pub fn start(width: u32, height: u32) -> Self {
        let folder = tempfile::Builder::new().prefix("browser-").tempdir().unwrap_or_else(|error| panic!("{error}"));
        let address = port::free();
        let log = fs::File::create(folder.path().join("log")).unwrap_or_else(|error| panic!("{error}"));
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={}", address.port())).arg("--allowed-ips=127.0.0.1");
        command.env("HOME", folder.path()).env("TZ", "UTC").process_group(0);
        for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env_remove(proxy).env_remove(proxy.to_ascii_lowercase());
        }
        let driver = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        let driver = driver
            .unwrap_or_else(|error| panic!("cannot start chromedriver (Debian's package chromium-driver): {error}"));
        let mut browser = Self { driver, address, session: String::new(), folder };
        let deadline = end_of_patience();
        while browser.request("GET", "/status", &Value::Null).is_err() {
            assert!(Instant::now() < deadline, "chromedriver does not answer: {}", browser.log());
            thread::sleep(Duration::from_millis(50));
        }
        let profile = format!("--user-data-dir={}", browser.folder.path().join("profile").display());
        let size = format!("--window-size={width},{height}");
        let arguments: Vec<&str> = FLAGS.into_iter().chain([profile.as_str(), size.as_str()]).collect();
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let answer = browser.request("POST", "/session", &wanted);
        let answer = answer.unwrap_or_else(|error| panic!("no session: {error}\n{}", browser.log()));
        answer["sessionId"]
            .as_str()
            .unwrap_or_else(|| panic!("no session in {answer}"))
            .clone_into(&mut browser.session);
        browser
    }

    /// As a phone: so many pixels, whatever the window is.
    pub fn phone(&self, width: u32, height: u32) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 2, "mobile": true });
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// As on a system with this theme: `light` or `dark`.
    pub fn theme(&self, theme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": theme }] });
        self.devtools("Emulation.setEmulatedMedia", &features);
    }

    fn devtools(&self, command: &str, parameters: &Value) {
        self.command("goog/cdp/execute", &json!({ "cmd": command, "params": parameters }));
    }

    /// Goes there.
    pub fn open(&self, url: &str) {
        self.command("url", &json!({ "url": url }));
    }

    /// What a script says.
    pub fn run(&self, script: &str) -> Value {
        self.command("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// What an expression says, once it is true, not empty and not 0. Panics with the page's text when it never is.
    pub fn wait_for(&self, what: &str, expression: &str) -> Value {
        let deadline = end_of_patience();
        loop {
            let value = self.run(&format!("return {expression};"));
            let is_there =
                !matches!(&value, Value::Null | Value::Bool(false)) && value != json!("") && value != json!(0);
            if is_there {
                return value;
            }
            assert!(
                Instant::now() < deadline,
                "{what} does not come: {expression}\n{}\n{:#?}",
                self.text(),
                self.console()
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// The text that is on the page.
    pub fn text(&self) -> String {
        self.run("return document.body.innerText;").as_str().unwrap_or_default().to_owned()
    }

    /// Presses and releases a key, wherever the focus is. Others than letters have WebDriver's own codes.
    pub fn press(&self, key: &str) {
        let actions = json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": [
            { "type": "keyDown", "value": key }, { "type": "keyUp", "value": key },
        ] }] });
        self.command("actions", &actions);
    }

    /// What the console says since it was asked last: errors, and what a policy for contents refused.
    pub fn console(&self) -> Vec<String> {
        let told = self.command("se/log", &json!({ "type": "browser" }));
        let entries = told.as_array().into_iter().flatten();
        entries.filter_map(|entry| entry["message"].as_str().map(str::to_owned)).collect()
    }

    fn command(&self, path: &str, body: &Value) -> Value {
        let answer = self.request("POST", &format!("/session/{}/{path}", self.session), body);
        answer.unwrap_or_else(|error| panic!("{path} {body}: {error}\n{}", self.log()))
    }

    fn request(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n", self.address, text.len());
        let exchange = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(self.address)?;
            stream.set_read_timeout(Some(end_of_patience().saturating_duration_since(Instant::now())))?;
            write!(stream, "{head}Content-Type: application/json\r\nConnection: close\r\n\r\n{text}")?;
            read_answer(stream)
        };
        let answer = exchange().map_err(|error| error.to_string())?;
        let (_, body) = answer.split_once("\r\n\r\n").ok_or("no HTTP")?;
        let value: Value = serde_json::from_str(body).map_err(|error| format!("{error}: {body}"))?;
        match value["value"]["error"].as_str() {
            Some(error) => Err(format!("{error}: {}", value["value"]["message"])),
            None => Ok(value["value"].clone()),
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

/// To the end that it says itself: the driver keeps the connection.
fn read_answer(stream: TcpStream) -> std::io::Result<String> {
    let mut stream = BufReader::new(stream);
    let (mut answer, mut length) = (String::new(), 0);
    loop {
        let begin = answer.len();
        if stream.read_line(&mut answer)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let line = answer.get(begin..).unwrap_or_default().trim_end();
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().map_err(std::io::Error::other)?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    answer.push_str(&String::from_utf8_lossy(&body));
    Ok(answer)
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may be gone; then so is what it started.
        let _ = self.request("DELETE", &format!("/session/{}", self.session), &Value::Null);
        if let Some(group) = i32::try_from(self.driver.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.driver.wait();
    }
}
