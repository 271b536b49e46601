//! Reads one policy file into drafts: what is right by itself, not yet held against the rest.

mod action;
mod destination;
mod group;
mod host;
mod job;
mod log;
mod peers;
mod response;
mod trial;

pub(super) use self::trial::{Run, TrialDraft};

use super::HostLabels;
use super::glob::Glob;
use super::keys::{self, FILE, HOST, NAME, PATH_FORM};
use super::matching::{Named, valid_name};
use super::needs::Needed;
use super::spec::{Action, Destination, Group, HostBlock, Job, Log, PeerSet};
use crate::diagnostic::{Diagnostic, Diagnostics, Source, Span, quoted};
use crate::yaml::decode::{found, listed};
use crate::yaml::{self, Decoder, Entry, Fields, Node, Value};

/// Something that a file declares.
#[derive(Debug)]
pub(super) struct Draft<'s, T> {
    pub(super) source: &'s Source,
    /// Where its name stands.
    pub(super) span: Span,
    pub(super) item: T,
    /// What it names.
    pub(super) names: Names,
    /// All must hold, or it is not loaded.
    pub(super) conditions: Vec<Condition>,
    /// `hosts` lets the file apply here.
    pub(super) applies: bool,
}

/// What a draft names and needs, and where: all of it must exist.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Groups in `match`; of groups these must not go round in a circle.
    pub(super) parents: Vec<Named>,
    /// Groups in `except`.
    pub(super) except_parents: Vec<Named>,
    /// Destinations in `notify`.
    pub(super) notify: Vec<Named>,
    /// Actions in `act`.
    pub(super) act: Vec<Named>,
    /// What the kernel must have, or it is refused.
    pub(super) needs: Vec<Needed>,
    /// What takes nothing out where the kernel lacks it.
    pub(super) except_needs: Vec<Needed>,
}

/// One condition of `only_if`: one of these paths exists.
#[derive(Debug)]
pub(super) struct Condition {
    pub(super) span: Span,
    pub(super) paths: Vec<String>,
}

/// Everything that files declare. What is wrong in parts is there all the same, so that others may name it.
#[derive(Debug, Default)]
pub(super) struct Drafts<'s> {
    pub(super) groups: Vec<Draft<'s, Group>>,
    pub(super) jobs: Vec<Draft<'s, Job>>,
    pub(super) logs: Vec<Draft<'s, Log>>,
    pub(super) host: Vec<Draft<'s, HostBlock>>,
    pub(super) peers: Vec<Draft<'s, PeerSet>>,
    pub(super) destinations: Vec<Draft<'s, Destination>>,
    pub(super) actions: Vec<Draft<'s, Action>>,
    pub(super) trials: Vec<TrialDraft<'s>>,
}

/// The source and whether `hosts` lets it apply here.
#[derive(Clone, Copy)]
struct Origin<'s> {
    source: &'s Source,
    applies: bool,
}

impl<'s> Origin<'s> {
    /// A draft of what begins at `span`.
    fn draft<T>(self, span: Span, item: T) -> Draft<'s, T> {
        let Self { source, applies } = self;
        Draft { source, span, item, names: Names::default(), conditions: Vec::new(), applies }
    }
}

