//! Reads `match` and `except`: patterns are compiled here, once, and what could never match is told.

use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use super::glob::{Glob, is_exact};
use super::keys;
use super::spec::{CgroupPattern, PathGlob, Selector, User};
use crate::diagnostic::{Span, quoted};
use crate::yaml::keys::Form;
use crate::yaml::{Decoder, Fields, Node};

/// Longest regular expression, in bytes.
const REGEX_MAX: usize = 4096;
/// Largest compiled regular expression, in bytes: policies are few, but a slip of the pen should not cost 10 MiB.
const REGEX_SIZE_MAX: usize = 1 << 20;
/// Most bytes that a regular expression keeps while it is looked for.
const REGEX_CACHE_MAX: usize = 256 << 10;
/// `TASK_COMM_LEN` without the closing NUL.
const COMM_MAX: usize = 15;
/// Suffixes of systemd's units that can hold processes.
const UNIT_SUFFIXES: [&str; 6] = [".service", ".scope", ".slice", ".socket", ".mount", ".swap"];

/// A name of something else, and where it stands.
pub(super) type Named = (Arc<str>, Span);

/// A selector and the groups that it names. What was wrong is told and left out.
pub(super) fn selector(d: &mut Decoder<'_>, fields: &Fields<'_>) -> (Selector, Vec<Named>) {
    let mut parents = Vec::new();
    let mut selector = Selector {
        exe: each(d, fields, "exe", exe),
        comm: each(d, fields, "comm", comm),
        args: each(d, fields, "args", |d, node| d.form(node, &keys::ARGS_FORM, regex)),
        user: each(d, fields, "user", |d, node| d.form(node, &keys::USER_FORM, user)),
        cgroup: each(d, fields, "cgroup", cgroup),
        ..Selector::default()
    };
    selector.cgroup.extend(each(d, fields, "unit", unit).into_iter().flatten());
    selector.cgroup.extend(each(d, fields, "container", |d, node| d.form(node, &keys::CONTAINER_FORM, container)));
    for (name, span) in each(d, fields, "parent", parent) {
        selector.parent.push(Arc::clone(&name));
        parents.push((name, span));
    }
    if let Some(node) = fields.get("kernel_threads") {
        selector.kernel_threads = d.bool(node).unwrap_or_default();
    }
    for name in ["exe", "args"] {
        if let Some(entry) = fields.entry(name).filter(|_| selector.kernel_threads) {
            let message = format!("kernel threads have no `{name}`, so nothing would match");
            d.error_help(entry.span, message, "match them by `comm`");
        }
    }
    (selector, parents)
}

