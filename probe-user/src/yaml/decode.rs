//! Typed reading of a tree. Whatever is wrong is told and reading goes on, so that a person sees everything at once: a
//! getter that gives `None` has told why.

use std::time::Duration;

use super::keys::{Choice, Form, Key, State, Table};
use super::{Entry, Node, Scalar, Value, units};
use crate::diagnostic::{Diagnostics, Source, Span, nearest, quoted};

/// Reads one source's tree.
#[derive(Debug)]
pub struct Decoder<'a> {
    /// The text that the tree was made of.
    pub source: &'a Source,
    diagnostics: &'a mut Diagnostics,
}

/// The entries of a map with fixed keys: only those that the table knows and that can be used.
#[derive(Debug)]
pub struct Fields<'t> {
    /// Where the map begins.
    pub span: Span,
    entries: Vec<(&'static Key, &'t Entry)>,
}

impl<'t> Fields<'t> {
    /// The value of a key, if it is given.
    pub fn get(&self, name: &str) -> Option<&'t Node> {
        self.entry(name).map(|entry| &entry.value)
    }

    /// Key and value, if it is given.
    pub fn entry(&self, name: &str) -> Option<&'t Entry> {
        self.entries.iter().find(|(key, _)| key.name == name).map(|(_, entry)| *entry)
    }

    /// All of them, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Key, &'t Entry)> {
        self.entries.iter().copied()
    }

    /// Nothing usable was given.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<'a> Decoder<'a> {
    /// For the tree that was parsed from `source`.
    pub const fn new(source: &'a Source, diagnostics: &'a mut Diagnostics) -> Self {
        Self { source, diagnostics }
    }

    /// How many things are wrong so far, in all files.
    pub const fn errors(&self) -> usize {
        self.diagnostics.len()
    }

    /// Something is wrong.
    pub fn error(&mut self, span: Span, message: impl Into<String>) {
        self.diagnostics.report(self.source, span, message, None);
    }

    /// Something is wrong, and this is what to do about it.
    pub fn error_help(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.diagnostics.report(self.source, span, message, Some(help.into()));
    }

    /// The fields of a map with fixed keys. Unknown keys, keys of a later version and missing ones are told. A node
    /// that is nothing counts as an empty map.
    pub fn fields<'t>(&mut self, node: &'t Node, table: &'static Table) -> Option<Fields<'t>> {
        let entries: &[Entry] = match &node.value {
            Value::Map(entries) => entries,
            _ if node.is_nothing() => &[],
            _ => {
                self.wrong(node, &format!("{} (a map)", table.what), &format!("such as `{}`", table.example));
                return None;
            }
        };
        let mut fields = Fields { span: node.span, entries: Vec::with_capacity(entries.len()) };
        for entry in entries {
            match table.key(&entry.key) {
                Some(key) if key.is_usable() => fields.entries.push((key, entry)),
                Some(key) => self.unusable(entry, key),
                None => self.unknown(entry, table),
            }
        }
        self.missing(node.span, entries, table);
        Some(fields)
    }

    /// Tells what must be given and is not, unless a slip of the pen among the keys explains it.
    fn missing(&mut self, span: Span, entries: &[Entry], table: &'static Table) {
        let names = || table.keys.iter().map(|key| key.name);
        let meant = |name: &str| {
            entries.iter().any(|entry| {
                entry.key == name || table.key(&entry.key).is_none() && nearest(&entry.key, names()) == Some(name)
            })
        };
        for key in table.keys.iter().filter(|key| key.state == State::Required && !meant(key.name)) {
            let message = format!("{} needs the key `{}`", table.what, key.name);
            self.error_help(span, message, format!("such as `{}: {}`", key.name, key.kind.example()));
        }
        if !table.one_of.is_empty() && !table.one_of.iter().any(|name| meant(name)) {
            let message = format!("{} needs at least one of {}", table.what, listed(table.one_of));
            self.error_help(span, message, format!("such as `{}`", table.example));
        }
    }

    fn unusable(&mut self, entry: &Entry, key: &'static Key) {
        match key.state {
            State::Elsewhere(why) => self.error_help(entry.span, format!("`{}` cannot be given here", key.name), why),
            _ => self.not_in_this_version(entry.span, key.name, key.doc),
        }
    }

    /// Refuses something that the language has and this version does not.
    pub fn not_in_this_version(&mut self, span: Span, what: &str, doc: &str) {
        self.error_help(span, format!("`{what}` is not in this version"), format!("take it out for now ({doc})"));
    }

    fn unknown(&mut self, entry: &Entry, table: &'static Table) {
        let known: Vec<&str> = table.usable().collect();
        let help = match nearest(&entry.key, table.keys.iter().map(|key| key.name)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("the keys of {} are {}", table.what, listed(&known)),
        };
        self.error_help(entry.span, format!("unknown key {}", quoted(&entry.key)), help);
    }

    /// The entries of a map whose keys are names. A node that is nothing counts as an empty map.
    pub fn entries<'t>(&mut self, node: &'t Node, what: &str, example: &str) -> &'t [Entry] {
        match &node.value {
            Value::Map(entries) => entries,
            _ if node.is_nothing() => &[],
            _ => {
                self.wrong(node, what, &format!("such as {example}"));
                &[]
            }
        }
    }

    /// One value or a list of values, at least one.
    pub fn one_or_many<'t>(&mut self, node: &'t Node) -> &'t [Node] {
        let items = node.items();
        if items.is_empty() {
            self.error_help(node.span, "the list is empty", "give at least one value, or leave the key out");
        }
        items
    }

    /// A list with at least one item; a single value is an error.
    pub fn list<'t>(&mut self, node: &'t Node) -> &'t [Node] {
        if matches!(node.value, Value::List(_)) {
            return self.one_or_many(node);
        }
        self.wrong(node, "a list", "write it as [one, two] or with a dash before each item");
        &[]
    }

    /// A list, which may be empty; a single value is an error.
    pub fn names<'t>(&mut self, node: &'t Node) -> &'t [Node] {
        if let Value::List(items) = &node.value {
            return items;
        }
        self.wrong(node, "a list", "write it as [one, two], or [] for none");
        &[]
    }

    /// Any text that is not nothing; numbers and the like are taken as they are written.
    pub fn text<'t>(&mut self, node: &'t Node, form: &Form) -> Option<&'t str> {
        match &node.value {
            Value::Scalar(scalar) if !node.is_nothing() => Some(&scalar.text),
            _ => {
                self.wrong(node, form.what, &such_as(form));
                None
            }
        }
    }

    /// A text of a certain form; `read` gives the value, or the sentence that helps.
    pub fn form<T>(&mut self, node: &Node, form: &Form, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(node, form)?;
        match read(text) {
            Ok(value) => Some(value),
            Err(help) => {
                self.wrong(node, &format!("{} such as `{}`", form.what, example(form)), &help);
                None
            }
        }
    }

    /// `10s`, `1m`, `1h30m`, `500ms`, `2d`.
    pub fn duration(&mut self, node: &Node) -> Option<Duration> {
        self.form(node, &units::DURATION, units::duration)
    }

    /// A duration longer than nothing.
    pub fn some_duration(&mut self, node: &Node) -> Option<Duration> {
        let duration = self.duration(node)?;
        if duration.is_zero() {
            self.error(node.span, "the duration must be longer than 0");
            return None;
        }
        Some(duration)
    }

    /// `512MiB`, in bytes.
    pub fn size(&mut self, node: &Node) -> Option<u64> {
        self.form(node, &units::SIZE, units::size)
    }

    /// `10%` as 0.1.
    pub fn percent(&mut self, node: &Node) -> Option<f64> {
        self.form(node, &units::PERCENT, units::percent)
    }

    /// `true` or `false`.
    pub fn bool(&mut self, node: &Node) -> Option<bool> {
        match &node.value {
            Value::Scalar(Scalar { text, plain: true }) if matches!(&**text, "true" | "True" | "TRUE") => Some(true),
            Value::Scalar(Scalar { text, plain: true }) if matches!(&**text, "false" | "False" | "FALSE") => {
                Some(false)
            }
            _ => {
                self.wrong(node, "`true` or `false`", "YAML 1.2 has no yes, no, on or off");
                None
            }
        }
    }

    /// A plain whole number within bounds (both inclusive).
    pub fn whole(&mut self, node: &Node, least: u32, most: u32) -> Option<u32> {
        let what = "a whole number";
        let Value::Scalar(Scalar { text, plain: true }) = &node.value else {
            self.wrong(node, what, "such as 2, without quotes");
            return None;
        };
        let number = if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse::<u64>().ok() } else { None };
        let Some(number) = number else {
            self.wrong(node, what, "such as 2: digits only, without a unit");
            return None;
        };
        match u32::try_from(number) {
            Ok(number) if (least..=most).contains(&number) => Some(number),
            _ => {
                self.error(node.span, format!("{number} is out of range: from {least} to {most}"));
                None
            }
        }
    }

    /// A number such as `1` or `1.5`.
    pub fn decimal(&mut self, node: &Node) -> Option<f64> {
        const NUMBER: Form = Form { what: "a number", pattern: None, examples: &["1.5"] };
        self.form(node, &NUMBER, units::decimal)
    }

    /// One of a few words; gives its place among them.
    pub fn choice(&mut self, node: &Node, choices: &[Choice]) -> Option<usize> {
        let known: Vec<&str> = choices.iter().filter(|of| of.state == State::Optional).map(|of| of.word).collect();
        if let Value::Scalar(Scalar { text, .. }) = &node.value {
            match choices.iter().position(|choice| choice.word == text) {
                Some(index) if choices[index].state == State::Optional => return Some(index),
                Some(index) => {
                    self.not_in_this_version(node.span, choices[index].word, choices[index].doc);
                    return None;
                }
                None => {}
            }
            if let Some(meant) = nearest(text, known.iter().copied()) {
                self.wrong(node, &format!("one of {}", listed(&known)), &format!("did you mean `{meant}`?"));
                return None;
            }
        }
        self.wrong(node, &format!("one of {}", listed(&known)), "");
        None
    }

    /// Says what was expected and what was found.
    pub fn wrong(&mut self, node: &Node, expected: &str, help: &str) {
        let message = format!("expected {expected}, found {}", found(node));
        let help = Some(help.to_owned()).filter(|help| !help.is_empty());
        self.diagnostics.report(self.source, node.span, message, help);
    }
}

/// What a node is, in words.
pub fn found(node: &Node) -> String {
    match &node.value {
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a map".to_owned(),
        Value::Scalar(_) if node.is_nothing() => "nothing".to_owned(),
        Value::Scalar(Scalar { text, .. }) if text.is_empty() => "an empty text".to_owned(),
        Value::Scalar(Scalar { text, plain: true }) => quoted(text),
        Value::Scalar(Scalar { text, plain: false }) => format!("the quoted text {}", quoted(text)),
    }
}

/// Words in backticks, as a sentence has them.
pub fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

fn example(form: &Form) -> &'static str {
    form.examples.first().copied().unwrap_or("")
}

fn such_as(form: &Form) -> String {
    format!("such as {}", listed(form.examples))
}

#[cfg(test)]
mod tests;
