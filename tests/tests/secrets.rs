//! A collector behind a proxy of the environment, both of which repeat what they are sent: no secret is shown anywhere.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use procprobe_tests::daemon::{PATIENCE, Setup};

/// A forward proxy that is the collector as well. The first answers are refusals that repeat the request's head.
struct Proxy {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start(refusals: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("listen: {error}"));
        let address = listener.local_addr().unwrap_or_else(|error| panic!("listen: {error}"));
        let heads = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&heads);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // An error is the client closing its connection.
                let _ = converse(stream, &log, refusals);
            }
        });
        Self { address, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One request a connection.
fn converse(stream: TcpStream, log: &Mutex<Vec<String>>, refusals: &[&str]) -> std::io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    reader.read_exact(&mut vec![0; length.unwrap_or(0)])?;
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    let status = refusals.get(log.len()).unwrap_or(&"200 OK");
    let message = serde_json::json!({ "message": head }).to_string();
    log.push(head);
    let kind = "Content-Type: application/json\r\nConnection: close";
    write!(writer, "HTTP/1.1 {status}\r\n{kind}\r\nContent-Length: {}\r\n\r\n{message}", message.len())
}

#[test]
fn no_secret_is_in_what_the_daemon_prints() {
    const REFUSALS: [&str; 5] = ["407 No", "401 No", "403 No", "503 No", "400 No"];
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "t0ken-hunter2\n").unwrap();
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
    let proxy = Proxy::start(&REFUSALS);
    let config = folder.path().join("procprobe.yaml");
    // Nobody has this name: what arrives has come through the proxy.
    let text = format!(
        "collector:\n  url: http://us3r:url-hunter2@collector.invalid:4318/?key=query-hunter2\n  protocol: otlp\n  \
         token_file: {}\n",
        token.display()
    );
    std::fs::write(&config, text).unwrap();
    let mut daemon = Setup::new()
        .under(["env".to_owned(), format!("HTTP_PROXY=http://proxy-us3r:proxy-hunter2@{}", proxy.address)])
        .args(["--config".into(), config.into_os_string(), "--log-format".into(), "text".into()])
        .start();
    let mut shown = String::new();
    let deadline = Instant::now() + PATIENCE;
    while proxy.heads().len() <= REFUSALS.len() {
        assert!(Instant::now() < deadline, "{}", daemon.stream.describe());
        shown += &daemon.status().to_string();
        shown += &String::from_utf8_lossy(&daemon.command(&["status"]).stdout);
        // More to send after a batch was refused for good.
        daemon.reload();
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(daemon.stop(), Some(0));
    shown += &daemon.stream.describe();
    let heads = proxy.heads();
    assert!(
        heads[0].starts_with("POST http://collector.invalid:4318/v1/logs?key=query-hunter2 HTTP/1.1"),
        "{}",
        heads[0]
    );
    for sent in ["proxy-authorization: Basic cHJveHktdXMzcjpwcm94eS1odW50ZXIy", "authorization: Bearer t0ken-hunter2"] {
        assert!(heads[0].contains(sent), "{}", heads[0]);
    }
    assert!(
        shown.contains("a proxy of the environment is used") && shown.contains(&proxy.address.to_string()),
        "{shown}"
    );
    let by_proxy = format!("collector http://collector.invalid:4318/ (by http://{}): ", proxy.address);
    assert!(shown.contains(&by_proxy) && shown.contains("  metrics every 15s: "), "{shown}");
    assert!(shown.contains("[secret]") && shown.contains("collector.invalid"), "{shown}");
    // The last one is what a proxy is shown of its own: Base64 of proxy-us3r:proxy-hunter2.
    for secret in ["hunter2", "us3r", "cHJveHktdXMzcjpwcm94eS1odW50ZXIy"] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
}
