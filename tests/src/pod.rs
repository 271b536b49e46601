//! One pod of a Kubernetes manifest on a node: what the kubelet and a container runtime make of a DaemonSet's template, done with the
//! real runc on a [`SpareHost`] for the node.
//!
//! Done as they do it: command line, capabilities, read-only root, limit on memory, namespaces, masked paths, and volumes with the
//! modes that they have there (a ConfigMap is a folder that everybody may write, with links into one that only root may). Not
//! done: profiles of seccomp and AppArmor, which belong to the runtime, and probes, which the test asks itself.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::image::Image;
use crate::mark;
use crate::spare::SpareHost;

/// What runtimes hide of /proc and /sys, of what there is on every kernel.
const MASKED: [&str; 6] =
    ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/scsi", "/sys/firmware"];
/// What they leave to be read only.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The documents of a manifest.
#[derive(Clone, Debug)]
pub struct Manifest(pub Vec<Value>);

impl Manifest {
    /// Reads a file of YAML documents.
    pub fn read(path: &Path) -> Self {
        const TO_JSON: &str =
            "import json, sys, yaml\njson.dump(list(yaml.safe_load_all(open(sys.argv[1]))), sys.stdout)";
        let output = Command::new("python3").args(["-c", TO_JSON]).arg(path).output();
        let output = output.unwrap_or_else(|error| panic!("python3: {error}"));
        assert!(output.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&output.stderr));
        Self(serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    /// The document of this kind and name.
    pub fn document(&self, kind: &str, name: &str) -> &Value {
        let fits = |document: &&Value| document["kind"] == kind && document["metadata"]["name"] == name;
        self.0.iter().find(fits).unwrap_or_else(|| panic!("no {kind} {name}"))
    }

    /// The same, to be changed.
    pub fn document_mut(&mut self, kind: &str, name: &str) -> &mut Value {
        let fits = |document: &&mut Value| document["kind"] == kind && document["metadata"]["name"] == name;
        self.0.iter_mut().find(fits).unwrap_or_else(|| panic!("no {kind} {name}"))
    }
}

/// The pod. Dropped, everything in it is killed.
#[derive(Debug)]
pub struct Pod<'a> {
    node: &'a SpareHost,
    id: String,
    /// The bundle, the volumes, and what runc knows of it.
    folder: TempDir,
    runc: Option<Child>,
}

