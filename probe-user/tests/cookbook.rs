//! docs/cookbook.md: each of its policies is what the file below it holds, word for word, and each alarm that it shows is
//! what the engine says in that file's own tests.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use probe_user::diagnostic::Source;
use probe_user::policy::{HostLabels, parse};
use probe_user::trial::run;

const FOLDER: &str = "policies/cookbook";

fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(place(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// One situation: its heading, the policies, the alarms that are shown, and the file.
#[derive(Debug)]
struct Recipe<'a> {
    heading: &'a str,
    policies: &'a str,
    alarms: Vec<&'a str>,
    file: &'a str,
}

fn recipes(page: &str) -> Vec<Recipe<'_>> {
    page.split("\n### ").skip(1).map(recipe).collect()
}

fn recipe(section: &str) -> Recipe<'_> {
    let heading = section.lines().next().unwrap_or_default();
    let mut blocks = section.split("```").skip(1).step_by(2);
    let policies = blocks.next().and_then(|block| block.strip_prefix("yaml\n"));
    let alarms = blocks.next().and_then(|block| block.strip_prefix('\n'));
    let file = section.split_once(&format!("[{FOLDER}/")).and_then(|(_, rest)| rest.split_once(']'));
    Recipe {
        heading,
        policies: policies.unwrap_or_else(|| panic!("{heading}: no policies")),
        alarms: alarms.unwrap_or_else(|| panic!("{heading}: no alarms")).lines().collect(),
        file: file.unwrap_or_else(|| panic!("{heading}: no file")).0,
    }
}

/// What the engine says of alarms in the tests of a file.
fn told(name: &str, text: String) -> BTreeSet<String> {
    let labels = [("role".to_owned(), "pg-primary".to_owned())].into();
    let host = HostLabels { name: "node-1".to_owned(), labels };
    let loaded = parse(&[Source::new(name, text)], &host, &|_| true).unwrap_or_else(|wrong| panic!("{wrong}"));
    let mut told = BTreeSet::new();
    for trial in &loaded.trials {
        // An expectation that fails says what happened until then.
        let mut trial = trial.clone();
        for expectation in &mut trial.expect {
            expectation.events = Some(vec!["nothing".into()]);
        }
        for moment in run(&trial, &loaded.policies).failures.into_iter().flat_map(|failure| failure.timeline) {
            // `firing`, the alarm's name, and what is said of it.
            let alarm = moment.text.strip_prefix("firing ").and_then(|rest| rest.trim_start().split_once("  "));
            told.extend(alarm.map(|(_, body)| body.to_owned()));
        }
    }
    told
}

#[test]
fn each_file_has_its_place_in_the_book() {
    let page = text("docs/cookbook.md");
    let told: BTreeSet<String> = recipes(&page).into_iter().map(|recipe| recipe.file.to_owned()).collect();
    let files = std::fs::read_dir(place(FOLDER)).expect("the folder").map(|entry| entry.expect("an entry").file_name());
    let files: BTreeSet<String> = files.map(|name| name.to_string_lossy().into_owned()).collect();
    assert_eq!(told, files);
    assert!(
        page.contains(&format!("\n{} situations, ", files.len())),
        "the number of situations is not {}",
        files.len()
    );
}

#[test]
fn what_the_book_shows_is_what_the_files_hold() {
    let page = text("docs/cookbook.md");
    for Recipe { heading, policies, file, .. } in recipes(&page) {
        let held = text(&format!("{FOLDER}/{file}"));
        let (held, _) = held.split_once("\ntests:\n").expect("tests");
        assert!(held.trim_end().ends_with(policies.trim_end()), "{heading}: {file} has other policies");
    }
}

#[test]
fn the_alarms_of_the_book_are_those_of_the_tests() {
    let page = text("docs/cookbook.md");
    for Recipe { heading, alarms, file, .. } in recipes(&page) {
        let told = told(file, text(&format!("{FOLDER}/{file}")));
        assert!(!alarms.is_empty(), "{heading}");
        for alarm in alarms {
            assert!(told.contains(alarm), "{heading}: nobody says `{alarm}`, but {told:#?}");
        }
    }
}
