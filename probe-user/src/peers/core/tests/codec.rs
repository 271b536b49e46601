//! Messages: every one comes back as it was, no bytes make a node fall over, and the wire stays what it is.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::super::member::RecordBytes;
use super::super::message::{BUCKETS, Body, Head, Item, Next, Told, begin, item, read};
use super::super::statement::Statement;
use super::super::wire::Reader;
use super::super::{Evidence, Input, PACKET_BYTES, PeerId, RELIABLE_BYTES, Reach, Record, Settings, Site, Why};
use super::{Plain, address, member};
use crate::time::KTime;

fn head() -> Head {
    Head { sender: PeerId([1; 16]), incarnation: 2, digest: 3, reach: Reach::Lost, introduce: true }
}

fn statement() -> Statement {
    let evidence = Evidence { direct: 3, indirect: 2, host: Some(false), silent_ms: 7_000 };
    let mut statement = Statement {
        witness: PeerId([1; 16]),
        subject: PeerId([2; 16]),
        boot: [3; 16],
        incarnation: 4,
        life: 5,
        evidence,
        signature: [0; 64],
    };
    statement.sign(&Plain([1; 32]));
    statement
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[test]
fn every_message_has_the_bytes_that_it_always_had() {
    let body = |body: &Body<'_>| hex(&begin(&head(), body)[2 + 16 + 4 + 8 + 1..]);
    let kind = |body: &Body<'_>| begin(&head(), body)[1];
    let whole = format!("0106{}00000002000000000000000306", "01".repeat(16));
    assert_eq!(hex(&begin(&head(), &Body::News)), whole);
    let target = PeerId([9; 16]);
    let check = |message: Body<'_>, number: u8, expected: &str| {
        assert_eq!((kind(&message), body(&message)), (number, expected.to_owned()), "{message:?}");
    };
    check(Body::Ping { seq: 1 }, 1, "00000001");
    check(Body::Ack { seq: 2 }, 2, "00000002");
    check(Body::PingFor { seq: 3, target }, 3, &format!("00000003{}", "09".repeat(16)));
    check(Body::Heard { seq: 4 }, 4, "00000004");
    check(Body::Nack { seq: 5 }, 5, "00000005");
    check(Body::Compare { buckets: Box::new([1; BUCKETS]) }, 7, &"0000000000000001".repeat(64));
    check(Body::Members { wanted: 6 }, 8, "0000000000000006");
    check(Body::Vouch { words: &[1, 2, 3] }, 9, "0003010203");
    check(Body::Vouched { told: true }, 10, "01");
}

#[test]
fn every_item_has_the_bytes_that_it_always_had() {
    let bytes = |told: Told<'_>| {
        let mut out = Vec::new();
        assert!(told.add(&mut out, PACKET_BYTES));
        hex(&out)
    };
    let (subject, accuser) = (PeerId([1; 16]), PeerId([2; 16]));
    assert_eq!(
        bytes(Told::Suspect { subject, incarnation: 3, accuser, age_ms: 4 }),
        format!("01{}00000003{}0004", "01".repeat(16), "02".repeat(16))
    );
    assert_eq!(
        bytes(Told::Obituary { subject, boot: [2; 16], life: 3 }),
        format!("04{}{}00000003", "01".repeat(16), "02".repeat(16))
    );
    let said = statement();
    assert_eq!(
        bytes(Told::Said(&said)),
        format!(
            "02{}{}{}0000000400000005{}{}",
            "01".repeat(16),
            "02".repeat(16),
            "03".repeat(16),
            "03020100001b58",
            hex(&said.signature)
        )
    );
    let record = Record::signed(member(1), &Plain([1; 32]));
    let member = "01".repeat(32) + "0000000500000000" + &"01".repeat(16);
    let rest = "00".repeat(17) + "0016" + "040a0000011f0a" + "06686f73742d31" + "067a6f6e652d31";
    assert_eq!(
        bytes(Told::Record(&record)),
        format!("0300aa{member}{rest}0104726f6c6503776562{}", hex(&record.signature))
    );
}

