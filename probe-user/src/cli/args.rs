//! What can be typed. Values are checked here one by one; what they mean together is decided where they are used.

mod typed;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

pub use self::typed::{Format, ReportFormat, SchemaOf, Sent, Told};
use self::typed::{
    cpu_limit, endpoint, max_size, measure, memory_limit, name_glob, past, pid, pin_dir, ring_bytes, sample_interval,
    socket,
};
use crate::config::{DEFAULT_SOCKET, values};
use crate::forward::Endpoint;
use crate::telemetry::LogFormat;
use crate::yaml;

/// Knows every process of this host and holds it against policies.
#[derive(Debug, Parser)]
#[command(name = "procprobe", version, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Watch this host: events go to stdout, and to a collector where one is configured
    Run(RunArgs),
    /// Validate policies, every error at once
    Check(CheckArgs),
    /// Play the tests of policies in virtual time
    Test(TestArgs),
    /// Say which groups a process belongs to, and why not to the others
    Match(MatchArgs),
    /// Write everything that the kernel tells into a file, to hold policies against it later
    Record(RecordArgs),
    /// Hold policies against a recording: the events they would have raised, and how near each bound came
    Replay(ReplayArgs),
    /// Print what the daemon told, from its local history
    Events(EventsArgs),
    /// Sum up what the daemon told: alarms, jobs, what used most, losses
    Report(ReportArgs),
    /// Show what a group or job used: its measures over an hour, a day, a week
    History(HistoryArgs),
    /// Say how the daemon stands: groups, alarms, losses, its own cost
    Status(StatusArgs),
    /// Say who of the site is there, as this host knows it; or make the key that a site shares
    Peers(PeersArgs),
    /// Show it live in a terminal: groups, alarms, processes, starts and ends, jobs, peers
    Top(TopArgs),
    /// Remove what a daemon that has ended left in the kernel, programs and maps
    Unload(UnloadArgs),
    /// Say what this kernel and these capabilities allow, with the remedy
    Doctor(DoctorArgs),
    /// Print the JSON Schema of policy files, for editors
    Schema(SchemaArgs),
    /// Print the completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man(ManArgs),
    /// Carry out a daemon's actions; started by the daemon
    #[command(hide = true)]
    Act,
    /// Execute an action's program as its user; started by `act`
    #[command(hide = true)]
    Become(crate::act::become_user::Become),
}

/// `run`
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Configuration file [default: /etc/procprobe/procprobe.yaml, if it is there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Policy files and directories [default: /etc/procprobe/policies, if it is there]
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub policies: Vec<PathBuf>,
    /// Send events to this URL, in place of the configuration's collectors
    #[arg(long, value_name = "URL", value_parser = endpoint)]
    pub collector: Option<Endpoint>,
    /// What --collector is sent: one JSON object a line, or OpenTelemetry's protocol [default: ndjson]
    #[arg(long, value_enum, value_name = "WHICH", requires = "collector")]
    pub protocol: Option<Sent>,
    /// Directory for what must outlive the daemon [default: /var/lib/procprobe]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Socket of the local API [default: /run/procprobe/api.sock]
    #[arg(long, value_name = "PATH", value_parser = socket)]
    pub socket: Option<PathBuf>,
    /// Where the page, metrics and health are answered over HTTP [default: 127.0.0.1:9464]
    #[arg(long, value_name = "ADDR|off", value_parser = values::listen)]
    pub http: Option<values::Listen>,
    /// How often usage is sampled while a policy asks for it [default: 1s]
    #[arg(long, value_name = "DURATION", value_parser = sample_interval)]
    pub sample_interval: Option<Duration>,
    /// Nothing fires for so long after the start [default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = yaml::units::duration)]
    pub start_grace: Option<Duration>,
    /// What the daemon may use of one core before it leaves things out, its kernel programs included [default: 1%]
    #[arg(long, value_name = "PERCENT", value_parser = cpu_limit)]
    pub limit_cpu: Option<f64>,
    /// What it may use of memory, likewise [default: 64MiB]
    #[arg(long, value_name = "SIZE", value_parser = memory_limit)]
    pub limit_memory: Option<u64>,
    /// For which processes start and exit are told [default: matched]
    #[arg(long, value_name = "WHICH")]
    pub events: Option<Told>,
    /// How events look on stdout [default: text on a terminal, else json]
    #[arg(long)]
    pub format: Option<Format>,
    /// How the log looks on stderr
    #[arg(long, value_enum, default_value_t)]
    pub log_format: LogFormat,
    /// Directory in a bpf file system for what is to outlive the daemon in the kernel [default: /sys/fs/bpf/procprobe]
    #[arg(long, value_name = "DIR", value_parser = pin_dir)]
    pub pin_dir: Option<PathBuf>,
    /// Leave nothing in the kernel when the daemon ends: what happens until the next start is not known
    #[arg(long, conflicts_with = "pin_dir")]
    pub no_pin: bool,
    /// Size of the kernel's ring buffer, a power of two
    #[arg(long, hide = true, value_name = "N", value_parser = ring_bytes)]
    pub ring_bytes: Option<u32>,
}

