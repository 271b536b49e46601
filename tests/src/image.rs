//! A container image as a runtime gets it: an archive in OCI layout, followed from its index over manifest and configuration to the
//! layers, which are unpacked one over the other.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// An unpacked image.
#[derive(Debug)]
pub struct Image {
    /// Its file system.
    pub root: PathBuf,
    /// How it wants to be run: `Entrypoint`, `Cmd`, `Env` and so on.
    pub config: Value,
}

impl Image {
    /// Unpacks the archive into a new folder below this one. Panics where it is no image.
    pub fn unpack(archive: &Path, below: &Path) -> Self {
        let layout = below.join("layout");
        untar(archive, &layout);
        let index = json(&layout.join("index.json"));
        let [manifest] = index["manifests"].as_array().map(Vec::as_slice).unwrap_or_default() else {
            panic!("not one manifest: {index}")
        };
        let manifest = json(&blob(&layout, manifest));
        let config = json(&blob(&layout, &manifest["config"]));
        let root = below.join("root");
        for layer in manifest["layers"].as_array().into_iter().flatten() {
            untar(&blob(&layout, layer), &root);
        }
        assert!(root.is_dir(), "no layers: {manifest}");
        Self { root, config: config["config"].clone() }
    }

    /// A list of its configuration, such as `Entrypoint`.
    pub fn list(&self, name: &str) -> Vec<String> {
        let words = self.config[name].as_array().into_iter().flatten();
        words.filter_map(|word| word.as_str().map(str::to_owned)).collect()
    }
}

/// The file that a descriptor names.
fn blob(layout: &Path, descriptor: &Value) -> PathBuf {
    let digest = descriptor["digest"].as_str().unwrap_or_else(|| panic!("no digest: {descriptor}"));
    layout.join("blobs").join(digest.replace(':', "/"))
}

fn json(path: &Path) -> Value {
    let text = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn untar(archive: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap_or_else(|error| panic!("{}: {error}", to.display()));
    let mut command = Command::new("tar");
    let status = command.arg("--extract").arg("--file").arg(archive).arg("--directory").arg(to).status();
    assert!(status.is_ok_and(|status| status.success()), "{command:?}");
}
