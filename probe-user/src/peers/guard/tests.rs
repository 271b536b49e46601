//! Two hosts and somebody in between who records, changes and repeats what goes over the wire.

use proptest::collection::vec;
use proptest::prelude::{any, proptest};

use super::*;

fn guard(keys: &[u8], salt: u8) -> Guard {
    let keys = keys.iter().map(|byte| Key::new([*byte; 32])).collect();
    Guard::new(keys, [salt; 16]).unwrap()
}

fn place(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, number], 7946))
}

fn at(millis: u64) -> KTime {
    KTime::from_millis(1_000_000 + millis)
}

/// Sends words from a to b as two hosts do, with the hello and what is sent again; what b let in.
fn send(now: KTime, a: &mut Guard, b: &mut Guard, words: &[u8]) -> Vec<Vec<u8>> {
    let packet = a.seal(now, place(2), words.to_vec()).unwrap();
    match b.open(now, place(1), &packet) {
        Opened::Words(words) => vec![words],
        Opened::Answer(hello) => {
            let Opened::Again(again) = a.open(now, place(2), &hello) else { panic!("no hello") };
            let again = again.into_iter().map(|(to, packet)| {
                assert_eq!(to, place(2));
                b.open(now, place(1), &packet)
            });
            again.filter_map(|opened| if let Opened::Words(words) = opened { Some(words) } else { None }).collect()
        }
        Opened::Again(_) | Opened::Refused => Vec::new(),
    }
}

/// How often a reason was counted.
fn count(guard: &Guard, why: Refusal) -> u64 {
    guard.refused().each().find(|(known, _)| *known == why).map_or(0, |(_, count)| count)
}

#[test]
fn strangers_of_one_site_meet_by_one_hello() {
    let (mut a, mut b) = (guard(&[1], 1), guard(&[1], 2));
    assert_eq!(send(at(0), &mut a, &mut b, b"first"), [b"first"]);
    assert_eq!(count(&b, Refusal::Unbound), 1);
    for _ in 0..5 {
        assert_eq!(send(at(9), &mut a, &mut b, b"more"), [b"more"]);
    }
    // The other direction needs none: what was let in has told who speaks there.
    let packet = b.seal(at(10), place(1), b"back".to_vec()).unwrap();
    assert_eq!(a.open(at(10), place(2), &packet), Opened::Words(b"back".to_vec()));
    assert_eq!(count(&b, Refusal::Unbound), 1);
    // A restart is one more hello.
    let mut b = guard(&[1], 3);
    assert_eq!(send(at(5_000), &mut a, &mut b, b"again"), [b"again"]);
    assert_eq!(send(at(5_000), &mut a, &mut b, b"once"), [b"once"]);
    // What was sent a moment before goes to the new life as well, once: it may have been lost with the old one.
    let mut b = guard(&[1], 4);
    assert_eq!(send(at(5_500), &mut a, &mut b, b"last"), [b"once", b"last"]);
}

#[test]
fn a_host_that_answers_from_another_address_is_met_too() {
    let (mut a, mut b) = (guard(&[1], 1), guard(&[1], 2));
    let packet = a.seal(at(0), place(2), b"words".to_vec()).unwrap();
    let Opened::Answer(hello) = b.open(at(0), place(1), &packet) else { panic!() };
    let Opened::Again(again) = a.open(at(0), place(77), &hello) else { panic!() };
    assert_eq!(again[0].0, place(2));
    assert_eq!(b.open(at(0), place(1), &again[0].1), Opened::Words(b"words".to_vec()));
}

#[test]
fn nothing_counts_twice() {
    let (mut a, mut b) = (guard(&[1], 1), guard(&[1], 2));
    send(at(0), &mut a, &mut b, b"hello");
    let packet = a.seal(at(1), place(2), b"once".to_vec()).unwrap();
    assert!(matches!(b.open(at(1), place(1), &packet), Opened::Words(_)));
    // From anywhere, at any time.
    for (from, millis) in [(1, 1), (9, 500), (1, 3_600_000)] {
        assert_eq!(b.open(at(millis), place(from), &packet), Opened::Refused);
    }
    assert_eq!(count(&b, Refusal::Replayed), 3);
    // Another life, or another host of the site: it is not let in, and a hello leads to nothing new from who replays.
    let mut later = guard(&[1], 3);
    assert!(matches!(later.open(at(1), place(1), &packet), Opened::Answer(_)));
    assert!(later.senders.is_empty() && later.places.is_empty());
    // A hello counts once, too, and not for another life.
    let packet = a.seal(at(2), place(3), b"x".to_vec()).unwrap();
    let Opened::Answer(hello) = later.open(at(2), place(1), &packet) else { panic!() };
    assert!(matches!(a.open(at(2), place(3), &hello), Opened::Again(again) if again.len() == 1));
    assert_eq!(a.open(at(2), place(3), &hello), Opened::Refused);
    assert_eq!(guard(&[1], 9).open(at(2), place(3), &hello), Opened::Refused);
}

