//! Holds what all files declare against each other, and leaves out what is not for this host.
//!
//! Everything is checked wherever it applies: a mistake in a file for other hosts is a mistake, so that one `check` in
//! one place is enough for a fleet.

mod circles;
mod trials;

pub(super) use self::trials::trials;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::file::{Condition, Draft, Drafts, Names};
use super::matching::Named;
use super::needs::Lacks;
use super::spec::{ActionKind, Group, HostBlock, Job, Log, PeerSet, PolicySet, Response, Selector};
use crate::diagnostic::{Diagnostic, Diagnostics, Source, Span, nearest, quoted};
use crate::yaml::decode::listed;

/// Names that are taken: what has it, and where.
type Taken<'d> = HashMap<&'d str, (&'static str, &'d Source, Span)>;

/// Names are unique, what is named exists, and no group waits for itself.
pub(super) fn together(drafts: &Drafts<'_>, diagnostics: &mut Diagnostics) {
    let mut taken = Taken::new();
    // Groups first: `parent` means a group, whatever else has that name by mistake.
    for draft in &drafts.groups {
        take(&mut taken, "group", &draft.item.name, draft.source, draft.span, diagnostics);
    }
    let groups: BTreeSet<&str> = taken.keys().copied().collect();
    for draft in &drafts.jobs {
        take(&mut taken, "job", &draft.item.name, draft.source, draft.span, diagnostics);
    }
    for draft in &drafts.logs {
        take(&mut taken, "log", &draft.item.name, draft.source, draft.span, diagnostics);
    }
    for draft in &drafts.peers {
        take(&mut taken, "set of peers", &draft.item.name, draft.source, draft.span, diagnostics);
    }
    let (mut destinations, mut actions) = (Taken::new(), Taken::new());
    for draft in &drafts.destinations {
        take(&mut destinations, "destination", &draft.item.name, draft.source, draft.span, diagnostics);
    }
    for draft in &drafts.actions {
        take(&mut actions, "action", &draft.item.name, draft.source, draft.span, diagnostics);
    }
    let known = Known {
        groups,
        destinations: destinations.keys().copied().collect(),
        actions: actions.keys().copied().collect(),
        signals: drafts
            .actions
            .iter()
            .filter(|draft| matches!(draft.item.kind, ActionKind::Signal { .. }))
            .map(|draft| &*draft.item.name)
            .collect(),
    };
    for draft in &drafts.groups {
        known.check(draft.source, &draft.names, diagnostics);
    }
    for draft in &drafts.jobs {
        known.check(draft.source, &draft.names, diagnostics);
    }
    for draft in &drafts.logs {
        known.check(draft.source, &draft.names, diagnostics);
        known.no_signals("a log has no processes", draft.source, &draft.names, diagnostics);
    }
    for draft in &drafts.host {
        known.check(draft.source, &draft.names, diagnostics);
        known.no_signals("no process is to blame for the host as a whole", draft.source, &draft.names, diagnostics);
    }
    for draft in &drafts.peers {
        known.check(draft.source, &draft.names, diagnostics);
        known.no_signals("no process of this host is to blame for others", draft.source, &draft.names, diagnostics);
    }
    circles::tell(&drafts.groups, diagnostics);
}

fn take<'d>(
    taken: &mut Taken<'d>,
    what: &'static str,
    name: &'d str,
    source: &'d Source,
    span: Span,
    diagnostics: &mut Diagnostics,
) {
    let Some((other, place, first)) = taken.get(name) else {
        taken.insert(name, (what, source, span));
        return;
    };
    let first = place.place(*first);
    let (message, help) = if *other == what {
        let message = format!("{what} `{name}` is declared twice; first at {first}");
        (message, "names are unique over all files, also over those for other hosts")
    } else {
        let message = format!("the {what} `{name}` has the name of a {other}; that is declared at {first}");
        (message, "groups, jobs, logs and peers share one set of names")
    };
    diagnostics.report(source, span, message, Some(help.to_owned()));
}

/// All names that there are, in files for other hosts too.
struct Known<'d> {
    groups: BTreeSet<&'d str>,
    destinations: BTreeSet<&'d str>,
    actions: BTreeSet<&'d str>,
    /// Of the actions those that signal.
    signals: BTreeSet<&'d str>,
}

