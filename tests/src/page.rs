//! A page of docs/, done as a reader does it: its commands in the order in which they stand, on one host.
//!
//! What a block is, its first line says: `sh` is run and must end well, `sh exits-N` must end with that code, `sh background`
//! runs until the page is over, and `sh elsewhere` cannot be run here (another machine, another package manager): the test
//! of the page names each of those. A `text` block is what has been printed by then: each of its lines must be among the lines
//! of what was run so far, numbers apart, or begin one of them where it ends in `…`. Other blocks are not looked at.
//!
//! What runs in the background has a terminal, as it would have: events are text there.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::daemon::end_of_patience;
use crate::sandbox::{Plan, Sandbox};

/// What a reader would find in a checkout.
const TREE: &str = "policies";
/// Process ids are the host's: these two see only what runs in the sandbox.
const NARROWED: [&str; 2] = ["pgrep", "pkill"];

/// One fenced block.
#[derive(Clone, Debug)]
struct Block {
    says: String,
    text: String,
}

/// A page, and what was run of it.
#[derive(Debug)]
pub struct Page {
    name: String,
    blocks: Vec<Block>,
    sandbox: Sandbox,
    place: tempfile::TempDir,
    groups: Vec<Child>,
    printed: usize,
}

/// The fenced blocks of a text, in their order.
fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for line in text.lines() {
        match (line.trim_start().strip_prefix("```"), &mut open) {
            (Some(says), None) => open = Some(Block { says: says.trim().to_owned(), text: String::new() }),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

/// A line without what differs from one run to the next: numbers are one sign, spaces one space, colours nothing.
pub fn masked(line: &str) -> String {
    let mut masked = String::new();
    let mut number = false;
    let mut plain = String::new();
    for (place, part) in line.split("\u{1b}[").enumerate() {
        plain.push_str(if place == 0 { part } else { part.split_once('m').map_or("", |(_, rest)| rest) });
    }
    let mut letters = plain.split_whitespace().collect::<Vec<_>>().join(" ").chars().collect::<Vec<_>>();
    letters.push(' ');
    for pair in letters.windows(2) {
        let (letter, next) = (pair[0], pair[1]);
        let inside = letter.is_ascii_digit() || (number && ".:".contains(letter) && next.is_ascii_digit());
        if inside && !number {
            masked.push('#');
        } else if !inside {
            masked.push(letter);
        }
        number = inside;
    }
    masked
}

fn text_of(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What a page of docs/ tells a reader to type and shows as printed, block by block.
pub fn to_type(name: &str) -> Vec<String> {
    let typed = blocks(&text_of(name)).into_iter();
    typed.filter(|block| block.says == "text" || block.says.starts_with("sh")).map(|block| block.text).collect()
}

impl Page {
    /// Of docs/, on a host where nothing has been done yet.
    pub fn of(name: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let place = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let copied = Command::new("cp").arg("-r").arg(root.join(TREE)).arg(place.path().join(TREE)).status();
        assert!(copied.is_ok_and(|status| status.success()), "cannot copy {TREE}");
        for program in NARROWED {
            let script = format!("#!/bin/sh\nexec /usr/bin/{program} --ns $$ --nslist net \"$@\"\n");
            let path = place.path().join(program);
            let written =
                fs::write(&path, script).and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)));
            written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
        let mut sandbox = Plan::new().run("sh -c 'echo ready; exec sleep infinity'").start();
        sandbox.wait_for("the sandbox", 0, |printed| printed.contains("ready").then_some(()));
        Self { name: name.to_owned(), blocks: blocks(&text_of(name)), sandbox, place, groups: Vec::new(), printed: 0 }
    }

    /// Does all that the page says. Returns the commands that are to be run elsewhere.
    pub fn follow(mut self) -> Vec<String> {
        let mut elsewhere = Vec::new();
        let mut ran = 0;
        for Block { says, text } in self.blocks.clone() {
            match says.as_str() {
                "sh" => self.run(&text, 0),
                "sh background" => self.begin(&text),
                "sh elsewhere" => elsewhere.extend(text.lines().map(str::to_owned)),
                "text" => self.must_have_been_printed(&text),
                other => match other.strip_prefix("sh exits-").map(str::parse) {
                    Some(Ok(code)) => self.run(&text, code),
                    Some(Err(error)) => panic!("{}: ```{other}: {error}", self.name),
                    None => continue,
                },
            }
            ran += 1;
        }
        assert!(ran > 0, "{} has no commands", self.name);
        elsewhere
    }

    fn run(&mut self, text: &str, code: i32) {
        let number = self.start(text);
        let deadline = end_of_patience() + Duration::from_mins(1);
        let status = loop {
            let ended = self.groups.last_mut().and_then(|child| child.try_wait().ok()).flatten();
            if let Some(status) = ended {
                break status;
            }
            assert!(Instant::now() < deadline, "{}: this does not end:\n{text}{}", self.name, self.describe(number));
            thread::sleep(Duration::from_millis(20));
        };
        assert_eq!(status.code(), Some(code), "{}:\n{text}{}", self.name, self.describe(number));
    }

    fn begin(&mut self, text: &str) {
        let text = text.trim_end();
        assert!(!text.contains('\''), "{}: {text}", self.name);
        self.start(&format!("exec script -qefc '{text}' /dev/null"));
    }

    /// Starts a block in a process group of its own. What it prints goes into files of that number.
    fn start(&mut self, text: &str) -> usize {
        let number = self.printed;
        self.printed += 1;
        let place = self.place.path();
        // In a file, so that no command line holds what `pkill -f` looks for. A line that fails ends the block.
        let path = place.join(format!("{number}.sh"));
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let here = place.display();
        let mut command = self.sandbox.shell(&format!("cd {here} && PATH={here}:$PATH exec sh -e {number}.sh"));
        let file = |kind: &str| {
            let path = place.join(format!("{number}.{kind}"));
            File::create(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        command.stdin(Stdio::null()).stdout(file("out")).stderr(file("err")).process_group(0);
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        self.groups.push(child);
        number
    }

    fn said(&self, number: usize, kind: &str) -> String {
        let bytes = fs::read(self.place.path().join(format!("{number}.{kind}"))).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn must_have_been_printed(&self, text: &str) {
        let deadline = end_of_patience();
        let wanted: Vec<String> = text.lines().filter(|line| !line.trim().is_empty()).map(masked).collect();
        loop {
            let mut printed = Vec::new();
            for number in 0..self.printed {
                for kind in ["out", "err"] {
                    printed.extend(self.said(number, kind).lines().map(masked));
                }
            }
            let is_there = |line: &String| match line.strip_suffix('…') {
                Some(begin) => printed.iter().any(|line| line.starts_with(begin)),
                None => printed.contains(line),
            };
            let Some(missing) = wanted.iter().find(|line| !is_there(line)) else { return };
            let all: String = (0..self.printed).map(|number| self.describe(number)).collect();
            assert!(Instant::now() < deadline, "{}: nobody printed `{missing}`:\n{all}", self.name);
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn describe(&self, number: usize) -> String {
        let mut text = String::new();
        for kind in ["out", "err"] {
            let _ = writeln!(text, "--- {number}.{kind}\n{}", self.said(number, kind));
        }
        text
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        for child in &mut self.groups {
            let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            if let Some(group) = group {
                // Whatever the block has left running is in its group; most left nothing.
                let _ = kill_process_group(group, Signal::TERM);
            }
            let _ = child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_compared_without_their_numbers() {
        let check = |line: &str, other: &str, same: bool| {
            assert_eq!(masked(line) == masked(other), same, "{} {}", masked(line), masked(other));
        };
        check("01:31:10.917 warning  web: 1 process", "23:23:26.876 warning web: 1  process", true);
        check("web: 1 process", "web: 2 processes", false);
        check("after 5s", "after 13.1s", true);
        check("\u{1b}[2m23:29:06.395\u{1b}[0m info  here", "1:2 info here", true);
        check("python3.11 (12435)", "python3.12 (7)", true);
        check("minimum 2; 1 killed.", "minimum 2; 1 killed", false);
    }

    #[test]
    fn blocks_are_what_stands_between_fences() {
        let found = blocks("a\n```sh\none\ntwo\n```\nb\n```text\nthree\n```\n");
        let found: Vec<_> = found.iter().map(|block| (block.says.as_str(), block.text.as_str())).collect();
        assert_eq!(found, [("sh", "one\ntwo\n"), ("text", "three\n")]);
    }
}