fn each<T>(
    d: &mut Decoder<'_>,
    fields: &Fields<'_>,
    name: &str,
    mut read: impl FnMut(&mut Decoder<'_>, &Node) -> Option<T>,
) -> Vec<T> {
    let Some(node) = fields.get(name) else { return Vec::new() };
    d.one_or_many(node).iter().filter_map(|item| read(d, item)).collect()
}

fn exe(d: &mut Decoder<'_>, node: &Node) -> Option<PathGlob> {
    let form = &keys::EXE_FORM;
    path_pattern(d, node, form)?;
    d.form(node, form, |text| PathGlob::new(text).map_err(|error| error.to_string()))
}

fn cgroup(d: &mut Decoder<'_>, node: &Node) -> Option<CgroupPattern> {
    let form = &keys::CGROUP_FORM;
    let text = path_pattern(d, node, form)?;
    if !text.contains(['/', '*']) {
        let help = format!("the path begins with a /; a unit is given as unit: {}", text.escape_debug());
        d.error_help(node.span, format!("no cgroup's path can match {}", quoted(text)), help);
        return None;
    }
    d.form(node, form, |text| Glob::path(text).map(CgroupPattern::Path).map_err(|error| error.to_string()))
}

/// Real paths are absolute: a pattern such as `bin/nginx` would be silent for ever.
fn path_pattern<'t>(d: &mut Decoder<'_>, node: &'t Node, form: &Form) -> Option<&'t str> {
    let text = d.text(node, form)?;
    let relative = text.contains('/') && text.starts_with(|c: char| c.is_alphanumeric() || c == '.' || c == '~');
    if relative {
        let help = format!("real paths are absolute: **/{}", text.trim_start_matches(['.', '~', '/']).escape_debug());
        d.error_help(node.span, format!("no path can match {}", quoted(text)), help);
        return None;
    }
    Some(text)
}

fn comm(d: &mut Decoder<'_>, node: &Node) -> Option<Glob> {
    let form = &keys::COMM_FORM;
    let text = d.text(node, form)?;
    if is_exact(text) && text.len() > COMM_MAX {
        let cut = (0..=COMM_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        let message = format!("the kernel keeps {COMM_MAX} bytes of a name, {} has {}", quoted(text), text.len());
        d.error_help(node.span, message, format!("write {}, or match by `exe`", quoted(&text[..cut])));
        return None;
    }
    d.form(node, form, |text| Glob::name(text).map_err(|error| error.to_string()))
}

/// A regular expression whose compiled size is bounded; the error is one line.
pub fn regex(text: &str) -> Result<Regex, String> {
    if text.is_empty() {
        return Err("an empty expression matches everything".to_owned());
    }
    if text.len() > REGEX_MAX {
        return Err(format!("it has {} bytes, more than the {REGEX_MAX} that are allowed", text.len()));
    }
    let built =
        RegexBuilder::new(text).size_limit(REGEX_SIZE_MAX).dfa_size_limit(REGEX_CACHE_MAX).nest_limit(50).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(limit) => format!("it takes more than {limit} bytes when compiled"),
        // The library draws the expression over several lines; the reason is the last of them.
        error => {
            let drawn = error.to_string();
            let last = drawn.lines().last().unwrap_or_default();
            last.strip_prefix("error: ").unwrap_or(last).to_owned()
        }
    })
}

/// A user's name or number.
pub(super) fn user(text: &str) -> Result<User, String> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map(User::Uid).map_err(|_| "the largest user id is 4294967295".to_owned());
    }
    if text.contains(|c: char| c.is_control() || c.is_whitespace() || matches!(c, ':' | '/' | '*' | '?')) {
        return Err("a user's name has no spaces, colons, slashes or wildcards; several are given as a list".to_owned());
    }
    Ok(User::Name(text.into()))
}

/// A unit with wildcards becomes patterns on the path: the unit's own cgroup and those inside it.
fn unit(d: &mut Decoder<'_>, node: &Node) -> Option<Vec<CgroupPattern>> {
    d.form(node, &keys::UNIT_FORM, |text| {
        if text.is_empty() || text.contains('/') {
            return Err("a unit is one name without slashes; a path is given as `cgroup`".to_owned());
        }
        let known = UNIT_SUFFIXES.iter().any(|suffix| text.ends_with(suffix));
        let name = if known { text.to_owned() } else { format!("{text}.service") };
        if is_exact(&name) {
            return Ok(vec![CgroupPattern::Unit(name.into())]);
        }
        [format!("**/{name}"), format!("**/{name}/**")]
            .iter()
            .map(|pattern| Glob::path(pattern).map(CgroupPattern::Path).map_err(|error| error.to_string()))
            .collect()
    })
}

fn container(text: &str) -> Result<CgroupPattern, String> {
    let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !digits || !(12..=64).contains(&text.len()) {
        return Err("an id is 12 to 64 hexadecimal digits; the kernel does not know a container's name".to_owned());
    }
    Ok(CgroupPattern::Container(text.to_ascii_lowercase().into()))
}

fn parent(d: &mut Decoder<'_>, node: &Node) -> Option<Named> {
    d.form(node, &keys::NAME, |text| valid_name(text).map(|()| (Arc::from(text), node.span)))
}

/// What a group and the like may be called: it becomes part of events, metrics and commands.
pub(super) fn valid_name(text: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if !text.chars().all(allowed) {
        return Err("a name has only letters A-Z a-z, digits, `_`, `.` and `-`".to_owned());
    }
    if text.is_empty() || text.len() > 100 || text.starts_with(['.', '-']) {
        return Err("a name has 1 to 100 characters and begins with a letter, a digit or `_`".to_owned());
    }
    Ok(())
}
