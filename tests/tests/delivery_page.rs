//! docs/delivery.md, run word for word: what it tells people to type and to write works.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use procprobe_tests::account::id_in;
use procprobe_tests::sandbox::{Plan, Sandbox};
use procprobe_tests::section::Section;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

const PLAIN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/otlp/plain.py");
const FRONT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/otlp/front.py");

/// The first event that the daemon prints, and its id.
fn first_event(sandbox: &mut Sandbox, number: usize) -> (String, String) {
    let line = sandbox.wait_for("the start", number, |printed| {
        printed.lines().find(|line| line.contains("procprobe.agent.started") && line.ends_with('}')).map(str::to_owned)
    });
    let id = id_in(&line).to_owned();
    (line, id)
}

/// Rotel shows an event with this id.
fn wait_for_record(sandbox: &mut Sandbox, number: usize, id: &str) {
    let record = format!("-> log.record.uid: Str({id})");
    sandbox.wait_for("the start at rotel", number, |printed| printed.contains(&record).then_some(()));
    assert!(sandbox.printed(number).contains("EventName: procprobe.agent.started"), "{}", sandbox.describe());
}

#[test]
fn the_commands_to_try_an_opentelemetry_collector() {
    let commands = Section::of("To an OpenTelemetry collector").commands();
    let [rotel, procprobe] = &commands[..] else { panic!("{commands:?}") };
    let mut sandbox = Plan::new().run(rotel).run(procprobe).start();
    let (_, id) = first_event(&mut sandbox, 1);
    wait_for_record(&mut sandbox, 0, &id);
}

/// A certificate and its key, both PEM.
fn sign(name: &str, by: &Issuer<'_, KeyPair>) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    (params.signed_by(&key, by).unwrap().pem(), key.serialize_pem())
}

#[test]
fn the_configuration_for_an_opentelemetry_collector() {
    let section = Section::of("To an OpenTelemetry collector");
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let (own, own_key) = sign("web-1", &issuer);
    let (shown, shown_key) = sign("otel.example", &issuer);
    // Rotel knows no TLS on this side: what the configuration demands of a collector stands in front of it.
    let front = format!("python3 {FRONT} /etc/procprobe/shown.pem /etc/procprobe/shown.key /etc/procprobe/ca.pem 4318");
    let mut sandbox = Plan::new()
        .host("127.0.0.2 otel.example")
        .file("procprobe.yaml", section.yaml())
        .file("otel.token", "t0ken\n")
        .file("ca.pem", &authority)
        .file("own.pem", &own)
        .file("own.key", &own_key)
        .file("shown.pem", &shown)
        .file("shown.key", &shown_key)
        .run(&section.commands()[0])
        .run(&front)
        .run("procprobe run")
        .start();
    let (_, id) = first_event(&mut sandbox, 2);
    wait_for_record(&mut sandbox, 0, &id);
    let met = sandbox.printed(1);
    assert!(met.contains(r#"{"client": ["web-1"], "authorization": ["Bearer t0ken"]}"#), "{met}");
}

#[test]
fn the_command_for_plain_http() {
    let commands = Section::of("Sending events on").commands();
    let mut sandbox =
        Plan::new().host("127.0.0.1 collector.example").run(&format!("python3 {PLAIN}")).run(&commands[0]).start();
    let (line, _) = first_event(&mut sandbox, 1);
    sandbox.wait_for("the start at the collector", 0, |printed| printed.lines().any(|at| at == line).then_some(()));
    assert!(!sandbox.printed(0).contains("fault"), "{}", sandbox.describe());
}
