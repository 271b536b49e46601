//! Scenarios: a script of what happens, and the story that the engine must tell about it.

mod actions;
mod clock;
mod counts;
mod events;
mod figures;
mod index;
mod jobs;
mod loss;
mod membership;
mod random;
mod reload;
mod restarts;
mod roster;
mod runs;
mod schedules;
mod usage;
mod windows;
pub(super) mod world;

use std::time::Duration;

use regex::Regex;

use self::world::{World, settings};
use super::Settings;
use crate::event::Severity;
use crate::policy::glob::Glob;
use crate::policy::spec::{Bound, Group, Limit, Measure, PathGlob, Per, Response, Selector, Side};

fn bound(measure: Measure, side: Side, limit: f64) -> Bound {
    Bound {
        measure,
        side,
        limit: Limit::Absolute(limit),
        clear: None,
        hold: Duration::ZERO,
        keep_firing: Duration::ZERO,
        within: Duration::ZERO,
        per: Per::Group,
        severity: Severity::Warning,
        declared: "test.yaml:1".into(),
    }
}

fn min(measure: Measure, limit: f64) -> Bound {
    bound(measure, Side::Min, limit)
}

fn max(measure: Measure, limit: f64) -> Bound {
    bound(measure, Side::Max, limit)
}

impl Bound {
    fn hold(self, secs: u64) -> Self {
        Self { hold: Duration::from_secs(secs), ..self }
    }

    fn within(self, secs: u64) -> Self {
        Self { within: Duration::from_secs(secs), ..self }
    }

    fn each(self) -> Self {
        Self { per: Per::Process, ..self }
    }
}

fn glob(pattern: &str) -> Glob {
    Glob::name(pattern).unwrap()
}

fn exe(pattern: &str) -> Selector {
    Selector { exe: vec![PathGlob::new(pattern).unwrap()], ..Selector::default() }
}

fn args(pattern: &str) -> Selector {
    Selector { args: vec![Regex::new(pattern).unwrap()], ..Selector::default() }
}

fn group(name: &str, select: Selector, bounds: Vec<Bound>) -> Group {
    Group {
        name: name.into(),
        declared: "test.yaml:1".into(),
        select,
        except: None,
        include_children: false,
        bounds,
        response: Response::default(),
        events: true,
    }
}

fn tidy(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() { String::new() } else { lines.join("\n") + "\n" }
}

/// Plays a script and compares the events that it makes: with samples that tell of all, and with such that leave out
/// who used nothing.
#[track_caller]
fn check_with(settings: Settings, groups: Vec<Group>, script: &str, expected: &str) -> World {
    let mut glancing = World::new(settings.clone(), vec![groups.clone()]);
    glancing.glances = true;
    glancing.play(script);
    assert_eq!(glancing.story(), tidy(expected), "rows only of what changed: {script}");
    let mut world = World::new(settings, vec![groups]);
    world.play(script);
    assert_eq!(world.story(), tidy(expected), "{script}");
    world
}

/// The same without start grace and without events of processes.
#[track_caller]
fn check(groups: Vec<Group>, script: &str, expected: &str) -> World {
    check_with(settings(), groups, script, expected)
}
