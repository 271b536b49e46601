//! The tree from the parser's events. No recursion: depth, nodes and text are counted before anything is kept.
//!
//! A syntax error, a limit or a second document ends the parse: what follows would be guesswork. A repeated key or a tag
//! is told and the parse goes on, so that a person sees all of them at once.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span as Marks};

use super::{DEPTH_MAX, Entry, NODES_MAX, Node, SIZE_MAX, Scalar, TEXT_MAX, Value};
use crate::diagnostic::{Diagnostics, Source, Span, quoted};

/// The tree of a text; `None` when the syntax does not allow one, with the reason among the diagnostics. An empty text
/// is a node that [`Node::is_nothing`].
pub fn parse(source: &Source, diagnostics: &mut Diagnostics) -> Option<Node> {
    if source.text.len() > SIZE_MAX {
        let message = format!("the file has {} bytes, more than the {SIZE_MAX} that are read", source.text.len());
        diagnostics.report(source, Span::START, message, None);
        return None;
    }
    let mut builder =
        Builder { source, diagnostics, open: Vec::new(), anchors: HashMap::new(), spent: Cost::default() };
    let mut root = None;
    for event in Parser::new_from_str(&source.text) {
        let step = match event {
            Ok((Event::DocumentStart(_), marks)) if root.is_some() => Err(Fault::new(
                marks,
                "a second document begins here",
                "one file holds one document: make it another file",
            )),
            Ok((event, marks)) => builder.event(event, marks),
            Err(error) => Err(Fault::syntax(*error.marker(), error.info())),
        };
        match step {
            Ok(Some(node)) => root = Some(node),
            Ok(None) => {}
            Err(fault) => {
                builder.diagnostics.report(source, fault.span, fault.message, fault.help);
                return None;
            }
        }
    }
    Some(root.unwrap_or(Node { span: Span::START, value: nothing() }))
}

const fn nothing() -> Value {
    Value::Scalar(Scalar { text: String::new(), plain: true })
}

/// Why the parse cannot go on.
struct Fault {
    span: Span,
    message: String,
    help: Option<String>,
}

impl Fault {
    fn new(marks: Marks, message: impl Into<String>, help: &str) -> Self {
        Self { span: span(marks), message: message.into(), help: Some(help.to_owned()) }
    }

    fn syntax(marker: Marker, what: &str) -> Self {
        let help = if what.contains("tab") {
            Some("indent with spaces")
        } else if what.contains("mapping values are not allowed") {
            Some("a text with `: ` in it needs quotes; else look at the indentation")
        } else if what.contains("unexpected character") || what.contains("start any token") {
            Some("a text that begins with a special character needs quotes")
        } else if what.contains("unknown escape") {
            Some("in double quotes a backslash is written `\\\\`; single quotes leave it as it is")
        } else {
            None
        };
        let message = format!("this is not YAML: {}", what.replace('`', "'"));
        Self { span: point(marker), message, help: help.map(str::to_owned) }
    }
}

/// What nodes cost against the limits.
#[derive(Clone, Copy, Default)]
struct Cost {
    nodes: usize,
    text: usize,
}

impl Cost {
    fn of(node: &Node) -> Self {
        // As deep as DEPTH_MAX at most, so recursion is safe here.
        let sum = |costs: &mut dyn Iterator<Item = Self>| {
            costs.fold(Self { nodes: 1, text: 0 }, |a, b| Self { nodes: a.nodes + b.nodes, text: a.text + b.text })
        };
        match &node.value {
            Value::Scalar(scalar) => Self { nodes: 1, text: scalar.text.len() },
            Value::List(items) => sum(&mut items.iter().map(Self::of)),
            Value::Map(entries) => sum(&mut entries.iter().map(|entry| {
                let value = Self::of(&entry.value);
                Self { nodes: value.nodes + 1, text: value.text + entry.key.len() }
            })),
        }
    }
}

/// A list or map whose end has not come yet.
struct Open {
    span: Span,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, places: HashMap<String, Span>, next: Next },
}

/// What the next node of a map is.
enum Next {
    Key,
    Value(String, Span),
    /// The value of a key that was refused.
    Nothing,
}

struct Builder<'a> {
    source: &'a Source,
    diagnostics: &'a mut Diagnostics,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, Cost)>,
    spent: Cost,
}

