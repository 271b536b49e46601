use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// A file, its writer and its follower.
struct Scene {
    _folder: TempDir,
    path: PathBuf,
    writer: File,
    follower: Follower,
    buffer: Vec<u8>,
}

fn open(path: &Path) -> OwnedFd {
    Named::find(path).unwrap().open().unwrap()
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.log");
        let writer = OpenOptions::new().create(true).append(true).open(&path).unwrap();
        let follower = Follower::from_start(open(&path));
        Self { _folder: folder, path, writer, follower, buffer: vec![0; BUFFER] }
    }

    fn write(&mut self, text: &[u8]) {
        self.writer.write_all(text).unwrap();
    }

    /// The lines that a reading finds, without their ends.
    fn read(&mut self) -> Vec<Vec<u8>> {
        self.lines(|follower, buffer, each| follower.read(buffer, u64::MAX, each))
    }

    fn finish(&mut self) -> Vec<Vec<u8>> {
        self.lines(Follower::finish)
    }

    fn lines(
        &mut self,
        read: impl FnOnce(&mut Follower, &mut [u8], &mut dyn FnMut(&[u8])) -> io::Result<Round>,
    ) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        let round = read(&mut self.follower, &mut self.buffer, &mut |text| {
            let mut texts: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
            if texts.last().is_some_and(|last| last.is_empty()) {
                texts.pop();
            }
            lines.extend(texts.into_iter().map(<[u8]>::to_vec));
        });
        assert_eq!(round.unwrap().lines, lines.len() as u64);
        lines
    }

    #[track_caller]
    fn check(&mut self, write: &[u8], expected: &[&str]) {
        self.write(write);
        let lines = self.read();
        let lines: Vec<_> = lines.iter().map(|line| String::from_utf8_lossy(line)).collect();
        assert_eq!(lines, expected);
    }
}

#[test]
fn lines_count_when_they_are_complete() {
    let mut scene = Scene::new();
    scene.check(b"", &[]);
    scene.check(b"one\ntw", &["one"]);
    scene.check(b"o", &[]);
    scene.check(b"\n\nthree\n", &["two", "", "three"]);
    scene.check(b"junk \xff\x00\n", &["junk \u{fffd}\u{0}"]);
    scene.check(b"rest", &[]);
    assert_eq!(scene.finish(), [b"rest"]);
    assert_eq!(scene.finish(), [b""; 0]);
    scene.check(b" goes on\n", &[" goes on"]);
}

#[test]
fn long_lines_count_once_wherever_they_are_cut() {
    let long = "x".repeat(LINE_MAX);
    let cut = [long.as_str()];
    let mut scene = Scene::new();
    scene.check(format!("{long}\n").as_bytes(), &cut);
    scene.check(format!("{long}y").as_bytes(), &cut);
    scene.check(b"more\nnext\n", &["next"]);
    scene.check(format!("a\n{long}{long}{long}{long}{long}\nb\n").as_bytes(), &["a", &long, "b"]);
    // In pieces that are no line by themselves.
    for _ in 0..3 {
        scene.check(&vec![b'x'; LINE_MAX / 3], &[]);
    }
    scene.check(b"xxx", &cut);
    scene.check(&vec![b'x'; BUFFER * 2], &[]);
    scene.check(b"\nend\n", &["end"]);
}

#[test]
fn a_truncated_file_is_read_from_its_beginning() {
    let mut scene = Scene::new();
    scene.check(b"one\ntwo\n", &["one", "two"]);
    scene.writer.set_len(0).unwrap();
    scene.check(b"three\n", &["three"]);
    // Longer than before, when it is looked at.
    scene.writer.set_len(0).unwrap();
    scene.check(b"four\nfive\nsix\n", &["four", "five", "six"]);
    // With part of a line seen.
    scene.check(b"sev", &[]);
    scene.writer.set_len(0).unwrap();
    scene.check(b"eight\n", &["eight"]);
    // Where nothing but part of a line was there.
    scene.writer.set_len(0).unwrap();
    scene.check(b"ni", &[]);
    scene.writer.set_len(0).unwrap();
    scene.check(b"a\n", &["a"]);
}

#[test]
fn a_hole_is_jumped_over() {
    let mut scene = Scene::new();
    scene.check(b"one\n", &["one"]);
    scene.writer.set_len(0).unwrap();
    let writer = OpenOptions::new().write(true).open(&scene.path).unwrap();
    let far = 1 << 40;
    writer.write_all_at(b"\ntwo\n", far).unwrap();
    let lines = scene.read();
    assert_eq!(lines.last().unwrap(), b"two");
    assert!(scene.follower.place().at > far && lines.len() <= 2);
}

