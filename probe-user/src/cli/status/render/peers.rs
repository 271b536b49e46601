//! The parts of the page that are about other hosts: sets of them and their bounds, and the site in a line.

use std::fmt::Write as _;

use serde_json::Value;

use super::{amount, list, span, table, word};

/// Sets of peers; nothing where there are none.
pub(super) fn sets(page: &mut String, engine: &Value) {
    let sets = list(&engine["peers"]);
    if sets.is_empty() {
        return;
    }
    let mut rows = vec![["PEERS", "MEMBERS", "BOUND", "VALUE", "LIMIT", "NEAR", "STATE"].map(str::to_owned)];
    for set in sets {
        let members = set["members"].as_u64().map_or_else(|| "?".to_owned(), |members| members.to_string());
        let mut head = [word(&set["name"]), members];
        for (bound, share) in list(&set["bounds"]).iter().zip(list(&set["shares"])) {
            let [name, members] = std::mem::take(&mut head);
            rows.push(row(name, members, bound, share.as_bool() == Some(true)));
        }
    }
    page.push('\n');
    table(page, &rows);
}

fn row(name: String, members: String, bound: &Value, share: bool) -> [String; 7] {
    let shown = |value: f64| if share { format!("{:.1} %", value * 100.0) } else { amount("alive", value) };
    let since = bound["since_seconds"].as_f64().map(|since| format!(" {}", span(since))).unwrap_or_default();
    [
        name,
        members,
        word(&bound["measure"]),
        bound["value"].as_f64().map_or_else(|| "?".to_owned(), shown),
        format!("{} {}", word(&bound["bound"]), shown(bound["limit"].as_f64().unwrap_or(0.0))),
        bound["nearness"].as_f64().map(|near| format!("{:.0} %", near * 100.0)).unwrap_or_default(),
        format!("{}{since}", word(&bound["state"])),
    ]
}

/// `peers: 5 hosts: 4 alive, 1 host_down (web-2); reached 4 of 4`; nothing where there are none.
pub(super) fn site(page: &mut String, peers: &Value) {
    let Some(members) = peers["members"].as_object() else { return };
    let count = |value: &Value| value.as_u64().unwrap_or(0);
    let known: u64 = members.values().map(count).sum();
    let held: Vec<String> = members
        .iter()
        .filter(|(_, number)| count(number) > 0)
        .map(|(standing, number)| format!("{} {}", count(number), crate::event::clean(standing)))
        .collect();
    let down: Vec<String> = list(&peers["down"]).iter().map(word).collect();
    let down = if down.is_empty() { String::new() } else { format!("; down: {}", down.join(", ")) };
    let hosts = if known == 1 { "host" } else { "hosts" };
    let _ = write!(page, "peers: {known} {hosts}, {}{down}", held.join(", "));
    let _ = writeln!(page, "; reached {} of {} lately", count(&peers["reached"]), count(&peers["asked"]));
    if peers["isolated"].as_bool() == Some(true) {
        page.push_str("  this host reaches too few of the others: it speaks of nobody\n");
    }
    if let Some(score) = peers["score"].as_u64().filter(|score| *score > 0) {
        let _ = writeln!(
            page,
            "  this host is slow or badly connected (score {score}): it takes more time with the others"
        );
    }
    for note in list(&peers["notes"]) {
        let _ = writeln!(page, "  {}", word(note));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sets_and_the_site() {
        let engine = json!({"peers": [{"name": "web", "members": 5, "shares": [true, false], "bounds": [
            {"measure": "alive", "bound": "min", "limit": 0.8, "value": 0.6, "nearness": 1.333, "state": "firing",
                "since_seconds": 61.0},
            {"measure": "down", "bound": "max", "limit": 0.0, "value": null, "state": "unknown"},
        ]}]});
        let mut page = String::new();
        sets(&mut page, &engine);
        insta::assert_snapshot!(page, @r"

        PEERS  MEMBERS  BOUND  VALUE   LIMIT       NEAR   STATE
        web    5        alive  60.0 %  min 80.0 %  133 %  firing 1m1s
                        down   ?       max 0              unknown
        ");
        let mut page = String::new();
        site(
            &mut page,
            &json!({"members": {"alive": 3, "host_down": 1, "left": 0}, "down": ["web-2"], "reached": 3, "asked": 4,
                "isolated": true, "score": 2, "notes": ["x\u{1b}"]}),
        );
        insta::assert_snapshot!(page, @r"
        peers: 4 hosts, 3 alive, 1 host_down; down: web-2; reached 3 of 4 lately
          this host reaches too few of the others: it speaks of nobody
          this host is slow or badly connected (score 2): it takes more time with the others
          x\x1b
        ");
        let mut page = String::new();
        sets(&mut page, &json!({}));
        site(&mut page, &Value::Null);
        assert_eq!(page, "");
    }
}
