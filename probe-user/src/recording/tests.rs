//! Entries and files come back as they were written; whatever else is in a file is an error or a torn end, never a
//! panic and never something that was not written.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::entry::Entry;
use super::facts::{Ended, Facts, RecordedLog, Tail, Written};
use super::frame::{Kind, Packer, RAW_MAX};
use super::reader::Reader;
use super::writer::Writer;
use super::{MAGIC, ReadError};
use crate::record::{
    DiskSize, HostCpu, HostDisk, HostInterface, HostMemory, HostPressure, HostSample, LogLine, LogLines, Loss, Lost,
    MountKind, PeerStanding, PeerView, ProcessKey, Reread, UsageRow,
};
use crate::time::{ClockReading, KTime, Wall};
use probe_common::maps::LossReason;

fn facts() -> Facts {
    Facts {
        procprobe: "0.1.0".into(),
        kernel: "6.18".into(),
        host_name: "web-1".into(),
        host_id: "0".repeat(32),
        boot_id: "b".into(),
        labels: BTreeMap::from([("role".to_owned(), "web".to_owned())]),
        cpus: 2,
        memory_bytes: 1 << 30,
        page_bytes: 4096,
        users: BTreeMap::from([(0, "root".to_owned())]),
        sample_interval_ms: 1000,
        args: true,
        began_mono_ns: 5,
        began_boot_ns: 6,
        began_wall_ns: 7,
        logs: vec![RecordedLog { name: "errors".into(), paths: vec!["/var/log/*.log".into()] }],
        peers: true,
    }
}

fn keys() -> impl Strategy<Value = ProcessKey> {
    (any::<u32>(), any::<u64>()).prop_map(|(tgid, start)| ProcessKey { tgid, start: KTime(start) })
}

fn rows() -> impl Strategy<Value = Vec<UsageRow>> {
    let row = (keys(), any::<u32>(), any::<[u64; 5]>()).prop_map(|(key, threads, [cpu, wait, read, write, rss])| {
        UsageRow { key, threads, cpu_ns: cpu, wait_ns: wait, read_bytes: read, write_bytes: write, rss_bytes: rss }
    });
    prop::collection::vec(row, 0..20)
}

fn lost() -> impl Strategy<Value = Lost> {
    let kernel = LossReason::ALL.map(Lost::Kernel);
    prop::sample::select([kernel.as_slice(), &[Lost::Recursion, Lost::Undecodable]].concat())
}

fn disks() -> impl Strategy<Value = Vec<HostDisk>> {
    let kind = prop::sample::select(vec![MountKind::Own, MountKind::Again, MountKind::Pseudo]);
    let disk = (any::<String>(), kind, any::<Option<[u64; 5]>>()).prop_map(|(path, kind, size)| HostDisk {
        path: path.into(),
        kind,
        size: size.map(|[bytes, bytes_used, bytes_free, inodes, inodes_free]| DiskSize {
            bytes,
            bytes_used,
            bytes_free,
            inodes,
            inodes_free,
        }),
    });
    prop::collection::vec(disk, 0..3)
}

fn interfaces() -> impl Strategy<Value = Vec<HostInterface>> {
    let interface = any::<(String, u64, u64)>();
    let interface = interface.prop_map(|(name, received, sent)| HostInterface { name: name.into(), received, sent });
    prop::collection::vec(interface, 0..3)
}

fn host() -> impl Strategy<Value = HostSample> {
    let times = any::<(u64, Option<u64>)>();
    let cpu = any::<Option<[u64; 2]>>();
    let memory = any::<Option<[u64; 4]>>();
    let load = prop::option::of(0.0..1e6);
    let mounted = (prop::option::of(disks()), prop::option::of(interfaces()));
    (times, cpu, load, memory, mounted, any::<[Option<u64>; 3]>()).prop_map(
        |((at, until), cpu, load, memory, (disks, interfaces), [cpu_us, memory_us, io_us])| HostSample {
            at: KTime(at),
            until: until.map(KTime),
            cpu: cpu.map(|[idle_ns, total_ns]| HostCpu { idle_ns, total_ns }),
            load,
            memory: memory.map(|[total, available, swap_total, swap_free]| HostMemory {
                total,
                available,
                swap_total,
                swap_free,
            }),
            disks,
            interfaces,
            pressure: HostPressure { cpu_us, memory_us, io_us },
        },
    )
}

fn lines() -> impl Strategy<Value = LogLines> {
    let first = prop::collection::vec(any::<(String, String)>(), 0..4);
    (any::<String>(), any::<String>(), any::<u64>(), first).prop_map(|(log, path, count, first)| LogLines {
        log: log.into(),
        path: path.into(),
        count,
        first: first
            .into_iter()
            .map(|(keyword, text)| LogLine { keyword: keyword.into(), text: text.into() })
            .collect(),
    })
}

