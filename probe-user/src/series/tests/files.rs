//! Files that are damaged, torn, another's, too many, or on a disk that is full.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use proptest::prelude::*;

use super::super::figure::Figure;
use super::super::fold::Totals;
use super::super::play::Interval;
use super::super::recorder::{Block, Chunk, Reading, Recorder};
use super::super::shelf::Shelf;
use super::model::{Deed, World, deeds};
use crate::spool::disk::Disk;
use crate::spool::ram::Ram;

/// All files of a disk.
fn files(disk: &impl Disk) -> Vec<(String, u64)> {
    let mut files = disk.list().unwrap();
    files.sort();
    files
}

fn into_disk(world: &mut World) -> Ram {
    let empty = Shelf::open(Ram::default(), 64 << 20, &mut Vec::new()).unwrap();
    std::mem::replace(&mut world.shelf, empty).into_disk()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_changed_byte_costs_some_points_and_makes_none(
        deeds in deeds(80, false),
        file in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        flip in 1..=255_u8,
    ) {
        let mut world = World::new();
        for deed in deeds.into_iter().chain([Deed::Wait(60)]) {
            world.act(deed);
        }
        let mut disk = into_disk(&mut world);
        let files = files(&disk);
        let (name, length) = &files[file.index(files.len())];
        let at = at.index(usize::try_from(*length).unwrap()) as u64;
        let byte = disk.read(name, at, 1).unwrap()[0] ^ flip;
        disk.write(name, at, &[byte]).unwrap();
        world.reopen(disk);
        world.check_nothing_is_wrong(1_800);
    }

    #[test]
    fn a_file_that_was_not_written_to_its_end_is_cut(
        deeds in deeds(80, false),
        at in any::<prop::sample::Index>(),
        junk in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut world = World::new();
        for deed in deeds.into_iter().chain([Deed::Wait(60)]) {
            world.act(deed);
        }
        let mut disk = into_disk(&mut world);
        let (name, length) = files(&disk).into_iter().rfind(|(name, _)| name.starts_with('s')).unwrap();
        let length = at.index(usize::try_from(length).unwrap()) as u64;
        disk.cut(&name, length).unwrap();
        disk.write(&name, length, &junk).unwrap();
        world.reopen(disk);
        world.check_nothing_is_wrong(1_800);
        world.act(Deed::Wait(3));
        world.act(Deed::Note { group: 0, figure: 0, value: 3 });
        world.act(Deed::Wait(60));
        world.check_nothing_is_wrong(1_800);
    }
}

#[test]
fn a_file_of_another_version_is_set_aside_one_at_a_time() {
    let mut disk = Ram::default();
    for name in ["s-000000000001", "m-000000000002", "s-000000000003"] {
        disk.create(name).unwrap();
        disk.write(name, 0, b"PPmeass\x02 something else").unwrap();
    }
    disk.create("notes.txt").unwrap();
    let mut notes = Vec::new();
    let shelf = Shelf::open(disk, 64 << 20, &mut notes).unwrap();
    assert_eq!(notes.len(), 3, "{notes:?}");
    assert!(notes[0].contains("s-000000000001") && notes[0].contains("no file of this version"), "{notes:?}");
    let names: Vec<String> = files(&shelf.into_disk()).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["notes.txt", "s-000000000003.damaged"]);
}

/// A minute of many series that all move each second.
fn busy(recorder: &mut Recorder, now: &mut i64, groups: usize, seed: &mut u64) -> Vec<Block> {
    let mut blocks = Vec::new();
    for _ in 0..60 {
        *now += 1;
        let _ = recorder.look(*now);
        for group in 0..groups {
            let mut readings = [Reading::Unmeasured; Figure::COUNT];
            for reading in readings.iter_mut().take(4) {
                *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                *reading = Reading::Value(f64::from(u16::try_from(*seed >> 52).unwrap()));
            }
            recorder.note(group, &Arc::from(format!("group-{group}")), &readings);
        }
        if recorder.is_due() {
            blocks.extend(recorder.cut(false));
        }
    }
    blocks
}

