//! Small sites with a perfect network: who joins, goes, dies, comes back, loses its collector; and what is refused.

use std::time::Duration;

use super::super::message::{Body, Head, Told, begin};
use super::super::{Kind, PeerId, Reach, Record, State, Verdict, What, Why};
use super::{Effect, Input, Nodes, Plain, Settings, Site, address, member};
use crate::time::KTime;

/// What each node has told since the last time, without what it only noticed.
fn told(nodes: &mut Nodes) -> Vec<(usize, Verdict)> {
    let taken = std::mem::take(&mut nodes.effects);
    let told = taken.into_iter().filter_map(|(place, effect)| match effect {
        Effect::Verdict(verdict) => Some((place, *verdict)),
        _ => None,
    });
    told.collect()
}

fn state(nodes: &Nodes, by: usize, of: usize) -> State {
    let site = nodes.sites[by].as_ref().unwrap();
    site.members().find(|view| view.member.addr == address(of)).unwrap().state
}

/// A site of six, of which one ends so; what the others then tell, with the dead one's site.
fn ended(answers: bool, secs: u64) -> (Nodes, Option<Site>, Vec<(usize, Verdict)>) {
    let mut nodes = Nodes::new(6);
    nodes.run(20);
    assert_eq!(told(&mut nodes), []);
    let dead = nodes.sites[5].take();
    nodes.answers[5] = answers;
    nodes.run(secs);
    let told = told(&mut nodes);
    (nodes, dead, told)
}

#[test]
fn those_who_join_know_everyone_soon() {
    let mut nodes = Nodes::new(12);
    nodes.run(10);
    for place in 0..12 {
        let site = nodes.sites[place].as_ref().unwrap();
        assert_eq!((place, site.members().count(), site.health().living), (place, 12, 12));
        assert!(site.members().next().unwrap().myself);
    }
}

#[test]
fn a_silent_member_is_called_what_it_is_by_all_under_one_name() {
    let check = |answers: bool, expected: What| {
        let (nodes, _, told) = ended(answers, 20);
        let by: Vec<usize> = told.iter().map(|(place, _)| *place).collect();
        let mut all = by.clone();
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3, 4], "{expected:?}");
        let first = &told[0].1;
        for (place, verdict) in &told {
            assert_eq!((verdict.kind, verdict.what, verdict.incident), (Kind::Down, expected, first.incident));
            assert!(verdict.witnesses.iter().any(|witness| witness.zone == verdict.peer.zone), "{verdict:?}");
            assert!(verdict.witnesses.len() >= 4, "{verdict:?}");
            let said = verdict.witnesses.iter().any(|witness| witness.name == format!("host-{}", place + 1));
            assert_eq!(verdict.mine, said);
            assert_eq!(state(&nodes, *place, 5), State::Down);
        }
    };
    check(false, What::HostDown);
    check(true, What::AgentDown);
}

/// A site of six whose last one is gone, and one with its name, its address and another key.
fn installed_anew(mut nodes: Nodes) -> Vec<(usize, Verdict)> {
    let mut anew = member(6);
    anew.public_key = [66; 32];
    anew.boot = [66; 16];
    nodes.answers[5] = true;
    nodes.sites[5] = Some(Site::new(anew, Settings::default(), 66, nodes.now, Box::new(Plain([66; 32]))));
    nodes.put(5, Input::Join(&[address(0)]));
    nodes.run(30);
    for place in 0..6 {
        let named: Vec<_> =
            nodes.sites[place].as_ref().unwrap().members().filter(|view| view.member.name == "host-6").collect();
        assert_eq!(named.len(), 1);
        assert_eq!((named[0].member.public_key, named[0].state), ([66; 32], State::Alive), "by {place}");
    }
    told(&mut nodes)
}

