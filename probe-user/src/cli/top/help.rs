//! The keys, in one line and on a page.

use ratatui::buffer::Buffer;

use super::paint::{Looks, cut, put, width};
use super::screens::Screen;
use super::state::State;
use super::table::Mark;

const PAGE: [(&str, &str); 17] = [
    ("1 to 6, Tab", "groups, alarms, events, jobs, peers, the probe itself"),
    ("arrows, PgUp, PgDn", "move (also j k, Space)"),
    ("Home, End", "first and last row (g G)"),
    ("Enter", "processes of the group, job or alarm"),
    ("Esc", "back; or the filter away"),
    ("/ F3, n N", "search; next and previous match"),
    ("f F4 \\", "filter: only rows that have a text"),
    ("s F6 > <", "another order"),
    ("I", "the order inverted"),
    ("t F5", "processes as a tree or by order alone"),
    ("p", "pause: nothing changes until p again"),
    ("Ctrl-L, Ctrl-Z", "draw anew; to the shell, `fg` comes back"),
    ("q F10 Ctrl-C", "quit"),
    ("", ""),
    ("NEAR", "share of the bound that is worst off: of a max the value by"),
    ("", "the limit, of a min the limit by the value; over 100% is a breach"),
    ("CPU", "in cores; of a process in percent of one core"),
];

/// What fits into one line of what can be done here.
pub(super) fn keys(state: &State, columns: usize) -> String {
    let enter = match state.screen {
        Screen::Groups | Screen::Alarms | Screen::Jobs => "Enter Processes",
        Screen::Tree => "Esc Back",
        Screen::Events | Screen::Peers | Screen::Probe => "",
    };
    let tree = if state.screen == Screen::Tree { if state.flat { "t Tree" } else { "t Flat" } } else { "" };
    let sort = if state.screen.orders().is_empty() { "" } else { "s Sort" };
    let pause = if state.paused { "p Go on" } else { "p Pause" };
    let mut line = String::new();
    for key in ["h Help", "q Quit", enter, tree, sort, "/ Search", "f Filter", "Tab Screens", pause] {
        let between = if line.is_empty() { 0 } else { 2 };
        if key.is_empty() || width(&line) + between + key.len() > columns {
            continue;
        }
        if !line.is_empty() {
            line.push_str("  ");
        }
        line.push_str(key);
    }
    line
}

pub(super) fn draw(looks: Looks, buffer: &mut Buffer) {
    let (columns, rows) = (buffer.area.width, buffer.area.height);
    for (y, (key, means)) in (3..rows - 1).zip(PAGE) {
        put(buffer, (1, y), 18, key, looks.style(Mark::Strong));
        put(buffer, (20, y), columns - 20, &cut(means, usize::from(columns - 20), looks), looks.style(Mark::Plain));
    }
}
