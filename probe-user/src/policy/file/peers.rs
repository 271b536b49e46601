//! Reads a set of peers: which hosts of the site, and how many of them must be there.

use std::sync::Arc;

use super::{Draft, Origin, body, conditions, response};
use crate::policy::glob::Glob;
use crate::policy::keys::{PEER_MATCH, PEER_NAME, PEER_VALUE, PEER_ZONE, PEERS};
use crate::policy::limits;
use crate::policy::spec::{Measure, PeerSelector, PeerSet, Response};
use crate::yaml::keys::Form;
use crate::yaml::{Decoder, Entry, Fields};

/// A set as its file declares it.
pub(super) fn read<'s>(d: &mut Decoder<'_>, origin: Origin<'s>, entry: &Entry) -> Draft<'s, PeerSet> {
    let set = PeerSet {
        name: Arc::from(&*entry.key),
        declared: origin.source.declared(entry.span),
        select: PeerSelector::default(),
        bounds: Vec::new(),
        response: Response::default(),
    };
    let mut draft = origin.draft(entry.span, set);
    if let Some(fields) = d.fields(&body(entry), &PEERS) {
        let set = &mut draft.item;
        if let Some(fields) = fields.get("match").and_then(|node| d.fields(node, &PEER_MATCH)) {
            set.select = selector(d, &fields);
        }
        draft.conditions = conditions(d, &fields);
        for measure in Measure::PEERS {
            if let Some(node) = fields.get(measure.as_str()) {
                limits::bounds(d, measure, node, &mut set.bounds);
            }
        }
        set.response = response::read(d, &fields, &mut draft.names);
    }
    draft
}

fn selector(d: &mut Decoder<'_>, fields: &Fields<'_>) -> PeerSelector {
    let mut select = PeerSelector {
        names: patterns(d, fields, "name", &PEER_NAME),
        zones: patterns(d, fields, "zone", &PEER_ZONE),
        labels: Vec::new(),
    };
    if let Some(node) = fields.get("labels") {
        let entries = d.entries(node, "labels (a map)", "`{ role: web }`");
        if entries.is_empty() {
            d.error_help(node.span, "`labels` names no label", "such as `labels: { role: web }`");
        }
        for entry in entries {
            let items = d.one_or_many(&entry.value);
            let globs = items.iter().filter_map(|item| d.form(item, &PEER_VALUE, glob)).collect();
            select.labels.push((Arc::from(&*entry.key), globs));
        }
    }
    select
}

fn patterns(d: &mut Decoder<'_>, fields: &Fields<'_>, name: &str, form: &'static Form) -> Vec<Glob> {
    let Some(node) = fields.get(name) else { return Vec::new() };
    d.one_or_many(node).iter().filter_map(|item| d.form(item, form, glob)).collect()
}

fn glob(text: &str) -> Result<Glob, String> {
    Glob::name(text).map_err(|error| error.to_string())
}