#[test]
fn files_stay_within_their_limit_and_it_is_told_that_they_are_short() {
    const MAX: u64 = 4 << 20;
    let mut shelf = Shelf::open(Ram::default(), MAX, &mut Vec::new()).unwrap();
    let (mut recorder, mut now, mut seed) = (Recorder::default(), 1_764_000_000, 7);
    for _ in 0..40 {
        for mut block in busy(&mut recorder, &mut now, 300, &mut seed) {
            if shelf.is_full() {
                // What the recorder would do one block later.
                block.fresh = true;
                block.names = (0..300).map(|group| (group, format!("group-{group}").into())).collect();
            }
            shelf.put(&block).unwrap();
            assert!(shelf.bytes() <= MAX, "{}", shelf.bytes());
        }
    }
    assert!(shelf.short);
    let [seconds, minutes] = shelf.reach(now);
    assert!(now - seconds.unwrap() < 3_000, "{}", now - seconds.unwrap());
    assert!(minutes.unwrap() < seconds.unwrap());
    let span = Interval { from: now - 86_400, to: now + 1 };
    let mut totals = Totals::new(span);
    shelf.play(span, &mut totals).unwrap();
    let groups = totals.groups();
    assert_eq!(groups.len(), 300);
    for group in &groups {
        assert_eq!(group.measures.len(), 4, "{group:?}");
        assert!(
            group.measures.iter().all(|sum| sum.lowest <= sum.mean && sum.mean <= sum.highest && sum.seconds > 600.0)
        );
    }
}

#[test]
fn a_recorder_full_of_groups_says_how_many_it_leaves_out() {
    let mut recorder = Recorder::default();
    let _ = recorder.look(1_764_000_000);
    let readings = [Reading::Value(1.0); Figure::COUNT];
    for group in 0..800 {
        recorder.note(group, &Arc::from(format!("g{group}")), &readings);
    }
    assert_eq!(recorder.groups(), (744, 56));
}

/// Refuses to write while it is full.
#[derive(Debug, Default)]
struct Filling {
    ram: Ram,
    full: Rc<Cell<bool>>,
}

impl Filling {
    fn room(&self) -> io::Result<()> {
        if self.full.get() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl Disk for Filling {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        self.ram.list()
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        self.ram.create(name)
    }

    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.room() {
            // Half of it is there.
            self.ram.write(name, offset, bytes.get(..bytes.len() / 2).unwrap_or_default())?;
            return Err(error);
        }
        self.ram.write(name, offset, bytes)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.ram.sync(name)
    }

    fn sync_names(&mut self) -> io::Result<()> {
        self.ram.sync_names()
    }

    fn cut(&mut self, name: &str, length: u64) -> io::Result<()> {
        self.ram.cut(name, length)
    }

    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        self.ram.read(name, offset, length)
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.ram.rename(from, to)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.ram.remove(name)
    }
}

#[test]
fn a_full_disk_costs_what_came_meanwhile() {
    let disk = Filling::default();
    let full = Rc::clone(&disk.full);
    let mut shelf = Shelf::open(disk, 64 << 20, &mut Vec::new()).unwrap();
    let block = |from: i64, fresh: bool| {
        let mut run = Vec::new();
        super::super::run::Pen::default().write(0, super::super::run::What::Flat(5), &mut run);
        let mut chunks = Vec::new();
        Chunk::add(&mut chunks, 0, &run);
        Block { from, to: from + 60, fresh, names: vec![(0, "web".into())], chunks }
    };
    shelf.put(&block(60, true)).unwrap();
    full.set(true);
    assert!(shelf.put(&block(120, false)).is_err());
    assert!(shelf.is_full(), "the next one has to begin a file");
    assert!(shelf.put(&block(180, true)).is_err());
    full.set(false);
    assert!(shelf.put(&block(240, false)).is_err(), "it rests on what was not written");
    shelf.put(&block(300, true)).unwrap();
    shelf.put(&block(360, false)).unwrap();
    for _ in 0..2 {
        let span = Interval { from: 0, to: 1_000 };
        let mut totals = Totals::new(span);
        shelf.play(span, &mut totals).unwrap();
        assert_eq!(totals.groups()[0].measures[0].seconds.to_bits(), 180_f64.to_bits());
        // A restart finds the same.
        let mut notes = Vec::new();
        shelf = Shelf::open(shelf.into_disk(), 64 << 20, &mut notes).unwrap();
        assert_eq!(notes, Vec::<String>::new());
    }
}
