//! What every screen comes down to: rows of cells under columns, and which of them is chosen.

use crate::event::clean;

/// What a cell looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mark {
    #[default]
    Plain,
    Dim,
    Strong,
    Good,
    Warn,
    Bad,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Text(String, Mark),
    /// How near a limit: 1 is the limit.
    Near(Option<f64>, Mark),
    /// Levels of [`super::history::LEVELS`].
    Curve(Vec<Option<u8>>),
}

impl Cell {
    /// Text from outside as well: it is made fit to print.
    pub(super) fn text(text: impl AsRef<str>) -> Self {
        Self::marked(text, Mark::Plain)
    }

    pub(super) fn marked(text: impl AsRef<str>, mark: Mark) -> Self {
        Self::Text(clean(text.as_ref()), mark)
    }

    /// As it is searched for.
    fn as_str(&self) -> &str {
        match self {
            Self::Text(text, _) => text,
            Self::Near(..) | Self::Curve(_) => "",
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    /// At least so wide.
    pub(super) width: u16,
    pub(super) right: bool,
    /// It takes what the others leave.
    pub(super) grows: bool,
    /// It is left out on screens that are not so wide.
    pub(super) from: u16,
}

impl Column {
    pub(super) const fn left(name: &'static str, width: u16) -> Self {
        Self { name, width, right: false, grows: false, from: 0 }
    }

    pub(super) const fn right(name: &'static str, width: u16) -> Self {
        Self { right: true, ..Self::left(name, width) }
    }

    pub(super) const fn growing(name: &'static str, width: u16) -> Self {
        Self { grows: true, ..Self::left(name, width) }
    }

    pub(super) const fn from(self, from: u16) -> Self {
        Self { from, ..self }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Row {
    /// What stays the same while figures change.
    pub(super) id: String,
    pub(super) cells: Vec<Cell>,
}

impl Row {
    pub(super) fn new(id: impl Into<String>, cells: Vec<Cell>) -> Self {
        Self { id: id.into(), cells }
    }

    /// Whether it has this text somewhere, whatever its case; `wanted` is in lower case.
    pub(super) fn has(&self, wanted: &str) -> bool {
        self.cells.iter().any(|cell| cell.as_str().to_lowercase().contains(wanted))
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    /// What stands above it.
    pub(super) title: String,
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Row>,
    /// What is said where there are no rows.
    pub(super) empty: String,
}

impl Table {
    /// Only rows that have this text.
    pub(super) fn keep(&mut self, wanted: &str) {
        if wanted.is_empty() {
            return;
        }
        let wanted = wanted.to_lowercase();
        let all = self.rows.len();
        self.rows.retain(|row| row.has(&wanted));
        if self.rows.is_empty() && all > 0 {
            self.empty = format!("none of {all} has `{}`", clean(&wanted));
        }
    }
}

/// Which row is chosen, and which one is the first to be seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Cursor {
    id: Option<String>,
    pub(super) index: usize,
    pub(super) offset: usize,
}

impl Cursor {
    /// Finds its row among these, which may be others than before: by what it is, else by its place. Of the first one,
    /// which nobody has chosen yet, the place stays.
    pub(super) fn settle(&mut self, rows: &[Row], height: usize) {
        if let Some(id) = &self.id {
            match rows.iter().position(|row| row.id == *id) {
                Some(index) => self.index = index,
                None => self.id = None,
            }
        }
        self.index = self.index.min(rows.len().saturating_sub(1));
        let height = height.max(1);
        let highest = rows.len().saturating_sub(height);
        self.offset = self.offset.max((self.index + 1).saturating_sub(height)).min(self.index).min(highest);
    }

    /// Goes there; the first row is a place, not a row: what comes before it is then seen as it comes.
    pub(super) fn go(&mut self, rows: &[Row], index: usize) {
        self.index = index.min(rows.len().saturating_sub(1));
        self.id = if self.index == 0 { None } else { rows.get(self.index).map(|row| row.id.clone()) };
    }

    /// Keeps to its row, also to the first one.
    pub(super) fn hold(&mut self, rows: &[Row]) {
        self.id = rows.get(self.index).map(|row| row.id.clone());
    }

    /// The next row behind it (or before it) that has this text, all around.
    pub(super) fn find(&mut self, rows: &[Row], wanted: &str, steps: impl Iterator<Item = usize>) -> bool {
        let wanted = wanted.to_lowercase();
        let count = rows.len().max(1);
        let found = steps
            .map(|step| (self.index + step) % count)
            .find(|index| rows.get(*index).is_some_and(|row| row.has(&wanted)));
        if let Some(index) = found {
            self.go(rows, index);
        }
        found.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(names: &[&str]) -> Vec<Row> {
        names.iter().map(|name| Row::new(*name, vec![Cell::text(name)])).collect()
    }

    #[test]
    fn the_chosen_row_stays_chosen_and_in_sight() {
        let mut cursor = Cursor::default();
        let first = rows(&["a", "b", "c", "d", "e"]);
        cursor.go(&first, 3);
        cursor.settle(&first, 2);
        assert_eq!((cursor.index, cursor.offset), (3, 2));
        cursor.settle(&rows(&["d", "x", "a"]), 2);
        assert_eq!((cursor.index, cursor.offset), (0, 0));
        cursor.settle(&rows(&["x", "a", "d"]), 2);
        assert_eq!((cursor.index, cursor.offset), (2, 1));
        cursor.settle(&rows(&["x"]), 2);
        assert_eq!((cursor.index, cursor.offset), (0, 0));
        cursor.settle(&[], 0);
        assert_eq!((cursor.index, cursor.offset), (0, 0));
    }

    #[test]
    fn whoever_looks_at_the_first_row_sees_what_is_new() {
        let mut cursor = Cursor::default();
        cursor.settle(&rows(&["a"]), 5);
        cursor.settle(&rows(&["new", "a"]), 5);
        assert_eq!(cursor.index, 0);
        cursor.go(&rows(&["new", "a"]), 1);
        cursor.settle(&rows(&["newer", "new", "a"]), 5);
        assert_eq!(cursor.index, 2);
    }

    #[test]
    fn a_search_goes_around() {
        let rows = rows(&["Abc", "x", "cab", "y"]);
        let mut cursor = Cursor::default();
        let mut found = Vec::new();
        for _ in 0..3 {
            assert!(cursor.find(&rows, "aB", 1..=rows.len()));
            found.push(cursor.index);
        }
        assert_eq!(found, [2, 0, 2]);
        assert!(cursor.find(&rows, "x", (1..=rows.len()).rev()));
        assert!(!cursor.find(&rows, "nowhere", 1..=rows.len()) && cursor.index == 1);
        assert!(!cursor.find(&[], "x", std::iter::empty()));
    }

    #[test]
    fn a_filter_leaves_what_has_the_text() {
        let mut table = Table { rows: rows(&["Abc", "x"]), ..Table::default() };
        table.keep("BC");
        assert_eq!(table.rows.len(), 1);
        table.keep("z\u{1b}");
        assert!(table.rows.is_empty() && table.empty == "none of 1 has `z\\x1b`", "{}", table.empty);
    }
}
