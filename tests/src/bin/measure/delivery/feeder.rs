//! Lives that never were, put into the ring of a running daemon: fork, exec, exit and account of short processes, at a
//! steady pace, by the program `feed` (see probe-ebpf).

use std::collections::VecDeque;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use aya::maps::{MapData, MapInfo};
use aya::programs::{SocketFilter, TestRun as _, TestRunOptions};
use aya::{Ebpf, EbpfLoader};
use probe_common::decode::Raw;
use probe_common::encode::encode;
use probe_common::layout::{BATCHED_FILL_GLOBAL, WAKE_FILL_GLOBAL, WAKE_GAP_GLOBAL};
use probe_common::record::{Account, Cgroup, Exec, Exit, Fork, Header};
use probe_user::kernel::loader::LoadSettings;
use probe_user::record::ProcessKey;
use probe_user::time::KTime;
use procprobe_tests::daemon::Daemon;

use crate::observe::root;
use crate::replay::{Chance, PROGRAMS, comm, identity};

/// Numbers of processes that never were: above the largest that a kernel gives (4,194,304).
const FIRST_TGID: u32 = 4_200_000;
const TGIDS: u32 = 1_000_000;
/// Their parents.
const PARENTS: u32 = 20;
const PARENTS_AT: u32 = FIRST_TGID - PARENTS;
/// So many live at a time.
const LIVING: usize = 500;
/// What fits into a packet, and the header that the kernel takes off it.
const PACKET: usize = 3_400;
const ETHERNET: usize = 14;
/// Records come in bursts of so long, as two busy cores write them.
const BURST: Duration = Duration::from_millis(2);

/// What was fed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fed {
    pub(super) lives: u64,
    pub(super) records: u64,
    /// Records that found no room in the ring.
    pub(super) refused: u64,
}

/// The way into a daemon's ring.
pub(super) struct Feeder {
    ebpf: Ebpf,
    packet: Vec<u8>,
    waiting: u64,
    record: Vec<u8>,
    chance: Chance,
    living: VecDeque<(u32, u64, usize)>,
    next: u32,
    fed: Fed,
}

impl Feeder {
    pub(super) fn attach(daemon: &Daemon) -> Result<Self, Box<dyn Error>> {
        let object = object();
        let bytes = fs::read(&object)
            .map_err(|error| format!("{}: {error}; `cargo xtask bench` builds it", object.display()))?;
        let settings = LoadSettings::default();
        let pins = Pins::of(daemon, &["RECORDS", "CPU_STATE", "LAST_WAKE"])?;
        let mut loader = EbpfLoader::new();
        for (name, path) in &pins.maps {
            loader.map_pin_path(name, path.as_path());
        }
        let gap_ns = u64::try_from(settings.wake_gap.as_nanos())?;
        let fill_bytes = u64::from(settings.ring_bytes / 4);
        let batched_bytes = u64::from(settings.ring_bytes - settings.ring_bytes / 8);
        let mut ebpf = loader
            .override_global(WAKE_GAP_GLOBAL, &gap_ns, true)
            .override_global(WAKE_FILL_GLOBAL, &fill_bytes, true)
            .override_global(BATCHED_FILL_GLOBAL, &batched_bytes, true)
            .load(&bytes)?;
        program(&mut ebpf)?.load()?;
        let mut feeder = Self {
            ebpf,
            packet: vec![0; ETHERNET],
            waiting: 0,
            record: Vec::new(),
            chance: Chance::default(),
            living: VecDeque::new(),
            next: 0,
            fed: Fed::default(),
        };
        feeder.settle()?;
        Ok(feeder)
    }

