//! Groups whose parents go round in a circle: no process could ever belong to them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::diagnostic::Diagnostics;
use crate::policy::file::Draft;
use crate::policy::spec::Group;

/// Tells each circle of parents once, at the first of its groups in alphabetical order.
pub(super) fn tell(drafts: &[Draft<'_, Group>], diagnostics: &mut Diagnostics) {
    let mut groups: HashMap<&str, &Draft<'_, Group>> = HashMap::new();
    for draft in drafts {
        // Of a name that is declared twice the first counts; the second has been told.
        groups.entry(&draft.item.name).or_insert(draft);
    }
    // What is left after taking away, again and again, the groups that wait for nobody else that is left.
    let mut left: BTreeMap<&str, &Draft<'_, Group>> = groups.iter().map(|(name, draft)| (*name, *draft)).collect();
    let mut waiting: HashMap<&str, Vec<&str>> = HashMap::new();
    let mut count: HashMap<&str, usize> = HashMap::new();
    for (name, draft) in &left {
        for (parent, _) in draft.names.parents.iter().filter(|(parent, _)| groups.contains_key(&**parent)) {
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
            let parents = left.get(here).map(|draft| &draft.names.parents);
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

fn tell_circle(groups: &BTreeMap<&str, &Draft<'_, Group>>, circle: &[&str], diagnostics: &mut Diagnostics) {
    let Some(draft) = circle.first().and_then(|name| groups.get(name)) else { return };
    let next = circle.get(1).or(circle.first()).copied().unwrap_or_default();
    let span = draft.names.parents.iter().find(|(parent, _)| **parent == *next).map_or(draft.span, |(_, span)| *span);
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
