//! Finds a compiler for the kernel programs, or gets one.
//!
//! They are compiled for `bpfel-unknown-none`, for which rustup has no ready `core`. Two ways lead there:
//! - rustup: a nightly with `rust-src` compiles `core` itself (`-Z build-std`);
//! - Debian: `libstd-rust-web-dev-bpf` brings `core` ready-made for Debian's own rustc.
//!
//! Either way the compiler's LLVM must be of the same major version as that of the rustc which runs us, because
//! bpf-linker is built by the latter and reads what the former wrote. What is already installed is preferred to what has
//! to be fetched. When no way leads there, the error tells each that was tried and the commands that would help.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::step::{note, output_of, run, run_within, step};
use crate::{host, packages, place};

/// A nightly whose LLVM is that of rustc 1.95; fetched where no installed one will do.
const PINNED_NIGHTLY: &str = "nightly-2026-05-20";
/// Debian's compiler, always under this path: rustup's comes first on PATH.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "libstd-rust-web-dev", "libstd-rust-web-dev-bpf"];
/// The target of the kernel programs on a little-endian machine.
pub(crate) const TARGET: &str = "bpfel-unknown-none";

/// What the user asked for with `--toolchain`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Choice {
    /// What is installed, else what can be fetched.
    #[default]
    Auto,
    /// A nightly of rustup with `rust-src`.
    Rustup,
    /// Debian's rustc-web with its ready `core`.
    Debian,
}

/// A compiler that can make the kernel programs.
#[derive(Clone, Debug)]
pub(crate) enum Toolchain {
    /// Compiles `core` itself.
    Rustup {
        /// As rustup calls it.
        name: String,
        /// Where its libraries are, its LLVM among them.
        lib: PathBuf,
    },
    /// Has `core` ready.
    Debian {
        /// Where the LLVM is with which bpf-linker was built.
        lib: PathBuf,
    },
}

impl Toolchain {
    /// Finds one, or gets one as the choice allows.
    pub(crate) fn find(choice: Choice) -> Result<Self> {
        let stable = Compiler::ask(&["rustc"]).context("the rustc that runs this build")?;
        let mut tried = Vec::new();
        let (rustup, debian) = (choice != Choice::Debian, choice != Choice::Rustup);
        let found = None
            .or_else(|| rustup.then(|| attempt(&mut tried, installed_nightly(&stable, false))).flatten())
            .or_else(|| debian.then(|| attempt(&mut tried, installed_debian(&stable))).flatten())
            .or_else(|| rustup.then(|| attempt(&mut tried, installed_nightly(&stable, true))).flatten())
            .or_else(|| rustup.then(|| attempt(&mut tried, fetch_nightly(&stable))).flatten())
            .or_else(|| debian.then(|| attempt(&mut tried, fetch_debian(&stable))).flatten());
        let Some(found) = found else {
            bail!("no compiler for the kernel programs\n{}\n{}", tried.join("\n"), remedy(choice, stable.llvm));
        };
        note("eBPF compiler", &found.describe());
        Ok(found)
    }

    fn describe(&self) -> String {
        match self {
            Self::Rustup { name, .. } => format!("rustup's {name}, which compiles core itself"),
            Self::Debian { .. } => format!("Debian's {DEBIAN_RUSTC}, with core from libstd-rust-web-dev-bpf"),
        }
    }

