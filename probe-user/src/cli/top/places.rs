//! Where things stand on a screen of this size.

use ratatui::layout::Rect;

use super::screens::{self, Detail};
use super::state::State;
use super::table::Table;

/// Below this nothing sensible fits.
pub(super) const LEAST: (u16, u16) = (40, 10);

/// Rows above what is listed: the daemon, the screens, the title.
const ABOVE: u16 = 3;
/// The line of keys.
const BELOW: u16 = 1;
/// Lists have at least so many rows before anything is told of the chosen one.
const LIST_LEAST: u16 = 6;
/// What is told of the chosen row takes at most so many rows, the line above it included.
const DETAIL_MOST: u16 = 10;

/// The parts of a screen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    /// The names of the columns and the rows.
    pub(super) list: Rect,
    /// What is told of the chosen row.
    pub(super) detail: Option<Rect>,
}

impl Places {
    pub(super) fn of(state: &State, table: &Table) -> Self {
        let lines = screens::detail(state, table).map_or(0, |detail| Detail::lines(&detail, state.size.0));
        Self::with(state.size, lines)
    }

    /// With so many lines to tell of the chosen row.
    pub(super) fn with((columns, rows): (u16, u16), lines: usize) -> Self {
        let between = rows.saturating_sub(ABOVE + BELOW);
        let wanted = u16::try_from(lines).unwrap_or(u16::MAX).saturating_add(1).min(DETAIL_MOST).min(between / 2);
        let fits = lines > 0 && wanted >= 2 && between.saturating_sub(wanted) > LIST_LEAST;
        let taken = if fits { wanted } else { 0 };
        let list = Rect { x: 0, y: ABOVE, width: columns, height: between - taken };
        let detail = fits.then_some(Rect { x: 0, y: ABOVE + list.height, width: columns, height: taken });
        Self { list, detail }
    }

    /// How many rows of the list are seen.
    pub(super) fn page(&self) -> usize {
        usize::from(self.list.height.saturating_sub(1)).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_comes_first() {
        for (size, lines, list, detail) in [
            ((80, 24), 0, 20, None),
            ((80, 24), 4, 15, Some(5)),
            ((80, 24), 100, 10, Some(10)),
            ((200, 60), 100, 46, Some(10)),
            ((40, 12), 4, 8, None),
            ((40, 10), 1, 6, None),
            ((60, 14), 1, 8, Some(2)),
            ((1, 1), 5, 0, None),
        ] {
            let places = Places::with(size, lines);
            let found = (places.list.height, places.detail.map(|detail| detail.height));
            assert_eq!(found, (list, detail), "{size:?} {lines}");
        }
    }
}
