//! What keys do.

use ratatui::crossterm::event::KeyEvent;

use super::{About, Effect, Looked, Pane, State, TYPED_MAX, Typing};
use crate::cli::top::keys::{self, Command, Edit};
use crate::cli::top::places::Places;
use crate::cli::top::screens::{self, Screen};
use crate::event::clean;

impl State {
    pub(super) fn key(&mut self, key: KeyEvent) -> Option<Effect> {
        self.note = None;
        if let Some(typing) = self.typing {
            if let Some(edit) = keys::edit(key) {
                self.edit(typing, edit);
            }
            return None;
        }
        let command = keys::command(key);
        if self.help && !matches!(command, Some(Command::Quit | Command::Suspend | Command::Redraw)) {
            self.help = false;
            return None;
        }
        self.command(command?)
    }

    fn command(&mut self, command: Command) -> Option<Effect> {
        match command {
            Command::Quit => return Some(Effect::Quit),
            Command::Suspend => return Some(Effect::Suspend),
            Command::Redraw => return Some(Effect::Redraw),
            Command::Up => self.go(|index, _| index.saturating_sub(1)),
            Command::Down => self.go(|index, _| index + 1),
            Command::PageUp => self.go(usize::saturating_sub),
            Command::PageDown => self.go(|index, page| index + page),
            Command::Home => self.go(|_, _| 0),
            Command::End => self.go(|_, _| usize::MAX),
            Command::Enter => return self.enter(),
            Command::Back => return self.back(),
            Command::NextScreen => return self.show(self.screen.next()),
            Command::PreviousScreen => return self.show(self.screen.previous()),
            Command::Show(number) => {
                let screen = Screen::TABS.get(number.wrapping_sub(1))?;
                return self.show(*screen);
            }
            Command::Search => {
                self.search.clear();
                self.typing = Some(Typing::Search);
            }
            Command::NextMatch => self.find_again(false),
            Command::PreviousMatch => self.find_again(true),
            Command::Filter => self.typing = Some(Typing::Filter),
            Command::NextSort => self.sort(1),
            Command::PreviousSort => self.sort(self.screen.orders().len().saturating_sub(1)),
            Command::Invert => {
                let pane = self.pane_mut();
                pane.inverted = !pane.inverted;
            }
            Command::Tree => self.flat = !self.flat,
            Command::Pause => {
                self.paused = !self.paused;
                self.release();
            }
            Command::Help => self.help = true,
        }
        None
    }

    fn edit(&mut self, typing: Typing, edit: Edit) {
        let text = match typing {
            Typing::Search => &mut self.search,
            Typing::Filter => &mut self.pane_mut().filter,
        };
        match edit {
            Edit::Add(letter) if text.chars().count() < TYPED_MAX => text.push(letter),
            Edit::Add(_) => {}
            Edit::Remove => drop(text.pop()),
            Edit::Clear => text.clear(),
            Edit::Done => self.typing = None,
            Edit::Cancel => {
                if typing == Typing::Filter {
                    self.hold();
                    self.pane_mut().filter.clear();
                } else {
                    text.clear();
                }
                self.typing = None;
            }
        }
        if typing == Typing::Search && self.typing.is_some() && !self.search.is_empty() {
            self.find(&|count| (0..count).collect());
        }
    }

    /// Moves the choice; `to` is told where it is, and how many rows are seen.
    fn go(&mut self, to: impl Fn(usize, usize) -> usize) {
        let table = self.table();
        let page = Places::of(self, &table).page();
        let cursor = &mut self.pane_mut().cursor;
        cursor.settle(&table.rows, page);
        let index = to(cursor.index, page);
        cursor.go(&table.rows, index);
    }

    fn find_again(&mut self, backwards: bool) {
        if self.search.is_empty() {
            self.note = Some("nothing is searched for yet: `/` does".into());
        } else if backwards {
            self.find(&|count| (1..=count).map(|back| count - back % count.max(1)).collect());
        } else {
            self.find(&|count| (1..=count).collect());
        }
    }

    /// Goes to the first row that has the text, so many steps from here.
    fn find(&mut self, steps: &dyn Fn(usize) -> Vec<usize>) {
        let table = self.table();
        let page = Places::of(self, &table).page();
        let wanted = self.search.clone();
        let cursor = &mut self.pane_mut().cursor;
        cursor.settle(&table.rows, page);
        if !cursor.find(&table.rows, &wanted, steps(table.rows.len()).into_iter()) {
            self.note = Some(format!("`{}` is not found", clean(&wanted)));
        }
    }

    fn sort(&mut self, steps: usize) {
        let orders = self.screen.orders().len();
        if orders > 1 {
            let pane = self.pane_mut();
            pane.sort = (pane.sort + steps) % orders;
            pane.inverted = false;
        } else {
            self.note = Some("this screen has one order only".into());
        }
    }

    fn show(&mut self, screen: Screen) -> Option<Effect> {
        let before = self.about();
        self.screen = screen;
        self.looked = None;
        let now = self.about();
        (now != before).then_some(Effect::LookAt(now))
    }

    /// Looks at the members of what is chosen.
    fn enter(&mut self) -> Option<Effect> {
        if self.screen == Screen::Tree {
            return None;
        }
        let table = self.table();
        let page = Places::of(self, &table).page();
        let cursor = &mut self.pane_mut().cursor;
        cursor.settle(&table.rows, page);
        let id = &table.rows.get(cursor.index)?.id;
        let Some(name) = screens::group_of(self, id) else {
            self.note = Some("there are no processes to show of this".into());
            return None;
        };
        self.looked = Some(Looked { name: name.clone(), roster: None, wrong: None, from: self.screen });
        self.screen = Screen::Tree;
        let sort = self.pane().sort;
        *self.pane_mut() = Pane { sort, ..Pane::default() };
        Some(Effect::LookAt(About::Group(name)))
    }

    /// What is chosen now stays chosen whatever else is listed.
    fn hold(&mut self) {
        let table = self.table();
        let page = Places::of(self, &table).page();
        let cursor = &mut self.pane_mut().cursor;
        cursor.settle(&table.rows, page);
        cursor.hold(&table.rows);
    }

    /// Out of the filter, else out of the members.
    fn back(&mut self) -> Option<Effect> {
        if !self.pane().filter.is_empty() {
            self.hold();
            self.pane_mut().filter.clear();
            return None;
        }
        let from = self.looked.as_ref()?.from;
        self.show(from)
    }
}
