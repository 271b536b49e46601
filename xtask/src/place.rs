//! Where things are: the workspace, its target folder, and what is made there.

use std::path::PathBuf;
use std::process::Command;

/// Which build of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Optimised, as it is measured.
    Release,
    /// Optimised, and built in half the time.
    Quick,
    /// Not optimised, as the tests use it.
    Debug,
}

impl Profile {
    /// Cargo's name for it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Quick => "quick",
            Self::Debug => "dev",
        }
    }
}

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or_else(|| here.clone(), PathBuf::from)
}

/// What is made for the kernel side. Always under the workspace, whatever `CARGO_TARGET_DIR` says: probe-user's build
/// script must find the object when cargo is called without xtask, too.
pub(crate) fn bpf_dir() -> PathBuf {
    root().join("target/bpf")
}

/// The kernel programs, as the daemon carries them.
pub(crate) fn object() -> PathBuf {
    bpf_dir().join("procprobe.bpf.o")
}

/// Where tools of our own are installed; `bin` is inside.
pub(crate) fn tools_dir() -> PathBuf {
    root().join("target/tools")
}

/// Programs of others that the tests run against, unpacked.
pub(crate) fn packages_dir() -> PathBuf {
    root().join("target/packages")
}

/// What is to be installed elsewhere.
pub(crate) fn package_dir() -> PathBuf {
    root().join("target/package")
}

/// Kernels, file systems and logs of virtual machines.
pub(crate) fn vm_dir() -> PathBuf {
    root().join("target/vm")
}

/// A Python of the tests' own.
pub(crate) fn python_dir() -> PathBuf {
    packages_dir().join("python")
}

/// A binary of this workspace.
pub(crate) fn binary(profile: Profile, name: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir));
    let folder = match profile {
        Profile::Release | Profile::Quick => profile.name(),
        Profile::Debug => "debug",
    };
    target.join(folder).join(name)
}

/// Cargo of the toolchain that runs us, in the workspace's root.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    forget_this_package(&mut command);
    command.current_dir(root());
    command
}

/// `cargo run` tells us which package we are. Handed on, that would change what some build scripts see (ring's asks for
/// it), and each change between `cargo xtask` and plain cargo would compile their crates anew.
pub(crate) fn forget_this_package(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let told_by_cargo = name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name == "CARGO_PRIMARY_PACKAGE"
        });
        if told_by_cargo {
            command.env_remove(name);
        }
    }
}