    /// The folder name under which its artefacts are kept: two compilers in one folder would rebuild each other's.
    pub(crate) const fn folder(&self) -> &'static str {
        match self {
            Self::Rustup { .. } => "rustup",
            Self::Debian { .. } => "debian",
        }
    }

    /// Cargo with this compiler. Flags meant for the host's programs are kept out; bpf-linker finds its LLVM by
    /// LD_LIBRARY_PATH.
    pub(crate) fn cargo(&self, subcommand: &str) -> Command {
        let mut command = match self {
            Self::Rustup { name, lib } => {
                let mut command = Command::new("rustup");
                command.args(["run", name, "cargo", subcommand, "-Zbuild-std=core"]);
                command.env_remove("RUSTC").env("LD_LIBRARY_PATH", lib);
                command
            }
            Self::Debian { lib } => {
                let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
                command.arg(subcommand).env("RUSTC", DEBIAN_RUSTC);
                // aya-ebpf uses a feature that is not stable yet.
                command.env("RUSTC_BOOTSTRAP", "1").env("LD_LIBRARY_PATH", lib);
                command
            }
        };
        for name in ["RUSTFLAGS", "RUSTC_WORKSPACE_WRAPPER", "RUSTC_WRAPPER", "CARGO_BUILD_TARGET"] {
            command.env_remove(name);
        }
        if matches!(self, Self::Rustup { .. }) {
            for name in ["CARGO", "RUSTUP_TOOLCHAIN", "RUSTDOC"] {
                command.env_remove(name);
            }
        }
        place::forget_this_package(&mut command);
        command.current_dir(place::root());
        command
    }

    /// Whether it can lint: Debian's has no clippy of the same version, a minimal nightly has none at all.
    pub(crate) fn has_clippy(&self) -> bool {
        match self {
            Self::Rustup { name, .. } => {
                output_of(Command::new("rustup").args(["run", name, "cargo-clippy", "--version"])).is_ok()
            }
            Self::Debian { .. } => false,
        }
    }
}

/// What must be known of a rustc.
struct Compiler {
    llvm: u32,
    sysroot: PathBuf,
}

impl Compiler {
    /// `rustc` is its command line without flags.
    fn ask(rustc: &[&str]) -> Result<Self> {
        let [program, before @ ..] = rustc else { bail!("no compiler named") };
        let ask =
            |flags: &[&str]| output_of(Command::new(program).args(before).args(flags).env("RUSTUP_AUTO_INSTALL", "0"));
        let version = ask(&["-vV"])?;
        let llvm =
            llvm_of(&version).with_context(|| format!("no LLVM version in what it says of itself: {version}"))?;
        Ok(Self { llvm, sysroot: PathBuf::from(ask(&["--print", "sysroot"])?.trim_end()) })
    }

    fn lib(&self) -> PathBuf {
        self.sysroot.join("lib")
    }

    fn has_sources(&self) -> bool {
        self.sysroot.join("lib/rustlib/src/rust/library/core/Cargo.toml").is_file()
    }

    fn has_ready_core(&self) -> bool {
        holds_core(&self.sysroot.join("lib/rustlib").join(TARGET).join("lib"))
    }
}

/// The major version in `rustc -vV`.
fn llvm_of(version: &str) -> Option<u32> {
    version.lines().find_map(|line| line.strip_prefix("LLVM version: "))?.split('.').next()?.parse().ok()
}

fn holds_core(folder: &Path) -> bool {
    folder.read_dir().is_ok_and(|entries| {
        entries.flatten().any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with("libcore-") && name.ends_with(".rlib")
        })
    })
}

/// Keeps why a way was not taken.
fn attempt(tried: &mut Vec<String>, result: Result<Toolchain>) -> Option<Toolchain> {
    result.map_err(|error| tried.push(format!("  tried: {error:#}"))).ok()
}

fn installed_nightly(stable: &Compiler, may_add_sources: bool) -> Result<Toolchain> {
    let list = output_of(Command::new("rustup").args(["toolchain", "list"])).context("rustup")?;
    let mut reasons = Vec::new();
    for name in nightlies(&list) {
        match usable_nightly(&name, stable, may_add_sources) {
            Ok(toolchain) => return Ok(toolchain),
            Err(error) => reasons.push(format!("{name}: {error:#}")),
        }
    }
    if reasons.is_empty() {
        bail!("rustup has no nightly installed");
    }
    bail!("{}", reasons.join("; "))
}

/// The nightlies in `rustup toolchain list`, the pinned one first.
fn nightlies(list: &str) -> Vec<String> {
    let mut names: Vec<String> = list
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| name.starts_with("nightly"))
        .map(str::to_owned)
        .collect();
    names.sort_by_key(|name| !name.starts_with(PINNED_NIGHTLY));
    names
}

