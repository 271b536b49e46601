//! The spool against a naive queue, on a disk that fails, tears and forgets as badly as it may.

mod faulty;
mod working;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proptest::prelude::*;

use super::frame::HEADER;
use super::store::{Cursor, Entry, Store};
use super::{Class, Limits, Lost, WhenFull};
use faulty::{Fault, Faulty};

const SINK: &str = "collector";

/// An event that nothing but its number tells from others.
fn entry(number: u64, class: Class, padding: usize) -> Entry {
    Entry {
        class,
        wall: i64::try_from(number).unwrap(),
        line: Bytes::from(format!("{number} {}\n", "x".repeat(padding))),
    }
}

fn number(entry: &Entry) -> u64 {
    std::str::from_utf8(&entry.line).unwrap().split(' ').next().unwrap().parse().unwrap()
}

fn limits(max_bytes: u64) -> Limits {
    Limits { max_bytes, segment_bytes: 500, when_full: WhenFull::DropOldest }
}

fn open(disk: &Faulty, limits: Limits) -> Store<Faulty> {
    Store::open_on(disk.clone(), limits, &[SINK.to_owned()]).unwrap()
}

/// Everything from a cursor on, read in small bites.
fn read(store: &mut Store<Faulty>, mut from: Cursor) -> Vec<(u64, Entry)> {
    let mut all = Vec::new();
    loop {
        let read = store.read(from, 3, 200).unwrap();
        if read.entries.is_empty() {
            return all;
        }
        assert!(read.entries.len() <= 3);
        all.extend(read.entries);
        from = read.next;
    }
}

fn numbers(store: &mut Store<Faulty>, from: Cursor) -> Vec<u64> {
    read(store, from).iter().map(|(_, entry)| number(entry)).collect()
}

fn fill(store: &mut Store<Faulty>, numbers: std::ops::Range<u64>, class: Class) {
    for number in numbers {
        store.append(&[entry(number, class, 20)]).unwrap();
    }
}

#[test]
fn a_clean_restart_goes_on_where_it_was() {
    let disk = Faulty::default();
    let mut store = open(&disk, limits(100_000));
    fill(&mut store, 0..50, Class::Process);
    let first = store.read(store.cursor(SINK), 20, usize::MAX).unwrap();
    store.acknowledge(SINK, first.next.position);
    store.save(false).unwrap();
    assert_eq!(store.waiting(SINK), 30);
    let mut store = open(&disk, limits(100_000));
    let cursor = store.cursor(SINK);
    assert_eq!(numbers(&mut store, cursor), (20..50).collect::<Vec<_>>());
    assert_eq!(numbers(&mut store, Cursor::at(0)), (0..50).collect::<Vec<_>>(), "the history keeps all");
    fill(&mut store, 50..60, Class::Process);
    assert_eq!(numbers(&mut store, cursor), (20..60).collect::<Vec<_>>());
    assert_eq!(store.untold(), Lost::default());
}

#[test]
fn the_history_is_found_by_time() {
    let disk = Faulty::default();
    let mut store = open(&disk, limits(100_000));
    fill(&mut store, 0..50, Class::Process);
    let since = store.since(30);
    let found = numbers(&mut store, since);
    assert!(found[0] <= 30 && found.ends_with(&[48, 49]), "{found:?}");
    assert_eq!(store.since(50), Cursor::at(store.end()));
}

#[test]
fn a_full_spool_lets_the_history_go_first_then_processes_then_alarms() {
    let disk = Faulty::default();
    let mut store = open(&disk, limits(4000));
    for number in 0..400 {
        let class = if number % 10 == 0 { Class::Alarm } else { Class::Process };
        store.append(&[entry(number, class, 20)]).unwrap();
        if number < 100 {
            store.acknowledge(SINK, store.end());
        }
        assert!(store.bytes() <= 4000);
    }
    let cursor = store.cursor(SINK);
    let left = numbers(&mut store, cursor);
    let alarms: Vec<u64> = left.iter().copied().filter(|number| number % 10 == 0).collect();
    assert_eq!(alarms, (10..40).map(|tens| tens * 10).collect::<Vec<_>>(), "no alarm had to go");
    assert_eq!(store.untold(), Lost { full: 300 - left.len() as u64, ..Lost::default() });
    assert_eq!(*left.last().unwrap(), 399);
    for number in 400..800 {
        store.append(&[entry(number, Class::Alarm, 20)]).unwrap();
    }
    let left = numbers(&mut store, cursor);
    assert_eq!(store.untold().full, 700 - left.len() as u64, "each drop is counted");
    assert!(left.windows(2).all(|pair| pair[0] < pair[1]) && left.len() > 30);
}

