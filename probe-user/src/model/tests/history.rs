//! Random histories of a host, told to the table as badly as a kernel can, against an oracle that simply knows.
//!
//! The world here makes processes fork, execute, work, exit and be waited for, takes tgids again, and writes a record
//! for each. The records of a stretch are then delivered out of order (no record is later than [`world::WINDOW`]), in part
//! lost (and a scan of the truth follows), or while a scan runs that reads one process after the other. After each
//! stretch the table must hold exactly what lives, with the right programs; a ledger of all changes must balance. Half-way
//! another table is made of what is known, and must answer as the first one does from then on.

mod ledger;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::RngSeed;

use self::ledger::Ledger;
use self::world::{Hardship, Op, Real, WINDOW, World, ticks};
use super::super::{Known, Usage};
use super::*;

/// A scan on its way: what it has read, and how far it has come.
struct Running {
    scan: Scan,
    read_to: u32,
    left: u8,
}

struct Trial {
    world: World,
    table: Table,
    /// Another daemon's: made of what the table knew at some moment, and told the same since.
    other: Option<Table>,
    ledger: Ledger,
    running: Option<Running>,
    losses: Vec<(Index, Index)>,
    /// Something was lost, ever.
    lossy: bool,
    /// For the lateness of records.
    random: u64,
}

impl Trial {
    fn new(hardship: Hardship, seed: u64) -> Self {
        let mut trial = Self {
            world: World::new(hardship),
            table: Table::new(),
            other: None,
            ledger: Ledger::default(),
            running: None,
            losses: Vec::new(),
            lossy: false,
            random: seed | 1,
        };
        trial.scan_at_once();
        trial
    }