/// `unload`
#[derive(Debug, Args)]
pub struct UnloadArgs {
    /// Directory in the bpf file system [default: that of the configuration, else /sys/fs/bpf/procprobe]
    #[arg(long, value_name = "DIR", value_parser = pin_dir)]
    pub pin_dir: Option<PathBuf>,
    /// Configuration file, for `pins` [default: /etc/procprobe/procprobe.yaml, if it is there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// `check`
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Policy files and directories [default: those of the configuration; without any argument all that `run` would load]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Configuration file to check as well; `hosts:` is held against its `node`
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// `test`
#[derive(Debug, Args)]
pub struct TestArgs {
    /// Policy files and directories; `hosts` and `only_if` keep nothing out
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,
    /// How the outcome looks
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `match`
#[derive(Debug, Args)]
pub struct MatchArgs {
    /// A process that lives; without it --exe and others describe one that might
    #[arg(required_unless_present = "fields", conflicts_with = "fields", value_parser = pid)]
    pub pid: Option<u32>,
    /// A process that might
    #[command(flatten)]
    pub fields: FieldArgs,
    /// Ask these policies instead of a daemon
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub policies: Vec<PathBuf>,
    /// Socket of the daemon to ask
    #[arg(long, value_name = "PATH", value_parser = socket, default_value = DEFAULT_SOCKET)]
    pub socket: PathBuf,
    /// How the answer looks
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
}

/// A process that might be.
#[derive(Debug, Args)]
#[group(id = "fields", multiple = true)]
pub struct FieldArgs {
    /// Path of its executable
    #[arg(long)]
    pub exe: Option<String>,
    /// Its arguments, joined by spaces
    #[arg(long, allow_hyphen_values = true)]
    pub args: Option<String>,
    /// Its user, by name or number
    #[arg(long)]
    pub user: Option<String>,
    /// The kernel's name of it [default: the executable's file name]
    #[arg(long)]
    pub comm: Option<String>,
    /// Path of its cgroup
    #[arg(long)]
    pub cgroup: Option<String>,
}

/// `record`
#[derive(Debug, Args)]
pub struct RecordArgs {
    /// File to make, readable by its owner alone; it must not be there yet
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Stop after so long [default: when interrupted]
    #[arg(long, value_name = "DURATION", value_parser = yaml::units::duration)]
    pub duration: Option<Duration>,
    /// Stop when the file would become larger
    #[arg(long, value_name = "SIZE", value_parser = max_size, default_value = "1GiB")]
    pub max_size: u64,
    /// How often usage is sampled [default: 1s]
    #[arg(long, value_name = "DURATION", value_parser = sample_interval)]
    pub sample_interval: Option<Duration>,
    /// Leave the arguments of processes out: they can hold secrets, but policies that match them find nothing
    #[arg(long)]
    pub no_args: bool,
    /// Policy files and directories whose `logs` say which lines of which files are recorded; with `peers` in them what the
    /// host's daemon knows of other hosts is recorded, too. Nothing else of them matters
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub policies: Vec<PathBuf>,
    /// Configuration file, for `node`, `sample_interval` and `events.args_max` [default:
    /// /etc/procprobe/procprobe.yaml, if it is there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// `replay`
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// What `procprobe record` wrote
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Policy files and directories
    #[arg(long, value_name = "PATH", num_args = 1.., required = true)]
    pub policies: Vec<PathBuf>,
    /// Suggest bounds for each group from what it did, as YAML to paste
    #[arg(long)]
    pub suggest: bool,
    /// How events and summary look on stdout [default: text on a terminal, else json]
    #[arg(long)]
    pub format: Option<Format>,
    /// Print the events whose name matches [default: all but those of single processes]
    #[arg(long, value_name = "NAME-GLOB")]
    pub events: Option<String>,
    /// Nothing fires for so long after the beginning of the recording
    #[arg(long, value_name = "DURATION", value_parser = yaml::units::duration, default_value = "10s")]
    pub start_grace: Duration,
}

/// `events`
#[derive(Debug, Args)]
pub struct EventsArgs {
    /// Only events of so long ago or later [default: all that is kept, with --follow what comes]
    #[arg(long, value_name = "DURATION", value_parser = past)]
    pub since: Option<String>,
    /// Only events whose name matches, such as `*.policy.*`
    #[arg(long, value_name = "GLOB", value_parser = name_glob)]
    pub name: Option<String>,
    /// Go on with what comes, until interrupted
    #[arg(long)]
    pub follow: bool,
    /// How events look on stdout [default: text on a terminal, else json]
    #[arg(long)]
    pub format: Option<Format>,
    /// Socket of the daemon to ask
    #[arg(long, value_name = "PATH", value_parser = socket, default_value = DEFAULT_SOCKET)]
    pub socket: PathBuf,
}

/// `report`
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// What was told since so long ago
    #[arg(long, value_name = "DURATION", value_parser = past, default_value = "24h")]
    pub since: String,
    /// How the answer looks
    #[arg(long, value_enum, default_value = "text")]
    pub format: ReportFormat,
    /// Socket of the daemon to ask
    #[arg(long, value_name = "PATH", value_parser = socket, default_value = DEFAULT_SOCKET)]
    pub socket: PathBuf,
}

/// `history`
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// The group or job
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Since so long ago; values of each second reach back an hour, of each minute seven days
    #[arg(long, value_name = "DURATION", value_parser = past, default_value = "1h")]
    pub since: String,
    /// How far apart points are [default: as it fits on a page]
    #[arg(long, value_name = "DURATION", value_parser = past)]
    pub step: Option<String>,
    /// Only these measures, such as `cpu` or `count,memory`
    #[arg(long, value_name = "MEASURE", value_delimiter = ',', value_parser = measure)]
    pub measure: Vec<String>,
    /// How the answer looks
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
    /// Socket of the daemon to ask
    #[arg(long, value_name = "PATH", value_parser = socket, default_value = DEFAULT_SOCKET)]
    pub socket: PathBuf,
}

