use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::PathBuf;

use super::*;
use crate::event::Severity;
use crate::policy::glob::Glob;
use crate::policy::spec::{Bound, HostBlock, HostBound, Limit, Measure, Per, Response, Side};
use crate::record::{DiskSize, HostDisk};

const SECOND: Duration = Duration::from_secs(1);

/// One bound on each measure, with the targets that it names.
fn policies(asked: &[(Measure, &[&str])]) -> PolicySet {
    let bounds = asked.iter().map(|(measure, targets)| HostBound {
        bound: Bound {
            measure: *measure,
            side: Side::Max,
            limit: Limit::Absolute(1.0),
            clear: None,
            hold: Duration::ZERO,
            keep_firing: Duration::ZERO,
            within: Duration::ZERO,
            per: Per::Group,
            severity: Severity::Warning,
            declared: "host.yaml:1".into(),
        },
        targets: targets.iter().map(|target| Glob::path(target).unwrap()).collect(),
    });
    let block = HostBlock { declared: "host.yaml:1".into(), bounds: bounds.collect(), response: Response::default() };
    PolicySet { host: vec![block], ..PolicySet::default() }
}

#[test]
fn what_nobody_asks_for_is_not_read() {
    let mut measures = Measures::within(Path::new("/nowhere"), |_| unreachable!("nobody asks"), &PolicySet::default());
    assert_eq!(measures.every(SECOND), None);
    let sample = measures.sample(KTime::from_secs(1), SECOND);
    assert_eq!(
        sample,
        HostSample { at: KTime::from_secs(1), until: Some(KTime::from_secs(4)), ..HostSample::default() }
    );
    measures.set_policies(&policies(&[(Measure::DiskFree, &["/"])]));
    assert_eq!(measures.every(SECOND), Some(disks::EVERY));
    assert_eq!(measures.every(disks::EVERY * 2), Some(disks::EVERY * 2));
    measures.set_policies(&policies(&[(Measure::DiskFree, &["/"]), (Measure::Processes, &[])]));
    assert_eq!(measures.every(SECOND), Some(SECOND));
}

/// Against what other ways of asking this kernel say.
#[test]
fn a_sample_of_everything_is_what_the_kernel_says() {
    let asked: Vec<(Measure, &[&str])> = Measure::HOST
        .into_iter()
        .map(|measure| match measure {
            Measure::DiskFree | Measure::InodesFree => (measure, &["/"][..]),
            Measure::NetworkReceive | Measure::NetworkTransmit => (measure, &["lo"][..]),
            _ => (measure, &[][..]),
        })
        .collect();
    let mut measures = Measures::new(&policies(&asked));
    let mut sample = measures.sample(KTime::from_secs(1), SECOND);
    // The thread may take longer than a sample waits, on a busy machine.
    for second in 2..200 {
        if sample.disks.is_some() {
            break;
        }
        let later = measures.sample(KTime::from_millis(1000 + second), SECOND);
        sample.disks = later.disks;
    }
    let system = rustix::system::sysinfo();
    let unit = u64::from(system.mem_unit);
    let memory = sample.memory.unwrap();
    assert_eq!(memory.total, system.totalram * unit);
    assert!(memory.available > 0 && memory.available <= memory.total, "{memory:?}");
    assert_eq!(memory.swap_total, system.totalswap * unit);
    let cpu = sample.cpu.unwrap();
    assert!(cpu.idle_ns > 0 && cpu.idle_ns < cpu.total_ns, "{cpu:?}");
    let load = system.loads[0] as f64 / 65536.0;
    assert!((sample.load.unwrap() - load).abs() < 1.0, "{:?} and {load}", sample.load);
    let disks = sample.disks.unwrap();
    let root = rustix::fs::statvfs("/").unwrap();
    assert_eq!(disks.len(), 1);
    let size = disks[0].size.unwrap();
    assert_eq!((&*disks[0].path, size.bytes, size.inodes), ("/", root.f_blocks * root.f_frsize, root.f_files));
    assert!(size.bytes_free.abs_diff(root.f_bavail * root.f_frsize) < 1 << 30, "{size:?}");
    let interfaces = sample.interfaces.unwrap();
    assert_eq!(interfaces.iter().map(|found| &*found.name).collect::<Vec<_>>(), ["lo"]);
    let expected = |name: &str| fs::read_to_string(format!("/proc/pressure/{name}")).is_ok();
    let pressure = sample.pressure;
    for (name, found) in [("cpu", pressure.cpu_us), ("memory", pressure.memory_us), ("io", pressure.io_us)] {
        assert_eq!(found.is_some(), expected(name), "{name}");
    }
}

