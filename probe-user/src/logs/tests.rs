//! The set of files against real ones in a temporary folder, in virtual time.

mod random;

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::files::Files;
use super::places::Places;
use crate::policy::spec::{Log, Response};
use crate::record::LogLines;
use crate::time::KTime;

struct Scene {
    folder: TempDir,
    patterns: Vec<String>,
    files: Files,
    now: KTime,
}

fn log(name: &str, paths: &[String], any: &[&str]) -> Log {
    Log {
        name: name.into(),
        declared: "test.yaml:1".into(),
        paths: paths.iter().map(|path| Arc::from(path.as_str())).collect(),
        any: any.iter().map(|word| Arc::from(*word)).collect(),
        regex: Vec::new(),
        ignore: Vec::new(),
        bounds: Vec::new(),
        quiet: None,
        response: Response::default(),
    }
}

impl Scene {
    /// A folder with these files, each with one old line that matches, and one log that looks for `hit` in what the
    /// patterns name.
    fn new(files: &[&str], patterns: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            append(&folder.path().join(file), "old hit\n");
        }
        let patterns = patterns.iter().map(|pattern| format!("{}/{pattern}", folder.path().display())).collect();
        let files = Files::new(Places::default()).unwrap();
        let mut scene = Self { folder, patterns, files, now: KTime::from_secs(100) };
        scene.want();
        assert_eq!(scene.round(), [""; 0]);
        scene
    }

    fn want(&mut self) {
        self.files.want(&[log("app", &self.patterns, &["hit"])]);
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn append(&self, file: &str, text: &str) {
        append(&self.path(file), text);
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    /// Another daemon takes over.
    fn restart(&mut self) {
        let places = self.files.places();
        self.stop_and_start(&places);
    }

    fn stop_and_start(&mut self, places: &Places) {
        let state = self.folder.path().join("state");
        fs::create_dir_all(&state).unwrap();
        places.write(&state).unwrap();
        let (places, note) = Places::read(&state);
        assert_eq!(note, None);
        self.files = Files::new(places).unwrap();
        self.want();
    }

    fn lines(&mut self) -> Vec<LogLines> {
        self.now = self.now.after(Duration::from_millis(100));
        let mut lines = Vec::new();
        self.files.listen().unwrap();
        self.files.round(self.now, &mut |found| lines.push(found));
        lines
    }

    /// What a round finds: `file: count first line`.
    fn round(&mut self) -> Vec<String> {
        let folder = self.folder.path().to_owned();
        let shown = |lines: &LogLines| {
            let path = Path::new(&*lines.path).strip_prefix(&folder).unwrap().display().to_string();
            format!("{path}: {} {}", lines.count, lines.first.first().unwrap().text)
        };
        self.lines().iter().map(shown).collect()
    }

    fn pass(&mut self, secs: u64) {
        self.now = self.now.after(Duration::from_secs(secs));
    }
}

fn append(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

const NOTHING: [&str; 0] = [];

#[test]
fn old_files_from_their_end_and_new_ones_from_their_beginning() {
    let mut scene = Scene::new(&["a.log", "other.txt"], &["*.log", "sub/*.log"]);
    scene.append("a.log", "hit 1\nmiss\nhit 2\nhi");
    scene.append("other.txt", "hit\n");
    assert_eq!(scene.round(), ["a.log: 2 hit 1"]);
    scene.append("a.log", "t 3\n");
    scene.append("b.log", "hit 1\n");
    scene.append("sub/c.log", "hit 1\n");
    assert_eq!(scene.round(), ["a.log: 1 hit 3", "b.log: 1 hit 1", "sub/c.log: 1 hit 1"]);
    assert_eq!(scene.round(), NOTHING);
    let report = scene.files.report();
    assert_eq!((report[0].files, report[0].lines, report[0].matched), (3, 6, 5));
}

#[test]
fn a_renamed_file_is_read_to_its_end_before_its_successor() {
    let mut scene = Scene::new(&["a.log"], &["a.log"]);
    let mut writer = OpenOptions::new().append(true).open(scene.path("a.log")).unwrap();
    writer.write_all(b"hit 1\n").unwrap();
    scene.rename("a.log", "a.log.1");
    scene.append("a.log", "hit 3\n");
    writer.write_all(b"hit 2\n").unwrap();
    assert_eq!(scene.round(), ["a.log: 2 hit 1", "a.log: 1 hit 3"]);
    // Its writer has not noticed yet.
    scene.pass(60);
    assert_eq!(scene.round(), NOTHING);
    writer.write_all(b"hit 4\nhit 5").unwrap();
    assert_eq!(scene.round(), ["a.log: 1 hit 4"]);
    scene.pass(3);
    assert_eq!(scene.round(), ["a.log: 1 hit 5"]);
    assert_eq!(scene.files.tracked.len(), 2);
    scene.pass(301);
    assert_eq!(scene.round(), NOTHING);
    assert_eq!((scene.files.tracked.len(), scene.files.by_watch.len()), (1, 1));
}

#[test]
fn a_file_renamed_to_another_name_of_the_log_is_the_same_file() {
    let mut scene = Scene::new(&["a.log"], &["*.log"]);
    scene.append("a.log", "hit 1\n");
    scene.rename("a.log", "a-1.log");
    scene.append("a.log", "hit 2\n");
    assert_eq!(scene.round().len(), 2);
    scene.append("a-1.log", "hit 3\n");
    assert_eq!(scene.round(), ["a-1.log: 1 hit 3"]);
}

#[test]
fn copytruncate_starts_over() {
    let mut scene = Scene::new(&["a.log"], &["a.log"]);
    scene.append("a.log", "hit 1\n");
    assert_eq!(scene.round(), ["a.log: 1 hit 1"]);
    for number in 2..5 {
        fs::copy(scene.path("a.log"), scene.path("a.log.1")).unwrap();
        File::options().write(true).open(scene.path("a.log")).unwrap().set_len(0).unwrap();
        let text = format!("hit {number}\n").repeat(number);
        scene.append("a.log", &text);
        assert_eq!(scene.round(), [format!("a.log: {number} hit {number}")]);
    }
}

#[test]
fn a_deleted_file_is_read_to_its_end_and_let_go_soon() {
    let mut scene = Scene::new(&["a.log"], &["a.log"]);
    scene.append("a.log", "hit 1\nhit");
    fs::remove_file(scene.path("a.log")).unwrap();
    assert_eq!(scene.round(), ["a.log: 1 hit 1"]);
    scene.pass(6);
    assert_eq!(scene.round(), ["a.log: 1 hit"]);
    scene.pass(6);
    assert_eq!(scene.round(), NOTHING);
    assert_eq!((scene.files.tracked.len(), scene.files.by_watch.len()), (0, 0));
    scene.append("a.log", "hit 2\n");
    assert_eq!(scene.round(), ["a.log: 1 hit 2"]);
}

#[test]
fn a_restart_misses_nothing_and_takes_nothing_twice() {
    let mut scene = Scene::new(&["a.log", "b.log"], &["*.log"]);
    scene.append("a.log", "hit 1\nhit");
    assert_eq!(scene.round(), ["a.log: 1 hit 1"]);
    let places = scene.files.places();
    scene.append("a.log", " 2\n");
    scene.append("c.log", "hit 3\n");
    scene.stop_and_start(&places);
    // In the order of their numbers in the file system, which can be any.
    let mut told = scene.round();
    told.sort();
    assert_eq!(told, ["a.log: 1 hit 2", "c.log: 1 hit 3"]);
    // Renamed and truncated meanwhile; the renamed one comes first.
    scene.append("a.log", "hit 4\n");
    let places = scene.files.places();
    scene.rename("a.log", "a.log.1");
    scene.append("a.log", "hit 5\n");
    fs::write(scene.path("b.log"), "new hit\n").unwrap();
    scene.stop_and_start(&places);
    let mut found = scene.round();
    assert_eq!(found[0], "a.log: 1 hit 4");
    found.sort();
    assert_eq!(found[1..], ["a.log: 1 hit 5", "b.log: 1 new hit"]);
    scene.restart();
    assert_eq!(scene.round(), NOTHING);
    // A pattern that is new after the restart.
    scene.append("x.txt", "hit\n");
    scene.patterns.push(scene.path("*.txt").display().to_string());
    scene.restart();
    assert_eq!(scene.round(), NOTHING);
    scene.append("x.txt", "hit 6\n");
    assert_eq!(scene.round(), ["x.txt: 1 hit 6"]);
}

#[test]
fn a_number_used_again_is_another_file() {
    let mut scene = Scene::new(&["a.log"], &["*.log"]);
    scene.append("a.log", "hit 1\n");
    assert_eq!(scene.round(), ["a.log: 1 hit 1"]);
    let places = serde_json::to_string(&scene.files.places()).unwrap();
    fs::remove_file(scene.path("a.log")).unwrap();
    scene.append("b.log", "hit 2, longer than what was in the other file\n");
    let number = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
    let mut places: serde_json::Value = serde_json::from_str(&places).unwrap();
    places["files"][0]["ino"] = number(&scene.path("b.log")).into();
    scene.stop_and_start(&serde_json::from_value(places).unwrap());
    assert_eq!(scene.round(), ["b.log: 1 hit 2, longer than what was in the other file"]);
}

#[test]
fn links_are_followed_and_devices_refused() {
    let mut scene = Scene::new(&["pods/0.log"], &["*.log"]);
    let link = |scene: &Scene, to: &str, from: &str| {
        std::os::unix::fs::symlink(scene.path(to), scene.path(from)).unwrap();
    };
    link(&scene, "pods/0.log", "a.log");
    std::os::unix::fs::symlink("/dev/zero", scene.path("zero.log")).unwrap();
    assert_eq!(scene.round(), ["a.log: 1 old hit"]);
    assert_eq!(scene.files.refused[&scene.path("zero.log")].why, "it is a device, not a file");
    // What it leads to is replaced in its own directory.
    scene.rename("pods/0.log", "pods/0.log.1");
    scene.append("pods/0.log", "hit 1\n");
    assert_eq!(scene.round(), ["a.log: 1 hit 1"]);
    // Two names of one file are one file.
    link(&scene, "pods/0.log", "b.log");
    scene.append("pods/0.log", "hit 2\n");
    assert_eq!(scene.round(), ["a.log: 1 hit 2"]);
    fs::remove_file(scene.path("zero.log")).unwrap();
    scene.pass(31);
    assert_eq!(scene.round(), NOTHING);
    assert!(scene.files.refused.is_empty());
}

#[test]
fn directories_come_and_go() {
    let mut scene = Scene::new(&[], &["x/*/a.log"]);
    scene.append("x/1/a.log", "hit 1\n");
    assert_eq!(scene.round(), ["x/1/a.log: 1 hit 1"]);
    scene.rename("x", "y");
    scene.append("x/1/a.log", "hit 2\n");
    scene.append("y/1/a.log", "hit 3\n");
    assert_eq!(scene.round(), ["x/1/a.log: 1 hit 3", "x/1/a.log: 1 hit 2"]);
    scene.append("x/2/a.log", "hit 4\n");
    assert_eq!(scene.round(), ["x/2/a.log: 1 hit 4"]);
}

#[test]
fn other_logs_keep_the_places() {
    let mut scene = Scene::new(&["a.log", "b.log"], &["*.log"]);
    scene.append("a.log", "hit 1\n");
    let paths = [scene.path("a.log").display().to_string()];
    scene.files.want(&[log("first", &paths, &["hit"]), log("second", &paths, &["1"]), log("app", &paths, &["2"])]);
    let lines = scene.lines();
    let names: Vec<&str> = lines.iter().map(|lines| &*lines.log).collect();
    assert_eq!(names, ["first", "second"]);
    assert_eq!(scene.files.tracked.len(), 1);
    scene.files.want(&[]);
    assert!(scene.lines().is_empty() && scene.files.tracked.is_empty() && scene.files.by_watch.is_empty());
}

#[test]
fn a_flood_is_few_messages_with_few_lines() {
    let mut scene = Scene::new(&["a.log"], &["a.log"]);
    let long = format!("hit {}\n", "ä".repeat(10_000));
    scene.append("a.log", &("hit\n".repeat(100_000) + &long));
    let lines = scene.lines();
    assert_eq!((lines.len(), lines[0].count, lines[0].first.len()), (1, 100_001, 5));
    scene.append("a.log", &long);
    assert!(scene.lines()[0].first[0].text.len() < 4100);
    // More than a round takes.
    scene.append("a.log", &"hit\n".repeat(2_000_000));
    let counts: Vec<u64> = (0..3).flat_map(|_| scene.lines()).map(|lines| lines.count).collect();
    assert_eq!((counts.len(), counts.iter().sum::<u64>()), (2, 2_000_000));
}

#[test]
fn a_thousand_files() {
    let mut scene = Scene::new(&[], &["*/*.log"]);
    let name = |number: usize| format!("{}/{number}.log", number % 10);
    for number in 0..1000 {
        scene.append(&name(number), "hit\n");
    }
    let found: u64 = (0..3).flat_map(|_| scene.lines()).map(|lines| lines.count).sum();
    assert_eq!((found, scene.files.tracked.len()), (1000, 1000));
    for number in (0..1000).step_by(7) {
        scene.append(&name(number), "hit\n");
    }
    let dirty = scene.lines().len();
    assert_eq!(dirty, 143);
}
