//! Groups, logs and sets of peers: how much there is, and how near the nearest bound.

use std::cmp::Ordering;

use super::{Cell, Column, Detail, Mark, Row, Standing, State, Table, counted, standing_mark};
use crate::cli::top::history::{cpu_of, members_of};
use crate::cli::top::report::{Bound, Group};
use crate::cli::words::{amount, bytes, span};

pub(super) const ORDERS: [&str; 5] = ["state", "name", "count", "cpu", "memory"];

const COLUMNS: [Column; 8] = [
    Column::growing("GROUP", 12),
    Column::right("COUNT", 5),
    Column::right("CPU", 6).from(48),
    Column::right("MEMORY", 9).from(58),
    Column::left("NEAR", 13),
    Column::left("STATE", 8).from(52),
    Column::left("BOUND", 18).from(80),
    Column::left("CPU, 2 MIN", 24).from(110),
];

/// Values in one column of a curve: two minutes in 24 columns.
const EACH: usize = 5;

/// Columns of the curve of one bound.
const CURVE: u16 = 24;

/// What is counted.
#[derive(Clone, Copy)]
enum Kind {
    Processes,
    Log,
    Hosts,
}

pub(super) fn table(state: &State) -> Table {
    let Some(report) = state.shown() else {
        return Table { columns: COLUMNS.to_vec(), ..Table::default() };
    };
    let engine = &report.engine;
    let mut groups: Vec<(&Group, Kind)> = engine.groups.iter().map(|group| (group, Kind::Processes)).collect();
    groups.extend(engine.logs.iter().map(|log| (log, Kind::Log)));
    groups.extend(engine.peers.iter().map(|set| (set, Kind::Hosts)));
    let pane = state.pane();
    groups.sort_by(|(a, _), (b, _)| {
        let ordering = by(pane.sort, a, b).then_with(|| a.name.cmp(&b.name));
        if pane.inverted { ordering.reverse() } else { ordering }
    });
    let sampled = engine.groups.iter().all(|group| group.usage.is_some());
    let dash = if sampled { "" } else { "; - is not sampled, for no bound asks" };
    Table {
        title: format!("{}{dash}", counted(engine.groups.len(), "group", "groups")),
        columns: COLUMNS.to_vec(),
        rows: groups.into_iter().map(|(group, kind)| row(state, group, kind)).collect(),
        empty: "no policy has groups".into(),
    }
}

fn by(order: usize, a: &Group, b: &Group) -> Ordering {
    let cpu = |group: &Group| group.usage.and_then(|usage| usage.cpu).unwrap_or(-1.0);
    let memory = |group: &Group| group.usage.and_then(|usage| usage.memory_bytes);
    match ORDERS.get(order).copied() {
        Some("name") => Ordering::Equal,
        Some("count") => b.members.cmp(&a.members),
        Some("cpu") => cpu(b).total_cmp(&cpu(a)),
        Some("memory") => memory(b).cmp(&memory(a)),
        _ => {
            let nearness = |group: &Group| nearest(group).and_then(near).unwrap_or(-1.0);
            state_of(b).cmp(&state_of(a)).then_with(|| nearness(b).total_cmp(&nearness(a)))
        }
    }
}

fn state_of(group: &Group) -> Standing {
    group.bounds.iter().map(|bound| bound.state).max().unwrap_or_default()
}

/// How near the limit it is. A known value without such a ratio (nothing where something must be, or may be) is all the
/// way beyond it or has not begun.
fn near(bound: &Bound) -> Option<f64> {
    let extreme = if bound.state >= Standing::Pending { f64::INFINITY } else { 0.0 };
    bound.nearness.or_else(|| bound.value.map(|_| extreme))
}

/// The bound that is worst off.
fn nearest(group: &Group) -> Option<&Bound> {
    let rank = |bound: &Bound| near(bound).unwrap_or(-1.0);
    group.bounds.iter().max_by(|a, b| a.state.cmp(&b.state).then_with(|| rank(a).total_cmp(&rank(b))))
}

