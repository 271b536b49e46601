//! What is sent, decoded again, and what answers are taken to say.

use std::io::Read as _;
use std::sync::Arc;

use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::answer::{Said, refusal, success};
use super::*;
use crate::event::{Attributes, Host, Severity, Stamped};
use crate::stamp;
use crate::time::{ClockReading, KTime, Wall};

fn stamped(seq: u64, boot: &str, severity: Severity, attributes: Value) -> Stamped {
    let Value::Object(given) = attributes else { panic!("attributes are an object") };
    let mut attributes = Attributes::default();
    for (name, value) in given {
        attributes.put(Box::leak(name.into_boxed_str()), value);
    }
    Stamped {
        id: format!("h:{boot}:{seq:012}"),
        seq,
        time: "2026-11-21T22:00:00.123456789Z".into(),
        name: "procprobe.policy.firing",
        severity,
        body: format!("event \"{seq}\" — ünï"),
        host: Arc::new(Host { name: "web-1".into(), id: "h".into(), boot_id: boot.into() }),
        attributes,
        clock: ClockReading { mono: KTime(0), boot_ns: 0, wall: Wall(0) },
    }
}

fn otlp(compression: Compression) -> Wire {
    Wire { protocol: Protocol::Otlp, compression, ..Wire::default() }
}

fn decode(body: &Body) -> ExportLogsServiceRequest {
    let plain = match body.content_encoding {
        None => body.bytes.to_vec(),
        Some("zstd") => zstd::bulk::decompress(&body.bytes, 1 << 24).unwrap(),
        Some("gzip") => {
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(&*body.bytes).read_to_end(&mut plain).unwrap();
            plain
        }
        Some(other) => panic!("{other}"),
    };
    ExportLogsServiceRequest::decode(&*plain).unwrap()
}

/// OTLP's values as JSON again.
fn value(any: &AnyValue) -> Value {
    match &any.value {
        None => Value::Null,
        Some(Any::StringValue(text)) => json!(text),
        Some(Any::BoolValue(truth)) => json!(truth),
        Some(Any::IntValue(number)) => json!(number),
        Some(Any::DoubleValue(number)) => json!(number),
        Some(Any::ArrayValue(list)) => list.values.iter().map(value).collect(),
        Some(Any::KvlistValue(list)) => attributes(&list.values),
        Some(other) => panic!("{other:?}"),
    }
}

fn attributes(list: &[KeyValue]) -> Value {
    Value::Object(list.iter().map(|one| (one.key.clone(), one.value.as_ref().map_or(Value::Null, value))).collect())
}

#[test]
fn an_event_is_a_log_record() {
    let evidence = json!([{"process.pid": 4211, "oom": false, "nested": {"list": [1, 2.5, null, "x"], "empty": []}}]);
    let given = json!({"policy.name": "nginx", "limit": 2, "share": 0.5, "evidence": evidence, "degraded": false,
                       "below": -3, "huge": u64::MAX});
    let line = stamp::line(&stamped(421, "b", Severity::Critical, given.clone())).unwrap();
    let body = otlp(Compression::None).encode(&[line]);
    assert_eq!((body.content_type, body.content_encoding, body.records), ("application/x-protobuf", None, 1));
    let request = decode(&body);
    let [logs] = &request.resource_logs[..] else { panic!("{request:?}") };
    assert_eq!(
        attributes(&logs.resource.as_ref().unwrap().attributes),
        json!({"host.name": "web-1", "host.id": "h", "boot.id": "b", "service.name": "procprobe",
               "service.version": env!("CARGO_PKG_VERSION")})
    );
    let [scope] = &logs.scope_logs[..] else { panic!("{logs:?}") };
    assert_eq!(scope.scope.as_ref().unwrap().name, "procprobe");
    let [record] = &scope.log_records[..] else { panic!("{scope:?}") };
    assert_eq!(record.time_unix_nano, 1_795_298_400_123_456_789);
    assert_eq!(record.observed_time_unix_nano, record.time_unix_nano);
    assert_eq!((record.severity_number, &*record.severity_text), (18, "critical"));
    assert_eq!(record.event_name, "procprobe.policy.firing");
    assert_eq!(value(record.body.as_ref().unwrap()), json!("event \"421\" — ünï"));
    let mut expected = given;
    expected["huge"] = json!(1.844_674_407_370_955_2e19);
    expected["log.record.uid"] = json!("h:b:000000000421");
    expected["procprobe.seq"] = json!(421);
    assert_eq!(attributes(&record.attributes), expected);
}

