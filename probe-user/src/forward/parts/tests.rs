//! The parts against a collector in a few lines, which breaks over some events, now and then over everything.

use proptest::prelude::*;

use super::*;

/// Events in a batch.
const BATCH: usize = 8;

/// A collector and what became of the events, which are numbered from 0.
#[derive(Default)]
struct World {
    /// It breaks over these.
    poison: Vec<usize>,
    /// At these requests, by their number, it breaks over everything; so it does behind the last of them if that is set.
    down: Vec<bool>,
    down_for_ever: bool,
    /// More events than that in a request are too many for it.
    most: Option<usize>,
    /// Behind the events come others, as from a daemon that lives, while anything waits for them.
    more_come: bool,
    requests: usize,
    taken: Vec<usize>,
    given_up: Vec<usize>,
    /// Breaks over each.
    breaks: Vec<usize>,
}

impl World {
    fn of(poison: impl IntoIterator<Item = usize>) -> Self {
        Self { poison: poison.into_iter().collect(), ..Self::default() }
    }

    fn breaks_over(&self, numbers: &[usize]) -> bool {
        let down = self.down.get(self.requests).copied().unwrap_or(self.down_for_ever);
        let too_many = self.most.is_some_and(|most| numbers.len() > most);
        down || too_many || numbers.iter().any(|number| self.poison.contains(number))
    }

    /// Sends so many events, then waits for no more of them.
    fn run(&mut self, events: usize, requests: usize) -> Parts {
        let mut parts = Parts::new(BATCH, 1 << 10);
        let mut next = 0;
        self.breaks = vec![0; events];
        while self.requests < requests {
            if parts.wants_more() && next < events {
                let end = events.min(next + BATCH);
                parts.add((next..end).map(|number| Bytes::from(number.to_string())).collect());
                next = end;
            }
            if self.more_come && !parts.has_next() && !parts.is_empty() {
                parts.add(vec![Bytes::from(self.breaks.len().to_string())]);
                self.breaks.push(0);
            }
            let Some(part) = parts.next() else { break };
            assert!(!part.lines.is_empty());
            let numbers: Vec<usize> =
                part.lines.iter().map(|line| std::str::from_utf8(line).unwrap().parse().unwrap()).collect();
            let breaks = self.breaks_over(&numbers);
            self.requests += 1;
            if breaks {
                for number in &numbers {
                    self.breaks[*number] += 1;
                }
                if let Some(given_up) = parts.broke(part, 0) {
                    assert_eq!(given_up.lines.len(), 1);
                    self.given_up.extend(&numbers);
                }
            } else {
                parts.took(0);
                self.taken.extend(&numbers);
            }
            assert!(parts.suspected() <= (BATCH * BATCHES) as u64);
        }
        parts
    }
}

fn sorted(numbers: &[usize]) -> Vec<usize> {
    let mut numbers = numbers.to_vec();
    numbers.sort_unstable();
    numbers
}

/// Of `events` all are taken but `poison`, which is given up; in at most so many requests.
fn check(mut world: World, events: usize, requests: usize) -> World {
    let parts = world.run(events, 100_000);
    assert!(parts.is_empty(), "{} are left", parts.suspected());
    assert_eq!(sorted(&world.given_up), sorted(&world.poison));
    let rest: Vec<usize> = (0..events).filter(|number| !world.poison.contains(number)).collect();
    assert_eq!(sorted(&world.taken), rest);
    assert!(world.requests <= requests, "{} requests", world.requests);
    world
}

#[test]
fn without_poison_all_goes_in_order_also_after_some_breaks() {
    let world = check(World::default(), 40, 5);
    assert!(world.taken.is_sorted());
    let world = check(World { down: vec![true; 5], ..World::default() }, 40, 10);
    assert!(world.taken.is_sorted(), "five breaks in a row are not enough to step aside");
}

#[test]
fn one_event_is_given_up_wherever_it_stands_and_the_others_arrive() {
    for number in 0..BATCH {
        let world = check(World::of([number]), 80, 30);
        assert!(world.breaks[number] >= 8, "{}", world.breaks[number]);
        let next = world.taken.iter().position(|taken| *taken == BATCH).unwrap();
        assert!(next < BATCH, "the next batch does not wait: {:?}", world.taken);
    }
}

#[test]
fn a_batch_that_breaks_as_a_whole_goes_at_last() {
    check(World::of(0..BATCH), 400, 200);
    check(World::of(0..3 * BATCH), 1000, 300);
}

#[test]
fn what_breaks_for_its_size_goes_in_smaller_parts() {
    let mut world = World { most: Some(3), ..World::default() };
    let parts = world.run(80, 1000);
    assert!(parts.is_empty() && world.given_up.is_empty());
    assert_eq!(sorted(&world.taken), (0..80).collect::<Vec<_>>());
}

#[test]
fn a_collector_that_takes_nothing_proves_nothing() {
    for poison in [vec![], vec![3]] {
        let mut world = World { down_for_ever: true, ..World::of(poison.clone()) };
        let parts = world.run(1000, 50_000);
        assert_eq!((world.taken.len(), world.given_up.len(), world.requests), (0, 0, 50_000));
        assert_eq!(parts.suspected(), (BATCH * BATCHES) as u64, "bounded");
        // It comes back.
        let world = World { down: vec![true; 50_000], ..World::of(poison) };
        check(world, 1000, 51_000);
    }
}

#[test]
fn another_url_that_takes_something_proves_nothing() {
    let mut parts = Parts::new(1, 100);
    parts.add(vec![Bytes::from_static(b"x")]);
    for number in 0..1000 {
        let part = parts.next().unwrap();
        if part.lines[0] == "x" {
            assert_eq!(parts.broke(part, 0), None, "{number}");
        } else {
            parts.took(1);
        }
        if parts.wants_more() {
            parts.add(vec![Bytes::from_static(b"y")]);
        }
    }
    assert_eq!(parts.suspected(), 1);
}

#[test]
fn what_is_too_large_is_halved_in_its_place() {
    let mut parts = Parts::new(BATCH, 100);
    parts.add(["a", "b", "c"].map(Bytes::from).to_vec());
    let part = parts.next().unwrap();
    parts.halve(part);
    let sizes: Vec<_> = std::iter::from_fn(|| parts.next()).map(|part| part.lines).collect();
    assert_eq!(sizes, [vec!["a"], vec!["b", "c"]]);
}

proptest! {
    /// No good event is lost, whatever fails when; what is given up was broken over eight times.
    #[test]
    fn every_event_is_taken_once_or_given_up(
        poison in prop::collection::vec(0..120_usize, 0..6),
        down in prop::collection::vec(prop::bool::weighted(0.3), 0..400),
    ) {
        let steady = down.is_empty();
        let mut world = World { down, more_come: true, ..World::of(poison) };
        let parts = world.run(400, 100_000);
        let mut seen = world.taken.clone();
        seen.extend(&world.given_up);
        prop_assert_eq!(sorted(&seen), (0..world.breaks.len()).collect::<Vec<_>>());
        prop_assert!(parts.is_empty());
        prop_assert!(world.given_up.iter().all(|number| world.breaks[*number] >= 8));
        if steady {
            prop_assert!(world.given_up.iter().all(|number| world.poison.contains(number)));
        }
    }
}
