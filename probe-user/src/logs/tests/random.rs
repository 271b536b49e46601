//! A file that is written, renamed, truncated, deleted and read in any order.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Write(u8),
    Partial,
    Rename,
    CopyTruncate,
    Delete,
    Read,
    /// The daemon is down while lines are written, and perhaps the file is renamed.
    Restart(bool),
    Pass,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..20_u8).prop_map(Step::Write),
        1 => Just(Step::Partial),
        2 => Just(Step::Rename),
        1 => Just(Step::CopyTruncate),
        1 => Just(Step::Delete),
        4 => Just(Step::Read),
        2 => any::<bool>().prop_map(Step::Restart),
        1 => Just(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    /// Whatever happens to the file, each complete line is found once. What copytruncate and deletion lose while nobody
    /// looks is not written then: a reading goes before them.
    #[test]
    fn every_line_is_counted_once(steps in proptest::collection::vec(step(), 1..40)) {
        let mut scene = Scene::new(&["a.log"], &["a.log"]);
        let mut writer = OpenOptions::new().append(true).open(scene.path("a.log")).unwrap();
        let (mut written, mut found, mut number, mut partial) = (0, 0, 0, false);
        for step in steps {
            number += 1;
            match step {
                Step::Write(count) => {
                    for line in 0..count {
                        // A line begun before ends here.
                        writeln!(writer, "{number}/{line} hit").unwrap();
                    }
                    written += u64::from(count);
                    partial = false;
                }
                Step::Partial => {
                    write!(writer, "{number} begins ").unwrap();
                    partial = true;
                }
                Step::Rename => {
                    if partial {
                        writeln!(writer, "hit").unwrap();
                        written += 1;
                        partial = false;
                    }
                    scene.rename("a.log", &format!("a.log.{number}"));
                    writer = OpenOptions::new().create(true).append(true).open(scene.path("a.log")).unwrap();
                }
                Step::CopyTruncate => {
                    found += scene.lines().iter().map(|lines| lines.count).sum::<u64>();
                    fs::copy(scene.path("a.log"), scene.path("a.log.copy")).unwrap();
                    writer.set_len(0).unwrap();
                    partial = false;
                }
                Step::Delete => {
                    found += scene.lines().iter().map(|lines| lines.count).sum::<u64>();
                    fs::remove_file(scene.path("a.log")).unwrap();
                    writer = OpenOptions::new().create(true).append(true).open(scene.path("a.log")).unwrap();
                    partial = false;
                }
                Step::Read => found += scene.lines().iter().map(|lines| lines.count).sum::<u64>(),
                Step::Restart(rename) => {
                    found += scene.lines().iter().map(|lines| lines.count).sum::<u64>();
                    let places = scene.files.places();
                    writeln!(writer, "{number} hit").unwrap();
                    written += 1;
                    if rename {
                        scene.rename("a.log", &format!("a.log.{number}"));
                        writer = OpenOptions::new().create(true).append(true).open(scene.path("a.log")).unwrap();
                        writeln!(writer, "{number} hit").unwrap();
                        written += 1;
                    }
                    partial = false;
                    scene.stop_and_start(&places);
                    // What comes and goes before its first look has never been there for it.
                    found += scene.lines().iter().map(|lines| lines.count).sum::<u64>();
                }
                Step::Pass => scene.pass(1),
            }
        }
        for _ in 0..2 {
            found += scene.lines().iter().map(|lines| lines.count).sum::<u64>();
        }
        prop_assert_eq!(found, written);
    }
}
