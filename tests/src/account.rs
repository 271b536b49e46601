//! The account of what arrived: order, repeats, and whether every missing number was told.

use std::collections::BTreeMap;

use crate::event::Event;

/// The `id` of an event.
pub fn id(event: &Event) -> &str {
    event.0["id"].as_str().unwrap_or_default()
}

/// By number. Panics unless repeats are the same events, the order holds without them, and every gap in the numbers is
/// accounted for by what was told.
pub fn check_stream(arrived: &[Event]) -> BTreeMap<u64, &Event> {
    let mut by_seq: BTreeMap<u64, &Event> = BTreeMap::new();
    let mut reached = 0;
    for event in arrived {
        if let Some(before) = by_seq.get(&event.seq()) {
            assert_eq!(*before, event, "a repeat is the same event");
            continue;
        }
        assert!(event.seq() > reached, "{} comes behind {reached}", event.0);
        reached = event.seq();
        by_seq.insert(event.seq(), event);
    }
    let lost: Vec<&Event> = by_seq.values().copied().filter(|event| event.name() == "procprobe.agent.lost").collect();
    let ranges: Vec<(u64, u64)> =
        lost.iter().filter_map(|event| Some((event.number("seq.first")?, event.number("seq.last")?))).collect();
    let missing: Vec<u64> = (1..reached)
        .filter(|seq| !by_seq.contains_key(seq) && !ranges.iter().any(|(first, last)| (*first..=*last).contains(seq)))
        .collect();
    let counted: u64 = lost
        .iter()
        .filter(|event| ["spool", "forward"].contains(&event.text("where")))
        .filter_map(|event| event.number("count"))
        .sum();
    assert!(
        missing.len() as u64 <= counted,
        "{} numbers are missing and {counted} are told: {missing:?}",
        missing.len()
    );
    by_seq
}
