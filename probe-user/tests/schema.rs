//! Schema and decoder agree, key by key: what one takes the other takes, what one refuses the other refuses.
#![expect(clippy::expect_used, reason = "a test that cannot read its own files has failed")]

mod schema_check;

use std::sync::OnceLock;

use probe_user::diagnostic::{Diagnostics, Source};
use probe_user::policy::keys::FILE;
use probe_user::policy::{HostLabels, parse, schema};
use probe_user::yaml;
use probe_user::yaml::keys::{Key, Kind, State, Table};
use serde_json::Value;

static SCHEMA: OnceLock<Value> = OnceLock::new();

/// Whether the schema and the decoder take a file, and why not.
fn verdicts(text: &str) -> (Vec<String>, Vec<String>) {
    let source = Source::new("a.yaml", text);
    let tree = yaml::parse(&source, &mut Diagnostics::new()).unwrap_or_else(|| panic!("{text}"));
    let decoded = parse(&[source], &HostLabels::default(), &|_| true);
    let told = |diagnostics: Diagnostics| diagnostics.iter().map(ToString::to_string).collect();
    (schema_check::errors(SCHEMA.get_or_init(schema), &tree), decoded.err().map(told).unwrap_or_default())
}

#[track_caller]
fn check(text: &str, expected: bool) {
    let (schema, decoder) = verdicts(text);
    assert_eq!(schema.is_empty(), expected, "schema on {text}\n{schema:#?}");
    assert_eq!(decoder.is_empty(), expected, "decoder on {text}\n{decoder:#?}");
}

/// Every table that can be reached, each with a whole file around one LINE of it. What the tables above it need is there.
fn tables() -> Vec<(&'static Table, String)> {
    let mut found: Vec<(&'static Table, String)> = vec![(&FILE, "{ LINE }".to_owned())];
    let mut next = 0;
    while let Some((table, around)) = found.get(next).cloned() {
        next += 1;
        for key in table.keys.iter().filter(|key| key.is_usable()) {
            if let Some((inner, text)) = inner(&key.kind) {
                let line = format!("{}: {text}{}", key.name, rest(table, key.name));
                found.push((inner, around.replace("LINE", &line)));
            }
        }
    }
    found
}

/// The table that a value is or holds, and such a value around one LINE of it.
fn inner(kind: &Kind) -> Option<(&'static Table, String)> {
    match kind {
        Kind::OneOrMany(kind) | Kind::List(kind) => inner(kind),
        Kind::Table(table) => Some((table, "{ LINE }".to_owned())),
        // A group beside it is there to be somebody's parent.
        Kind::Named(name, kind) => inner(kind).map(|(table, text)| {
            (table, format!("{{ other: {{ match: {{ comm: x }} }}, {}: {text} }}", name.examples[0]))
        }),
        _ => None,
    }
}

/// What a table needs beside the key that is looked at.
fn rest(table: &Table, looked_at: &str) -> String {
    // A condition of healing goes with its limit.
    let partner = if looked_at == "clear_below" { Some(&"max") } else { table.one_of.first() };
    let partner = partner.filter(|_| !table.one_of.contains(&looked_at));
    let needed = |key: &&Key| key.state == State::Required || Some(&key.name) == partner;
    let others = table.keys.iter().filter(|key| needed(key) && key.name != looked_at);
    others.fold(String::new(), |rest, key| format!("{rest}, {}: {}", key.name, value(key.name, &key.kind)))
}

/// A right value of a key; names of groups must exist, and a `min` of 0 can never be breached.
fn value(name: &str, kind: &Kind) -> String {
    match (name, kind) {
        ("parent", _) => "other".to_owned(),
        ("min" | "max" | "clear_above" | "clear_below", Kind::Whole(..)) => "1".to_owned(),
        _ => kind.example(),
    }
}

#[test]
fn every_key_is_taken_by_both_and_nothing_else() {
    let tables = tables();
    assert_eq!(tables.len(), 2 + 3 + 12, "a table got lost");
    let mut looked_at = 0;
    for (table, around) in tables {
        for key in table.keys {
            let around = |line: &str| around.replace("LINE", &format!("{line}{}", rest(table, key.name)));
            let right = value(key.name, &key.kind);
            check(&around(&format!("{}: {right}", key.name)), key.is_usable());
            if key.is_usable() {
                looked_at += 1;
                check(&around(&format!("{0}: {right}, {0}x: {right}", key.name)), false);
                // No key takes an empty list, or a list of lists.
                check(&around(&format!("{}: []", key.name)), false);
                check(&around(&format!("{}: [[{right}]]", key.name)), false);
            }
        }
    }
    assert!(looked_at > 100, "{looked_at} keys");
}

#[test]
fn every_map_with_fixed_keys_is_closed() {
    fn walk(schema: &Value, closed: &mut usize) {
        if let Value::Object(object) = schema {
            if object.contains_key("properties") {
                assert_eq!(object.get("additionalProperties"), Some(&Value::Bool(false)), "{schema}");
                assert!(
                    object.get("description").is_some_and(|text| text.as_str().is_some_and(|text| !text.is_empty()))
                );
                *closed += 1;
            }
            for inner in object.values() {
                walk(inner, closed);
            }
        } else if let Value::Array(items) = schema {
            for inner in items {
                walk(inner, closed);
            }
        }
    }
    let mut closed = 0;
    walk(&schema(), &mut closed);
    // The file, a group, match, except, only_if, and the seven kinds of bounds: each once.
    assert_eq!(closed, 5 + 7);
}

#[test]
fn every_usable_key_is_explained() {
    for (table, _) in tables() {
        for key in table.keys.iter().filter(|key| key.is_usable()) {
            assert!(key.doc.ends_with('.') && key.doc.len() > 10, "{} of {}: {}", key.name, table.what, key.doc);
        }
    }
}
