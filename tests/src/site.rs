//! A site on one machine: hosts in network namespaces, joined by two bridges, one for each zone, with a collector reached
//! by a network of its own. Links are cut and joined again while real daemons run.
//!
//! ```text
//!   zone a: a1 a2 .. --[ bridge a ]--link--[ bridge b ]-- b1 b2 .. :zone b       10.77.0.0/24
//!   every host       --[ bridge of the collector ]-- collector                   10.78.0.0/24
//! ```
//!
//! The namespaces carry a name of the test's own and go with the site. A host can be put behind a lossy link: a relay that takes
//! frames from one end and gives them to the other, or not, or later, or twice ([`Site::lossy`]).

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::collector::Collector;
use crate::daemon::{Daemon, Setup, require_host};
use crate::home::wait_until;
use crate::mark;

/// Port that the collector listens on.
const COLLECTOR: &str = "10.78.0.254:8080";

/// One host: its network, its configuration and state, and its daemon while it runs.
#[derive(Debug)]
pub struct Host {
    /// Its name, which begins with its zone.
    pub name: String,
    number: usize,
    namespace: String,
    config: PathBuf,
    state: PathBuf,
    policy: Option<String>,
    daemon: Option<Daemon>,
}

/// All of it.
#[derive(Debug)]
pub struct Site {
    // Dropped first: daemons end before their networks go.
    hosts: Vec<Host>,
    relays: Vec<Child>,
    folder: TempDir,
    /// Where all hosts send their events.
    pub collector: Collector,
    networks: Networks,
}

/// The namespaces. Dropped, they are gone.
#[derive(Debug)]
struct Networks {
    mark: String,
    names: Vec<String>,
}

impl Networks {
    fn add(&mut self, what: &str) -> String {
        let name = format!("{}-{what}", self.mark);
        run(&format!("ip netns add {name}"));
        self.names.push(name.clone());
        run(&format!("ip -n {name} link set lo up"));
        name
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        for name in &self.names {
            // What is left of it goes with the machine.
            let _ = Command::new("ip").args(["netns", "delete", name]).status();
        }
    }
}

impl Site {
    /// Hosts of these names, the first letter being the zone, none of them started. `relayed` says which get a link that
    /// can be lossy.
    pub fn new(names: &[&str], relayed: &[&str]) -> Self {
        require_host();
        let folder = tempfile::Builder::new().prefix("site-").tempdir().unwrap_or_else(|error| panic!("{error}"));
        let mut networks = Networks { mark: mark().replace("mark", "pp"), names: Vec::new() };
        let switch = networks.add("sw");
        for bridge in ["bra", "brb", "brc"] {
            run(&format!("ip -n {switch} link add {bridge} type bridge && ip -n {switch} link set {bridge} up"));
        }
        run(&format!(
            "ip -n {switch} link add la type veth peer name lb && ip -n {switch} link set la master bra up && \
             ip -n {switch} link set lb master brb up"
        ));
        let there = networks.add("col");
        join(&switch, "col", "brc", &there, "eth1", "10.78.0.254/24");
        let collector = Collector::start_in(&file_of(&there), address(COLLECTOR));
        let key = folder.path().join("peers.key");
        let made = Command::new(crate::daemon::binary()).args(["peers", "key"]).arg(&key).status();
        assert!(made.is_ok_and(|status| status.success()), "no key");
        let mut hosts = Vec::new();
        for (number, name) in (1..).zip(names) {
            let namespace = networks.add(name);
            let zone = name.get(..1).unwrap_or_default();
            if relayed.contains(name) {
                // Two cables with nothing between them, until a relay is there.
                join(&switch, &format!("x{number}"), "", &namespace, "eth0", &format!("10.77.0.{number}/24"));
                run(&format!(
                    "ip -n {switch} link add y{number} type veth peer name h{number} && \
                     ip -n {switch} link set y{number} up && ip -n {switch} link set h{number} master br{zone} up"
                ));
            } else {
                let end = format!("h{number}");
                join(&switch, &end, &format!("br{zone}"), &namespace, "eth0", &format!("10.77.0.{number}/24"));
            }
            join(&switch, &format!("m{number}"), "brc", &namespace, "eth1", &format!("10.78.0.{number}/24"));
            let home = folder.path().join(name);
            fs::create_dir(&home).unwrap_or_else(|error| panic!("{error}"));
            let config = home.join("procprobe.yaml");
            let text = format!(
                "node: {{ name: {name}, zone: {zone}, labels: {{ role: test }} }}\n\
                 collector: {{ url: \"http://{COLLECTOR}/events\" }}\n\
                 peers: {{ listen: \"10.77.0.{number}:7946\", join: [10.77.0.1, 10.77.0.2], key_file: {} }}\n",
                key.display()
            );
            fs::write(&config, text).unwrap_or_else(|error| panic!("{error}"));
            let (name, state) = ((*name).to_owned(), home.join("state"));
            hosts.push(Host { name, number, namespace, config, state, policy: None, daemon: None });
        }
        Self { hosts, relays: Vec::new(), folder, collector, networks }
    }

    fn switch(&self) -> String {
        format!("{}-sw", self.networks.mark)
    }

    /// One of the hosts.
    pub fn host(&self, name: &str) -> &Host {
        self.hosts.iter().find(|host| host.name == name).unwrap_or_else(|| panic!("no host {name}"))
    }

    fn host_mut(&mut self, name: &str) -> &mut Host {
        self.hosts.iter_mut().find(|host| host.name == name).unwrap_or_else(|| panic!("no host {name}"))
    }

    /// All names.
    pub fn names(&self) -> Vec<String> {
        self.hosts.iter().map(|host| host.name.clone()).collect()
    }