fn peers() -> impl Strategy<Value = Vec<PeerView>> {
    let labels = prop::collection::vec(any::<(String, String)>(), 0..3);
    let standing = prop::sample::select(PeerStanding::ALL.to_vec());
    let peer = (any::<(String, String)>(), labels, standing, any::<Option<u64>>()).prop_map(
        |((name, zone), labels, standing, since)| PeerView {
            name: name.into(),
            zone: zone.into(),
            labels: labels.into_iter().map(|(key, value)| (key.into(), value.into())).collect(),
            standing,
            since: since.map(KTime),
        },
    );
    prop::collection::vec(peer, 0..4)
}

/// An entry of any kind; its bytes are leaked, which a test may.
fn entries() -> impl Strategy<Value = Entry<'static>> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..300).prop_map(|bytes| &*bytes.leak());
    let args = prop::collection::vec((keys(), any::<String>().prop_map(Box::from)), 0..4);
    prop_oneof![
        bytes().prop_map(Entry::Records),
        (any::<u64>(), bytes(), args).prop_map(|(began, rows, args)| Entry::Scan { began: KTime(began), rows, args }),
        rows().prop_map(Entry::Sample),
        (lost(), any::<u64>()).prop_map(|(reason, count)| Entry::Lost(Loss { reason, count })),
        (keys(), any::<String>(), any::<Option<u32>>())
            .prop_map(|(key, args, uid)| Entry::Reread { key, found: Reread { args: args.into(), uid } }),
        lines().prop_map(Entry::Lines),
        host().prop_map(Entry::Host),
        peers().prop_map(Entry::Peers),
        any::<(u64, u64, i64)>().prop_map(|(mono, boot_ns, wall)| Entry::Clock(ClockReading {
            mono: KTime(mono),
            boot_ns,
            wall: Wall(wall)
        })),
    ]
}

