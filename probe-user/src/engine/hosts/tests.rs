//! Bounds on the host, driven through the engine by scripts of samples.

mod world;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use self::world::*;
use super::super::Input;
use crate::record::{DiskSize, HostCpu, HostDisk, HostInterface, HostMemory, HostPressure, HostSample, MountKind};
use crate::time::KTime;

/// A sample each second, each of which speaks for three.
fn samples(mut seconds: std::ops::Range<u32>) -> String {
    seconds
        .try_fold(String::new(), |mut script, second| writeln!(script, "{second} sample for=3").map(|()| script))
        .unwrap()
}

#[track_caller]
fn check(bounds: &str, script: &str, expected: &[&str]) -> World {
    check_sets(&[bounds], script, expected)
}

#[track_caller]
fn check_sets(sets: &[&str], script: &str, expected: &[&str]) -> World {
    let mut world = World::new(sets, Duration::ZERO, None);
    world.play(script);
    assert_eq!(world.told(), expected, "{sets:?}\n{script}");
    world
}

#[test]
fn shares_and_amounts_are_what_the_limit_says() {
    let script = "1 available 99\n 1 swap 501\n 1 load 8.5\n 1 disk / 9\n 1 inodes / 99\n 1 sample";
    check("memory_available min 10%", script, &["1 fired host.memory_available.min"]);
    check("memory_available min 9.9%", script, &[]);
    check("memory_available min 103809025", script, &["1 fired host.memory_available.min"]);
    check("memory_available min 103809024", script, &[]);
    check("swap_used max 50%", script, &["1 fired host.swap_used.max"]);
    check("swap_used max 525336576", script, &[]);
    // Four CPUs.
    check("load max 200%", script, &["1 fired host.load.max"]);
    check("load max 8.5", script, &[]);
    check("disk_free min 10%", script, &["1 fired host.disk_free.min /"]);
    check("disk_free min 9%", script, &[]);
    check("disk_free min 9663676417", script, &["1 fired host.disk_free.min /"]);
    check("inodes_free min 100", script, &["1 fired host.inodes_free.min /"]);
    check("inodes_free min 9.9%", script, &[]);
}

#[test]
fn cpu_is_a_share_of_the_time_between_two_samples() {
    let script = "1 cpu 100\n 1 sample\n 2 cpu 91\n 2 sample\n 3 cpu 90\n 3 sample\n 4 sample\n 5 cpu 95\n 5 sample";
    let told = ["2 fired host.cpu.max", "3 resolved host.cpu.max", "5 fired host.cpu.max"];
    check("cpu max 90%", script, &told);
    check("cpu max 0.9", script, &told);
}

#[test]
fn a_rate_is_divided_by_the_time_that_passed() {
    let script = "1 net eth0 1000\n 1 sample\n 11 net eth0 2000\n 11 sample\n 12 net eth0 2101\n 12 sample";
    check("network_receive max 100", script, &["12 fired host.network_receive.max eth0"]);
    check("network_transmit max 200", script, &["12 fired host.network_transmit.max eth0"]);
    let waited = "1 io 5\n 1 sample\n 3 io 200005\n 3 sample\n 4 io 310005\n 4 sample\n 5 io 99310005\n 5 sample";
    check("pressure_io max 10%", waited, &["4 fired host.pressure_io.max"]);
    // Never more than all of the time.
    check("pressure_io max 100%", waited, &[]);
}

#[test]
fn a_counter_that_went_back_says_nothing() {
    let script = "1 net veth1 1000\n 1 sample\n 2 net veth1 1000000\n 2 sample\n 3 net veth1 5\n 3 sample\n \
                  4 net veth1 20\n 4 sample";
    // At 3 the interface is another one: that is no rate, and no reason to resolve.
    check(
        "network_receive max 100",
        script,
        &["2 fired host.network_receive.max veth1", "4 resolved host.network_receive.max veth1"],
    );
    check("pressure_io max 10%", "1 io 900\n 1 sample\n 2 io 5\n 2 sample\n 3 io 6\n 3 sample", &[]);
}