#[test]
fn severities_have_opentelemetrys_numbers() {
    for (severity, number) in [(Severity::Info, 9), (Severity::Warning, 13), (Severity::Critical, 18)] {
        let line = stamp::line(&stamped(1, "b", severity, json!({}))).unwrap();
        let record =
            decode(&otlp(Compression::None).encode(&[line])).resource_logs[0].scope_logs[0].log_records[0].clone();
        assert_eq!((record.severity_number, &*record.severity_text), (number, severity.as_str()));
    }
}

/// Boots in the order of the lines, with the numbers of their events.
fn check(boots: &[&str], expected: &[(&str, &[i64])]) {
    let lines: Vec<_> = (1..).zip(boots).map(|(seq, boot)| line(seq, boot)).collect();
    let request = decode(&otlp(Compression::None).encode(&lines));
    let found: Vec<(String, Vec<i64>)> = request
        .resource_logs
        .iter()
        .map(|logs| {
            let host = attributes(&logs.resource.as_ref().unwrap().attributes);
            let records = &logs.scope_logs[0].log_records;
            let seqs = records.iter().map(|one| attributes(&one.attributes)["procprobe.seq"].as_i64().unwrap_or(-1));
            (host["boot.id"].as_str().unwrap_or_default().to_owned(), seqs.collect())
        })
        .collect();
    let expected: Vec<_> = expected.iter().map(|(boot, seqs)| ((*boot).to_owned(), seqs.to_vec())).collect();
    assert_eq!(found, expected);
}

fn line(seq: u64, boot: &str) -> Bytes {
    match boot {
        "?" => Bytes::from_static(b"{\"id\": 7, \x1b\xff\n"),
        boot => stamp::line(&stamped(seq, boot, Severity::Info, json!({}))).unwrap(),
    }
}

#[test]
fn each_run_of_a_boot_is_a_resource() {
    check(&[], &[]);
    check(&["a", "a", "a"], &[("a", &[1, 2, 3])]);
    check(&["a", "b", "b", "a"], &[("a", &[1]), ("b", &[2, 3]), ("a", &[4])]);
}

#[test]
fn a_line_that_is_no_event_arrives_all_the_same() {
    check(&["a", "?", "a"], &[("a", &[1, -1, 3])]);
    check(&["?", "a"], &[("", &[-1]), ("a", &[2])]);
    let request = decode(&otlp(Compression::None).encode(&[line(1, "?")]));
    let record = &request.resource_logs[0].scope_logs[0].log_records[0];
    assert_eq!(value(record.body.as_ref().unwrap()), json!("{\"id\": 7, \\x1b\u{fffd}"));
    assert_eq!(attributes(&record.attributes), json!({"procprobe.undecoded": true}));
}