#[test]
fn a_full_spool_can_refuse_instead() {
    let disk = Faulty::default();
    let mut store = open(&disk, Limits { when_full: WhenFull::DropNewest, ..limits(2000) });
    fill(&mut store, 0..100, Class::Alarm);
    let cursor = store.cursor(SINK);
    let left = numbers(&mut store, cursor);
    assert_eq!(left, (0..left.len() as u64).collect::<Vec<_>>());
    assert_eq!(store.untold().full, 100 - left.len() as u64);
    store.acknowledge(SINK, store.end());
    fill(&mut store, 100..101, Class::Alarm);
    let cursor = store.cursor(SINK);
    assert_eq!(numbers(&mut store, cursor), [100], "with room it takes events again");
}

#[test]
fn what_tells_of_losses_has_room_when_nothing_else_has() {
    let disk = Faulty::default();
    let mut store = open(&disk, Limits { when_full: WhenFull::DropNewest, ..limits(2000) });
    fill(&mut store, 0..100, Class::Alarm);
    let refused = store.untold().full;
    assert!(store.append(&[entry(100, Class::Alarm, 20), entry(101, Class::Loss, 20)]).unwrap());
    assert_eq!(store.untold().full, refused + 1);
    let cursor = store.cursor(SINK);
    assert_eq!(numbers(&mut store, cursor).last(), Some(&101));
    // That is bounded too, and says so.
    let told: Vec<bool> = (0..5).map(|number| store.append(&[entry(number, Class::Loss, 20)]).unwrap()).collect();
    assert!(!told[4] && store.bytes() < 2000 + 2000 / 16 + 100, "{told:?}");
}

#[test]
fn what_is_longer_than_an_event_may_be_is_counted() {
    let disk = Faulty::default();
    let mut store = open(&disk, limits(100_000));
    store.append(&[entry(0, Class::Alarm, super::PAYLOAD_MAX), entry(1, Class::Alarm, 0)]).unwrap();
    assert_eq!(numbers(&mut store, Cursor::at(0)), [1]);
    assert_eq!(store.untold().full, 1);
}

#[test]
fn a_damaged_file_is_set_aside_and_what_is_whole_is_kept() {
    for live in [false, true] {
        let disk = Faulty::default();
        let mut store = open(&disk, limits(100_000));
        fill(&mut store, 0..30, Class::Process);
        let name = store.segments[1].name.clone();
        let (first, frames) = (store.segments[1].first, store.segments[1].holds.frames);
        disk.damage(&name, HEADER as u64 + 5);
        if !live {
            store = open(&disk, limits(100_000));
            // A seal is taken at its word: the damage shows when the file is read.
        }
        let cursor = store.cursor(SINK);
        let from = if live { cursor } else { Cursor::at(0) };
        let left = numbers(&mut store, from);
        let gone = first - 1;
        assert_eq!(left, (0..30).filter(|number| *number != gone).collect::<Vec<_>>(), "{frames}");
        assert_eq!(store.untold(), Lost { damaged: 1, ..Lost::default() });
        assert!(store.take_notes()[0].contains("damaged"));
        assert!(disk.names().iter().any(|name| name.ends_with(".damaged")));
        let mut store = open(&disk, limits(100_000));
        assert_eq!(numbers(&mut store, Cursor::at(0)).len(), 29, "it is damaged once");
    }
}

#[test]
fn garbage_in_the_directory_is_no_reason_to_fail() {
    let disk = Faulty::default();
    for (name, content) in [
        ("0000000000000001.seg", &b"no frame at all"[..]),
        ("0000000000000009.seg", b""),
        ("zzzzzzzzzzzzzzzz.seg", b"x"),
        ("0000000000000005.seg.new", b"half"),
        ("state", b"{\"sinks\": 7}"),
        ("README", b"hello"),
    ] {
        disk.put(name, content);
    }
    let mut store = open(&disk, limits(100_000));
    assert_eq!(numbers(&mut store, Cursor::at(0)), [0; 0]);
    fill(&mut store, 0..3, Class::Alarm);
    assert_eq!(numbers(&mut store, Cursor::at(0)), [0, 1, 2]);
}

