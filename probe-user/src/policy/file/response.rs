//! Reads what alarms lead to: `repeat`, `notify`, `act`, `mode`.

use std::sync::Arc;
use std::time::Duration;

use super::{Names, unique};
use crate::policy::keys::{MODES, NAME};
use crate::policy::matching::{Named, valid_name};
use crate::policy::spec::{Mode, Response};
use crate::yaml::{Decoder, Fields};

/// Shortest time between two tellings of one alarm.
const REPEAT_MIN: Duration = Duration::from_secs(1);

/// What the fields say; what they name goes into `names` too, to be looked up.
pub(super) fn read(d: &mut Decoder<'_>, fields: &Fields<'_>, names: &mut Names) -> Response {
    let repeat = fields.get("repeat").and_then(|node| {
        let repeat = d.duration(node)?;
        if repeat < REPEAT_MIN {
            d.error_help(node.span, "`repeat` must be at least 1s", "to be told once, leave it out");
        }
        Some(repeat)
    });
    names.notify = listed_names(d, fields, "notify");
    names.act = listed_names(d, fields, "act");
    let mode = match fields.get("mode").and_then(|node| d.choice(node, &MODES)) {
        Some(1) => Mode::Enforce,
        _ => Mode::Observe,
    };
    if let Some(entry) = fields.entry("mode").filter(|_| mode == Mode::Enforce && fields.get("act").is_none()) {
        d.error_help(entry.span, "`mode: enforce` without `act`", "`act` names the actions that are carried out");
    }
    let plain = |names: &[Named]| names.iter().map(|(name, _)| Arc::clone(name)).collect();
    Response { repeat, notify: plain(&names.notify), act: plain(&names.act), mode }
}

fn listed_names(d: &mut Decoder<'_>, fields: &Fields<'_>, key: &str) -> Vec<Named> {
    let Some(node) = fields.get(key) else { return Vec::new() };
    let items = d.one_or_many(node);
    unique(d, items, |d, item| d.form(item, &NAME, |text| valid_name(text).map(|()| Arc::<str>::from(text))))
}
