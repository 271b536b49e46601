use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::decode::decode;
use super::load::Flags;
use super::*;
use crate::diagnostic::{Diagnostics, Source};
use crate::forward::{ClientFiles, Compression, Endpoint, Protocol, Tls, Wire};
use crate::yaml::read::Trust;

fn read(text: &str) -> Result<Config, Diagnostics> {
    decode(&Source::new("procprobe.yaml", text))
}

/// The errors of a text as `line:column: message`.
fn check(text: &str, expected: &[&str]) {
    let wrong = read(text).err().unwrap_or_default();
    let found: Vec<_> = wrong.iter().map(|one| format!("{}:{}: {}", one.line, one.column, one.message)).collect();
    assert_eq!(found, expected, "{text}");
}

#[test]
fn nothing_is_needed() {
    for text in ["", "# only a comment\n", "node:\nevents:\n"] {
        let config = read(text).unwrap();
        assert_eq!((config.sample_interval, config.api), (Duration::from_secs(1), Api::default()));
        assert!(config.collectors.is_empty() && config.policies.is_none());
    }
}

#[test]
fn everything_of_this_version() {
    let config = read(
        "node: { name: web-1, zone: seoul-a, labels: { role: web, tier: 2 } }\n\
         policies: [/etc/procprobe/policies, /srv/more.yaml]\n\
         sample_interval: 500ms\n\
         start_grace: 0s\n\
         events: { processes: all, forks: true, args: false, args_max: 4KiB, redact: ['(?i)token=\\S+'] }\n\
         collector:\n\
         - { url: [http://a.example:1/x, https://b.example], token_file: /etc/procprobe/token }\n\
         - { url: http://c.example, protocol: ndjson, compression: none, catch_up: 10MiB/s, first: alarms }\n\
         - { url: https://d.example:4318, protocol: otlp, compression: zstd, metrics_interval: 1m,\n    \
             tls: { ca_file: /etc/ca.pem, cert_file: /etc/own.pem, key_file: /etc/own.key } }\n\
         state: { dir: /srv/state, spool_max: 1GiB, when_full: drop_newest }\n\
         api: { socket: /srv/api.sock, mode: \"0600\", group: ops }\n\
         http: { listen: 0.0.0.0:80, token_file: /etc/procprobe/http.token }\n",
    )
    .unwrap();
    let token_file = Some("/etc/procprobe/http.token".into());
    assert_eq!(config.http, Http { listen: Some("0.0.0.0:80".parse().unwrap()), token_file });
    assert_eq!(config.node.name.as_deref(), Some("web-1"));
    let labels: Vec<_> = config.node.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(labels, ["role=web", "tier=2", "zone=seoul-a"]);
    assert_eq!(config.policies.unwrap(), [Path::new("/etc/procprobe/policies"), Path::new("/srv/more.yaml")]);
    assert_eq!((config.sample_interval, config.start_grace), (Duration::from_millis(500), Duration::ZERO));
    let events = config.events;
    assert_eq!((events.processes, events.forks, events.args, events.args_max), (Processes::All, true, false, 4096));
    assert!(events.redact[0].is_match("TOKEN=x"));
    let urls: Vec<Vec<String>> =
        config.collectors.iter().map(|one| one.endpoints.iter().map(ToString::to_string).collect()).collect();
    assert_eq!(urls[..2], [vec!["http://a.example:1/x", "https://b.example/"], vec!["http://c.example/"]]);
    assert_eq!((&config.collectors[0].wire, &config.collectors[1].wire), (&Wire::default(), &Wire::default()));
    let client = ClientFiles { cert_file: "/etc/own.pem".into(), key_file: "/etc/own.key".into() };
    let wire = Wire {
        protocol: Protocol::Otlp,
        compression: Compression::Zstd,
        tls: Tls { ca_file: Some("/etc/ca.pem".into()), client: Some(client) },
        metrics_interval: Some(Duration::from_mins(1)),
    };
    assert_eq!(config.collectors[2].wire, wire);
    assert_eq!(config.collectors[0].token_file.as_deref(), Some(Path::new("/etc/procprobe/token")));
    let paces: Vec<_> = config.collectors.iter().map(|one| (one.catch_up, one.alarms_first)).collect();
    assert_eq!(paces, [(None, false), (Some(10 << 20), true), (None, false)]);
    assert_eq!(config.state_dir, Path::new("/srv/state"));
    assert_eq!((config.spool_max, config.when_full), (1 << 30, WhenFull::DropNewest));
    assert_eq!(config.api, Api { socket: "/srv/api.sock".into(), mode: 0o600, group: Some("ops".into()) });
}

