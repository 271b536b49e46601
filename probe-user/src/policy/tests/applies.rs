//! Which files, groups and names apply on this host.

use super::*;

#[test]
fn what_is_named_in_a_file_for_other_hosts_is_left_out() {
    let other = "version: 1\nhosts: db-*\nnotify: { ops: { webhook: 'http://a' } }\nactions: { a: { signal: TERM } }\n";
    let own =
        "version: 1\ngroups:\n  g: { match: { comm: x }, notify: ops, act: [a, b] }\nactions: { b: { signal: HUP } }\n";
    let loaded = read(&[other, own]).expect("right");
    let response = &loaded.policies.groups[0].response;
    assert_eq!((response.notify.len(), response.act.join(" ")), (0, "b".to_owned()));
    let notes: Vec<&str> = loaded.notes[1..].iter().map(|note| &*note.message).collect();
    assert_eq!(
        notes,
        [
            "the destination `ops` is not used here: it is declared in a file for other hosts",
            "the action `a` is not used here: it is declared in a file for other hosts"
        ]
    );
}

/// The groups that are loaded, and the notes.
#[track_caller]
fn check_loaded(texts: &[&str], names: &[&str], notes: &[&str]) {
    let loaded = read(texts).map_err(|diagnostics| diagnostics.to_string()).expect("right");
    let found: Vec<&str> = loaded.policies.groups.iter().map(|group| &*group.name).collect();
    assert_eq!(found, names);
    let found: Vec<String> = loaded
        .notes
        .iter()
        .map(|note| format!("{}:{}:{}: {}", note.file, note.line, note.column, note.message))
        .collect();
    assert_eq!(found, notes);
}

#[test]
fn hosts_say_where_a_file_applies() {
    let file = |hosts: &str| format!("version: 1\nhosts: {hosts}\ngroups:\n  g:\n    match: {{ comm: x }}\n");
    for hosts in ["web-1", "\"web-*\"", "[db-1, \"*-1\"]", "role=web", "\"zone=seoul-*\"", "\"*=web\""] {
        check_loaded(&[&file(hosts)], &["g"], &[]);
    }
    let note = "0.yaml:2:1: not for this host: no pattern matches its name \"web-1\" or its labels";
    for hosts in ["web", "\"db-*\"", "role=db", "role", "[\"role=d*\", web-2]"] {
        check_loaded(&[&file(hosts)], &[], &[note]);
    }
}

#[test]
fn only_if_says_where_a_group_is_loaded() {
    let file = |only_if: &str| format!("version: 1\ngroups:\n  g:\n    match: {{ comm: x }}\n    only_if: {only_if}\n");
    for only_if in
        ["{ path: /there }", "{ path: [/not, /there/too] }", "[{ path: /there/a }, { path: [/no, /there/b] }]"]
    {
        check_loaded(&[&file(only_if)], &["g"], &[]);
    }
    check_loaded(&[&file("{ path: /no }")], &[], &["0.yaml:5:14: `g` is not loaded here: `/no` does not exist"]);
    check_loaded(
        &[&file("[{ path: /there }, { path: [/no, /nor] }]")],
        &[],
        &["0.yaml:5:33: `g` is not loaded here: `/no`, `/nor` do not exist"],
    );
}

#[test]
fn a_group_goes_with_the_last_of_its_parents() {
    let groups = "\
version: 1
groups:
  absent: { match: { comm: a }, only_if: { path: /no } }
  child: { match: { parent: absent }, count: { min: 1 } }
  grandchild: { match: { parent: child } }
  either: { match: { parent: [absent, present] } }
  present: { match: { comm: p }, except: { parent: absent } }
";
    check_loaded(
        &[groups],
        &["either", "present"],
        &[
            "0.yaml:3:42: `absent` is not loaded here: `/no` does not exist",
            "0.yaml:4:29: `child` is not loaded here, because the group of its parent is not",
            "0.yaml:5:34: `grandchild` is not loaded here, because the group of its parent is not",
        ],
    );
    let loaded = read(&[groups]).expect("right");
    let [either, present] = &loaded.policies.groups[..] else { panic!("two groups") };
    assert_eq!(either.select.parent.len(), 1);
    assert!(present.except.is_none(), "nobody's parent is in a group that is not loaded");
}

