//! Random histories of a host, told to the table as badly as a kernel can, against an oracle that simply knows.
//!
//! The world here makes processes fork, execute, work, exit and be waited for, takes tgids again, and writes a record
//! for each. The records of a stretch are then delivered out of order (no record is later than [`WINDOW`]), in part
//! lost (and a scan of the truth follows), or while a scan runs that reads one process after the other. After each
//! stretch the table must hold exactly what lives, with the right programs; a ledger of all changes must balance.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

/// No record is delivered after one that happened so many ticks later. Also the least time between an exit and its
/// account (the kernel's grace period), between two execs of one process, and before a tgid is taken again.
const WINDOW: u64 = 100;

/// The world's clock ticks every 10 ms, so that a window is a second: an exec that a scan saw first is known by its
/// record when that comes within a second.
fn ticks(ticks: u64) -> KTime {
    KTime::from_millis(10 * ticks)
}

#[derive(Clone, Debug)]
enum Op {
    Fork(Index),
    Exec(Index, u8),
    Exit(Index, u8),
    Reap(Index),
    Work(Index, u16),
    Sample,
    Idle(u8),
    /// Everything recorded so far is delivered.
    Drain,
    /// Records from here to there, in shares of those undelivered, are lost.
    Lose(Index, Index),
    /// A scan that runs for so many operations.
    Scan(u8),
}

/// What the world does to its records.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is there or not, independent of the others")]
struct Hardship {
    /// Records are late by up to [`WINDOW`].
    jitter: bool,
    /// Accounts keep their distance from exits, as the kernel's do.
    grace: bool,
    loss: bool,
    scans: bool,
}

/// A process as it really is.
#[derive(Clone, Debug)]
struct Real {
    key: ProcessKey,
    parent: Option<ProcessKey>,
    /// The parent that the daemon was told last.
    told_parent: Option<ProcessKey>,
    program: Arc<Program>,
    execs: u32,
    executed_at: u64,
    cpu_ns: u64,
    ended: Option<(u64, ExitStatus)>,
}

struct World {
    clock: u64,
    processes: Vec<Real>,
    /// What became of those that are gone: CPU time and execs.
    gone: BTreeMap<ProcessKey, (u64, u32)>,
    /// tgids that can be taken again, and from when on.
    free: Vec<(u64, u32)>,
    next_tgid: u32,
    records: Vec<Record>,
    hardship: Hardship,
}

impl World {
    fn new(hardship: Hardship) -> Self {
        let mut world = Self {
            clock: 1000,
            processes: Vec::new(),
            gone: BTreeMap::new(),
            free: Vec::new(),
            next_tgid: 1,
            records: Vec::new(),
            hardship,
        };
        for start in 0..4 {
            let key = ProcessKey { tgid: world.next_tgid, start: KTime(start) };
            let parent = (start > 0).then(|| world.processes[0].key);
            let exe = Program { exe: format!("/bin/{start}").into(), ..Program::default() };
            world.next_tgid += 1;
            world.processes.push(Real {
                key,
                parent,
                told_parent: parent,
                program: Arc::new(exe),
                execs: 0,
                executed_at: 0,
                cpu_ns: 5000,
                ended: None,
            });
        }
        world
    }

    fn write(&mut self, at: u64, key: ProcessKey, body: Body) {
        self.records.push(Record { at: ticks(at), key, body });
    }

    fn living(&self) -> impl Iterator<Item = &Real> {
        self.processes.iter().filter(|process| process.ended.is_none())
    }

    /// The place of one that lives.
    fn pick(&self, index: Index) -> Option<usize> {
        let living: Vec<usize> = (0..self.processes.len()).filter(|n| self.processes[*n].ended.is_none()).collect();
        (!living.is_empty()).then(|| *index.get(&living))
    }

    fn fork(&mut self, index: Index) {
        let Some(forker) = self.pick(index) else { return };
        let taken = self.free.iter().position(|(from, _)| *from <= self.clock);
        let tgid = taken.map(|place| self.free.swap_remove(place).1);
        let tgid = tgid.unwrap_or_else(|| {
            self.next_tgid += 1;
            self.next_tgid
        });
        let key = ProcessKey { tgid, start: ticks(self.clock) };
        let forker = &self.processes[forker];
        let (forker_key, program) = (forker.key, Arc::clone(&forker.program));
        self.processes.push(Real {
            key,
            parent: Some(forker_key),
            told_parent: Some(forker_key),
            program,
            execs: 0,
            executed_at: 0,
            cpu_ns: 0,
            ended: None,
        });
        let body = Body::Fork { identity: identity("c", Some(forker_key)), forker: forker_key };
        self.write(self.clock + 1, key, body);
    }

    fn exec(&mut self, index: Index, exe: u8) {
        let Some(place) = self.pick(index) else { return };
        let clock = self.clock;
        let real = &mut self.processes[place];
        if real.executed_at + WINDOW > clock {
            return;
        }
        let exe: Arc<str> = format!("/bin/{}", exe % 4).into();
        let args = format!("at\0{clock}").into();
        real.program = Arc::new(Program { exe: exe.clone(), filename: exe, args, args_count: 2, args_cut: false });
        real.execs += 1;
        real.executed_at = clock;
        real.told_parent = real.parent;
        let body = Body::Exec { identity: identity("c", real.parent), program: Arc::clone(&real.program) };
        let key = real.key;
        self.write(clock, key, body);
    }

