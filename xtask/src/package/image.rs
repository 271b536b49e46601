//! The container image: one program without a C library beside it, what it reads of a file system, and nothing else. No
//! shell, no package manager, no registry to fetch a base from.
//!
//! A folder is made that `podman build`, `docker build` or any other builder takes as it is, with [`RECIPE`] in it; Debian's
//! buildah makes an archive of it (OCI layout), which `podman load` and `skopeo copy` take. The same tree
//! makes the same layers. Certificates and time zones are those of the host that it is made on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::tree::{CONFIGURATION, copy, put};
use super::{Release, architecture};
use crate::place;
use crate::step::run;

/// How the image is made, in the sources.
const RECIPE: &str = "xtask/package/Containerfile";
/// Certificate authorities: where distributions keep them, in one file.
const AUTHORITIES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];
/// Time zones, for policies that name one.
const ZONES: &str = "usr/share/zoneinfo";
/// Without leap seconds, the same once more, and links to the host's own choice: nobody asks for these by name.
const ZONES_WITHOUT: [&str; 4] = ["right", "posix", "localtime", "posixrules"];
/// Whoever builds from nothing but a folder needs no policy about signatures.
const ANY_SIGNATURE: &str = r#"{"default":[{"type":"insecureAcceptAnything"}]}"#;

/// Makes folder and archive around this daemon, which needs no libraries, with what the packages' tree brings besides; returns
/// the archive's path.
pub(super) fn make(program: &Path, tree: &Path, folder: &Path, release: &Release) -> Result<PathBuf> {
    let own = folder.join("image");
    lay_out(program, tree, &super::anew(&own)?)?;
    let name = format!("procprobe:{}", release.version);
    let made = folder.join(format!("procprobe-{}-oci-{}.tar", release.version, architecture(false)?));
    if made.exists() {
        fs::remove_file(&made).with_context(|| format!("removing {}", made.display()))?;
    }
    // What buildah keeps of its own: not among this host's images.
    let store = folder.join("image-store");
    let policy = super::anew(&store)?.join("policy.json");
    put(ANY_SIGNATURE.as_bytes(), &policy, 0o644)?;
    let buildah = |command: &str| {
        let mut buildah = Command::new("buildah");
        buildah.arg("--root").arg(store.join("root")).arg("--runroot").arg(store.join("run"));
        buildah.args(["--storage-driver", "vfs", command, "--quiet", "--signature-policy"]).arg(&policy);
        buildah
    };
    // Nothing is run inside, so that nothing has to be isolated.
    run(buildah("build")
        .args(["--isolation", "chroot", "--timestamp", "0", "--build-arg"])
        .arg(format!("VERSION={}", release.version))
        .args(["--tag", &name])
        .arg(&own))?;
    run(buildah("push").arg(&name).arg(format!("oci-archive:{}:{name}", made.display())))?;
    fs::remove_dir_all(&store).with_context(|| format!("removing {}", store.display()))?;
    Ok(made)
}

/// What the recipe copies.
fn lay_out(program: &Path, tree: &Path, own: &Path) -> Result<()> {
    let root = own.join("root");
    copy(&place::root().join(RECIPE), &own.join("Containerfile"))?;
    let installed = root.join("usr/bin/procprobe");
    put(&fs::read(program).with_context(|| format!("reading {}", program.display()))?, &installed, 0o755)?;
    run(Command::new("strip").arg("--strip-unneeded").arg(&installed))?;
    for path in [CONFIGURATION, "usr/share/doc/procprobe/LICENSE-APACHE", "usr/share/doc/procprobe/LICENSE-MIT"] {
        whole(&tree.join(path), &root.join(path))?;
    }
    // So that `user: root` has a number where the host's own file is not mounted over this one.
    put(b"root:x:0:0:root:/:/usr/bin/procprobe\n", &root.join("etc/passwd"), 0o644)?;
    put(b"root:x:0:\n", &root.join("etc/group"), 0o644)?;
    let Some(authorities) = AUTHORITIES.iter().map(Path::new).find(|path| path.is_file()) else {
        bail!(
            "no certificate authorities at {}: `apt-get install ca-certificates`, or the like",
            AUTHORITIES.join(", ")
        );
    };
    // Where the daemon's TLS looks first, whatever the builder's own distribution has.
    copy(authorities, &root.join("etc/ssl/certs/ca-certificates.crt"))?;
    zones(&root)?;
    for folder in ["run/procprobe", "var/lib/procprobe", "tmp", "proc", "sys"] {
        fs::create_dir_all(root.join(folder)).with_context(|| format!("making {folder}"))?;
    }
    run(Command::new("find").arg(&root).args(["-type", "d", "-exec", "chmod", "0755", "{}", "+"]))
}

fn zones(root: &Path) -> Result<()> {
    let (from, to) = (Path::new("/").join(ZONES), root.join(ZONES));
    if !from.join("UTC").is_file() {
        bail!("no time zones in {}: `apt-get install tzdata`, or the like", from.display());
    }
    whole(&from, &to)?;
    for name in ZONES_WITHOUT {
        run(Command::new("rm").args(["--recursive", "--force"]).arg(to.join(name)))?;
    }
    Ok(())
}

/// A file or a folder with all that is in it.
fn whole(from: &Path, to: &Path) -> Result<()> {
    let parent = to.parent().context("a path without a parent")?;
    fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
    run(Command::new("cp").args(["--recursive", "--no-dereference", "--preserve=mode,links"]).arg(from).arg(to))
}
