//! The daemon's configuration: `/etc/procprobe/procprobe.yaml` under the flags of the command line.
//!
//! - [`keys`] says which keys there are; keys of a later version are refused by name, never ignored.
//! - [`decode`] reads a file, every error at once; [`mask`] keeps secrets out of what is shown of it.
//! - [`load`] puts file, flags and policies together ([`load::Prepared`]), at the start and again at each SIGHUP.
//!
//! Everything has a default, so that no file is needed. Failure is whole: either all of it is in force or none.

mod decode;
mod keys;
pub mod load;
mod peers;
#[cfg(test)]
mod tests;
pub mod values;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use regex::Regex;

use crate::agent::Limits;
use crate::engine::Processes;
use crate::forward;
use crate::kernel::pins::DEFAULT_PINS;
use crate::series;
use crate::spool::WhenFull;
pub use keys::CONFIG;
pub use peers::{DEFAULT_PORT, Join, Peers};

/// Where the configuration is looked for when no `--config` is given.
pub const DEFAULT_FILE: &str = "/etc/procprobe/procprobe.yaml";
/// Where policies are looked for when none are named.
pub const DEFAULT_POLICIES: &str = "/etc/procprobe/policies";
/// The local API's socket.
pub const DEFAULT_SOCKET: &str = "/run/procprobe/api.sock";
/// The state directory.
pub const DEFAULT_STATE: &str = "/var/lib/procprobe";
/// Where metrics are.
pub const DEFAULT_HTTP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9464);
/// Most bytes that events take on disk.
pub const DEFAULT_SPOOL_MAX: u64 = 256 << 20;
/// The group that may use the local API, where the host has it and no other is configured.
pub const DEFAULT_GROUP: &str = "procprobe";

/// What the daemon runs by, defaults filled in.
#[derive(Clone, Debug)]
pub struct Config {
    /// This host among others.
    pub node: Node,
    /// Policy files and directories; `None`: the default directory, if it is there.
    pub policies: Option<Vec<PathBuf>>,
    /// How often usage is sampled while a policy or a viewer asks for it.
    pub sample_interval: Duration,
    /// How long after the first scan nothing fires.
    pub start_grace: Duration,
    /// What is told of processes.
    pub events: Events,
    /// Each gets every event.
    pub collectors: Vec<forward::Settings>,
    /// Where the daemon keeps what must outlive it.
    pub state_dir: PathBuf,
    /// Most bytes that events take on disk.
    pub spool_max: u64,
    /// What happens when they would take more.
    pub when_full: WhenFull,
    /// Most bytes that the history of measures takes on disk.
    pub measures_max: u64,
    /// Where programs and maps outlive the daemon, in a bpf file system; `None`: nowhere.
    pub pins: Option<PathBuf>,
    /// The local API.
    pub api: Api,
    /// Metrics and health over HTTP.
    pub http: Http,
    /// Hosts that watch each other; `None`: this one watches nobody.
    pub peers: Option<Peers>,
    /// What the daemon may use.
    pub limits: Limits,
}

/// This host among others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Instead of the kernel's host name.
    pub name: Option<String>,
    /// What policies can select hosts by; `zone` is one of them.
    pub labels: BTreeMap<String, String>,
}

/// What is told of processes; policies see everything in any case.
#[derive(Clone, Debug)]
pub struct Events {
    /// For which processes start and exit are told.
    pub processes: Processes,
    /// Forks that have not executed anything are told too.
    pub forks: bool,
    /// Arguments are told.
    pub args: bool,
    /// How many bytes of the arguments are recorded.
    pub args_max: u32,
    /// What is replaced in arguments before they are told.
    pub redact: Vec<Regex>,
}

/// The local API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// Path of the unix socket.
    pub socket: PathBuf,
    /// Its permissions.
    pub mode: u32,
    /// Its group, by name or number; `None`: [`DEFAULT_GROUP`] where the host has it.
    pub group: Option<String>,
}

/// Metrics and health over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// Where; `None`: nowhere. Beyond loopback only with a token.
    pub listen: Option<SocketAddr>,
    /// A bearer token that clients must show.
    pub token_file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            node: Node::default(),
            policies: None,
            sample_interval: Duration::from_secs(1),
            start_grace: Duration::from_secs(10),
            events: Events::default(),
            collectors: Vec::new(),
            state_dir: DEFAULT_STATE.into(),
            spool_max: DEFAULT_SPOOL_MAX,
            when_full: WhenFull::default(),
            measures_max: series::DEFAULT_MAX,
            pins: Some(DEFAULT_PINS.into()),
            api: Api::default(),
            http: Http::default(),
            peers: None,
            limits: Limits::default(),
        }
    }
}

impl Default for Events {
    fn default() -> Self {
        Self { processes: Processes::Matched, forks: false, args: true, args_max: 1024, redact: Vec::new() }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: Some(DEFAULT_HTTP), token_file: None }
    }
}

impl Default for Api {
    fn default() -> Self {
        Self { socket: DEFAULT_SOCKET.into(), mode: 0o660, group: None }
    }
}
