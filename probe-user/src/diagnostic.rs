//! What is wrong with a file that a person wrote, told so that the person can mend it: place, line, caret, help.
//!
//! Text in a message comes from the file and is hostile, and may be secret: [`quoted`] escapes and cuts it and stars out
//! what a URL may hide, and so does the snippet. A
//! [`Diagnostics`] collects everything that is wrong, in all files, and is bounded: past [`KEPT_MAX`] it only counts.

use std::fmt;
use std::sync::Arc;

use crate::event::clean;
use mask::masked;

/// How many diagnostics are kept; more are counted. Whoever has so many mends the first ones first.
pub const KEPT_MAX: usize = 200;
/// Widest piece of a source line that is shown, in characters.
const SNIPPET_MAX: usize = 120;
/// Longest text out of a file inside a message, in characters.
const QUOTED_MAX: usize = 60;

/// A place in a text: line and column from 1, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Line, from 1.
    pub line: u32,
    /// Column of the first character, from 1.
    pub column: u32,
    /// Characters to underline on that line, at least 1.
    pub width: u32,
}

impl Span {
    /// The beginning of a text.
    pub const START: Self = Self { line: 1, column: 1, width: 1 };
}

/// A text with the name under which people know it.
#[derive(Clone, Debug)]
pub struct Source {
    /// As the person named it: the path on the command line, or below the folder that was named.
    pub name: Arc<str>,
    /// The whole text, without a byte order mark.
    pub text: String,
}

impl Source {
    /// A text under a name.
    pub fn new(name: &str, text: impl Into<String>) -> Self {
        let mut text = text.into();
        if text.starts_with('\u{feff}') {
            text.remove(0);
        }
        Self { name: Arc::from(clean(name)), text }
    }

    /// `file:line`, as it stands in events and status.
    pub fn declared(&self, span: Span) -> Arc<str> {
        Arc::from(format!("{}:{}", self.name, span.line))
    }

    /// `file:line:column`, to name a second place inside a message.
    pub fn place(&self, span: Span) -> String {
        format!("{}:{}:{}", self.name, span.line, span.column)
    }
}

/// One thing that is wrong (or, as a note, worth knowing).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file, as [`Source::name`].
    pub file: Arc<str>,
    /// Line from 1; 0 when the file as a whole is meant.
    pub line: u32,
    /// Column from 1, in characters; 0 when the file as a whole is meant.
    pub column: u32,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The source line.
    pub snippet: Option<Snippet>,
}

/// A piece of a source line and what of it is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snippet {
    /// The line, control characters replaced one for one, cut around the place.
    pub text: String,
    /// Characters before the caret.
    pub indent: usize,
    /// Number of carets, at least 1.
    pub width: usize,
}

impl Diagnostic {
    /// About a place in a source. A span outside the text is moved to its end, so that the place always exists.
    pub fn at(source: &Source, span: Span, message: impl Into<String>) -> Self {
        let wanted = usize::try_from(span.line).unwrap_or(usize::MAX).max(1);
        let mut number = 0;
        let mut line = "";
        for (index, text) in lines(&source.text).enumerate().take(wanted) {
            (number, line) = (index + 1, text);
        }
        let length = line.chars().count();
        let (before, width) = if number < wanted {
            (length, 1)
        } else {
            (size(span.column.saturating_sub(1)).min(length), size(span.width.max(1)))
        };
        Self {
            file: Arc::clone(&source.name),
            line: u32::try_from(number.max(1)).unwrap_or(u32::MAX),
            column: u32::try_from(before + 1).unwrap_or(u32::MAX),
            message: message.into(),
            help: None,
            snippet: Some(Snippet::cut(line, before, width.min((length - before).max(1)))),
        }
    }

    /// About a file as a whole: it cannot be read, say.
    pub fn of_file(file: &str, message: impl Into<String>) -> Self {
        let file = Arc::from(clean(file));
        Self { file, line: 0, column: 0, message: message.into(), help: None, snippet: None }
    }

