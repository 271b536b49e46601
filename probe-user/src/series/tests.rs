//! Recorder, files and answers against a model that keeps every second of every series.

mod files;
mod model;

use proptest::prelude::*;

use self::model::{Deed, START, World, deeds};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever happens, an answer by the second tells what was, and nothing else.
    #[test]
    fn seconds_are_told_as_they_were(deeds in deeds(120, true), since in 1..1_900_i64) {
        let mut world = World::new();
        for deed in deeds {
            world.act(deed);
        }
        // Else seconds have become minutes.
        prop_assume!(world.latest < START + 3_500);
        world.check(since, 1);
    }

    /// So does one with points further apart, as long as nobody sets the clock back.
    #[test]
    fn steps_are_sums_of_seconds(deeds in deeds(120, false), since in 1..3_000_i64, step in 1..90_i64) {
        let mut world = World::new();
        for deed in deeds {
            world.act(deed);
        }
        world.check(since, step);
    }

    /// Hours later it is minutes that are told, and the newest hour is told by the second.
    #[test]
    fn minutes_are_told_as_they_were(deeds in deeds(200, false), more in deeds(30, false)) {
        let mut world = World::new();
        world.slow = true;
        for deed in deeds {
            world.act(deed);
        }
        // By now the first files are too old for seconds.
        for _ in 0..150 {
            world.act(Deed::Wait(50));
        }
        for deed in more {
            world.act(deed);
        }
        world.check_minutes(6 * 3_600);
        world.check(1_700, 1);
    }

    /// A restart changes nothing of what was.
    #[test]
    fn what_is_on_disk_is_told_after_a_restart(before in deeds(60, false), after in deeds(20, false)) {
        let mut world = World::new();
        for deed in before.into_iter().chain([Deed::Restart]).chain(after) {
            world.act(deed);
        }
        world.check(2_900, 1);
    }
}

#[test]
fn a_value_that_does_not_change_costs_next_to_nothing() {
    let mut world = World::new();
    for group in 0..3 {
        world.act(Deed::Note { group, figure: 0, value: 7 });
    }
    world.act(Deed::Wait(60));
    let before = world.shelf.bytes();
    for _ in 0..20 {
        world.act(Deed::Wait(60));
    }
    let more = world.shelf.bytes() - before;
    assert!(more <= 20 * 60, "{more} bytes for 20 minutes of nothing");
    world.check(1_200, 1);
}
