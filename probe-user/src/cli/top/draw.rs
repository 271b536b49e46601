//! The state as a picture: pure, into a buffer of cells.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::help;
use super::paint::{Looks, cut, put, width, wrapped};
use super::places::{LEAST, Places};
use super::report::SiteSummary;
use super::screens::{self, Detail, Screen};
use super::state::{Link, State, Typing};
use super::table::{Cell, Column, Mark, Row, Table};
use crate::cli::words::span;

/// Columns that a bar takes of its cell; the share in percent takes the rest.
const PERCENT_COLUMNS: usize = 5;

/// Draws all of it. What is chosen is brought into sight by that.
pub(super) fn draw(state: &mut State, looks: Looks, buffer: &mut Buffer) {
    let (columns, rows) = (buffer.area.width, buffer.area.height);
    state.size = (columns, rows);
    if columns < LEAST.0 || rows < LEAST.1 {
        let (least, rows_least) = LEAST;
        let text = format!("too small: {columns}x{rows}, needs {least}x{rows_least}; q quits");
        return paragraph(buffer, buffer.area, &text, Style::new());
    }
    head(state, looks, buffer);
    foot(state, looks, buffer);
    if state.help {
        return help::draw(looks, buffer);
    }
    let table = state.table();
    let places = Places::of(state, &table);
    if state.shown().is_none() {
        let area = Rect { x: 1, width: columns - 2, ..places.list };
        return paragraph(buffer, area, &waiting(state), Style::new());
    }
    state.pane_mut().cursor.settle(&table.rows, places.page());
    title(state, &table, looks, buffer);
    list(state, &table, places.list, looks, buffer);
    if let Some((area, detail)) = places.detail.zip(screens::detail(state, &table)) {
        told(&detail, area, looks, buffer);
    }
}

/// While there is nothing to show.
fn waiting(state: &State) -> String {
    match &state.link {
        Link::Down(_, why) => format!("{why}\n(it is tried again each second; q quits)"),
        Link::Asking | Link::Up => "asking the daemon...".into(),
    }
}

fn paragraph(buffer: &mut Buffer, area: Rect, text: &str, style: Style) {
    let lines = text.lines().flat_map(|line| wrapped(line, usize::from(area.width)));
    for (y, line) in (area.y..area.y.saturating_add(area.height)).zip(lines) {
        put(buffer, (area.x, y), area.width, &line, style);
    }
}

/// The daemon, and the screens.
fn head(state: &State, looks: Looks, buffer: &mut Buffer) {
    let columns = buffer.area.width;
    let mut line = match state.shown() {
        Some(report) => {
            let (agent, engine) = (&report.agent, &report.engine);
            let uptime = span(agent.uptime);
            let processes = engine.processes;
            format!("procprobe {} on {}  up {uptime}  {processes} processes", agent.version, agent.host)
        }
        None => "procprobe top".into(),
    };
    if let Some(grace) = state.shown().and_then(|report| report.engine.grace_seconds) {
        line = format!("{line}  nothing fires for {}", span(grace));
    }
    if state.shown().is_some_and(|report| report.engine.degraded) {
        line.push_str("  records lost: nothing is judged");
    }
    if let Some(pace) = state.pace {
        line = format!("{line}  probe {:.1} % cpu", pace.cpu * 100.0);
    }
    let (right, style) = match &state.link {
        Link::Down(since, why) => {
            let ago = span(state.now.saturating_sub(*since).as_secs_f64());
            if state.shown().is_some() {
                line = format!("no answer for {ago}: {why}");
            }
            (" DOWN ".to_owned(), looks.style(Mark::Bad).patch(looks.reversed()))
        }
        _ if state.paused => (" PAUSED ".to_owned(), looks.reversed()),
        Link::Asking => (" ... ".to_owned(), Style::new()),
        Link::Up => (" live ".to_owned(), looks.style(Mark::Good)),
    };
    let wide = u16::try_from(width(&right)).unwrap_or(columns);
    let room = columns.saturating_sub(wide + 1);
    put(buffer, (0, 0), room, &cut(&line, usize::from(room), looks), looks.style(Mark::Strong));
    put(buffer, (columns.saturating_sub(wide), 0), wide, &right, style);
    tabs(state, looks, buffer);
}

