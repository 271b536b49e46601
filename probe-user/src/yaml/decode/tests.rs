use super::super::keys::Kind;
use super::*;

static TABLE: Table = Table {
    what: "a thing",
    doc: "A thing.",
    example: "{ name: x }",
    keys: &[
        Key::required("name", Kind::Bool, "Its name."),
        Key::new("size", Kind::Form(&units::SIZE), "Its size."),
        Key::later("colour", "how it looks"),
        Key::elsewhere("weight", "it belongs to the scales"),
    ],
    one_of: &[],
};

/// Reads `key: TEXT` and gives the value or the error without its place.
fn read<T: std::fmt::Debug>(text: &str, read: impl Fn(&mut Decoder<'_>, &Node) -> Option<T>) -> Result<T, String> {
    let source = Source::new("a.yaml", format!("key: {text}\n"));
    let mut diagnostics = Diagnostics::new();
    let tree = crate::yaml::parse(&source, &mut diagnostics).expect("YAML");
    let Value::Map(entries) = &tree.value else { panic!("a map") };
    let value = read(&mut Decoder::new(&source, &mut diagnostics), &entries[0].value);
    let messages: Vec<String> = diagnostics.iter().map(|of| of.message.clone()).collect();
    assert_eq!(value.is_none(), !messages.is_empty(), "nothing is refused without a word: {text}");
    value.ok_or_else(|| messages.join("; "))
}

#[track_caller]
fn check<T: PartialEq + std::fmt::Debug>(
    reader: impl Fn(&mut Decoder<'_>, &Node) -> Option<T>,
    cases: &[(&str, Result<T, &str>)],
) {
    for (text, expected) in cases {
        let found = read(text, &reader);
        let expected = expected.as_ref().map_err(|message| (*message).to_owned());
        assert_eq!(found.as_ref().map_err(Clone::clone), expected, "{text}");
    }
}

#[test]
#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "a method by its name is tied to one lifetime of the decoder, a closure is not"
)]
fn single_values() {
    check(
        |d, node| d.bool(node),
        &[
            ("true", Ok(true)),
            ("False", Ok(false)),
            ("yes", Err("expected `true` or `false`, found `yes`")),
            ("'true'", Err("expected `true` or `false`, found the quoted text `true`")),
            ("", Err("expected `true` or `false`, found nothing")),
            ("~", Err("expected `true` or `false`, found nothing")),
        ],
    );
    check(
        |d, node| d.whole(node, 2, 10),
        &[
            ("2", Ok(2)),
            ("10", Ok(10)),
            ("007", Ok(7)),
            ("11", Err("11 is out of range: from 2 to 10")),
            ("1", Err("1 is out of range: from 2 to 10")),
            ("0x3", Err("expected a whole number, found `0x3`")),
            ("+3", Err("expected a whole number, found `+3`")),
            ("3.0", Err("expected a whole number, found `3.0`")),
            ("'3'", Err("expected a whole number, found the quoted text `3`")),
            ("99999999999999999999999", Err("expected a whole number, found `99999999999999999999999`")),
            ("", Err("expected a whole number, found nothing")),
            ("''", Err("expected a whole number, found an empty text")),
            ("[3]", Err("expected a whole number, found a list")),
        ],
    );
    check(
        |d, node| d.some_duration(node),
        &[
            ("10s", Ok(Duration::from_secs(10))),
            ("'10s'", Ok(Duration::from_secs(10))),
            ("0s", Err("the duration must be longer than 0")),
            ("{a: 1}", Err("expected a duration, found a map")),
        ],
    );
    check(
        |d, node| d.decimal(node),
        &[("1.5", Ok(1.5)), ("2", Ok(2.0)), ("1e3", Err("expected a number such as `1.5`, found `1e3`"))],
    );
    check(
        |d, node| d.percent(node),
        &[("10%", Ok(0.1)), ("10", Err("expected a percentage such as `10%`, found `10`"))],
    );
    check(
        |d, node| d.size(node),
        &[("1KiB", Ok(1024)), ("[1KiB]", Err("expected a size with its unit, found a list"))],
    );
}

#[test]
fn lists() {
    let count = |d: &mut Decoder<'_>, node: &Node| Some(d.one_or_many(node).len()).filter(|count| *count > 0);
    check(count, &[("a", Ok(1)), ("[a, b]", Ok(2)), ("[]", Err("the list is empty"))]);
    let count = |d: &mut Decoder<'_>, node: &Node| Some(d.list(node).len()).filter(|count| *count > 0);
    check(count, &[("[a, b]", Ok(2)), ("[]", Err("the list is empty")), ("a", Err("expected a list, found `a`"))]);
}

#[test]
fn maps_with_fixed_keys() {
    let errors = |text: &str| {
        let source = Source::new("a.yaml", text);
        let mut diagnostics = Diagnostics::new();
        let tree = crate::yaml::parse(&source, &mut diagnostics).expect("YAML");
        let fields = Decoder::new(&source, &mut diagnostics).fields(&tree, &TABLE);
        let keys = fields.map(|fields| fields.iter().map(|(key, _)| key.name).collect::<Vec<_>>());
        let told = diagnostics.iter().map(|of| (of.message.clone(), of.help.clone().unwrap_or_default()));
        (keys.unwrap_or_default(), told.collect::<Vec<_>>())
    };
    let told = |message: &str, help: &str| (message.to_owned(), help.to_owned());
    assert_eq!(errors("{size: 1, name: 2}"), (vec!["size", "name"], vec![]));
    let missing = told("a thing needs the key `name`", "such as `name: true`");
    assert_eq!(errors("{size: 1}"), (vec!["size"], vec![missing.clone()]));
    assert_eq!(errors(""), (vec![], vec![missing]));
    // One slip of the pen is one error.
    assert_eq!(errors("{nmae: 1}"), (vec![], vec![told("unknown key `nmae`", "did you mean `name`?")]));
    assert_eq!(
        errors("{name: 1, xyz: 2, colour: 3, weight: 4}"),
        (
            vec!["name"],
            vec![
                told("unknown key `xyz`", "the keys of a thing are `name`, `size`"),
                told("`colour` is not in this version", "take it out for now (how it looks)"),
                told("`weight` cannot be given here", "it belongs to the scales"),
            ]
        )
    );
    assert_eq!(errors("[]"), (vec![], vec![told("expected a thing (a map), found a list", "such as `{ name: x }`")]));
}