#[test]
fn a_collector_that_takes_anothers_place_gets_what_that_one_did_not() {
    let disk = Faulty::default();
    let mut store = open(&disk, limits(100_000));
    fill(&mut store, 0..10, Class::Alarm);
    store.acknowledge(SINK, 4);
    store.save(false).unwrap();
    let mut store = Store::open_on(disk, limits(100_000), &["new".to_owned(), SINK.to_owned()]).unwrap();
    assert_eq!(store.cursor("new"), Cursor::at(store.end()), "beside the old one it begins with what comes");
    store.save(false).unwrap();
    let store = Store::open_on(store.disk, limits(100_000), &["newer".to_owned()]).unwrap();
    assert_eq!(store.cursor("newer").position, 4);
}

/// What a history does.
#[derive(Clone, Debug)]
enum Op {
    /// Appends so many events, of which every third is an alarm.
    Append(u8, u8),
    /// The collector takes so many and acknowledges them.
    Take(u8),
    Save,
    /// The power goes.
    Crash(u64),
    /// The next operation but so many fails.
    Fail(u8, bool),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (1..12_u8, 0..60_u8).prop_map(|(events, padding)| Op::Append(events, padding)),
        4 => (1..40_u8).prop_map(Op::Take),
        1 => Just(Op::Save),
        2 => any::<u64>().prop_map(Op::Crash),
        2 => (0..8_u8, any::<bool>()).prop_map(|(after, full)| Op::Fail(after, full)),
    ]
}

/// What must hold, kept by hand.
#[derive(Default)]
struct Naive {
    next: u64,
    /// Accepted and not acknowledged.
    owed: BTreeSet<u64>,
    /// What each position was seen to hold.
    positions: BTreeMap<u64, u64>,
    crashed: bool,
}

fn run(max_bytes: u64, ops: &[Op]) {
    let disk = Faulty::default();
    let mut store = open(&disk, limits(max_bytes));
    let mut naive = Naive::default();
    for op in ops {
        match op {
            Op::Append(events, padding) => {
                let class = |number| if number % 3 == 0 { Class::Alarm } else { Class::Process };
                let batch: Vec<Entry> = (naive.next..naive.next + u64::from(*events))
                    .map(|number| entry(number, class(number), usize::from(*padding)))
                    .collect();
                naive.next += u64::from(*events);
                // A fault strikes once: who hands the batch in again gets through.
                if store.append(&batch).is_err() && store.append(&batch).is_err() {
                    store.append(&batch).unwrap();
                }
                naive.owed.extend(batch.iter().map(number));
                // A batch that is larger than the spool is taken all the same.
                let batch: usize = batch.iter().map(|entry| HEADER + entry.line.len()).sum();
                assert!(store.bytes() <= max_bytes.max(batch as u64) + 500, "{} of {max_bytes}", store.bytes());
            }
            Op::Take(max) => {
                disk.heal();
                let read = store.read(store.cursor(SINK), usize::from(*max), usize::MAX).unwrap();
                for (_, entry) in &read.entries {
                    naive.owed.remove(&number(entry));
                }
                store.acknowledge(SINK, read.next.position);
            }
            Op::Save => drop(store.save(false)),
            Op::Crash(seed) => {
                disk.crash(*seed);
                naive.crashed = true;
                store = open(&disk, limits(max_bytes));
            }
            Op::Fail(after, full) => disk.fail(u32::from(*after), if *full { Fault::Full } else { Fault::Broken }),
        }
    }
    disk.heal();
    let cursor = store.cursor(SINK);
    let left = read(&mut store, cursor);
    assert!(left.windows(2).all(|pair| pair[0].0 < pair[1].0));
    let found: BTreeSet<u64> = left.iter().map(|(_, entry)| number(entry)).collect();
    let missing = naive.owed.difference(&found).count() as u64;
    let Lost { full, damaged, .. } = store.untold();
    assert_eq!(damaged, 0, "{:?}", store.take_notes());
    assert!(missing <= full, "{missing} are missing, {full} are counted");
    if !naive.crashed && max_bytes > 50_000 {
        assert_eq!((missing, full), (0, 0));
    }
    // In order, but for what a failed write left beside its repetition.
    let mut seen = BTreeSet::new();
    let order: Vec<u64> = left.iter().map(|(_, entry)| number(entry)).filter(|number| seen.insert(*number)).collect();
    assert!(order.windows(2).all(|pair| pair[0] < pair[1]), "{order:?}");
    for (position, entry) in &left {
        assert!(naive.positions.insert(*position, number(entry)).is_none_or(|before| before == number(entry)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 20000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_accepted_is_lost(ops in prop::collection::vec(op(), 0..80)) {
        run(1_000_000, &ops);
    }

    #[test]
    fn what_a_small_spool_drops_is_counted(ops in prop::collection::vec(op(), 0..80)) {
        run(3000, &ops);
    }
}
