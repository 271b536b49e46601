use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;

const GROUP: &str = "version: 1\ngroups:\n  NAME: { match: { comm: x } }\n";

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
    }
    folder
}

/// Loads paths inside the folder; groups and notes, or errors, with the folder's own path taken out.
fn loaded(folder: &TempDir, paths: &[&str], trust: Trust) -> Result<(Vec<String>, Vec<String>), String> {
    let paths: Vec<PathBuf> = paths.iter().map(|path| folder.path().join(path)).collect();
    let clean = |text: String| text.replace(&format!("{}/", folder.path().display()), "");
    match load(&paths, &HostLabels::default(), &Lacks::default(), trust) {
        Ok(loaded) => Ok((
            loaded.policies.groups.iter().map(|group| group.name.to_string()).collect(),
            loaded.notes.iter().map(|note| clean(note.to_string())).collect(),
        )),
        Err(diagnostics) => Err(clean(diagnostics.to_string())),
    }
}

#[track_caller]
fn check(files: &[(&str, &str)], paths: &[&str], expected: Result<(&[&str], &[&str]), &str>) {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let expected = expected.map(|(groups, notes)| (owned(groups), owned(notes))).map_err(str::to_owned);
    assert_eq!(loaded(&folder(files), paths, Trust::Anyone), expected);
}

#[test]
fn files_and_folders() {
    let (a, b) = (GROUP.replace("NAME", "a"), GROUP.replace("NAME", "b"));
    let files: &[(&str, &str)] = &[
        ("d/b.yaml", &b),
        ("d/a.yaml", &a),
        ("d/.hidden.yaml", "no"),
        ("d/notes.txt", "no"),
        ("d/old.yml", "no"),
        ("d/inner/c.yaml", "no"),
        ("empty/readme", ""),
    ];
    let yml = "d/old.yml: is not read: a policy file ends in .yaml";
    check(files, &["d"], Ok((&["a", "b"], &[yml])));
    check(files, &["d/b.yaml"], Ok((&["b"], &[])));
    // The same file twice, once by a way round.
    check(files, &["d/b.yaml", "d/../d/b.yaml"], Ok((&["b"], &[])));
    check(files, &["empty"], Ok((&[], &["empty: has no policy files (*.yaml)"])));
    check(files, &[], Ok((&[], &[])));
}

#[test]
fn all_errors_of_all_files_or_everything() {
    let a = GROUP.replace("NAME", "a");
    let files: &[(&str, &str)] = &[("1.yaml", &a), ("2.yaml", &a), ("3.yaml", "version: 2\n")];
    check(
        files,
        &["1.yaml", "3.yaml", "2.yaml", "none", "none.yaml"],
        Err("2.yaml:3:3: group `a` is declared twice; first at 1.yaml:3:3\n \
             3 |   a: { match: { comm: x } }\n   |   ^\n \
             help: names are unique over all files, also over those for other hosts\n\n\
             3.yaml:1:10: expected version 1 of the policy language, found `2`\n 1 | version: 2\n   |          ^\n \
             help: write `version: 1`\n\n\
             none: cannot be opened: no such file or directory\n\n\
             none.yaml: cannot be opened: no such file or directory"),
    );
}

#[test]
fn the_daemon_reads_only_what_others_cannot_write() {
    let a = GROUP.replace("NAME", "a");
    let folder = folder(&[("d/a.yaml", &a)]);
    let set = |path: &str, mode| {
        fs::set_permissions(folder.path().join(path), fs::Permissions::from_mode(mode)).expect("mode set");
    };
    set("d", 0o755);
    set("d/a.yaml", 0o644);
    assert!(loaded(&folder, &["d"], Trust::OwnerOnly).is_ok());
    set("d/a.yaml", 0o666);
    let file = "d/a.yaml: can be written by its group and everybody (mode 0666)\n help: chmod go-w";
    assert_eq!(loaded(&folder, &["d"], Trust::OwnerOnly), Err(file.to_owned()));
    assert!(loaded(&folder, &["d"], Trust::Anyone).is_ok());
    set("d/a.yaml", 0o644);
    set("d", 0o1777);
    let whole = "d: can be written by its group and everybody (mode 1777)\n help: chmod go-w";
    assert_eq!(loaded(&folder, &["d"], Trust::OwnerOnly), Err(whole.to_owned()));
}