#[test]
fn a_host_that_was_installed_anew_has_its_name_again() {
    let (nodes, _, down) = ended(false, 20);
    let over = installed_anew(nodes);
    let by: Vec<usize> = over.iter().map(|(place, _)| *place).collect();
    assert_eq!(by.len(), 5, "{over:?}");
    for (_, verdict) in &over {
        assert_eq!((verdict.kind, verdict.incident), (Kind::Recovered, down[0].1.incident));
    }
    // One that said that it goes leaves no outage to end.
    let mut nodes = Nodes::new(6);
    nodes.run(20);
    nodes.put(5, Input::Leaving(Why::Stop));
    nodes.sites[5] = None;
    nodes.run(20);
    assert_eq!(installed_anew(nodes), []);
    // Nor is one that is there pushed away.
    let mut nodes = Nodes::new(6);
    nodes.run(20);
    let mut other = member(7);
    other.name = "host-6".into();
    nodes.sites.push(Some(Site::new(other, Settings::default(), 7, nodes.now, Box::new(Plain([7; 32])))));
    nodes.answers.push(true);
    nodes.put(6, Input::Join(&[address(0)]));
    nodes.run(30);
    let site = nodes.sites[0].as_ref().unwrap();
    let named: Vec<_> = site.members().filter(|view| view.member.name == "host-6").collect();
    assert_eq!((named.len(), named[0].member.public_key), (1, [6; 32]));
}

/// The last of the six is silent again: that is another outage.
#[track_caller]
fn assert_next_has_another_name(mut nodes: Nodes, before: &Verdict) {
    nodes.sites[5] = None;
    nodes.answers[5] = false;
    nodes.run(20);
    let again = told(&mut nodes);
    assert_eq!(again.len(), 5);
    assert_ne!(again[0].1.incident, before.incident);
}

#[test]
fn one_that_lived_through_the_silence_puts_the_verdict_right() {
    let (mut nodes, dead, down) = ended(false, 20);
    let silent_since = nodes.now.before(Duration::from_secs(25));
    nodes.sites[5] = dead;
    nodes.answers[5] = true;
    nodes.run(20);
    let right = told(&mut nodes);
    assert_eq!(right.len(), 5, "{right:?}");
    for (_, verdict) in &right {
        assert_eq!(
            (verdict.kind, verdict.what, verdict.was),
            (Kind::Reclassified, What::PathDown, Some(What::HostDown))
        );
        assert_eq!(verdict.incident, down[0].1.incident);
        assert!(verdict.since > silent_since && verdict.until.is_some_and(|until| until > verdict.since));
    }
    let life = nodes.sites[5].as_ref().unwrap().members().next().unwrap().member.life;
    assert_eq!(life, 1);
    assert_next_has_another_name(nodes, &down[0].1);
}

/// One that was cut off hears that it is missed before it hears that it was called down. What those say to its first
/// words arrives, or is lost.
#[track_caller]
fn check_life_after_refutation(lost: bool) {
    let (mut nodes, dead, down) = ended(false, 20);
    nodes.sites[5] = dead;
    nodes.answers[5] = true;
    let (accuser, subject) = (PeerId::of(&[1; 32]), PeerId::of(&[6; 32]));
    let incarnation = nodes.sites[5].as_ref().unwrap().members().next().unwrap().member.incarnation;
    let mut message = begin(&nodes.sites[0].as_ref().unwrap().head(false), &Body::News);
    Told::Suspect { subject, incarnation, accuser, age_ms: 0 }.add(&mut message, 1_400);
    let mut said = Vec::new();
    let input = Input::Packet { from: address(0), bytes: &message, reliable: false };
    nodes.sites[5].as_mut().unwrap().step(nodes.now, input, &mut said);
    let words = said.into_iter().find_map(|effect| match effect {
        Effect::Send { bytes, .. } => Some(bytes),
        _ => None,
    });
    let words = words.unwrap();
    let back = nodes.sites[5].take_if(|_| lost);
    for place in 0..5 {
        nodes.put(place, Input::Packet { from: address(5), bytes: &words, reliable: false });
    }
    nodes.sites[5] = nodes.sites[5].take().or(back);
    assert_eq!(told(&mut nodes).len(), 5, "all put the verdict right");
    nodes.run(20);
    for place in 0..6 {
        let site = nodes.sites[place].as_ref().unwrap();
        let life = site.members().find(|view| view.member.addr == address(5)).unwrap().member.life;
        assert_eq!(life, 1, "lost: {lost}, as {place} knows it");
    }
    assert_next_has_another_name(nodes, &down[0].1);
}

#[test]
fn whoever_refuted_first_begins_another_life_all_the_same() {
    check_life_after_refutation(false);
    check_life_after_refutation(true);
}

