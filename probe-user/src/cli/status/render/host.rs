//! The host's own bounds as text.

use serde_json::Value;

use super::{bytes, list, span, word};

/// One row for each thing that a bound is about; nothing without bounds.
pub(super) fn table(page: &mut String, bounds: &Value) {
    if list(bounds).is_empty() {
        return;
    }
    let mut rows = vec![["HOST", "OF", "VALUE", "LIMIT", "NEAR", "STATE"].map(str::to_owned)];
    for bound in list(bounds) {
        let mut measure = word(&bound["measure"]);
        let limit = format!("{} {}", word(&bound["bound"]), amount(bound, bound["limit"].as_f64().unwrap_or(0.0)));
        if list(&bound["instances"]).is_empty() {
            let [of, value, near, state] = ["-", "?", "", "nothing sampled"].map(str::to_owned);
            rows.push([measure.clone(), of, value, limit.clone(), near, state]);
        }
        for instance in list(&bound["instances"]) {
            // Names are told once, above the things that belong to them.
            rows.push(row(std::mem::take(&mut measure), bound, &limit, instance));
        }
    }
    super::table(page, &rows);
}

fn row(measure: String, bound: &Value, limit: &str, instance: &Value) -> [String; 6] {
    let near = instance["nearness"].as_f64().map(|near| format!("{:.0} %", near * 100.0)).unwrap_or_default();
    let since = instance["since_seconds"].as_f64().map(|since| format!(" {}", span(since))).unwrap_or_default();
    let unknown =
        instance["unknown"].as_str().map(|_| format!(" ({})", word(&instance["unknown"]))).unwrap_or_default();
    [
        measure,
        if instance["instance"].is_null() { "-".to_owned() } else { word(&instance["instance"]) },
        instance["value"].as_f64().map_or_else(|| "?".to_owned(), |value| amount(bound, value)),
        limit.to_owned(),
        near,
        format!("{}{since}{unknown}", word(&instance["state"])),
    ]
}

/// A value in its measure's unit.
fn amount(bound: &Value, value: f64) -> String {
    if bound["share"].as_bool() == Some(true) {
        return format!("{:.1} %", value * 100.0);
    }
    match bound["measure"].as_str().unwrap_or_default() {
        "memory_available" | "swap_used" | "disk_free" => bytes(value),
        "network_receive" | "network_transmit" => format!("{}/s", bytes(value)),
        _ => format!("{value}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_thing_has_its_row() {
        let bounds = json!([
            {"measure": "memory_available", "bound": "min", "limit": 0.1, "share": true, "instances": [
                {"value": 0.04, "state": "firing", "since_seconds": 75.0, "nearness": 2.5}]},
            {"measure": "disk_free", "bound": "min", "limit": 1_073_741_824.0, "share": false, "instances": [
                {"instance": "/", "value": 4_294_967_296.0, "state": "healthy", "nearness": 0.25},
                {"instance": "/mnt/nfs", "value": null, "state": "unknown", "unknown": "does not answer"}]},
            {"measure": "load", "bound": "max", "limit": 8.0, "share": false, "instances": []},
        ]);
        let mut page = String::new();
        table(&mut page, &bounds);
        insta::assert_snapshot!(page, @r"
        HOST              OF        VALUE    LIMIT        NEAR   STATE
        memory_available  -         4.0 %    min 10.0 %   250 %  firing 1m15s
        disk_free         /         4.0 GiB  min 1.0 GiB  25 %   healthy
                          /mnt/nfs  ?        min 1.0 GiB         unknown (does not answer)
        load              -         ?        max 8               nothing sampled
        ");
        let mut page = String::new();
        table(&mut page, &json!({"odd": 1}));
        table(&mut page, &json!([]));
        assert_eq!(page, "");
    }
}
