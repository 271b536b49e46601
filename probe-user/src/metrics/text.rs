//! Prometheus' text format 0.0.4, which every version of it reads.
//!
//! Names are our own and fit the format; the texts of labels come from outside and can hold anything: backslash, quote and
//! line feed are the three characters that the format has escaped, everything else stands as it is.

use std::fmt::Write as _;

use super::{Family, Kind};

/// For the `Content-Type` of an answer.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All families, one after the other.
pub fn text(families: &[Family]) -> String {
    let mut text = String::new();
    for family in families {
        let kind = match family.kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        };
        let _ = writeln!(text, "# HELP {} {}\n# TYPE {} {kind}", family.name, family.help, family.name);
        for point in &family.points {
            text.push_str(family.name);
            for (position, (name, value)) in point.labels.iter().enumerate() {
                text.push(if position == 0 { '{' } else { ',' });
                text.push_str(name);
                text.push_str("=\"");
                escape(&mut text, value);
                text.push('"');
            }
            if !point.labels.is_empty() {
                text.push('}');
            }
            let _ = writeln!(text, " {}", point.value);
        }
    }
    text
}

fn escape(text: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
}
