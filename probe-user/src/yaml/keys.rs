//! What keys there are: the one table that decoding, "did you mean" and the JSON Schema are made from.

/// A map with fixed keys.
#[derive(Debug)]
pub struct Table {
    /// What it is, with an article: "a group".
    pub what: &'static str,
    /// One line for people who write the file.
    pub doc: &'static str,
    /// A right value, as it is written in one line.
    pub example: &'static str,
    /// Its keys, in the order in which they are explained.
    pub keys: &'static [Key],
    /// Without at least one of these the map is an error; empty when it may lack all.
    pub one_of: &'static [&'static str],
}

/// One key of a [`Table`].
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// One line for people who write the file.
    pub doc: &'static str,
    /// Whether it can be used here.
    pub state: State,
}

/// Whether a key can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It may be given.
    Optional,
    /// It must be given.
    Required,
    /// The language has it, this version does not: refused by name, never ignored.
    Later,
    /// It belongs somewhere else: refused, with this sentence on where and why.
    Elsewhere(&'static str),
}

/// What a value is.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Text of a certain form.
    Form(&'static Form),
    /// One of a few words.
    Choice(&'static [Choice]),
    /// `true` or `false`.
    Bool,
    /// A plain whole number in this range.
    Whole(u32, u32),
    /// One value, or a list of them with at least one item.
    OneOrMany(&'static Kind),
    /// A list with at least one item.
    List(&'static Kind),
    /// A list that may well be empty.
    Names(&'static Kind),
    /// A map with fixed keys.
    Table(&'static Table),
    /// A map whose keys are names of this form.
    Named(&'static Form, &'static Kind),
}

/// Text of a certain form.
#[derive(Debug)]
pub struct Form {
    /// What it is, with an article: "a duration".
    pub what: &'static str,
    /// A regular expression that every right value matches, for editors.
    pub pattern: Option<&'static str>,
    /// Right values; the first is shown in errors.
    pub examples: &'static [&'static str],
}

/// One word of a [`Kind::Choice`].
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// As it is written.
    pub word: &'static str,
    /// What it means.
    pub doc: &'static str,
    /// Whether it can be used: [`State::Optional`] or [`State::Later`].
    pub state: State,
}

impl Key {
    /// A key that may be given.
    pub const fn new(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self { name, kind, doc, state: State::Optional }
    }

    /// A key that must be given.
    pub const fn required(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self { name, kind, doc, state: State::Required }
    }

    /// A key of a later version.
    pub const fn later(name: &'static str, doc: &'static str) -> Self {
        Self { name, kind: Kind::Bool, doc, state: State::Later }
    }

    /// A key that people look for here and that belongs somewhere else.
    pub const fn elsewhere(name: &'static str, why: &'static str) -> Self {
        Self { name, kind: Kind::Bool, doc: "", state: State::Elsewhere(why) }
    }

    /// It may or must be given.
    pub const fn is_usable(&self) -> bool {
        matches!(self.state, State::Optional | State::Required)
    }
}

impl Choice {
    /// A word that can be used.
    pub const fn new(word: &'static str, doc: &'static str) -> Self {
        Self { word, doc, state: State::Optional }
    }

    /// A word of a later version.
    pub const fn later(word: &'static str, doc: &'static str) -> Self {
        Self { word, doc, state: State::Later }
    }
}

impl Table {
    /// The key of that name.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// Names of the keys that can be used.
    pub fn usable(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().filter(|key| key.is_usable()).map(|key| key.name)
    }
}

impl Kind {
    /// A right value, as it is written in one line.
    pub fn example(&self) -> String {
        let first = |form: &Form| form.examples.first().copied().unwrap_or_default().to_owned();
        match self {
            Self::Form(form) => first(form),
            Self::Choice(choices) => choices.first().map_or("", |choice| choice.word).to_owned(),
            Self::Bool => "true".to_owned(),
            Self::Whole(least, _) => least.to_string(),
            Self::OneOrMany(kind) => kind.example(),
            Self::List(kind) | Self::Names(kind) => format!("[{}]", kind.example()),
            Self::Table(table) => table.example.to_owned(),
            Self::Named(name, kind) => format!("{{ {}: {} }}", first(name), kind.example()),
        }
    }
}
