//! The packages, with the tools of those who install them: what they bring, and a life of the .deb from its installation
//! over an upgrade under a daemon at work to its purge.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use procprobe_tests::actor::{came_and_went, come_and_go, group};
use procprobe_tests::daemon::PATIENCE;
use procprobe_tests::home::wait_until;
use procprobe_tests::mark;
use procprobe_tests::packages::package;
use procprobe_tests::spare::SpareHost;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");

fn deb(revision: u32) -> PathBuf {
    package("procprobe_", &format!("-{revision}_{}.deb", if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" }))
}

fn said(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Files alone, as absolute paths.
fn files(listed: impl Iterator<Item = String>) -> BTreeSet<String> {
    listed.filter(|path| !path.ends_with('/')).collect()
}

#[test]
fn all_kinds_bring_the_same_files() {
    let listed = said(Command::new("sh").args(["-c", "dpkg-deb --fsys-tarfile \"$1\" | tar --list", "sh"]).arg(deb(1)));
    let of_deb = files(listed.lines().map(|line| line.trim_start_matches('.').to_owned()));
    let listed = said(Command::new("tar").arg("--list").arg("--file").arg(package("procprobe-", ".tar.gz")));
    let of_tarball = files(
        listed.lines().map(|line| line.split_once('/').map_or("", |(_, path)| path)).map(|path| format!("/{path}")),
    );
    let listed = said(Command::new("rpm").args(["--query", "--list", "--package"]).arg(package("procprobe-", ".rpm")));
    let folders = ["/etc/procprobe", "/etc/procprobe/policies"];
    let of_rpm = files(listed.lines().filter(|line| !folders.contains(line)).map(str::to_owned));
    assert_eq!(of_deb, of_tarball);
    assert_eq!(of_deb, of_rpm);
    for path in [
        "/usr/bin/procprobe",
        "/usr/lib/systemd/system/procprobe.service",
        "/etc/procprobe/procprobe.yaml",
        "/etc/procprobe/policies/base.yaml",
        "/usr/share/man/man1/procprobe.1.gz",
        "/usr/share/man/man1/procprobe-run.1.gz",
        "/usr/share/bash-completion/completions/procprobe",
        "/usr/share/procprobe/policies.schema.json",
        "/usr/share/doc/procprobe/docs/getting-started.md",
        "/usr/share/doc/procprobe/policies/examples/nginx.yaml",
    ] {
        assert!(of_deb.contains(path), "no {path} in {of_deb:?}");
    }
}

#[test]
fn rpm_leaves_what_people_wrote_and_is_heard_of_by_the_service_manager() {
    let rpm = package("procprobe-", ".rpm");
    let query = |what: &[&str]| said(Command::new("rpm").arg("--query").args(what).arg("--package").arg(&rpm));
    let configuration = query(&["--configfiles"]);
    assert!(configuration.lines().all(|line| line.starts_with("/etc/procprobe/")), "{configuration}");
    assert!(configuration.contains("/etc/procprobe/procprobe.yaml"), "{configuration}");
    let scripts = query(&["--scripts"]);
    for part in [
        "preset procprobe.service",
        "disable --now procprobe.service",
        "try-restart procprobe.service",
        "procprobe unload",
    ] {
        assert!(scripts.contains(part), "no `{part}` in {scripts}");
    }
    let wanted = query(&["--requires"]);
    assert!(wanted.lines().any(|line| line.starts_with("glibc >= 2.")), "{wanted}");
}

/// What a host needs for the unit's `ExecStart=`, without the service manager.
struct Service {
    daemon: Child,
}

impl Service {
    /// Starts what the installed unit starts, after what it starts before that.
    fn start(host: &SpareHost) -> Self {
        let unit = host.run("cat /usr/lib/systemd/system/procprobe.service");
        let line =
            |key: &str| unit.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_else(|| panic!("no {key}"));
        host.run(line("ExecStartPre=-"));
        host.run("mkdir -p /run/procprobe /var/lib/procprobe");
        let daemon = host
            .command("sh")
            .args(["-c", &format!("exec {} > /dev/null 2> /run/procprobe.log", line("ExecStart="))])
            .spawn();
        let mut service = Self { daemon: daemon.unwrap() };
        let deadline = Instant::now() + PATIENCE;
        while asked(host, "status").is_none() {
            let ended = service.daemon.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "the daemon does not answer ({ended:?}): {}",
                host.run("cat /run/procprobe.log")
            );
            thread::sleep(Duration::from_millis(100));
        }
        service
    }

    fn stop(&mut self) {
        let pid = i32::try_from(self.daemon.id()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
        assert_eq!(self.daemon.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It has been stopped already, unless the test failed.
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

/// What a command of the installed program prints as JSON.
fn asked(host: &SpareHost, what: &str) -> Option<Value> {
    let output = host.command("procprobe").args([what, "--format", "json"]).output().unwrap();
    serde_json::from_slice(&output.stdout).ok()
}

/// How many starts and exits of processes with this mark the history has.
fn told(host: &SpareHost, mark: &str) -> (usize, usize) {
    let output = host.command("procprobe").args(["events", "--format", "json"]).output().unwrap();
    came_and_went(&output.stdout, mark)
}

#[test]
fn a_life_of_the_package_from_installation_to_purge() {
    let (host, mark) = (SpareHost::new(), mark());
    assert!(!host.has("/usr/bin/procprobe"), "this host has procprobe installed: its tests cannot install it");
    // Indexing all manual pages of the host takes most of a minute, and nobody reads them here.
    host.run("rm -f /var/lib/man-db/auto-update");
    host.run(format!("dpkg --install '{}'", deb(1).display()));
    assert_eq!(host.run("dpkg-query --show --showformat='${Status}' procprobe"), "install ok installed");
    assert_eq!(host.run("dpkg --verify procprobe"), "");
    assert!(host.has("/etc/systemd/system/multi-user.target.wants/procprobe.service"), "it starts with the host");
    host.run("procprobe check --config /etc/procprobe/procprobe.yaml");
    host.run("procprobe check");
    host.run("systemd-analyze verify /usr/lib/systemd/system/procprobe.service");

    let policy = format!("version: 1\n{}", group("packaged", "exit", &mark, "count: { max: 1000 }"));
    fs::write(std::env::temp_dir().join(&mark), policy).unwrap();
    host.run(format!(
        "cp '{0}' /etc/procprobe/policies/own.yaml && rm '{0}'",
        std::env::temp_dir().join(&mark).display()
    ));
    host.run("echo 'start_grace: 1s' >> /etc/procprobe/procprobe.yaml");
    let mut first = Service::start(&host);
    come_and_go(ACTOR, 20, &mark);
    host.run(format!("dpkg --install '{}'", deb(2).display()));
    assert!(host.run("cat /etc/procprobe/procprobe.yaml").contains("start_grace: 1s\n"), "what people wrote stays");
    first.stop();
    // Nobody reads these; the kernel's programs, which outlive the daemon, have them.
    come_and_go(ACTOR, 20, &mark);
    let mut second = Service::start(&host);
    come_and_go(ACTOR, 20, &mark);
    wait_until("all starts and exits", PATIENCE, || told(&host, &mark) == (60, 60));
    second.stop();

    assert!(host.has("/sys/fs/bpf/procprobe"), "the programs wait for the next daemon");
    host.run("dpkg --remove procprobe");
    assert!(!host.has("/usr/bin/procprobe") && !host.has("/sys/fs/bpf/procprobe"));
    assert!(host.has("/etc/procprobe/procprobe.yaml") && host.has("/var/lib/procprobe/spool"));
    host.run("dpkg --purge procprobe");
    assert!(!host.has("/var/lib/procprobe") && !host.has("/etc/procprobe/procprobe.yaml"));
    assert!(host.has("/etc/procprobe/policies/own.yaml"), "what the package did not bring it does not take away");
}

#[test]
fn the_unit_leaves_little_to_whoever_takes_the_daemon_over() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../xtask/package/procprobe.service");
    let judged = said(
        Command::new("systemd-analyze").args(["security", "--offline=true", "--no-pager", "--threshold=41"]).arg(unit),
    );
    assert!(judged.contains("Overall exposure level"), "{judged}");
}

#[test]
fn what_the_configuration_shows_behind_comments_is_understood() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../xtask/package/procprobe.yaml");
    let text = fs::read_to_string(path).unwrap();
    let uncommented: Vec<&str> = text
        .lines()
        .map(|line| {
            line.strip_prefix('#').filter(|rest| !rest.starts_with(' ') || rest.starts_with("  ")).unwrap_or(line)
        })
        .filter(|line| {
            !line.contains("token_file") && !line.starts_with("policies:") && !line.contains("group: procprobe")
        })
        .collect();
    let uncommented = uncommented.join("\n");
    assert!(uncommented.lines().any(|line| line.starts_with("limits:")), "{uncommented}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("procprobe.yaml");
    fs::write(&file, &uncommented).unwrap();
    said(Command::new(procprobe_tests::daemon::binary()).args(["check", "--config"]).arg(&file));
}
