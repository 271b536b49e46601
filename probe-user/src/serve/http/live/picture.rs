//! How everything stands at one moment, made once a second for all who look, and what a viewer has not been sent of it.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::ask::Pipeline;
use super::super::open;
use super::rows::{Row, Rows};
use crate::serve::AlarmsOn;
use crate::time::Wall;

/// How often there is another one.
pub(super) const EVERY: Duration = Duration::from_secs(1);

/// One moment.
#[derive(Debug, Default)]
pub(super) struct Picture {
    time: Wall,
    /// Why it is an empty one.
    trouble: Option<String>,
    rows: Rows,
}

impl Picture {
    /// Asks the pipeline. `all`: a token is asked for, and who has it sees everything.
    pub(super) async fn paint(pipeline: &Pipeline, all: bool) -> Self {
        let report = match pipeline.status().await {
            Ok(report) => report,
            Err(trouble) => return Self { trouble: Some(trouble), ..Self::default() },
        };
        let mut rows = Rows::default();
        rows.put_status(&report, all);
        // What else there is to see is worth having, and nothing hangs on it: a daemon that stands still says so above.
        let alarms = if report.engine.firing.is_empty() { None } else { pipeline.alarms().await.ok() };
        put_alarms(&mut rows, alarms.unwrap_or_default(), all);
        if report.peers.is_some()
            && let Ok(Some(peers)) = pipeline.peers().await
        {
            rows.put_peers(report.time, &peers);
        }
        Self { time: report.time, trouble: None, rows }
    }
}

fn put_alarms(rows: &mut Rows, on: AlarmsOn, all: bool) {
    let alarms = on.alarms.into_iter().map(|alarm| {
        let line = if all { Some(alarm.event.to_vec()) } else { open::event(&alarm.event) };
        let event = line.and_then(|line| serde_json::from_slice(&line).ok()).unwrap_or(Value::Null);
        (alarm.name, event)
    });
    rows.put_alarms(on.left_out, alarms);
}

/// What one viewer has been sent.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Of each row its mark, and the last frame that had it.
    rows: HashMap<String, (u64, u64)>,
    frames: u64,
}

impl Known {
    /// What is new to this viewer, as one piece of the stream. `own`: rows that are for it alone.
    pub(super) fn frame(&mut self, picture: &Picture, own: &Rows) -> String {
        if let Some(why) = &picture.trouble {
            return piece("trouble", &json!({ "why": why }).to_string());
        }
        self.frames += 1;
        let mut set = String::new();
        for row in picture.rows.0.iter().chain(&own.0) {
            if self.is_new(row) {
                let comma = if set.is_empty() { "" } else { "," };
                set.push_str(comma);
                set.push_str(&Value::from(row.key.as_str()).to_string());
                set.push(':');
                set.push_str(&row.text);
            }
        }
        let gone = self.take_gone();
        let first = if self.frames == 1 { ",\"first\":true" } else { "" };
        let data = format!("{{\"time\":\"{}\"{first},\"set\":{{{set}}},\"gone\":{}}}", picture.time, Value::from(gone));
        piece("rows", &data)
    }

    fn is_new(&mut self, row: &Row) -> bool {
        if let Some((mark, frame)) = self.rows.get_mut(&row.key) {
            *frame = self.frames;
            return std::mem::replace(mark, row.mark) != row.mark;
        }
        self.rows.insert(row.key.clone(), (row.mark, self.frames));
        true
    }

    fn take_gone(&mut self) -> Vec<String> {
        let present = self.frames;
        self.rows.extract_if(|_, (_, frame)| *frame != present).map(|(key, _)| key).collect()
    }
}

/// JSON has no line breaks of its own, so that one line is all of it.
fn piece(event: &str, data: &str) -> String {
    format!("event: {event}\ndata: {data}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{GroupStatus, Member, Roster, Status};
    use crate::serve::StatusReport;

    fn picture(groups: &[(&str, usize)]) -> Picture {
        let group = |(name, members): &(&str, usize)| GroupStatus {
            name: (*name).into(),
            declared: String::new(),
            members: *members,
            usage: None,
            bounds: Vec::new(),
        };
        let groups = groups.iter().map(group).collect();
        let report = StatusReport { engine: Status { groups, ..Status::default() }, ..StatusReport::default() };
        let mut rows = Rows::default();
        rows.put_status(&report, true);
        Picture { rows, ..Picture::default() }
    }

    /// The keys that a frame sets, sorted, and those that it takes away.
    fn check(frame: &str, set: &[&str], gone: &[&str]) {
        let data = frame.strip_prefix("event: rows\ndata: ").unwrap().strip_suffix("\n\n").unwrap();
        let frame: Value = serde_json::from_str(data).unwrap();
        let mut found: Vec<&str> = frame["set"].as_object().unwrap().keys().map(String::as_str).collect();
        found.sort_unstable();
        assert_eq!((found.as_slice(), &frame["gone"]), (set, &json!(gone)));
    }

    #[test]
    fn a_viewer_is_sent_everything_and_then_what_changes() {
        let mut known = Known::default();
        let first = known.frame(&picture(&[("a", 1), ("b\"\n", 1)]), &Rows::default());
        assert!(first.contains("\"first\":true"));
        check(&first, &["agent", "group/a", "group/b\"\n", "ways"], &[]);
        check(&known.frame(&picture(&[("a", 1), ("b\"\n", 1)]), &Rows::default()), &[], &[]);
        check(&known.frame(&picture(&[("a", 2)]), &Rows::default()), &["group/a"], &["group/b\"\n"]);
        check(&known.frame(&picture(&[("a", 2), ("b\"\n", 1)]), &Rows::default()), &["group/b\"\n"], &[]);
    }

    #[test]
    fn members_come_and_go_with_their_group() {
        let mut known = Known::default();
        let of = |roster: Option<&Roster>| {
            let mut rows = Rows::default();
            rows.put_roster(roster);
            rows
        };
        let roster = |pids: &[u32]| {
            let processes = pids.iter().map(|pid| Member { pid: *pid, ..Member::default() }).collect();
            of(Some(&Roster { processes, ..Roster::default() }))
        };
        known.frame(&picture(&[]), &Rows::default());
        check(&known.frame(&picture(&[]), &roster(&[1, 2])), &["process/1/0", "process/2/0", "roster"], &[]);
        check(&known.frame(&picture(&[]), &roster(&[2])), &[], &["process/1/0"]);
        check(&known.frame(&picture(&[]), &of(None)), &["roster"], &["process/2/0"]);
    }

    #[test]
    fn trouble_is_told_and_forgets_nothing() {
        let mut known = Known::default();
        known.frame(&picture(&[("a", 1)]), &Rows::default());
        let trouble = Picture { trouble: Some("it stands\nstill".into()), ..Picture::default() };
        assert_eq!(
            known.frame(&trouble, &Rows::default()),
            "event: trouble\ndata: {\"why\":\"it stands\\nstill\"}\n\n"
        );
        check(&known.frame(&picture(&[("a", 1)]), &Rows::default()), &[], &[]);
    }
}