impl Known<'_> {
    fn check(&self, source: &Source, names: &Names, diagnostics: &mut Diagnostics) {
        let mut look = |named: &[Named], known: &BTreeSet<&str>, what: &str, else_help: &str| {
            for (name, span) in named.iter().filter(|(name, _)| !known.contains(&**name)) {
                let help = match nearest(name, known.iter().copied()) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => else_help.to_owned(),
                };
                diagnostics.report(source, *span, format!("there is no {what} `{name}`"), Some(help));
            }
        };
        let parent = "`parent` is the name of another group, in any of the files";
        look(&names.parents, &self.groups, "group", parent);
        look(&names.except_parents, &self.groups, "group", parent);
        let notify = "destinations are declared under `notify` at the top of any of the files";
        look(&names.notify, &self.destinations, "destination", notify);
        look(
            &names.act,
            &self.actions,
            "action",
            "actions are declared under `actions` at the top of any of the files",
        );
    }

    fn no_signals(&self, why: &str, source: &Source, names: &Names, diagnostics: &mut Diagnostics) {
        for (name, span) in names.act.iter().filter(|(name, _)| self.signals.contains(&**name)) {
            let message = format!("{} signals the processes in breach, and {why}", quoted(name));
            diagnostics.report(source, *span, message, Some("name an action that has `run`".to_owned()));
        }
    }
}

/// What is for this host, sorted by name; the reasons why the rest is left out go to `notes`. What is for it and needs more
/// than its kernel has is told as wrong.
pub(super) fn select(
    drafts: Drafts<'_>,
    exists: &dyn Fn(&str) -> bool,
    lacks: &Lacks,
    diagnostics: &mut Diagnostics,
    notes: &mut Vec<Diagnostic>,
) -> PolicySet {
    let mut groups: BTreeMap<Arc<str>, Draft<'_, Group>> = BTreeMap::new();
    for draft in drafts.groups.into_iter().filter(|draft| draft.applies) {
        if is_met(&draft, &draft.item.name, exists, notes) {
            groups.insert(Arc::clone(&draft.item.name), draft);
        }
    }
    // A group all of whose parents are left out could never have a process: a `min` of it would fire for ever.
    loop {
        let orphans: Vec<Arc<str>> = groups
            .iter()
            .filter(|(_, draft)| is_orphan(&draft.names, |parent| groups.contains_key(parent)))
            .map(|(name, _)| Arc::clone(name))
            .collect();
        if orphans.is_empty() {
            break;
        }
        for draft in orphans.iter().filter_map(|name| groups.remove(name)) {
            tell_orphan(&draft, &draft.item.name, notes);
        }
    }
    let names: BTreeSet<Arc<str>> = groups.keys().cloned().collect();
    let mut jobs: BTreeMap<Arc<str>, Draft<'_, Job>> = BTreeMap::new();
    for draft in drafts.jobs.into_iter().filter(|draft| draft.applies) {
        if !is_met(&draft, &draft.item.name, exists, notes) {
            continue;
        }
        if is_orphan(&draft.names, |parent| names.contains(parent)) {
            tell_orphan(&draft, &draft.item.name, notes);
        } else {
            jobs.insert(Arc::clone(&draft.item.name), draft);
        }
    }
    let logs: BTreeMap<Arc<str>, Draft<'_, Log>> = met(drafts.logs, |log| &log.name, exists, notes);
    let peers: BTreeMap<Arc<str>, Draft<'_, PeerSet>> = met(drafts.peers, |set| &set.name, exists, notes);
    let mut host: Vec<Draft<'_, HostBlock>> = Vec::new();
    for draft in drafts.host.into_iter().filter(|draft| draft.applies) {
        if is_met(&draft, "host", exists, notes) {
            host.push(draft);
        }
    }
    for draft in groups.values() {
        tell_lacks(draft, lacks, diagnostics, notes);
    }
    for draft in jobs.values() {
        tell_lacks(draft, lacks, diagnostics, notes);
    }
    for draft in &host {
        tell_lacks(draft, lacks, diagnostics, notes);
    }
    let mut set = PolicySet::default();
    for draft in drafts.destinations.into_iter().filter(|draft| draft.applies) {
        set.destinations.insert(Arc::clone(&draft.item.name), Arc::new(draft.item));
    }
    for draft in drafts.actions.into_iter().filter(|draft| draft.applies) {
        set.actions.insert(Arc::clone(&draft.item.name), Arc::new(draft.item));
    }
    set.groups = groups
        .into_values()
        .map(|mut draft| {
            known_names(&mut draft.item.response, draft.source, &draft.names, &set, notes);
            known_parents(&mut draft.item.select, &mut draft.item.except, &names);
            draft.item
        })
        .collect();
    set.jobs = jobs
        .into_values()
        .map(|mut draft| {
            known_names(&mut draft.item.response, draft.source, &draft.names, &set, notes);
            known_parents(&mut draft.item.select, &mut draft.item.except, &names);
            draft.item
        })
        .collect();
    set.logs = logs
        .into_values()
        .map(|mut draft| {
            known_names(&mut draft.item.response, draft.source, &draft.names, &set, notes);
            draft.item
        })
        .collect();
    set.peers = peers
        .into_values()
        .map(|mut draft| {
            known_names(&mut draft.item.response, draft.source, &draft.names, &set, notes);
            draft.item
        })
        .collect();
    set.host = host
        .into_iter()
        .map(|mut draft| {
            known_names(&mut draft.item.response, draft.source, &draft.names, &set, notes);
            draft.item
        })
        .collect();
    set
}