#[test]
fn each_thing_is_judged_by_itself() {
    let script =
        "1 disk / 50\n 1 disk /data 5\n 1 disk /run 1\n 1 sample\n 2 disk / 5\n 2 sample\n 3 disk /data 50\n 3 sample";
    let told =
        ["1 fired host.disk_free.min /data", "2 fired host.disk_free.min /", "3 resolved host.disk_free.min /data"];
    check("disk_free min 10%", script, &told);
    check("disk_free min 10% at=/**", script, &told);
    check("disk_free min 10% at=/", script, &["2 fired host.disk_free.min /"]);
    check("disk_free min 10% at=/run", script, &["1 fired host.disk_free.min /run"]);
    let net = "1 net lo 1\n 1 net eth0 1\n 1 sample\n 2 net lo 1000\n 2 net eth0 2\n 2 sample";
    check("network_receive max 100", net, &[]);
    check("network_receive max 100 at=lo", net, &["2 fired host.network_receive.max lo"]);
}

#[test]
fn names_are_numbered_where_several_bounds_share_them() {
    check(
        "disk_free min 10% at=/; disk_free min 20% at=/data; inodes_free min 1",
        "1 disk / 5\n 1 disk /data 15\n 1 sample",
        &["1 fired host.disk_free.min.1 /", "1 fired host.disk_free.min.2 /data"],
    );
}

#[test]
fn a_breach_must_last_and_hysteresis_holds() {
    let bounds = "memory_available min 10% for=10 clear=15% keep=5";
    let low = "1 available 50\n 1 sample\n";
    check(bounds, &format!("{low} 10 available 100\n 10 sample\n 30 sample"), &[]);
    // Nobody has to sample at the very moment.
    check(bounds, &format!("{low} 30 tick"), &["11 fired host.memory_available.min"]);
    let back = "20 available 120\n 20 sample\n 25 available 150\n 25 sample\n 40 tick";
    check(
        bounds,
        &format!("{low} {back}"),
        &["11 fired host.memory_available.min", "30 resolved host.memory_available.min"],
    );
}

#[test]
fn a_daemon_that_did_not_look_fires_for_nothing_that_healed() {
    let bounds = "memory_available min 10% for=10";
    let low = "1 available 50\n 1 sample for=3\n 2 sample for=3\n";
    // It was stopped from 2 to 60: ticks and whatever else come first.
    check(bounds, &format!("{low} 60 tick\n 60 available 500\n 60 sample for=3"), &[]);
    check(bounds, &format!("{low} 60 tick\n 60 sample for=3"), &["11 fired host.memory_available.min"]);
    // As long as samples come the deadline is kept to the moment.
    let samples = samples(3..20);
    let world = check(bounds, &format!("{low} {samples}"), &["11 fired host.memory_available.min"]);
    assert_eq!(world.wake, None);
    // The end of an alarm waits for the next look too.
    let bounds = "memory_available min 10% keep=10";
    let script = "1 available 50\n 1 sample for=3\n 2 available 500\n 2 sample for=3\n 60 tick\n 60 available 50\n 60 sample for=3";
    check(bounds, script, &["1 fired host.memory_available.min"]);
}

#[test]
fn repetitions_that_were_missed_are_one() {
    let mut world = World::new(&["memory_available min 10%"], Duration::ZERO, Some(Duration::from_secs(10)));
    world.play("1 available 50\n 1 sample for=3\n");
    let samples = samples(2..25);
    world.play(&samples);
    world.play("100 tick\n 100 sample for=3\n");
    let told = ["1 fired", "11 repeated", "21 repeated", "100 repeated"];
    assert_eq!(world.told(), told.map(|turn| format!("{turn} host.memory_available.min")));
}

#[test]
fn the_start_grace_holds_back() {
    let mut world = World::new(&["memory_available min 10%; cpu max 90%"], Duration::from_secs(10), None);
    world.play("1 available 50\n 1 cpu 99\n 1 sample\n 5 cpu 99\n 5 sample\n 9 cpu 50\n 9 sample\n 12 tick");
    assert_eq!(world.told(), ["10 fired host.memory_available.min"]);
}