#[test]
fn every_error_at_once() {
    check(
        "nodes: {}\n\
         sample_interval: 1ms\n\
         start_grace: 10\n\
         policies: relative.yaml\n\
         events: { processes: some, args_max: 5KiB, redact: '(' }\n\
         api: { mode: \"0999\", socket: here }\n\
         state: { spool_max: 1KiB, when_full: panic }\n\
         collector: { protocol: ndjson, catch_up: 1KiB/s }\n\
         limits: { cpu: 0%, memory: 64KiB }\n",
        &[
            "1:1: unknown key `nodes`",
            "2:18: a sample interval is from 100ms to 1h, not 1ms",
            "3:14: expected a duration such as `10s`, found `10`",
            "4:11: expected an absolute path such as `/var/lib/procprobe`, found `relative.yaml`",
            "5:22: expected one of `matched`, `all`, `none`, found `some`",
            "5:38: 5120 bytes are more than the 4096 that can be recorded",
            "5:52: the regular expression does not compile: unclosed group",
            "6:14: expected a file mode in octal digits such as `0660`, found the quoted text `0999`",
            "6:30: expected an absolute path such as `/var/lib/procprobe`, found `here`",
            "7:21: events take from 1MiB to 1TiB on disk, not 1024 bytes",
            "7:38: expected one of `drop_oldest`, `drop_newest`, found `panic`",
            "8:12: a collector needs the key `url`",
            "9:16: the daemon's share of one core is from 0.01% to 100%",
            "9:28: the daemon's memory is from 1MiB to 16GiB",
        ],
    );
    let help = read("nodes: {}").unwrap_err().to_string();
    assert!(help.contains("did you mean `node`?"), "{help}");
}

#[test]
fn peers_need_a_key_and_places_that_can_be_reached() {
    check("peers: { listen: 0.0.0.0:7946 }", &["1:8: `peers` needs the key `key_file`"]);
    check(
        "peers: { listen: here, advertise: 0.0.0.0, join: [a b, h, h], key_file: [/a, /b, /c], zone: x, open_port: 0 }",
        &[
            "1:18: expected an IP address and a port such as `0.0.0.0:7946`, found `here`",
            "1:35: expected an IP address, maybe with a port such as `10.0.0.5`, found `0.0.0.0`",
            "1:51: expected an address, a DNS name or the path of a file with some such as `10.0.0.2:7946`, found `a b`",
            "1:59: it is given twice",
            "1:73: more than two keys",
            "1:87: `zone` cannot be given here",
            "1:107: expected a port from 1 to 65535 such as `22`, found `0`",
        ],
    );
    let long = "x".repeat(65);
    check(
        &format!("node: {{ labels: {{ role: {long} }} }}\npeers: {{ key_file: /k }}"),
        &["1:1: a host with `peers` has a name, a zone and labels of at most 64 bytes each"],
    );
    let peers = read("peers: { key_file: /k, open_port: 22, advertise: 10.0.0.5, listen: \"0.0.0.0:7000\" }")
        .unwrap()
        .peers
        .unwrap();
    assert_eq!(peers.advertise, Some("10.0.0.5:7000".parse().unwrap()));
    assert_eq!(peers.open_port, Some(22));
    assert!(peers.join.is_empty() && peers.key_files == [PathBuf::from("/k")]);
}

#[test]
fn what_a_collector_is_sent() {
    let wire = |text: &str| read(&format!("collector: {{ {text} }}")).unwrap().collectors.remove(0).wire;
    assert_eq!(wire("url: http://c/x").protocol, Protocol::Ndjson);
    assert_eq!(wire("url: http://c:4318, protocol: ndjson").protocol, Protocol::Ndjson);
    let otlp = wire("url: http://c:4318, protocol: otlp, compression: gzip, metrics_interval: off");
    assert_eq!((otlp.protocol, otlp.compression, otlp.metrics_interval), (Protocol::Otlp, Compression::Gzip, None));
    assert_eq!(wire("url: http://c, protocol: otlp").metrics_interval, Some(Duration::from_secs(15)));
    let ambiguous = "port and path are those of OTLP, but no protocol is given";
    check("collector: { url: http://c:4318/events }", &[&format!("1:19: {ambiguous}")]);
    check("collector: { url: [http://c, http://d/v1/logs] }", &[&format!("1:19: {ambiguous}")]);
    check(
        "collector: { url: https://c, protocol: otpl, compression: lz4, metrics_interval: 2h, tls: { cert_file: /c } }",
        &[
            "1:40: expected one of `ndjson`, `otlp`, found `otpl`",
            "1:59: expected one of `none`, `gzip`, `zstd`, found `lz4`",
            "1:82: expected a duration or `off` such as `15s`, found `2h`",
            "1:82: only `protocol: otlp` sends metrics",
            "1:91: a certificate and its key go together",
        ],
    );
    check("collector: { url: http://c, tls: { ca_file: /c } }", &["1:34: `tls` without a URL that uses it"]);
    let help = read("collector: { url: http://c:4318 }").unwrap_err().to_string();
    assert!(help.contains("say `protocol: otlp`"), "{help}");
}

