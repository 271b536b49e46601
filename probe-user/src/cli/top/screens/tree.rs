//! The members of one group: whose child each is, and what it uses now.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use super::{Cell, Column, Detail, Mark, Row, State, Table, counted};
use crate::cli::words::{bytes, span};
use crate::engine::Member;

pub(super) const ORDERS: [&str; 5] = ["pid", "cpu", "memory", "age", "command"];

const COLUMNS: [Column; 7] = [
    Column::right("PID", 7),
    Column::left("USER", 9).from(60),
    Column::right("CPU%", 6),
    Column::right("MEMORY", 9).from(50),
    Column::right("THR", 4).from(90),
    Column::right("AGE", 8).from(72),
    Column::growing("COMMAND", 12),
];

/// Columns ahead of a branch; children that are deeper stand no further to the right.
const STEM_MAX: usize = 30;

pub(super) fn table(state: &State) -> Table {
    let Some(looked) = &state.looked else { return Table::default() };
    let name = &looked.name;
    let Some(roster) = &looked.roster else {
        let empty = looked.wrong.clone().unwrap_or_else(|| "asking for its processes...".into());
        return Table { title: name.clone(), columns: COLUMNS.to_vec(), rows: Vec::new(), empty };
    };
    let members = roster.members;
    let shown = match roster.processes.len() {
        all if all >= members => counted(members, "process", "processes"),
        some => format!("the {some} of {members} processes that use most"),
    };
    let from = if roster.sampled { "" } else { "; no bound asks for usage, figures are from /proc" };
    let wrong = looked.wrong.as_ref().map(|why| format!("; as of a while ago: {why}")).unwrap_or_default();
    let pane = state.pane();
    let order = |a: &&Member, b: &&Member| {
        let ordering = by(pane.sort, a, b).then_with(|| a.pid.cmp(&b.pid));
        if pane.inverted { ordering.reverse() } else { ordering }
    };
    let mut processes: Vec<&Member> = roster.processes.iter().collect();
    processes.sort_by(order);
    let placed = if state.flat {
        processes.into_iter().map(|member| Placed { member, branch: String::new() }).collect()
    } else {
        grown(&processes)
    };
    Table {
        title: format!("{name}: {shown}{from}{wrong}"),
        columns: COLUMNS.to_vec(),
        rows: placed.iter().map(row).collect(),
        empty: "it has no processes".into(),
    }
}

fn by(order: usize, a: &Member, b: &Member) -> Ordering {
    let cpu = |member: &Member| member.cpu.unwrap_or(-1.0);
    match ORDERS.get(order).copied() {
        Some("cpu") => cpu(b).total_cmp(&cpu(a)),
        Some("memory") => b.memory_bytes.cmp(&a.memory_bytes),
        Some("age") => b.age_seconds.total_cmp(&a.age_seconds),
        Some("command") => a.command.cmp(&b.command),
        _ => Ordering::Equal,
    }
}

/// A process in its place.
struct Placed<'a> {
    member: &'a Member,
    /// The signs ahead of its command: whose child it is, and which of those above it have more children to come.
    branch: String,
}

/// Each behind its parent, in the given order among its siblings. Whose parent is not among them begins a tree.
fn grown<'a>(processes: &[&'a Member]) -> Vec<Placed<'a>> {
    let pids: HashSet<u32> = processes.iter().map(|member| member.pid).collect();
    let mut children: HashMap<Option<u32>, Vec<&'a Member>> = HashMap::new();
    for member in processes {
        let parent = member.parent.filter(|parent| *parent != member.pid && pids.contains(parent));
        children.entry(parent).or_default().push(member);
    }
    let mut placed = Vec::with_capacity(processes.len());
    // Each with what its children's branches begin with.
    let mut waiting: Vec<(Placed<'a>, String)> = Vec::new();
    let plant = |waiting: &mut Vec<_>, of: Vec<&'a Member>, stem: Option<&str>| {
        let last = of.len();
        waiting.extend(of.into_iter().enumerate().rev().map(|(place, member)| {
            let Some(stem) = stem else {
                return (Placed { member, branch: String::new() }, String::new());
            };
            let (sign, below) = if place + 1 == last { ("`- ", "  ") } else { ("|- ", "| ") };
            let below = if stem.len() < STEM_MAX { format!("{stem}{below}") } else { stem.to_owned() };
            (Placed { member, branch: format!("{stem}{sign}") }, below)
        }));
    };
    let mut roots = children.remove(&None).unwrap_or_default();
    loop {
        plant(&mut waiting, roots, None);
        while let Some((each, stem)) = waiting.pop() {
            plant(&mut waiting, children.remove(&Some(each.member.pid)).unwrap_or_default(), Some(&stem));
            placed.push(each);
        }
        // A pid that came again can make a circle, into which no root leads: it is cut open.
        let Some(cut) = processes.iter().find(|member| children.contains_key(&Some(member.pid))) else { return placed };
        roots = children.remove(&Some(cut.pid)).unwrap_or_default();
    }
}

fn row(Placed { member, branch }: &Placed<'_>) -> Row {
    let command = if member.command.is_empty() { format!("[{}]", member.comm) } else { member.command.clone() };
    let unknown = || Cell::marked("?", Mark::Dim);
    Row::new(
        format!("{} {}", member.pid, member.start_boot_ns),
        vec![
            Cell::text(member.pid.to_string()),
            Cell::text(member.user.clone().unwrap_or_else(|| member.uid.to_string())),
            member.cpu.map_or_else(unknown, |cpu| {
                Cell::marked(format!("{:.1}", cpu * 100.0), if cpu >= 0.5 { Mark::Warn } else { Mark::Plain })
            }),
            member.memory_bytes.map_or_else(unknown, |memory| Cell::text(bytes(memory as f64))),
            Cell::text(member.threads.to_string()),
            Cell::text(span(member.age_seconds)),
            Cell::text(format!("{branch}{command}")),
        ],
    )
}

/// The executable and the whole command line.
pub(super) fn detail(state: &State, id: &str) -> Option<Detail> {
    let roster = state.looked.as_ref()?.roster.as_ref()?;
    let member = roster.processes.iter().find(|member| format!("{} {}", member.pid, member.start_boot_ns) == id)?;
    let parent = member.parent.map_or_else(|| "nobody".to_owned(), |parent| parent.to_string());
    let title = format!("{} ({}), child of {parent}", member.pid, member.comm);
    Some(Detail::Text(title, vec![member.exe.clone(), member.command.clone()]))
}
