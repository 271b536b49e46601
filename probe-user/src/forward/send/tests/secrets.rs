//! Tokens as they change, and that no word of a collector gives a secret away.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

const JSON: &str = "Content-Type: application/json\r\n";

fn put(dir: &tempfile::TempDir, token: &str) -> PathBuf {
    let (path, new) = (dir.path().join("token"), dir.path().join("token.new"));
    fs::write(&new, token).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(&new, &path).unwrap();
    path
}

fn tokens(heard: &Heard) -> Vec<String> {
    let heard = lock(heard);
    let token = |head: &str| head.lines().find_map(|line| line.strip_prefix("authorization: ").map(str::to_owned));
    heard.iter().map(|(head, _)| token(head).unwrap_or_default()).collect()
}

#[tokio::test]
async fn a_changed_token_is_used_within_a_second_and_a_missing_one_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (url, heard) = server(say("200 OK", "", "")).await;
    let mut settings = settings(&url, Protocol::Otlp);
    settings.token_file = Some(put(&dir, "first\n"));
    let mut client = Client::new(&settings).unwrap();
    let body = client.encode(&lines(1));
    let endpoint = settings.endpoints[0].clone();
    let mut send_until = async |expected: &str| {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while tokens(&heard).last().is_none_or(|last| last != expected) {
            assert!(tokio::time::Instant::now() < deadline, "{expected}: {:?}", tokens(&heard));
            assert_eq!(client.send(&endpoint, &body).await, Outcome::Accepted);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    send_until("bearer first").await;
    put(&dir, "second\n");
    send_until("bearer second").await;
    fs::remove_file(dir.path().join("token")).unwrap();
    lock(&heard).clear();
    let until = tokio::time::Instant::now() + Duration::from_millis(1200);
    while tokio::time::Instant::now() < until {
        send_until("bearer second").await;
        lock(&heard).clear();
    }
    put(&dir, "third\n");
    send_until("bearer third").await;
}

#[tokio::test]
async fn the_token_comes_in_the_place_of_the_urls_user() {
    let dir = tempfile::tempdir().unwrap();
    let (url, heard) = server(say("200 OK", "", "")).await;
    let url = url.replace("http://", "http://user:password@");
    let mut with_token = settings(&url, Protocol::Ndjson);
    with_token.token_file = Some(put(&dir, "token\n"));
    for settings in [settings(&url, Protocol::Ndjson), with_token] {
        assert_eq!(send(&settings, &lines(1)).await, Outcome::Accepted);
    }
    // Base64 of user:password, in lower case as heads are kept here.
    assert_eq!(tokens(&heard), ["basic dxnlcjpwyxnzd29yza==", "bearer token"]);
}

/// A collector that repeats all that it was sent: nothing secret is in what is made of it.
#[tokio::test]
async fn a_collector_that_repeats_secrets_does_not_get_them_shown() {
    let dir = tempfile::tempdir().unwrap();
    let echo =
        "token hunter2 user ops1234 password s3cr%20t and s3cr t, key k3y of key=k3y, basic b3BzMTIzNDpzM2NyIHQ=";
    let answers = [
        say("400 No", JSON, &format!(r#"{{"message":"{echo}"}}"#)),
        say("403 No", JSON, &format!(r#"{{"message":"{echo}"}}"#)),
        say("503 No", JSON, &format!(r#"{{"message":"{echo}"}}"#)),
        say("200 OK", JSON, &format!(r#"{{"partialSuccess":{{"rejectedLogRecords":1,"errorMessage":"{echo}"}}}}"#)),
    ];
    for act in answers {
        for token in [Some("hunter2"), None] {
            let (url, _) = server(act.clone()).await;
            let url = url.replace("http://", "http://ops1234:s3cr%20t@") + "?key=k3y";
            let mut settings = settings(&url, Protocol::Otlp);
            settings.token_file = token.map(|token| put(&dir, token));
            let shown = format!("{:?} {settings:?}", send(&settings, &lines(2)).await);
            assert!(shown.contains("[secret]"), "{shown}");
            let secrets = ["ops1234", "s3cr", "k3y"].into_iter().chain(token);
            let basic = token.is_none().then_some("b3BzMTIzNDpzM2NyIHQ=");
            for secret in secrets.chain(basic) {
                assert!(!shown.contains(secret), "{secret}: {shown}");
            }
        }
    }
}

#[tokio::test]
async fn no_debug_form_shows_a_secret() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings("http://ops:hunter2@127.0.0.1:9/?key=hunter2", Protocol::Otlp);
    settings.token_file = Some(put(&dir, "hunter2"));
    let shown = format!("{settings:?} {:?} {:?}", Client::new(&settings).unwrap(), send(&settings, &lines(1)).await);
    assert!(!shown.contains("hunter2"), "{shown}");
}