/// Adds the drafts of one file. Without a host, `hosts` lets it apply.
pub(super) fn read<'s>(
    source: &'s Source,
    host: Option<&HostLabels>,
    drafts: &mut Drafts<'s>,
    diagnostics: &mut Diagnostics,
    notes: &mut Vec<Diagnostic>,
) {
    let Some(tree) = yaml::parse(source, diagnostics) else { return };
    let mut d = Decoder::new(source, diagnostics);
    let d = &mut d;
    let Some(fields) = d.fields(&tree, &FILE) else { return };
    if let Some(node) = fields.get("version") {
        version(d, node);
    }
    let mut applies = true;
    if let Some(entry) = fields.entry("hosts") {
        // Every pattern is read, for its errors, also after one that matches.
        let patterns = d.one_or_many(&entry.value);
        let globs: Vec<Glob> = patterns.iter().filter_map(|node| host_pattern(d, node)).collect();
        if let Some(host) = host.filter(|host| !globs.iter().any(|glob| is_about(glob, host))) {
            applies = false;
            let message = format!("not for this host: no pattern matches its name {:?} or its labels", host.name);
            notes.push(Diagnostic::at(source, entry.span, message));
        }
    }
    let origin = Origin { source, applies };
    let groups = named(d, &fields, "groups", "a group", "`nginx: { match: { exe: nginx }, count: { min: 1 } }`");
    drafts.groups.extend(groups.iter().map(|entry| group::read(d, origin, entry)));
    let jobs = named(d, &fields, "jobs", "a job", "`backup: { match: { exe: backup }, duration: { max: 2h } }`");
    drafts.jobs.extend(jobs.iter().map(|entry| job::read(d, origin, entry)));
    let logs = named(d, &fields, "logs", "a log", "`app: { path: /var/log/app.log, any: [ERROR] }`");
    drafts.logs.extend(logs.iter().map(|entry| log::read(d, origin, entry)));
    if let Some(entry) = fields.entry("host") {
        for node in d.one_or_many(&entry.value) {
            drafts.host.extend(host::read(d, origin, entry.span, node));
        }
    }
    let peers = named(d, &fields, "peers", "a set of peers", "`web: { match: { zone: a }, alive: { min: 80% } }`");
    drafts.peers.extend(peers.iter().map(|entry| peers::read(d, origin, entry)));
    let notify = named(d, &fields, "notify", "a destination", "`ops: { webhook: \"https://ops.example/hook\" }`");
    drafts.destinations.extend(notify.iter().filter_map(|entry| destination::read(d, origin, entry)));
    let actions = named(d, &fields, "actions", "an action", "`restart: { run: [systemctl, restart, nginx] }`");
    drafts.actions.extend(actions.iter().filter_map(|entry| action::read(d, origin, entry)));
    if let Some(node) = fields.get("tests") {
        drafts.trials.extend(trial::read(d, origin, node));
    }
}

fn version(d: &mut Decoder<'_>, node: &Node) {
    let is_known = matches!(&node.value, Value::Scalar(scalar) if scalar.plain && scalar.text == "1");
    if !is_known {
        d.wrong(node, "version 1 of the policy language", "write `version: 1`");
    }
}

fn host_pattern(d: &mut Decoder<'_>, node: &Node) -> Option<Glob> {
    d.form(node, &HOST, |text| Glob::name(text).map_err(|error| error.to_string()))
}

/// Whether a pattern matches this host.
fn is_about(glob: &Glob, host: &HostLabels) -> bool {
    if glob.as_str().contains('=') {
        host.labels.iter().any(|(key, value)| glob.is_match(&format!("{key}={value}")))
    } else {
        glob.is_match(&host.name)
    }
}

/// The entries under a key of the file, whose names are held to be fit for `what`.
fn named<'t>(d: &mut Decoder<'_>, fields: &Fields<'t>, key: &str, what: &str, example: &str) -> &'t [Entry] {
    let Some(node) = fields.get(key) else { return &[] };
    let entries = d.entries(node, &format!("{key} by name (a map)"), example);
    for entry in entries {
        if let Err(help) = valid_name(&entry.key) {
            let message = format!("{} cannot be the name of {what}", quoted(&entry.key));
            d.error_help(entry.span, message, format!("{help}, such as {}", listed(NAME.examples)));
        }
    }
    entries
}

/// The value of an entry. Nothing after a name reads as a map without keys, and the keys that it needs are then missing
/// at the name.
fn body(entry: &Entry) -> Node {
    let span = if entry.value.is_nothing() { entry.span } else { entry.value.span };
    Node { span, ..entry.value.clone() }
}

/// `only_if`
fn conditions(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Vec<Condition> {
    let Some(node) = fields.get("only_if") else { return Vec::new() };
    d.one_or_many(node).iter().filter_map(|item| condition(d, item)).collect()
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

/// The values of items, with their places; what is given twice is told.
fn unique<T: PartialEq>(
    d: &mut Decoder<'_>,
    items: &[Node],
    mut read: impl FnMut(&mut Decoder<'_>, &Node) -> Option<T>,
) -> Vec<(T, Span)> {
    let mut values: Vec<(T, Span)> = Vec::new();
    for item in items {
        match read(d, item) {
            Some(value) if values.iter().any(|(other, _)| *other == value) => {
                d.error(item.span, format!("{} is given twice", found(item)));
            }
            Some(value) => values.push((value, item.span)),
            None => {}
        }
    }
    values
}
