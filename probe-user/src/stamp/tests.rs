use std::fs;

use proptest::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::event::{Attribute, Attributes, Severity, name};
use crate::time::{KTime, Wall};

const CLOCK: ClockReading =
    ClockReading { mono: KTime::from_secs(100), boot_ns: 200_000_000_000, wall: Wall(1_790_000_000_000_000_000) };

fn host(boot: &str) -> Host {
    Host { name: "web-1".into(), id: "9f0c".into(), boot_id: boot.into() }
}

fn event() -> Event {
    let mut attributes = Attributes::default();
    attributes.put("limit", 2).put_attribute("since", Attribute::Time(KTime::from_secs(98)));
    Event {
        name: name::POLICY_FIRING,
        severity: Severity::Critical,
        at: KTime::from_secs(99),
        body: "nginx: \"1\" process\nminimum 2".into(),
        attributes,
        alarm: None,
    }
}

fn open(dir: &TempDir, boot: &str) -> (Stamper, Vec<String>) {
    Stamper::open(host(boot), dir.path(), 3_000_000_000).unwrap()
}

fn take(stamper: &mut Stamper, events: u64) -> Vec<u64> {
    (0..events).map(|_| stamper.stamp(event(), &CLOCK).seq).collect()
}

#[test]
fn an_event_has_the_fields_of_the_contract() {
    let dir = TempDir::new().unwrap();
    let stamped = open(&dir, "3b1d").0.stamp(event(), &CLOCK);
    let line = line(&stamped).unwrap();
    let mut lines = Lines::default();
    for _ in 0..1000 {
        assert_eq!(lines.line(&stamped).unwrap(), line);
    }
    assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1), "one event, one line");
    let json: Value = serde_json::from_slice(&line).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "id": "9f0c:3b1d:000000000001", "seq": 1, "time": "2026-09-21T14:13:19.000000000Z",
            "name": "procprobe.policy.firing", "severity": "critical", "body": "nginx: \"1\" process\nminimum 2",
            "host": {"host.name": "web-1", "host.id": "9f0c", "boot.id": "3b1d"},
            "attributes": {"limit": 2, "since": "2026-09-21T14:13:18.000000000Z"},
        })
    );
}

#[test]
fn numbers_go_on_after_a_clean_end() {
    let dir = TempDir::new().unwrap();
    let (mut first, notes) = open(&dir, "a");
    assert_eq!((first.resumed(), notes.len()), (Resumed::FirstOfBoot, 0));
    assert_eq!(take(&mut first, 3), [1, 2, 3]);
    first.close().unwrap();
    let (mut second, _) = open(&dir, "a");
    assert_eq!((take(&mut second, 2), second.resumed()), (vec![4, 5], Resumed::Clean));
}

#[test]
fn after_a_crash_no_number_is_used_twice() {
    let dir = TempDir::new().unwrap();
    let (mut first, _) = open(&dir, "a");
    let used = take(&mut first, BLOCK + 1).last().copied().unwrap();
    drop(first);
    let (mut second, _) = open(&dir, "a");
    assert_eq!(second.resumed(), Resumed::AfterCrash);
    let next = take(&mut second, 1)[0];
    assert!(next > used && next <= used + BLOCK, "{used} then {next}");
}

#[test]
fn numbers_that_no_event_has_are_named() {
    fn check(before: u64, clean: bool, last: Option<(u64, &str)>, expected: Option<(&str, u64, u64)>) {
        let dir = TempDir::new().unwrap();
        let (mut first, _) = open(&dir, "a");
        take(&mut first, before);
        if clean {
            first.close().unwrap();
        } else {
            drop(first);
        }
        let last = last.map(|(seq, boot)| format!("{{\"seq\":{seq},\"host\":{{\"boot.id\":\"{boot}\"}}}}\n"));
        let gap = open(&dir, "a").0.take_up(last.as_deref().map(str::as_bytes));
        assert_eq!(gap.map(|gap| (gap.reason, gap.first, gap.last)), expected);
    }
    check(7, true, Some((7, "a")), None);
    check(7, true, Some((5, "a")), Some(("unwritten", 6, 7)));
    check(7, false, Some((5, "a")), Some(("crash", 6, BLOCK)));
    check(7, false, Some((5, "b")), Some(("crash", 1, BLOCK)));
    check(7, false, None, Some(("crash", 1, BLOCK)));
    // Half a block was used: the next one was reserved from there on.
    let reserved = BLOCK / 2 + BLOCK;
    check(BLOCK, false, Some((BLOCK, "a")), Some(("crash", BLOCK + 1, reserved)));
    check(BLOCK, false, Some((reserved, "a")), None);
    let mut fresh = Stamper::forgetful(host("a"));
    assert_eq!(fresh.take_up(None), None);
    assert_eq!(fresh.take_up(Some(b"no event")), None);
}