impl Builder<'_> {
    /// One event; gives the root once it is complete.
    fn event(&mut self, event: Event<'_>, marks: Marks) -> Result<Option<Node>, Fault> {
        let tag = match &event {
            Event::Scalar(_, _, _, tag) | Event::SequenceStart(_, tag) | Event::MappingStart(_, tag) => tag.as_ref(),
            _ => None,
        };
        if let Some(tag) = tag {
            let tag = if tag.is_yaml_core_schema() { format!("!!{}", tag.suffix) } else { tag.to_string() };
            let tag = quoted(&tag);
            let help = "leave it out: every key here has one type".to_owned();
            self.diagnostics.report(
                self.source,
                span(marks),
                format!("tags such as {tag} are not used here"),
                Some(help),
            );
        }
        match event {
            Event::Scalar(text, style, anchor, _) => {
                self.spend(Cost { nodes: 1, text: text.len() }, marks)?;
                let scalar = Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain };
                self.complete(Node { span: span(marks), value: Value::Scalar(scalar) }, anchor, marks)
            }
            Event::SequenceStart(anchor, _) => self.begin(anchor, marks, Content::List(Vec::new())),
            Event::MappingStart(anchor, _) => {
                let content = Content::Map { entries: Vec::new(), places: HashMap::new(), next: Next::Key };
                self.begin(anchor, marks, content)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { span, anchor, content }) = self.open.pop() else { return Ok(None) };
                let value = match content {
                    Content::List(items) => Value::List(items),
                    Content::Map { entries, .. } => Value::Map(entries),
                };
                self.complete(Node { span, value }, anchor, marks)
            }
            Event::Alias(anchor) => {
                let Some((node, cost)) = self.anchors.get(&anchor).cloned() else {
                    let help = "an alias stands for something that was complete before it";
                    return Err(Fault::new(marks, "this alias stands inside what it stands for", help));
                };
                self.spend(cost, marks)?;
                self.check_depth(depth(&node), marks)?;
                self.complete(node, 0, marks)
            }
            _ => Ok(None),
        }
    }

    fn spend(&mut self, cost: Cost, marks: Marks) -> Result<(), Fault> {
        self.spent.nodes = self.spent.nodes.saturating_add(cost.nodes);
        self.spent.text = self.spent.text.saturating_add(cost.text);
        if self.spent.nodes > NODES_MAX {
            let message = format!("more than {NODES_MAX} values in one file, counting what aliases stand for");
            return Err(Fault::new(marks, message, "split the file"));
        }
        if self.spent.text > TEXT_MAX {
            let message = format!("more than {TEXT_MAX} bytes of text in one file, counting what aliases stand for");
            return Err(Fault::new(marks, message, "split the file"));
        }
        Ok(())
    }

    fn check_depth(&self, below: usize, marks: Marks) -> Result<(), Fault> {
        if self.open.len() + below > DEPTH_MAX {
            let message = format!("lists and maps are nested deeper than {DEPTH_MAX}");
            return Err(Fault::new(marks, message, "look at the indentation"));
        }
        Ok(())
    }

    fn begin(&mut self, anchor: usize, marks: Marks, content: Content) -> Result<Option<Node>, Fault> {
        self.spend(Cost { nodes: 1, text: 0 }, marks)?;
        self.check_depth(1, marks)?;
        // What the parser marks of a beginning differs between styles: the first character is enough.
        self.open.push(Open { span: point(marks.start), anchor, content });
        Ok(None)
    }

    /// Puts a complete node where it belongs; gives it back when it is the root.
    fn complete(&mut self, node: Node, anchor: usize, marks: Marks) -> Result<Option<Node>, Fault> {
        if anchor != 0 {
            // The anchor keeps a copy, so it costs like one: nested anchors would multiply otherwise.
            let cost = Cost::of(&node);
            self.spend(cost, marks)?;
            self.anchors.insert(anchor, (node.clone(), cost));
        }
        let Some(open) = self.open.last_mut() else { return Ok(Some(node)) };
        match &mut open.content {
            Content::List(items) => items.push(node),
            Content::Map { entries, places, next } => match std::mem::replace(next, Next::Key) {
                Next::Key => *next = accept_key(self.source, self.diagnostics, places, node),
                Next::Value(key, span) => entries.push(Entry { key, span, value: node }),
                Next::Nothing => {}
            },
        }
        Ok(None)
    }
}

/// A key must be a text that the map does not have yet.
fn accept_key(source: &Source, diagnostics: &mut Diagnostics, places: &mut HashMap<String, Span>, node: Node) -> Next {
    let Value::Scalar(Scalar { text, plain }) = node.value else {
        diagnostics.report(source, node.span, "a key must be a text, not a list or a map", None);
        return Next::Nothing;
    };
    if text == "<<" && plain {
        let help = "name the keys, or give the whole value an anchor and use `key: *anchor`".to_owned();
        diagnostics.report(source, node.span, "merge keys (`<<`) are not part of YAML 1.2", Some(help));
        return Next::Nothing;
    }
    if let Some(first) = places.get(&text) {
        let message = format!("{} is given twice; first at {}", quoted(&text), source.place(*first));
        diagnostics.report(source, node.span, message, Some("keep one of them".to_owned()));
        return Next::Nothing;
    }
    places.insert(text.clone(), node.span);
    Next::Value(text, node.span)
}

fn depth(node: &Node) -> usize {
    match &node.value {
        Value::Scalar(_) => 0,
        Value::List(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Map(entries) => 1 + entries.iter().map(|entry| depth(&entry.value)).max().unwrap_or(0),
    }
}

/// The parser counts lines from 1 and columns from 0.
fn point(marker: Marker) -> Span {
    let bounded = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Span { line: bounded(marker.line()), column: bounded(marker.col()).saturating_add(1), width: 1 }
}

fn span(marks: Marks) -> Span {
    let start = point(marks.start);
    let end = point(marks.end);
    let width = if end.line == start.line { end.column.saturating_sub(start.column) } else { 1 };
    Span { width: width.max(1), ..start }
}

#[cfg(test)]
mod tests;