fn tabs(state: &State, looks: Looks, buffer: &mut Buffer) {
    let mut x = 0;
    for (number, tab) in (1..).zip(Screen::TABS) {
        let troubles = match (tab, state.shown()) {
            (Screen::Alarms, Some(report)) => report.engine.firing.len(),
            (Screen::Peers, Some(report)) => report.peers.as_ref().map_or(0, SiteSummary::down),
            _ => 0,
        };
        let count = if troubles > 0 { format!("({troubles})") } else { String::new() };
        let current = tab == state.screen || state.looked.as_ref().is_some_and(|looked| looked.from == tab);
        let text = if current {
            format!("[{number} {}{count}]", tab.name())
        } else {
            format!(" {number} {}{count} ", tab.name())
        };
        let mark = if count.is_empty() { Mark::Plain } else { Mark::Bad };
        let style = if current { looks.style(mark).patch(looks.reversed()) } else { looks.style(mark) };
        let wide = u16::try_from(width(&text)).unwrap_or(u16::MAX);
        put(buffer, (x, 1), wide, &text, style);
        x = x.saturating_add(wide);
    }
}

/// What is typed, else what there is to say, else the keys.
fn foot(state: &State, looks: Looks, buffer: &mut Buffer) {
    let y = buffer.area.height - 1;
    let columns = buffer.area.width;
    let text = match (state.typing, &state.note) {
        (Some(Typing::Search), _) => format!("search: {}_   Enter: done, Esc: stop", state.search),
        (Some(Typing::Filter), _) => format!("filter: {}_   Enter: done, Esc: clear", state.pane().filter),
        (None, Some(note)) => note.clone(),
        (None, None) => help::keys(state, usize::from(columns)),
    };
    put(buffer, (0, y), columns, &" ".repeat(usize::from(columns)), looks.reversed());
    put(buffer, (0, y), columns, &cut(&text, usize::from(columns), looks), looks.reversed());
}

fn title(state: &State, table: &Table, looks: Looks, buffer: &mut Buffer) {
    let mut text = table.title.clone();
    if let Some(order) = state.order() {
        let order = if state.pane().inverted { format!("{order}, inverted") } else { order.to_owned() };
        text = format!("by {order}: {text}");
    }
    let filter = &state.pane().filter;
    if !filter.is_empty() {
        text = format!("only `{filter}`: {text}");
    }
    let columns = buffer.area.width;
    put(buffer, (0, 2), columns, &cut(&text, usize::from(columns), looks), looks.style(Mark::Dim));
}

fn list(state: &State, table: &Table, area: Rect, looks: Looks, buffer: &mut Buffer) {
    let widths = widths(&table.columns, area.width);
    let names: Vec<Cell> = table.columns.iter().map(|column| Cell::text(column.name)).collect();
    put(buffer, (area.x, area.y), area.width, &" ".repeat(usize::from(area.width)), looks.reversed());
    cells(buffer, (area.x, area.y), &names, &table.columns, &widths, looks, Some(looks.reversed()));
    if table.rows.is_empty() {
        let place = Rect { x: 1, y: area.y + 1, width: area.width - 2, height: area.height.saturating_sub(1) };
        return paragraph(buffer, place, &table.empty, looks.style(Mark::Dim));
    }
    let cursor = &state.pane().cursor;
    let seen = table.rows.iter().enumerate().skip(cursor.offset);
    for (y, (index, row)) in (area.y + 1..area.y + area.height).zip(seen) {
        let chosen = index == cursor.index;
        if chosen {
            put(buffer, (area.x, y), area.width, &" ".repeat(usize::from(area.width)), looks.reversed());
            put(buffer, (area.x, y), 1, ">", looks.reversed());
        }
        line(buffer, (area.x, y), row, table, &widths, looks, chosen);
    }
}