#[test]
fn one_that_comes_back_from_another_boot_has_recovered() {
    let (mut nodes, _, down) = ended(false, 20);
    let again = super::Member { boot: [77; 16], incarnation: 900, ..member(6) };
    let site = Site::new(again, Settings::default(), 9, nodes.now, Box::new(Plain([6; 32])));
    nodes.sites[5] = Some(site);
    nodes.put(5, Input::Join(&[address(0)]));
    nodes.run(10);
    let back = told(&mut nodes);
    assert_eq!(back.len(), 5, "{back:?}");
    for (_, verdict) in back {
        assert_eq!((verdict.kind, verdict.what), (Kind::Recovered, What::HostDown));
        assert_eq!(verdict.incident, down[0].1.incident);
    }
}

#[test]
fn a_run_whose_number_is_too_low_learns_it() {
    let mut nodes = Nodes::new(4);
    nodes.run(10);
    let again = super::Member { incarnation: 0, ..member(4) };
    nodes.sites[3] = Some(Site::new(again, Settings::default(), 9, nodes.now, Box::new(Plain([4; 32]))));
    nodes.put(3, Input::Join(&[address(0)]));
    nodes.run(10);
    for place in 0..4 {
        assert_eq!(state(&nodes, place, 3), State::Alive);
        let site = nodes.sites[place].as_ref().unwrap();
        assert!(site.members().find(|view| view.member.addr == address(3)).unwrap().member.incarnation > 5);
    }
}

#[test]
fn last_words_are_no_outage() {
    for why in [Why::Stop, Why::Reboot] {
        let mut nodes = Nodes::new(5);
        nodes.run(10);
        nodes.put(4, Input::Leaving(why));
        nodes.sites[4] = None;
        nodes.answers[4] = false;
        nodes.run(60);
        assert_eq!(told(&mut nodes), []);
        assert_eq!(state(&nodes, 0, 4), State::Left(why));
        // A reboot that takes for ever is one.
        nodes.run(300);
        let late = told(&mut nodes);
        assert_eq!(late.len(), if why == Why::Reboot { 4 } else { 0 }, "{late:?}");
        assert!(late.iter().all(|(_, verdict)| verdict.what == What::HostDown));
    }
}

#[test]
fn a_node_without_its_quorum_blames_itself() {
    let mut nodes = Nodes::new(5);
    nodes.run(10);
    let others: Vec<_> = (2..5).map(|place| nodes.sites[place].take()).collect();
    (2..5).for_each(|place| nodes.answers[place] = false);
    nodes.run(60);
    let alone = told(&mut nodes);
    assert_eq!(alone.len(), 2, "{alone:?}");
    for (place, verdict) in alone {
        assert_eq!((verdict.kind, verdict.what, verdict.peer.addr), (Kind::Down, What::PathDown, address(place)));
        assert!(nodes.sites[place].as_ref().unwrap().health().isolated);
    }
    for (place, site) in (2..5).zip(others) {
        nodes.sites[place] = site;
        nodes.answers[place] = true;
    }
    nodes.run(30);
    let back = told(&mut nodes);
    let own = back.iter().filter(|(place, verdict)| verdict.peer.addr == address(*place));
    assert_eq!(own.filter(|(_, verdict)| verdict.kind == Kind::Recovered).count(), 2, "{back:?}");
    assert!(back.iter().all(|(_, verdict)| verdict.what != What::HostDown));
    for place in 0..5 {
        assert!((0..5).all(|of| state(&nodes, place, of) == State::Alive), "{place}");
    }
}

