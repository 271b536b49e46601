use proptest::prelude::*;

use super::*;
use crate::policy::spec::Response;

fn words(words: &[&str]) -> Vec<Arc<str>> {
    words.iter().map(|word| Arc::from(*word)).collect()
}

fn log(any: &[&str], regex: &[&str], ignore: &[&str]) -> Log {
    Log {
        name: "app".into(),
        declared: "test.yaml:1".into(),
        paths: Vec::new(),
        any: words(any),
        regex: words(regex),
        ignore: words(ignore),
        bounds: Vec::new(),
        quiet: None,
        response: Response::default(),
    }
}

fn scan(log: &Log, text: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    Matcher::new(log).unwrap().scan(text, |f| found.push((f.keyword.to_string(), f.line.to_vec())));
    found
}

/// What `any`, `regex` and `ignore` find in a text, as `keyword: line`.
#[track_caller]
fn check(any: &[&str], regex: &[&str], ignore: &[&str], text: &str, expected: &[&str]) {
    let found = scan(&log(any, regex, ignore), text.as_bytes());
    let found: Vec<String> =
        found.iter().map(|(keyword, line)| format!("{keyword}: {}", String::from_utf8_lossy(line))).collect();
    assert_eq!(found, expected, "{any:?} {regex:?} {ignore:?} in {text:?}");
}

#[test]
fn keywords() {
    check(&["ORA-", "OOM"], &[], &[], "a\nOOM 1\nb ORA-12\n", &["OOM: OOM 1", "ORA-: b ORA-12"]);
    check(&["b", "a"], &[], &[], "xab\n", &["a: xab"]);
    check(&["aa"], &[], &[], "aaaa aa\naa", &["aa: aaaa aa", "aa: aa"]);
    check(&["x"], &[], &[], "", &[]);
    check(&["x"], &[], &[], "\n\n\r\nx\r\n", &["x: x"]);
    check(&["a\nb"], &[], &[], "a\nb\n", &[]);
    check(&["[x]"], &[], &[], "a[x]b\nx\n", &["[x]: a[x]b"]);
}

#[test]
fn expressions() {
    check(&[], &[r"status=5\d\d"], &[], "status=200\nstatus=503 x\n", &[r"status=5\d\d: status=503 x"]);
    check(&[], &["^b$"], &[], "ab\nb\r\nb\nbc", &["^b$: b", "^b$: b"]);
    check(&[], &[r"a\s+b"], &[], "a\nb\na b\n", &[r"a\s+b: a b"]);
    check(&[], &["x", "^.y"], &[], "ay x\nzy\n", &["x: ay x", "^.y: zy"]);
    check(&[], &[r"\Ab"], &[], "ab\nb1\nb2", &[r"\Ab: b1", r"\Ab: b2"]);
    check(&[], &["(?x)a b # c"], &[], "ab\na b\n", &["(?x)a b # c: ab"]);
    check(&[], &["(?P<n>a)", "(?P<n>b)"], &[], "b\n", &["(?P<n>b): b"]);
    check(&[], &["^$"], &[], "a\n\nb\n", &["^$: "]);
    check(&[], &["q*"], &[], "a\nb\n", &["q*: a", "q*: b"]);
    check(&["k"], &["r"], &[], "r k\nr\n", &["k: r k", "r: r"]);
}

#[test]
fn ignored_words() {
    check(&["ERR"], &[], &["Health"], "ERR Health\nERR\n", &["ERR: ERR"]);
    check(&["a", "b"], &[], &["x", "y"], "ax\nb\nby", &["b: b"]);
    check(&[], &[], &[], "a\n\nb", &[]);
}

#[test]
fn an_empty_find_at_the_end_of_an_open_line() {
    check(&[], &[r"\B"], &[], "a ", &[r"\B: a "]);
    check(&[], &[r"\B"], &[], "a \n", &[r"\B: a "]);
    check(&[], &[r"\B"], &[], "a\n", &[]);
}

#[test]
fn junk_is_text_too() {
    let found = scan(&log(&["K"], &[r"\xff"], &[]), b"\xfe\x00K\xff\n\x00\xff\xc3\n");
    assert_eq!(found, [("K".to_owned(), b"\xfe\x00K\xff".to_vec())]);
    let found = scan(&log(&[], &[r"(?-u)\xff"], &[]), b"\x00\xff\xc3\n");
    assert_eq!(found.len(), 1);
}

#[test]
fn what_does_not_compile_is_an_error() {
    let error = Matcher::new(&log(&[], &["a{900000}"], &[])).unwrap_err().to_string();
    assert!(error.starts_with("log app: what `regex` has cannot be compiled together: "), "{error}");
}

/// Line by line, with the libraries' plainest functions.
fn naive(log: &Log, text: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    if lines.last().is_some_and(|last| last.is_empty()) {
        lines.pop();
    }
    let has = |line: &[u8], word: &str| line.windows(word.len()).position(|window| window == word.as_bytes());
    let keyword = |line: &[u8]| {
        let places = log.any.iter().filter_map(|word| Some((has(line, word)?, word)));
        let word = places.min_by_key(|(at, _)| *at).map(|(_, word)| word.to_string());
        let regex = |pattern: &&Arc<str>| {
            RegexBuilder::new(pattern).multi_line(true).crlf(true).build().unwrap().is_match(line)
        };
        word.or_else(|| log.regex.iter().find(regex).map(ToString::to_string))
    };
    let lines = lines.into_iter().map(without_return);
    let lines = lines.filter(|line| !log.ignore.iter().any(|word| has(line, word).is_some()));
    lines.filter_map(|line| Some((keyword(line)?, line.to_vec()))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]
    #[test]
    fn the_same_as_line_by_line(
        text in proptest::collection::vec(prop::sample::select(b"aabbc \n\n\r\xff".to_vec()), 0..80),
        any in proptest::collection::vec("[abc]{1,3}", 0..3),
        regex in proptest::collection::vec(
            prop::sample::select(vec![
                "a+b", "^c", "b$", "[^a]c", r"a\s*b", "(?s)c.a", r"\bab\b", r"b\z", r"\Aa", "(?i)CC", "^$", "a*", r"\B", "(?-m)^b",
            ]),
            0..3,
        ),
        ignore in proptest::collection::vec("[abc]{2}", 0..2),
    ) {
        let any: Vec<&str> = any.iter().map(String::as_str).collect();
        let ignore: Vec<&str> = ignore.iter().map(String::as_str).collect();
        let log = log(&any, &regex, &ignore);
        prop_assert_eq!(scan(&log, &text), naive(&log, &text));
    }
}
