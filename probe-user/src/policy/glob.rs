//! Patterns on names and paths. Most policies name things exactly, so an exact pattern is a comparison of bytes: it costs
//! no compiled automaton in memory and a few nanoseconds for each process.
//!
//! In a path `*` and `?` stop at a "/" and `**` does not; in a name (comm, host, label) "/" is a character like any
//! other. `[abc]` and `{one,two}` work in both, `\` takes the next character as it is.

use std::sync::Arc;

use globset::GlobBuilder;
use regex::bytes::{Regex, RegexBuilder};
use thiserror::Error;

/// Longest pattern, in bytes.
pub const PATTERN_MAX: usize = 512;
/// Largest compiled pattern, in bytes.
const SIZE_MAX: usize = 1 << 20;
/// Most bytes that a pattern keeps while it is looked for.
const CACHE_MAX: usize = 256 << 10;
/// Deepest nesting of `{}`.
const NEST_MAX: u32 = 50;

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
    Compiled(Regex),
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
    /// Nested deeper than [`NEST_MAX`], or larger than [`SIZE_MAX`] when compiled.
    #[error("the pattern is too large, or its braces are nested too deep")]
    Complex,
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
            _ => Matcher::Compiled(automaton(pattern, path)?),
        };
        Ok(Self { pattern: Arc::from(pattern), matcher })
    }

    /// Whether the whole text matches.
    pub fn is_match(&self, text: &str) -> bool {
        match &self.matcher {
            Matcher::Anything => true,
            Matcher::Exact => *self.pattern == *text,
            Matcher::Compiled(regex) => regex.is_match(text.as_bytes()),
        }
    }

    /// It matches itself and nothing else.
    pub const fn is_exact(&self) -> bool {
        matches!(self.matcher, Matcher::Exact)
    }

    /// What a pattern with wildcards was compiled from; `None` for one that is exact or matches anything.
    pub fn regex(&self) -> Option<&str> {
        match &self.matcher {
            Matcher::Compiled(regex) => Some(regex.as_str()),
            Matcher::Anything | Matcher::Exact => None,
        }
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.pattern
    }
}

/// Compiled here and not by the library: it takes for granted that its own expressions compile, and a pattern from a
/// file may be nested too deep for that.
fn automaton(pattern: &str, path: bool) -> Result<Regex, GlobError> {
    let glob = GlobBuilder::new(pattern)
        .literal_separator(path)
        .backslash_escape(true)
        .empty_alternates(true)
        .build()
        .map_err(|error| GlobError::Syntax(error.kind().to_string()))?;
    RegexBuilder::new(glob.regex())
        .dot_matches_new_line(true)
        .size_limit(SIZE_MAX)
        .dfa_size_limit(CACHE_MAX)
        .nest_limit(NEST_MAX)
        .build()
        .map_err(|_| GlobError::Complex)
}

/// It has no character with a meaning of its own: it matches itself only.
pub fn is_exact(pattern: &str) -> bool {
    !pattern.contains(['*', '?', '[', ']', '{', '}', '\\'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One pattern, as a path and as a name, against one text.
    #[track_caller]
    fn check(pattern: &str, text: &str, path: bool, name: bool) {
        let as_path = Glob::path(pattern).expect(pattern);
        let as_name = Glob::name(pattern).expect(pattern);
        assert_eq!((as_path.is_match(text), as_name.is_match(text)), (path, name), "{pattern} on {text}");
    }

    #[test]
    fn slashes_stop_only_paths() {
        check("*", "", true, true);
        check("*", "kworker/0:1", false, true);
        check("**", "a/b", true, true);
        check("kworker/?:1", "kworker/0:1", true, true);
        check("kworker*", "kworker/0:1", false, true);
        check("/a/**", "/a", false, false);
        check("/a{,/**}", "/a", true, true);
        check("/a{,/**}", "/a/b/c", true, true);
    }

    #[test]
    fn exact_patterns_and_escapes() {
        check("a.b+c", "a.b+c", true, true);
        check("a.b", "axb", false, false);
        check("a\\*", "a*", true, true);
        check("a\\*", "ab", false, false);
        check("[[]x", "[x", true, true);
        assert!(matches!(Glob::path("/usr/sbin/nginx").expect("exact").matcher, Matcher::Exact));
    }

    #[test]
    fn what_cannot_be_compiled() {
        for (pattern, part) in [
            ("", "empty"),
            ("[a", "unclosed character class"),
            ("{a", "unclosed alternate"),
            ("a}", "unopened alternate"),
            ("a\\", "dangling"),
            (&"a".repeat(PATTERN_MAX + 1), "513 bytes"),
        ] {
            let error = Glob::path(pattern).expect_err(pattern).to_string();
            assert!(error.contains(part), "{pattern}: {error}");
        }
        let deep = "{".repeat(PATTERN_MAX / 2) + &"}".repeat(PATTERN_MAX / 2);
        assert_eq!(Glob::path(&deep).expect_err("too deep"), GlobError::Complex);
        assert!(Glob::path(&"{a,b}*".repeat(PATTERN_MAX / 6)).is_ok_and(|glob| glob.is_match(&"axxb".repeat(43))));
    }

    proptest! {
        /// An exact pattern is a shortcut, not another meaning.
        #[test]
        fn a_pattern_without_wildcards_matches_itself_only(pattern in "[a-z./+-]{1,12}", text in "[a-z./+-]{1,12}") {
            let glob = Glob::path(&pattern).expect("exact");
            prop_assert!(glob.is_match(&pattern));
            prop_assert_eq!(glob.is_match(&text), pattern == text);
        }

        #[test]
        fn arbitrary_patterns_never_panic(pattern in "[a-c/*?{},\\[\\]!\\\\-]{0,24}", text in "[a-c/]{0,10}") {
            if let (Ok(path), Ok(name)) = (Glob::path(&pattern), Glob::name(&pattern)) {
                // A name's wildcards reach at least as far.
                prop_assert!(!path.is_match(&text) || name.is_match(&text) || pattern.contains("**"));
            }
        }
    }
}