/// Those that are for this host, by name.
fn met<'s, T>(
    drafts: Vec<Draft<'s, T>>,
    name: impl Fn(&T) -> &Arc<str>,
    exists: &dyn Fn(&str) -> bool,
    notes: &mut Vec<Diagnostic>,
) -> BTreeMap<Arc<str>, Draft<'s, T>> {
    let mut met = BTreeMap::new();
    for draft in drafts.into_iter().filter(|draft| draft.applies) {
        if is_met(&draft, name(&draft.item), exists, notes) {
            met.insert(Arc::clone(name(&draft.item)), draft);
        }
    }
    met
}

/// Whether `only_if` lets it be loaded here.
fn is_met<T>(draft: &Draft<'_, T>, name: &str, exists: &dyn Fn(&str) -> bool, notes: &mut Vec<Diagnostic>) -> bool {
    let unmet = |condition: &&Condition| !condition.paths.iter().any(|path| exists(path));
    let Some(condition) = draft.conditions.iter().find(unmet) else { return true };
    let paths: Vec<&str> = condition.paths.iter().map(String::as_str).collect();
    let what = if paths.len() == 1 { "does not exist" } else { "do not exist" };
    let message = format!("`{name}` is not loaded here: {} {what}", listed(&paths));
    notes.push(Diagnostic::at(draft.source, condition.span, message));
    false
}

/// What it asks of a kernel that does not have it.
fn tell_lacks<T>(draft: &Draft<'_, T>, lacks: &Lacks, diagnostics: &mut Diagnostics, notes: &mut Vec<Diagnostic>) {
    for (need, key, span) in &draft.names.needs {
        if let Some((message, help)) = lacks.refusal(*need, key) {
            diagnostics.report(draft.source, *span, message, Some(help));
        }
    }
    for (need, key, span) in &draft.names.except_needs {
        if let Some((message, _)) = lacks.refusal(*need, key) {
            notes.push(Diagnostic::at(draft.source, *span, format!("takes nothing out: {message}")));
        }
    }
}

/// All groups that could be its parent are left out.
fn is_orphan(names: &Names, is_loaded: impl Fn(&str) -> bool) -> bool {
    !names.parents.is_empty() && !names.parents.iter().any(|(parent, _)| is_loaded(parent))
}

fn tell_orphan<T>(draft: &Draft<'_, T>, name: &str, notes: &mut Vec<Diagnostic>) {
    let message = format!("`{name}` is not loaded here, because the group of its parent is not");
    let span = draft.names.parents.first().map_or(draft.span, |(_, span)| *span);
    notes.push(Diagnostic::at(draft.source, span, message));
}

/// Takes out parents that are not loaded: no process is in their groups.
fn known_parents(select: &mut Selector, except: &mut Option<Selector>, names: &BTreeSet<Arc<str>>) {
    select.parent.retain(|parent| names.contains(parent));
    if let Some(mut selector) = except.take() {
        let had = !selector.parent.is_empty();
        selector.parent.retain(|parent| names.contains(parent));
        // Without any parent left the field would match everything, where it can match nothing.
        *except = (!had || !selector.parent.is_empty()).then_some(selector);
    }
}

/// Takes out destinations and actions that are declared in files for other hosts only, and says so.
fn known_names(response: &mut Response, source: &Source, names: &Names, set: &PolicySet, notes: &mut Vec<Diagnostic>) {
    response.notify.retain(|name| set.destinations.contains_key(name));
    response.act.retain(|name| set.actions.contains_key(name));
    let unknown = names
        .notify
        .iter()
        .filter(|(name, _)| !set.destinations.contains_key(name))
        .map(|named| ("destination", named))
        .chain(names.act.iter().filter(|(name, _)| !set.actions.contains_key(name)).map(|named| ("action", named)));
    for (what, (name, span)) in unknown {
        let message = format!("the {what} `{name}` is not used here: it is declared in a file for other hosts");
        notes.push(Diagnostic::at(source, *span, message));
    }
}