#[test]
fn from_its_end_means_from_the_beginning_of_the_last_line() {
    for (text, more, expected) in [
        ("", "a\n", vec!["a"]),
        ("old\n", "a\n", vec!["a"]),
        ("old\npart", "s\nb\n", vec!["parts", "b"]),
        ("part", "s\n", vec!["parts"]),
    ] {
        let mut scene = Scene::new();
        scene.write(text.as_bytes());
        scene.follower = Follower::from_end(open(&scene.path), &mut scene.buffer).unwrap();
        scene.check(more.as_bytes(), &expected);
    }
    let mut scene = Scene::new();
    scene.write(&vec![b'x'; LINE_MAX * 2]);
    scene.follower = Follower::from_end(open(&scene.path), &mut scene.buffer).unwrap();
    scene.check(b"x\nnext\n", &["next"]);
}

#[test]
fn a_place_is_good_for_the_same_file_only() {
    let mut scene = Scene::new();
    scene.check(b"one\ntwo\nthr", &["one", "two"]);
    let place = scene.follower.place();
    scene.follower = Follower::resume(open(&scene.path), place).unwrap();
    scene.check(b"ee\n", &["three"]);
    // Shorter, or with another beginning.
    scene.writer.set_len(3).unwrap();
    assert!(Follower::resume(open(&scene.path), place).is_err());
    scene.writer.set_len(0).unwrap();
    scene.write(b"another one\n");
    assert!(Follower::resume(open(&scene.path), place).is_err());
}

#[test]
fn only_files_are_opened() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, Mode::from_raw_mode(0o600)).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
    let why = |path: &Path| Named::find(path).err().unwrap().to_string();
    assert_eq!(why(&fifo), "it is a FIFO, not a file");
    assert_eq!(why(&folder.path().join("socket")), "it is a socket, not a file");
    assert_eq!(why(&link), "it is a device, not a file");
    assert_eq!(why(folder.path()), "it is a directory");
}

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<u8>),
    Long(usize),
    Read,
    Truncate,
    Resume,
}

fn step() -> impl Strategy<Value = Step> {
    let text = proptest::collection::vec(prop::sample::select(b"ab\n\xff".to_vec()), 0..12);
    prop_oneof![
        4 => text.prop_map(Step::Write),
        1 => (LINE_MAX - 3..LINE_MAX * 5).prop_map(Step::Long),
        4 => Just(Step::Read),
        1 => Just(Step::Truncate),
        1 => Just(Step::Resume),
    ]
}

/// The complete lines of a text and then, if `rest`, what is left of it, each cut.
fn naive(text: &[u8], rest: bool) -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> =
        text.split(|byte| *byte == b'\n').map(|line| line.get(..LINE_MAX).unwrap_or(line).to_vec()).collect();
    let last = lines.pop().unwrap_or_default();
    // One that is too long counts as soon as that is known.
    let length = text.len() - memchr::memrchr(b'\n', text).map_or(0, |end| end + 1);
    if length > LINE_MAX || (rest && length > 0) {
        lines.push(last);
    }
    lines
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn every_line_once(steps in proptest::collection::vec(step(), 1..30)) {
        let mut scene = Scene::new();
        let (mut text, mut lines, mut expected, mut number) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for step in steps {
            match step {
                Step::Write(more) => {
                    scene.write(&more);
                    text.extend(more);
                }
                Step::Long(length) => {
                    let more = vec![b'x'; length];
                    scene.write(&more);
                    text.extend(more);
                }
                Step::Read => lines.extend(scene.read()),
                Step::Truncate => {
                    lines.extend(scene.read());
                    expected.extend(naive(&text, false));
                    scene.writer.set_len(0).unwrap();
                    // What is written then begins otherwise, as log lines do.
                    number += 1;
                    text = format!("{number}\n").into_bytes();
                    scene.write(&text.clone());
                    lines.extend(scene.read());
                }
                Step::Resume => {
                    let resumed = Follower::resume(open(&scene.path), scene.follower.place());
                    scene.follower = resumed.map_err(|_| "refused").unwrap();
                }
            }
        }
        lines.extend(scene.finish());
        expected.extend(naive(&text, true));
        prop_assert_eq!(lines, expected);
    }
}
