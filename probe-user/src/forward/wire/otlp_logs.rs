//! Events as OTLP log records.
//!
//! | of an event | becomes |
//! |---|---|
//! | `host.*`, `boot.id` | the resource, with `service.name` and `service.version`; one for each run of events of one boot |
//! | `time` | time and observed time: a repeat is the same to the last byte |
//! | `name` | event name |
//! | `severity` | its text, and INFO (9), WARN (13) or, for critical, ERROR2 (18) as OpenTelemetry maps syslog's |
//! | `body` | body |
//! | `attributes` | attributes; lists and maps stay such |
//! | `id`, `seq` | the attributes `log.record.uid` and `procprobe.seq` |

use std::borrow::Cow;

use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ScopeLogs, SeverityNumber};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use serde::Deserialize;

use super::any::{Attributes, begin, end, key_value, text};

/// The instrumentation scope, and the name of the service.
pub(super) const SCOPE: &str = "procprobe";

/// Of the lists of messages and of what has attributes, as their .proto files number the fields.
const RESOURCE_LOGS: u8 = 1;
const RESOURCE: u8 = 1;
const RESOURCE_ATTRIBUTES: u8 = 1;
const SCOPE_LOGS: u8 = 2;
const LOG_RECORDS: u8 = 2;
const RECORD_ATTRIBUTES: u8 = 6;

/// An event as it is stored.
#[derive(Deserialize)]
struct Line<'a> {
    id: String,
    seq: u64,
    #[serde(borrow)]
    time: Cow<'a, str>,
    name: String,
    severity: String,
    body: String,
    host: Host,
    attributes: Attributes<RECORD_ATTRIBUTES>,
}

/// What the host's fields become.
type Host = Attributes<RESOURCE_ATTRIBUTES>;

/// An `ExportLogsServiceRequest` of stored lines, in their order. Each record is encoded as soon as it is made: a batch of
/// them as messages takes ten times the memory of its text.
///
/// A message's fields may come in any order and number of pieces: what is no list is encoded by the messages of OTLP's own
/// crate, which have empty lists then, and the lists are put beside it.
pub(super) fn request(lines: &[Bytes]) -> Vec<u8> {
    let mut request = Vec::with_capacity(lines.iter().map(Bytes::len).sum());
    let mut lines = lines.iter().peekable();
    while let Some(first) = lines.peek() {
        let host = decoded(first).map(|(host, ..)| host).unwrap_or_default();
        let logs = begin(&mut request, RESOURCE_LOGS);
        put_resource(&mut request, &host);
        let scope_logs = begin(&mut request, SCOPE_LOGS);
        put(&mut request, &ScopeLogs { scope: Some(scope()), ..ScopeLogs::default() });
        while let Some(line) = lines.peek() {
            let decoded = decoded(line);
            if decoded.as_ref().is_some_and(|(from, ..)| *from != host) {
                break;
            }
            let began = begin(&mut request, LOG_RECORDS);
            match decoded {
                Some((_, record, attributes)) => {
                    request.extend_from_slice(&attributes.0);
                    put(&mut request, &record);
                }
                None => put(&mut request, &undecoded(line)),
            }
            end(&mut request, began);
            lines.next();
        }
        end(&mut request, scope_logs);
        end(&mut request, logs);
    }
    request
}

/// Appends the fields of a message.
fn put(to: &mut Vec<u8>, message: &impl Message) {
    // A vector has room for everything.
    let _ = message.encode(to);
}

fn put_resource(to: &mut Vec<u8>, host: &Host) {
    let began = begin(to, RESOURCE);
    to.extend_from_slice(&host.0);
    put(to, &resource(Vec::new()));
    end(to, began);
}

/// From whom, the record, and its attributes but for id and number, which the record has. `None`: it is no event.
fn decoded(line: &[u8]) -> Option<(Host, LogRecord, Attributes<RECORD_ATTRIBUTES>)> {
    let line: Line<'_> = serde_json::from_slice(line).ok()?;
    let time: jiff::Timestamp = line.time.parse().ok()?;
    let time = u64::try_from(time.as_nanosecond()).ok()?;
    let seq = Value::IntValue(i64::try_from(line.seq).unwrap_or(i64::MAX));
    let record = LogRecord {
        time_unix_nano: time,
        observed_time_unix_nano: time,
        severity_number: severity(&line.severity).into(),
        severity_text: line.severity,
        body: Some(AnyValue { value: Some(Value::StringValue(line.body)) }),
        attributes: vec![text("log.record.uid", line.id), key_value("procprobe.seq", seq)],
        event_name: line.name,
        ..LogRecord::default()
    };
    Some((line.host, record, line.attributes))
}

/// A line that is no event still arrives.
fn undecoded(line: &[u8]) -> LogRecord {
    let body = crate::event::clean(String::from_utf8_lossy(line).trim_end());
    LogRecord {
        body: Some(AnyValue { value: Some(Value::StringValue(body)) }),
        attributes: vec![key_value("procprobe.undecoded", Value::BoolValue(true))],
        ..LogRecord::default()
    }
}

fn severity(word: &str) -> SeverityNumber {
    match word {
        "info" => SeverityNumber::Info,
        "warning" => SeverityNumber::Warn,
        "critical" => SeverityNumber::Error2,
        _ => SeverityNumber::Unspecified,
    }
}

/// The host's own fields with what makes a service of it.
pub(super) fn resource(mut host: Vec<KeyValue>) -> Resource {
    host.push(text("service.name", SCOPE));
    host.push(text("service.version", env!("CARGO_PKG_VERSION")));
    Resource { attributes: host, ..Resource::default() }
}

pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: SCOPE.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}
