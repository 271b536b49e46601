//! `cargo xtask package`: what a fleet installs. A .deb, an .rpm, a tarball and a container image, all of one tree of files,
//! so that they cannot differ.
//!
//! The tree is made under target/package/root; each kind of package is made of it by the tool of those who install it
//! (dpkg-deb, rpmbuild, tar, buildah). The package of the tree's own version has revision 1; `--revision` makes the next one of the
//! same sources. Nothing outside target/ is written.

mod deb;
mod image;
mod rpm;
mod tarball;
mod tree;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use crate::place::{self, Profile};
use crate::step::{note, step};
use crate::toolchain::Choice;
use crate::{daemon, packages};

/// One kind of package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// For Debian, Ubuntu and their like
    Deb,
    /// For Fedora, Red Hat, SUSE and their like
    Rpm,
    /// To be unpacked anywhere
    Tarball,
    /// A container image, and the folder that it is made of
    Image,
}

/// What is made when nothing is named: an image takes the daemon linked once more, and a tool that not everybody wants.
const UNLESS_NAMED: [Kind; 3] = [Kind::Deb, Kind::Rpm, Kind::Tarball];

/// What all kinds say of the package.
struct Release {
    /// Of the workspace.
    version: &'static str,
    /// Of the packaging, from 1.
    revision: u32,
    /// The oldest GNU C library that has everything the daemon calls, such as `2.34`.
    glibc: String,
    /// Packed as fast as can be instead of as small.
    hasty: bool,
}

const SUMMARY: &str = "watches every process of a Linux host and holds it against policies";
const DESCRIPTION: &str = "\
Programs in the kernel record each process that starts and ends and read the
scheduler's own ledger of CPU time. The daemon holds that against policies in
YAML (how many, how much CPU and memory, crash loops, jobs that must run, log
keywords, the host's resources) and streams events to a collector.";

/// Makes packages of these kinds, all but the image when none is named; prints their paths.
pub(crate) fn make(choice: Choice, profile: Profile, kinds: &[Kind], revision: u32) -> Result<()> {
    let kinds = if kinds.is_empty() { &UNLESS_NAMED } else { kinds };
    packages::for_packages(kinds.contains(&Kind::Rpm), kinds.contains(&Kind::Image))?;
    let program = daemon::build(choice, profile, false)?;
    let folder = place::package_dir();
    let root = root_of(&program, &folder)?;
    let hasty = profile != Profile::Release;
    let release = Release { version: env!("CARGO_PKG_VERSION"), revision, glibc: glibc(&program)?, hasty };
    note("package: C library", &format!("the daemon needs glibc {} or newer", release.glibc));
    for kind in kinds {
        println!("{}", kind.make(profile, &root, &folder, &release)?.display());
    }
    Ok(())
}

/// All kinds around this daemon, with another .deb that upgrades the first, for the tests; returns their folder.
pub(crate) fn for_tests(program: &Path) -> Result<PathBuf> {
    packages::for_packages(true, true)?;
    let folder = place::package_dir().join("tests");
    let root = root_of(program, &folder)?;
    let glibc = glibc(program)?;
    for (kind, revision) in [(Kind::Deb, 1), (Kind::Deb, 2), (Kind::Rpm, 1), (Kind::Tarball, 1), (Kind::Image, 1)] {
        let release = Release { version: env!("CARGO_PKG_VERSION"), revision, glibc: glibc.clone(), hasty: true };
        kind.make(Profile::Debug, &root, &folder, &release)?;
    }
    Ok(folder)
}

fn root_of(program: &Path, folder: &Path) -> Result<PathBuf> {
    let root = folder.join("root");
    step("package: tree", "the files that every kind of package brings", || tree::make(program, &root))?;
    Ok(root)
}

impl Kind {
    fn make(self, profile: Profile, root: &Path, folder: &Path, release: &Release) -> Result<PathBuf> {
        match self {
            Self::Deb => step("package: deb", "for dpkg and apt", || deb::make(root, folder, release)),
            Self::Rpm => step("package: rpm", "for rpm and dnf", || rpm::make(root, folder, release)),
            Self::Tarball => step("package: tarball", "for everybody else", || tarball::make(root, folder, release)),
            Self::Image => {
                let program = daemon::link_statically(profile)?;
                step("package: image", "for container runtimes", || image::make(&program, root, folder, release))
            }
        }
    }
}

/// The newest version of the C library's symbols that a program asks for, from the names in its `.gnu.version_r`.
fn glibc(program: &Path) -> Result<String> {
    let bytes = std::fs::read(program).with_context(|| format!("reading {}", program.display()))?;
    let mut newest = (0_u32, 0_u32);
    for at in memchr_all(&bytes, b"GLIBC_2.") {
        let rest = &bytes[at + b"GLIBC_2.".len()..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let minor = std::str::from_utf8(&rest[..digits]).ok().and_then(|digits| digits.parse().ok());
        newest = newest.max((2, minor.unwrap_or(0)));
    }
    anyhow::ensure!(newest.0 > 0, "{} names no version of the C library", program.display());
    Ok(format!("{}.{}", newest.0, newest.1))
}

/// Where `needle` begins in `hay`.
fn memchr_all<'a>(hay: &'a [u8], needle: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    hay.windows(needle.len()).enumerate().filter(move |(_, window)| *window == needle).map(|(at, _)| at)
}

/// Debian's and rpm's name for this machine's processor.
fn architecture(debian: bool) -> Result<&'static str> {
    match (std::env::consts::ARCH, debian) {
        ("x86_64", true) => Ok("amd64"),
        ("aarch64", true) => Ok("arm64"),
        (arch @ ("x86_64" | "aarch64"), false) => Ok(arch),
        (other, _) => anyhow::bail!("there are no packages for {other}"),
    }
}

/// Makes a folder anew.
fn anew(folder: &Path) -> Result<PathBuf> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    Ok(folder.to_owned())
}
