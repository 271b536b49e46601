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

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
use opentelemetry_proto::tonic::resource::v1::Resource;
use serde::Deserialize;

use super::any::{Attributes, key_value, text};

/// The instrumentation scope, and the name of the service.
pub(super) const SCOPE: &str = "procprobe";

/// An event as it is stored.
#[derive(Deserialize)]
struct Line {
    id: String,
    seq: u64,
    time: String,
    name: String,
    severity: String,
    body: String,
    host: Attributes,
    attributes: Attributes,
}

/// Of stored lines, in their order.
pub(super) fn request(lines: &[Bytes]) -> ExportLogsServiceRequest {
    let mut hosts: Vec<(Vec<KeyValue>, Vec<LogRecord>)> = Vec::new();
    for line in lines {
        let (host, record) = decoded(line).unwrap_or_else(|| {
            let host = hosts.last().map(|(host, _)| host.clone());
            (host.unwrap_or_default(), undecoded(line))
        });
        match hosts.last_mut() {
            Some((last, records)) if *last == host => records.push(record),
            _ => hosts.push((host, vec![record])),
        }
    }
    ExportLogsServiceRequest { resource_logs: hosts.into_iter().map(resource_logs).collect() }
}

/// `None`: it is no event.
fn decoded(line: &[u8]) -> Option<(Vec<KeyValue>, LogRecord)> {
    let line: Line = serde_json::from_slice(line).ok()?;
    let time: jiff::Timestamp = line.time.parse().ok()?;
    let time = u64::try_from(time.as_nanosecond()).ok()?;
    let mut attributes = line.attributes.0;
    attributes.push(text("log.record.uid", line.id));
    attributes.push(key_value("procprobe.seq", Value::IntValue(i64::try_from(line.seq).unwrap_or(i64::MAX))));
    let record = LogRecord {
        time_unix_nano: time,
        observed_time_unix_nano: time,
        severity_number: severity(&line.severity).into(),
        severity_text: line.severity,
        body: Some(AnyValue { value: Some(Value::StringValue(line.body)) }),
        attributes,
        event_name: line.name,
        ..LogRecord::default()
    };
    Some((line.host.0, record))
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

fn resource_logs((host, log_records): (Vec<KeyValue>, Vec<LogRecord>)) -> ResourceLogs {
    ResourceLogs {
        resource: Some(resource(host)),
        scope_logs: vec![ScopeLogs { scope: Some(scope()), log_records, ..ScopeLogs::default() }],
        ..ResourceLogs::default()
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
