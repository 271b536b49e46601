//! JSON as OTLP's values in the encoding of protobuf, in one pass: neither a tree of JSON nor one of messages is made in
//! between, which would be most of the cost of an event on its way out.
//!
//! Whole numbers stay whole up to 2^63 - 1, larger ones become doubles; null is a value without content. Order is kept.
//! The numbers of fields are those of opentelemetry/proto/common/v1/common.proto, which do not change; the tests decode
//! with the messages of OTLP's own crate.

use std::fmt;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Fields of `AnyValue`, one of which is there.
const STRING: u8 = 1;
const BOOL: u8 = 2;
const INT: u8 = 3;
const DOUBLE: u8 = 4;
const ARRAY: u8 = 5;
const KVLIST: u8 = 6;
/// `values` of `ArrayValue` and of `KeyValueList`.
const VALUES: u8 = 1;
/// Fields of `KeyValue`.
const KEY: u8 = 1;
const VALUE: u8 = 2;

/// How a field is encoded, in the low bits before it.
const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const LENGTH: u8 = 2;

/// Room for the attributes of most events.
const USUAL_BYTES: usize = 960;

/// A JSON object as a list of `KeyValue` in the field of this number, as the messages have it that have attributes.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Attributes<const FIELD: u8>(pub(super) Vec<u8>);

/// One attribute.
pub(super) fn key_value(key: impl Into<String>, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// One attribute that is text.
pub(super) fn text(key: impl Into<String>, value: impl Into<String>) -> KeyValue {
    key_value(key, Value::StringValue(value.into()))
}

/// Begins a message, or whatever else has its length before it, in the field of this number.
pub(super) fn begin(to: &mut Vec<u8>, field: u8) -> usize {
    // Most lengths take one byte.
    to.extend([field << 3 | LENGTH, 0]);
    to.len()
}

/// Ends what began there.
pub(super) fn end(to: &mut Vec<u8>, began: usize) {
    let length = to.len() - began;
    let Some(place) = began.checked_sub(1) else { return };
    if let (Ok(short @ ..0x80), Some(byte)) = (u8::try_from(length), to.get_mut(place)) {
        *byte = short;
        return;
    }
    let mut long = Vec::new();
    varint(&mut long, length as u64);
    to.splice(place..began, long);
}

fn varint(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    to.push(number.to_le_bytes()[0]);
}

fn string(to: &mut Vec<u8>, field: u8, text: &str) {
    to.push(field << 3 | LENGTH);
    varint(to, text.len() as u64);
    to.extend_from_slice(text.as_bytes());
}

impl<'de, const FIELD: u8> Deserialize<'de> for Attributes<FIELD> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut encoded = Vec::with_capacity(USUAL_BYTES);
        deserializer.deserialize_map(Pairs { field: FIELD, to: &mut encoded })?;
        Ok(Self(encoded))
    }
}

/// The content of an `AnyValue`.
struct Any<'a>(&'a mut Vec<u8>);

/// A text in the field of this number.
struct Text<'a> {
    field: u8,
    to: &'a mut Vec<u8>,
}

/// A JSON object as `KeyValue`s in the field of this number.
struct Pairs<'a> {
    field: u8,
    to: &'a mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Any<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Any<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.0.extend([BOOL << 3 | VARINT, value.into()]);
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.0.push(INT << 3 | VARINT);
        varint(self.0, value.cast_unsigned());
        Ok(())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        match i64::try_from(value) {
            Ok(value) => self.visit_i64(value),
            Err(_) => self.visit_f64(value as f64),
        }
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.0.push(DOUBLE << 3 | FIXED64);
        self.0.extend(value.to_le_bytes());
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        string(self.0, STRING, value);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let to = self.0;
        let array = begin(to, ARRAY);
        loop {
            let before = to.len();
            let value = begin(to, VALUES);
            if seq.next_element_seed(Any(to))?.is_none() {
                to.truncate(before);
                break;
            }
            end(to, value);
        }
        end(to, array);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let to = self.0;
        let list = begin(to, KVLIST);
        Pairs { field: VALUES, to }.visit_map(map)?;
        end(to, list);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Text<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Text<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        string(self.to, self.field, value);
        Ok(())
    }
}

impl<'de> Visitor<'de> for Pairs<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { field, to } = self;
        loop {
            let before = to.len();
            let pair = begin(to, field);
            if map.next_key_seed(Text { field: KEY, to })?.is_none() {
                to.truncate(before);
                return Ok(());
            }
            let value = begin(to, VALUE);
            map.next_value_seed(Any(to))?;
            end(to, value);
            end(to, pair);
        }
    }
}
