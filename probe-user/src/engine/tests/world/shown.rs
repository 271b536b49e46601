//! Attributes as the tests write them.

use super::secs;
use crate::event::Attribute;
use crate::time::KTime;

/// An attribute as JSON, with times as seconds.
pub(in super::super) fn shown(attribute: &Attribute) -> String {
    match attribute {
        Attribute::Json(value) => value.to_string(),
        Attribute::Time(at) => secs(*at),
        Attribute::BootTime(ns) => secs(KTime(*ns)),
        Attribute::List(list) => {
            let list = list.iter().map(|attributes| {
                let pairs = attributes.0.iter().map(|(name, value)| format!("{name}={}", shown(value)));
                pairs.collect::<Vec<_>>().join(" ")
            });
            format!("[{}]", list.collect::<Vec<_>>().join(" | "))
        }
    }
}
