//! Patterns on names and paths. Most policies name things exactly, so an exact pattern is a comparison of bytes: it costs
//! no compiled automaton in memory and a few nanoseconds for each process.
//!
//! In a path `*` and `?` stop at a "/" and `**` does not; in a name (comm, host, label) "/" is a character like any
//! other. `[abc]` and `{one,two}` work in both, `\` takes the next character as it is.

use std::sync::Arc;

use globset::{GlobBuilder, GlobMatcher};
use thiserror::Error;

/// Longest pattern, in bytes.
pub const PATTERN_MAX: usize = 512;

/// A compiled pattern.
#[derive(Clone, Debug)]
pub struct Glob {
    pattern: Arc<str>,
    matcher: Matcher,
}

#[derive(Clone, Debug)]
enum Matcher {
    Anything,
    Exact,
    Compiled(GlobMatcher),
}

/// Why a pattern cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GlobError {
    /// Nothing would match it.
    #[error("the pattern is empty")]
    Empty,
    /// Longer than [`PATTERN_MAX`].
    #[error("the pattern has {0} bytes, more than the {PATTERN_MAX} that are allowed")]
    Long(usize),
    /// The syntax is wrong.
    #[error("{0}")]
    Syntax(String),
}

impl Glob {
    /// A pattern on a path.
    pub fn path(pattern: &str) -> Result<Self, GlobError> {
        Self::compile(pattern, true)
    }

    /// A pattern on a name.
    pub fn name(pattern: &str) -> Result<Self, GlobError> {
        Self::compile(pattern, false)
    }

    fn compile(pattern: &str, path: bool) -> Result<Self, GlobError> {
        let matcher = match pattern {
            "" => return Err(GlobError::Empty),
            _ if pattern.len() > PATTERN_MAX => return Err(GlobError::Long(pattern.len())),
            "**" => Matcher::Anything,
            "*" if !path => Matcher::Anything,
            _ if is_exact(pattern) => Matcher::Exact,
            _ => GlobBuilder::new(pattern)
                .literal_separator(path)
                .backslash_escape(true)
                .empty_alternates(true)
                .build()
                .map(|glob| Matcher::Compiled(glob.compile_matcher()))
                .map_err(|error| GlobError::Syntax(error.kind().to_string()))?,
        };
        Ok(Self { pattern: Arc::from(pattern), matcher })
    }

    /// Whether the whole text matches.
    pub fn is_match(&self, text: &str) -> bool {
        match &self.matcher {
            Matcher::Anything => true,
            Matcher::Exact => *self.pattern == *text,
            Matcher::Compiled(glob) => glob.is_match(text),
        }
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.pattern
    }
}

/// It has no character with a meaning of its own: it matches itself only.
pub fn is_exact(pattern: &str) -> bool {
    !pattern.contains(['*', '?', '[', ']', '{', '}', '\\'])
}
