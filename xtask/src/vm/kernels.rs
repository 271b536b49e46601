//! The kernels that the matrix boots, and where their images are kept.
//!
//! A kernel is wanted by the beginning of its version; the newest one of the archive that begins so is taken. An image
//! that was fetched stays in target/vm until it is deleted: a run without the network uses it again, and a run tomorrow
//! tests the same kernel as one today. Where the archive's own lists name one that it does not have any more, the one before
//! it is taken.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};

use super::arch::Arch;
use super::archive::Archive;
use crate::step::step;

/// The oldest that is supported, those of Debian's releases, one of 6.16 to 6.19, and the newest.
pub(crate) const ALL: [&str; 5] = ["5.10", "6.1", "6.12", "6.19", NEWEST];
/// What is booted when nothing is named: the oldest, one of today's releases, the newest.
pub(crate) const TESTED: [&str; 3] = ["5.10", "6.12", NEWEST];
/// Whatever is the highest version in the archive.
pub(crate) const NEWEST: &str = "newest";

/// The first kernel with a release that Debian keeps images of.
const OLDEST_NUMBERS: [u64; 2] = [5, 10];

/// An image that can be booted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kernel {
    /// As it was asked for: `6.12`, `newest`.
    pub(crate) wanted: String,
    /// As the kernel calls itself: `6.12.107+deb13-cloud-amd64`.
    pub(crate) release: String,
    /// Its image.
    pub(crate) image: PathBuf,
}

impl Kernel {
    /// Its version without Debian's own words: `6.12.107`, `5.10.0-46`.
    pub(crate) fn version(&self) -> &str {
        let end = self.release.find("-cloud").unwrap_or(self.release.len());
        let version = &self.release[..end];
        version.split('+').next().unwrap_or(version)
    }
}

/// The wanted kernels, fetched where they are not here yet.
pub(crate) fn fetch(arch: Arch, wanted: &[String]) -> Result<Vec<Kernel>> {
    let folder = &arch.folder();
    let missing: Vec<&String> = wanted.iter().filter(|wanted| kept(folder, wanted).is_none()).collect();
    if !missing.is_empty() {
        let archive = Archive::new(folder, arch);
        let names: Vec<&str> = missing.iter().map(|wanted| wanted.as_str()).collect();
        let kernels = folder.join("kernels");
        archive.update().with_context(|| {
            format!("{} has no kernel {}, and Debian's archive gives none", kernels.display(), names.join(", "))
        })?;
        let mut names = archive.names("linux-image-")?;
        names.extend(archive.names("linux-binary-")?);
        for wanted in missing {
            let mut failure = anyhow!("Debian's archive has no cloud kernel {wanted} for {}", arch.debian());
            for (package, release) in candidates(&names, arch, wanted) {
                let fetch = || keep(folder, wanted, release, &archive.unpack(package)?);
                match step(&format!("kernel {wanted}"), package, fetch) {
                    Ok(()) => break,
                    // Lists of releases that are not updated any more name files that are not there any more.
                    Err(error) => failure = error,
                }
            }
            if kept(folder, wanted).is_none() {
                return Err(failure);
            }
        }
    }
    wanted
        .iter()
        .map(|wanted| kept(folder, wanted).with_context(|| format!("the kernel {wanted} was not kept")))
        .collect()
}

/// What was fetched before.
fn kept(folder: &Path, wanted: &str) -> Option<Kernel> {
    let mut entries = fs::read_dir(folder.join("kernels").join(wanted)).ok()?.flatten();
    let image = entries.next()?.path();
    let release = image.file_name().and_then(OsStr::to_str)?.to_owned();
    Some(Kernel { wanted: wanted.to_owned(), release, image })
}

/// Takes the image out of what was unpacked.
fn keep(folder: &Path, wanted: &str, release: &str, unpacked: &Path) -> Result<()> {
    let image =
        [unpacked.join(format!("boot/vmlinuz-{release}")), unpacked.join(format!("usr/lib/modules/{release}/vmlinuz"))]
            .into_iter()
            .find(|path| path.is_file())
            .with_context(|| format!("no image of {release} in {}", unpacked.display()))?;
    let place = folder.join("kernels").join(wanted);
    fs::create_dir_all(&place).with_context(|| format!("making {}", place.display()))?;
    // Under its name only when it is whole.
    let part = folder.join("part");
    fs::copy(&image, &part).with_context(|| format!("copying {}", image.display()))?;
    fs::rename(&part, place.join(release))?;
    fs::remove_dir_all(unpacked)?;
    Ok(())
}

/// The packages with a kernel that is wanted, and that kernel's release; the newest first.
fn candidates<'a>(names: &'a [String], arch: Arch, wanted: &str) -> Vec<(&'a str, &'a str)> {
    // Cloud images have what a virtual machine needs built in, and little else.
    let end = format!("-cloud-{}", arch.debian());
    let wanted_numbers = numbers(wanted);
    let fits = |version: &[u64]| match wanted {
        NEWEST => version >= &OLDEST_NUMBERS,
        _ => version.starts_with(&wanted_numbers),
    };
    let mut found: Vec<_> = names
        .iter()
        .filter_map(|name| {
            // Where both are there, the first only depends on the second, and the image is in that.
            let (rank, release) = match name.strip_prefix("linux-binary-") {
                Some(release) => (1, release),
                None => (0, name.strip_prefix("linux-image-")?),
            };
            let version = numbers(release.strip_suffix(&*end)?);
            // `linux-image-cloud-amd64` and `linux-image-6.1-cloud-amd64` only name others; `linux-binary-unsigned-...` is
            // the same once more.
            let is_release = release.starts_with(|c: char| c.is_ascii_digit()) && version.len() > 2;
            (is_release && fits(&version)).then_some((version, rank, name.as_str(), release))
        })
        .collect();
    found.sort_unstable_by(|one, other| other.cmp(one));
    found.into_iter().map(|(_, _, name, release)| (name, release)).collect()
}