#[test]
fn the_flag_says_what_its_collector_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let empty = file(&dir, "config.yaml", "", 0o600);
    let config = |url: &str, protocol| {
        let collector = Some(Endpoint::parse(url).unwrap());
        Flags { config: Some(empty.clone()), collector, protocol, ..Flags::default() }.config(Trust::Anyone)
    };
    for (url, protocol) in [("http://c/events", None), ("http://c:4318", Some(Protocol::Ndjson))] {
        assert_eq!(config(url, protocol).unwrap().collectors[0].wire.protocol, Protocol::Ndjson);
    }
    let chosen = config("http://c:4318", Some(Protocol::Otlp)).unwrap();
    assert_eq!(chosen.collectors[0].wire.protocol, Protocol::Otlp);
    let refused = config("http://c:4318", None).unwrap_err().to_string();
    assert!(refused.contains("--collector") && refused.contains("--protocol otlp"), "{refused}");
}

#[test]
fn no_error_shows_a_secret() {
    for text in [
        "collector: { url: https://ops:hunter2@c.example/x, prtocol: ndjson }",
        "collector: { url: ftp://ops:hunter2@c.example/x }",
        "collector: { url: \"https://ops:hun ter2@[c.example/?key=hunter2\", tls: 1 }",
        "collector: { url: https://c.example/?key=hunter2, url: https://a:hunter2@b/ }",
        "collector: [ { url: https://ops:hunter2@c.example/x }",
    ] {
        let shown = read(text).unwrap_err().to_string();
        assert!(!shown.contains("hun") && !shown.contains("ter2"), "{shown}");
    }
    let config = read("collector: { url: https://ops:hunter2@c.example/?key=hunter2 }").unwrap();
    assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
}

#[test]
fn a_label_that_is_the_zone_is_told() {
    check("node: { zone: a, labels: { zone: b } }", &["1:15: the zone is given twice"]);
}

fn file(dir: &tempfile::TempDir, name: &str, text: &str, mode: u32) -> PathBuf {
    let path = dir.path().join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

const POLICY: &str = "version: 1\ngroups:\n  shells:\n    match: { exe: sh }\n    count: { max: 5 }\n";

#[test]
fn flags_win_over_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let text = "policies: [/nonexistent]\nsample_interval: 5s\nstart_grace: 1m\nstate: { dir: /a }\n\
                api: { socket: /a.sock, mode: \"0600\" }\ncollector: { url: http://a.example }\n";
    let flags = Flags {
        pins: Some(None),
        config: Some(file(&dir, "config.yaml", text, 0o600)),
        policies: vec![file(&dir, "policy.yaml", POLICY, 0o600)],
        collector: Some(Endpoint::parse("http://b.example").unwrap()),
        protocol: None,
        state_dir: Some("/b".into()),
        socket: Some("/b.sock".into()),
        sample_interval: Some(Duration::from_secs(2)),
        start_grace: None,
        limit_cpu: Some(0.02),
        limit_memory: Some(32 << 20),
        processes: Some(Processes::None),
        http: None,
    };
    let prepared = flags.load(Trust::OwnerOnly).unwrap();
    let config = &prepared.config;
    assert_eq!((config.sample_interval, config.start_grace), (Duration::from_secs(2), Duration::from_mins(1)));
    assert_eq!((config.state_dir.as_path(), config.api.socket.as_path()), (Path::new("/b"), Path::new("/b.sock")));
    assert_eq!((config.api.mode, config.events.processes), (0o600, Processes::None));
    assert_eq!(config.limits, Limits { cpu: 0.02, memory: 32 << 20 });
    assert_eq!(config.limits, Limits { cpu: 0.02, memory: 32 << 20 });
    assert_eq!(config.collectors[0].endpoints[0].to_string(), "http://b.example/");
    assert_eq!((prepared.policies.groups.len(), prepared.files), (1, 1));
}