#[test]
fn those_with_a_path_vouch_for_one_without() {
    let mut nodes = Nodes::new(5);
    nodes.run(5);
    (0..5).for_each(|place| nodes.put(place, Input::Collector(Reach::Reached)));
    nodes.run(5);
    nodes.effects.clear();
    nodes.put(4, Input::Collector(Reach::Lost));
    nodes.run(35);
    let vouched = nodes.effects.iter().filter_map(|(place, effect)| match effect {
        Effect::Vouch { words, .. } => Some((*place, words.clone())),
        _ => None,
    });
    let vouched: Vec<_> = vouched.collect();
    assert!(vouched.len() >= 6, "{vouched:?}");
    for (place, words) in &vouched {
        assert_ne!(*place, 4);
        assert_eq!((&*words.name, words.boot, words.reach, words.losses), ("host-5", [5; 16], Reach::Lost, 1));
    }
    let down = told(&mut nodes);
    assert!(!down.is_empty() && down.len() <= 4, "{down:?}");
    assert!(down.iter().all(|(_, verdict)| verdict.what == What::PathDown && verdict.mine));
    assert!(down.iter().all(|(_, verdict)| verdict.incident == down[0].1.incident));
    nodes.put(4, Input::Collector(Reach::Reached));
    let up = told(&mut nodes);
    assert!(!up.is_empty() && up.iter().all(|(_, verdict)| verdict.kind == Kind::Recovered), "{up:?}");
}

#[test]
fn what_is_forged_taken_or_too_much_is_refused() {
    let site = || Site::new(member(1), Settings::default(), 1, KTime::from_secs(1), Box::new(Plain([1; 32])));
    let head = Head { sender: member(2).id(), incarnation: 5, digest: 0, reach: Reach::Unknown, introduce: false };
    let send = |site: &mut Site, record: &Record| {
        let mut message = begin(&head, &Body::News);
        assert!(Told::Record(record).add(&mut message, 1200));
        let mut effects = Vec::new();
        site.step(
            KTime::from_secs(2),
            Input::Packet { from: address(1), bytes: &message, reliable: false },
            &mut effects,
        );
    };
    let mut forged = site();
    send(&mut forged, &Record::signed(member(2), &Plain([3; 32])));
    assert_eq!((forged.members().count(), forged.health().refused.forged), (1, 1));

    let mut taken = site();
    send(&mut taken, &Record::signed(member(2), &Plain([2; 32])));
    let same_name = super::Member { name: "host-2".into(), ..member(3) };
    send(&mut taken, &Record::signed(same_name, &Plain([3; 32])));
    assert_eq!((taken.members().count(), taken.health().refused.name_taken), (2, 1));

    let mut flooded = site();
    for _ in 0..1_000 {
        send(&mut flooded, &Record::signed(member(2), &Plain([2; 32])));
    }
    let refused = flooded.health().refused.flood;
    assert!((600..1_000).contains(&refused), "{refused}");
}

#[test]
fn a_site_has_a_largest_size() {
    let mut site = Site::new(member(1), Settings::default(), 1, KTime::from_secs(1), Box::new(Plain([1; 32])));
    let records: Vec<_> = (0..super::super::MEMBERS_MAX)
        .map(|number| {
            let mut key = [9; 32];
            key[..8].copy_from_slice(&number.to_be_bytes());
            let other = super::Member { public_key: key, name: format!("n{number}"), ..member(2) };
            std::sync::Arc::new(Record::signed(other, &Plain(key)))
        })
        .collect();
    site.recall(KTime::from_secs(1), &records);
    assert_eq!((site.members().count(), site.health().refused.full), (super::super::MEMBERS_MAX, 1));
}

#[test]
fn other_labels_travel() {
    let mut nodes = Nodes::new(3);
    nodes.run(5);
    let labels = vec![("role".to_owned(), "db".to_owned())];
    nodes.put(2, Input::Relabel { zone: "zone-9".into(), labels: labels.clone() });
    nodes.run(5);
    let site = nodes.sites[0].as_ref().unwrap();
    let seen = site.members().find(|view| view.member.addr == address(2)).unwrap();
    assert_eq!((&*seen.member.zone, &seen.member.labels), ("zone-9", &labels));
}

#[test]
fn what_a_member_says_of_itself_is_cut_to_fit() {
    let long = "ü".repeat(50);
    let labels = (0..40).map(|number| (format!("label-{number}"), "v".repeat(40))).collect();
    let wide = super::Member { zone: long, labels, ..member(1) };
    assert!(wide.check().is_err());
    let site = Site::new(wide, Settings::default(), 1, KTime::from_secs(1), Box::new(Plain([1; 32])));
    let me = site.members().next().unwrap().member.clone();
    assert_eq!((me.check(), me.zone.len()), (Ok(()), 64));
    assert!(!me.labels.is_empty());
}