    /// So many lives a second for so long. When the machine does not keep up, fewer.
    pub(super) fn feed(&mut self, pace: u64, length: Duration) -> Result<Fed, Box<dyn Error>> {
        let before = self.fed;
        let began = Instant::now();
        while began.elapsed() < length {
            let due = u64::try_from(began.elapsed().as_nanos() * u128::from(pace) / 1_000_000_000)?;
            let missing = due.saturating_sub(self.fed.lives - before.lives);
            // Whoever was kept waiting catches up at twice the pace: all at once would be another load.
            for _ in 0..missing.min(pace * u64::try_from(2 * BURST.as_micros())? / 1_000_000) {
                self.live()?;
            }
            self.flush()?;
            thread::sleep(BURST);
        }
        Ok(Fed {
            lives: self.fed.lives - before.lives,
            records: self.fed.records - before.records,
            refused: self.fed.refused - before.refused,
        })
    }

    /// Ends whoever lives still.
    pub(super) fn end(mut self) -> Result<(), Box<dyn Error>> {
        while let Some((tgid, start, program)) = self.living.pop_front() {
            self.finish(tgid, start, program)?;
        }
        self.flush()
    }

    /// The parents, and the cgroup of all.
    fn settle(&mut self) -> Result<(), Box<dyn Error>> {
        let cgroup = Cgroup { cgroup_id: identity("", parent(0), 0).cgroup_id, ..Cgroup::default() };
        self.put(&Raw::Cgroup { cgroup, path: b"app.service\0system.slice\0" })?;
        for index in 0..PARENTS {
            let key = parent(index);
            let header = Header { tgid: key.tgid, start_time: key.start.0, ..Header::default() };
            let identity = identity("service", ProcessKey { tgid: 1, start: KTime(0) }, key.start.0);
            let exec = Exec { header, identity, args_count: 1, args_bytes: 8, ..Exec::default() };
            self.put(&Raw::Exec { exec, exe: b"service\0sbin\0usr\0", filename: b"service", args: b"service\0" })?;
        }
        self.flush()
    }

    /// One begins, and one that has lived long enough ends.
    fn live(&mut self) -> Result<(), Box<dyn Error>> {
        self.next = (self.next + 1) % TGIDS;
        let tgid = FIRST_TGID + self.next;
        let start = probe_user::pipeline::clock::now().0;
        let parent = parent(u32::try_from(self.chance.below(PARENTS.into()))?);
        let header = Header { tgid, start_time: start, ..Header::default() };
        let (forker_tgid, forker_start_time) = (parent.tgid, parent.start.0);
        let forked = identity("service", parent, start);
        self.put(&Raw::Fork(Fork { header, identity: forked, forker_tgid, reserved: 0, forker_start_time }))?;
        let program = usize::try_from(self.chance.below(PROGRAMS.len() as u64))?;
        let (name, arguments) = PROGRAMS[program];
        let mut args = format!("{name}\0{}", arguments.replace(' ', "\0"));
        if arguments.ends_with(['=', ' ']) {
            args.push_str(&self.chance.below(100_000).to_string());
        }
        args.push('\0');
        let exec = Exec {
            header,
            identity: identity(name, parent, start),
            args_count: u32::try_from(args.split('\0').count() - 1)?,
            args_bytes: u32::try_from(args.len())?,
            ..Exec::default()
        };
        let (exe, filename) = (format!("{name}\0bin\0usr\0"), format!("/usr/bin/{name}"));
        self.put(&Raw::Exec { exec, exe: exe.as_bytes(), filename: filename.as_bytes(), args: args.as_bytes() })?;
        self.living.push_back((tgid, start, program));
        if self.living.len() > LIVING
            && let Some((tgid, start, program)) = self.living.pop_front()
        {
            self.finish(tgid, start, program)?;
        }
        self.fed.lives += 1;
        Ok(())
    }