type Timed = (KTime, Entry<'static>);

fn timed() -> impl Strategy<Value = Vec<Timed>> {
    prop::collection::vec((any::<u64>().prop_map(KTime), entries()), 0..30)
}

/// A file with these entries; a frame ends after each that is marked.
fn file(entries: &[(Timed, bool)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, &facts(), u64::MAX).unwrap();
    for ((now, entry), ends) in entries {
        writer.put(*now, entry).unwrap();
        if *ends {
            writer.flush().unwrap();
        }
    }
    writer.finish(KTime(99), Ended::Stopped).unwrap();
    bytes
}

/// Entries with their times.
type Found = Vec<(KTime, String)>;

/// Everything that a file holds, until its end or the first error.
fn read(bytes: &[u8]) -> (Found, Result<(bool, bool), ReadError>) {
    let mut found = Vec::new();
    let mut reader = match Reader::open(bytes) {
        Ok(reader) => reader,
        Err(error) => return (found, Err(error)),
    };
    loop {
        let mut frame = Vec::new();
        match reader.take_frame(&mut frame) {
            Ok(Some(_)) => {
                let mut rest = &frame[..];
                while !rest.is_empty() {
                    let (now, entry, behind) = Entry::read(rest).expect("a frame whose checksum is right");
                    found.push((now, format!("{entry:?}")));
                    rest = behind;
                }
            }
            Ok(None) => return (found, Ok((reader.tail().is_some(), reader.torn().is_some()))),
            Err(error) => return (found, Err(error)),
        }
    }
}

fn shown(entries: &[(Timed, bool)]) -> Vec<(KTime, String)> {
    entries.iter().map(|((now, entry), _)| (*now, format!("{entry:?}"))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn entries_come_back(entries in timed()) {
        let mut bytes = Vec::new();
        for (now, entry) in &entries {
            entry.write(*now, &mut bytes);
        }
        let mut rest = &bytes[..];
        for (now, entry) in &entries {
            let (read_now, read, behind) = Entry::read(rest).unwrap();
            prop_assert_eq!((read_now, &read), (*now, entry));
            rest = behind;
        }
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn no_bytes_make_an_entry_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), tag in 0_u8..10) {
        let mut whole = vec![tag];
        whole.extend(u32::try_from(bytes.len() + 5).unwrap().to_le_bytes());
        whole.extend(&bytes);
        let _ = Entry::read(&whole);
        let _ = Entry::read(&bytes);
    }

    #[test]
    fn a_file_comes_back_and_a_cut_one_is_a_prefix(
        entries in prop::collection::vec(((any::<u64>().prop_map(KTime), entries()), any::<bool>()), 0..20),
        cut in any::<prop::sample::Index>(),
    ) {
        let (whole, expected) = (file(&entries), shown(&entries));
        let (found, ended) = read(&whole);
        prop_assert_eq!(&found, &expected);
        prop_assert_eq!(ended.unwrap(), (true, false));
        let cut = cut.index(whole.len());
        let (found, ended) = read(&whole[..cut]);
        prop_assert!(expected.starts_with(&found));
        // Inside the head it is no recording; behind it the end is missing or torn, and told.
        if let Ok((tail, _)) = ended {
            prop_assert!(!tail);
        }
    }

    #[test]
    fn a_flipped_byte_is_noticed(
        entries in prop::collection::vec(((any::<u64>().prop_map(KTime), entries()), any::<bool>()), 1..20),
        place in any::<prop::sample::Index>(),
        flip in 1_u8..,
    ) {
        let mut bytes = file(&entries);
        let place = place.index(bytes.len());
        bytes[place] ^= flip;
        let expected = shown(&entries);
        let (found, ended) = read(&bytes);
        prop_assert!(expected.starts_with(&found));
        // The reserved byte of the head is nobody's; a damaged tail is a missing one.
        let whole = matches!(ended, Ok((true, false)));
        prop_assert!(!whole || found == expected);
    }
}

#[test]
fn what_is_no_recording_is_refused_by_name() {
    let check = |bytes: &[u8], expected: &str| {
        let error = Reader::open(bytes).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    let good = file(&[]);
    let with = |place: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[place] = byte;
        bytes
    };
    check(b"", "is no recording");
    check(b"procprec", "is no recording");
    check(b"\x7fELF............", "is no recording");
    check(&with(8, 9), "format 9");
    check(&with(10, 3), "byte order");
    check(&with(12, 77), "version 77");
    check(&good[..16], "its head is missing");
    check(&good[..20], "its head is cut off");
    check(&with(16, b'X'), "no frame begins here");
}

#[test]
fn a_frame_that_claims_too_much_is_refused_before_anything_is_set_aside() {
    let mut bytes = file(&[]);
    bytes.truncate(bytes.len() - 1);
    let start = bytes.len();
    let good = Packer::new().unwrap().pack(Kind::Entries, &vec![0; 10_000]).unwrap().to_vec();
    let check = |frame: &[u8], expected: &str| {
        let mut whole = file(&[((KTime(1), Entry::Records(b"x")), true)]);
        // In the place of the tail, and something after it.
        let tail = whole.windows(3).rposition(|window| window == [b'P', b'F', 3]).unwrap();
        whole.truncate(tail);
        whole.extend_from_slice(frame);
        whole.extend_from_slice(b"more");
        let (found, ended) = read(&whole);
        assert_eq!(found.len(), 1);
        let error = ended.unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains(&format!("at byte {tail}")), "{error}");
    };
    assert!(start > 0);
    let mut large = good.clone();
    large[8..12].copy_from_slice(&u32::try_from(RAW_MAX + 1).unwrap().to_le_bytes());
    check(&large, "more than the");
    large[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    check(&large, "more than the");
    // A bomb says less than it holds.
    let mut bomb = good.clone();
    bomb[8..12].copy_from_slice(&100_u32.to_le_bytes());
    check(&bomb, "not what was written");
    let mut short = good.clone();
    short[8..12].copy_from_slice(&20_000_u32.to_le_bytes());
    check(&short, "says 20000 bytes and holds 10000");
    let mut kind = good;
    kind[2] = 9;
    check(&kind, "unknown kind 9");
}

#[test]
fn zeros_behind_the_last_frame_are_a_torn_end() {
    let mut bytes = file(&[((KTime(1), Entry::Records(b"x")), true)]);
    let tail = bytes.windows(3).rposition(|window| window == [b'P', b'F', 3]).unwrap();
    bytes.truncate(tail);
    bytes.extend([0; 9000]);
    let (found, ended) = read(&bytes);
    assert_eq!((found.len(), ended.unwrap()), (1, (false, true)));
}

#[test]
fn a_full_file_stays_below_its_limit_and_says_so() {
    let noise: Vec<u8> = (0..40_000_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let mut bytes = Vec::new();
    let limit = 400_000;
    let mut writer = Writer::new(&mut bytes, &facts(), limit).unwrap();
    for chunk in noise.chunks(40_000).cycle().take(40) {
        writer.put(KTime(3), &Entry::Records(chunk)).unwrap();
        writer.flush().unwrap();
    }
    assert!(writer.is_full());
    writer.finish(KTime(4), Ended::Stopped).unwrap();
    let written = writer.written();
    assert!(bytes.len() as u64 <= limit, "{}", bytes.len());
    let mut reader = Reader::open(&bytes[..]).unwrap();
    let mut frames = 0;
    while reader.take_frame(&mut Vec::new()).unwrap().is_some() {
        frames += 1;
    }
    assert!(frames >= 2);
    assert_eq!(reader.tail(), Some(&Tail { ended: Ended::Full, at_mono_ns: 4, written }));
    assert_eq!(written, Written { raw_bytes: written.raw_bytes, ..Written::default() });
}

#[test]
fn the_head_says_what_a_replay_needs() {
    let bytes = file(&[]);
    assert_eq!(&bytes[..8], MAGIC);
    let reader = Reader::open(&bytes[..]).unwrap();
    assert_eq!(reader.facts(), &facts());
    assert_eq!(&**reader.facts().user_names().0.get(&0).unwrap(), "root");
}

#[test]
fn the_file_is_its_owners_and_never_another_one() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.rec");
    let mut writer = Writer::create(&path, &facts(), u64::MAX).unwrap();
    writer.finish(KTime(1), Ended::Duration).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let again = Writer::create(&path, &facts(), u64::MAX).map(|_| ()).unwrap_err();
    assert_eq!(again.kind(), std::io::ErrorKind::AlreadyExists);
}
