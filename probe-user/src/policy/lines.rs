//! Which lines of a text match a log. Pure.
//!
//! Most lines of a log match nothing, so the text is not taken apart: one automaton looks for all keywords at once over
//! the whole buffer, one for all expressions, and only the line around a find is looked at by itself. What such a line
//! is must not depend on that shortcut:
//! - a line ends before its `\n` or `\r\n`, and `^` and `$` are its ends; a find that runs over them is none;
//! - expressions see bytes, so that a line that is not UTF-8 matches as well as any other;
//! - expressions that can tell the text's ends from a line's (`\A`, `\z`, `(?-m)`) are held against each line by itself:
//!   exact, but slower.

use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};
use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use thiserror::Error;

use super::spec::Log;

/// Largest automaton of one log, in bytes.
const SIZE_MAX: usize = 8 << 20;
/// Most bytes that one expression's lazy automaton keeps while it looks.
const CACHE_MAX: usize = 4 << 20;

/// What a log looks for, compiled.
#[derive(Clone, Debug)]
pub struct Matcher {
    words: Vec<Arc<str>>,
    finder: Option<AhoCorasick>,
    expressions: Vec<Arc<str>>,
    regexes: Option<Expressions>,
    ignored: Option<AhoCorasick>,
}

#[derive(Clone, Debug)]
struct Expressions {
    /// Any of them, to be looked for over many lines; `None` where each line has to be looked at by itself.
    any: Option<Regex>,
    each: RegexSet,
}

/// The keywords or expressions of a log cannot be compiled together.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("log {log}: what `{key}` has cannot be compiled together: {why}")]
pub struct MatcherError {
    log: Arc<str>,
    key: &'static str,
    why: String,
}

/// A line that matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// The keyword or expression, as the policy writes it.
    pub keyword: &'a Arc<str>,
    /// The line without its end.
    pub line: &'a [u8],
}

impl MatcherError {
    /// The key of the policy whose values do not go together.
    pub fn key(&self) -> &'static str {
        self.key
    }
}

impl Matcher {
    /// Compiles what a log looks for.
    pub fn new(log: &Log) -> Result<Self, MatcherError> {
        let wrong = |key, why: String| MatcherError { log: Arc::clone(&log.name), key, why };
        // A word with a line end in it is in no line.
        let in_a_line = |words: &[Arc<str>]| -> Vec<Arc<str>> {
            words.iter().filter(|word| !word.is_empty() && !word.contains(['\n', '\r'])).cloned().collect()
        };
        let words = in_a_line(&log.any);
        let automaton = |words: &[Arc<str>], key| {
            let build = || {
                AhoCorasickBuilder::new().match_kind(MatchKind::LeftmostFirst).build(words.iter().map(|w| w.as_bytes()))
            };
            if words.is_empty() { Ok(None) } else { build().map(Some).map_err(|error| wrong(key, error.to_string())) }
        };
        let regexes = match log.regex.as_slice() {
            [] => None,
            patterns => Some(Expressions::new(patterns).map_err(|error| wrong("regex", error.to_string()))?),
        };
        Ok(Self {
            finder: automaton(&words, "any")?,
            words,
            expressions: log.regex.clone(),
            regexes,
            ignored: automaton(&in_a_line(&log.ignore), "ignore")?,
        })
    }

    /// Calls `found` for each line of `text` that matches, in order, each once. `text` holds whole lines; the last one
    /// may lack its `\n`.
    pub fn scan(&self, text: &[u8], mut found: impl FnMut(Found<'_>)) {
        let mut from = 0;
        let mut next = Next::default();
        while from < text.len() {
            let Some(at) = self.candidate(text, from, &mut next) else { return };
            let start = memchr::memrchr(b'\n', text.get(from..at).unwrap_or_default()).map_or(from, |n| from + n + 1);
            let end = memchr::memchr(b'\n', text.get(start..).unwrap_or_default()).map_or(text.len(), |n| start + n);
            let line = without_return(text.get(start..end).unwrap_or_default());
            if let Some(keyword) = self.keyword_in(line) {
                found(Found { keyword, line });
            }
            from = end + 1;
        }
    }

    /// Where the next line that may match is: some place in it, not before `from`, which is the start of a line.
    fn candidate(&self, text: &[u8], from: usize, next: &mut Next) -> Option<usize> {
        if self.regexes.as_ref().is_some_and(|regexes| regexes.any.is_none()) {
            return Some(from);
        }
        let word = next
            .word
            .at(from, || self.finder.as_ref()?.find(aho_corasick::Input::new(text).range(from..)).map(|m| m.start()));
        let regex = next.regex.at(from, || self.regexes.as_ref()?.any.as_ref()?.find_at(text, from).map(|m| m.start()));
        // An empty find at the very end is behind the last line, unless that line has no end of its own.
        let open = !text.ends_with(b"\n");
        [word, regex].into_iter().flatten().min().filter(|at| *at < text.len() || open)
    }

    /// The first keyword in a line, else the first expression of the policy that is found in it.
    fn keyword_in(&self, line: &[u8]) -> Option<&Arc<str>> {
        let word = || self.words.get(self.finder.as_ref()?.find(line)?.pattern().as_usize());
        let regex = || self.expressions.get(self.regexes.as_ref()?.each.matches(line).iter().next()?);
        word().or_else(regex).filter(|_| !self.ignored.as_ref().is_some_and(|ignored| ignored.is_match(line)))
    }
}

impl Expressions {
    fn new(patterns: &[Arc<str>]) -> Result<Self, regex::Error> {
        let each = RegexSetBuilder::new(patterns.iter().map(|pattern| &**pattern))
            .multi_line(true)
            .crlf(true)
            .size_limit(SIZE_MAX)
            .dfa_size_limit(CACHE_MAX)
            .build()?;
        let together: Vec<String> = patterns.iter().map(|pattern| format!("(?:{pattern})")).collect();
        let any = RegexBuilder::new(&together.join("|"))
            .multi_line(true)
            .crlf(true)
            .size_limit(SIZE_MAX)
            .dfa_size_limit(CACHE_MAX)
            .build();
        // Where they do not go into one expression (names of captures used twice) each line is looked at by itself.
        let any = any.ok().filter(|_| !patterns.iter().any(|pattern| knows_the_text(pattern)));
        Ok(Self { any, each })
    }
}

/// The expression may be able to tell the ends of the text from those of a line, or breaks off in a comment.
fn knows_the_text(pattern: &str) -> bool {
    pattern.contains("\\A") || pattern.contains("\\z") || (pattern.contains("(?") && pattern.contains(['-', 'x']))
}

/// What was found ahead: looked for again only when the scan has passed it.
#[derive(Default)]
struct Next {
    word: Ahead,
    regex: Ahead,
}

#[derive(Default)]
enum Ahead {
    #[default]
    Unknown,
    At(usize),
    Nowhere,
}

impl Ahead {
    fn at(&mut self, from: usize, look: impl FnOnce() -> Option<usize>) -> Option<usize> {
        if let Self::Unknown = self {
            *self = look().map_or(Self::Nowhere, Self::At);
        } else if let Self::At(at) = self
            && *at < from
        {
            *self = look().map_or(Self::Nowhere, Self::At);
        }
        match self {
            Self::At(at) => Some(*at),
            Self::Unknown | Self::Nowhere => None,
        }
    }
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests;
