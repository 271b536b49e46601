//! Recorded lines (and what else a recording may lack) held against other policies than those that they were recorded for.
//!
//! A recording holds lines that matched then, the first few of each message as text and of the others how many there
//! were. A log sees the lines of the recorded log of its own name, else of the one that names one of its paths. Of lines
//! without text it counts all where every line with text matches, and none where one does not.

use std::sync::Arc;

use crate::policy::glob::Glob;
use crate::policy::lines::Matcher;
use crate::policy::spec::{Log, PolicySet};
use crate::record::{LogLine, LogLines};
use crate::recording::facts::RecordedLog;

/// The logs of the policies that the recording has lines for.
pub(super) struct Lines {
    logs: Vec<Held>,
    /// Logs that it has no lines for.
    without: Vec<Arc<str>>,
    /// Lines that were counted without having been looked at.
    assumed: u64,
    /// Lines that could not be looked at and were not counted.
    unknown: u64,
    recorded: bool,
    /// Sets of peers that nothing was recorded for.
    peers: Vec<Arc<str>>,
}

struct Held {
    name: Arc<str>,
    /// Whose lines it sees.
    source: String,
    paths: Vec<Glob>,
    matcher: Matcher,
}

impl Lines {
    /// Takes the logs that cannot be held against anything out of the policies: a minimum of theirs would fire for
    /// nothing.
    pub(super) fn new(policies: &mut PolicySet, recorded: &[RecordedLog], peers: bool) -> Self {
        let mut lines = Self {
            logs: Vec::new(),
            without: Vec::new(),
            assumed: 0,
            unknown: 0,
            recorded: !policies.logs.is_empty(),
            peers: Vec::new(),
        };
        if !peers {
            lines.peers = std::mem::take(&mut policies.peers).into_iter().map(|set| set.name).collect();
        }
        policies.logs.retain(|log| {
            let held = held(log, recorded);
            if held.is_none() {
                lines.without.push(Arc::clone(&log.name));
            }
            let judged = held.is_some();
            lines.logs.extend(held);
            judged
        });
        lines
    }

    /// What the logs of the policies find in recorded lines.
    pub(super) fn find(&mut self, recorded: &LogLines) -> Vec<LogLines> {
        let mut found = Vec::new();
        for log in &self.logs {
            if *log.source != *recorded.log || !log.paths.iter().any(|path| path.is_match(&recorded.path)) {
                continue;
            }
            let mut first = Vec::new();
            for line in &recorded.first {
                log.matcher.scan(line.text.as_bytes(), |hit| {
                    first.push(LogLine { keyword: Arc::clone(hit.keyword), text: line.text.clone() });
                });
            }
            let (seen, matched) = (recorded.first.len() as u64, first.len() as u64);
            let unseen = recorded.count.saturating_sub(seen);
            let count = if matched == seen {
                self.assumed = self.assumed.saturating_add(unseen);
                recorded.count
            } else {
                self.unknown = self.unknown.saturating_add(unseen);
                matched
            };
            if count > 0 {
                let (log, path) = (Arc::clone(&log.name), Arc::clone(&recorded.path));
                found.push(LogLines { log, path, count, first });
            }
        }
        found
    }

    /// What a person must know about it.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if !self.without.is_empty() {
            notes.push(format!(
                "the recording has no lines for these logs, nothing is said of them: {} (record with --policies that name them)",
                self.without.join(", ")
            ));
        }
        if !self.peers.is_empty() {
            notes.push(format!(
                "nothing of other hosts was recorded, nothing is said of these sets of peers: {} (record with --policies \
                 that have them, beside a daemon that has peers)",
                self.peers.join(", ")
            ));
        }
        if self.recorded && !self.logs.is_empty() {
            notes.push("log lines are those that matched while it was recorded: a log that looks for more finds less than there was".into());
        }
        if self.assumed > 0 {
            notes.push(format!(
                "{} log lines were recorded without their text and are taken to match as the others did",
                self.assumed
            ));
        }
        if self.unknown > 0 {
            notes.push(format!("{} log lines were recorded without their text and are not counted", self.unknown));
        }
        notes
    }
}