    /// Says what to do about it.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// YAML's line breaks, as its parser counts lines. There is always one line, maybe empty.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let present = rest?;
        match present.find(['\n', '\r']) {
            Some(end) => {
                let skip = if present[end..].starts_with("\r\n") { 2 } else { 1 };
                // A break at the very end of the text closes the last line, it does not open another one.
                rest = Some(&present[end + skip..]).filter(|after| !after.is_empty());
                Some(&present[..end])
            }
            None => rest.take(),
        }
    })
}

impl Snippet {
    fn cut(line: &str, before: usize, width: usize) -> Self {
        let skip = if before + width < SNIPPET_MAX { 0 } else { before.saturating_sub(SNIPPET_MAX / 4) };
        // One character stays one character, so that the caret stands where it should.
        let text: String = masked(line)
            .chars()
            .skip(skip)
            .take(SNIPPET_MAX)
            .map(|c| if clean(c.encode_utf8(&mut [0; 4])).len() == c.len_utf8() { c } else { ' ' })
            .collect();
        let indent = before - skip;
        Self { text: text.trim_end().to_owned(), indent, width: width.min(SNIPPET_MAX.saturating_sub(indent)).max(1) }
    }
}

impl fmt::Display for Diagnostic {
    /// `file:line:column: message`, the line with carets, and the help; no closing newline.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.message)?,
            line => write!(f, "{}:{line}:{}: {}", self.file, self.column, self.message)?,
        }
        if let Some(Snippet { text, indent, width }) = &self.snippet {
            let margin = self.line.to_string().len();
            write!(f, "\n {} | {text}", self.line)?;
            write!(f, "\n {:margin$} | {:indent$}{}", "", "", "^".repeat(*width))?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n help: {help}")?;
        }
        Ok(())
    }
}

/// Everything that is wrong, in the order of files, lines and columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics {
    kept: Vec<Diagnostic>,
    more: usize,
}

impl Diagnostics {
    /// Nothing wrong yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more; past [`KEPT_MAX`] it is only counted. The same one twice (what an alias stands for is read each time) is
    /// one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if self.kept.len() >= KEPT_MAX {
            self.more += 1;
            return;
        }
        let place = |of: &Diagnostic| (Arc::clone(&of.file), of.line, of.column);
        let index = self.kept.partition_point(|other| place(other) <= place(&diagnostic));
        let same_place = self.kept[..index].iter().rev().take_while(|other| place(other) == place(&diagnostic));
        if same_place.into_iter().all(|other| *other != diagnostic) {
            self.kept.insert(index, diagnostic);
        }
    }

    /// One more about a place; its line is looked for only while diagnostics are still kept.
    pub fn report(&mut self, source: &Source, span: Span, message: impl Into<String>, help: Option<String>) {
        if self.kept.len() >= KEPT_MAX {
            self.more += 1;
        } else {
            self.push(Diagnostic { help, ..Diagnostic::at(source, span, message) });
        }
    }

    /// Nothing is wrong.
    pub const fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// How many things are wrong, also those that are not kept.
    pub const fn len(&self) -> usize {
        self.kept.len() + self.more
    }

    /// Those that are kept, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.kept.iter()
    }

    /// The value if nothing is wrong, else everything that is.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self { kept: vec![diagnostic], more: 0 }
    }
}

impl fmt::Display for Diagnostics {
    /// One block for each, an empty line between them; no closing newline.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.kept.iter().enumerate() {
            let gap = if index == 0 { "" } else { "\n\n" };
            write!(f, "{gap}{diagnostic}")?;
        }
        if self.more > 0 {
            write!(f, "\n\nand {} more", self.more)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// Text out of a file in backticks: escaped, and cut when it is long.
pub fn quoted(text: &str) -> String {
    let text = masked(text);
    let cut: String = text.chars().take(QUOTED_MAX).collect();
    let dots = if cut.len() < text.len() { "…" } else { "" };
    format!("`{}{dots}`", clean(&cut))
}

/// The known word that was most likely meant, if one is near enough.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    // A hostile key may be as long as the file; nothing that long is a typing mistake.
    if word.len() > 64 {
        return None;
    }
    let lower = word.to_lowercase().replace('-', "_");
    let allowed = (lower.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

mod mask;

#[cfg(test)]
mod tests;
