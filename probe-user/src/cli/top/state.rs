//! What is shown, and how it changes: keys and answers go in, what is to be done comes out. No clock, no terminal, no socket.

mod moves;

use std::time::Duration;

use jiff::tz::TimeZone;
use ratatui::crossterm::event::KeyEvent;

use super::history::History;
use super::report::{AlarmsOn, Peers, Report};
use super::screens::{self, Screen};
use super::table::{Cursor, Table};
use super::told::{KEPT_MAX, Recent, Told};
use crate::engine::Roster;

/// Longest text that is searched or filtered for.
const TYPED_MAX: usize = 60;

/// What comes in.
#[derive(Debug)]
pub(super) enum Input {
    Key(KeyEvent),
    /// Columns and rows.
    Size(u16, u16),
    Report(Box<Report>),
    /// Why nobody answers.
    NoReport(String),
    Alarms(AlarmsOn),
    /// Of the group that is looked at; an error says why not.
    Roster(Result<Box<Roster>, String>),
    /// Of the hosts of the site; an error says why not.
    Peers(Result<Box<Peers>, String>),
    /// Events, and how many more came than could be taken.
    Told(Vec<Told>, u64),
    /// Why no events come; `None` when they do.
    Stream(Option<String>),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Quit,
    /// Stop until somebody says `fg`.
    Suspend,
    /// Draw all of it anew.
    Redraw,
    /// Ask for this as well from now on.
    LookAt(About),
}

/// What is asked for besides how everything stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum About {
    #[default]
    Nothing,
    /// The members of a group.
    Group(String),
    /// The hosts of the site.
    Peers,
}

/// How the daemon is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// It was asked and has not answered yet.
    Asking,
    Up,
    /// Since then nobody answers, for this reason.
    Down(Duration, String),
}

/// One screen's own choices.
#[derive(Clone, Debug, Default)]
pub(super) struct Pane {
    pub(super) cursor: Cursor,
    pub(super) sort: usize,
    pub(super) inverted: bool,
    pub(super) filter: String,
}

/// What is being typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Typing {
    Search,
    Filter,
}

/// The group whose members are shown.
#[derive(Clone, Debug)]
pub(super) struct Looked {
    pub(super) name: String,
    pub(super) roster: Option<Roster>,
    /// Why there is no newer one.
    pub(super) wrong: Option<String>,
    /// The screen that it was chosen on.
    pub(super) from: Screen,
}

/// What the daemon costs now, as the last two reports say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Pace {
    /// Cores.
    pub(super) cpu: f64,
    /// A second.
    pub(super) wakeups: f64,
    pub(super) events: f64,
}

/// All of it.
#[derive(Debug)]
pub(super) struct State {
    pub(super) zone: TimeZone,
    pub(super) size: (u16, u16),
    pub(super) screen: Screen,
    pub(super) looked: Option<Looked>,
    /// The last one, and when it came.
    pub(super) report: Option<(Duration, Box<Report>)>,
    pub(super) pace: Option<Pace>,
    pub(super) link: Link,
    pub(super) alarms: AlarmsOn,
    /// The last answer about the site.
    pub(super) peers: Option<Box<Peers>>,
    /// Why there is no newer one.
    pub(super) peers_wrong: Option<String>,
    pub(super) recent: Recent,
    /// What came in a pause.
    held: Vec<Told>,
    pub(super) stream: Option<String>,
    pub(super) history: History,
    pub(super) panes: [Pane; Screen::COUNT],
    pub(super) flat: bool,
    pub(super) search: String,
    pub(super) typing: Option<Typing>,
    pub(super) note: Option<String>,
    pub(super) help: bool,
    pub(super) paused: bool,
    /// The moment of the last input.
    pub(super) now: Duration,
}

impl State {
    pub(super) fn new(zone: TimeZone) -> Self {
        Self {
            zone,
            size: (80, 24),
            screen: Screen::Groups,
            looked: None,
            report: None,
            pace: None,
            link: Link::Asking,
            alarms: AlarmsOn::default(),
            peers: None,
            peers_wrong: None,
            recent: Recent::default(),
            held: Vec::new(),
            stream: None,
            history: History::default(),
            panes: Default::default(),
            flat: false,
            search: String::new(),
            typing: None,
            note: None,
            help: false,
            paused: false,
            now: Duration::ZERO,
        }
    }

