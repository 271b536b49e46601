//! Reads a group, and the selectors that jobs have as well.

use std::sync::Arc;

use super::{Draft, Names, Origin, body, conditions, response};
use crate::policy::keys::{self, GROUP};
use crate::policy::limits;
use crate::policy::matching::selector;
use crate::policy::needs::{Need, Needed};
use crate::policy::spec::{Group, Measure, Response, Selector};
use crate::yaml::{Decoder, Entry, Fields};

/// A group as its file declares it.
pub(super) fn read<'s>(d: &mut Decoder<'_>, origin: Origin<'s>, entry: &Entry) -> Draft<'s, Group> {
    let group = Group {
        name: Arc::from(&*entry.key),
        declared: origin.source.declared(entry.span),
        select: Selector::default(),
        except: None,
        include_children: false,
        bounds: Vec::new(),
        response: Response::default(),
        events: true,
    };
    let mut draft = origin.draft(entry.span, group);
    if let Some(fields) = d.fields(&body(entry), &GROUP) {
        fill(d, &fields, &mut draft);
    }
    draft
}

fn fill(d: &mut Decoder<'_>, fields: &Fields<'_>, draft: &mut Draft<'_, Group>) {
    let group = &mut draft.item;
    (group.select, group.except) = selectors(d, fields, &mut draft.names);
    let mut bool = |name: &str| fields.get(name).and_then(|node| d.bool(node));
    group.include_children = bool("include_children").unwrap_or(false);
    group.events = bool("events").unwrap_or(true);
    draft.conditions = conditions(d, fields);
    for measure in Measure::GROUP {
        if let Some(node) = fields.get(measure.as_str()) {
            limits::bounds(d, measure, node, &mut group.bounds);
        }
    }
    group.response = response::read(d, fields, &mut draft.names);
}

/// `match` and `except`.
pub(super) fn selectors(d: &mut Decoder<'_>, fields: &Fields<'_>, names: &mut Names) -> (Selector, Option<Selector>) {
    let mut select = Selector::default();
    if let Some(fields) = fields.get("match").and_then(|node| d.fields(node, &keys::MATCH)) {
        (select, names.parents) = selector(d, &fields);
        names.needs.extend(cgroups(&fields));
        if fields.iter().all(|(key, _)| key.name == "kernel_threads") && !fields.is_empty() && !select.kernel_threads {
            let help = "to match every process write comm: \"*\"";
            d.error_help(fields.span, "`match` says only what is not matched", help);
        }
    }
    let mut except = None;
    if let Some(fields) = fields.get("except").and_then(|node| d.fields(node, &keys::EXCEPT)) {
        let (mut selector, parents) = selector(d, &fields);
        // A selector looks either at kernel threads or at all else: what is taken out is of the kind that is in.
        selector.kernel_threads = select.kernel_threads;
        except = Some(selector);
        names.except_parents = parents;
        names.except_needs.extend(cgroups(&fields));
    }
    (select, except)
}

/// The fields of a selector that are about cgroups.
fn cgroups(fields: &Fields<'_>) -> impl Iterator<Item = Needed> {
    let given = |name| fields.entry(name).map(|entry| (Need::Cgroups, name, entry.span));
    ["cgroup", "unit", "container"].into_iter().filter_map(given)
}