    fn finish(&mut self, tgid: u32, start: u64, program: usize) -> Result<(), Box<dyn Error>> {
        let header = Header { tgid, start_time: start, ..Header::default() };
        let exit = Exit {
            header,
            status: if self.chance.below(50) == 0 { 256 } else { 0 },
            parent_tgid: PARENTS_AT,
            uid: 1000,
            max_rss_pages: 800 + self.chance.below(300),
            cpu_ns: 1_000_000,
            comm: comm(PROGRAMS[program].0),
            ..Exit::default()
        };
        self.put(&Raw::Exit(exit))?;
        let cpu_ns = 1_000_000 + self.chance.below(3_000_000);
        self.put(&Raw::Account(Account { header, cpu_ns, wait_ns: 50_000, threads: 1, ..Account::default() }))
    }

    fn put(&mut self, raw: &Raw<'_>) -> Result<(), Box<dyn Error>> {
        self.record.clear();
        encode(raw, &mut self.record);
        let size = u32::try_from(self.record.len())?;
        if self.packet.len() + size_of::<u32>() + self.record.len() > PACKET {
            self.flush()?;
        }
        self.packet.extend(size.to_ne_bytes());
        self.packet.extend(&self.record);
        self.waiting += 1;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Box<dyn Error>> {
        if self.waiting > 0 {
            let options = TestRunOptions { data_in: Some(&self.packet), ..TestRunOptions::default() };
            let sent = program(&mut self.ebpf)?.test_run(options)?.return_value;
            self.fed.records += self.waiting;
            self.fed.refused += self.waiting - u64::from(sent);
        }
        self.packet.truncate(ETHERNET);
        self.waiting = 0;
        Ok(())
    }
}

fn parent(index: u32) -> ProcessKey {
    ProcessKey { tgid: PARENTS_AT + index, start: KTime(5_000_000_000 + u64::from(index)) }
}

fn program(ebpf: &mut Ebpf) -> Result<&mut SocketFilter, Box<dyn Error>> {
    Ok(ebpf.program_mut("feed").ok_or("the object has no program `feed`")?.try_into()?)
}

/// Where `cargo xtask bench` lays the program.
fn object() -> PathBuf {
    std::env::var_os("PROCPROBE_FEED_OBJECT").map_or_else(|| root().join("target/bpf/feed.bpf.o"), PathBuf::from)
}

/// Maps of a running daemon under names in the file system, for a loader to find them. Gone when dropped; whoever has
/// opened them keeps them.
struct Pins<'a> {
    folder: PathBuf,
    maps: Vec<(&'a str, PathBuf)>,
}

impl<'a> Pins<'a> {
    fn of(daemon: &Daemon, names: &[&'a str]) -> Result<Self, Box<dyn Error>> {
        let folder = Path::new("/sys/fs/bpf").join(format!("procprobe-measure-{}", std::process::id()));
        fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut pins = Self { folder, maps: Vec::new() };
        for entry in fs::read_dir(format!("/proc/{}/fdinfo", daemon.pid()))? {
            // A descriptor may be closed by now.
            let Ok(text) = fs::read_to_string(entry?.path()) else { continue };
            let Some(id) = text.lines().find_map(|line| line.strip_prefix("map_id:")) else { continue };
            let id: u32 = id.trim().parse()?;
            let info = MapInfo::from_id(id)?;
            let Some(name) = names.iter().find(|name| info.name() == name.as_bytes()) else { continue };
            if pins.maps.iter().any(|(pinned, _)| pinned == name) {
                continue;
            }
            let path = pins.folder.join(name);
            MapData::from_id(id)?.pin(&path)?;
            pins.maps.push((*name, path));
        }
        if pins.maps.len() == names.len() {
            Ok(pins)
        } else {
            Err(format!("the daemon does not have all of {names:?}").into())
        }
    }
}

impl Drop for Pins<'_> {
    fn drop(&mut self) {
        let removed = self.maps.iter().try_for_each(|(_, path)| fs::remove_file(path));
        if let Err(error) = removed.and_then(|()| fs::remove_dir(&self.folder)) {
            eprintln!("measure: {} is left: {error}", self.folder.display());
        }
    }
}
