use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

/// The tree on one line: maps in braces, lists in brackets, scalars as they are, quoted ones in quotes.
fn shown(node: &Node) -> String {
    match &node.value {
        Value::Scalar(Scalar { text, plain: true }) => text.clone(),
        Value::Scalar(Scalar { text, plain: false }) => format!("{text:?}"),
        Value::List(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        Value::Map(entries) => {
            let entry = |entry: &Entry| format!("{}: {}", entry.key, shown(&entry.value));
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
    }
}

/// The tree, and each error as `line:column message`.
fn parsed(text: &str) -> (Option<String>, String) {
    let mut diagnostics = Diagnostics::new();
    let tree = parse(&Source::new("a.yaml", text), &mut diagnostics);
    let errors = diagnostics.iter().fold(String::new(), |mut all, of| {
        let _ = writeln!(all, "{}:{} {}", of.line, of.column, of.message);
        all
    });
    (tree.as_ref().map(shown), errors.trim_end().to_owned())
}

#[track_caller]
fn check(text: &str, tree: Option<&str>, errors: &str) {
    assert_eq!(parsed(text), (tree.map(str::to_owned), errors.to_owned()), "{text:?}");
}

#[test]
fn trees() {
    check("a: b\nc: [1, '2', \"x\\ty\"]\n", Some("{a: b, c: [1, \"2\", \"x\\ty\"]}"), "");
    check("a:\n  - b\n  - c: d\n", Some("{a: [b, {c: d}]}"), "");
    check("a: |\n  x\n  y\n", Some("{a: \"x\\ny\\n\"}"), "");
    check("", Some(""), "");
    check("# nothing\n", Some(""), "");
    check("\u{feff}a: 1\r\nb: 2\r\n", Some("{a: 1, b: 2}"), "");
    check("a: &x {k: [1]}\nb: *x\nc: *x\n", Some("{a: {k: [1]}, b: {k: [1]}, c: {k: [1]}}"), "");
    check("---\na: 1\n...\n", Some("{a: 1}"), "");
}

#[test]
fn what_is_told_and_left_out() {
    check("a: 1\nb: 2\na: 3\n", Some("{a: 1, b: 2}"), "3:1 `a` is given twice; first at a.yaml:1:1");
    check("{a: 1, 'a': {b: 2}}", Some("{a: 1}"), "1:8 `a` is given twice; first at a.yaml:1:2");
    check("? [x]\n: 1\nb: 2\n", Some("{b: 2}"), "1:3 a key must be a text, not a list or a map");
    check("a: !!str 1\n", Some("{a: 1}"), "1:4 tags such as `!!str` are not used here");
    check("a: &x {k: 1}\nb:\n  <<: *x\n", Some("{a: {k: 1}, b: {}}"), "3:3 merge keys (`<<`) are not part of YAML 1.2");
}

#[test]
fn what_ends_the_parse() {
    check("a: 1\n---\nb: 2\n", None, "2:1 a second document begins here");
    check("a:\n\t- b\n", None, "2:2 this is not YAML: tabs disallowed within this context (block indentation)");
    check("a: b: c\n", None, "1:5 this is not YAML: mapping values are not allowed in this context");
    check("a: @x\n", None, "1:4 this is not YAML: unexpected character: '@'");
    check("a: &x [*x]\n", None, "1:8 this alias stands inside what it stands for");
    check("a: *y\n", None, "1:4 this is not YAML: while parsing node, found unknown anchor");
}

#[test]
fn limits() {
    let deep = format!("{}x", "- ".repeat(DEPTH_MAX + 1));
    check(&deep, None, "1:65 lists and maps are nested deeper than 32");
    check(&"- ".repeat(DEPTH_MAX), Some(&format!("{}{}", "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX))), "");
    let wide = "- x\n".repeat(NODES_MAX);
    check(&wide, None, "50000:3 more than 50000 values in one file, counting what aliases stand for");
    let long = " ".repeat(SIZE_MAX + 1);
    check(&long, None, "1:1 the file has 1048577 bytes, more than the 1048576 that are read");
}

#[test]
fn a_bomb_of_aliases_does_not_go_off() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..20 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        let _ = writeln!(bomb, "a{level}: &a{level} [{aliases}]");
    }
    let (tree, errors) = parsed(&bomb);
    assert_eq!(tree, None);
    assert!(errors.contains("counting what aliases stand for"), "{errors}");

    let text = format!("a: &a {}\nb: [{}]", "x".repeat(500_000), "*a, ".repeat(10_000));
    let (tree, errors) = parsed(&text);
    assert_eq!(tree, None);
    assert!(errors.contains("bytes of text"), "{errors}");
}

proptest! {
    /// Any text gives a tree or a place where it went wrong, and the place is in the text.
    #[test]
    fn arbitrary_text(text in "(\\PC|[\\n\\t \\r:\\-?\\[\\]{},&*!|>'\"%@`#<~0-9ab]){0,200}") {
        let source = Source::new("a.yaml", text);
        let mut diagnostics = Diagnostics::new();
        let tree = parse(&source, &mut diagnostics);
        prop_assert!(tree.is_some() || !diagnostics.is_empty());
        let lines: Vec<&str> = source.text.split(['\n', '\r']).collect();
        for diagnostic in diagnostics.iter() {
            prop_assert!(diagnostic.line >= 1 && usize::try_from(diagnostic.line)? <= lines.len().max(1));
            prop_assert!(diagnostic.column >= 1);
            let longest = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
            prop_assert!(usize::try_from(diagnostic.column)? <= longest + 1);
        }
    }
}