#[test]
fn keys_change_without_a_gap() {
    let (mut a, mut b) = (guard(&[1], 1), guard(&[1], 2));
    let keys = |bytes: &[u8]| bytes.iter().map(|byte| Key::new([*byte; 32])).collect::<Vec<_>>();
    let both = |a: &mut Guard, b: &mut Guard| {
        let there = send(at(0), a, b, b"x").len();
        let packet = b.seal(at(0), place(1), b"y".to_vec()).unwrap();
        (there, matches!(a.open(at(0), place(2), &packet), Opened::Words(_)))
    };
    assert_eq!(both(&mut a, &mut b), (1, true));
    a.set_keys(keys(&[1, 2]));
    assert_eq!(both(&mut a, &mut b), (1, true));
    b.set_keys(keys(&[2, 1]));
    assert_eq!(both(&mut a, &mut b), (1, true));
    a.set_keys(keys(&[2]));
    assert_eq!(both(&mut a, &mut b), (1, true));
    b.set_keys(keys(&[3]));
    assert_eq!(both(&mut a, &mut b), (0, false));
    assert_eq!((count(&a, Refusal::UnknownKey), count(&b, Refusal::UnknownKey)), (1, 1));
    // Numbers that came under the old key do not count again under a new one.
    let mut b = guard(&[1, 2], 5);
    let mut a = guard(&[1], 6);
    send(at(0), &mut a, &mut b, b"x");
    let old = a.seal(at(1), place(2), b"old".to_vec()).unwrap();
    a.set_keys(keys(&[2]));
    let new = a.seal(at(1), place(2), b"new".to_vec()).unwrap();
    assert!(matches!(b.open(at(1), place(1), &new), Opened::Words(_)));
    assert!(matches!(b.open(at(1), place(1), &old), Opened::Words(_)));
    assert_eq!(b.open(at(1), place(1), &old), Opened::Refused);
}

#[test]
fn a_flood_costs_its_own_source_only() {
    let (mut a, mut b) = (guard(&[1], 1), guard(&[1], 2));
    send(at(0), &mut a, &mut b, b"x");
    let let_in = (0..5000).filter(|_| b.open(at(1), place(9), b"garbage") == Opened::Refused).count();
    assert_eq!(let_in, 5000);
    assert!(count(&b, Refusal::Flood) >= 4500);
    assert_eq!(send(at(1), &mut a, &mut b, b"heard"), [b"heard"]);
}

#[test]
fn what_is_kept_is_bounded() {
    let mut b = guard(&[1], 2);
    for number in 0..9000_u32 {
        let mut a = guard(&[1], 1);
        a.salt = [0; 16];
        a.salt.iter_mut().zip(number.to_be_bytes()).for_each(|(to, from)| *to = from);
        a.own = SaltKey::new(&a.keys[0], &a.salt).unwrap();
        let from = SocketAddr::from((number.to_be_bytes(), 1));
        a.learn(at(0), place(2), begin(&b.salt));
        let packet = a.seal(at(0), place(2), vec![0; 10]).unwrap();
        assert!(!matches!(b.open(at(u64::from(number)), from, &packet), Opened::Again(_)));
        let _ = b.seal(at(0), from, vec![0; 10]);
    }
    assert!(b.senders.len() <= SENDERS_MAX && b.places.len() <= SENDERS_MAX && b.recent.len() <= RECENT_MAX);
}

proptest! {
    /// Whatever comes, nothing is let in but what a holder of the key has sealed for this life, once.
    #[test]
    fn hostile_packets_are_not_let_in(
        packets in vec(vec(any::<u8>(), 0..200), 0..20),
        changes in vec((any::<usize>(), any::<u8>()), 1..20),
        cut in any::<usize>(),
    ) {
        let (mut a, mut b) = (guard(&[1], 1), guard(&[1], 2));
        send(at(0), &mut a, &mut b, b"x");
        for packet in &packets {
            assert_eq!(b.open(at(1), place(1), packet), Opened::Refused);
        }
        let packet = a.seal(at(1), place(2), b"words".to_vec()).unwrap();
        let mut changed = packet.clone();
        for (index, byte) in changes {
            let index = index % changed.len();
            changed[index] ^= byte;
        }
        if changed != packet {
            assert_eq!(b.open(at(2), place(1), &changed), Opened::Refused);
        }
        let cut = cut % packet.len();
        assert_eq!(b.open(at(2), place(1), &packet[..cut]), Opened::Refused);
        assert_eq!(b.open(at(2), place(1), &packet), Opened::Words(b"words".to_vec()));
    }
}