#[test]
fn parents_may_be_in_other_files_and_of_oneself_only_to_be_taken_out() {
    check_loaded(
        &[
            "version: 1\ngroups: { master: { match: { exe: nginx }, except: { parent: master } } }",
            "version: 1\ngroups: { worker: { match: { parent: master } } }",
        ],
        &["master", "worker"],
        &[],
    );
}

#[test]
fn a_file_without_groups() {
    check_loaded(&["version: 1\n", "version: 1\ngroups:\n"], &[], &[]);
}

/// A kernel that has neither.
fn bare() -> Lacks {
    Lacks { pressure: Some("it was left out".to_owned()), cgroups: Some("nobody mounted them".to_owned()) }
}

/// What is refused on a kernel that has neither, as `line:column: message`, and what is noted.
#[track_caller]
fn check_refused(text: &str, refused: &[&str], noted: &[&str]) {
    let told = |diagnostic: &Diagnostic| {
        assert!(diagnostic.help.is_some() || noted.len() > refused.len(), "{diagnostic}");
        format!("{}:{}: {}", diagnostic.line, diagnostic.column, diagnostic.message)
    };
    let sources = [Source::new("a.yaml", text)];
    let (host, lacks) = (host(), bare());
    let place = Place { host: &host, exists: &|_| true, lacks: &lacks };
    let found = match parse_into(&sources, Some(place), Diagnostics::new(), Vec::new()) {
        Ok(loaded) => {
            let left_out: Vec<String> = loaded.notes.iter().map(told).collect();
            assert_eq!(left_out, noted);
            Vec::new()
        }
        Err(wrong) => wrong.iter().map(told).collect(),
    };
    assert_eq!(found, refused);
    assert!(read(&[text]).is_ok(), "a kernel that has both takes it");
}

#[test]
fn what_the_kernel_lacks_is_refused_where_it_is_asked_for() {
    check_refused(
        "version: 1\nhost:\n  load: { max: 9 }\n  pressure_cpu: { max: 9% }\n",
        &["4:3: `pressure_cpu` cannot be judged on this kernel: it was left out"],
        &[],
    );
    check_refused(
        "version: 1\ngroups:\n  g:\n    match: { comm: x, unit: nginx }\njobs:\n  j: { match: { cgroup: /a/** } }\n  \
         k: { match: { container: 0123456789ab } }\n",
        &[
            "4:23: `unit` matches nothing on this kernel: nobody mounted them",
            "6:17: `cgroup` matches nothing on this kernel: nobody mounted them",
            "7:17: `container` matches nothing on this kernel: nobody mounted them",
        ],
        &[],
    );
    // What is taken out may be nothing.
    check_refused(
        "version: 1\ngroups: { g: { match: { comm: x }, except: { cgroup: /a } } }\n",
        &[],
        &["2:46: takes nothing out: `cgroup` matches nothing on this kernel: nobody mounted them"],
    );
}

#[test]
fn what_the_kernel_lacks_is_no_matter_where_it_is_not_loaded() {
    let not_here = "0123.yaml:2:1: not for this host: no pattern matches its name \"web-1\" or its labels";
    check_refused(
        "version: 1\nhosts: other\nhost: { pressure_io: { max: 9% } }\n",
        &[],
        &[&not_here["0123.yaml:".len()..]],
    );
    // Some kernels have the file, and refuse to read it.
    check_refused(
        "version: 1\nhost:\n- only_if: { path: /proc/pressure/memory }\n  pressure_io: { max: 9% }\n",
        &[],
        &["3:12: `host` is not loaded here: `/proc/pressure/memory` does not exist"],
    );
}
