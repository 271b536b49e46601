//! Reads a log: files, what is looked for in their lines, and bounds on how many there are.

use std::sync::Arc;

use super::{Draft, Origin, body, conditions, response, unique};
use crate::diagnostic::quoted;
use crate::policy::glob::Glob;
use crate::policy::keys::{KEYWORD, LOG, LOG_PATH, LOG_REGEX};
use crate::policy::limits;
use crate::policy::lines::Matcher;
use crate::policy::matching::regex;
use crate::policy::spec::{Log, Measure, Response};
use crate::yaml::{Decoder, Entry, Fields, Node};

/// Longest keyword, in bytes.
const KEYWORD_MAX: usize = 1024;

/// A log as its file declares it.
pub(super) fn read<'s>(d: &mut Decoder<'_>, origin: Origin<'s>, entry: &Entry) -> Draft<'s, Log> {
    let log = Log {
        name: Arc::from(&*entry.key),
        declared: origin.source.declared(entry.span),
        paths: Vec::new(),
        any: Vec::new(),
        regex: Vec::new(),
        ignore: Vec::new(),
        bounds: Vec::new(),
        quiet: None,
        response: Response::default(),
    };
    let mut draft = origin.draft(entry.span, log);
    if let Some(fields) = d.fields(&body(entry), &LOG) {
        fill(d, &fields, &mut draft);
    }
    draft
}

fn fill(d: &mut Decoder<'_>, fields: &Fields<'_>, draft: &mut Draft<'_, Log>) {
    let log = &mut draft.item;
    log.paths = once(d, fields, "path", |d, node| d.form(node, &LOG_PATH, |text| log_path(text).map(Arc::from)));
    log.any = once(d, fields, "any", keyword);
    log.ignore = once(d, fields, "ignore", keyword);
    log.regex =
        once(d, fields, "regex", |d, node| d.form(node, &LOG_REGEX, |text| regex(text).map(|_| Arc::from(text))));
    never(d, fields, log);
    // Each compiles by itself, or it would not be here; together they may be too large.
    if let Err(error) = Matcher::new(log)
        && let Some(entry) = fields.entry(error.key())
    {
        d.error_help(entry.span, error.to_string(), "spread them over several logs");
    }
    draft.conditions = conditions(d, fields);
    if let Some(node) = fields.get("lines") {
        limits::bounds(d, Measure::Lines, node, &mut log.bounds);
    }
    log.quiet = fields.get("quiet").and_then(|node| d.some_duration(node));
    if let Some(entry) = fields.entry("quiet").filter(|_| fields.get("lines").is_none()) {
        d.error_help(entry.span, "`quiet` without `lines`", "there is no alarm that silence could follow");
    }
    log.response = response::read(d, fields, &mut draft.names);
}

/// The values of a key, each of which may be given once.
fn once(
    d: &mut Decoder<'_>,
    fields: &Fields<'_>,
    name: &str,
    read: impl FnMut(&mut Decoder<'_>, &Node) -> Option<Arc<str>>,
) -> Vec<Arc<str>> {
    let Some(node) = fields.get(name) else { return Vec::new() };
    let items = d.one_or_many(node);
    unique(d, items, read).into_iter().map(|(value, _)| value).collect()
}

/// A pattern on paths that can exist: absolute, without "." and ".." in it.
fn log_path(text: &str) -> Result<&str, String> {
    if !text.starts_with('/') {
        return Err("real paths are absolute: they begin with a /".to_owned());
    }
    if text.contains(|c: char| c.is_control()) {
        return Err("it has control characters in it".to_owned());
    }
    if text.split('/').any(|part| matches!(part, "." | "..")) {
        return Err("a path without . and .. in it".to_owned());
    }
    if text.ends_with('/') {
        return Err(format!("that is a folder; its files are {text}*"));
    }
    Glob::path(text).map(|_| text).map_err(|error| error.to_string())
}

fn keyword(d: &mut Decoder<'_>, node: &Node) -> Option<Arc<str>> {
    d.form(node, &KEYWORD, |text| match text {
        "" => Err("an empty keyword is in every line".to_owned()),
        _ if text.contains(['\n', '\r', '\0']) => Err("a line has no line breaks and no NUL in it".to_owned()),
        _ if text.len() > KEYWORD_MAX => {
            Err(format!("it has {} bytes, more than the {KEYWORD_MAX} that are allowed", text.len()))
        }
        _ => Ok(Arc::from(text)),
    })
}

/// Tells keywords that an ignored word takes out again in every line.
fn never(d: &mut Decoder<'_>, fields: &Fields<'_>, log: &Log) {
    for item in fields.get("any").map(Node::items).into_iter().flatten() {
        let crate::yaml::Value::Scalar(scalar) = &item.value else { continue };
        if let Some(word) = log.ignore.iter().find(|word| scalar.text.contains(&***word)) {
            let message = format!("{} can never match: `ignore` has {}", quoted(&scalar.text), quoted(word));
            d.error_help(item.span, message, "take one of them out");
        }
    }
}
