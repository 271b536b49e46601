//! The host's own measures, held against what other ways of asking the same kernel say.
//!
//! Other tests run meanwhile: only figures that belong to a test alone (a mount, an interface of its own) are expected to
//! stand still.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use procprobe_tests::daemon::{Daemon, Setup, binary, end_of_patience};
use procprobe_tests::mark;
use serde_json::Value;

const MIB: u64 = 1 << 20;

/// Runs a command that must succeed.
#[track_caller]
fn run(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).output().unwrap_or_else(|error| panic!("{command}: {error}"));
    assert!(output.status.success(), "{command}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A mounted file system, unmounted when dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn tmpfs(name: &str, options: &str) -> Self {
        let path = std::env::temp_dir().join(format!("procprobe-{name}-{}", mark()));
        fs::create_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        run(&format!("mount -t tmpfs -o {options} none {}", path.display()));
        Self(path)
    }

    fn unmount(&self) {
        run(&format!("umount {}", self.0.display()));
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // It may be unmounted already.
        let _ = Command::new("umount").arg("-l").arg(&self.0).stderr(Stdio::null()).status();
        let _ = fs::remove_dir(&self.0);
    }
}

/// The bounds on a measure in the daemon's status.
fn bounds(daemon: &Daemon, measure: &str) -> Vec<Value> {
    let status = daemon.status();
    let all = status["engine"]["host"].as_array().cloned().unwrap_or_default();
    all.into_iter().filter(|bound| bound["measure"] == measure).collect()
}