#[test]
fn a_mount_that_does_not_answer_is_told_and_keeps_its_alarm() {
    let fired = "1 fired host.disk_free.min /nfs";
    let lost = "2 host: /nfs does not answer: host.disk_free.min is not judged";
    let world = check(
        "disk_free min 10%",
        "1 disk /nfs 5\n 1 sample\n 2 disk /nfs ?\n 2 sample\n 3 sample\n 4 sample disks=no",
        &[fired, lost],
    );
    let instance = &world.status().host[0].instances[0];
    assert_eq!((instance.value, instance.unknown), (None, Some("does not answer")));
    assert_eq!(world.status().firing, ["host.disk_free.min"]);
    check(
        "disk_free min 10%",
        "1 disk /nfs 5\n 1 sample\n 2 disk /nfs ?\n 2 sample\n 9 disk /nfs 50\n 9 sample",
        &[
            fired,
            lost,
            "9 host: /nfs answers again: host.disk_free.min is judged",
            "9 resolved host.disk_free.min /nfs",
        ],
    );
    // A breach that nobody sees go on does not fire.
    check(
        "disk_free min 10% for=10",
        "1 disk /nfs 5\n 1 sample\n 2 disk /nfs ?\n 2 sample\n 60 tick\n 60 disk /nfs 50\n 60 sample",
        &[lost, "60 host: /nfs answers again: host.disk_free.min is judged"],
    );
}

#[test]
fn what_is_gone_has_no_alarm() {
    let world = check(
        "disk_free min 10%",
        "1 disk /data 5\n 1 sample\n 2 sample disks=no\n 3 umount /data\n 3 sample",
        &["1 fired host.disk_free.min /data", "3 resolved host.disk_free.min /data"],
    );
    assert_eq!(world.events[1].body, "host: disk_free of /data; over after 2s: no longer there");
    assert!(world.status().host[0].instances.is_empty());
    // What a policy names is missed.
    let world = check(
        "disk_free min 10% at=/data for=1",
        "1 disk /data 5\n 1 sample\n 3 umount /data\n 3 sample\n 4 sample\n 9 disk /data 5\n 9 sample\n 11 tick",
        &[
            "2 fired host.disk_free.min /data",
            "3 resolved host.disk_free.min /data",
            "3 host: there is no mount point /data: host.disk_free.min is not judged",
            "9 host: there is a mount point /data again: host.disk_free.min is judged",
            "10 fired host.disk_free.min /data",
        ],
    );
    assert_eq!(world.status().host[0].instances.len(), 1);
    check(
        "network_receive max 1 at=eth7; network_receive min 1 at=wg*",
        "1 sample\n 2 sample",
        &["1 host: there is no network interface eth7: host.network_receive.max is not judged"],
    );
}

#[test]
fn a_kernel_that_does_not_say_is_never_silently_healthy() {
    let world = check(
        "pressure_io max 10%; load max 1",
        "1 io -\n 1 sample\n 2 sample",
        &["1 host: this kernel does not tell pressure_io: host.pressure_io.max is not judged"],
    );
    let status = world.status();
    assert_eq!(status.host[0].instances[0].unknown, Some("not on this kernel"));
    assert_eq!(status.host[1].instances[0].value, Some(0.0));
}

#[test]
fn lost_records_stop_only_what_counts_processes() {
    check(
        "processes min 1; memory_available min 10%",
        "1 lost\n 1 available 50\n 1 sample\n 2 scan\n 2 sample",
        &[
            "1 3 records were lost in the kernel (ring_full); nothing fires until the processes are scanned",
            "1 fired host.memory_available.min",
            "2 the process table is right again after 3 records were lost in the kernel (ring_full)",
            "2 fired host.processes.min",
        ],
    );
}

