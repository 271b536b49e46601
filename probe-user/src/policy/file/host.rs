//! Reads a `host` block: bounds on the host's own measures, some of them for each file system or interface.

use super::{Draft, Origin, conditions, response};
use crate::diagnostic::Span;
use crate::policy::glob::Glob;
use crate::policy::keys::{HOST_BLOCK, INTERFACE, MOUNT, bound_table};
use crate::policy::limits::{self, Placed};
use crate::policy::needs::Need;
use crate::policy::spec::{Bound, HostBlock, HostBound, Measure, Response};
use crate::yaml::{Decoder, Fields, Node};

/// A block as its file declares it; `key` is where `host` stands.
pub(super) fn read<'s>(
    d: &mut Decoder<'_>,
    origin: Origin<'s>,
    key: Span,
    node: &Node,
) -> Option<Draft<'s, HostBlock>> {
    let span = if node.is_nothing() { key } else { node.span };
    let node = Node { span, ..node.clone() };
    let fields = d.fields(&node, &HOST_BLOCK)?;
    let block = HostBlock { declared: origin.source.declared(span), bounds: Vec::new(), response: Response::default() };
    let mut draft = origin.draft(span, block);
    draft.conditions = conditions(d, &fields);
    for measure in Measure::HOST {
        if let Some(node) = fields.get(measure.as_str()) {
            bounds(d, measure, node, &mut draft.item.bounds);
        }
        let is_pressure = matches!(measure, Measure::PressureCpu | Measure::PressureMemory | Measure::PressureIo);
        if let Some(entry) = fields.entry(measure.as_str()).filter(|_| is_pressure) {
            draft.names.needs.push((Need::Pressure, measure.as_str(), entry.span));
        }
    }
    draft.item.response = response::read(d, &fields, &mut draft.names);
    Some(draft)
}

/// Bounds of one measure that are about the same thing, held against each other.
type Alike = (Vec<String>, Vec<Placed<Bound>>);

fn bounds(d: &mut Decoder<'_>, measure: Measure, node: &Node, into: &mut Vec<HostBound>) {
    let mut alike: Vec<Alike> = Vec::new();
    for item in d.one_or_many(node) {
        let Some(fields) = d.fields(item, bound_table(measure)) else { continue };
        let targets = targets(d, &fields);
        let mut placed = Vec::new();
        limits::one(d, measure, &fields, &mut placed);
        into.extend(placed.iter().map(|(bound, _)| HostBound { bound: bound.clone(), targets: targets.clone() }));
        let mut about: Vec<String> = targets.iter().map(|glob| glob.as_str().to_owned()).collect();
        about.sort();
        match alike.iter_mut().find(|(others, _)| *others == about) {
            Some((_, others)) => others.extend(placed),
            None => alike.push((about, placed)),
        }
    }
    for (_, placed) in &alike {
        limits::among(d, placed);
    }
}

/// `path` or `interface`; only one of them is a key that can be used.
fn targets(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Vec<Glob> {
    match (fields.get("path"), fields.get("interface")) {
        (Some(node), _) => d.one_or_many(node).iter().filter_map(|item| d.form(item, &MOUNT, mount)).collect(),
        (None, Some(node)) => {
            d.one_or_many(node).iter().filter_map(|item| d.form(item, &INTERFACE, interface)).collect()
        }
        (None, None) => Vec::new(),
    }
}

fn mount(text: &str) -> Result<Glob, String> {
    if !text.starts_with('/') {
        return Err("a mount point is an absolute path".to_owned());
    }
    let bare = if text.len() > 1 { text.trim_end_matches('/') } else { text };
    Glob::path(bare).map_err(|error| error.to_string())
}

fn interface(text: &str) -> Result<Glob, String> {
    if text.is_empty() || text.contains('/') {
        return Err("an interface's name, as `ip link` shows it".to_owned());
    }
    Glob::name(text).map_err(|error| error.to_string())
}