/// The value of the first bound on a measure, once there is one that fits.
#[track_caller]
fn value(daemon: &Daemon, measure: &str, fits: impl Fn(f64) -> bool) -> f64 {
    let deadline = end_of_patience();
    loop {
        let bounds = bounds(daemon, measure);
        let value = bounds.first().and_then(|bound| bound["instances"][0]["value"].as_f64());
        match value.filter(|value| fits(*value)) {
            Some(value) => return value,
            None if Instant::now() > deadline => panic!("{measure}: {bounds:?}"),
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

fn near(expected: f64, tolerance: f64) -> impl Fn(f64) -> bool {
    move |value| (value - expected).abs() <= tolerance
}

fn words(text: &str) -> Vec<f64> {
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn every_measure_is_what_the_kernel_says() {
    let policy = "host:\n  cpu: { max: 99% }\n  load: { max: 100000 }\n  memory_available: { min: 1% }\n  \
        swap_used: { max: 99% }\n  disk_free: { path: /, min: 1% }\n  inodes_free: { path: /, min: 1 }\n  \
        processes: { max: 1000000 }\n  pressure_cpu: { max: 99% }\n  pressure_memory: { max: 99% }\n  \
        pressure_io: { max: 99% }\n";
    let daemon = Setup::new().policy(policy).args(["--sample-interval", "200ms"]).start();
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap();
    let kib = |name: &str| words(meminfo.lines().find(|line| line.starts_with(name)).unwrap_or_default())[0];
    value(&daemon, "memory_available", near(kib("MemAvailable:") / kib("MemTotal:"), 0.1));
    let (swap, free) = (kib("SwapTotal:"), kib("SwapFree:"));
    value(&daemon, "swap_used", near(if swap > 0.0 { (swap - free) / swap } else { 0.0 }, 0.1));
    let load = words(&fs::read_to_string("/proc/loadavg").unwrap())[0];
    value(&daemon, "load", near(load, 2.0));
    // df: used and free of what users can have.
    let df = words(run("df --output=used,avail,iavail / | tail -n 1").as_str());
    value(&daemon, "disk_free", near(df[1] / (df[0] + df[1]), 0.02));
    if df[2] > 0.0 {
        value(&daemon, "inodes_free", near(df[2], df[2] * 0.02));
    }
    let is_process = |name: &str| name.parse::<u32>().is_ok();
    let is_alive = |pid: &str| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['Z', 'X']))
    };
    let names = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let alive = names.filter(|name| is_process(name) && is_alive(name)).count();
    value(&daemon, "processes", near(alive as f64, 30.0));
    for measure in ["cpu", "pressure_cpu", "pressure_memory", "pressure_io"] {
        value(&daemon, measure, |value| (0.0..=1.0).contains(&value));
    }
    let page = String::from_utf8_lossy(&daemon.command(&["status"]).stdout).into_owned();
    assert!(page.contains("memory_available") && page.contains("min 1.0 %"), "{page}");
}

#[test]
fn cpu_is_what_top_would_say() {
    let daemon = Setup::new().policy("host:\n  cpu: { max: 0% }\n").args(["--sample-interval", "500ms"]).start();
    let read = || {
        let stat = fs::read_to_string("/proc/stat").unwrap();
        let ticks = words(stat.lines().next().unwrap_or_default());
        (ticks.iter().take(8).sum::<f64>(), ticks[3] + ticks[4])
    };
    // Both burn and look over the same time, several samples long.
    let mut burner = Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
    value(&daemon, "cpu", |_| true);
    let began = read();
    let mut told = Vec::new();
    for _ in 0..8 {
        std::thread::sleep(Duration::from_millis(500));
        told.push(value(&daemon, "cpu", |_| true));
    }
    let ended = read();
    burner.kill().unwrap();
    burner.wait().unwrap();
    let truth = 1.0 - (ended.1 - began.1) / (ended.0 - began.0);
    let mean = told.iter().sum::<f64>() / told.len() as f64;
    assert!((mean - truth).abs() < 0.15, "told {told:?}, true {truth}");
    let firing = daemon.wait_for("the alarm", |event| event.is_alarm("firing", "host.cpu.max"));
    assert!(firing.body().starts_with("host: ") && firing.body().contains("% of CPU used, maximum 0%"), "{}", firing.0);
    assert_eq!(firing.text("policy.kind"), "host");
}

#[test]
fn a_file_system_that_fills_fires_and_one_that_is_emptied_resolves() {
    let mount = Mounted::tmpfs("disk", "size=16m,nr_inodes=64");
    let path = mount.0.display();
    let policy = format!(
        "host:\n  disk_free: {{ path: {path}, min: 50% }}\n  inodes_free: {{ path: {path}, min: 10, clear_above: 20 }}\n"
    );
    let daemon = Setup::new().policy(&policy).start();
    value(&daemon, "disk_free", near(1.0, 0.02));
    fs::write(mount.0.join("big"), vec![1; 12 << 20]).unwrap();
    let firing = daemon.wait_for("full", |event| event.is_alarm("firing", "host.disk_free.min"));
    let df = words(&run(&format!("df -B1 --output=used,avail {path} | tail -n 1")));
    let truth = df[1] / (df[0] + df[1]);
    assert!((firing.float("value").unwrap_or_default() - truth).abs() < 0.001, "{truth}: {}", firing.0);
    assert_eq!(firing.text("system.filesystem.mountpoint"), path.to_string());
    assert_eq!(firing.evidence()[0]["size"], 16 * MIB);
    assert!(firing.body().contains(&format!("of disk free on {path}, minimum 50%")), "{}", firing.0);
    fs::remove_file(mount.0.join("big")).unwrap();
    daemon.wait_for("emptied", |event| event.is_alarm("resolved", "host.disk_free.min"));
    for number in 0..60 {
        fs::write(mount.0.join(number.to_string()), "").unwrap();
    }
    daemon.wait_for("no inodes", |event| event.is_alarm("firing", "host.inodes_free.min"));
    mount.unmount();
    let gone = daemon.wait_for("unmounted", |event| event.is_alarm("resolved", "host.inodes_free.min"));
    assert_eq!(gone.text("reason"), "no longer there");
    let lost = daemon.wait_for("missed", |event| event.text("reason") == "not_there");
    assert_eq!(lost.name(), "procprobe.agent.lost");
}

/// A FUSE server that never answers: its first question hangs, and so does everybody who asks.
#[test]
fn a_file_system_that_hangs_is_told_and_stops_nothing() {
    let folder = std::env::temp_dir().join(format!("procprobe-hang-{}", mark()));
    fs::create_dir(&folder).unwrap();
    let hanging = Mounted(folder);
    let path = hanging.0.display();
    let tmpfs = Mounted::tmpfs("beside", "size=16m");
    let mount = format!(
        "exec 3<>/dev/fuse; mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0 hang {path} && echo mounted && read x"
    );
    let mut server =
        Command::new("sh").args(["-c", &mount]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut told = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(server.stdout.take().unwrap()), &mut told).unwrap();
    assert_eq!(told, "mounted\n", "the kernel has FUSE and the test may mount");
    let policy = format!(
        "host:\n  disk_free:\n    - {{ path: {path}, min: 50% }}\n    - {{ path: {}, min: 50% }}\n",
        tmpfs.0.display()
    );
    let daemon = Setup::new().policy(&policy).start();
    let lost = daemon.wait_for("told", |event| event.text("reason") == "no_answer");
    assert!(lost.body().contains("does not answer: host.disk_free.min.1 is not judged"), "{}", lost.0);
    // The one beside it is judged all the time.
    fs::write(tmpfs.0.join("big"), vec![1; 12 << 20]).unwrap();
    daemon.wait_for("the other one", |event| {
        event.name() == "procprobe.policy.firing"
            && event.text("system.filesystem.mountpoint") == tmpfs.0.display().to_string()
    });
    let bounds = bounds(&daemon, "disk_free");
    assert_eq!(bounds[0]["instances"][0]["state"], "unknown", "{bounds:?}");
    // Without a server the kernel answers with an error.
    server.kill().unwrap();
    server.wait().unwrap();
    run(&format!("umount -l {path}"));
    daemon.wait_for("gone", |event| event.text("reason") == "not_there");
}

/// Two ends of a cable in a network namespace of the daemon's own, so that nothing else is sent over it.
#[test]
fn traffic_is_counted_to_the_byte() {
    let setup = "ip link add va type veth peer name vb && ip link set va up && ip link set vb up && \
                 ip addr add 10.9.8.1/24 dev va && ip neigh add 10.9.8.7 lladdr 02:00:00:00:00:07 dev va && exec \"$@\"";
    let policy = "host:\n  network_receive: { interface: vb, max: 1MiB/s }\n  network_transmit: { max: 100GiB/s }\n";
    let daemon = Setup::new()
        .policy(policy)
        .under(["unshare", "--net", "sh", "-c", setup, "sh"])
        .args(["--sample-interval", "1s"])
        .start();
    value(&daemon, "network_receive", |value| value < 10_000.0);
    let within = |command: &str| run(&format!("nsenter --net=/proc/{}/ns/net {command}", daemon.pid()));
    let counted = || {
        let dev = within("cat /proc/net/dev");
        let line = dev.lines().find_map(|line| line.trim().strip_prefix("vb:")).unwrap_or_default().to_owned();
        words(&line)[0]
    };
    let before = counted();
    // Nobody is at the other end: what arrives is counted and thrown away.
    let send = "exec 3>/dev/udp/10.9.8.7/9; printf -v x %1400s; for ((i = 0; i < 3000; i++)); do echo \"$x\" >&3; done";
    within(&format!("bash -c '{send}'"));
    let moved = counted() - before;
    assert!(moved > 3000.0 * 1400.0, "{moved}");
    let firing = daemon.wait_for("much traffic", |event| event.is_alarm("firing", "host.network_receive.max"));
    assert_eq!(firing.text("network.interface.name"), "vb");
    assert!(firing.float("value").is_some_and(|value| value <= moved * 1.2 + 10_000.0), "{moved}: {}", firing.0);
    daemon.wait_for("quiet again", |event| event.is_alarm("resolved", "host.network_receive.max"));
    within("ip link del va");
    daemon.wait_for("gone", |event| event.text("reason") == "not_there");
}

#[test]
fn memory_that_is_surely_too_little_fires_at_once_and_a_reload_keeps_it() {
    let policy = "host:\n  memory_available: { min: 100%, for: 1s }\n";
    let daemon = Setup::new().policy(policy).start();
    let firing = daemon.wait_for("too little", |event| event.is_alarm("firing", "host.memory_available.min"));
    assert!(firing.body().contains("of memory available, minimum 100%"), "{}", firing.0);
    daemon.replace_policies(&["host:\n  load: { max: 100000 }\n  memory_available: { min: 100%, for: 1s }\n"]);
    daemon.reload();
    daemon.wait_for("reloaded", |event| event.name() == "procprobe.agent.reloaded");
    value(&daemon, "load", |_| true);
    daemon.assert_none("resolved by a reload", |event| event.is_alarm("resolved", "host.memory_available.min"));
    daemon.replace_policies(&["host:\n  load: { max: 100000 }\n"]);
    daemon.reload();
    let over = daemon.wait_for("removed", |event| event.is_alarm("resolved", "host.memory_available.min"));
    assert_eq!(over.text("reason"), "policy removed");
}

/// Commands in the place of the daemon's, on a kernel that seems to have no PSI.
const WITHOUT_PRESSURE: [&str; 6] =
    ["unshare", "--mount", "sh", "-c", "mount -t tmpfs none /proc/pressure && exec \"$@\"", "sh"];

#[test]
fn what_needs_pressure_figures_is_refused_at_its_place_where_the_kernel_has_none() {
    assert!(Path::new("/proc/pressure/memory").exists(), "this kernel has PSI");
    let policy = "host:\n  load: { max: 100000 }\n  pressure_io: { max: 10% }\n";
    let refused = Setup::new().policy(policy).under(WITHOUT_PRESSURE).refuse();
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(78), "{text}");
    for part in
        ["0.yaml:4:3: `pressure_io` cannot be judged on this kernel: /proc/pressure cannot be read", "CONFIG_PSI"]
    {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    let file = folder.path().join("host.yaml");
    fs::write(&file, format!("version: 1\n{policy}")).unwrap_or_else(|error| panic!("{error}"));
    let told = |arguments: &[&str]| {
        let [program, before @ ..] = WITHOUT_PRESSURE;
        let mut command = Command::new(program);
        command.args(before).arg(binary()).args(arguments).stdin(Stdio::null());
        let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (code, text) = told(&["check", &file.display().to_string()]);
    assert!(code == Some(1) && text.contains("host.yaml:4:3: `pressure_io` cannot be judged"), "{code:?}: {text}");
    let (_, text) = told(&["doctor"]);
    let line = text.lines().find(|line| line.contains("/proc/pressure cannot be read")).unwrap_or_default();
    assert!(line.starts_with("warn  pressure"), "{text}");
    // What is meant for kernels that have it is left out, and the rest of its file is judged.
    let guarded = format!(
        "host:\n- load: {{ max: 100000 }}\n- only_if: {{ path: /proc/pressure/memory }}\n{}",
        "  pressure_io: { max: 10% }\n"
    );
    let mut daemon = Setup::new().policy(&guarded).under(WITHOUT_PRESSURE).start();
    value(&daemon, "load", |_| true);
    assert!(bounds(&daemon, "pressure_io").is_empty(), "{}", daemon.status());
    assert_eq!(daemon.stop(), Some(0));
}
