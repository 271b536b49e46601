//! Holds tests against the policies that they are about: names of policies, jobs, alarms and actions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::diagnostic::{Diagnostics, nearest, quoted};
use crate::policy::alarms::{HOST, bound_names};
use crate::policy::file::{Drafts, Names, Run, TrialDraft};
use crate::policy::likeness;
use crate::policy::matching::Named;
use crate::policy::spec::{Happening, Job, Overlap, Step, Trial};
use crate::yaml::decode::listed;

/// Pids of processes that are made for runs of jobs: above those that a file can name.
const PIDS_FROM: u32 = crate::policy::keys::PID_MAX + 1;

/// What a name stands for.
#[derive(Clone, Copy)]
struct Declared<'d> {
    names: &'d Names,
    file: &'d str,
    is_group: bool,
}

/// All tests, with what they are about resolved.
pub(in crate::policy) fn trials(drafts: &mut Drafts<'_>, diagnostics: &mut Diagnostics) -> Vec<Trial> {
    let found = std::mem::take(&mut drafts.trials);
    let drafts = &*drafts;
    let mut declared: BTreeMap<&str, Declared<'_>> = BTreeMap::new();
    for draft in &drafts.groups {
        let of = Declared { names: &draft.names, file: &draft.source.name, is_group: true };
        declared.entry(&draft.item.name).or_insert(of);
    }
    for draft in &drafts.jobs {
        let of = Declared { names: &draft.names, file: &draft.source.name, is_group: false };
        declared.entry(&draft.item.name).or_insert(of);
    }
    for draft in &drafts.logs {
        let of = Declared { names: &draft.names, file: &draft.source.name, is_group: false };
        declared.entry(&draft.item.name).or_insert(of);
    }
    for draft in &drafts.peers {
        let of = Declared { names: &draft.names, file: &draft.source.name, is_group: false };
        declared.entry(&draft.item.name).or_insert(of);
    }
    found.into_iter().map(|draft| resolve(draft, drafts, &declared, diagnostics)).collect()
}

fn resolve(
    mut draft: TrialDraft<'_>,
    drafts: &Drafts<'_>,
    declared: &BTreeMap<&str, Declared<'_>>,
    diagnostics: &mut Diagnostics,
) -> Trial {
    load(&mut draft, drafts, declared, diagnostics);
    runs(&mut draft, drafts, diagnostics);
    let trial = &draft.trial;
    let known = alarms(trial, drafts);
    for (name, span) in draft.alarms.iter().filter(|(name, _)| !known.contains(&**name)) {
        let loaded: Vec<&str> = known.iter().map(|name| &**name).collect();
        let help = match nearest(name, loaded.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if loaded.is_empty() => "no bound is loaded for this test".to_owned(),
            None => format!("those of this test are {}", listed(&loaded)),
        };
        diagnostics.report(draft.source, *span, format!("there is no alarm {}", quoted(name)), Some(help));
    }
    let actions: BTreeSet<&str> = drafts.actions.iter().map(|action| &*action.item.name).collect();
    for (name, span) in draft.actions.iter().filter(|(name, _)| !actions.contains(&**name)) {
        let help = nearest(name, actions.iter().copied()).map(|meant| format!("did you mean `{meant}`?"));
        diagnostics.report(draft.source, *span, format!("there is no action {}", quoted(name)), help);
    }
    draft.trial
}

/// What is loaded: what is named, or everything of the file; and what that needs.
fn load(
    draft: &mut TrialDraft<'_>,
    drafts: &Drafts<'_>,
    declared: &BTreeMap<&str, Declared<'_>>,
    diagnostics: &mut Diagnostics,
) {
    let file = &*draft.source.name;
    let mut open: Vec<Arc<str>> = Vec::new();
    match &draft.policies {
        None => {
            draft.trial.host = drafts.host.iter().any(|block| &*block.source.name == file);
            open.extend(declared.iter().filter(|(_, of)| of.file == file).map(|(name, _)| Arc::from(*name)));
        }
        Some(named) => {
            for (name, span) in named {
                if &**name == HOST && !declared.contains_key(HOST) {
                    draft.trial.host = true;
                } else if declared.contains_key(&**name) {
                    open.push(Arc::clone(name));
                } else {
                    let help = match nearest(name, declared.keys().copied()) {
                        Some(meant) => format!("did you mean `{meant}`?"),
                        None => "the name of a group, a job, a log or a set of peers, or `host`".to_owned(),
                    };
                    diagnostics.report(draft.source, *span, format!("there is no policy `{name}`"), Some(help));
                }
            }
        }
    }
    while let Some(name) = open.pop() {
        if let Some(of) = declared.get(&*name) {
            let parents = of.names.parents.iter().chain(&of.names.except_parents);
            let is_group = |parent: &&Named| declared.get(&*parent.0).is_some_and(|of| of.is_group);
            open.extend(
                parents
                    .filter(is_group)
                    .map(|(parent, _)| Arc::clone(parent))
                    .filter(|parent| !draft.trial.policies.contains(parent) && **parent != *name),
            );
        }
        draft.trial.policies.insert(name);
    }
}

