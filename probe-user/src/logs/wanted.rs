//! What the logs of the policies look for, and how far each has come.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::files::Files;
use super::pattern::Pattern;
use crate::policy::lines::Matcher;
use crate::policy::spec::Log;
use crate::time::KTime;

/// What one log looks for, and where.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) name: Arc<str>,
    pub(super) patterns: Vec<Pattern>,
    pub(super) matcher: Matcher,
    /// Read of its files, whether they matched or not.
    pub(super) lines: u64,
    pub(super) matched: u64,
}

/// How one log's files stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFiles {
    /// The log.
    pub log: Arc<str>,
    /// Files that are followed.
    pub files: usize,
    /// Lines read of them, whether they matched or not.
    pub lines: u64,
    /// Lines that matched.
    pub matched: u64,
}

impl Wanted {
    /// Whether it is about this path.
    pub(super) fn names(&self, path: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.names(path))
    }
}

impl Files {
    /// Other logs from now on; files that some log still names are read on from where they are.
    pub(super) fn want(&mut self, logs: &[Log]) {
        let old = std::mem::take(&mut self.wanted);
        for log in logs {
            let patterns = log.paths.iter().map(|path| Pattern::new(path)).collect::<Result<Vec<_>, _>>();
            let wanted = match (Matcher::new(log), patterns) {
                (Ok(matcher), Ok(patterns)) => {
                    let same = old.iter().find(|old| old.name == log.name);
                    let (lines, hits) = same.map_or((0, 0), |old| (old.lines, old.matched));
                    Wanted { name: Arc::clone(&log.name), patterns, matcher, lines, matched: hits }
                }
                // Policies are checked when they are loaded.
                (matcher, patterns) => {
                    let why = matcher.err().map(|error| error.to_string());
                    let why = why.or_else(|| patterns.err().map(|error| error.to_string())).unwrap_or_default();
                    tracing::error!("log {} is not watched: {why}", log.name);
                    continue;
                }
            };
            self.wanted.push(wanted);
        }
        for tracked in self.tracked.values_mut() {
            let path = tracked.path.to_string_lossy();
            let place = |index: &usize| {
                let name = &old.get(*index)?.name;
                self.wanted.iter().position(|wanted| wanted.name == *name && wanted.names(&path))
            };
            tracked.logs = tracked.logs.iter().filter_map(place).collect();
        }
        self.look_at = KTime::default();
    }

    /// How each log's files stand, in the order of the policies.
    pub(super) fn report(&self) -> Vec<LogFiles> {
        let mut files = vec![0; self.wanted.len()];
        for log in self.tracked.values().filter(|tracked| tracked.gone.is_none()).flat_map(|tracked| &tracked.logs) {
            if let Some(count) = files.get_mut(*log) {
                *count += 1;
            }
        }
        let report = |(wanted, files): (&Wanted, usize)| LogFiles {
            log: Arc::clone(&wanted.name),
            files,
            lines: wanted.lines,
            matched: wanted.matched,
        };
        self.wanted.iter().zip(files).map(report).collect()
    }
}