    fn exit(&mut self, place: usize, code: u8) {
        let clock = self.clock;
        let real = &mut self.processes[place];
        let status = ExitStatus::Code(code);
        real.ended = Some((clock, status));
        let (key, cpu_ns) = (real.key, real.cpu_ns.saturating_sub(3));
        let parent_tgid = real.parent.map_or(0, |parent| parent.tgid);
        let init = self.processes[0].key;
        for child in self.processes.iter_mut().filter(|child| child.parent == Some(key)) {
            child.parent = Some(init);
        }
        let body = Body::Exit { status, peak_rss_bytes: 1, cpu_ns, comm: "c".into(), uid: 1000, parent_tgid };
        self.write(clock, key, body.clone());
        if code == 0 {
            // Two threads both took themselves for the last.
            self.write(clock, key, body);
        }
    }

    fn reap(&mut self, place: usize) {
        let real = self.processes.remove(place);
        let Some((ended, _)) = real.ended else { return };
        let at = if self.hardship.grace { self.clock.max(ended + WINDOW) } else { self.clock };
        self.gone.insert(real.key, (real.cpu_ns, real.execs));
        self.free.push((at + WINDOW, real.key.tgid));
        let account = Account { cpu_ns: real.cpu_ns, exact: true, ..Account::default() };
        self.write(at, real.key, Body::Account(account));
    }

    fn row(real: &Real) -> TaskRow {
        TaskRow {
            key: real.key,
            identity: identity("c", real.parent),
            exe: if real.ended.is_some() { Arc::default() } else { real.program.exe.clone() },
            cgroup: "/".into(),
            threads: 1,
            zombie: real.ended.map(|(_, status)| status),
            reaped_cpu_ns: 0,
        }
    }

    /// One operation on the processes; those on the records are the trial's.
    fn act(&mut self, op: &Op) {
        self.clock += 7;
        match op {
            Op::Fork(index) => self.fork(*index),
            Op::Exec(index, exe) => self.exec(*index, *exe),
            Op::Exit(index, code) => {
                // The first one is init, which outlives everybody.
                if let Some(place) = self.pick(*index).filter(|place| *place > 0) {
                    self.exit(place, *code);
                }
            }
            Op::Reap(index) => {
                let zombies: Vec<usize> =
                    (0..self.processes.len()).filter(|n| self.processes[*n].ended.is_some()).collect();
                if !zombies.is_empty() {
                    self.reap(*index.get(&zombies));
                }
            }
            Op::Work(index, cpu_ns) => {
                if let Some(place) = self.pick(*index) {
                    self.processes[place].cpu_ns += u64::from(*cpu_ns);
                }
            }
            Op::Idle(_) | Op::Sample | Op::Drain | Op::Lose(..) | Op::Scan(_) => {}
        }
    }
}

/// Every change, booked.
#[derive(Default)]
struct Ledger {
    appeared: BTreeSet<ProcessKey>,
    /// Those that a scan brought: what they used before is nobody's.
    brought: BTreeSet<ProcessKey>,
    exited: BTreeSet<ProcessKey>,
    /// Those whose end a scan noticed first: an exec that comes after that is not announced.
    noticed: BTreeSet<ProcessKey>,
    closed: BTreeSet<ProcessKey>,
    executed: BTreeMap<ProcessKey, u32>,
    used_ns: BTreeMap<ProcessKey, u64>,
}

impl Ledger {
    fn book(&mut self, changes: &[Change], by_scan: bool, world: &World) {
        for change in changes {
            match change {
                Change::Appeared { key, .. } => {
                    assert!(self.appeared.insert(*key), "{key:?} appeared twice");
                    if by_scan {
                        self.brought.insert(*key);
                    }
                }
                Change::Executed { key } => {
                    self.expect_open(*key);
                    *self.executed.entry(*key).or_default() += 1;
                }
                Change::Redefined { key } | Change::OomVictim { key } => self.expect_open(*key),
                Change::Exited { key } => {
                    self.expect_open(*key);
                    assert!(self.exited.insert(*key), "{key:?} exited twice");
                    if by_scan {
                        self.noticed.insert(*key);
                    }
                }
                Change::Used { key, delta } => {
                    self.expect_open(*key);
                    *self.used_ns.entry(*key).or_default() += delta.cpu_ns;
                }
                Change::Closed { process, account, delta } => {
                    let key = process.key;
                    self.expect_open(key);
                    assert!(self.exited.contains(&key), "{key:?} closed without an exit");
                    self.closed.insert(key);
                    let used = self.used_ns.remove(&key).unwrap_or_default() + delta.cpu_ns;
                    if self.brought.contains(&key) {
                        assert!(used <= account.cpu_ns, "{key:?} used {used} of {account:?}");
                    } else {
                        assert_eq!(used, account.cpu_ns, "{key:?}");
                    }
                    if account.exact {
                        assert_eq!(world.gone.get(&key).map(|gone| gone.0), Some(account.cpu_ns), "{key:?}");
                    }
                }
            }
        }
    }

    fn expect_open(&self, key: ProcessKey) {
        assert!(self.appeared.contains(&key) && !self.closed.contains(&key), "{key:?} is not in the table");
    }
}

/// A scan on its way: what it has read, and how far it has come.
struct Running {
    scan: Scan,
    read_to: u32,
    left: u8,
}

struct Trial {
    world: World,
    table: Table,
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

    /// The table against the world, with nothing undelivered.
    fn compare(&self) {
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
    for op in ops {
        trial.step(op);
    }
    trial.finish();
}

const NONE: Hardship = Hardship { jitter: false, grace: true, loss: false, scans: false };

proptest! {
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