fn row(state: &State, group: &Group, kind: Kind) -> Row {
    let usage = group.usage.unwrap_or_default();
    let figure = |text: Option<String>| match text {
        Some(text) => Cell::text(text),
        None => Cell::marked(if group.usage.is_some() { "?" } else { "-" }, Mark::Dim),
    };
    let standing = state_of(group);
    let bound = nearest(group);
    let count = match kind {
        Kind::Processes => Cell::text(group.members.to_string()),
        Kind::Log => Cell::marked("log", Mark::Dim),
        Kind::Hosts => Cell::marked("peers", Mark::Dim),
    };
    Row::new(
        group.name.clone(),
        vec![
            Cell::text(&group.name),
            count,
            figure(usage.cpu.map(|cpu| format!("{cpu:.2}"))),
            figure(usage.memory_bytes.map(|memory| bytes(memory as f64))),
            bound.map_or_else(|| Cell::marked("-", Mark::Dim), |bound| Cell::Near(near(bound), near_mark(bound))),
            if group.bounds.is_empty() {
                Cell::marked("-", Mark::Dim)
            } else {
                Cell::marked(standing.as_str(), standing_mark(standing))
            },
            Cell::text(bound.map_or_else(|| "no bounds".to_owned(), limit)),
            Cell::Curve(state.history.curve(&cpu_of(&group.name), usize::from(CURVE), EACH, 0.0)),
        ],
    )
}

/// `count min 2`
fn limit(bound: &Bound) -> String {
    let within = bound.within_seconds.map(|within| format!(" in {}", span(within))).unwrap_or_default();
    format!("{}{within} {} {}", bound.measure, bound.side, figure(bound, bound.limit))
}

fn figure(bound: &Bound, value: f64) -> String {
    if bound.is_share { format!("{:.0} %", value * 100.0) } else { amount(&bound.measure, value) }
}

fn near_mark(bound: &Bound) -> Mark {
    match (bound.state, bound.nearness) {
        (Standing::Firing, _) => Mark::Bad,
        (Standing::Pending, _) => Mark::Warn,
        (_, Some(near)) if near > 0.8 && bound.side == "max" => Mark::Warn,
        _ => Mark::Good,
    }
}

/// Logs and sets of peers have none.
pub(super) fn has_members(state: &State, id: &str) -> bool {
    state.shown().is_some_and(|report| report.engine.groups.iter().any(|group| group.name == id))
}

/// Every bound of a group, with its value and what that was.
pub(super) fn detail(state: &State, id: &str) -> Option<Detail> {
    let engine = &state.shown()?.engine;
    let group = engine.all().find(|group| group.name == id)?;
    let columns = vec![
        Column::growing("BOUND", 20),
        Column::right("VALUE", 12),
        Column::left("NEAR", 13),
        Column::left("STATE", 15).from(64),
        Column::left("", CURVE).from(96),
    ];
    let mut rows: Vec<Row> = group.bounds.iter().map(|bound| bound_row(state, bound)).collect();
    if rows.is_empty() {
        let curve = state.history.curve(&members_of(&group.name), usize::from(CURVE), EACH, 0.0);
        let cells = vec![Cell::text("members"), Cell::text(group.members.to_string()), Cell::marked("-", Mark::Dim)];
        rows.push(Row::new("", [cells, vec![Cell::text("no bounds"), Cell::Curve(curve)]].concat()));
    }
    let title = format!("{} ({})", group.name, group.declared);
    Some(Detail::Table(Table { title, columns, rows, empty: String::new() }))
}

fn bound_row(state: &State, bound: &Bound) -> Row {
    let value = bound.value.map_or_else(|| "?".to_owned(), |value| figure(bound, value));
    let at_least = if bound.lower_limit { ">= " } else { "" };
    let since = bound.since_seconds.map(|since| format!(" {}", span(since))).unwrap_or_default();
    let curve = state.history.curve(&bound.name, usize::from(CURVE), EACH, bound.limit);
    Row::new(
        bound.name.clone(),
        vec![
            Cell::text(limit(bound)),
            Cell::text(format!("{at_least}{value}")),
            Cell::Near(near(bound), near_mark(bound)),
            Cell::marked(format!("{}{since}", bound.state.as_str()), standing_mark(bound.state)),
            Cell::Curve(curve),
        ],
    )
}
