//! Whatever a file holds, it is read to its end, and what is wrong has a place in it.

use proptest::prelude::*;

use super::*;

/// A file in which a few things may be wrong: more of it is understood than of arbitrary text.
fn nearly_a_policy() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        "count|threads|cpu|memory|read|starts|age|match|except|only_if|repeat|mode|events|parent|jobs|logs|host|notify|act|\
         actions|schedule|runs|duration|success|path|any|regex|lines|disk_free|load|webhook|run|signal|max_rate",
        "[a-z_<?:]{1,8}"
    ];
    let value = prop_oneof![
        "\\{ ?(min|max|within|for|clear_below|per|path|comm|args|exe|unit|user): ?[0-9a-zA-Z%/. *(\\[\\]-]{0,12} ?\\}",
        "\\[?[0-9]{0,20}( cores|GiB|s|% host)?\\]?",
        "\\PC{0,12}",
    ];
    let lines = proptest::collection::vec((key, value, 0..4_usize), 0..8);
    lines.prop_map(|lines| {
        let line = |(key, value, indent): (String, String, usize)| format!("{}{key}: {value}\n", "  ".repeat(indent));
        "version: 1\ngroups:\n  g:\n    match: { comm: x }\n".to_owned()
            + &lines.into_iter().map(line).collect::<String>()
    })
}

#[track_caller]
fn check_places(text: &str) {
    let Err(diagnostics) = read(&[text]) else { return };
    assert!(!diagnostics.is_empty());
    for diagnostic in diagnostics.iter() {
        let lines: Vec<&str> = text.split('\n').collect();
        let line = usize::try_from(diagnostic.line).expect("small");
        assert!((1..=lines.len()).contains(&line), "{diagnostic}");
        let longest = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0) + 1;
        assert!((1..=longest).contains(&usize::try_from(diagnostic.column).expect("small")), "{diagnostic}");
        assert!(!diagnostic.to_string().contains(|c: char| c.is_control() && c != '\n'), "{diagnostic:?}");
    }
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "(\\PC|\\n){0,120}") {
        check_places(&text);
    }

    #[test]
    fn nearly_right_text_never_panics(text in nearly_a_policy()) {
        check_places(&text);
    }
}
