//! Holds the groups of all files against each other, and leaves out those that are not for this host.
//!
//! Everything is checked wherever it applies: a mistake in a file for other hosts is a mistake, so that one `check` in
//! one place is enough for a fleet.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::file::{Condition, Draft};
use super::spec::{Group, PolicySet};
use crate::diagnostic::{Diagnostic, Diagnostics, nearest};
use crate::yaml::decode::listed;

/// Names are unique, parents exist, and no group waits for itself.
pub(super) fn together(drafts: &[Draft<'_>], diagnostics: &mut Diagnostics) {
    let mut first: HashMap<&str, &Draft<'_>> = HashMap::new();
    for draft in drafts {
        let name = &*draft.group.name;
        if let Some(other) = first.get(name) {
            let message = format!("group `{name}` is declared twice; first at {}", other.source.place(other.span));
            let help = "names are unique over all files, also over those for other hosts".to_owned();
            diagnostics.report(draft.source, draft.span, message, Some(help));
        } else {
            first.insert(name, draft);
        }
    }
    for draft in drafts {
        for (parent, span) in draft.parents.iter().chain(&draft.except_parents) {
            if !first.contains_key(&**parent) {
                let help = match nearest(parent, first.keys().copied().collect::<BTreeSet<_>>()) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => "`parent` is the name of another group, in any of the files".to_owned(),
                };
                diagnostics.report(draft.source, *span, format!("there is no group `{parent}`"), Some(help));
            }
        }
    }
    circles(&first, diagnostics);
}

/// Tells each circle of parents once, at the first of its groups in alphabetical order.
fn circles(groups: &HashMap<&str, &Draft<'_>>, diagnostics: &mut Diagnostics) {
    // What is left after taking away, again and again, the groups that wait for nobody else that is left.
    let mut left: BTreeMap<&str, &Draft<'_>> = groups.iter().map(|(name, draft)| (*name, *draft)).collect();
    let mut waiting: HashMap<&str, Vec<&str>> = HashMap::new();
    let mut count: HashMap<&str, usize> = HashMap::new();
    for (name, draft) in &left {
        for (parent, _) in draft.parents.iter().filter(|(parent, _)| groups.contains_key(&**parent)) {
            waiting.entry(parent).or_default().push(name);
            *count.entry(name).or_default() += 1;
        }
    }
    let mut free: Vec<&str> = left.keys().copied().filter(|name| !count.contains_key(name)).collect();
    while let Some(name) = free.pop() {
        left.remove(name);
        for child in waiting.get(name).into_iter().flatten() {
            let rest = count.entry(child).or_default();
            *rest = rest.saturating_sub(1);
            if *rest == 0 {
                free.push(child);
            }
        }
    }
    // Each of those left has a parent that is left: following them ends in a circle.
    let mut visited: BTreeSet<&str> = BTreeSet::new();
    for start in left.keys().copied() {
        let mut path: Vec<&str> = Vec::new();
        let mut here = start;
        while visited.insert(here) {
            path.push(here);
            let parents = left.get(here).map(|draft| &draft.parents);
            let Some((next, _)) = parents.into_iter().flatten().find(|(parent, _)| left.contains_key(&**parent)) else {
                break;
            };
            here = next;
        }
        if let Some(begin) = path.iter().position(|name| *name == here) {
            tell_circle(&left, &path[begin..], diagnostics);
        }
    }
}

fn tell_circle(groups: &BTreeMap<&str, &Draft<'_>>, circle: &[&str], diagnostics: &mut Diagnostics) {
    let Some(draft) = circle.first().and_then(|name| groups.get(name)) else { return };
    let next = circle.get(1).or(circle.first()).copied().unwrap_or_default();
    let span = draft.parents.iter().find(|(parent, _)| **parent == *next).map_or(draft.span, |(_, span)| *span);
    let (message, help) = match circle {
        [one] => (format!("group `{one}` is its own parent"), "descendants are taken in by `include_children: true`"),
        [first, ..] => (
            format!("the parents of `{first}` go round in a circle: {} -> {first}", circle.join(" -> ")),
            "no process could ever belong to them",
        ),
        [] => return,
    };
    diagnostics.report(draft.source, span, message, Some(help.to_owned()));
}

/// The groups for this host, sorted by name; the reasons why others are left out go to `notes`.
pub(super) fn select(drafts: Vec<Draft<'_>>, exists: &dyn Fn(&str) -> bool, notes: &mut Vec<Diagnostic>) -> PolicySet {
    let mut kept: BTreeMap<String, Draft<'_>> = BTreeMap::new();
    for draft in drafts.into_iter().filter(|draft| draft.applies) {
        let unmet = |condition: &&Condition| !condition.paths.iter().any(|path| exists(path));
        if let Some(condition) = draft.conditions.iter().find(unmet) {
            let paths: Vec<&str> = condition.paths.iter().map(String::as_str).collect();
            let what = if paths.len() == 1 { "does not exist" } else { "do not exist" };
            let message = format!("`{}` is not loaded here: {} {what}", draft.group.name, listed(&paths));
            notes.push(Diagnostic::at(draft.source, condition.span, message));
        } else {
            kept.insert(draft.group.name.to_string(), draft);
        }
    }
    // A group all of whose parents are left out could never have a process: a `min` of it would fire for ever.
    loop {
        let orphans: Vec<String> = kept
            .iter()
            .filter(|(_, draft)| !draft.parents.is_empty())
            .filter(|(_, draft)| !draft.parents.iter().any(|(parent, _)| kept.contains_key(&**parent)))
            .map(|(name, _)| name.clone())
            .collect();
        if orphans.is_empty() {
            break;
        }
        for draft in orphans.iter().filter_map(|name| kept.remove(name)) {
            let message = format!("`{}` is not loaded here, because the group of its parent is not", draft.group.name);
            let span = draft.parents.first().map_or(draft.span, |(_, span)| *span);
            notes.push(Diagnostic::at(draft.source, span, message));
        }
    }
    let names: BTreeSet<String> = kept.keys().cloned().collect();
    PolicySet {
        groups: kept.into_values().map(|draft| known_parents(draft.group, &names)).collect(),
        ..PolicySet::default()
    }
}

/// Takes out parents that are not loaded: no process is in their groups.
fn known_parents(mut group: Group, names: &BTreeSet<String>) -> Group {
    group.select.parent.retain(|parent| names.contains(&**parent));
    if let Some(mut except) = group.except.take() {
        let had = !except.parent.is_empty();
        except.parent.retain(|parent| names.contains(&**parent));
        // Without any parent left the field would match everything, where it can match nothing.
        group.except = (!had || !except.parent.is_empty()).then_some(except);
    }
    group
}