#[test]
fn compressed_or_not_it_is_the_same() {
    let lines: Vec<_> = (1..200).map(|seq| line(seq, "a")).collect();
    let plain = otlp(Compression::None).encode(&lines);
    for compression in [Compression::Gzip, Compression::Zstd] {
        let body = otlp(compression).encode(&lines);
        assert!(body.bytes.len() * 10 < plain.bytes.len(), "{compression:?}: {}", body.bytes.len());
        assert_eq!(decode(&body), decode(&plain));
    }
    let ndjson = Wire { compression: Compression::Zstd, ..Wire::default() }.encode(&lines);
    assert_eq!((ndjson.content_type, ndjson.content_encoding), ("application/x-ndjson", Some("zstd")));
    assert_eq!(zstd::bulk::decompress(&ndjson.bytes, 1 << 24).unwrap(), lines.concat());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e300..1e300_f64).prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[a-z.]{1,6}", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_attribute_survives(given in prop::collection::btree_map("[a-z]{1,8}", any_json(), 0..6)) {
        let given = Value::Object(given.into_iter().collect());
        let line = stamp::line(&stamped(1, "b", Severity::Info, given.clone())).unwrap();
        let request = decode(&otlp(Compression::None).encode(&[line]));
        let mut found = attributes(&request.resource_logs[0].scope_logs[0].log_records[0].attributes);
        for own in ["log.record.uid", "procprobe.seq"] {
            prop_assert!(found.as_object_mut().unwrap().remove(own).is_some());
        }
        prop_assert_eq!(found, given);
    }

    #[test]
    fn any_bytes_are_sent_as_something(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..5)) {
        let lines: Vec<_> = lines.into_iter().map(Bytes::from).collect();
        let request = decode(&otlp(Compression::None).encode(&lines));
        let records: usize = request.resource_logs.iter().map(|logs| logs.scope_logs[0].log_records.len()).sum();
        prop_assert_eq!(records, lines.len());
    }

    #[test]
    fn any_answer_is_read_or_told(body in prop::collection::vec(any::<u8>(), 0..80), text in "\\PC{0,80}") {
        for kind in [None, Some("application/x-protobuf"), Some("application/json"), Some("text/html")] {
            for body in [&body[..], text.as_bytes()] {
                let (_, _) = (success(kind, body), refusal(kind, body));
            }
        }
    }
}

#[test]
fn an_acknowledgement_says_what_was_refused() {
    let protobuf = |rejected_log_records, error_message: &str| {
        let error_message = error_message.to_owned();
        let partial_success = Some(ExportLogsPartialSuccess { rejected_log_records, error_message });
        ExportLogsServiceResponse { partial_success }.encode_to_vec()
    };
    let refused = |count, why: &str| Said::Refused(count, why.into());
    let check = |kind: &str, body: &[u8], expected: Said| {
        assert_eq!(success(Some(kind), body), expected, "{kind}: {}", String::from_utf8_lossy(body));
    };
    check("application/x-protobuf", b"", Said::Whole);
    check("text/html", b"", Said::Whole);
    check("application/x-protobuf", &protobuf(0, ""), Said::Whole);
    check("Application/X-Protobuf; v=1", &protobuf(3, "too old"), refused(3, "too old"));
    check("application/x-protobuf", &protobuf(0, "slow down"), Said::Remark("slow down".into()));
    check("application/x-protobuf", &protobuf(-1, ""), Said::Garbage("-1 records rejected".into()));
    check("application/json", b"{}", Said::Whole);
    check("application/json", br#"{"partialSuccess":null}"#, Said::Whole);
    check(
        "application/json",
        br#"{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"no"}}"#,
        refused(2, "no"),
    );
    check("application/json", br#"{"partialSuccess":{"rejectedLogRecords":2}}"#, refused(2, ""));
    check("application/json", br#"{"partialSuccess":{"rejectedDataPoints":"1"}}"#, refused(1, ""));
    for (kind, body) in [
        ("application/x-protobuf", &b"<html>"[..]),
        ("application/json", b"<html>"),
        ("application/json", b"[]"),
        ("application/json", br#"{"partialSuccess":{"rejectedLogRecords":"many"}}"#),
        ("text/html", b"OK"),
    ] {
        assert!(matches!(success(Some(kind), body), Said::Garbage(_)), "{kind}");
    }
    assert!(matches!(success(None, b"OK"), Said::Garbage(_)));
}

#[test]
fn a_refusal_has_its_sentence() {
    // code = 3, message = "no"
    let protobuf = [0x08, 3, 0x12, 2, b'n', b'o'];
    assert_eq!(refusal(Some("application/x-protobuf"), &protobuf).as_deref(), Some("no"));
    assert_eq!(refusal(Some("application/json"), br#"{"code":3,"message":"no"}"#).as_deref(), Some("no"));
    for (kind, body) in [(Some("text/plain"), &b"no"[..]), (None, b"no"), (Some("application/json"), b"no")] {
        assert_eq!(refusal(kind, body), None);
    }
}
