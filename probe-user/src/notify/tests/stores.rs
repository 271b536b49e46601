//! The store against a naive one, and over restarts: what its lines say is what it was.

use proptest::prelude::*;

use super::*;
use crate::notify::notice::Line;

#[derive(Clone, Debug)]
enum Step {
    Notice { alarm: u8, turn: u8, to: u8 },
    Deliver(usize),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4_u8, 0..3_u8, 0..4_u8).prop_map(|(alarm, turn, to)| Step::Notice { alarm, turn, to }),
        4 => (0..2_usize).prop_map(Step::Deliver),
        1 => Just(Step::Restart),
    ]
}

const NAMES: [&str; 2] = ["one", "two"];

fn fresh() -> Store {
    let mut store = Store::new(Bounds { queue_events: 5, ..Bounds::default() });
    store.set_queues(&NAMES.iter().map(|name| Arc::from(*name)).collect());
    store
}

/// Through text, as the journal does.
fn restarted(store: &Store) -> Store {
    let mut text = Vec::new();
    store.lines().iter().for_each(|line| line.write(&mut text).unwrap());
    let mut again = fresh();
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let read = Line::read(line).unwrap();
        assert_eq!(again.replay(&read), store::Overflow::default());
    }
    again
}

proptest! {
    #[test]
    fn it_is_as_a_list_would_be(steps in prop::collection::vec(step(), 1..120)) {
        let mut store = fresh();
        let mut queues: [Vec<(String, String, bool)>; 2] = Default::default();
        let mut active: BTreeMap<String, String> = BTreeMap::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Notice { alarm, turn, to } => {
                    let turn = [AlarmTurn::Fired, AlarmTurn::Repeated, AlarmTurn::Resolved][usize::from(turn)];
                    let to: Vec<Arc<str>> = (0..2).filter(|n| to & (1 << n) != 0).map(|n| NAMES[n].into()).collect();
                    let (name, id) = (format!("a{alarm}"), format!("h:b:{number}"));
                    let alarm = Alarm { name: name.as_str().into(), instance: None, turn, notify: to.clone() };
                    let notice = Arc::new(Notice::new(&alarm, &id, &Bytes::from(format!("{{\"n\":{number}}}\n"))));
                    let firing = turn != AlarmTurn::Resolved;
                    let overflow = store.take(&notice, &to, firing);
                    if firing { active.insert(name.clone(), id.clone()); } else { active.remove(&name); }
                    let mut dropped = Vec::new();
                    for (place, queue) in queues.iter_mut().enumerate().filter(|(n, _)| to.contains(&NAMES[*n].into())) {
                        let waits = queue.iter().any(|(other, _, firing)| *other == name && *firing);
                        if turn != AlarmTurn::Repeated || !waits {
                            queue.push((name.clone(), id.clone(), firing));
                        }
                        if queue.len() > 5 {
                            dropped.push((Arc::from(NAMES[place]), queue.remove(0).1));
                        }
                    }
                    prop_assert_eq!(overflow.dropped, dropped);
                }
                Step::Deliver(place) => {
                    let front = store.front(NAMES[place]).map(|notice| notice.facts.id.clone());
                    let expected = (!queues[place].is_empty()).then(|| queues[place].remove(0).1);
                    prop_assert_eq!(&front, &expected);
                    if let Some(id) = front {
                        prop_assert!(store.done(NAMES[place], &id));
                        prop_assert!(!store.done(NAMES[place], &id));
                    }
                }
                Step::Restart => store = restarted(&store),
            }
            let on: Vec<String> = store.active().map(|notice| notice.facts.id.clone()).collect();
            prop_assert_eq!(on, active.values().cloned().collect::<Vec<_>>());
            for (name, queue) in NAMES.iter().zip(&queues) {
                prop_assert_eq!(store.waiting(name), queue.len());
            }
        }
    }
}

#[test]
fn memory_is_bounded_in_bytes() {
    let mut store = Store::new(Bounds { queue_events: 1000, queue_bytes: 10_000, active_bytes: 10_000 });
    store.set_queues(&["ops".into()].into());
    let mut forgotten = 0;
    for number in 0..50 {
        let text = Bytes::from(format!("\"{}\"", "x".repeat(1000)));
        let notice = Notice::new(&alarm(&format!("a{number}"), AlarmTurn::Fired), &format!("h:b:{number}"), &text);
        let notice = Arc::new(notice);
        forgotten += usize::from(store.take(&notice, &notice.facts.to, true).forgotten);
    }
    assert!(store.waiting("ops") < 10 && store.active().count() < 10);
    assert_eq!(store.active().count() + forgotten, 50);
    assert_eq!(store.front("ops").unwrap().facts.id, format!("h:b:{}", 50 - store.waiting("ops")), "the newest stay");
}

#[test]
fn nonsense_in_a_journal_is_refused() {
    for text in ["", "{}", "[]", "\t", "{}\t{}", "{\"done\":1,\"to\":\"a\"}", "null\tnull", "{\"done\":\"a\"}"] {
        assert_eq!(Line::read(text.as_bytes()), None, "{text}");
    }
}
