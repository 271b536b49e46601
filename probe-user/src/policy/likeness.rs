//! A process that a selector matches, made of what the selector says: for tests that say "a run of this job". Pure.
//!
//! What a person gives comes first. A pattern without wildcards stands for itself, `*` and `?` for an "x", and an
//! expression for the text that it looks like. Whether the result does match is for the selector to say: where it does
//! not, the person has to say more.

use std::collections::HashMap;
use std::sync::Arc;

use super::select::Field;
use super::spec::{CgroupPattern, Looks, Selector, User, Users};
use crate::model::Process;
use crate::record::{Comm, Identity, ProcessKey, Program};
use crate::time::KTime;

/// Digits of a container's id, as runtimes write it.
const CONTAINER_DIGITS: usize = 64;

/// The looks of a process that `select` matches and `except` does not take out; the error is the field that cannot be
/// made up.
pub(super) fn of(select: &Selector, except: Option<&Selector>, given: &Looks) -> Result<Looks, Field> {
    let mut looks = given.clone();
    if let (None, Some(glob)) = (&looks.exe, select.exe.first()) {
        let path = plain_path(glob.glob.as_str());
        looks.exe = Some(if glob.name_only { format!("/usr/bin/{path}").into() } else { path.into() });
    }
    if let (None, Some(glob)) = (&looks.comm, select.comm.first()) {
        looks.comm = Some(plain_path(glob.as_str()).into());
    }
    if let (None, Some(regex)) = (&looks.args, select.args.first()) {
        looks.args = Some(plain_text(regex.as_str()).into());
    }
    if let (None, Some(user)) = (&looks.user, select.user.first()) {
        looks.user = Some(user.clone());
    }
    if let (None, Some(pattern)) = (&looks.cgroup, select.cgroup.first()) {
        looks.cgroup = Some(match pattern {
            CgroupPattern::Path(glob) => plain_path(glob.as_str()).into(),
            CgroupPattern::Unit(unit) => format!("/system.slice/{unit}").into(),
            CgroupPattern::Container(id) => format!("/system.slice/docker-{id:0<CONTAINER_DIGITS$}.scope").into(),
        });
    }
    let (process, users) = process(&looks, select.kernel_threads);
    let is_out = |selector: &Selector| selector.mismatch(&process, &users, &|_| false).is_none();
    match select.mismatch(&process, &users, &|_| false) {
        Some(field) => Err(field),
        None if except.is_some_and(is_out) => Err(Field::Args),
        None => Ok(looks),
    }
}

/// A pattern as a path that it might match.
fn plain_path(pattern: &str) -> String {
    pattern.replace("**", "x").replace(['*', '?'], "x")
}

/// An expression as a text that it might match: escapes stand for one of what they mean, anchors for nothing.
fn plain_text(expression: &str) -> String {
    let mut text = String::with_capacity(expression.len());
    let mut characters = expression.chars();
    while let Some(c) = characters.next() {
        match c {
            '^' | '$' => {}
            '\\' => match characters.next() {
                Some('d') => text.push('0'),
                Some('w' | 'S' | 'D') => text.push('a'),
                Some('s' | 'W') => text.push(' '),
                Some('b' | 'B' | 'A' | 'z') | None => {}
                Some(escaped) => text.push(escaped),
            },
            c => text.push(c),
        }
    }
    text
}

/// As the selector sees it.
fn process(looks: &Looks, kernel_thread: bool) -> (Process, Users) {
    let (uid, users) = match &looks.user {
        Some(User::Uid(uid)) => (*uid, Users::default()),
        Some(User::Name(name)) => (1, Users(HashMap::from([(1, Arc::from(&**name))]))),
        None => (0, Users(HashMap::from([(0, Arc::from("root"))]))),
    };
    let exe = looks.exe.clone().unwrap_or_else(|| Arc::from(""));
    let args = looks.args.clone().unwrap_or_else(|| Arc::clone(&exe));
    let identity = Identity {
        parent: None,
        start_boot_ns: 0,
        cgroup_id: 0,
        uid,
        gid: 0,
        comm: looks.comm.as_deref().map_or_else(|| comm_of(&exe), Comm::from),
        kernel_thread,
    };
    let program =
        Program { exe: Arc::clone(&exe), filename: exe, args: (*args).into(), args_count: 1, args_cut: false };
    let process = Process {
        key: ProcessKey { tgid: 2, start: KTime::default() },
        identity,
        program: Arc::new(program),
        cgroup: looks.cgroup.clone().unwrap_or_else(|| Arc::from("/")),
        program_since: KTime::default(),
        execs: 1,
        threads: 1,
        usage: crate::model::Usage::default(),
        last_signal: None,
        oom: false,
        exit: None,
    };
    (process, users)
}

/// The kernel's name of a process that executes this: the file's name, cut.
pub fn comm_of(exe: &str) -> Comm {
    let name = exe.rsplit('/').next().unwrap_or(exe);
    Comm::from(name.get(..name.floor_char_boundary(15)).unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::glob::Glob;
    use crate::policy::matching::regex;
    use crate::policy::spec::PathGlob;

    /// Exe, args and comm of what is made for an expression and a pattern.
    #[track_caller]
    fn check(exe: &str, args: &str, expected: Result<(&str, &str), Field>) {
        let select = Selector {
            exe: if exe.is_empty() { Vec::new() } else { vec![PathGlob::new(exe).unwrap()] },
            args: vec![regex(args).unwrap()],
            ..Selector::default()
        };
        let made = of(&select, None, &Looks::default());
        let text = |text: &Option<Arc<str>>| text.as_deref().unwrap_or("").to_owned();
        let made = made.map(|looks| (text(&looks.exe), text(&looks.args)));
        assert_eq!(made, expected.map(|(exe, args)| (exe.to_owned(), args.to_owned())));
    }

    #[test]
    fn what_can_be_told_is_made_up() {
        check("", r"backup\.sh", Ok(("", "backup.sh")));
        check("nginx", r"^worker \d+$", Err(Field::Args));
        check("nginx", r"^worker \d$", Ok(("/usr/bin/nginx", "worker 0")));
        check("/opt/*/bin/java", "^java .* -jar", Ok(("/opt/x/bin/java", "java .* -jar")));
        check("/opt/**", "a|b", Ok(("/opt/x", "a|b")));
        check("", "^[abc]{2}$", Err(Field::Args));
    }

    #[test]
    fn what_is_given_comes_first_and_what_is_taken_out_is_no_likeness() {
        let select = Selector { comm: vec![Glob::name("ngin*").unwrap()], ..Selector::default() };
        let given = Looks { comm: Some("nginy".into()), ..Looks::default() };
        assert_eq!(of(&select, None, &given).map(|looks| looks.comm), Ok(Some("nginy".into())));
        let wrong = Looks { comm: Some("apache".into()), ..Looks::default() };
        assert_eq!(of(&select, None, &wrong), Err(Field::Comm));
        assert!(of(&select, Some(&Selector::default()), &given).is_err());
    }
}
