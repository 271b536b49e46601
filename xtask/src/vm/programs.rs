//! Where the programs of a machine come from, and which libraries a binary needs: the host's own files for a machine like
//! the host, Debian's packages, unpacked, for another.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::arch::Arch;
use super::archive::Archive;
use crate::step::{output_of, step};

/// Debian's packages with what tests and their scripts call, and with what Rust's binaries are linked to.
const PACKAGES: [&str; 7] = ["dash", "coreutils", "grep", "util-linux", "mount", "libc6", "libgcc-s1"];
/// Where a root of Debian's has programs.
const PROGRAM_FOLDERS: [&str; 4] = ["usr/bin", "bin", "usr/sbin", "sbin"];

/// A file, and where the machine has it.
pub(crate) type Placed = (PathBuf, PathBuf);

/// The files that machines take programs and libraries from.
#[derive(Clone, Debug)]
pub(crate) enum Programs {
    /// This host's.
    Host,
    /// Debian's of another processor, unpacked.
    Unpacked {
        /// Whose.
        arch: Arch,
        /// Below which they are.
        root: PathBuf,
    },
}

impl Programs {
    /// For machines of that kind; fetched where they are not here yet.
    pub(crate) fn of(arch: Arch) -> Result<Self> {
        if arch.is_host() {
            return Ok(Self::Host);
        }
        let root = arch.folder().join("root");
        if !root.is_dir() {
            step("programs", &format!("Debian's, for {}", arch.name()), || {
                let archive = Archive::new(&arch.folder(), arch);
                archive.update()?;
                archive.unpack_with_dependencies(&PACKAGES, &root)
            })?;
        }
        Ok(Self::Unpacked { arch, root })
    }

    /// The file of a program.
    pub(crate) fn find(&self, name: &str) -> Result<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders: Vec<PathBuf> = match self {
            Self::Host => std::env::split_paths(&path).chain(["/usr/bin".into(), "/bin".into()]).collect(),
            Self::Unpacked { root, .. } => PROGRAM_FOLDERS.map(|folder| root.join(folder)).to_vec(),
        };
        // Debian's shell has its name from a link that a package makes when it is installed.
        let names = if name == "sh" { &["sh", "dash"][..] } else { &[name][..] };
        let mut found = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
        found.find(|path| path.is_file()).with_context(|| match self {
            Self::Host => format!("the machine's tests call `{name}`, which is not on PATH"),
            Self::Unpacked { root, .. } => {
                format!("the machine's tests call `{name}`, which is not in {}", root.display())
            }
        })
    }

    /// The shared libraries of a program, and what loads them, at the paths where the program looks for them.
    pub(crate) fn libraries(&self, program: &Path) -> Result<Vec<Placed>> {
        match self {
            Self::Host => {
                let told = output_of(Command::new("ldd").arg(program))?;
                Ok(shared(&told).into_iter().map(|path| (path.clone(), path)).collect())
            }
            Self::Unpacked { arch, root } => needed(*arch, root, program),
        }
    }
}

/// What ldd would say, of a program that cannot run here.
fn needed(arch: Arch, root: &Path, program: &Path) -> Result<Vec<Placed>> {
    let folders = [format!("usr/lib/{}", arch.gnu()), format!("lib/{}", arch.gnu()), "usr/lib".into(), "lib".into()];
    let in_machine = Path::new("/lib").join(arch.gnu());
    let mut found: Vec<Placed> = Vec::new();
    let mut open = vec![program.to_path_buf()];
    while let Some(binary) = open.pop() {
        let told = output_of(Command::new("readelf").args(["--wide", "--dynamic", "--program-headers"]).arg(&binary))?;
        let (names, loader) = dynamic(&told);
        for wanted in names.iter().map(|name| in_machine.join(name)).chain(loader) {
            if found.iter().any(|(_, at)| *at == wanted) {
                continue;
            }
            let name = wanted.file_name().map_or_else(|| OsStr::new("").to_owned(), OsStr::to_owned);
            let file = folders.iter().map(|folder| root.join(folder).join(&name)).find(|path| path.is_file());
            let file =
                file.with_context(|| format!("{} needs {}, which is not there", binary.display(), wanted.display()))?;
            let file = fs::canonicalize(&file).with_context(|| file.display().to_string())?;
            open.push(file.clone());
            found.push((file, wanted));
        }
    }
    Ok(found)
}

/// The libraries that a binary names, and the path of its loader.
fn dynamic(readelf: &str) -> (Vec<String>, Option<PathBuf>) {
    let bracket = |line: &str| Some(line.split_once('[')?.1.split_once(']')?.0.to_owned());
    let names = readelf.lines().filter(|line| line.contains("(NEEDED)")).filter_map(bracket).collect();
    let loader = readelf.lines().find_map(|line| line.split_once("program interpreter: ")?.1.split_once(']'));
    (names, loader.map(|(path, _)| PathBuf::from(path)))
}

/// The paths in the output of ldd.
fn shared(ldd: &str) -> Vec<PathBuf> {
    let word = |line: &str| {
        let line = line.split_once("=>").map_or(line, |(_, found)| found);
        line.split_whitespace().next().filter(|word| word.starts_with('/')).map(PathBuf::from)
    };
    ldd.lines().filter_map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_libraries_of_a_program_are_read_from_what_ldd_says() {
        let ldd = "\tlinux-vdso.so.1 (0x00007f4e)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
                   \tlibgone.so => not found\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f4e)\n\tstatically linked\n";
        let expected = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from);
        assert_eq!(shared(ldd), expected);
    }

    #[test]
    fn those_of_another_processor_are_read_from_what_readelf_says() {
        let readelf = "  INTERP         0x000270 0x0000000000000270 0x00001b R   0x1\n      \
                       [Requesting program interpreter: /lib/ld-linux-aarch64.so.1]\n  LOAD           0x000000\n \
                       0x0000000000000001 (NEEDED)             Shared library: [libgcc_s.so.1]\n \
                       0x0000000000000001 (NEEDED)             Shared library: [libc.so.6]\n 0x1d (RUNPATH) [/x]\n";
        let (names, loader) = dynamic(readelf);
        assert_eq!(
            (names.join(" "), loader),
            ("libgcc_s.so.1 libc.so.6".to_owned(), Some("/lib/ld-linux-aarch64.so.1".into()))
        );
        assert_eq!(dynamic("There is no dynamic section in this file.\n"), (Vec::new(), None));
    }
}