    fn lateness(&mut self) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if self.world.hardship.jitter { (self.random >> 33) % WINDOW } else { 0 }
    }

    fn step(&mut self, op: &Op) {
        self.world.act(op);
        match op {
            Op::Idle(ticks) if self.running.is_none() => self.world.clock += u64::from(*ticks),
            Op::Sample if self.running.is_none() => self.sample(),
            Op::Drain if self.running.is_none() => self.drain(),
            Op::Lose(from, to) if self.world.hardship.loss => self.losses.push((*from, *to)),
            Op::Scan(length) if self.world.hardship.scans && self.running.is_none() => {
                self.drain();
                let scan = Scan { began: ticks(self.world.clock), ..Scan::default() };
                self.running = Some(Running { scan, read_to: 0, left: *length });
            }
            _ => {}
        }
        self.scan_on();
    }

    /// The running scan reads some more processes, by their tgids.
    fn scan_on(&mut self) {
        let Some(running) = &mut self.running else { return };
        let mut ahead: Vec<&Real> =
            self.world.processes.iter().filter(|real| real.key.tgid > running.read_to).collect();
        ahead.sort_unstable_by_key(|real| real.key.tgid);
        let share = ahead.len().div_ceil(usize::from(running.left) + 1);
        for real in &ahead[..share] {
            running.scan.rows.push(World::row(real));
            running.read_to = real.key.tgid;
        }
        running.left = running.left.saturating_sub(1);
        if share == ahead.len()
            && let Some(running) = self.running.take()
        {
            self.take_in(&running.scan);
            self.drain();
        }
    }

    fn scan_at_once(&mut self) {
        let rows = self.world.processes.iter().map(World::row).collect();
        self.take_in(&Scan { began: ticks(self.world.clock), rows, args: Vec::new() });
        for real in &mut self.world.processes {
            real.told_parent = real.parent;
        }
    }

    fn take_in(&mut self, scan: &Scan) {
        let mut changes = Vec::new();
        self.table.scan(scan, &mut changes);
        self.ledger.book(&changes, true, &self.world);
        if let Some(other) = &mut self.other {
            other.scan(scan, &mut changes);
        }
    }

    fn sample(&mut self) {
        self.drain();
        let rows: Vec<UsageRow> = self
            .world
            .living()
            .map(|real| UsageRow { read_bytes: 0, write_bytes: 0, wait_ns: 0, ..usage::sample(real.key, real.cpu_ns) })
            .collect();
        let mut changes = Vec::new();
        self.table.sample(ticks(self.world.clock), &rows, &mut changes);
        self.ledger.book(&changes, false, &self.world);
    }

    /// Delivers what was recorded, and compares.
    fn drain(&mut self) {
        let mut records = std::mem::take(&mut self.world.records);
        let lost: Vec<(usize, usize)> =
            self.losses.drain(..).map(|(a, b)| (a.index(records.len() + 1), b.index(records.len() + 1))).collect();
        let rescan = !lost.is_empty();
        self.lossy |= rescan;
        let mut place = 0;
        records.retain(|_| {
            place += 1;
            !lost.iter().any(|(a, b)| (*a.min(b)..*a.max(b)).contains(&(place - 1)))
        });
        let mut delivery: Vec<(KTime, Record)> = records
            .into_iter()
            .map(|record| (record.at.after(ticks(self.lateness()).since(KTime(0))), record))
            .collect();
        delivery.sort_by_key(|(at, _)| *at);
        let mut changes = Vec::new();
        for (_, record) in delivery {
            changes.clear();
            self.table.record(&record, &mut changes);
            self.ledger.book(&changes, false, &self.world);
            if let Some(other) = &mut self.other {
                other.record(&record, &mut changes);
            }
        }
        if rescan {
            self.scan_at_once();
            for real in &mut self.world.processes {
                // An exec that follows closely upon a lost one is taken for it.
                real.executed_at = self.world.clock;
            }
        }
        self.compare();
    }

    /// From here on another table goes on, with what is known of the living and nothing else.
    fn hand_over(&mut self) {
        self.drain();
        let living = self.table.iter().filter(|process| process.exit.is_none());
        let known: Vec<Known> = living.filter_map(|process| self.table.known(process.key)).collect();
        let written = serde_json::to_vec(&known).unwrap();
        let known: Vec<Known> = serde_json::from_slice(&written).unwrap();
        let cgroups: Vec<_> = self.table.cgroups().map(|(id, path)| (id, Arc::clone(path))).collect();
        let mut other = Table::new();
        let seeded = self.table.seeded().unwrap();
        other.restore((seeded, KTime::default()), &cgroups, &known, &mut Vec::new());
        self.other = Some(other);
    }

    /// The other table against this one.
    fn compare_other(&self) {
        let Some(other) = &self.other else { return };
        assert!(other.kin_is_right());
        let living = |table: &Table| -> BTreeMap<ProcessKey, Process> {
            let living = table.iter().filter(|process| process.exit.is_none());
            // Usage is sampled anew, and signals are told again.
            let seen = |process: &Process| Process { usage: Usage::default(), last_signal: None, ..process.clone() };
            living.map(|process| (process.key, seen(process))).collect()
        };
        let (own, other) = (living(&self.table), living(other));
        if self.lossy {
            // What a scan inferred, and whose record may still come, is not handed on.
            let programs = |of: &BTreeMap<ProcessKey, Process>| -> Vec<(ProcessKey, Arc<str>)> {
                of.values().map(|process| (process.key, Arc::clone(&process.program.exe))).collect()
            };
            assert_eq!(programs(&other), programs(&own));
        } else {
            assert_eq!(other, own);
        }
    }

    /// The table against the world, with nothing undelivered.
    fn compare(&self) {
        self.compare_other();
        assert!(self.table.kin_is_right());
        let living: BTreeSet<ProcessKey> = self.world.living().map(|real| real.key).collect();
        let known: BTreeSet<ProcessKey> =
            self.table.iter().filter(|process| process.exit.is_none()).map(|process| process.key).collect();
        assert_eq!(known, living);
        let hardship = self.world.hardship;
        for real in self.world.living() {
            let process = self.table.get(real.key).unwrap();
            assert_eq!(self.table.of_tgid(real.key.tgid).unwrap().key, real.key);
            if !hardship.grace {
                // A forker can be closed before the record of its child comes: then the program is unknown.
                continue;
            }
            assert_eq!(process.program.exe, real.program.exe, "{:?} of {:?}", process.program, real.program);
            if !hardship.scans {
                assert_eq!(process.identity.parent, real.told_parent, "{:?}", real.key);
                let told = self.table.children(real.told_parent.unwrap_or(real.key));
                assert!(real.told_parent.is_none() || told.into_iter().any(|child| child == real.key));
            }
            if !self.lossy && !hardship.scans {
                assert_eq!(process.program, real.program);
                assert_eq!(process.execs, real.execs);
            }
        }
        assert_eq!(self.table.iter().count(), self.table.len());
    }

    /// Everything ends: nothing may be left.
    fn finish(mut self) {
        while self.running.is_some() {
            self.step(&Op::Idle(1));
        }
        self.drain();
        for place in 0..self.world.processes.len() {
            self.world.clock += 1;
            if self.world.processes[place].ended.is_none() {
                self.world.exit(place, 1);
            }
        }
        while !self.world.processes.is_empty() {
            self.world.clock += 1;
            self.world.reap(0);
        }
        self.drain();
        self.world.clock += 10_000;
        let mut changes = Vec::new();
        self.table.expire(ticks(self.world.clock), &mut changes);
        self.ledger.book(&changes, false, &self.world);
        assert_bare(&self.table);
        assert_eq!(self.ledger.appeared, self.ledger.closed);
        assert!(self.table.orphans.is_empty());
        let hardship = self.world.hardship;
        if !hardship.loss && !hardship.jitter {
            for (key, (_, execs)) in self.world.gone.iter().filter(|(key, _)| !self.ledger.noticed.contains(key)) {
                assert_eq!(self.ledger.executed.get(key).copied().unwrap_or_default(), *execs, "{key:?}");
            }
        }
    }
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => any::<Index>().prop_map(Op::Fork),
        5 => (any::<Index>(), any::<u8>()).prop_map(|(index, exe)| Op::Exec(index, exe)),
        4 => (any::<Index>(), 0..3_u8).prop_map(|(index, code)| Op::Exit(index, code)),
        4 => any::<Index>().prop_map(Op::Reap),
        4 => (any::<Index>(), any::<u16>()).prop_map(|(index, cpu_ns)| Op::Work(index, cpu_ns)),
        1 => Just(Op::Sample),
        3 => any::<u8>().prop_map(Op::Idle),
        1 => Just(Op::Drain),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Op::Lose(from, to)),
        1 => (0..12_u8).prop_map(Op::Scan),
    ]
}