    /// Its policies, from its next start on.
    pub fn policy(&mut self, name: &str, text: &str) {
        self.host_mut(name).policy = Some(text.to_owned());
    }

    /// Starts its daemon, on the state that it had.
    pub fn start(&mut self, name: &str) {
        let host = self.host_mut(name);
        let net = format!("--net={}", file_of(&host.namespace).display());
        let mut setup = Setup::new()
            .state(&host.state)
            .args(["--config".as_ref(), host.config.as_os_str()])
            .args(["--ring-bytes", "262144", "--events", "none"])
            .under(["nsenter", &net]);
        if let Some(policy) = &host.policy {
            setup = setup.policy(policy);
        }
        host.daemon = Some(setup.start());
    }

    /// Ends its daemon with SIGTERM.
    pub fn stop(&mut self, name: &str) {
        if let Some(mut daemon) = self.host_mut(name).daemon.take() {
            assert_eq!(daemon.stop(), Some(0), "{}", daemon.stream.describe());
        }
    }

    /// Kills its daemon with SIGKILL.
    pub fn kill(&mut self, name: &str) {
        drop(self.host_mut(name).daemon.take());
    }

    /// Cuts its link to the others (`h`), or to the collector (`m`).
    pub fn cut(&self, name: &str, kind: char) {
        self.link(&format!("{kind}{}", self.host(name).number), "down");
    }

    /// Joins it again.
    pub fn mend(&self, name: &str, kind: char) {
        self.link(&format!("{kind}{}", self.host(name).number), "up");
    }

    /// Cuts the zones from each other, or joins them again.
    pub fn zones(&self, joined: bool) {
        self.link("la", if joined { "up" } else { "down" });
    }

    fn link(&self, end: &str, state: &str) {
        run(&format!("ip -n {} link set {end} {state}", self.switch()));
    }

    /// From now on these two have no way to each other, or have one again; all others are not concerned.
    pub fn part(&self, one: &str, two: &str, apart: bool) {
        let verb = if apart { "add" } else { "del" };
        for (here, there) in [(one, two), (two, one)] {
            let (here, there) = (self.host(here), self.host(there));
            run(&format!("ip -n {} route {verb} blackhole 10.77.0.{}/32", here.namespace, there.number));
        }
    }

    /// Its relay runs: so many percent of the frames are lost and doubled, and each takes up to so many ms.
    pub fn lossy(&mut self, name: &str, lost: u32, doubled: u32, delay_ms: u32) {
        let number = self.host(name).number;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("site/relay.py");
        let child = Command::new("nsenter")
            .arg(format!("--net={}", file_of(&self.switch()).display()))
            .args(["python3".as_ref(), script.as_os_str()])
            .args([format!("x{number}"), format!("y{number}")])
            .args([lost, doubled, delay_ms].map(|number| number.to_string()))
            .stdin(Stdio::piped())
            .spawn();
        // Frames without checksums cannot be relayed: they are made by the sender from now on.
        let off = Path::new(env!("CARGO_MANIFEST_DIR")).join("site/checksums.py");
        run(&format!("nsenter --net={} python3 {} eth0", file_of(&self.host(name).namespace).display(), off.display()));
        run(&format!("nsenter --net={} python3 {} h{number}", file_of(&self.switch()).display(), off.display()));
        self.relays.push(child.unwrap_or_else(|error| panic!("no relay: {error}")));
    }

    /// Where the site lies.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Waits until a host holds this of others: `[(name, verdict)]`.
    pub fn wait_for(&self, host: &str, expected: &[(&str, &str)], within: Duration) {
        let mut last = Vec::new();
        let what = format!("{host} to hold {expected:?}");
        let holds = || {
            last = self.host(host).holds();
            expected.iter().all(|(name, verdict)| last.iter().any(|(other, held, _)| other == name && held == verdict))
        };
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| wait_until(&what, within, holds)));
        assert!(done.is_ok(), "{what}: {:?}\n{}", self.host(host).holds(), self.describe(host));
    }

    /// What a daemon has said.
    pub fn describe(&self, host: &str) -> String {
        self.host(host).daemon.as_ref().map(|daemon| daemon.stream.describe()).unwrap_or_default()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for relay in &mut self.relays {
            let _ = relay.kill();
            let _ = relay.wait();
        }
    }
}

impl Host {
    /// Its daemon. Panics while it has none.
    pub fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().unwrap_or_else(|| panic!("{} has no daemon", self.name))
    }

    /// `procprobe peers --format json`; null while it cannot answer.
    pub fn peers(&self) -> Value {
        let output = self.daemon().command(&["peers", "--format", "json"]);
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// Name, verdict and open incident of everybody, as it sees them.
    pub fn holds(&self) -> Vec<(String, String, Option<String>)> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let peers = self.peers();
        let members = peers["members"].as_array().into_iter().flatten();
        members
            .filter_map(|member| Some((text(&member["name"])?, text(&member["verdict"])?, text(&member["incident"]))))
            .collect()
    }
}

/// A cable from a bridge of the switch into a namespace.
fn join(switch: &str, end: &str, bridge: &str, namespace: &str, name: &str, address: &str) {
    let master = if bridge.is_empty() { String::new() } else { format!("master {bridge}") };
    run(&format!(
        "ip -n {switch} link add {end} type veth peer name {name} netns {namespace} && \
         ip -n {switch} link set {end} {master} up && ip -n {namespace} link set {name} up && \
         ip -n {namespace} addr add {address} dev {name}"
    ));
}

fn file_of(namespace: &str) -> PathBuf {
    Path::new("/run/netns").join(namespace)
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn run(script: &str) {
    let output = Command::new("sh").args(["-c", script]).output().unwrap_or_else(|error| panic!("sh: {error}"));
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}
