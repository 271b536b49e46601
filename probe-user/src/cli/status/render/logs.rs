//! The part of the page that is about logs: bounds, files, what was read, what cannot be.

use std::fmt::Write as _;

use serde_json::Value;

use super::{bound_row, list, span, table, word};

/// Nothing where there are no logs.
pub(super) fn logs(page: &mut String, engine: &Value, files: &Value) {
    let logs = list(&engine["logs"]);
    if logs.is_empty() {
        return;
    }
    let mut rows = vec![["LOG", "FILES", "BOUND", "VALUE", "LIMIT", "NEAR", "STATE"].map(str::to_owned)];
    let mut notes = String::new();
    for log in logs {
        let read = list(&files["logs"]).iter().find(|read| read["log"] == log["name"]);
        let number = |key: &str| read.and_then(|read| read[key].as_u64()).unwrap_or(0);
        let mut head = [word(&log["name"]), number("files").to_string()];
        if list(&log["bounds"]).is_empty() {
            let [name, files] = head.clone();
            rows.push([name, files, "-".into(), String::new(), String::new(), String::new(), String::new()]);
        }
        for bound in list(&log["bounds"]) {
            let [name, files] = std::mem::take(&mut head);
            rows.push(bound_row(name, files, bound));
        }
        let _ = write!(notes, "{}: {} lines read, {} matched", word(&log["name"]), number("lines"), log["matched"]);
        let quiet = log["quiet_seconds"].as_f64().map(|quiet| format!(", silent for another {}", span(quiet)));
        let _ = writeln!(notes, "{}", quiet.unwrap_or_default());
    }
    page.push('\n');
    table(page, &rows);
    page.push_str(&notes);
    for failure in list(&files["failures"]) {
        let _ = writeln!(page, "cannot be followed: {}", word(failure));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn logs_with_and_without_bounds() {
        let engine = json!({"logs": [
            {"name": "app", "matched": 3, "quiet_seconds": 61.0, "bounds": [{"measure": "lines", "bound": "max",
                "limit": 0.0, "value": 3.0, "within_seconds": 60.0, "state": "firing", "since_seconds": 2.0}]},
            {"name": "other", "matched": 0, "bounds": []},
        ]});
        let files =
            json!({"logs": [{"log": "app", "files": 2, "lines": 100, "matched": 3}], "failures": ["/x: no\nway"]});
        let mut page = String::new();
        logs(&mut page, &engine, &files);
        insta::assert_snapshot!(page, @r"

        LOG    FILES  BOUND        VALUE  LIMIT  NEAR  STATE
        app    2      lines in 1m  3      max 0        firing 2s
        other  0      -
        app: 100 lines read, 3 matched, silent for another 1m1s
        other: 0 lines read, 0 matched
        cannot be followed: /x: no\nway
        ");
        let mut page = String::new();
        logs(&mut page, &json!({"groups": []}), &Value::Null);
        assert_eq!(page, "");
    }
}
