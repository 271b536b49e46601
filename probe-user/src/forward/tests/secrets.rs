//! Tokens, TLS and names, and that none of them shows a secret.

use super::*;

fn token_file(dir: &tempfile::TempDir, text: &str, mode: u32) -> PathBuf {
    let path = dir.path().join("token");
    let _ = std::fs::remove_file(&path);
    let mut file = std::fs::OpenOptions::new().create(true).write(true).truncate(true).mode(mode).open(&path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    path
}

#[tokio::test]
async fn the_token_is_sent_and_read_again_when_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (url, log) = server(&[Answer::Status(200), Answer::Status(401)]).await;
    let mut settings = settings(&[&url]);
    settings.token_file = Some(token_file(&dir, "first\n", 0o600));
    let rig = Rig::filled(settings, 1..=1);
    while accepted(&log).is_empty() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    token_file(&dir, "second\n", 0o600);
    rig.offer(2..=2);
    rig.close().await;
    let tokens: Vec<_> =
        lock(&log).headers.iter().map(|headers| headers["authorization"].to_str().unwrap().to_owned()).collect();
    assert_eq!(tokens, ["Bearer first", "Bearer first", "Bearer second"]);
    assert_eq!(accepted(&log), [1, 2]);
}

#[tokio::test]
async fn a_token_file_that_cannot_serve_is_refused_without_showing_it() {
    let dir = tempfile::tempdir().unwrap();
    let cases =
        [("hunter2", 0o644, "chmod o-rwx"), ("", 0o600, "empty"), ("hunter2\nhunter3", 0o600, "one line of printable")];
    for (text, mode, expected) in cases {
        let mut settings = settings(&["http://127.0.0.1:9/"]);
        settings.token_file = Some(token_file(&dir, text, mode));
        let error = Client::new(&settings).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains("hunter"), "{error}");
    }
    let mut settings = settings(&["http://127.0.0.1:9/"]);
    settings.token_file = Some(dir.path().join("missing"));
    assert!(Client::new(&settings).unwrap_err().to_string().contains("missing"));
}

#[tokio::test]
async fn https_finds_its_roots_and_refuses_what_is_no_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 200 OK\r\n\r\n").await;
        }
    });
    let rig = Rig::filled(settings(&[&url]), 1..=1);
    while rig.status().failures == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(rig.status().sent_events, 0);
}

#[test]
fn each_collector_has_a_name_of_its_own_that_holds_no_secret() {
    let collectors = ["http://u:hunter2@a/?key=1", "http://b/", "http://a/?key=hunter2", "http://a/"];
    let names = Settings::names(&collectors.map(|url| Settings::to(vec![Endpoint::parse(url).unwrap()])));
    assert_eq!(names, ["http://a/", "http://b/", "http://a/ 2", "http://a/ 3"]);
}