fn usable_nightly(name: &str, stable: &Compiler, may_add_sources: bool) -> Result<Toolchain> {
    let compiler = Compiler::ask(&["rustup", "run", name, "rustc"])?;
    if compiler.llvm != stable.llvm {
        bail!("its LLVM is {}, bpf-linker's is {}", compiler.llvm, stable.llvm);
    }
    if !compiler.has_sources() {
        if !may_add_sources {
            bail!("it has no rust-src");
        }
        step("rust-src", "core is compiled from it for the kernel's target", || {
            let mut command = Command::new("rustup");
            run_within(command.args(["component", "add", "rust-src", "--toolchain", name]), Duration::from_mins(1))
        })?;
    }
    Ok(Toolchain::Rustup { name: name.to_owned(), lib: compiler.lib() })
}

fn fetch_nightly(stable: &Compiler) -> Result<Toolchain> {
    step("nightly", "no installed one will do, and only a nightly compiles core for the kernel's target", || {
        let mut command = Command::new("rustup");
        command.args([
            "toolchain",
            "install",
            PINNED_NIGHTLY,
            "--profile",
            "minimal",
            "--component",
            "rust-src,clippy",
        ]);
        run_within(command.arg("--no-self-update"), Duration::from_mins(3))
    })?;
    usable_nightly(PINNED_NIGHTLY, stable, false)
}

fn installed_debian(stable: &Compiler) -> Result<Toolchain> {
    let compiler = Compiler::ask(&[DEBIAN_RUSTC]).context("Debian's rustc")?;
    if !compiler.has_ready_core() {
        bail!("{DEBIAN_RUSTC} has no core for {TARGET}");
    }
    if compiler.llvm != stable.llvm {
        bail!("the LLVM of {DEBIAN_RUSTC} is {}, bpf-linker's is {}", compiler.llvm, stable.llvm);
    }
    Ok(Toolchain::Debian { lib: stable.lib() })
}

fn fetch_debian(stable: &Compiler) -> Result<Toolchain> {
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!("no apt-get here: not Debian or a relative of it");
    }
    if !host::is_root() {
        bail!("installing Debian's packages needs root");
    }
    step("Debian packages", "rustc-web and its core for the kernel's target", || {
        run(packages::apt().arg("update"))?;
        run(packages::apt().args(["install", "--yes", "--no-install-recommends"]).args(DEBIAN_PACKAGES))
    })?;
    installed_debian(stable)
}

fn remedy(choice: Choice, llvm: u32) -> String {
    let rustup = format!("rustup toolchain install {PINNED_NIGHTLY} --profile minimal --component rust-src");
    let debian = format!("apt-get update && apt-get install {}", DEBIAN_PACKAGES.join(" "));
    let ways = match choice {
        Choice::Auto => format!("`{rustup}`, or on Debian as root `{debian}`"),
        Choice::Rustup => format!("`{rustup}`"),
        Choice::Debian => format!("as root `{debian}`"),
    };
    format!("  remedy: {ways}; the compiler's LLVM must be {llvm}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_llvm_of_a_compiler_is_read_from_what_it_says_of_itself() {
        assert_eq!(llvm_of("rustc 1.95.0\nrelease: 1.95.0\nLLVM version: 22.1.2\n"), Some(22));
        assert_eq!(llvm_of("rustc 1.95.0\nrelease: 1.95.0\n"), None);
        assert_eq!(llvm_of("LLVM version: unknown\n"), None);
    }

    #[test]
    fn the_pinned_nightly_is_looked_at_first() {
        let list = "stable-x86_64-unknown-linux-gnu (active, default)\nnightly-x86_64-unknown-linux-gnu\n\
                    nightly-2026-05-20-x86_64-unknown-linux-gnu\n1.95.0-x86_64-unknown-linux-gnu\n";
        assert_eq!(
            nightlies(list),
            ["nightly-2026-05-20-x86_64-unknown-linux-gnu", "nightly-x86_64-unknown-linux-gnu"]
        );
    }

    #[test]
    fn the_remedy_names_only_what_was_asked_for() {
        assert!(remedy(Choice::Auto, 22).contains("apt-get") && remedy(Choice::Auto, 22).contains("rustup"));
        assert!(!remedy(Choice::Rustup, 22).contains("apt-get"));
        assert!(!remedy(Choice::Debian, 22).contains("rustup"));
    }
}
