//! The files of a package, where they are on a host that has it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::place;
use crate::step::{output_of, run};

/// What people may change: a package's upgrade leaves it as they have it.
pub(super) const CONFIGURATION: &str = "etc/procprobe";

/// Makes the tree anew around this daemon.
pub(super) fn make(program: &Path, root: &Path) -> Result<()> {
    super::anew(root)?;
    let source = place::root();
    let installed = root.join("usr/bin/procprobe");
    put(&fs::read(program).with_context(|| format!("reading {}", program.display()))?, &installed, 0o755)?;
    // What people debug with is in the sources' own build.
    run(Command::new("strip").arg("--strip-unneeded").arg(&installed))?;
    copy(&source.join("xtask/package/procprobe.service"), &root.join("usr/lib/systemd/system/procprobe.service"))?;
    copy(&source.join("xtask/package/procprobe.yaml"), &root.join(CONFIGURATION).join("procprobe.yaml"))?;
    let policies = root.join(CONFIGURATION).join("policies");
    copy_all(&source.join("policies"), &policies, "yaml")?;
    let share = root.join("usr/share");
    let documents = share.join("doc/procprobe");
    for name in ["README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT"] {
        copy(&source.join(name), &documents.join(name))?;
    }
    // As they lie in the sources, so that their links lead somewhere.
    for (folder, extension) in [
        ("docs", "md"),
        ("docs/ko", "md"),
        ("docs/prometheus", "yml"),
        ("docs/grafana", "json"),
        ("docs/kubernetes", "yaml"),
        ("policies", "yaml"),
        ("policies/examples", "yaml"),
        ("policies/cookbook", "yaml"),
    ] {
        copy_all(&source.join(folder), &documents.join(folder), extension)?;
    }
    manual(&installed, &share.join("man/man1"))?;
    for (shell, path) in [
        ("bash", "bash-completion/completions/procprobe"),
        ("zsh", "zsh/site-functions/_procprobe"),
        ("fish", "fish/vendor_completions.d/procprobe.fish"),
    ] {
        let text = output_of(Command::new(&installed).args(["completions", shell]))?;
        put(text.as_bytes(), &share.join(path), 0o644)?;
    }
    for (of, name) in [("policies", "policies.schema.json"), ("config", "config.schema.json")] {
        let text = output_of(Command::new(&installed).args(["schema", of]))?;
        put(text.as_bytes(), &share.join("procprobe").join(name), 0o644)?;
    }
    // Everyone may enter the folders, whatever our umask is.
    run(Command::new("find").arg(root).args(["-type", "d", "-exec", "chmod", "0755", "{}", "+"]))
}

/// The manual's pages, of the whole program and of each of its commands; compressed as distributions have them.
fn manual(program: &Path, folder: &Path) -> Result<()> {
    let whole = output_of(Command::new(program).arg("man"))?;
    let page = |name: &str, text: &str| -> Result<()> {
        let path = folder.join(name);
        put(text.as_bytes(), &path, 0o644)?;
        run(Command::new("gzip").args(["-9", "--no-name", "--force"]).arg(&path))
    };
    page("procprobe.1", &whole)?;
    for command in commands(&whole) {
        let text = output_of(Command::new(program).args(["man", command]))?;
        page(&format!("procprobe-{command}.1"), &text)?;
    }
    Ok(())
}

/// The commands that the main page names: `procprobe\-run(1)` and so on.
fn commands(page: &str) -> impl Iterator<Item = &str> {
    page.lines()
        .filter_map(|line| line.strip_prefix("procprobe\\-")?.strip_suffix("(1)"))
        .filter(|name| *name != "help")
}

pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    put(&fs::read(from).with_context(|| format!("reading {}", from.display()))?, to, 0o644)
}

/// The folder's files with this ending, not those of folders inside it.
fn copy_all(from: &Path, to: &Path, extension: &str) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|own| own == extension)
            && let Some(name) = path.file_name()
        {
            copy(&path, &to.join(name))?;
        }
    }
    Ok(())
}

/// A file with exactly this mode, whatever the umask is.
pub(super) fn put(bytes: &[u8], path: &Path, mode: u32) -> Result<()> {
    let folder = path.parent().context("a file without a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
}
