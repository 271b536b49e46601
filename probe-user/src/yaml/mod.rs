//! YAML as policies and the configuration use it: a tree in which everything knows its place, and typed reading of it.
//!
//! - [`parse`] builds the tree, with hard limits: a file is hostile until it is checked.
//! - [`keys`] says once which keys there are; [`Decoder`] reads by it and tells everything that is wrong, [`schema`]
//!   makes a JSON Schema of it.
//! - [`units`] reads durations, sizes and shares.
//! - [`read`] opens files.
//!
//! Failure is never silent and never partial: whoever reads collects [`crate::diagnostic::Diagnostics`] and uses the
//! result only if there are none.

pub mod decode;
pub mod keys;
pub mod read;
pub mod schema;
mod tree;
pub mod units;

pub use decode::{Decoder, Fields};
pub use tree::parse;

use crate::diagnostic::Span;

/// Largest file, in bytes.
pub const SIZE_MAX: usize = 1 << 20;
/// Deepest nesting of lists and maps.
pub const DEPTH_MAX: usize = 32;
/// Most nodes of a file, counting what an alias stands for each time.
pub const NODES_MAX: usize = 50_000;
/// Most bytes of text in all nodes, counting what an alias stands for each time.
pub const TEXT_MAX: usize = 2 * SIZE_MAX;

/// A value with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Where it begins. What came through an alias is where the anchor is.
    pub span: Span,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A single value.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the file, keys unique.
    Map(Vec<Entry>),
}

/// A single value, not yet held to be of any type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar {
    /// Quotes and escapes resolved.
    pub text: String,
    /// Without quotes: it may be a number, `true`, or nothing at all.
    pub plain: bool,
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key's text.
    pub key: String,
    /// Where the key is.
    pub span: Span,
    /// Its value.
    pub value: Node,
}

impl Node {
    /// There is a key without a value, or a file without content.
    pub fn is_nothing(&self) -> bool {
        matches!(&self.value, Value::Scalar(Scalar { text, plain: true }) if matches!(&**text, "" | "~" | "null"))
    }

    /// A list's items, or the single value as a list of one.
    pub fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            _ => std::slice::from_ref(self),
        }
    }
}
