//! The container image and the manifest for Kubernetes: their form, by the tools of those who take them, and a pod of the one out
//! of the other on a node that is real but for Kubernetes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use procprobe_tests::actor::{came_and_went, come_and_go, group};
use procprobe_tests::collector::Collector;
use procprobe_tests::daemon::{PATIENCE, binary};
use procprobe_tests::home::wait_until;
use procprobe_tests::image::Image;
use procprobe_tests::mark;
use procprobe_tests::packages::package;
use procprobe_tests::pod::{Manifest, Pod};
use procprobe_tests::spare::SpareHost;
use serde_json::{Value, json};

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");
/// What it is validated against; each release understands what its neighbours do.
const KUBERNETES: &str = "1.37";

fn tree(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn manifest() -> Manifest {
    Manifest::read(&tree("docs/kubernetes/procprobe.yaml"))
}

fn archive() -> PathBuf {
    package("procprobe-", ".tar")
}

fn texts(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Strictly: a key that Kubernetes does not know is an error.
fn validated(path: &Path) -> Output {
    let mut command = Command::new("kubernetes-validate");
    command.args(["--strict", "--kubernetes-version", KUBERNETES]).arg(path);
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

#[test]
fn kubernetes_understands_every_key_of_the_manifest() {
    let path = tree("docs/kubernetes/procprobe.yaml");
    let output = validated(&path);
    assert!(output.status.success(), "{}", texts(&output));
    // It would have told.
    let text = fs::read_to_string(&path).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (right, wrong) in [("hostPID: true", "hostPid: true"), ("periodSeconds: 2", "periodSeconds: two")] {
        let misspelt = folder.path().join("misspelt.yaml");
        assert!(text.contains(right));
        fs::write(&misspelt, text.replacen(right, wrong, 1)).unwrap();
        let output = validated(&misspelt);
        assert!(!output.status.success(), "{wrong}: {}", texts(&output));
    }
}

#[test]
fn a_pod_gets_the_capabilities_of_the_unit() {
    let unit = fs::read_to_string(tree("xtask/package/procprobe.service")).unwrap();
    let line = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet=")).unwrap();
    let of_unit: BTreeSet<String> = line.split(' ').map(|name| name.trim_start_matches("CAP_").to_owned()).collect();
    let manifest = manifest();
    let container = &manifest.document("DaemonSet", "procprobe")["spec"]["template"]["spec"]["containers"][0];
    let added = container["securityContext"]["capabilities"]["add"].as_array().unwrap();
    let of_pod: BTreeSet<String> = added.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect();
    assert_eq!(of_pod, of_unit);
}

#[test]
fn the_manifests_policies_are_right_and_pass_their_tests() {
    let manifest = manifest();
    let policies = manifest.document("ConfigMap", "procprobe-policies")["data"].as_object().unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in policies {
        fs::write(folder.path().join(name), text.as_str().unwrap()).unwrap();
    }
    for command in ["check", "test"] {
        let output = Command::new(binary()).arg(command).arg(folder.path()).output().unwrap();
        assert!(output.status.success(), "{command}: {}", texts(&output));
    }
}

#[test]
fn the_images_daemon_needs_no_file_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let image = Image::unpack(&archive(), folder.path());
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    fs::copy(image.root.join("usr/bin/procprobe"), empty.join("procprobe")).unwrap();
    fs::write(empty.join("right.yaml"), "version: 1\ngroups:\n  web: { match: { exe: nginx }, count: { min: 1 } }\n")
        .unwrap();
    fs::write(empty.join("wrong.yaml"), "version: 1\ngroups:\n  web: { match: { exe: nginx }, cuont: { min: 1 } }\n")
        .unwrap();
    let said = |arguments: &[&str]| {
        let output = Command::new("chroot").arg(&empty).arg("/procprobe").args(arguments).output().unwrap();
        (output.status.code(), texts(&output))
    };
    for (arguments, code, part) in [
        (&["--version"][..], 0, env!("CARGO_PKG_VERSION")),
        (&["check", "/right.yaml"], 0, "1 group, 1 bound: no errors"),
        (&["check", "/wrong.yaml"], 1, "did you mean `count`"),
        (&["doctor"], 77, "/sys/kernel/btf/vmlinux"),
        (&["status"], 1, "start one with `procprobe run`"),
    ] {
        let (ended, text) = said(arguments);
        assert_eq!(ended, Some(code), "{arguments:?}: {text}");
        assert!(text.contains(part), "{arguments:?}: {text}");
    }
}

#[test]
fn the_image_has_what_the_daemon_reads_and_no_shell() {
    let folder = tempfile::tempdir().unwrap();
    let image = Image::unpack(&archive(), folder.path());
    assert_eq!(image.list("Entrypoint"), ["/usr/bin/procprobe"]);
    assert_eq!(image.list("Cmd").first().map(String::as_str), Some("run"));
    for path in [
        "etc/ssl/certs/ca-certificates.crt",
        "usr/share/zoneinfo/Asia/Seoul",
        "etc/procprobe/policies/oom.yaml",
        "usr/share/doc/procprobe/LICENSE-MIT",
    ] {
        assert!(image.root.join(path).is_file(), "no {path}");
    }
    let programs: Vec<_> =
        fs::read_dir(image.root.join("usr/bin")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(programs, ["procprobe"]);
    assert!(!image.root.join("bin").exists());
    // A policy that names a time zone, read with nothing but the image.
    let policy = "version: 1\njobs:\n  nightly: { match: { exe: x }, schedule: \"0 2 * * *\", timezone: Asia/Seoul }\n";
    fs::write(image.root.join("tmp/policy.yaml"), policy).unwrap();
    let output =
        Command::new("chroot").arg(&image.root).args(["/usr/bin/procprobe", "check", "/tmp/policy.yaml"]).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", texts(&output));
}

/// What the daemon in a pod answers.
fn status(pod: &Pod<'_>) -> Option<Value> {
    serde_json::from_slice(&pod.exec(["/usr/bin/procprobe", "status", "--format", "json"]).stdout).ok()
}

/// Starts it, and waits until its daemon answers and is well, as a startup probe does.
fn start<'a>(node: &'a SpareHost, manifest: &Manifest) -> Pod<'a> {
    let mut pod = Pod::prepare(node, &archive(), manifest, "procprobe");
    pod.start();
    let container = &manifest.document("DaemonSet", "procprobe")["spec"]["template"]["spec"]["containers"][0];
    let probe = &container["startupProbe"]["httpGet"];
    let url = format!(
        "http://{}:{}{}",
        probe["host"].as_str().unwrap(),
        probe["port"].as_u64().unwrap(),
        probe["path"].as_str().unwrap()
    );
    let deadline = Instant::now() + PATIENCE;
    let is_well = || {
        let asked = node.command("curl").args(["--silent", "--fail", &url]).output();
        asked.is_ok_and(|output| output.status.success())
    };
    while !is_well() {
        let ended = pod.has_ended();
        assert!(!ended && Instant::now() < deadline, "it is not well (ended: {ended}): {}", pod.said());
        thread::sleep(Duration::from_millis(100));
    }
    pod
}

/// How many starts and exits of processes with this mark the history of the node has.
fn told(pod: &Pod<'_>, mark: &str) -> (usize, usize) {
    let output = pod.exec(["/usr/bin/procprobe", "events", "--format", "json"]);
    came_and_went(&output.stdout, mark)
}

#[test]
fn a_pod_watches_its_node_sends_events_and_is_replaced_without_a_gap() {
    let (node, mark) = (SpareHost::new(), mark());
    node.run("echo '127.0.0.1 collector.observability.svc' >> /etc/hosts");
    let collector = Collector::start_in(&node.network(), ([127, 0, 0, 1], 8080).into());
    let mut manifest = manifest();
    // The lines that stand there as comments, and a policy of the test's own.
    let config = &mut manifest.document_mut("ConfigMap", "procprobe-config")["data"]["procprobe.yaml"];
    let text = config.as_str().unwrap();
    assert!(text.contains("\n#collector:"), "{text}");
    *config = json!(text.replace("\n#collector", "\ncollector").replace("\n#  ", "\n  ") + "start_grace: 1s\n");
    manifest.document_mut("ConfigMap", "procprobe-policies")["data"]["own.yaml"] =
        json!(format!("version: 1\n{}", group("ours", "exit", &mark, "count: { max: 1000 }")));
    manifest.0.push(json!({ "kind": "Secret", "metadata": { "name": "procprobe" },
        "stringData": { "collector.token": "not-a-secret" } }));

    let mut first = start(&node, &manifest);
    let report = status(&first).unwrap_or_else(|| panic!("{}", first.said()));
    assert_eq!(report["agent"]["pins"], "/run/bpf/procprobe", "{report}");
    assert_eq!(report["agent"]["degraded"], json!([]), "{report}");
    let named = Command::new("uname").arg("--nodename").output().unwrap();
    assert_eq!(report["agent"]["host"], String::from_utf8_lossy(&named.stdout).trim(), "{report}");
    come_and_go(ACTOR, 20, &mark);
    wait_until("starts and exits of the node's processes", PATIENCE, || told(&first, &mark) == (20, 20));
    wait_until("events at the collector, by its name", PATIENCE, || {
        collector.accepted().iter().filter(|event| event.has_arg(&mark) && event.is_exit()).count() >= 20
    });
    assert_eq!(first.stop(), Some(0), "{}", first.said());
    drop(first);

    // Nobody reads these; the kernel's programs, pinned in the node's bpf file system, have them.
    assert!(node.has("/sys/fs/bpf/procprobe"));
    come_and_go(ACTOR, 20, &mark);
    let mut second = start(&node, &manifest);
    come_and_go(ACTOR, 20, &mark);
    wait_until("all starts and exits", PATIENCE, || told(&second, &mark) == (60, 60));
    let report = status(&second).unwrap_or_else(|| panic!("{}", second.said()));
    assert_eq!(report["agent"]["degraded"], json!([]), "{report}");
    assert_eq!(second.stop(), Some(0), "{}", second.said());
}
