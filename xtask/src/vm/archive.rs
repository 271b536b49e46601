//! Debian's archive: which kernels it has, and their images.
//!
//! apt does the work, with a state of its own under target/vm: the suites are not those of this host, and nothing of it
//! is installed. So indexes are checked against Debian's keys, packages against the indexes (SHA256), and a proxy that
//! this host's apt uses is used here as well. The mirrors are those of the host's own sources. No root is needed.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::arch::Arch;
use crate::step::{output_of, run, step};
use crate::{host, packages};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// The archive that the suite is in, and the suite: the oldest kernel comes from the first, the newest from the last.
const SUITES: [(Part, &str); 6] = [
    (Part::Main, "bullseye"),
    (Part::Security, "bullseye-security"),
    (Part::Main, "bookworm"),
    (Part::Security, "bookworm-security"),
    (Part::Main, "trixie"),
    (Part::Main, "trixie-backports"),
];

/// Debian keeps security updates in an archive of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Main,
    Security,
}

impl Part {
    /// How a mirror's address of this part ends.
    const fn end(self) -> &'static str {
        match self {
            Self::Main => "/debian",
            Self::Security => "/debian-security",
        }
    }

    /// The host's own mirror of it.
    fn mirror(self, sources: &str) -> Result<String> {
        let words = sources.lines().filter(|line| !line.trim_start().starts_with('#')).flat_map(str::split_whitespace);
        let mut addresses = words.filter(|word| word.contains("://")).map(|word| word.trim_end_matches('/'));
        let found = addresses.find(|address| address.ends_with(self.end())).map(str::to_owned);
        found.with_context(|| {
            format!("no mirror of Debian (an address that ends in {}) is in /etc/apt/sources.list*", self.end())
        })
    }
}

/// apt with its own sources, lists and packages.
pub(crate) struct Archive {
    folder: PathBuf,
    arch: Arch,
}

impl Archive {
    /// Nothing is fetched yet.
    pub(crate) fn new(folder: &Path, arch: Arch) -> Self {
        Self { folder: folder.join("apt"), arch }
    }

    /// Fetches the lists of packages.
    pub(crate) fn update(&self) -> Result<()> {
        if !host::on_path("apt-get") || !host::on_path("dpkg-deb") {
            bail!("kernels come from Debian's archive, and there is no apt-get or dpkg-deb here");
        }
        if !Path::new(KEYRING).exists() {
            bail!("{KEYRING} is missing: `apt-get install debian-archive-keyring`");
        }
        for folder in ["lists/partial", "cache/archives/partial"] {
            let folder = self.folder.join(folder);
            std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        }
        std::fs::write(self.folder.join("sources.list"), sources(&host_sources())?)?;
        step("kernel lists", "which kernels Debian has", || run(self.apt().arg("update")))
    }

    /// The names of all packages that begin so.
    pub(crate) fn names(&self, beginning: &str) -> Result<Vec<String>> {
        let found = output_of(self.command("apt-cache").args(["pkgnames", beginning]))?;
        Ok(found.lines().map(str::to_owned).collect())
    }

    /// Fetches the newest version of a package and unpacks it; returns the folder with what is inside.
    pub(crate) fn unpack(&self, package: &str) -> Result<PathBuf> {
        let (fetched, unpacked) = (self.folder.join("fetched"), self.folder.join("unpacked").join(package));
        for folder in [&fetched, &unpacked] {
            // Half of a package may have been left by one who was stopped.
            let _ = std::fs::remove_dir_all(folder);
            std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        run(self.apt().args(["download", package]).current_dir(&fetched))?;
        let file = std::fs::read_dir(&fetched)?
            .next()
            .with_context(|| format!("apt-get download left nothing in {}", fetched.display()))??
            .path();
        run(Command::new("dpkg-deb").arg("-x").arg(&file).arg(&unpacked))?;
        std::fs::remove_dir_all(&fetched)?;
        Ok(unpacked)
    }

    /// Unpacks these packages and all that they need into one folder; nothing of it is installed.
    pub(crate) fn unpack_with_dependencies(&self, packages: &[&str], into: &Path) -> Result<()> {
        // As on a system that has no package yet.
        let status = self.folder.join("status");
        std::fs::write(&status, "")?;
        let mut fetch = self.apt();
        fetch.arg("-o").arg(format!("Dir::State::status={}", status.display()));
        run(fetch.args(["--yes", "--download-only", "--no-install-recommends", "install"]).args(packages))?;
        // Under its name only when it is whole.
        let part = self.folder.join("part");
        let _ = std::fs::remove_dir_all(&part);
        std::fs::create_dir_all(&part).with_context(|| format!("making {}", part.display()))?;
        for entry in std::fs::read_dir(self.folder.join("cache/archives"))? {
            let file = entry?.path();
            if file.extension().is_some_and(|kind| kind == "deb") {
                run(Command::new("dpkg-deb").arg("-x").arg(&file).arg(&part))?;
                std::fs::remove_file(&file)?;
            }
        }
        std::fs::rename(&part, into).with_context(|| format!("making {}", into.display()))
    }

    /// With its own progress where somebody looks.
    fn apt(&self) -> Command {
        let mut command = self.command("apt-get");
        command.args(packages::quiet());
        command
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let at = |name: &str| self.folder.join(name).display().to_string();
        for option in [
            format!("Dir::Etc::sourcelist={}", at("sources.list")),
            "Dir::Etc::sourceparts=/dev/null".to_owned(),
            format!("Dir::State::lists={}", at("lists")),
            format!("Dir::Cache={}", at("cache")),
            format!("APT::Architecture={}", self.arch.debian()),
            format!("APT::Architectures={}", self.arch.debian()),
            // apt would fetch as a user of its own, who may not write here.
            "APT::Sandbox::User=root".to_owned(),
            "Acquire::http::Timeout=20".to_owned(),
            "Acquire::Retries=1".to_owned(),
        ] {
            command.arg("-o").arg(option);
        }
        command
    }
}

/// The text of all apt sources of this host, both kinds of them.
fn host_sources() -> String {
    let folder = std::fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten().map(|entry| entry.path());
    let known = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "list" || kind == "sources");
    let mut text = std::fs::read_to_string("/etc/apt/sources.list").unwrap_or_default();
    for path in folder.filter(known) {
        text.push('\n');
        text.push_str(&std::fs::read_to_string(path).unwrap_or_default());
    }
    text
}

/// Our own sources.list. A suite that is not updated any more keeps an index whose time is over.
fn sources(host: &str) -> Result<String> {
    let mut text = String::new();
    for (part, suite) in SUITES {
        let mirror = part.mirror(host)?;
        let _ = writeln!(
            text,
            "deb [target=Packages lang=none check-valid-until=no signed-by={KEYRING}] {mirror} {suite} main"
        );
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirrors_are_the_hosts_own() {
        let check = |host: &str, main: &str, security: &str| {
            let text = sources(host).unwrap();
            assert!(text.contains(&format!(" {main} trixie-backports main\n")), "{text}");
            assert!(text.contains(&format!(" {security} bullseye-security main\n")), "{text}");
        };
        for host in
            ["", "deb http://mirror.example/ubuntu noble main", "deb https://mirror.example/debian/ bookworm main\n"]
        {
            let error = sources(host).unwrap_err().to_string();
            assert!(error.starts_with("no mirror of Debian"), "{error}");
        }
        check(
            "Types: deb\n# http://snapshot.example/archive/debian\nURIs: http://near.example/pub/debian\nSuites: x\n\n\
             URIs: http://near.example/debian-security\n",
            "http://near.example/pub/debian",
            "http://near.example/debian-security",
        );
    }
}
