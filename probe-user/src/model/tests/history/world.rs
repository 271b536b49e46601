//! The world: processes that fork, execute, work, exit and are waited for, and the records that they leave.

use super::*;

/// No record is delivered after one that happened so many ticks later. Also the least time between an exit and its
/// account (the kernel's grace period), between two execs of one process, and before a tgid is taken again.
pub(super) const WINDOW: u64 = 100;

/// The world's clock ticks every 10 ms, so that a window is a second: an exec that a scan saw first is known by its
/// record when that comes within a second.
pub(super) fn ticks(ticks: u64) -> KTime {
    KTime::from_millis(10 * ticks)
}

#[derive(Clone, Debug)]
pub(super) enum Op {
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
pub(super) struct Hardship {
    /// Records are late by up to [`WINDOW`].
    pub(super) jitter: bool,
    /// Accounts keep their distance from exits, as the kernel's do.
    pub(super) grace: bool,
    pub(super) loss: bool,
    pub(super) scans: bool,
}

/// A process as it really is.
#[derive(Clone, Debug)]
pub(super) struct Real {
    pub(super) key: ProcessKey,
    pub(super) parent: Option<ProcessKey>,
    /// The parent that the daemon was told last.
    pub(super) told_parent: Option<ProcessKey>,
    pub(super) program: Arc<Program>,
    pub(super) execs: u32,
    pub(super) executed_at: u64,
    pub(super) cpu_ns: u64,
    pub(super) ended: Option<(u64, ExitStatus)>,
}

pub(super) struct World {
    pub(super) clock: u64,
    pub(super) processes: Vec<Real>,
    /// What became of those that are gone: CPU time and execs.
    pub(super) gone: BTreeMap<ProcessKey, (u64, u32)>,
    /// tgids that can be taken again, and from when on.
    pub(super) free: Vec<(u64, u32)>,
    pub(super) next_tgid: u32,
    pub(super) records: Vec<Record>,
    pub(super) hardship: Hardship,
}

impl World {
    pub(super) fn new(hardship: Hardship) -> Self {
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

    pub(super) fn write(&mut self, at: u64, key: ProcessKey, body: Body) {
        self.records.push(Record { at: ticks(at), key, body });
    }

    pub(super) fn living(&self) -> impl Iterator<Item = &Real> {
        self.processes.iter().filter(|process| process.ended.is_none())
    }

    /// The place of one that lives.
    pub(super) fn pick(&self, index: Index) -> Option<usize> {
        let living: Vec<usize> = (0..self.processes.len()).filter(|n| self.processes[*n].ended.is_none()).collect();
        (!living.is_empty()).then(|| *index.get(&living))
    }

    pub(super) fn fork(&mut self, index: Index) {
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

    pub(super) fn exec(&mut self, index: Index, exe: u8) {
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

    pub(super) fn exit(&mut self, place: usize, code: u8) {
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

    pub(super) fn reap(&mut self, place: usize) {
        let real = self.processes.remove(place);
        let Some((ended, _)) = real.ended else { return };
        let at = if self.hardship.grace { self.clock.max(ended + WINDOW) } else { self.clock };
        self.gone.insert(real.key, (real.cpu_ns, real.execs));
        self.free.push((at + WINDOW, real.key.tgid));
        let account = Account { cpu_ns: real.cpu_ns, exact: true, ..Account::default() };
        self.write(at, real.key, Body::Account(account));
    }

    pub(super) fn row(real: &Real) -> TaskRow {
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
    pub(super) fn act(&mut self, op: &Op) {
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
