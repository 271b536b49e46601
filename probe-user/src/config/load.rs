//! File, flags and policies put together: once at the start, and again at each SIGHUP.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::values::{self, Listen};
use super::{Config, DEFAULT_FILE, DEFAULT_POLICIES, decode};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::engine::Processes;
use crate::forward::{Endpoint, Protocol, Settings};
use crate::host::identity::kernel_name;
use crate::host::lacks;
use crate::policy::spec::{PolicySet, Users};
use crate::policy::{self, HostLabels, users};
use crate::yaml::read::{self, Trust};

/// What the command line says; it wins over the file. Paths are as typed.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--config`; without it [`DEFAULT_FILE`], if it is there.
    pub config: Option<PathBuf>,
    /// `--policies`; instead of those of the file.
    pub policies: Vec<PathBuf>,
    /// `--collector`; instead of those of the file.
    pub collector: Option<Endpoint>,
    /// `--protocol`, of that collector.
    pub protocol: Option<Protocol>,
    /// `--state-dir`
    pub state_dir: Option<PathBuf>,
    /// `--socket`
    pub socket: Option<PathBuf>,
    /// `--http`
    pub http: Option<Listen>,
    /// `--sample-interval`
    pub sample_interval: Option<Duration>,
    /// `--start-grace`
    pub start_grace: Option<Duration>,
    /// `--limit-cpu`, a share of one core.
    pub limit_cpu: Option<f64>,
    /// `--limit-memory`, bytes.
    pub limit_memory: Option<u64>,
    /// `--events`
    pub processes: Option<Processes>,
    /// `--pin-dir`, or nowhere with `--no-pin`.
    pub pins: Option<Option<PathBuf>>,
}

/// Everything that the daemon is started or reloaded with.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// What it runs by.
    pub config: Config,
    /// What it holds processes against.
    pub policies: Arc<PolicySet>,
    /// The host's users.
    pub users: Arc<Users>,
    /// Policy files read.
    pub files: usize,
    /// What of the policies is not meant for this host, and why: nothing to worry about.
    pub left_out: Vec<String>,
    /// What works less well than it should.
    pub notes: Vec<String>,
    /// Where it all came from, to load it again.
    pub flags: Flags,
}

impl Flags {
    /// The configuration: the file under the flags. Every error of the file at once.
    pub fn config(&self, trust: Trust) -> Result<Config, Diagnostics> {
        let mut config = match self.config_file() {
            Some(path) => decode::decode(&read::file(path, trust)?)?,
            None => Config::default(),
        };
        if !self.policies.is_empty() {
            config.policies = Some(self.policies.clone());
        }
        if let Some(endpoint) = &self.collector {
            config.collectors = vec![self.collector(endpoint)?];
        }
        set(&mut config.state_dir, self.state_dir.as_ref());
        set(&mut config.api.socket, self.socket.as_ref());
        if let Some(Listen(listen)) = self.http {
            config.http.listen = listen;
            check_token(&config)?;
        }
        set(&mut config.sample_interval, self.sample_interval.as_ref());
        set(&mut config.start_grace, self.start_grace.as_ref());
        set(&mut config.limits.cpu, self.limit_cpu.as_ref());
        set(&mut config.limits.memory, self.limit_memory.as_ref());
        set(&mut config.events.processes, self.processes.as_ref());
        set(&mut config.pins, self.pins.as_ref());
        Ok(config)
    }

    /// Configuration and policies, all or nothing: the errors of both are told at once.
    pub fn load(&self, trust: Trust) -> Result<Prepared, Diagnostics> {
        let config = self.config(trust);
        // With a wrong configuration the policies are still looked at, where the flags name them.
        let looked_at = config.as_ref().ok().cloned().unwrap_or_else(|| self.without_file());
        let policies = policy::load(&policy_paths(&looked_at), &host_labels(&looked_at), &lacks::read(), trust);
        let (config, loaded) = match (config, policies) {
            (Ok(config), Ok(loaded)) => (config, loaded),
            (config, policies) => {
                let mut all = Diagnostics::new();
                for wrong in [config.err(), policies.err()].into_iter().flatten() {
                    wrong.iter().for_each(|diagnostic| all.push(diagnostic.clone()));
                }
                return Err(all);
            }
        };
        // The first line has the place; the rest points into the file, for `procprobe check`.
        let first_line = |note: &Diagnostic| note.to_string().lines().next().unwrap_or_default().to_owned();
        let left_out = loaded.notes.iter().map(first_line).collect();
        if loaded.policies.is_empty() {
            tracing::warn!("no policies are in force: nothing can fire; `--events all` tells every process");
        }
        let mut notes = Vec::new();
        let users = users::read().unwrap_or_else(|error| {
            notes.push(format!("/etc/passwd cannot be read ({error}): users are known by number only"));
            Users::default()
        });
        Ok(Prepared {
            config,
            policies: Arc::new(loaded.policies),
            users: Arc::new(users),
            files: loaded.files,
            left_out,
            notes,
            flags: self.clone(),
        })
    }

