//! The processors that a machine can have, and all that differs between them.
//!
//! One is this host's: its tests are the host's own build, its programs the host's own files. For the other everything is
//! cross-compiled, and programs and libraries come from Debian's packages ([`super::programs`]).

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::place;
use crate::step::{output_of, run, step};

/// A kind of processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Arch {
    /// 64-bit PCs.
    #[value(name = "x86_64")]
    X86_64,
    /// 64-bit ARM.
    Aarch64,
}

impl Arch {
    /// What this was compiled for.
    pub(crate) const HOST: Self = if cfg!(target_arch = "aarch64") { Self::Aarch64 } else { Self::X86_64 };

    /// It is this host's.
    pub(crate) fn is_host(self) -> bool {
        self == Self::HOST
    }

    /// Its name, as Linux, qemu and cross compilers have it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// Its name in Debian's archive.
    pub(crate) const fn debian(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }

    /// Where Debian keeps its libraries, and the beginning of its cross tools' names.
    pub(crate) const fn gnu(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-linux-gnu",
            Self::Aarch64 => "aarch64-linux-gnu",
        }
    }

    /// Rust's name for Linux on it.
    pub(crate) const fn target(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-gnu",
            Self::Aarch64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// The emulator.
    pub(crate) const fn qemu(self) -> &'static str {
        match self {
            Self::X86_64 => "qemu-system-x86_64",
            Self::Aarch64 => "qemu-system-aarch64",
        }
    }

    /// Debian's package of the emulator.
    pub(crate) const fn qemu_package(self) -> &'static str {
        match self {
            Self::X86_64 => "qemu-system-x86",
            Self::Aarch64 => "qemu-system-arm",
        }
    }

    /// The emulator's arguments for the machine and its processor. Pointer authentication, which `max` of ARM has, makes
    /// emulation several times slower.
    pub(crate) const fn machine(self) -> &'static [&'static str] {
        match self {
            Self::X86_64 => &["-machine", "q35", "-cpu", "max"],
            Self::Aarch64 => &["-machine", "virt", "-cpu", "cortex-a72"],
        }
    }

    /// The first serial line.
    pub(crate) const fn console(self) -> &'static str {
        match self {
            Self::X86_64 => "ttyS0",
            Self::Aarch64 => "ttyAMA0",
        }
    }

    /// Where its kernels, logs and file systems are kept.
    pub(crate) fn folder(self) -> PathBuf {
        if self.is_host() { place::vm_dir() } else { place::vm_dir().join(self.name()) }
    }

    /// A tool that works on its binaries, such as `strip`.
    pub(crate) fn tool(self, name: &str) -> String {
        if self.is_host() { name.to_owned() } else { format!("{}-{name}", self.gnu()) }
    }

    /// Cargo that compiles for it. Only what the machines run is built for another processor.
    pub(crate) fn cargo(self, subcommand: &str) -> Command {
        let mut command = place::cargo();
        command.arg(subcommand);
        if !self.is_host() {
            command.args(["--target", self.target()]);
            let target = self.target().replace('-', "_");
            command.env(format!("CARGO_TARGET_{}_LINKER", target.to_uppercase()), self.tool("gcc"));
            command.env(format!("CC_{target}"), self.tool("gcc")).env(format!("AR_{target}"), self.tool("ar"));
        }
        command
    }

    /// Where cargo puts its dev build.
    pub(crate) fn built(self, name: &str) -> PathBuf {
        let own = place::binary(place::Profile::Debug, name);
        if self.is_host() {
            return own;
        }
        let target = own.ancestors().nth(2).map_or_else(PathBuf::new, Path::to_path_buf);
        target.join(self.target()).join("debug").join(name)
    }

    /// Sees to it that Rust's standard library for it is there.
    pub(crate) fn ready_to_compile(self) -> Result<()> {
        let sysroot = output_of(Command::new("rustc").args(["--print", "sysroot"]))?;
        let library = Path::new(sysroot.trim()).join("lib/rustlib").join(self.target()).join("lib");
        if self.is_host() || library.is_dir() {
            return Ok(());
        }
        let add = ["target", "add", self.target()];
        if !crate::host::on_path("rustup") {
            bail!("{} is missing, and no rustup that could get it: rustup {}", library.display(), add.join(" "));
        }
        step("standard library", &format!("Rust's, for {}", self.target()), || run(Command::new("rustup").args(add)))
    }
}