fn items() -> impl Strategy<Value = Vec<u8>> {
    let name = prop_oneof![Just("a".to_owned()), "[a-zé]{1,20}"];
    let labels = prop::collection::vec(("[a-z]{0,20}", "[a-z]{0,20}"), 0..8);
    (any::<[u8; 32]>(), any::<u32>(), name, labels, prop::option::of(any::<bool>()), any::<bool>()).prop_map(
        |(key, incarnation, name, labels, leaving, six)| {
            let leaving = leaving.map(|stop| if stop { Why::Stop } else { Why::Reboot });
            let addr = if six { "[fe80::1]:9".parse().unwrap() } else { address(3) };
            let member = super::Member { public_key: key, incarnation, name, labels, leaving, addr, ..member(3) };
            let record = Record::signed(member, &Plain(key));
            let mut out = Vec::new();
            assert!(Told::Record(&record).add(&mut out, PACKET_BYTES));
            assert_eq!(out.len(), 3 + record.written_bytes());
            let Next::Item(Item::Record(bytes)) = item(&mut Reader(&out)) else { panic!("no record") };
            assert!(bytes.is_signed(&Plain([0; 32])));
            assert_eq!(bytes.decode(), Some(record));
            out
        },
    )
}

proptest! {
    #[test]
    fn records_come_back_as_they_were_and_no_part_of_one_is_one(bytes in items(), cut in 0..400_usize) {
        let part = &bytes[..cut.min(bytes.len() - 1)];
        let read = item(&mut Reader(part));
        let whole = matches!(read, Next::Item(Item::Record(_)));
        prop_assert!(!whole);
        prop_assert!(RecordBytes::read(part).and_then(|record| record.decode()).is_none());
    }

    #[test]
    fn statements_come_back_as_they_were(witness: [u8; 16], direct: u8, host: Option<bool>, silent_ms: u32) {
        let mut said = statement();
        said.witness = PeerId(witness);
        said.evidence = Evidence { direct, host, silent_ms, ..said.evidence };
        said.sign(&Plain([1; 32]));
        let mut out = Vec::new();
        said.write(&mut out);
        prop_assert_eq!(Statement::read(&mut Reader(&out)), Some(said.clone()));
        prop_assert!(said.is_signed(&[1; 32], &Plain([5; 32])));
        said.life += 1;
        prop_assert!(!said.is_signed(&[1; 32], &Plain([5; 32])));
    }

    #[test]
    fn bodies_come_back_as_they_were(seq: u32, target: [u8; 16], wanted: u64, told: bool, words: Vec<u8>) {
        for body in [
            Body::Ping { seq },
            Body::Ack { seq },
            Body::PingFor { seq, target: PeerId(target) },
            Body::Heard { seq },
            Body::Nack { seq },
            Body::News,
            Body::Compare { buckets: Box::new([wanted; BUCKETS]) },
            Body::Members { wanted },
            Body::Vouch { words: &words },
            Body::Vouched { told },
        ] {
            let bytes = begin(&head(), &body);
            let mut reader = Reader(&bytes);
            prop_assert_eq!(read(&mut reader), Some((head(), body)));
            prop_assert!(reader.is_empty());
        }
    }

    /// With a head that is right, so that something is read at all.
    #[test]
    fn whatever_comes_a_node_goes_on(
        kind in 0..12_u8,
        bytes in prop::collection::vec(prop_oneof![0..6_u8, any::<u8>()], 0..300),
        from_member: bool,
        reliable: bool,
    ) {
        let mut site = Site::new(member(1), Settings::default(), 1, KTime::from_secs(1), Box::new(Plain([1; 32])));
        let other = Record::signed(member(2), &Plain([2; 32]));
        site.recall(KTime::from_secs(1), &[std::sync::Arc::new(other)]);
        let mut message = vec![1, kind];
        message.extend([if from_member { 2 } else { 3 }; 16]);
        message.extend([0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        message.extend(bytes);
        let mut effects = Vec::new();
        let input = Input::Packet { from: address(1), bytes: &message, reliable };
        site.step(KTime::from_secs(2), input, &mut effects);
        prop_assert!(site.members().count() <= 3);
        for effect in effects {
            if let super::Effect::Send { bytes, reliable, .. } = effect {
                let limit = if reliable { RELIABLE_BYTES } else { PACKET_BYTES };
                prop_assert!(bytes.len() <= limit);
            }
        }
    }

    #[test]
    fn what_is_no_message_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        prop_assume!(read(&mut Reader(&bytes)).is_none());
        let mut site = Site::new(member(1), Settings::default(), 1, KTime::from_secs(1), Box::new(Plain([1; 32])));
        let mut effects = Vec::new();
        site.step(KTime(5), Input::Packet { from: address(1), bytes: &bytes, reliable: false }, &mut effects);
        prop_assert_eq!(site.health().refused.malformed, 1);
        prop_assert!(effects.is_empty());
    }
}