/// All numbers in a version, which is what it is compared by.
fn numbers(version: &str) -> Vec<u64> {
    version.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect()
}

/// What was asked for on the command line, in words that [`fetch`] knows; nothing stands for [`TESTED`].
pub(crate) fn wanted(words: &[String]) -> Result<Vec<String>> {
    if words.is_empty() {
        return Ok(TESTED.map(str::to_owned).to_vec());
    }
    let mut wanted: Vec<String> = Vec::new();
    for word in words {
        let more: Vec<String> = match word.as_str() {
            "all" => ALL.map(str::to_owned).to_vec(),
            NEWEST => vec![NEWEST.to_owned()],
            version if is_version(version) => vec![version.to_owned()],
            other => bail!("`{other}` is no kernel version: 5.10, 6.12.107, newest, all"),
        };
        wanted.extend(more);
    }
    let mut seen = std::collections::HashSet::new();
    wanted.retain(|one| seen.insert(one.clone()));
    Ok(wanted)
}

/// Two numbers at least, and nothing that a path could be made of.
fn is_version(word: &str) -> bool {
    word.contains('.') && word.split('.').all(|part| part.parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_that_begins_so_is_chosen_and_the_package_that_has_the_image() {
        let names = [
            "linux-image-cloud-amd64",
            "linux-image-5.10.0-30-cloud-amd64",
            "linux-image-5.10.0-46-cloud-amd64",
            "linux-image-5.10.0-46-cloud-amd64-unsigned",
            "linux-image-5.10.0-46-cloud-amd64-dbg",
            "linux-image-5.10.0-46-amd64",
            "linux-image-6.1-cloud-amd64",
            "linux-image-6.1.0-0.deb11.52-cloud-amd64",
            "linux-image-6.1.0-50-cloud-amd64",
            "linux-image-6.12.94+deb13-cloud-amd64",
            "linux-image-6.12.107+deb13-cloud-amd64",
            "linux-image-7.3.4+deb13-cloud-amd64",
            "linux-binary-7.3.4+deb13-cloud-amd64",
            "linux-binary-unsigned-7.3.4+deb13-cloud-amd64",
            "linux-binary-7.0.12+deb13-cloud-amd64",
            "linux-image-4.19.0-27-cloud-amd64",
            "linux-image-6.12.5-cloud-arm64",
        ]
        .map(str::to_owned);
        let check = |wanted: &str, expected: Option<&str>| {
            let found = candidates(&names, Arch::X86_64, wanted);
            assert_eq!(found.first().map(|(package, _)| *package), expected, "{wanted}");
        };
        check("5.10", Some("linux-image-5.10.0-46-cloud-amd64"));
        check("6.1", Some("linux-image-6.1.0-50-cloud-amd64"));
        check("6.12", Some("linux-image-6.12.107+deb13-cloud-amd64"));
        check("6.12.94", Some("linux-image-6.12.94+deb13-cloud-amd64"));
        check("7.0", Some("linux-binary-7.0.12+deb13-cloud-amd64"));
        check("newest", Some("linux-binary-7.3.4+deb13-cloud-amd64"));
        check("6.18", None);
        assert_eq!(
            candidates(&names, Arch::Aarch64, "6.12"),
            [("linux-image-6.12.5-cloud-arm64", "6.12.5-cloud-arm64")]
        );
        let releases: Vec<&str> =
            candidates(&names, Arch::X86_64, "5.10").iter().map(|(_, release)| *release).collect();
        assert_eq!(releases, ["5.10.0-46-cloud-amd64", "5.10.0-30-cloud-amd64"]);
    }

    #[test]
    fn words_on_the_command_line_stand_for_kernels() {
        let check = |words: &[&str], expected: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(wanted(&words).unwrap(), expected, "{words:?}");
        };
        check(&[], &TESTED);
        check(&["all"], &ALL);
        check(&["6.1", "newest", "6.1"], &["6.1", "newest"]);
        check(&["5.10", "all"], &["5.10", "6.1", "6.12", "6.19", "newest"]);
        for bad in ["", "6", "../etc", "6..1", "latest", "6.12-rc1"] {
            assert!(wanted(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_version_is_shown_without_debians_words() {
        let check = |release: &str, expected: &str| {
            let kernel = Kernel { wanted: String::new(), release: release.to_owned(), image: PathBuf::new() };
            assert_eq!(kernel.version(), expected);
        };
        check("6.12.107+deb13-cloud-amd64", "6.12.107");
        check("5.10.0-46-cloud-amd64", "5.10.0-46");
    }
}