fn run(hardship: Hardship, seed: u64, ops: &[Op]) {
    let mut trial = Trial::new(hardship, seed);
    for (place, op) in ops.iter().enumerate() {
        trial.step(op);
        if place == ops.len() / 2 && trial.running.is_none() {
            trial.hand_over();
        }
    }
    trial.finish();
}

const NONE: Hardship = Hardship { jitter: false, grace: true, loss: false, scans: false };

/// The same histories at every run, so that a change is judged by what it changes; `PROPTEST_RNG_SEED` and
/// `PROPTEST_CASES` look for others. Known to be out there, some thousands of histories apart: who was forked while a scan
/// ran by a process that executed another program during that very scan may be taken to run the later of the two, until it
/// executes a program itself or the next scan corrects it.
fn always_the_same() -> ProptestConfig {
    let mut config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(1);
    }
    config
}

proptest! {
    #![proptest_config(always_the_same())]

    #[test]
    fn in_order(ops in prop::collection::vec(op(), 0..150)) {
        run(NONE, 0, &ops);
    }

    #[test]
    fn out_of_order(seed in any::<u64>(), ops in prop::collection::vec(op(), 0..150)) {
        run(Hardship { jitter: true, ..NONE }, seed, &ops);
    }

    #[test]
    fn out_of_order_even_accounts(seed in any::<u64>(), ops in prop::collection::vec(op(), 0..150)) {
        run(Hardship { jitter: true, grace: false, ..NONE }, seed, &ops);
    }

    #[test]
    fn while_scans_run(ops in prop::collection::vec(op(), 0..150)) {
        run(Hardship { scans: true, ..NONE }, 0, &ops);
    }

    #[test]
    fn with_losses(ops in prop::collection::vec(op(), 0..150)) {
        run(Hardship { loss: true, ..NONE }, 0, &ops);
    }

    #[test]
    fn with_everything(seed in any::<u64>(), ops in prop::collection::vec(op(), 0..150)) {
        run(Hardship { jitter: true, grace: true, loss: true, scans: true }, seed, &ops);
    }
}
