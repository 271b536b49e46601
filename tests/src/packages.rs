//! Where the packages are that the tests install.

use std::fs;
use std::path::PathBuf;

/// The folder that `cargo xtask test` has made them in. Panics when nobody says which.
pub fn folder() -> PathBuf {
    let Some(folder) = std::env::var_os("PROCPROBE_PACKAGES") else {
        panic!("PROCPROBE_PACKAGES does not say where packages are: `cargo xtask test` makes some")
    };
    folder.into()
}

/// The one file whose name has these ends.
pub fn package(start: &str, end: &str) -> PathBuf {
    let folder = folder();
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let fits = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with(start) && name.ends_with(end))
    };
    let found: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(fits).collect();
    let [path] = &found[..] else { panic!("{start}*{end}: {found:?} in {}", folder.display()) };
    path.clone()
}