/// `status`
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// How the answer looks
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
    /// Socket of the daemon to ask
    #[arg(long, value_name = "PATH", value_parser = socket, default_value = DEFAULT_SOCKET)]
    pub socket: PathBuf,
}

/// `peers`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct PeersArgs {
    /// Something else than the list
    #[command(subcommand)]
    pub command: Option<PeersCommand>,
    /// How the answer looks
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
    /// Socket of the daemon to ask
    #[arg(long, value_name = "PATH", value_parser = socket, default_value = DEFAULT_SOCKET)]
    pub socket: PathBuf,
}

/// `top`
#[derive(Debug, Args)]
pub struct TopArgs {
    /// How often the daemon is asked
    #[arg(long, value_name = "DURATION", value_parser = sample_interval, default_value = "1s")]
    pub interval: Duration,
    /// Socket of the daemon to ask
    #[arg(long, value_name = "PATH", value_parser = socket, default_value = DEFAULT_SOCKET)]
    pub socket: PathBuf,
}

/// What else there is.
#[derive(Debug, Subcommand)]
pub enum PeersCommand {
    /// Make a key for a site: one file for all of its hosts
    Key(PeersKeyArgs),
}

/// `peers key`
#[derive(Debug, Args)]
pub struct PeersKeyArgs {
    /// File to make, for its owner alone; it must not be there yet [default: print the key]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// `doctor`
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Configuration file [default: /etc/procprobe/procprobe.yaml, if it is there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// State directory to try [default: /var/lib/procprobe]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Collector to try
    #[arg(long, value_name = "URL", value_parser = endpoint)]
    pub collector: Option<Endpoint>,
}

/// `schema`
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Of which file
    #[arg(value_enum, default_value = "policies")]
    pub of: SchemaOf,
}

/// `man`
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Of one command instead of the whole program
    pub command: Option<String>,
}
