//! The package for rpm, made by rpmbuild of a specification that takes the tree as it is.
//!
//! What the scripts do is what [`super::deb`]'s do, in rpm's way: presets decide whether a service is enabled, and who
//! installs starts it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::tree::CONFIGURATION;
use super::{DESCRIPTION, Release, SUMMARY, architecture};
use crate::step::{output_of, run};

/// After the files are there; `$1` is how many versions are installed then.
const SCRIPTS: &str = r"
%post
if [ $1 -eq 1 ] && [ -d /run/systemd/system ]; then
    systemctl --no-reload preset procprobe.service >/dev/null 2>&1 || :
fi
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload >/dev/null 2>&1 || :
fi

%preun
if [ $1 -eq 0 ]; then
    if [ -d /run/systemd/system ]; then
        systemctl --no-reload disable --now procprobe.service >/dev/null 2>&1 || :
    fi
    # Programs that outlive the daemon do not outlive the package.
    /usr/bin/procprobe unload >/dev/null 2>&1 || :
fi

%postun
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload >/dev/null 2>&1 || :
    if [ $1 -ge 1 ]; then
        systemctl try-restart procprobe.service >/dev/null 2>&1 || :
    fi
fi
";

/// Makes the package; returns its path.
pub(super) fn make(root: &Path, folder: &Path, release: &Release) -> Result<PathBuf> {
    let own = folder.join("rpm");
    super::anew(&own)?;
    let arch = architecture(false)?;
    let spec = own.join("procprobe.spec");
    fs::write(&spec, specification(root, release)?).with_context(|| format!("writing {}", spec.display()))?;
    let define = |name: &str, value: &Path| format!("{name} {}", value.display());
    run(Command::new("rpmbuild")
        .args(["-bb", "--quiet", "--target", arch])
        .args(["--define", &define("_topdir", &own)])
        .args(["--define", &define("_rpmdir", folder)])
        .args(["--define", "_build_name_fmt %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm"])
        .args(["--define", &define("tree", root)])
        .args(["--define", if release.hasty { "_binary_payload w1.gzdio" } else { "_binary_payload w9.xzdio" }])
        .arg(&spec))?;
    Ok(folder.join(format!("procprobe-{}-{}.{arch}.rpm", release.version, release.revision)))
}

fn specification(root: &Path, release: &Release) -> Result<String> {
    let Release { version, revision, glibc, .. } = release;
    let mut files = String::new();
    let found = output_of(Command::new("find").args([".", "-type", "f", "-printf", "/%P\n"]).current_dir(root))?;
    let mut paths: Vec<&str> = found.lines().collect();
    paths.sort_unstable();
    for path in paths {
        let kind = match path {
            path if path.starts_with(&format!("/{CONFIGURATION}")) => "%config(noreplace) ",
            path if path.starts_with("/usr/share/doc/") || path.starts_with("/usr/share/man/") => "%doc ",
            _ => "",
        };
        writeln!(files, "{kind}{path}")?;
    }
    Ok(format!(
        "Name: procprobe\nVersion: {version}\nRelease: {revision}\nSummary: {SUMMARY}\nLicense: MIT OR Apache-2.0\n\
         Requires: glibc >= {glibc}\nRecommends: ca-certificates\n\
         %global debug_package %{{nil}}\n%global _build_id_links none\n%global __os_install_post %{{nil}}\n\
         %description\n{DESCRIPTION}\n\n\
         %install\nmkdir -p %{{buildroot}}\ncp -a %{{tree}}/. %{{buildroot}}/\n{SCRIPTS}\n\
         %files\n%defattr(-,root,root,-)\n%dir /{CONFIGURATION}\n%dir /{CONFIGURATION}/policies\n{files}"
    ))
}
