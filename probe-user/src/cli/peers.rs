//! `procprobe peers`: asks the daemon who of its site is there. `procprobe peers key` makes the key that a site shares. Exit code
//! 1 when no daemon answers, it has no peers, somebody is down, or this host reaches too few of them.

use std::fmt::Write as _;

use serde_json::Value;

use super::args::{Format, PeersArgs, PeersCommand, PeersKeyArgs};
use super::status::{list, word};
use super::words::{span, table};
use super::{Exit, answer, complain, print};
use crate::peers::keys::{Key, random_text};
use crate::serve::client;

pub(super) fn peers(args: &PeersArgs) -> Exit {
    if let Some(PeersCommand::Key(args)) = &args.command {
        return key(args);
    }
    let Some(report) = answer(client::peers(&args.socket)) else { return Exit::NotWell };
    match args.format {
        Format::Text => print(&text(&report)),
        // `{:#}` of a JSON value is its indented text.
        Format::Json => print(&format!("{report:#}\n")),
    }
    if is_well(&report) { Exit::Well } else { Exit::NotWell }
}

fn key(args: &PeersKeyArgs) -> Exit {
    let Some(path) = &args.file else {
        let Some(text) = random_text() else {
            complain("procprobe: the system gives no random bytes");
            return Exit::NotWell;
        };
        print(&text);
        return Exit::Well;
    };
    match Key::make(path) {
        Ok(()) => Exit::Well,
        Err(error) => {
            complain(&format!("procprobe: {error}"));
            Exit::NotWell
        }
    }
}

fn is_well(report: &Value) -> bool {
    let is_down = |member: &Value| matches!(member["verdict"].as_str(), Some("host_down" | "agent_down"));
    report["me"]["summary"]["isolated"].as_bool() != Some(true) && !list(&report["members"]).iter().any(is_down)
}

/// A table of everybody, and how this host fares.
fn text(report: &Value) -> String {
    let mut rows = vec![["NAME", "ZONE", "ADDRESS", "STATE", "VERDICT", "SINCE", "HEARD", "TRIP"].map(str::to_owned)];
    for member in list(&report["members"]) {
        let seconds = |key: &str| member[key].as_f64();
        let mark = if member["myself"].as_bool() == Some(true) { " *" } else { "" };
        let trip = seconds("round_trip_seconds").map(|trip| format!("{:.1}ms", trip * 1e3));
        rows.push([
            format!("{}{mark}", word(&member["name"])),
            member["zone"].as_str().filter(|zone| !zone.is_empty()).map_or("-".into(), crate::event::clean),
            word(&member["address"]),
            word(&member["state"]),
            word(&member["verdict"]),
            seconds("since_seconds").map(span).unwrap_or_default(),
            seconds("heard_seconds").map_or("-".into(), |heard| format!("{} ago", span(heard))),
            trip.unwrap_or_else(|| "-".into()),
        ]);
    }
    let mut page = String::new();
    table(&mut page, &rows);
    let summary = &report["me"]["summary"];
    let health = match summary["score"].as_u64() {
        Some(0) => "well".to_owned(),
        score => format!("slow or badly connected (score {})", score.unwrap_or_default()),
    };
    let _ = writeln!(
        page,
        "\nthis host: {} at {}, {health}; reached {} of the {} that it tried lately",
        report["members"][0]["name"].as_str().map_or_else(|| "?".into(), crate::event::clean),
        word(&report["me"]["address"]),
        summary["reached"],
        summary["asked"],
    );
    if summary["isolated"].as_bool() == Some(true) {
        page.push_str("it reaches too few of the others: it speaks of nobody\n");
    }
    for note in list(&summary["notes"]) {
        let _ = writeln!(page, "note: {}", word(note));
    }
    page
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn everybody_on_a_page() {
        let report = json!({
            "me": {"address": "10.0.0.1:7946", "summary": {"score": 0, "reached": 2, "asked": 3, "isolated": false,
                "notes": ["x is not found\u{1b}"]}},
            "members": [
                {"name": "web-1", "zone": "a", "address": "10.0.0.1:7946", "state": "alive", "verdict": "alive",
                    "since_seconds": 61.0, "myself": true},
                {"name": "web-2", "zone": "", "address": "10.0.0.2:7946", "state": "down", "verdict": "host_down",
                    "since_seconds": 5.0, "heard_seconds": 12.0, "round_trip_seconds": 0.0004, "myself": false},
            ],
        });
        let expected = "NAME     ZONE  ADDRESS        STATE  VERDICT    SINCE  HEARD    TRIP\n\
                        web-1 *  a     10.0.0.1:7946  alive  alive      1m1s   -        -\n\
                        web-2    -     10.0.0.2:7946  down   host_down  5s     12s ago  0.4ms\n\n\
                        this host: web-1 at 10.0.0.1:7946, well; reached 2 of the 3 that it tried lately\n\
                        note: x is not found\\x1b\n";
        assert_eq!(text(&report), expected);
        assert!(!is_well(&report));
        assert!(is_well(&json!({"members": [{"verdict": "unknown"}], "me": {"summary": {"isolated": false}}})));
        assert!(!is_well(&json!({"members": [], "me": {"summary": {"isolated": true}}})));
        // What an older or a newer daemon does not say is left out.
        assert!(text(&json!({})).contains("this host: ?"));
    }
}