impl<'a> Pod<'a> {
    /// The one container of this DaemonSet's template, out of this image, not running yet.
    pub fn prepare(node: &'a SpareHost, image: &Path, manifest: &Manifest, daemon_set: &str) -> Self {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let digits: String = mark().chars().filter(char::is_ascii_hexdigit).collect();
        let pod = Self { node, id: format!("{digits:f<64}"), folder, runc: None };
        let image = Image::unpack(image, pod.folder.path());
        let spec = &manifest.document("DaemonSet", daemon_set)["spec"]["template"]["spec"];
        let [container] = spec["containers"].as_array().map(Vec::as_slice).unwrap_or_default() else {
            panic!("not one container: {spec}")
        };
        let config = pod.config(&image, spec, container, &pod.mounts(manifest, spec, container));
        let path = pod.folder.path().join("config.json");
        fs::write(&path, config.to_string()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        pod
    }

    /// Starts it; what it prints goes to a file of the node.
    pub fn start(&mut self) {
        let log = fs::File::create(self.log()).unwrap_or_else(|error| panic!("{error}"));
        let mut command = self.runc();
        command.args(["run", "--bundle"]).arg(self.folder.path()).arg(&self.id);
        command.stdout(Stdio::null()).stderr(log);
        self.runc = Some(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")));
    }

    /// What it has printed to its stderr so far.
    pub fn said(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// Runs a command in it, as `kubectl exec` does.
    pub fn exec<'w>(&self, words: impl IntoIterator<Item = &'w str>) -> Output {
        let mut command = self.runc();
        command.arg("exec").arg(&self.id).args(words);
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.runc.as_mut().is_none_or(|runc| runc.try_wait().is_ok_and(|ended| ended.is_some()))
    }

    /// Asks it to end, as the kubelet does; its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        let asked = self.runc().args(["kill", &self.id, "TERM"]).status();
        assert!(asked.is_ok_and(|status| status.success()), "it does not run: {}", self.said());
        self.runc.take().and_then(|mut runc| runc.wait().ok()).and_then(|status| status.code())
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn runc(&self) -> Command {
        let mut command = self.node.command("runc");
        command.arg("--root").arg(self.folder.path().join("state"));
        command
    }

    fn config(&self, image: &Image, spec: &Value, container: &Value, mounts: &[Value]) -> Value {
        let security = &container["securityContext"];
        let words = |value: &Value| -> Option<Vec<String>> {
            Some(value.as_array()?.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect())
        };
        let mut arguments = words(&container["command"]).unwrap_or_else(|| image.list("Entrypoint"));
        arguments.extend(words(&container["args"]).unwrap_or_else(|| image.list("Cmd")));
        assert_eq!(
            security["capabilities"]["drop"],
            json!(["ALL"]),
            "other capabilities would be those of the runtime"
        );
        let added = words(&security["capabilities"]["add"]).unwrap_or_default();
        let capabilities: Vec<String> = added.iter().map(|name| format!("CAP_{name}")).collect();
        // A template that does not say so has its own; the node's network is the spare host's.
        let mut namespaces = vec!["mount", "ipc", "cgroup"];
        namespaces.extend((spec["hostPID"] != true).then_some("pid"));
        namespaces.extend((spec["hostNetwork"] != true).then_some("network"));
        let namespaces: Vec<Value> = namespaces.into_iter().map(|kind| json!({ "type": kind })).collect();
        json!({
            "ociVersion": "1.0.2",
            "process": {
                "user": { "uid": security["runAsUser"].as_u64().unwrap_or(0), "gid": 0 },
                "args": arguments,
                "env": image.list("Env"),
                "cwd": "/",
                "noNewPrivileges": security["allowPrivilegeEscalation"] == false,
                "capabilities": { "bounding": capabilities, "effective": capabilities, "permitted": capabilities },
            },
            "root": { "path": image.root, "readonly": security["readOnlyRootFilesystem"] == true },
            "mounts": mounts,
            "linux": {
                "cgroupsPath": format!("/{}", self.id),
                "resources": { "memory": { "limit": bytes(&container["resources"]["limits"]["memory"]) } },
                "namespaces": namespaces,
                "maskedPaths": MASKED,
                "readonlyPaths": READ_ONLY,
            },
        })
    }

    /// What a runtime mounts by itself, and the volumes.
    fn mounts(&self, manifest: &Manifest, spec: &Value, container: &Value) -> Vec<Value> {
        let mut mounts = vec![
            json!({ "destination": "/proc", "type": "proc", "source": "proc" }),
            json!({ "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"] }),
            json!({ "destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"] }),
            json!({ "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec", "nodev", "ro"] }),
            bind("/etc/hosts", "/etc/hosts", true),
            bind("/etc/resolv.conf", "/etc/resolv.conf", true),
        ];
        let volumes: Vec<&Value> = spec["volumes"].as_array().into_iter().flatten().collect();
        for wanted in container["volumeMounts"].as_array().into_iter().flatten() {
            let volume = volumes.iter().find(|volume| volume["name"] == wanted["name"]);
            let volume = volume.unwrap_or_else(|| panic!("no volume for {wanted}"));
            let to = wanted["mountPath"].as_str().unwrap_or_else(|| panic!("{wanted}"));
            mounts.push(self.volume(manifest, volume, to, wanted["readOnly"] == true));
        }
        mounts
    }

    fn volume(&self, manifest: &Manifest, volume: &Value, to: &str, read_only: bool) -> Value {
        let name = volume["name"].as_str().unwrap_or_else(|| panic!("{volume}"));
        if let Some(path) = volume["hostPath"]["path"].as_str() {
            let kind = volume["hostPath"]["type"].as_str().unwrap_or_default();
            let test = match kind {
                "File" => "test -f",
                "Directory" => "test -d",
                "DirectoryOrCreate" => "mkdir -p",
                other => panic!("{name}: what does {other} mean?"),
            };
            self.node.run(format!("{test} '{path}'"));
            return bind(path, to, read_only);
        }
        if volume["emptyDir"].is_object() {
            return json!({ "destination": to, "type": "tmpfs", "source": "tmpfs", "options": ["mode=0777"] });
        }
        let folder = self.folder.path().join("volumes").join(name);
        let (files, mode) = if let Some(of) = volume["configMap"]["name"].as_str() {
            (texts(&manifest.document("ConfigMap", of)["data"]), &volume["configMap"]["defaultMode"])
        } else {
            let of = volume["secret"]["secretName"].as_str().unwrap_or_else(|| panic!("what is {volume}?"));
            let given =
                manifest.0.iter().any(|document| document["kind"] == "Secret" && document["metadata"]["name"] == of);
            assert!(given || volume["secret"]["optional"] == true, "no Secret {of}");
            let files = if given { texts(&manifest.document("Secret", of)["stringData"]) } else { Vec::new() };
            (files, &volume["secret"]["defaultMode"])
        };
        let mode = mode.as_u64().and_then(|mode| u32::try_from(mode).ok()).unwrap_or(0o644);
        projected(&folder, &files, mode).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        bind(&folder.display().to_string(), to, read_only)
    }
}

impl Drop for Pod<'_> {
    fn drop(&mut self) {
        // It may be gone; that is right, too.
        let _ = self.runc().args(["delete", "--force", &self.id]).stderr(Stdio::null()).status();
        if let Some(mut runc) = self.runc.take() {
            let _ = runc.wait();
        }
    }
}

fn bind(from: &str, to: &str, read_only: bool) -> Value {
    let options = if read_only { json!(["rbind", "ro"]) } else { json!(["rbind", "rw"]) };
    json!({ "destination": to, "type": "bind", "source": from, "options": options })
}

/// Names and contents.
fn texts(data: &Value) -> Vec<(String, String)> {
    let entries = data.as_object().into_iter().flatten();
    entries.filter_map(|(name, text)| Some((name.clone(), text.as_str()?.to_owned()))).collect()
}

/// As the kubelet lays them out: so that it can exchange all of them in one step.
fn projected(folder: &Path, files: &[(String, String)], mode: u32) -> std::io::Result<()> {
    let inside = folder.join("..2026_11_23_00_00_00.1");
    fs::create_dir_all(&inside)?;
    fs::set_permissions(folder, Permissions::from_mode(0o777))?;
    fs::set_permissions(&inside, Permissions::from_mode(0o755))?;
    symlink(inside.file_name().unwrap_or_default(), folder.join("..data"))?;
    for (name, text) in files {
        fs::write(inside.join(name), text)?;
        fs::set_permissions(inside.join(name), Permissions::from_mode(mode))?;
        symlink(Path::new("..data").join(name), folder.join(name))?;
    }
    Ok(())
}

/// `128Mi`
fn bytes(quantity: &Value) -> u64 {
    let text = quantity.as_str().unwrap_or_default();
    let number = text.strip_suffix("Mi").and_then(|number| number.parse::<u64>().ok());
    number.unwrap_or_else(|| panic!("how much is {quantity}?")) << 20
}