    /// Takes one input, `now` after the start.
    pub(super) fn step(&mut self, now: Duration, input: Input) -> Option<Effect> {
        self.now = now;
        match input {
            Input::Key(key) => return self.key(key),
            Input::Size(columns, rows) => self.size = (columns, rows),
            Input::Report(report) => {
                self.link = Link::Up;
                if !self.paused || self.report.is_none() {
                    self.take(*report);
                }
            }
            Input::NoReport(why) => {
                let since = if let Link::Down(since, _) = self.link { since } else { now };
                self.link = Link::Down(since, why);
            }
            Input::Alarms(alarms) => {
                if !self.paused {
                    self.alarms = alarms;
                }
            }
            Input::Roster(answer) => self.members(answer),
            Input::Peers(answer) => match answer {
                Ok(_) if self.paused && self.peers.is_some() => {}
                Ok(peers) => (self.peers, self.peers_wrong) = (Some(peers), None),
                Err(why) => self.peers_wrong = Some(why),
            },
            Input::Told(told, missed) => {
                self.recent.missed += missed;
                self.held.extend(told);
                if self.paused {
                    let too_many = self.held.len().saturating_sub(KEPT_MAX);
                    self.held.drain(..too_many);
                    self.recent.missed += too_many as u64;
                } else {
                    self.release();
                }
            }
            Input::Stream(why) => self.stream = why,
        }
        None
    }

    /// Shows what came in a pause.
    fn release(&mut self) {
        for told in std::mem::take(&mut self.held) {
            self.recent.add(told);
        }
    }

    fn take(&mut self, mut report: Report) {
        report.engine.tell_shares();
        let before = self.report.as_ref().map(|(_, before)| &before.agent);
        self.pace = before.filter(|before| before.pid == report.agent.pid).and_then(|before| {
            let passed = report.agent.uptime - before.uptime;
            let (now, then) = (&report.agent.cost, &before.cost);
            (passed > 0.0).then(|| Pace {
                cpu: (now.cpu_seconds - then.cpu_seconds).max(0.0) / passed,
                wakeups: now.wakeups.saturating_sub(then.wakeups) as f64 / passed,
                events: report.agent.seq.saturating_sub(before.seq) as f64 / passed,
            })
        });
        self.history.push(&report);
        if report.engine.firing.is_empty() {
            self.alarms = AlarmsOn::default();
        }
        self.report = Some((self.now, Box::new(report)));
    }

    fn members(&mut self, answer: Result<Box<Roster>, String>) {
        let paused = self.paused;
        let Some(looked) = &mut self.looked else { return };
        match answer {
            // An answer about the group that was looked at before comes late.
            Ok(roster) if roster.name == looked.name => {
                if !paused || looked.roster.is_none() {
                    looked.roster = Some(*roster);
                    looked.wrong = None;
                }
            }
            Ok(_) => {}
            Err(why) => looked.wrong = Some(why),
        }
    }

    /// What has to be asked for, for the present screen.
    fn about(&self) -> About {
        match (&self.looked, self.screen) {
            (Some(looked), _) => About::Group(looked.name.clone()),
            (None, Screen::Peers) => About::Peers,
            (None, _) => About::Nothing,
        }
    }

    /// The last report, where there is one.
    pub(super) fn shown(&self) -> Option<&Report> {
        self.report.as_ref().map(|(_, report)| &**report)
    }

    pub(super) const fn pane(&self) -> &Pane {
        let [groups, alarms, events, jobs, peers, probe, tree] = &self.panes;
        match self.screen {
            Screen::Groups => groups,
            Screen::Alarms => alarms,
            Screen::Events => events,
            Screen::Jobs => jobs,
            Screen::Peers => peers,
            Screen::Probe => probe,
            Screen::Tree => tree,
        }
    }

    pub(super) const fn pane_mut(&mut self) -> &mut Pane {
        let [groups, alarms, events, jobs, peers, probe, tree] = &mut self.panes;
        match self.screen {
            Screen::Groups => groups,
            Screen::Alarms => alarms,
            Screen::Events => events,
            Screen::Jobs => jobs,
            Screen::Peers => peers,
            Screen::Probe => probe,
            Screen::Tree => tree,
        }
    }

    /// The present screen's rows: sorted, and only those that the filter leaves.
    pub(super) fn table(&self) -> Table {
        let mut table = screens::table(self);
        table.keep(&self.pane().filter);
        table
    }

    /// The name of the order that the present screen has.
    pub(super) fn order(&self) -> Option<&'static str> {
        let orders = self.screen.orders();
        orders.get(self.pane().sort).copied()
    }
}
