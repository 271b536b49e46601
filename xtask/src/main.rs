//! `cargo xtask`: builds both sides of procprobe, runs it, tests it, measures it.
//!
//! Each step says what it does, why, and how long it took; what cannot be done is an error that names what is missing
//! and the command that gets it.
#![forbid(unsafe_code)]

mod bench;
mod daemon;
mod host;
mod linker;
mod object;
mod package;
mod packages;
mod place;
mod step;
mod test;
mod toolchain;
mod vm;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::place::Profile;
use crate::toolchain::Choice;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "Builds, runs, tests and measures procprobe")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Builds the kernel programs and the daemon
    Build(BuildArgs),
    /// Builds everything and starts the daemon as root with the policies of this tree
    Run {
        #[command(flatten)]
        build: BuildArgs,
        /// Passed on to `procprobe run`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "DAEMON ARGUMENTS")]
        arguments: Vec<String>,
    },
    /// Everything that must hold: lints, unit tests, end-to-end tests in the running kernel, and some in others
    Test {
        #[command(flatten)]
        compiler: CompilerArgs,
        /// Only tests whose name contains one of these; lints and other kernels are left out then
        filter: Vec<String>,
    },
    /// The tests of what the kernel does, on other kernels, in virtual machines
    Vm {
        #[command(flatten)]
        compiler: CompilerArgs,
        /// The processor of the machines; another than this host's is compiled for and emulated
        #[arg(long, value_enum, default_value_t = vm::Arch::HOST)]
        arch: vm::Arch,
        /// Only the first test of each row, as `cargo xtask test` runs them
        #[arg(long)]
        first: bool,
        /// Writes the table to docs/kernels.md, with `all`; for another processor to a page of its own
        #[arg(long)]
        write: bool,
        /// Of Debian's kernels the newest whose version begins so; also `newest`, and `all` for the whole matrix. None
        /// stands for 5.10, 6.12 and newest
        versions: Vec<String>,
    },
    /// Makes what is installed elsewhere: a .deb, an .rpm and a tarball, or a container image, under target/package
    Package {
        /// Built in a quarter of the time and somewhat slower when it runs: to try the packages
        #[arg(long, conflicts_with = "debug")]
        quick: bool,
        /// Around the daemon as the tests use it, not optimised
        #[arg(long)]
        debug: bool,
        /// Which packaging of this version, from 1: an upgrade needs a higher one
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        revision: u32,
        #[command(flatten)]
        compiler: CompilerArgs,
        /// Only these; the image is made only when it is named
        #[arg(value_enum)]
        kinds: Vec<package::Kind>,
    },
    /// rustfmt and clippy, on both sides
    Lint(CompilerArgs),
    /// Plays many sites of peers in virtual time, with and without Lifeguard, and prints what came of them
    Simulate {
        /// Runs
        #[arg(long, default_value_t = 1_000)]
        seeds: u64,
        /// Passed on, such as `--kind death --hosts 60 --verbose`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
        arguments: Vec<String>,
    },
    /// Measures what procprobe must reach, on the release build, and prints a table
    Bench {
        #[command(flatten)]
        compiler: CompilerArgs,
        /// A tenth of the work: to see that it runs, not for the figures
        #[arg(long)]
        quick: bool,
        /// Only these: storm cpu latency attach idle wakeups workload memory; `fresh` is measured only when named
        rows: Vec<String>,
    },
}

#[derive(Args, Clone, Copy)]
struct BuildArgs {
    /// As it is measured: optimised over whole crates, which takes minutes more
    #[arg(long, conflicts_with = "debug")]
    release: bool,
    /// As the tests use it: not optimised
    #[arg(long)]
    debug: bool,
    /// The kernel programs tell what they do through the daemon's log
    #[arg(long)]
    kernel_log: bool,
    #[command(flatten)]
    compiler: CompilerArgs,
}

#[derive(Args, Clone, Copy)]
struct CompilerArgs {
    /// Which compiler makes the kernel programs
    #[arg(long, value_enum, default_value_t)]
    toolchain: Choice,
}

impl BuildArgs {
    fn build(self) -> anyhow::Result<std::path::PathBuf> {
        let profile = match (self.release, self.debug) {
            (true, _) => Profile::Release,
            (_, true) => Profile::Debug,
            _ => Profile::Quick,
        };
        daemon::build(self.compiler.toolchain, profile, self.kernel_log)
    }
}

/// Needs no kernel object and no privileges: its package stands for itself.
fn simulate(seeds: u64, arguments: &[String]) -> anyhow::Result<()> {
    step::step("simulation", "sites of peers in virtual time, each seed one run", || {
        let mut command = place::cargo();
        command.args(["run", "--package", "procprobe-simulation", "--bin", "simulate", "--", "--seeds"]);
        step::run(command.arg(seeds.to_string()).args(arguments))
    })
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Build(build) => build.build().map(|daemon| println!("{}", daemon.display())),
        Command::Run { build, arguments } => build.build().and_then(|daemon| daemon::start(&daemon, &arguments)),
        Command::Test { compiler, filter } => test::all(compiler.toolchain, &filter),
        Command::Vm { compiler, arch, first, write, versions } => {
            let extent = if first { vm::Extent::First } else { vm::Extent::All };
            vm::all(compiler.toolchain, arch, extent, &versions, write)
        }
        Command::Package { quick, debug, revision, compiler, kinds } => {
            let profile = match (quick, debug) {
                (true, _) => Profile::Quick,
                (_, true) => Profile::Debug,
                _ => Profile::Release,
            };
            package::make(compiler.toolchain, profile, &kinds, revision)
        }
        Command::Simulate { seeds, arguments } => simulate(seeds, &arguments),
        Command::Lint(compiler) => test::lint(compiler.toolchain),
        Command::Bench { compiler, quick, rows } => bench::measure(compiler.toolchain, quick, &rows),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
