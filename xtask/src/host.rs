//! What the host must give before kernel programs can be loaded: root, BTF, bpffs.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::step::{run, step};

const BTF: &str = "/sys/kernel/btf/vmlinux";
const BPFFS: &str = "/sys/fs/bpf";
/// `statfs` of a mounted bpffs.
const BPFFS_MAGIC: u64 = 0xcafe_4a11;

/// Whether we may load programs, mount and install.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// `sudo` in front of it when we are not root.
pub(crate) fn as_root(program: &Path) -> Result<Command> {
    if is_root() {
        return Ok(Command::new(program));
    }
    if !on_path("sudo") {
        bail!("loading kernel programs needs root, and there is no sudo here; run this as root");
    }
    crate::step::note("root", "loading kernel programs needs it; asking sudo");
    let mut command = Command::new("sudo");
    command.arg("--preserve-env=PROCPROBE_BIN,RUST_LOG,RUST_BACKTRACE,NO_COLOR").arg("--").arg(program);
    Ok(command)
}

/// Whether a program of that name is on PATH.
pub(crate) fn on_path(name: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).is_file()))
}

/// Everything that end-to-end runs need of this host, or an error that names all that is missing.
pub(crate) fn ready_for_kernel_programs() -> Result<()> {
    let mut missing = Vec::new();
    if !Path::new(BTF).exists() {
        missing.push(format!("{BTF}: the kernel carries no BTF (CONFIG_DEBUG_INFO_BTF=y, as distributions build it)"));
    }
    if !is_root() && !on_path("sudo") {
        missing.push("root: kernel programs are loaded; run it as root".to_owned());
    }
    if !missing.is_empty() {
        bail!("this host cannot run procprobe; missing:\n  {}", missing.join("\n  "));
    }
    mount_bpffs()
}

/// Mounts bpffs, where maps and links are kept for the next daemon.
fn mount_bpffs() -> Result<()> {
    let mounted =
        rustix::fs::statfs(BPFFS).is_ok_and(|stat| u64::try_from(stat.f_type).is_ok_and(|t| t == BPFFS_MAGIC));
    if mounted {
        return Ok(());
    }
    step("bpffs", "not mounted here; maps and links are pinned in it", || {
        run(as_root(Path::new("mount"))?.args(["-t", "bpf", "bpf", BPFFS])).context("mounting it")
    })
}
