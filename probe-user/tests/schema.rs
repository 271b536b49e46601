//! Schema and decoder agree, key by key: what one takes the other takes, what one refuses the other refuses.
#![expect(clippy::expect_used, reason = "a test that cannot read its own files has failed")]

mod schema_check;

use std::fmt::Write as _;
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
                // Whatever a process does, it must have started; but for its start.
                let earlier = if key.name == "steps" { "[{ at: 0s, start: { pid: 2, exe: x } }, " } else { "[" };
                let around = if key.name == "start" {
                    around.replace(", start: { pid: 2", ", start: { pid: 3")
                } else {
                    around.clone()
                };
                found.push((inner, around.replace("LINE", &line.replacen("[{ LINE", &format!("{earlier}{{ LINE"), 1))));
            }
        }
    }
    found
}

/// The table that a value is or holds, and such a value around one LINE of it.
fn inner(kind: &Kind) -> Option<(&'static Table, String)> {
    match kind {
        Kind::OneOrMany(kind) => inner(kind),
        Kind::List(kind) | Kind::Names(kind) => inner(kind).map(|(table, text)| (table, format!("[{text}]"))),
        Kind::Table(table) => Some((table, "{ LINE }".to_owned())),
        Kind::Named(name, kind) => inner(kind).map(|(table, text)| {
            let beside = SUPPORT.iter().find(|(what, ..)| *what == table.what).map_or("", |(_, _, beside)| beside);
            (table, format!("{{ {beside}{}: {text} }}", name.examples[0]))
        }),
        _ => None,
    }
}

/// What is there to be named by others: the table, the key of the file, the entry.
const SUPPORT: [(&str, &str, &str); 4] = [
    ("a group", "groups", "other: { match: { comm: x }, count: { min: 1 } }, "),
    ("a job", "jobs", "nightly: { match: { user: [root, www-data] } }, "),
    ("a destination", "notify", "ops: { webhook: \"http://127.0.0.1/\" }, "),
    ("an action", "actions", "restart: { run: [/bin/true] }, "),
];

/// Keys that mean nothing without another one.
const PARTNERS: [(&str, &str, &str); 16] = [
    ("`start`", "args", "exe"),
    ("`start`", "kernel", "comm"),
    ("`start`", "copies", "exe"),
    ("`exit`", "killer", "signal"),
    ("`start`", "user", "exe"),
    ("`start`", "cgroup", "exe"),
    ("`job` of a step", "code", "lasts"),
    ("`job` of a step", "signal", "lasts"),
    ("a destination", "labels", "alertmanager"),
    ("an action", "then_kill_after", "signal"),
    ("a job", "timezone", "schedule"),
    ("a job", "start_within", "schedule"),
    ("a log", "quiet", "lines"),
    ("a bound on `runs`", "min", "within"),
    ("a bound on `runs`", "max", "within"),
    ("a bound on `runs`", "severity", "within"),
];

/// What a table needs beside the key that is looked at.
fn rest(table: &Table, looked_at: &str) -> String {
    let mut partners: Vec<&str> = PARTNERS
        .iter()
        .filter(|(what, key, _)| *what == table.what && *key == looked_at)
        .map(|(.., partner)| *partner)
        .collect();
    // A condition of healing goes with its limit.
    let limit = if ["clear_below", "for"].contains(&looked_at) { Some(&"max") } else { table.one_of.first() };
    partners.extend(limit.filter(|_| {
        !table.one_of.contains(&looked_at) && !partners.iter().any(|partner| table.one_of.contains(partner))
    }));
    let needed = |key: &&Key| key.state == State::Required || partners.contains(&key.name);
    let others = table.keys.iter().filter(|key| needed(key) && key.name != looked_at);
    let mut rest =
        others.fold(String::new(), |rest, key| format!("{rest}, {}: {}", key.name, value(key.name, &key.kind)));
    if table.what == "a policy file" {
        for (_, key, entry) in SUPPORT.iter().filter(|(_, key, _)| *key != looked_at) {
            let _ = write!(rest, ", {key}: {{ {entry} }}");
        }
    }
    rest
}

/// A right value of a key; what is named must exist, and a `min` of 0 can never be breached.
fn value(name: &str, kind: &Kind) -> String {
    match (name, kind) {
        ("notify", Kind::OneOrMany(_)) => "ops".to_owned(),
        ("act", _) => "restart".to_owned(),
        ("ignore", _) => "HealthCheck".to_owned(),
        ("exec", _) => "{ pid: 2, exe: x }".to_owned(),
        ("exit", _) => "{ pid: 2 }".to_owned(),
        ("usage", _) => "{ pid: 2, threads: 1 }".to_owned(),
        ("job", _) => "{ name: nightly }".to_owned(),
        ("steps", _) => "[{ at: 0s, start: { pid: 2, exe: x } }]".to_owned(),
        ("expect", _) => "[{ at: 0s, events: [] }]".to_owned(),
        ("match", Kind::Table(table)) if table.what == "`match` of peers" => "{ zone: a }".to_owned(),
        ("firing" | "resolved", _) => "[other.count.min]".to_owned(),
        ("actions", Kind::Names(_)) => "[restart]".to_owned(),
        ("name", Kind::Form(form)) if form.examples[0] == "nginx" => "nightly".to_owned(),
        ("parent" | "policies", Kind::OneOrMany(_)) => "other".to_owned(),
        ("runs", _) => "{ max: 1, within: 1m }".to_owned(),
        ("parent" | "min" | "max" | "clear_above" | "clear_below", Kind::Whole(..)) => "1".to_owned(),
        (_, Kind::Form(form)) => format!("{:?}", form.examples[0]),
        (_, Kind::OneOrMany(kind)) => value(name, kind),
        _ => kind.example(),
    }
}

#[test]
fn every_key_is_taken_by_both_and_nothing_else() {
    let tables = tables();
    // The file; a group with its three tables and 12 measures; a job with four, two measures and how it ends; a log with
    // two; the host with one and 12 measures; peers with two tables and three measures; a destination, an action; a test with
    // eight steps that are tables, four of which are about things by name, and what is expected.
    let tests = 1 + 1 + 8 + 4 + 1;
    assert_eq!(
        tables.len(),
        1 + (1 + 3 + 12) + (1 + 3 + 2 + 1) + (1 + 2) + (1 + 1 + 12) + (1 + 2 + 3) + 2 + tests,
        "a table got lost"
    );
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
                check(&around(&format!("{}: []", key.name)), matches!(key.kind, Kind::Names(_)));
                check(&around(&format!("{}: [[{right}]]", key.name)), false);
            }
        }
    }
    assert!(looked_at > 250, "{looked_at} keys");
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
    // The file, a group, match, except, only_if, and the seven kinds of bounds; a job, success and two bounds; a log and
    // its bound; the host and its eight kinds of bounds; peers, which of them, and their bound; a destination, an action; a
    // test, a step, its eight tables and three within the host's figures, an expectation: each once.
    assert_eq!(closed, 5 + 7 + 4 + 2 + 9 + 3 + 2 + 14);
}

#[test]
fn every_usable_key_is_explained() {
    for (table, _) in tables() {
        for key in table.keys.iter().filter(|key| key.is_usable()) {
            assert!(key.doc.ends_with('.') && key.doc.len() > 10, "{} of {}: {}", key.name, table.what, key.doc);
        }
    }
}
