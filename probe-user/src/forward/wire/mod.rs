//! What goes over the network: events as they are stored, turned into a request's body once a batch.
//!
//! - [`Protocol::Ndjson`]: the lines as they are, one event a line.
//! - [`Protocol::Otlp`]: an `ExportLogsServiceRequest` in protobuf ([`otlp_logs`]), and metrics beside it
//!   ([`otlp_metrics`]). What the answer says of it is read in [`answer`].
//!
//! Pure: bytes in, bytes out. Encoding cannot fail: a line that is no event (nobody writes one) goes as the body of a
//! record, and a body that cannot be compressed goes as it is.

pub(super) mod answer;
mod any;
mod compress;
mod otlp_logs;
pub(super) mod otlp_metrics;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use prost::Message;

/// What is sent to a collector, and how it is reached beside its URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wire {
    /// What is sent.
    pub protocol: Protocol,
    /// Of requests' bodies.
    pub compression: Compression,
    /// For https.
    pub tls: Tls,
    /// How often metrics are sent, where the protocol has them; `None`: never.
    pub metrics_interval: Option<Duration>,
}

/// What is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// POST of `application/x-ndjson`; any 2xx acknowledges the whole body.
    #[default]
    Ndjson,
    /// OTLP/HTTP with protobuf: logs for events, metrics for measures.
    Otlp,
}

/// The content type of OTLP.
const PROTOBUF: &str = "application/x-protobuf";

/// Of a request's body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// As it is.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// Files of TLS, all PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Authorities that are believed, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// This host's certificate, with those between it and its authority, and its key.
    pub client: Option<ClientFiles>,
}

/// What a collector that wants to know its clients is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientFiles {
    /// The certificate.
    pub cert_file: PathBuf,
    /// Its key; not readable by everybody.
    pub key_file: PathBuf,
}

impl Default for Wire {
    fn default() -> Self {
        Self {
            protocol: Protocol::default(),
            compression: Compression::default(),
            tls: Tls::default(),
            metrics_interval: Some(Duration::from_secs(15)),
        }
    }
}

/// A request's body, ready to be sent as often as it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Body {
    pub(super) bytes: Bytes,
    pub(super) content_type: &'static str,
    pub(super) content_encoding: Option<&'static str>,
    /// The same without its encoding, for a collector that does not know it.
    pub(super) plain: Bytes,
    /// How many events or points are in it.
    pub(super) records: u64,
}

impl Wire {
    /// Of stored lines, each one event as JSON with its newline.
    pub(super) fn encode(&self, lines: &[Bytes]) -> Body {
        let records = lines.len() as u64;
        match self.protocol {
            Protocol::Ndjson => {
                let mut plain = BytesMut::with_capacity(lines.iter().map(Bytes::len).sum());
                for line in lines {
                    plain.extend_from_slice(line);
                }
                self.body(plain.freeze(), "application/x-ndjson", records)
            }
            Protocol::Otlp => self.body(otlp_logs::request(lines).into(), PROTOBUF, records),
        }
    }

    /// Of an OTLP request.
    pub(super) fn protobuf(&self, message: &impl Message, records: u64) -> Body {
        self.body(message.encode_to_vec().into(), PROTOBUF, records)
    }

    fn body(&self, plain: Bytes, content_type: &'static str, records: u64) -> Body {
        let (bytes, content_encoding) = match compress::compress(self.compression, &plain) {
            Ok(Some((bytes, name))) => (bytes, Some(name)),
            Ok(None) => (plain.clone(), None),
            Err(error) => {
                tracing::debug!(%error, "a request's body cannot be compressed and goes as it is");
                (plain.clone(), None)
            }
        };
        Body { bytes, content_type, content_encoding, plain, records }
    }
}