fn line(buffer: &mut Buffer, place: (u16, u16), row: &Row, table: &Table, widths: &[u16], looks: Looks, chosen: bool) {
    cells(buffer, place, &row.cells, &table.columns, widths, looks, chosen.then(|| looks.reversed()));
}

/// One cell behind the other, from the second column of the screen on: the first one is for the choice.
fn cells(
    buffer: &mut Buffer,
    (x, y): (u16, u16),
    cells: &[Cell],
    columns: &[Column],
    widths: &[u16],
    looks: Looks,
    over: Option<Style>,
) {
    let mut x = x + 1;
    for ((cell, column), wide) in cells.iter().zip(columns).zip(widths.iter().copied()) {
        if wide == 0 {
            continue;
        }
        let room = usize::from(wide);
        let (text, style) = match cell {
            Cell::Text(text, mark) => (cut(text, room, looks), looks.style(*mark)),
            Cell::Near(share, mark) => (looks.bar(*share, room.saturating_sub(PERCENT_COLUMNS)), looks.style(*mark)),
            Cell::Curve(levels) => {
                let curve: String = levels.iter().map(|level| looks.level(*level)).collect();
                (format!("{curve:>room$}"), looks.style(Mark::Good))
            }
        };
        let style = over.map_or(style, |over| style.patch(over));
        let ahead = if column.right { room.saturating_sub(width(&text)) } else { 0 };
        let start = x + u16::try_from(ahead).unwrap_or(0);
        put(buffer, (start, y), wide, &text, style);
        x += wide + 1;
    }
}

/// How wide each column is on a screen of this width; 0 for those that are left out.
fn widths(columns: &[Column], screen: u16) -> Vec<u16> {
    let shown = |column: &&Column| screen >= column.from;
    let taken: u16 = columns.iter().filter(shown).map(|column| column.width + 1).sum();
    let spare = screen.saturating_sub(1 + taken);
    let wide = |column: &Column| if column.grows { column.width + spare } else { column.width };
    columns.iter().map(|column| if screen >= column.from { wide(column) } else { 0 }).collect()
}

/// What is told of the chosen row, below a line with its name.
fn told(detail: &Detail, area: Rect, looks: Looks, buffer: &mut Buffer) {
    let name = match detail {
        Detail::Table(table) => &table.title,
        Detail::Text(title, _) => title,
    };
    let dash = if looks.unicode { "─" } else { "-" };
    let columns = usize::from(area.width);
    put(buffer, (area.x, area.y), area.width, &dash.repeat(columns), looks.style(Mark::Dim));
    let name = format!(" {} ", cut(name, columns.saturating_sub(6), looks));
    put(buffer, (area.x + 2, area.y), area.width - 2, &name, looks.style(Mark::Strong));
    let below = Rect { y: area.y + 1, height: area.height - 1, ..area };
    match detail {
        Detail::Table(table) => {
            let widths = widths(&table.columns, area.width);
            for (y, row) in (below.y..below.y + below.height).zip(&table.rows) {
                line(buffer, (below.x, y), row, table, &widths, looks, false);
            }
        }
        Detail::Text(_, sentences) => {
            let lines: Vec<String> = sentences.iter().flat_map(|text| wrapped(text, columns)).collect();
            for (y, line) in (below.y..below.y + below.height).zip(&lines) {
                put(buffer, (below.x, y), below.width, line, Style::new());
            }
        }
    }
    // What did not fit is not hidden in silence.
    let more = detail.lines(area.width).saturating_sub(usize::from(below.height));
    if more > 0 {
        let text = format!(" {more} more ");
        let wide = u16::try_from(text.len()).unwrap_or(0).min(area.width);
        put(buffer, (area.x + area.width - wide, area.y), wide, &text, looks.style(Mark::Dim));
    }
}