fn held(log: &Log, recorded: &[RecordedLog]) -> Option<Held> {
    let of_name = recorded.iter().find(|other| *other.name == *log.name);
    let names = |other: &&RecordedLog| other.paths.iter().any(|path| log.paths.iter().any(|wanted| **wanted == **path));
    let source = of_name.or_else(|| recorded.iter().find(names))?;
    Some(Held {
        name: Arc::clone(&log.name),
        source: source.name.clone(),
        // Both were compiled when the policies were checked.
        paths: log.paths.iter().filter_map(|path| Glob::path(path).ok()).collect(),
        matcher: Matcher::new(log).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::spec::Response;

    fn log(name: &str, path: &str, any: &[&str], ignore: &[&str]) -> Log {
        let words = |words: &[&str]| words.iter().map(|word| Arc::from(*word)).collect();
        Log {
            name: name.into(),
            declared: "test.yaml:1".into(),
            paths: words(&[path]),
            any: words(any),
            regex: Vec::new(),
            ignore: words(ignore),
            bounds: Vec::new(),
            quiet: None,
            response: Response::default(),
        }
    }

    #[track_caller]
    fn check(log: Log, count: u64, texts: &[&str], expected: Option<(u64, usize)>, notes: &[&str]) {
        let recorded = RecordedLog { name: "errors".into(), paths: vec!["/var/log/app/*.log".into()] };
        let mut policies = PolicySet { logs: vec![log], ..PolicySet::default() };
        let mut lines = Lines::new(&mut policies, &[recorded], false);
        let first = texts.iter().map(|text| LogLine { keyword: "x".into(), text: (*text).into() }).collect();
        let found = lines.find(&LogLines { log: "errors".into(), path: "/var/log/app/a.log".into(), count, first });
        assert_eq!(found.first().map(|lines| (lines.count, lines.first.len())), expected);
        assert_eq!(policies.logs.len(), lines.logs.len());
        let told = lines.notes();
        assert_eq!(told.len(), notes.len(), "{told:?}");
        assert!(told.iter().zip(notes).all(|(told, note)| told.contains(note)), "{told:?}");
    }

    #[test]
    fn lines_are_matched_again_as_far_as_they_are_there() {
        const LOGS: &str = "/var/log/app/*.log";
        let as_then = "matched while it was recorded";
        let two = ["an ERROR", "a WARNING"];
        check(log("errors", LOGS, &["ERROR", "WARNING"], &[]), 2, &two, Some((2, 2)), &[as_then]);
        check(log("errors", LOGS, &["ERROR"], &[]), 2, &two, Some((1, 1)), &[as_then]);
        check(log("errors", LOGS, &["ERROR", "WARNING"], &["an"]), 2, &two, Some((1, 1)), &[as_then]);
        check(log("errors", LOGS, &["FATAL"], &[]), 2, &two, None, &[as_then]);
        check(log("errors", LOGS, &["ERROR", "WARNING"], &[]), 9, &two, Some((9, 2)), &[as_then, "7 log lines"]);
        check(log("errors", LOGS, &["ERROR"], &[]), 9, &two, Some((1, 1)), &[as_then, "7 log lines"]);
        // Another name with the same path sees them too, another path does not, and another log is not judged at all.
        check(log("other", LOGS, &["ERROR"], &[]), 2, &two, Some((1, 1)), &[as_then]);
        check(log("errors", "/var/log/app/b.log", &["ERROR"], &[]), 2, &two, None, &[as_then]);
        check(log("other", "/var/log/syslog", &["ERROR"], &[]), 2, &two, None, &["has no lines for these logs"]);
    }
}