#[test]
fn a_reload_is_all_or_nothing_and_knows_what_takes_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let config = file(&dir, "config.yaml", "sample_interval: 5s\n", 0o600);
    let policy = file(&dir, "policy.yaml", POLICY, 0o600);
    let flags = Flags { config: Some(config.clone()), policies: vec![policy.clone()], ..Flags::default() };
    let prepared = flags.load(Trust::OwnerOnly).unwrap();

    fs::write(&config, "sample_interval: 7s\nstate: { dir: /elsewhere }\n").unwrap();
    let again = prepared.again().unwrap();
    assert_eq!(again.config.sample_interval, Duration::from_secs(7));
    assert_eq!(prepared.config.fixed_differences(&again.config), ["state.dir"]);
    assert!(again.config.fixed_differences(&again.config).is_empty());

    fs::write(&config, "sample_interva: 7s\n").unwrap();
    fs::write(&policy, "version: 1\ngroups: { a: {} }\n").unwrap();
    let wrong = prepared.again().unwrap_err().to_string();
    assert!(wrong.contains("config.yaml:1:1") && wrong.contains("policy.yaml:2:"), "errors of both: {wrong}");
}

#[test]
fn a_file_that_others_can_write_is_refused_by_the_daemon_only() {
    let dir = tempfile::tempdir().unwrap();
    let flags = Flags { config: Some(file(&dir, "config.yaml", "", 0o622)), ..Flags::default() };
    assert!(flags.config(Trust::OwnerOnly).unwrap_err().to_string().contains("chmod go-w"));
    flags.config(Trust::Anyone).unwrap();
    let missing = Flags { config: Some(dir.path().join("missing")), ..Flags::default() };
    assert!(missing.config(Trust::OwnerOnly).unwrap_err().to_string().contains("missing"));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[a-z:{}\\[\\], \n\"'/@?#&*-]{0,120}") {
        let _ = read(&text);
    }

    #[test]
    fn any_value_is_read_or_refused(key in "[a-z_.]{1,12}", inner in "[a-z_]{1,10}", value in "\\PC{0,20}") {
        let _ = read(&format!("{key}: {{ {inner}: {value} }}"));
        for table in ["node", "events", "collector", "state", "api"] {
            let _ = read(&format!("{table}: {{ {inner}: \"{value}\" }}"));
        }
    }
}

#[test]
fn metrics_beyond_loopback_take_a_token() {
    let listens = |text: &str| read(text).unwrap().http.listen.map(|address| address.to_string());
    assert_eq!(listens(""), Some("127.0.0.1:9464".into()));
    assert_eq!(listens("http: { listen: off }"), None);
    for address in ["127.0.0.1:0", "127.9.9.9:1", "[::1]:9464", "[::ffff:127.0.0.1]:9464"] {
        assert_eq!(listens(&format!("http: {{ listen: \"{address}\" }}")), Some(address.into()));
    }
    for address in ["0.0.0.0:9464", "[::]:9464", "10.0.0.1:1", "[::ffff:10.0.0.1]:1"] {
        check(
            &format!("http: {{ listen: \"{address}\" }}"),
            &["1:17: whoever reaches this address could read the metrics"],
        );
        let text = format!("http: {{ listen: \"{address}\", token_file: /t }}");
        assert_eq!(listens(&text), Some(address.into()));
    }
    for address in ["localhost:9464", "9464", "127.0.0.1", "127.0.0.1:99999", "true"] {
        assert!(read(&format!("http: {{ listen: {address} }}")).is_err(), "{address}");
    }
    let dir = tempfile::tempdir().unwrap();
    let flags = |listen: &str| Flags {
        config: Some(file(&dir, "config.yaml", "", 0o600)),
        http: Some(values::listen(listen).unwrap()),
        ..Flags::default()
    };
    assert_eq!(flags("off").config(Trust::Anyone).unwrap().http.listen, None);
    let wrong = flags("0.0.0.0:9464").config(Trust::Anyone).unwrap_err().to_string();
    assert!(wrong.starts_with("--http: whoever reaches") && wrong.contains("help: set http.token_file"), "{wrong}");
}
