//! Finds, with one pass over a text, which of many patterns could match it.
//!
//! Nearly every pattern contains a piece of text without which it cannot match: `backup` in `backup\.sh$`. Those pieces
//! of all patterns go into one automaton; only patterns whose piece occurs need to be tried. A pattern that has no such
//! piece says so ([`needles`] gives nothing), and whoever asks has to try it on every text.
//!
//! One automaton of all the patterns themselves would answer more, but its size and speed would depend on how the patterns
//! mix. This one takes memory in proportion to the pieces, which are bounded, and time in proportion to the text.

use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError, MatchKind};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Hir, HirKind};

/// Bytes of a piece that are looked for: enough to tell patterns apart.
const NEEDLE_MAX: usize = 32;
/// A pattern with more alternatives is tried on every text.
const NEEDLES_MAX: usize = 32;
/// The nesting that patterns are compiled with.
const NEST_MAX: u32 = 50;

/// Pieces of text, of which at least one is in every text that the regular expression matches. `None`: there is no
/// telling.
pub(super) fn needles(regex: &str) -> Option<Vec<Vec<u8>>> {
    let hir = ParserBuilder::new().utf8(false).nest_limit(NEST_MAX).build().parse(regex).ok()?;
    let mut needles = of(&hir)?;
    for needle in &mut needles {
        needle.truncate(NEEDLE_MAX);
    }
    Some(needles)
}

fn of(hir: &Hir) -> Option<Vec<Vec<u8>>> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(vec![literal.0.to_vec()]),
        HirKind::Capture(capture) => of(&capture.sub),
        HirKind::Repetition(repeated) if repeated.min > 0 => of(&repeated.sub),
        // All of them are in the text: the longest tells most.
        HirKind::Concat(parts) => parts.iter().filter_map(of).max_by_key(|needles| shortest(needles)),
        HirKind::Alternation(parts) => {
            let all = parts.iter().map(of).collect::<Option<Vec<_>>>()?.concat();
            (all.len() <= NEEDLES_MAX).then_some(all)
        }
        HirKind::Repetition(_) | HirKind::Class(_) | HirKind::Look(_) | HirKind::Empty => None,
    }
}

fn shortest(needles: &[Vec<u8>]) -> usize {
    needles.iter().map(Vec::len).min().unwrap_or(0)
}

/// Pieces and the groups whose patterns they belong to.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    needles: Vec<Vec<u8>>,
    groups: Vec<usize>,
    automaton: Option<AhoCorasick>,
}

impl Pieces {
    /// One pattern more, by its pieces.
    pub(super) fn add(&mut self, group: usize, needles: Vec<Vec<u8>>) {
        self.groups.extend(std::iter::repeat_n(group, needles.len()));
        self.needles.extend(needles);
    }

    /// To be called when all are there.
    pub(super) fn build(&mut self) -> Result<(), BuildError> {
        let needles = std::mem::take(&mut self.needles);
        if needles.is_empty() {
            return Ok(());
        }
        let mut builder = AhoCorasick::builder();
        // A table of all transitions would be a little faster and many times larger.
        builder.match_kind(MatchKind::Standard).kind(Some(AhoCorasickKind::ContiguousNFA));
        self.automaton = Some(builder.build(needles)?);
        Ok(())
    }

    /// The groups of all patterns, each once.
    pub(super) fn groups(&self) -> Vec<usize> {
        let mut groups = self.groups.clone();
        groups.sort_unstable();
        groups.dedup();
        groups
    }

    /// There is nothing to look for.
    pub(super) const fn is_empty(&self) -> bool {
        self.automaton.is_none()
    }

    /// Adds every group with a pattern that could match the text; others cannot.
    pub(super) fn find(&self, text: &str, found: &mut Vec<usize>) {
        let Some(automaton) = &self.automaton else { return };
        // Hostile text can repeat a piece thousands of times: each counts once.
        let mut seen = Vec::new();
        for hit in automaton.find_overlapping_iter(text) {
            let piece = hit.pattern().as_usize();
            if seen.is_empty() {
                seen.resize(self.groups.len(), false);
            }
            if let (Some(seen), Some(group)) = (seen.get_mut(piece), self.groups.get(piece))
                && !std::mem::replace(seen, true)
            {
                found.push(*group);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(regex: &str, expected: &[&str]) {
        let found = needles(regex).unwrap_or_default();
        let found: Vec<_> = found.iter().map(|needle| String::from_utf8_lossy(needle)).collect();
        assert_eq!(found, expected, "{regex}");
    }

    #[test]
    fn the_longest_piece_that_must_be_there() {
        check("backup\\.sh", &["backup.sh"]);
        check("^[^ ]*actor sleep (.* )?abc$", &["actor sleep "]);
        check("a+bcd*", &["bc"]);
        check("(x|long)y?", &["x", "long"]);
        check("(?:nginx|httpd) -D", &["nginx", "httpd"]);
        check("(ab){2,}", &["ab"]);
        check("(?i)nginx", &[]);
        check("a?", &[]);
        check("[ab]|c", &[]);
        check("a|", &[]);
        check("(?-u)^(?:/?|.*/)nginx[^/]*$", &["nginx"]);
        check(&"x".repeat(100), &[&"x".repeat(NEEDLE_MAX)]);
        check("(", &[]);
    }

    #[test]
    fn a_text_full_of_a_piece_counts_it_once() {
        let mut pieces = Pieces::default();
        pieces.add(3, vec![b"a".to_vec(), b"aa".to_vec()]);
        pieces.add(5, vec![b"b".to_vec()]);
        pieces.build().unwrap();
        let mut found = Vec::new();
        pieces.find(&"a".repeat(4096), &mut found);
        assert_eq!(found, [3, 3]);
        assert_eq!(pieces.groups(), [3, 5]);
    }

    proptest! {
        /// What the pieces rule out does not match.
        #[test]
        fn nothing_that_matches_is_passed_over(
            patterns in prop::collection::vec("[ab.()|*?+^$ ]{1,8}", 1..8),
            text in "[ab c]{0,12}",
        ) {
            let mut pieces = Pieces::default();
            let mut matching = Vec::new();
            let mut always = Vec::new();
            for (group, pattern) in patterns.iter().enumerate() {
                let Ok(regex) = regex::Regex::new(pattern) else { continue };
                match needles(pattern) {
                    Some(needles) => pieces.add(group, needles),
                    None => always.push(group),
                }
                matching.extend(regex.is_match(&text).then_some(group));
            }
            pieces.build().unwrap();
            let mut found = always;
            pieces.find(&text, &mut found);
            prop_assert!(matching.iter().all(|group| found.contains(group)), "{matching:?} {found:?}");
        }
    }
}
