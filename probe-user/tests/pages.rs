//! The tree's pages: what they link to is there, headings included, policies that they name exist, and commands that they
//! name are those of the command line.
#![expect(clippy::expect_used, reason = "a test that cannot read its own files has failed")]

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use clap::CommandFactory as _;
use probe_user::cli::args::Cli;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the tree")
}

/// Every page, by its path from the root.
fn pages() -> BTreeMap<PathBuf, String> {
    let root = root();
    let mut pages = BTreeMap::new();
    for folder in ["", "docs", "docs/ko"] {
        for entry in std::fs::read_dir(root.join(folder)).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|extension| extension == "md") {
                let text = std::fs::read_to_string(&path).expect("a text");
                pages.insert(path.strip_prefix(&root).expect("below the root").to_owned(), text);
            }
        }
    }
    pages
}

/// A page's lines, each with the language of the block that it stands in; `None`: in no block.
fn lines(text: &str) -> Vec<(Option<String>, &str)> {
    let mut block: Option<String> = None;
    let mut lines = Vec::new();
    for line in text.lines() {
        match (line.trim_start().strip_prefix("```"), &block) {
            (Some(says), None) => block = Some(says.split(' ').next().unwrap_or_default().to_owned()),
            (Some(_), Some(_)) => block = None,
            (None, _) => lines.push((block.clone(), line)),
        }
    }
    lines
}

/// The text outside of blocks.
fn prose(text: &str) -> String {
    lines(text).into_iter().filter(|(block, _)| block.is_none()).fold(String::new(), |all, (_, line)| all + line + "\n")
}

/// What is between single backticks.
fn spans(text: &str) -> Vec<String> {
    prose(text).replace("``", "").split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The targets of links.
fn targets(text: &str) -> Vec<String> {
    let prose = prose(text);
    let links = prose.split("](").skip(1);
    links.filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
}

/// The anchors of a page's headings, as they are made where pages are shown.
fn anchors(text: &str) -> Vec<String> {
    let headings = prose(text);
    let headings =
        headings.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let kept = |letter: &char| letter.is_alphanumeric() || "-_ ".contains(*letter);
    headings.map(|heading| heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")).collect()
}

/// A path without `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    plain
}

#[test]
fn links_lead_somewhere() {
    let pages = pages();
    let mut wrong = Vec::new();
    let mut links = 0;
    for (page, text) in &pages {
        for target in targets(text) {
            if target.contains("://") {
                continue;
            }
            links += 1;
            let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let path = if path.is_empty() { page.clone() } else { plain(&page.with_file_name("").join(path)) };
            let is_there = root().join(&path).exists();
            let has_anchor = anchor.is_empty()
                || pages.get(&path).is_some_and(|text| anchors(text).iter().any(|found| found == anchor));
            if !is_there || !has_anchor {
                wrong.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(links > 50, "only {links} links are found");
}

#[test]
fn policies_that_are_named_exist() {
    let mut found = 0;
    for (page, text) in pages() {
        for word in text.split(|letter: char| !(letter.is_ascii_alphanumeric() || "-_./".contains(letter))) {
            let Some(at) = word.find("policies/") else { continue };
            // Of the tree, and not of a host.
            if at == 0 || word[..at].chars().all(|letter| "./".contains(letter)) && !word.starts_with('/') {
                let path = word[at..].trim_end_matches('.');
                if Path::new(path).extension().is_some_and(|extension| extension == "yaml") {
                    found += 1;
                    assert!(root().join(path).exists(), "{}: there is no {path}", page.display());
                }
            }
        }
    }
    assert!(found > 20, "only {found} policies are found");
}

/// What is wrong with a command, where one of procprobe's stands in it; and how many do.
fn wrong_commands(line: &str) -> (usize, Vec<String>) {
    let definition = Cli::command();
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut wrong = Vec::new();
    let mut found = 0;
    for (place, word) in words.iter().enumerate() {
        let begins = place == 0 || ["#", "$", "|", "&&", ";"].contains(&words[place - 1]);
        if !(*word == "procprobe" && begins || *word == "$(procprobe") {
            continue;
        }
        let rest = &words[place + 1..];
        let Some(name) = rest.first().filter(|name| name.chars().all(|letter| letter.is_ascii_lowercase())) else {
            continue;
        };
        found += 1;
        let Some(command) = definition.find_subcommand(name) else {
            wrong.push(format!("procprobe {name}"));
            continue;
        };
        let own = rest.iter().take_while(|word| !["|", ">", "&", "&&", ";", "#"].contains(word));
        for flag in own.filter_map(|word| word.strip_prefix("--")) {
            let flag: String =
                flag.chars().take_while(|letter| letter.is_ascii_lowercase() || *letter == '-').collect();
            let known = command.get_arguments().any(|argument| argument.get_long() == Some(&flag));
            if !known && !["help", ""].contains(&flag.as_str()) {
                wrong.push(format!("procprobe {name} --{flag}"));
            }
        }
    }
    (found, wrong)
}

#[test]
fn commands_that_are_named_exist() {
    let mut found = 0;
    for (page, text) in pages() {
        let blocks = lines(&text)
            .into_iter()
            .filter(|(block, _)| block.as_ref().is_some_and(|is| is == "sh" || is == "console"));
        let blocks = blocks.map(|(_, line)| line.to_owned());
        for line in blocks.chain(spans(&text)) {
            let (commands, wrong) = wrong_commands(&line);
            assert!(wrong.is_empty(), "{}: {line}: {wrong:?}", page.display());
            found += commands;
        }
    }
    assert!(found > 50, "only {found} commands are found");
}

#[test]
fn a_command_that_is_not_there_is_noticed() {
    assert_eq!(wrong_commands("procprobe runn").1, ["procprobe runn"]);
    assert_eq!(
        wrong_commands("# procprobe run --policies web.yaml --nope=1 | head --lines").1,
        ["procprobe run --nope"]
    );
    for no_command in ["procprobe 0.1.0 on vm", "another procprobe runs"] {
        assert_eq!(wrong_commands(no_command), (0, Vec::new()));
    }
}
