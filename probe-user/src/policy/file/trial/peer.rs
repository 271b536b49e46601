//! Reads what is held of hosts of the site.

use std::sync::Arc;

use crate::policy::keys::{HOST_NAME, LABEL_TEXT, STANDINGS, ZONE_NAME};
use crate::policy::spec::PeerStep;
use crate::record::PeerStanding;
use crate::yaml::keys::Form;
use crate::yaml::{Decoder, Fields, Node};

/// What a step says of peers.
pub(super) fn read(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<PeerStep> {
    let names = d.one_or_many(fields.get("name")?);
    let names: Vec<Arc<str>> = names.iter().filter_map(|node| word(d, node, &HOST_NAME)).collect();
    let zone = fields.get("zone").and_then(|node| word(d, node, &ZONE_NAME));
    let labels = fields.get("labels").map(|node| {
        let entries = d.entries(node, "labels (a map)", "`{ role: web }`").iter();
        let mut labels: Vec<(Arc<str>, Arc<str>)> =
            entries.filter_map(|entry| Some((Arc::from(&*entry.key), word(d, &entry.value, &LABEL_TEXT)?))).collect();
        labels.sort();
        labels
    });
    let chosen = fields.get("verdict").and_then(|node| d.choice(node, &STANDINGS));
    let standing = chosen.and_then(|index| PeerStanding::ALL.get(index).copied()).unwrap_or_default();
    Some(PeerStep { names, zone, labels, standing })
}

fn word(d: &mut Decoder<'_>, node: &Node, form: &'static Form) -> Option<Arc<str>> {
    d.form(node, form, |text| if text.is_empty() { Err("it is empty".to_owned()) } else { Ok(Arc::from(text)) })
}
