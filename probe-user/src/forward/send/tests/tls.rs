//! TLS against an authority of the test's own: what is refused, and that the error says what is wrong.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::RootCertStore;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::WebPkiClientVerifier;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::forward::{ClientFiles, Tls};

/// An authority, and what it has signed.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key.
struct Signed {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn sign(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Signed {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        change(&mut params);
        Signed { certificate: params.signed_by(&key, &self.issuer).unwrap(), key }
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(rustls::pki_types::CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        roots
    }
}

/// A collector that shows this and, where an authority is named, wants to see one of its certificates.
async fn tls_server(shown: &Signed, clients: Option<&Authority>) -> (String, Heard) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = rustls::ServerConfig::builder();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(of) => {
            builder.with_client_cert_verifier(WebPkiClientVerifier::builder(Arc::new(of.roots())).build().unwrap())
        }
    };
    let key = PrivateKeyDer::from_pem_slice(shown.key.serialize_pem().as_bytes()).unwrap();
    let config = builder.with_single_cert(vec![shown.certificate.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/events", listener.local_addr().unwrap());
    let heard = Heard::default();
    let log = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, log) = (acceptor.clone(), Arc::clone(&log));
            tokio::spawn(async move {
                let stream = acceptor.accept(stream).await?;
                play(stream, say("200 OK", "", ""), &log).await
            });
        }
    });
    (url, heard)
}

/// Files of a test.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    fn client(&self, signed: &Signed) -> ClientFiles {
        ClientFiles {
            cert_file: self.put("own.pem", &signed.certificate.pem()),
            key_file: self.put("own.key", &signed.key.serialize_pem()),
        }
    }
}

async fn send_with(url: &str, ca_file: Option<PathBuf>, client: Option<ClientFiles>) -> Outcome {
    let mut settings = settings(url, Protocol::Otlp);
    settings.wire.tls = Tls { ca_file, client };
    send(&settings, &lines(1)).await
}

fn assert_refused(outcome: &Outcome, heard: &Heard, says: &[&str]) {
    let Outcome::Retry { why, after: None } = outcome else { panic!("{outcome:?}") };
    assert!(says.iter().any(|says| why.contains(says)), "{why}");
    assert!(lock(heard).is_empty(), "nothing was told to it");
}

#[tokio::test]
async fn a_certificate_of_a_named_authority_is_believed() {
    let (files, authority) = (Files::new(), Authority::new("ours"));
    let (url, heard) = tls_server(&authority.sign("127.0.0.1", |_| {}), None).await;
    let ca_file = files.put("ca.pem", &format!("{}{}", Authority::new("another").pem, authority.pem));
    assert_eq!(send_with(&url, Some(ca_file), None).await, Outcome::Accepted);
    assert_eq!(lock(&heard).len(), 1);
}

#[tokio::test]
async fn an_unknown_authority_is_refused() {
    let (files, authority) = (Files::new(), Authority::new("theirs"));
    let (url, heard) = tls_server(&authority.sign("127.0.0.1", |_| {}), None).await;
    let unknown = ["UnknownIssuer"];
    let ca_file = files.put("ca.pem", &Authority::new("ours").pem);
    assert_refused(&send_with(&url, Some(ca_file), None).await, &heard, &unknown);
    // The system's authorities do not know it either.
    assert_refused(&send_with(&url, None, None).await, &heard, &unknown);
}

#[tokio::test]
async fn a_wrong_host_name_is_refused() {
    let (files, authority) = (Files::new(), Authority::new("ours"));
    let (url, heard) = tls_server(&authority.sign("other.example", |_| {}), None).await;
    let outcome = send_with(&url, Some(files.put("ca.pem", &authority.pem)), None).await;
    assert_refused(&outcome, &heard, &["not valid for name"]);
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let (files, authority) = (Files::new(), Authority::new("ours"));
    let ca_file = files.put("ca.pem", &authority.pem);
    let expired = authority.sign("127.0.0.1", |params| {
        (params.not_before, params.not_after) = (date_time_ymd(2019, 1, 1), date_time_ymd(2020, 1, 1));
    });
    let (url, heard) = tls_server(&expired, None).await;
    assert_refused(&send_with(&url, Some(ca_file.clone()), None).await, &heard, &["expired"]);
    let early = authority.sign("127.0.0.1", |params| params.not_before = date_time_ymd(2090, 1, 1));
    let (url, heard) = tls_server(&early, None).await;
    assert_refused(&send_with(&url, Some(ca_file), None).await, &heard, &["not valid yet"]);
}

#[tokio::test]
async fn a_client_certificate_is_shown_where_it_is_demanded() {
    let (files, authority, clients) = (Files::new(), Authority::new("ours"), Authority::new("clients"));
    let ca_file = Some(files.put("ca.pem", &authority.pem));
    let (url, heard) = tls_server(&authority.sign("127.0.0.1", |_| {}), Some(&clients)).await;
    let outcome = send_with(&url, ca_file.clone(), None).await;
    assert_refused(&outcome, &heard, &["CertificateRequired"]);
    let stranger = Authority::new("strangers").sign("host", |_| {});
    let outcome = send_with(&url, ca_file.clone(), Some(files.client(&stranger))).await;
    assert_refused(&outcome, &heard, &["fatal alert"]);
    let own = clients.sign("host", |_| {});
    assert_eq!(send_with(&url, ca_file, Some(files.client(&own))).await, Outcome::Accepted);
}