#[test]
fn what_the_kernel_does_not_measure_is_missing() {
    let proc = tempfile::tempdir().unwrap();
    fs::write(proc.path().join("stat"), "garbage\n").unwrap();
    let set = policies(&[
        (Measure::PressureCpu, &[]),
        (Measure::PressureIo, &[]),
        (Measure::HostCpu, &[]),
        (Measure::NetworkReceive, &["eth0"]),
    ]);
    let mut measures = Measures::within(proc.path(), disks::size, &set);
    let sample = measures.sample(KTime::from_secs(1), SECOND);
    assert_eq!((sample.cpu, sample.pressure, sample.interfaces), (None, HostPressure::default(), None));
    // Files that appear are read from then on.
    fs::create_dir(proc.path().join("pressure")).unwrap();
    fs::write(proc.path().join("pressure/io"), "some avg10=0.00 avg60=0.00 avg300=0.00 total=7\n").unwrap();
    assert_eq!(measures.sample(KTime::from_secs(2), SECOND).pressure.io_us, Some(7));
}

/// A file system that waits for as long as a file of the name `hangs` is in it; one without a file `size` refuses.
fn ask(path: &Path) -> io::Result<DiskSize> {
    while path.join("hangs").exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let bytes = fs::read_to_string(path.join("size"))?.parse().unwrap();
    Ok(DiskSize { bytes, ..DiskSize::default() })
}

/// Mount points with these names in a folder that is also a /proc.
fn mounted(names: &[&str]) -> (tempfile::TempDir, Measures) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("self")).unwrap();
    let mut table = String::new();
    for (number, name) in names.iter().enumerate() {
        let path = folder.path().join(name);
        fs::create_dir(&path).unwrap();
        fs::write(path.join("size"), number.to_string()).unwrap();
        writeln!(table, "1 0 8:{number} / {} rw - ext4 none rw", path.display()).unwrap();
    }
    fs::write(folder.path().join("self/mountinfo"), table).unwrap();
    let measures = Measures::within(folder.path(), ask, &policies(&[(Measure::DiskFree, &[])]));
    (folder, measures)
}

/// The last part of each path with the size found.
fn found(disks: &[HostDisk]) -> Vec<(String, Option<u64>)> {
    let name = |path: &str| PathBuf::from(path).file_name().unwrap().to_string_lossy().into_owned();
    let mut found: Vec<_> = disks.iter().map(|disk| (name(&disk.path), disk.size.map(|size| size.bytes))).collect();
    found.sort();
    found
}

/// Samples of one moment until there is an answer.
fn round(measures: &mut Measures, at: KTime) -> Vec<(String, Option<u64>)> {
    for _ in 0..500 {
        if let Some(disks) = measures.sample(at, SECOND).disks {
            return found(&disks);
        }
    }
    panic!("no answer at {at:?}");
}

fn expected(sizes: &[(&str, Option<u64>)]) -> Vec<(String, Option<u64>)> {
    sizes.iter().map(|(name, size)| ((*name).to_owned(), *size)).collect()
}

#[test]
fn file_systems_are_looked_at_every_few_seconds() {
    let (folder, mut measures) = mounted(&["a", "b"]);
    assert_eq!(round(&mut measures, KTime::from_secs(100)), expected(&[("a", Some(0)), ("b", Some(1))]));
    assert_eq!(measures.sample(KTime::from_secs(104), SECOND).disks, None);
    fs::remove_file(folder.path().join("b/size")).unwrap();
    // A round that is due within half a beat begins now.
    assert_eq!(round(&mut measures, KTime::from_millis(104_600)), expected(&[("a", Some(0)), ("b", None)]));
}

#[test]
fn a_file_system_that_hangs_keeps_nothing_from_being_known() {
    let (folder, mut measures) = mounted(&["a", "b", "c"]);
    let hang = folder.path().join("b/hangs");
    fs::write(&hang, "").unwrap();
    assert_eq!(measures.sample(KTime::from_secs(100), SECOND).disks, None);
    assert_eq!(measures.sample(KTime::from_secs(103), SECOND).disks, None);
    let known = expected(&[("a", Some(0)), ("b", None), ("c", Some(2))]);
    assert_eq!(round(&mut measures, KTime::from_secs(106)), known);
    assert_eq!(round(&mut measures, KTime::from_secs(111)), known);
    fs::remove_file(&hang).unwrap();
    let all = expected(&[("a", Some(0)), ("b", Some(1)), ("c", Some(2))]);
    let came_back = (0..500).any(|round_number| {
        std::thread::sleep(Duration::from_millis(2));
        round(&mut measures, KTime::from_secs(116 + 5 * round_number)) == all
    });
    assert!(came_back);
}

#[test]
fn threads_that_hang_are_few() {
    let names: Vec<String> = (0..12).map(|number| format!("m{number:02}")).collect();
    let (folder, mut measures) = mounted(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for name in &names {
        fs::write(folder.path().join(name).join("hangs"), "").unwrap();
    }
    let mut now = 100;
    let told = loop {
        if let Some(disks) = measures.sample(KTime::from_secs(now), SECOND).disks {
            break found(&disks);
        }
        now += 6;
        assert!(now < 400);
    };
    assert!(told.len() == 12 && told.iter().all(|(_, size)| size.is_none()), "{told:?}");
    // Eight threads, each given up after more than five seconds.
    assert_eq!(now, 148);
    for name in &names {
        fs::remove_file(folder.path().join(name).join("hangs")).unwrap();
    }
}
