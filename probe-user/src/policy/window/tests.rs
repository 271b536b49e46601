use proptest::prelude::*;

use super::*;

const WITHIN: Duration = Duration::from_secs(10);

/// Adds at the given seconds, then compares the counts at other seconds.
#[track_caller]
fn check(adds: &[u64], expected: &[(u64, u64)]) {
    let mut window = Window::new(WITHIN, KTime::default());
    for at in adds {
        window.add(KTime::from_secs(*at));
    }
    for (at, count) in expected {
        let now = KTime::from_secs(*at);
        assert_eq!(window.count(now), *count, "at {at} after {adds:?}");
        window.expire(now);
        assert_eq!(window.count(now), *count, "at {at} after {adds:?}, expired");
    }
}

#[test]
fn the_window_is_open_at_its_old_end_and_closed_at_its_new_one() {
    check(&[], &[(0, 0), (100, 0)]);
    check(&[5], &[(5, 1), (14, 1), (15, 0)]);
    check(&[5, 5, 6], &[(6, 3), (14, 3), (15, 1), (16, 0)]);
    check(&[20, 5], &[(20, 2), (29, 2), (30, 0)]);
}

#[track_caller]
fn check_falls(adds: &[u64], limit: u64, expected: Option<u64>) {
    let mut window = Window::new(WITHIN, KTime::default());
    for at in adds {
        window.add(KTime::from_secs(*at));
    }
    assert_eq!(window.falls_to(limit), expected.map(KTime::from_secs), "{adds:?} to {limit}");
}

#[test]
fn tells_when_the_count_will_have_fallen() {
    check_falls(&[], 0, None);
    check_falls(&[1], 1, None);
    check_falls(&[1], 0, Some(11));
    check_falls(&[1, 2, 3, 4], 0, Some(14));
    check_falls(&[1, 2, 3, 4], 1, Some(13));
    check_falls(&[1, 2, 3, 4], 3, Some(11));
    check_falls(&[1, 1, 1, 4], 2, Some(11));
    check_falls(&[1, 4, 4, 4], 2, Some(14));
}

#[test]
fn a_gap_makes_counts_lower_limits_for_one_window() {
    let mut window = Window::new(WITHIN, KTime::from_secs(5));
    assert_eq!(window.complete_at(), KTime::from_secs(15));
    assert!(!window.is_lower_limit(KTime::from_secs(5)));
    window.missed(KTime::from_secs(20));
    assert_eq!(window.complete_at(), KTime::from_secs(30));
    assert!(window.is_lower_limit(KTime::from_secs(29)));
    assert!(!window.is_lower_limit(KTime::from_secs(30)));
}

fn exact(adds: &[KTime], now: KTime, within: Duration) -> u64 {
    let inside = adds.iter().filter(|at| at.after(within) > now && **at <= now).count();
    u64::try_from(inside).unwrap()
}

#[test]
fn memory_is_bounded_and_the_error_is_one_slice() {
    let mut window = Window::new(WITHIN, KTime::default());
    let mut adds = Vec::new();
    let slice = WITHIN / SLICES;
    for step in 0..100_000_u64 {
        // Uneven: bursts and pauses.
        let at = KTime(step * 300_000 + (step / 1000) * 50_000_000);
        adds.push(at);
        window.add(at);
        assert!(window.stamps.len() <= STAMPS_MAX);
        if step % 997 == 0 {
            let low = exact(&adds, at, WITHIN);
            let high = exact(&adds, at, WITHIN + slice);
            let count = window.count(at);
            assert!((low..=high).contains(&count), "{low} <= {count} <= {high} at {at:?}");
        }
    }
}

proptest! {
    #[test]
    fn counts_as_a_scan_of_the_whole_history_says(
        steps in prop::collection::vec((0_u64..4_000, any::<bool>()), 0..200),
        limit in 0_u64..10,
    ) {
        let mut window = Window::new(WITHIN, KTime::default());
        let mut adds = Vec::new();
        let mut now = KTime::default();
        for (pause, add) in steps {
            now = now.after(Duration::from_millis(pause));
            if add {
                window.add(now);
                adds.push(now);
            }
            prop_assert_eq!(window.count(now), exact(&adds, now, WITHIN));
        }
        window.expire(now);
        match window.falls_to(limit) {
            None => prop_assert!(exact(&adds, now, WITHIN) <= limit),
            Some(fall) => {
                prop_assert!(exact(&adds, fall, WITHIN) <= limit);
                prop_assert!(exact(&adds, fall.before(Duration::from_nanos(1)), WITHIN) > limit);
            }
        }
    }
}
