//! The account of what arrived: order, repeats, and whether every missing number was told.

use std::collections::BTreeMap;

use crate::event::Event;

/// What arrived, each event once.
#[derive(Debug, Default)]
pub struct Account {
    /// Lines by number: there may be very many.
    lines: BTreeMap<u64, String>,
    own: Vec<Event>,
    /// How many came again.
    pub repeats: usize,
}

impl Account {
    /// Of lines as they came. Panics unless repeats are the same events, the order holds without them, and every gap in the
    /// numbers is accounted for by what was told.
    pub fn of(lines: impl IntoIterator<Item = String>) -> Self {
        let mut account = Self::default();
        let mut reached = 0;
        for line in lines {
            let event = Event(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")));
            let seq = event.seq();
            if let Some(before) = account.lines.get(&seq) {
                assert_eq!(*before, line, "a repeat is the same event");
                account.repeats += 1;
                continue;
            }
            assert!(seq > reached, "{line} comes behind {reached}");
            reached = seq;
            account.lines.insert(seq, line);
            if event.name().starts_with("procprobe.agent.") {
                account.own.push(event);
            }
        }
        account.balance(reached);
        account
    }

    fn balance(&self, reached: u64) {
        let lost = || self.own.iter().filter(|event| event.name() == "procprobe.agent.lost");
        let ranges: Vec<(u64, u64)> =
            lost().filter_map(|event| Some((event.number("seq.first")?, event.number("seq.last")?))).collect();
        let is_told = |seq: &u64| ranges.iter().any(|(first, last)| (first..=last).contains(&seq));
        let missing: Vec<u64> = (1..reached).filter(|seq| !self.lines.contains_key(seq) && !is_told(seq)).collect();
        let counted: u64 = lost()
            .filter(|event| ["spool", "forward"].contains(&event.text("where")))
            .filter_map(|event| event.number("count"))
            .sum();
        let many = missing.len();
        assert!(many as u64 <= counted, "{many} numbers are missing and {counted} are told: {missing:?}");
    }

    /// How many events.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// None.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Their ids.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.lines.values().map(|line| id_in(line))
    }

    /// What the daemon said of itself, in order.
    pub fn own(&self) -> &[Event] {
        &self.own
    }
}

/// The `id` of an event.
pub fn id(event: &Event) -> &str {
    event.0["id"].as_str().unwrap_or_default()
}

/// The id in a line, without reading the rest.
pub fn id_in(line: &str) -> &str {
    let id = line.strip_prefix("{\"id\":\"").and_then(|rest| Some(rest.split_once('"')?.0));
    id.unwrap_or_else(|| panic!("it does not begin with its id: {line}"))
}