/// Sends over and over, for a while, until this holds of the client and what became of the request.
async fn until(client: &mut Client, url: &str, what: &str, holds: impl Fn(&Client, &Outcome) -> bool) {
    let endpoint = Endpoint::parse(url).unwrap();
    let body = client.encode(&lines(1));
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let outcome = client.send(&endpoint, &body).await;
        if holds(client, &outcome) {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{what}: {outcome:?}, {:?}", client.notes());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn renewed_files_are_used_from_the_next_connection_on_and_broken_ones_are_not() {
    let (files, authority, clients) = (Files::new(), Authority::new("ours"), Authority::new("clients"));
    let (url, heard) = tls_server(&authority.sign("127.0.0.1", |_| {}), Some(&clients)).await;
    let expired = Authority::new("clients of old").sign("host", |_| {});
    let ca_file = files.put("ca.pem", &Authority::new("ours of old").pem);
    let mut settings = settings(&url, Protocol::Otlp);
    settings.wire.tls = Tls { ca_file: Some(ca_file.clone()), client: Some(files.client(&expired)) };
    let mut client = Client::new(&settings).unwrap();
    let retry = |says: &'static str| move |_: &Client, outcome: &Outcome| matches!(outcome, Outcome::Retry { why, .. } if why.contains(says));
    until(&mut client, &url, "an unknown authority", retry("UnknownIssuer")).await;
    fs::write(&ca_file, &authority.pem).unwrap();
    until(&mut client, &url, "an unknown client", retry("fatal alert")).await;
    assert!(lock(&heard).is_empty());
    // The certificate first: without its key it does not serve, and what was before goes on.
    let own = clients.sign("host", |_| {});
    files.put("own.pem", &own.certificate.pem());
    let told =
        |says: &'static str| move |client: &Client, _: &Outcome| client.notes().iter().any(|note| note.contains(says));
    until(&mut client, &url, "a word of it", told("it is not the key of")).await;
    files.put("own.key", &own.key.serialize_pem());
    let taken = |client: &Client, outcome: &Outcome| *outcome == Outcome::Accepted && client.notes().is_empty();
    until(&mut client, &url, "the renewed certificate", taken).await;
    fs::write(&ca_file, "no PEM here\n").unwrap();
    until(&mut client, &url, "a word of the authorities", told("collector.tls.ca_file")).await;
    let still = |_: &Client, outcome: &Outcome| *outcome == Outcome::Accepted;
    until(&mut client, &url, "what was read before", still).await;
    fs::write(&ca_file, &authority.pem).unwrap();
    until(&mut client, &url, "files that serve", taken).await;
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_given_up() {
    let (url, _) = server(Act::Ignore).await;
    let (url, began) = (url.replace("http:", "https:"), std::time::Instant::now());
    let mut settings = settings(&url, Protocol::Otlp);
    (settings.limits.connect_timeout, settings.limits.request_timeout) = (SHORT, Duration::from_mins(5));
    let outcome = send(&settings, &lines(1)).await;
    assert!(matches!(&outcome, Outcome::Retry { why, .. } if why.contains("timed out")), "{outcome:?}");
    assert!(began.elapsed() < Duration::from_secs(30), "the time of a connection has TLS in it");
}

#[test]
fn files_that_do_not_serve_are_named_with_the_reason() {
    let (files, authority) = (Files::new(), Authority::new("ours"));
    let (one, other) = (authority.sign("one", |_| {}), authority.sign("other", |_| {}));
    let ca = files.put("ca.pem", &authority.pem);
    let cert_file = files.put("one.pem", &one.certificate.pem());
    let key_file = files.put("one.key", &one.key.serialize_pem());
    let other_key = files.put("other.key", &other.key.serialize_pem());
    let empty = files.put("empty", "no PEM here\n");
    let torn = files.put("torn", "-----BEGIN CERTIFICATE-----\nabc\n");
    let open = files.put("open.key", &one.key.serialize_pem());
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
    let missing = files.0.path().join("missing");
    let check = |ca_file: &Path, client: Option<(&Path, &Path)>, says: &[&str]| {
        let client = client.map(|(cert, key)| ClientFiles { cert_file: cert.to_owned(), key_file: key.to_owned() });
        let mut settings = settings("https://127.0.0.1:9/", Protocol::Otlp);
        settings.wire.tls = Tls { ca_file: Some(ca_file.to_owned()), client };
        let error = Client::new(&settings).map(drop).unwrap_err().to_string();
        assert!(says.iter().all(|says| error.contains(says)), "{error}");
    };
    check(&missing, None, &["collector.tls.ca_file", "/missing", "No such file"]);
    check(&empty, None, &["collector.tls.ca_file", "/empty", "no certificate in it"]);
    check(&torn, None, &["collector.tls.ca_file", "/torn", "damaged"]);
    check(files.0.path(), None, &["not a regular file"]);
    check(&ca, Some((&empty, &key_file)), &["collector.tls.cert_file", "/empty", "no certificate in it"]);
    check(&ca, Some((&cert_file, &missing)), &["collector.tls.key_file", "/missing"]);
    check(&ca, Some((&cert_file, &empty)), &["collector.tls.key_file", "no private key in it"]);
    check(&ca, Some((&cert_file, &open)), &["collector.tls.key_file", "chmod o-rwx"]);
    check(&ca, Some((&cert_file, &other_key)), &["collector.tls.key_file", "not the key of", "/one.pem"]);
    let mut settings = settings("https://127.0.0.1:9/", Protocol::Otlp);
    settings.wire.tls = Tls { ca_file: Some(ca), client: Some(ClientFiles { cert_file, key_file }) };
    Client::new(&settings).unwrap();
}
