use super::*;

#[track_caller]
fn check(text: &str, (line, column, width): (u32, u32, u32), expected: &str) {
    let source = Source::new("a.yaml", text);
    let shown = Diagnostic::at(&source, Span { line, column, width }, "bad").to_string();
    assert_eq!(shown, expected);
}

#[test]
fn the_caret_stands_under_the_place() {
    check("one\ntwo: three", (2, 6, 5), "a.yaml:2:6: bad\n 2 | two: three\n   |      ^^^^^");
    check("one\r\ntwo", (2, 1, 3), "a.yaml:2:1: bad\n 2 | two\n   | ^^^");
    check("é: ü", (1, 4, 1), "a.yaml:1:4: bad\n 1 | é: ü\n   |    ^");
    check("a\tb\u{1b}c", (1, 5, 1), "a.yaml:1:5: bad\n 1 | a b c\n   |     ^");
}

#[test]
fn a_place_outside_the_text_is_moved_to_its_end() {
    check("", (1, 1, 1), "a.yaml:1:1: bad\n 1 | \n   | ^");
    check("ab\n", (7, 3, 9), "a.yaml:1:3: bad\n 1 | ab\n   |   ^");
    check("ab", (1, 99, 99), "a.yaml:1:3: bad\n 1 | ab\n   |   ^");
    check("ab", (0, 0, 0), "a.yaml:1:1: bad\n 1 | ab\n   | ^");
}

#[test]
fn a_long_line_is_cut_around_the_place() {
    let source = Source::new("a.yaml", "x".repeat(5000));
    let shown = Diagnostic::at(&source, Span { line: 1, column: 4000, width: 2000 }, "bad");
    let snippet = shown.snippet.expect("a line");
    assert_eq!((snippet.text.len(), snippet.indent), (SNIPPET_MAX, SNIPPET_MAX / 4));
    assert!(snippet.indent + snippet.width <= SNIPPET_MAX);
}

#[test]
fn they_come_sorted_and_bounded() {
    let source = Source::new("b.yaml", "a\n".repeat(500));
    let mut all = Diagnostics::new();
    for line in (1..=300).rev() {
        all.push(Diagnostic::at(&source, Span { line, column: 1, width: 1 }, "bad"));
    }
    all.push(Diagnostic::of_file("a.yaml", "cannot be read"));
    assert_eq!(all.len(), 301);
    let lines: Vec<u32> = all.iter().map(|diagnostic| diagnostic.line).collect();
    assert!(lines.is_sorted() && lines.len() == KEPT_MAX);
    assert!(all.to_string().ends_with("and 101 more"));
}

#[test]
fn text_out_of_a_file_is_escaped_and_cut() {
    assert_eq!(quoted("a\u{1b}[31m"), "`a\\x1b[31m`");
    assert_eq!(quoted(&"x".repeat(100)), format!("`{}…`", "x".repeat(60)));
}

#[test]
fn what_was_meant() {
    for (word, expected) in [
        ("cuont", Some("count")),
        ("Count", Some("count")),
        ("cpu-wait", Some("cpu_wait")),
        ("cp", Some("cpu")),
        ("xyz", None),
        ("memory_usage", None),
    ] {
        assert_eq!(nearest(word, ["count", "cpu", "cpu_wait", "memory"]), expected, "{word}");
    }
}
