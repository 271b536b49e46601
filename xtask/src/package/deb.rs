//! The package for dpkg.
//!
//! Its scripts do what Debian's policy asks of a service: enabled and started when it is installed, started anew by an
//! upgrade, stopped before it is removed. Between the old daemon and the new one the kernel's programs go on, so that the
//! history has no gap; when the package goes they are taken out of the kernel. What the daemon kept and what people wrote
//! goes with a purge only.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::tree::CONFIGURATION;
use super::{DESCRIPTION, Release, SUMMARY, architecture};
use crate::step::{output_of, run};

/// After the files are there. `deb-systemd-helper` and `deb-systemd-invoke` are in init-system-helpers, which every Debian
/// has: they heed what the administrator disabled, and policy-rc.d.
const POSTINST: &str = r#"#!/bin/sh
set -e
if [ "$1" = configure ] || [ "$1" = abort-upgrade ] || [ "$1" = abort-deconfigure ] || [ "$1" = abort-remove ]; then
    deb-systemd-helper unmask procprobe.service >/dev/null || true
    if deb-systemd-helper --quiet was-enabled procprobe.service; then
        deb-systemd-helper enable procprobe.service >/dev/null || true
    else
        deb-systemd-helper update-state procprobe.service >/dev/null || true
    fi
    if [ -d /run/systemd/system ]; then
        systemctl --system daemon-reload >/dev/null || true
        if [ -n "$2" ]; then
            deb-systemd-invoke restart procprobe.service >/dev/null || true
        else
            deb-systemd-invoke start procprobe.service >/dev/null || true
        fi
    fi
fi
"#;

/// Before the files go. An upgrade leaves the old daemon at work until the new one is there.
const PRERM: &str = r#"#!/bin/sh
set -e
if [ "$1" = remove ]; then
    if [ -d /run/systemd/system ]; then
        deb-systemd-invoke stop procprobe.service >/dev/null || true
    fi
    # Programs that outlive the daemon do not outlive the package.
    procprobe unload >/dev/null 2>&1 || true
fi
"#;

/// After the files went.
const POSTRM: &str = r#"#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then
    systemctl --system daemon-reload >/dev/null || true
fi
if [ "$1" = remove ]; then
    if [ -x /usr/bin/deb-systemd-helper ]; then
        deb-systemd-helper mask procprobe.service >/dev/null || true
    fi
fi
if [ "$1" = purge ]; then
    if [ -x /usr/bin/deb-systemd-helper ]; then
        deb-systemd-helper purge procprobe.service >/dev/null || true
        deb-systemd-helper unmask procprobe.service >/dev/null || true
    fi
    rm -rf /var/lib/procprobe
    if [ -d /etc/procprobe ]; then
        rmdir --ignore-fail-on-non-empty /etc/procprobe/policies /etc/procprobe 2>/dev/null || true
    fi
fi
"#;

/// Makes the package; returns its path.
pub(super) fn make(root: &Path, folder: &Path, release: &Release) -> Result<PathBuf> {
    let own = folder.join("deb");
    super::anew(&own)?;
    run(Command::new("cp").arg("--archive").arg(format!("{}/.", root.display())).arg(&own))?;
    let control = own.join("DEBIAN");
    fs::create_dir_all(&control).with_context(|| format!("making {}", control.display()))?;
    write(&control.join("md5sums"), &sums(root)?, 0o644)?;
    write(&control.join("conffiles"), &configuration(root)?, 0o644)?;
    write(&control.join("control"), &fields(root, release)?, 0o644)?;
    for (name, text) in [("postinst", POSTINST), ("prerm", PRERM), ("postrm", POSTRM)] {
        write(&control.join(name), text, 0o755)?;
    }
    let name = format!("procprobe_{}-{}_{}.deb", release.version, release.revision, architecture(true)?);
    let made = folder.join(name);
    let packed = if release.hasty { ["-Zgzip", "-z1"] } else { ["-Zxz", "-z9"] };
    run(Command::new("dpkg-deb").args(packed).args(["--root-owner-group", "--build"]).arg(&own).arg(&made))?;
    Ok(made)
}

fn fields(root: &Path, release: &Release) -> Result<String> {
    let size = output_of(Command::new("du").args(["--summarize", "--apparent-size", "--block-size=1024"]).arg(root))?;
    let size = size.split_whitespace().next().unwrap_or("0");
    let mut text = String::new();
    writeln!(text, "Package: procprobe")?;
    writeln!(text, "Version: {}-{}", release.version, release.revision)?;
    writeln!(text, "Architecture: {}", architecture(true)?)?;
    writeln!(text, "Section: admin\nPriority: optional")?;
    writeln!(text, "Maintainer: procprobe <procprobe@localhost>")?;
    writeln!(text, "Installed-Size: {size}")?;
    writeln!(text, "Depends: libc6 (>= {}), libgcc-s1, init-system-helpers", release.glibc)?;
    writeln!(text, "Recommends: ca-certificates")?;
    writeln!(text, "Description: {SUMMARY}")?;
    for line in DESCRIPTION.lines() {
        writeln!(text, " {line}")?;
    }
    Ok(text)
}

/// What dpkg asks before it overwrites: every file under /etc.
fn configuration(root: &Path) -> Result<String> {
    let found = output_of(Command::new("find").args([CONFIGURATION, "-type", "f"]).current_dir(root))?;
    let mut paths: Vec<&str> = found.lines().collect();
    paths.sort_unstable();
    Ok(paths.into_iter().fold(String::new(), |text, path| text + "/" + path + "\n"))
}

/// As `md5sum` prints them, for `dpkg --verify`. What is configuration dpkg keeps sums of itself.
fn sums(root: &Path) -> Result<String> {
    let found =
        output_of(Command::new("find").args(["usr", "-type", "f", "-exec", "md5sum", "{}", "+"]).current_dir(root))?;
    let mut lines: Vec<&str> = found.lines().collect();
    lines.sort_unstable_by_key(|line| line.get(34..));
    Ok(lines.join("\n") + "\n")
}

fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
}
