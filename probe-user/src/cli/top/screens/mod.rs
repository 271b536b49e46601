//! The screens: what of the state is listed on each, and what is told of the chosen row.

mod alarms;
mod events;
mod groups;
mod jobs;
mod peers;
mod probe;
mod tree;

use super::report::Standing;
use super::state::State;
use super::table::{Cell, Column, Mark, Row, Table};

/// What can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Screen {
    Groups,
    Alarms,
    Events,
    Jobs,
    Peers,
    Probe,
    /// The members of a group; one gets there by choosing it.
    Tree,
}

impl Screen {
    pub(super) const COUNT: usize = 7;
    /// Those with a number.
    pub(super) const TABS: [Self; 6] = [Self::Groups, Self::Alarms, Self::Events, Self::Jobs, Self::Peers, Self::Probe];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Groups => "Groups",
            Self::Alarms => "Alarms",
            Self::Events => "Events",
            Self::Jobs => "Jobs",
            Self::Peers => "Peers",
            Self::Probe => "Probe",
            Self::Tree => "Processes",
        }
    }

    /// What its rows can be sorted by; the first is how it begins.
    pub(super) const fn orders(self) -> &'static [&'static str] {
        match self {
            Self::Groups => &groups::ORDERS,
            Self::Alarms => &alarms::ORDERS,
            Self::Jobs => &jobs::ORDERS,
            Self::Peers => &peers::ORDERS,
            Self::Tree => &tree::ORDERS,
            Self::Events | Self::Probe => &[],
        }
    }

    fn beside(self, steps: usize) -> Self {
        let place = Self::TABS.iter().position(|tab| *tab == self).unwrap_or(0);
        Self::TABS.get((place + steps) % Self::TABS.len()).copied().unwrap_or(self)
    }

    pub(super) fn next(self) -> Self {
        self.beside(1)
    }

    pub(super) fn previous(self) -> Self {
        self.beside(Self::TABS.len() - 1)
    }
}

/// What is told of the chosen row.
#[derive(Clone, Debug)]
pub(super) enum Detail {
    /// Rows without the names of their columns.
    Table(Table),
    /// A title, and sentences that are wrapped.
    Text(String, Vec<String>),
}

impl Detail {
    /// How many lines it takes below its title.
    pub(super) fn lines(&self, columns: u16) -> usize {
        match self {
            Self::Table(table) => table.rows.len(),
            Self::Text(_, sentences) => {
                sentences.iter().map(|text| super::paint::wrapped(text, usize::from(columns).max(1)).len()).sum()
            }
        }
    }
}

/// The present screen's rows.
pub(super) fn table(state: &State) -> Table {
    match state.screen {
        Screen::Groups => groups::table(state),
        Screen::Alarms => alarms::table(state),
        Screen::Events => events::table(state),
        Screen::Jobs => jobs::table(state),
        Screen::Peers => peers::table(state),
        Screen::Probe => probe::table(state),
        Screen::Tree => tree::table(state),
    }
}

/// What is told of the row that is chosen in this table, where there is one.
pub(super) fn detail(state: &State, table: &Table) -> Option<Detail> {
    let mut cursor = state.pane().cursor.clone();
    cursor.settle(&table.rows, 1);
    let id = &table.rows.get(cursor.index)?.id;
    match state.screen {
        Screen::Groups => groups::detail(state, id),
        Screen::Alarms => alarms::detail(state, id),
        Screen::Events => events::detail(state, id),
        Screen::Jobs => jobs::detail(state, id),
        Screen::Peers => peers::detail(state, id),
        Screen::Tree => tree::detail(state, id),
        Screen::Probe => None,
    }
}

/// The group or job whose members can be shown of a row of the present screen.
pub(super) fn group_of(state: &State, id: &str) -> Option<String> {
    match state.screen {
        Screen::Groups => groups::has_members(state, id).then(|| id.to_owned()),
        Screen::Jobs => Some(id.to_owned()),
        Screen::Alarms => alarms::policy_of(state, id),
        Screen::Events | Screen::Peers | Screen::Probe | Screen::Tree => None,
    }
}

const fn standing_mark(standing: Standing) -> Mark {
    match standing {
        Standing::Healthy => Mark::Good,
        Standing::Unknown => Mark::Dim,
        Standing::Pending => Mark::Warn,
        Standing::Firing => Mark::Bad,
    }
}

fn severity_mark(severity: &str) -> Mark {
    match severity {
        "critical" => Mark::Bad,
        "warning" => Mark::Warn,
        _ => Mark::Plain,
    }
}

/// `1 group`, `2 groups`
fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// `HH:MM:SS` on the host's clock of an RFC 3339 time.
fn clock(state: &State, time: &str) -> String {
    local(state, time, "%H:%M:%S")
}

fn local(state: &State, time: &str, format: &str) -> String {
    let parsed = time.parse::<jiff::Timestamp>();
    parsed.map_or_else(|_| "?".to_owned(), |time| time.to_zoned(state.zone.clone()).strftime(format).to_string())
}

/// Seconds from the report to an RFC 3339 time; less than 0 for what is past.
fn seconds_to(state: &State, time: &str) -> Option<f64> {
    let then = time.parse::<jiff::Timestamp>().ok()?;
    let now = state.shown()?.time.parse::<jiff::Timestamp>().ok()?;
    Some(then.duration_since(now).as_secs_f64())
}
