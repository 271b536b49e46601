//! Reads one policy file into drafts: groups that are right by themselves, not yet held against each other.

use std::sync::Arc;
use std::time::Duration;

use super::glob::Glob;
use super::keys::{self, FILE, GROUP, HOST, MODES, NAME, PATH_FORM};
use super::matching::{Parent, selector, valid_name};
use super::spec::{Group, Measure, Response, Selector};
use super::{HostLabels, limits};
use crate::diagnostic::{Diagnostic, Diagnostics, Source, Span};
use crate::yaml::{self, Decoder, Entry, Node, Value};

/// Shortest time between two tellings of one alarm.
const REPEAT_MIN: Duration = Duration::from_secs(1);

/// A group as its file declares it.
#[derive(Debug)]
pub(super) struct Draft<'s> {
    pub(super) source: &'s Source,
    /// Where its name stands.
    pub(super) span: Span,
    pub(super) group: Group,
    /// Groups that `match` names: they must exist, and must not go round in a circle.
    pub(super) parents: Vec<Parent>,
    /// Groups that `except` names: they must exist.
    pub(super) except_parents: Vec<Parent>,
    /// All must hold, or the group is not loaded.
    pub(super) conditions: Vec<Condition>,
    /// `hosts` lets the file apply here.
    pub(super) applies: bool,
}

/// One condition of `only_if`: one of these paths exists.
#[derive(Debug)]
pub(super) struct Condition {
    pub(super) span: Span,
    pub(super) paths: Vec<String>,
}

/// The drafts of one file. A group that is wrong in parts is a draft all the same, so that others may name it.
pub(super) fn drafts<'s>(
    source: &'s Source,
    host: &HostLabels,
    diagnostics: &mut Diagnostics,
    notes: &mut Vec<Diagnostic>,
) -> Vec<Draft<'s>> {
    let Some(tree) = yaml::parse(source, diagnostics) else { return Vec::new() };
    let mut d = Decoder::new(source, diagnostics);
    let Some(fields) = d.fields(&tree, &FILE) else { return Vec::new() };
    if let Some(node) = fields.get("version") {
        version(&mut d, node);
    }
    let mut applies = true;
    if let Some(entry) = fields.entry("hosts") {
        // Every pattern is read, for its errors, also after one that matches.
        let patterns = d.one_or_many(&entry.value);
        let matched: Vec<bool> = patterns.iter().filter_map(|node| host_pattern(&mut d, node, host)).collect();
        applies = matched.contains(&true);
        if !applies {
            let message = format!("not for this host: no pattern matches its name {:?} or its labels", host.name);
            notes.push(Diagnostic::at(source, entry.span, message));
        }
    }
    let Some(groups) = fields.get("groups") else { return Vec::new() };
    let entries = d.entries(groups, "groups by name (a map)", "`nginx: { match: { exe: nginx }, count: { min: 1 } }`");
    entries.iter().map(|entry| Draft { applies, ..draft(&mut d, source, entry) }).collect()
}

fn version(d: &mut Decoder<'_>, node: &Node) {
    let is_known = matches!(&node.value, Value::Scalar(scalar) if scalar.plain && scalar.text == "1");
    if !is_known {
        d.wrong(node, "version 1 of the policy language", "write `version: 1`");
    }
}

/// Whether a pattern matches this host.
fn host_pattern(d: &mut Decoder<'_>, node: &Node, host: &HostLabels) -> Option<bool> {
    let glob = d.form(node, &HOST, |text| Glob::name(text).map_err(|error| error.to_string()))?;
    Some(if glob.as_str().contains('=') {
        host.labels.iter().any(|(key, value)| glob.is_match(&format!("{key}={value}")))
    } else {
        glob.is_match(&host.name)
    })
}

fn draft<'s>(d: &mut Decoder<'_>, source: &'s Source, entry: &Entry) -> Draft<'s> {
    if let Err(help) = valid_name(&entry.key) {
        let message = format!("{} cannot be the name of a group", crate::diagnostic::quoted(&entry.key));
        d.error_help(entry.span, message, format!("{help}, such as {}", yaml::decode::listed(NAME.examples)));
    }
    let mut draft = Draft {
        source,
        span: entry.span,
        group: Group {
            name: Arc::from(&*entry.key),
            declared: source.declared(entry.span),
            select: Selector::default(),
            except: None,
            include_children: false,
            bounds: Vec::new(),
            response: Response::default(),
            events: true,
        },
        parents: Vec::new(),
        except_parents: Vec::new(),
        conditions: Vec::new(),
        applies: true,
    };
    // Nothing after a name reads as a map without keys, and the keys that it needs are then missing at the name.
    let body =
        Node { span: if entry.value.is_nothing() { entry.span } else { entry.value.span }, ..entry.value.clone() };
    if let Some(fields) = d.fields(&body, &GROUP) {
        fill(d, &fields, &mut draft);
    }
    draft
}

fn fill(d: &mut Decoder<'_>, fields: &yaml::Fields<'_>, draft: &mut Draft<'_>) {
    let group = &mut draft.group;
    if let Some(fields) = fields.get("match").and_then(|node| d.fields(node, &keys::MATCH)) {
        (group.select, draft.parents) = selector(d, &fields);
        if fields.iter().all(|(key, _)| key.name == "kernel_threads")
            && !fields.is_empty()
            && !group.select.kernel_threads
        {
            let help = "to match every process write comm: \"*\"";
            d.error_help(fields.span, "`match` says only what is not matched", help);
        }
    }
    if let Some(fields) = fields.get("except").and_then(|node| d.fields(node, &keys::EXCEPT)) {
        let (mut except, parents) = selector(d, &fields);
        // A selector looks either at kernel threads or at all else: what is taken out is of the kind that is in.
        except.kernel_threads = group.select.kernel_threads;
        group.except = Some(except);
        draft.except_parents = parents;
    }
    let mut bool = |name: &str| fields.get(name).and_then(|node| d.bool(node));
    group.include_children = bool("include_children").unwrap_or(false);
    group.events = bool("events").unwrap_or(true);
    if let Some(node) = fields.get("only_if") {
        draft.conditions = d.one_or_many(node).iter().filter_map(|item| condition(d, item)).collect();
    }
    for measure in Measure::GROUP {
        if let Some(node) = fields.get(measure.as_str()) {
            limits::bounds(d, measure, node, &mut group.bounds);
        }
    }
    if let Some(node) = fields.get("repeat") {
        group.response.repeat = d.duration(node);
        if group.response.repeat.is_some_and(|repeat| repeat < REPEAT_MIN) {
            d.error_help(node.span, "`repeat` must be at least 1s", "to be told once, leave it out");
        }
    }
    if let Some(node) = fields.get("mode") {
        d.choice(node, &MODES);
    }
}

fn condition(d: &mut Decoder<'_>, item: &Node) -> Option<Condition> {
    let fields = d.fields(item, &keys::CONDITION)?;
    let absolute = |text: &str| {
        if text.starts_with('/') && !text.contains('\0') {
            Ok(text.to_owned())
        } else {
            Err("the path begins with a /; it is looked up as it is, without wildcards".to_owned())
        }
    };
    let nodes = d.one_or_many(fields.get("path")?);
    let paths = nodes.iter().filter_map(|node| d.form(node, &PATH_FORM, absolute)).collect();
    Some(Condition { span: item.span, paths })
}