#[test]
fn a_reload_keeps_what_says_the_same() {
    let (kept, other) = ("disk_free min 10%; load max 1 for=10", "cpu max 90%; load max 1 for=10; disk_free min 10%");
    let script = "1 disk / 5\n 1 load 2\n 1 cpu 5\n 1 sample\n 5 policies 1\n 6 sample\n 12 tick";
    let told = ["1 fired host.disk_free.min /", "11 fired host.load.max"];
    let world = check_sets(&[kept, other], script, &told);
    assert_eq!(world.status().host[2].instances[0].since_seconds, Some(11.0));
    let gone = ["1 fired host.disk_free.min /", "5 resolved host.disk_free.min /"];
    let world = check_sets(
        &[kept, "load max 1 for=60; disk_free min 10% at=/data at=/"],
        script,
        &[
            gone[0],
            gone[1],
            "6 fired host.disk_free.min /",
            "6 host: there is no mount point /data: host.disk_free.min is not judged",
        ],
    );
    assert!(world.events[1].body.ends_with("policy removed"), "{}", world.events[1].body);
    // Rates go on over a reload.
    let net = "1 net eth0 1\n 1 sample\n 2 policies 1\n 3 net eth0 2001\n 3 sample";
    check_sets(&["network_receive max 1", "network_receive max 999"], net, &["3 fired host.network_receive.max eth0"]);
}

#[test]
fn an_alarm_says_what_it_rests_on() {
    let world = check(
        "disk_free min 10% clear=20%",
        "1 disk / 4\n 1 sample\n 62 disk / 50\n 62 sample",
        &["1 fired host.disk_free.min /", "62 resolved host.disk_free.min /"],
    );
    let (fired, over) = (&world.events[0], &world.events[1]);
    assert_eq!(fired.body, "host: 4% of disk free on /, minimum 10%; 96 GiB used, 4 GiB free");
    assert_eq!(over.body, "host: 50% of disk free on /, minimum 10%; healthy again after 1m 1s");
    let attribute = |name: &str| fired.attributes.get(name).cloned().unwrap();
    assert_eq!(attribute("policy.kind"), "host");
    assert_eq!(attribute("limit"), 0.1);
    assert_eq!(attribute("value"), 0.04);
    assert_eq!(attribute("clear"), 0.2);
    assert_eq!(attribute("share"), true);
    assert_eq!(attribute("system.filesystem.mountpoint"), "/");
}

#[test]
fn hostile_samples_do_no_harm() {
    let all = "cpu max 90%; load max 1; memory_available min 10%; swap_used max 10%; disk_free min 10%; \
               inodes_free min 10%; processes max 0; pressure_cpu max 1%; pressure_memory max 1%; pressure_io max 1%; \
               network_receive max 1; network_transmit max 1";
    let mut world = World::new(&[all], Duration::ZERO, None);
    let huge = DiskSize { bytes: 0, bytes_used: u64::MAX, bytes_free: u64::MAX, inodes: u64::MAX, inodes_free: 0 };
    let path: Arc<str> = "/\u{1b}[2J\n".into();
    for (second, n) in [(5, u64::MAX), (5, 0), (3, u64::MAX), (9, 7)] {
        world.now = KTime::from_secs(second);
        world.step(Input::Host(Box::new(HostSample {
            at: world.now,
            until: Some(KTime(0)),
            cpu: Some(HostCpu { idle_ns: n, total_ns: n / 2 }),
            load: Some(f64::MAX),
            memory: Some(HostMemory { total: 0, available: n, swap_total: 0, swap_free: n }),
            disks: Some(vec![HostDisk { path: Arc::clone(&path), kind: MountKind::Own, size: Some(huge) }]),
            interfaces: Some(vec![HostInterface { name: Arc::clone(&path), received: n, sent: n }]),
            pressure: HostPressure { cpu_us: Some(n), memory_us: Some(n), io_us: Some(n) },
        })));
    }
    let status = world.status();
    assert!(status.host.iter().all(|bound| bound.instances.iter().all(|each| each.value.is_none_or(f64::is_finite))));
    assert!(world.events.iter().all(|event| !event.body.contains(['\u{1b}', '\n'])), "{:?}", world.told());
}
