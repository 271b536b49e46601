//! What proves to a webhook that an event is from here and of now.
//!
//! Two headers: `X-Procprobe-Timestamp`, the seconds since 1970 at which this request was made, and `X-Procprobe-Signature:
//! sha256=<hex>`, the HMAC-SHA256 of timestamp, a full stop and the body, with the content of `secret_file` (without white
//! space at its ends) as the key. A receiver computes the same over the body as it came, compares in constant time, and
//! refuses a timestamp that is more than a few minutes off: what was overheard cannot be sent again later.

use std::fmt::Write as _;

use ring::hmac;

pub(super) const TIMESTAMP: &str = "X-Procprobe-Timestamp";
pub(super) const SIGNATURE: &str = "X-Procprobe-Signature";

/// The value of the header.
pub(super) fn of(key: &[u8], timestamp: i64, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    context.update(format!("{timestamp}.").as_bytes());
    context.update(body);
    let mut value = "sha256=".to_owned();
    for byte in context.sign().as_ref() {
        let _ = write!(value, "{byte:02x}");
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anyone_can_compute_it() {
        // printf '%s' '1700000000.{"a":1}' | openssl dgst -sha256 -hmac key
        let expected = "a438e398bfafc57e4396bb7fc2304422f0f768e965d073ca313cb52e22e6ad03";
        assert_eq!(of(b"key", 1_700_000_000, br#"{"a":1}"#), format!("sha256={expected}"));
        assert_ne!(of(b"key", 1_700_000_001, br#"{"a":1}"#), format!("sha256={expected}"));
        assert_ne!(of(b"kex", 1_700_000_000, br#"{"a":1}"#), format!("sha256={expected}"));
    }
}
