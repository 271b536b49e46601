//! What an OTLP collector's answer says beside its status. Pure; hostile bytes give an error, never more.
//!
//! Logs and metrics differ in nothing but a name in JSON: in protobuf both have the count of what was rejected as field 1
//! and a sentence as field 2 of the partial success.

use prost::Message;
use serde::Deserialize;
use serde_json::Value;

/// What a 2xx says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::forward) enum Said {
    /// All is taken.
    Whole,
    /// All is taken, with a remark.
    Remark(String),
    /// So many records are refused for good.
    Refused(u64, String),
    /// It is not what the protocol asks for; the status counts.
    Garbage(String),
}

#[derive(Clone, PartialEq, Message)]
struct Response {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

/// `google.rpc.Status`, the body of refusals.
#[derive(Clone, PartialEq, Eq, Message, Deserialize)]
struct Status {
    #[prost(int32, tag = "1")]
    #[serde(default)]
    code: i32,
    #[prost(string, tag = "2")]
    #[serde(default)]
    message: String,
}

/// Reads a 2xx's body.
pub(in crate::forward) fn success(content_type: Option<&str>, body: &[u8]) -> Said {
    if body.is_empty() {
        return Said::Whole;
    }
    let partial = match kind(content_type) {
        Some(Kind::Protobuf) => Response::decode(body).map(|said| said.partial_success).map_err(|e| e.to_string()),
        Some(Kind::Json) => json(body),
        None => Err(format!("the content type is {}", content_type.map_or("missing".into(), crate::event::clean))),
    };
    match partial {
        Ok(None) => Said::Whole,
        Ok(Some(PartialSuccess { rejected: 0, error_message })) if error_message.is_empty() => Said::Whole,
        Ok(Some(PartialSuccess { rejected: 0, error_message })) => Said::Remark(error_message),
        Ok(Some(PartialSuccess { rejected, error_message })) => match u64::try_from(rejected) {
            Ok(rejected) => Said::Refused(rejected, error_message),
            Err(_) => Said::Garbage(format!("{rejected} records rejected")),
        },
        Err(why) => Said::Garbage(why),
    }
}

/// The sentence of a refusal, where there is one.
pub(in crate::forward) fn refusal(content_type: Option<&str>, body: &[u8]) -> Option<String> {
    let status = match kind(content_type)? {
        Kind::Protobuf => Status::decode(body).ok()?,
        Kind::Json => serde_json::from_slice(body).ok()?,
    };
    Some(status.message).filter(|message| !message.is_empty())
}

enum Kind {
    Protobuf,
    Json,
}

fn kind(content_type: Option<&str>) -> Option<Kind> {
    match content_type?.split(';').next()?.trim().to_ascii_lowercase().as_str() {
        "application/x-protobuf" | "application/protobuf" => Some(Kind::Protobuf),
        "application/json" => Some(Kind::Json),
        _ => None,
    }
}

/// Protobuf's JSON writes 64-bit numbers as text, and people's servers as numbers.
fn json(body: &[u8]) -> Result<Option<PartialSuccess>, String> {
    let said: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let partial = match said.get("partialSuccess").or_else(|| said.get("partial_success")) {
        _ if !said.is_object() => return Err("the JSON is no object".into()),
        None | Some(Value::Null) => return Ok(None),
        Some(partial) => partial,
    };
    let names = ["rejectedLogRecords", "rejected_log_records", "rejectedDataPoints", "rejected_data_points"];
    let rejected = match names.iter().find_map(|name| partial.get(name)) {
        None => 0,
        Some(Value::String(text)) => text.parse().map_err(|_| "the number of rejected records is none".to_owned())?,
        Some(number) => number.as_i64().ok_or("the number of rejected records is none")?,
    };
    let message = ["errorMessage", "error_message"].iter().find_map(|name| partial.get(name)?.as_str());
    Ok(Some(PartialSuccess { rejected, error_message: message.unwrap_or_default().to_owned() }))
}