/// Turns runs of jobs into processes that start and end.
fn runs(draft: &mut TrialDraft<'_>, drafts: &Drafts<'_>, diagnostics: &mut Diagnostics) {
    let mut later: Vec<Step> = Vec::new();
    // Back to front, so that positions stay right.
    for (index, run) in draft.runs.iter().enumerate().rev() {
        let (name, span) = &run.job;
        let Some(job) = drafts.jobs.iter().find(|job| job.item.name == *name).map(|job| &job.item) else {
            let known: Vec<&str> = drafts.jobs.iter().map(|job| &*job.item.name).collect();
            let help = nearest(name, known).map(|meant| format!("did you mean `{meant}`?"));
            diagnostics.report(draft.source, *span, format!("there is no job `{name}`"), help);
            continue;
        };
        if !draft.trial.policies.contains(name) {
            let help = format!("name it under `policies`: [{name}]");
            diagnostics.report(draft.source, *span, format!("`{name}` is not loaded for this test"), Some(help));
            continue;
        }
        let pid = PIDS_FROM.saturating_add(u32::try_from(index).unwrap_or(u32::MAX));
        match start(job, run, pid) {
            Ok(start) => draft.trial.steps.insert(run.position.min(draft.trial.steps.len()), start),
            Err(field) => {
                let message = format!("no process could be made up that `{name}` matches: its `{field}` keeps it out");
                let help = match field.as_str() {
                    "parent" => "start and end its process with `start` and `exit` steps".to_owned(),
                    _ => format!("say it here, such as job: {{ name: {name}, {field}: \"...\" }}"),
                };
                diagnostics.report(draft.source, *span, message, Some(help));
            }
        }
        if let Some((at, status)) = run.end {
            later.push(Step { at, what: Happening::Exit { pid, status, killer: None, oom: false } });
        }
    }
    later.reverse();
    for step in later {
        // Behind all that happens at its moment.
        let position = draft.trial.steps.partition_point(|other| other.at <= step.at);
        draft.trial.steps.insert(position, step);
    }
}

fn start(job: &Job, run: &Run, pid: u32) -> Result<Step, String> {
    let looks = likeness::of(&job.select, job.except.as_ref(), &run.looks).map_err(|field| field.to_string())?;
    let what = Happening::Start { pid, parent: 1, program: Some(looks), kernel: job.select.kernel_threads };
    Ok(Step { at: run.at, what })
}

/// The names of all alarms that a test may see.
fn alarms(trial: &Trial, drafts: &Drafts<'_>) -> BTreeSet<Arc<str>> {
    let mut names = BTreeSet::new();
    for group in drafts.groups.iter().map(|draft| &draft.item).filter(|of| trial.policies.contains(&of.name)) {
        names.extend(bound_names(&group.name, group.bounds.iter()));
    }
    for job in drafts.jobs.iter().map(|draft| &draft.item).filter(|of| trial.policies.contains(&of.name)) {
        names.extend(bound_names(&job.name, job.bounds.iter()));
        names.insert(format!("{}.success", job.name).into());
        names.extend((job.overlap == Overlap::Forbid).then(|| Arc::from(format!("{}.overlap", job.name))));
    }
    for log in drafts.logs.iter().map(|draft| &draft.item).filter(|of| trial.policies.contains(&of.name)) {
        names.extend(bound_names(&log.name, log.bounds.iter()));
    }
    for set in drafts.peers.iter().map(|draft| &draft.item).filter(|of| trial.policies.contains(&of.name)) {
        names.extend(bound_names(&set.name, set.bounds.iter()));
    }
    if trial.host {
        let file = trial.declared.rsplit_once(':').map_or("", |(file, _)| file);
        let own = drafts.host.iter().filter(|draft| &*draft.source.name == file);
        names.extend(bound_names(HOST, own.flat_map(|draft| draft.item.bounds.iter().map(|of| &of.bound))));
    }
    names
}