    fn collector(&self, endpoint: &Endpoint) -> Result<Settings, Diagnostics> {
        let mut settings = Settings::to(vec![endpoint.clone()]);
        if self.protocol.is_none() && endpoint.looks_like_otlp() {
            let mut wrong = Diagnostics::new();
            let message = "port and path are those of OTLP, but no protocol is given";
            wrong.push(Diagnostic::of_file("--collector", message).help("add --protocol otlp, or --protocol ndjson"));
            return Err(wrong);
        }
        settings.wire.protocol = self.protocol.unwrap_or_default();
        Ok(settings)
    }

    fn config_file(&self) -> Option<&Path> {
        match &self.config {
            Some(path) => Some(path),
            None => Some(Path::new(DEFAULT_FILE)).filter(|path| path.exists()),
        }
    }

    fn without_file(&self) -> Config {
        Config { policies: Some(self.policies.clone()), ..Config::default() }
    }
}

impl Prepared {
    /// The same from the same places as they are now. On any error what is in force should stay.
    pub fn again(&self) -> Result<Self, Diagnostics> {
        self.flags.load(Trust::OwnerOnly)
    }
}

impl Config {
    /// The settings that differ and take a restart: a reload cannot put them in force.
    pub fn fixed_differences(&self, other: &Self) -> Vec<&'static str> {
        let of_peers = |of: &Self| {
            of.peers.as_ref().map_or((None, None, None), |of| (Some(of.listen), of.advertise, of.open_port))
        };
        let (listen, advertise, open_port) = of_peers(self);
        let (other_listen, other_advertise, other_open_port) = of_peers(other);
        let differences = [
            ("node.name", self.node.name != other.node.name),
            ("peers.listen", listen != other_listen),
            ("peers.advertise", advertise != other_advertise),
            ("peers.open_port", open_port != other_open_port),
            ("events.args_max", self.events.args_max != other.events.args_max),
            ("state.dir", self.state_dir != other.state_dir),
            ("state.spool_max", self.spool_max != other.spool_max),
            ("state.when_full", self.when_full != other.when_full),
            ("state.measures_max", self.measures_max != other.measures_max),
            ("api", self.api != other.api),
            ("pins", self.pins != other.pins),
        ];
        differences.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
    }
}

/// An address of the command line's beyond loopback takes the file's token.
fn check_token(config: &Config) -> Result<(), Diagnostics> {
    let mut diagnostics = Diagnostics::new();
    if config.http.listen.is_some_and(|address| !values::is_loopback(address)) && config.http.token_file.is_none() {
        let why = Diagnostic::of_file("--http", "whoever reaches this address could read the metrics");
        diagnostics.push(why.help("set http.token_file in the configuration, or listen on 127.0.0.1 or [::1]"));
    }
    diagnostics.or(())
}

/// What policy files select hosts by.
pub fn host_labels(config: &Config) -> HostLabels {
    HostLabels { name: config.node.name.clone().unwrap_or_else(kernel_name), labels: config.node.labels.clone() }
}

/// The named policies, or the default directory if it is there.
pub(crate) fn policy_paths(config: &Config) -> Vec<PathBuf> {
    match &config.policies {
        Some(paths) => paths.clone(),
        None => Some(PathBuf::from(DEFAULT_POLICIES)).filter(|path| path.exists()).into_iter().collect(),
    }
}

fn set<T: Clone>(place: &mut T, value: Option<&T>) {
    if let Some(value) = value {
        place.clone_from(value);
    }
}