#[test]
fn nothing_that_was_accepted_is_numbered_again() {
    let dir = TempDir::new().unwrap();
    drop(open(&dir, "a"));
    // The disk took events, and not the reservation of their numbers.
    let last = 3 * BLOCK;
    let line = format!("{{\"seq\":{last},\"host\":{{\"boot.id\":\"a\"}}}}\n");
    let (mut second, _) = open(&dir, "a");
    assert_eq!(second.take_up(Some(line.as_bytes())), None);
    assert_eq!(take(&mut second, 2), [last + 1, last + 2]);
    drop(second);
    assert!(take(&mut open(&dir, "a").0, 1)[0] > last + 2);
}

#[test]
fn a_new_boot_starts_at_one() {
    let dir = TempDir::new().unwrap();
    let (mut first, _) = open(&dir, "a");
    take(&mut first, 5);
    drop(first);
    let (mut second, _) = open(&dir, "b");
    assert_eq!((take(&mut second, 1), second.resumed()), (vec![1], Resumed::FirstOfBoot));
}

#[test]
fn a_damaged_file_is_set_aside_and_told() {
    for damage in ["", "procprobe-sequence 1 a 12 reserved", "procprobe-sequence 2 a 12 clean\n", "\u{0}\u{1}\n"] {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("sequence"), damage).unwrap();
        let (mut stamper, notes) = open(&dir, "a");
        assert_eq!((take(&mut stamper, 1), stamper.resumed()), (vec![30_000], Resumed::Unknown), "{damage:?}");
        assert!(notes.len() == 1 && notes[0].contains("damaged"), "{notes:?}");
        assert_eq!(fs::read_to_string(dir.path().join("sequence.damaged")).unwrap(), damage);
    }
}

#[test]
fn without_a_writable_directory_it_still_stamps_and_says_so() {
    let dir = TempDir::new().unwrap();
    let blocked = dir.path().join("file");
    fs::write(&blocked, "").unwrap();
    let (mut stamper, notes) = Stamper::open(host("a"), &blocked.join("state"), 3_000_000_000).unwrap();
    assert_eq!(take(&mut stamper, 2), [30_000, 30_001]);
    assert!(notes.len() == 1 && notes[0].contains("numbers start at 30000"), "{notes:?}");
    stamper.close().unwrap();
}

#[test]
fn a_second_daemon_on_the_same_directory_is_refused() {
    let dir = TempDir::new().unwrap();
    let _first = open(&dir, "a");
    let error = Stamper::open(host("a"), dir.path(), 0).unwrap_err();
    assert!(error.to_string().contains("--state-dir"), "{error}");
}

proptest! {
    // Each run waits for the disk a few times.
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever ends a run, numbers only rise, and rise by one inside a run.
    #[test]
    fn numbers_never_fall(runs in prop::collection::vec((1..2 * BLOCK, any::<bool>()), 1..6)) {
        let dir = TempDir::new().unwrap();
        let mut last = 0;
        for (events, clean) in runs {
            let (mut stamper, _) = open(&dir, "a");
            let seqs = take(&mut stamper, events);
            prop_assert!(seqs[0] > last);
            prop_assert!(seqs.windows(2).all(|pair| pair[1] == pair[0] + 1));
            last = seqs[seqs.len() - 1];
            if clean {
                stamper.close().unwrap();
            }
        }
    }

    #[test]
    fn any_bytes_parse_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = ledger::parse(&bytes);
    }
}
