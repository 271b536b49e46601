//! What a key means: as in htop, where that has one for it.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// What somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    Enter,
    Back,
    NextScreen,
    PreviousScreen,
    /// By its number, from 1.
    Show(usize),
    Search,
    NextMatch,
    PreviousMatch,
    Filter,
    NextSort,
    PreviousSort,
    Invert,
    Tree,
    Pause,
    Help,
    Quit,
    Suspend,
    Redraw,
}

/// What a key does to a text that is being typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edit {
    Add(char),
    Remove,
    Clear,
    Done,
    Cancel,
}

/// A key outside of a text.
pub(super) fn command(key: KeyEvent) -> Option<Command> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c') => Some(Command::Quit),
            KeyCode::Char('z') => Some(Command::Suspend),
            KeyCode::Char('l') => Some(Command::Redraw),
            KeyCode::Char('f') => Some(Command::PageDown),
            KeyCode::Char('b') => Some(Command::PageUp),
            _ => None,
        };
    }
    Some(match key.code {
        KeyCode::Up | KeyCode::Char('k') => Command::Up,
        KeyCode::Down | KeyCode::Char('j') => Command::Down,
        KeyCode::PageUp => Command::PageUp,
        KeyCode::PageDown | KeyCode::Char(' ') => Command::PageDown,
        KeyCode::Home | KeyCode::Char('g') => Command::Home,
        KeyCode::End | KeyCode::Char('G') => Command::End,
        KeyCode::Enter | KeyCode::Right => Command::Enter,
        KeyCode::Esc | KeyCode::Left | KeyCode::Backspace => Command::Back,
        KeyCode::Tab => Command::NextScreen,
        KeyCode::BackTab => Command::PreviousScreen,
        KeyCode::Char(number @ '1'..='6') => Command::Show(number as usize - '0' as usize),
        KeyCode::Char('/') | KeyCode::F(3) => Command::Search,
        KeyCode::Char('n') => Command::NextMatch,
        KeyCode::Char('N') => Command::PreviousMatch,
        KeyCode::Char('\\' | 'f') | KeyCode::F(4) => Command::Filter,
        KeyCode::Char('s' | '>') | KeyCode::F(6) => Command::NextSort,
        KeyCode::Char('<') => Command::PreviousSort,
        KeyCode::Char('I') => Command::Invert,
        KeyCode::Char('t') | KeyCode::F(5) => Command::Tree,
        KeyCode::Char('p') => Command::Pause,
        KeyCode::Char('h' | '?') | KeyCode::F(1) => Command::Help,
        KeyCode::Char('q') | KeyCode::F(10) => Command::Quit,
        _ => return None,
    })
}

/// A key inside of a text.
pub(super) fn edit(key: KeyEvent) -> Option<Edit> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('u' | 'w') if control => Some(Edit::Clear),
        KeyCode::Char('c') if control => Some(Edit::Cancel),
        KeyCode::Char(letter) if !control && !letter.is_control() => Some(Edit::Add(letter)),
        KeyCode::Backspace => Some(Edit::Remove),
        KeyCode::Enter | KeyCode::F(3 | 4) => Some(Edit::Done),
        KeyCode::Esc => Some(Edit::Cancel),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(code: KeyCode, modifiers: KeyModifiers, expected: Option<Command>) {
        assert_eq!(command(KeyEvent::new(code, modifiers)), expected, "{code:?} {modifiers:?}");
    }

    #[test]
    fn keys_are_those_of_htop() {
        for (code, expected) in [
            (KeyCode::F(1), Command::Help),
            (KeyCode::F(3), Command::Search),
            (KeyCode::F(4), Command::Filter),
            (KeyCode::F(5), Command::Tree),
            (KeyCode::F(6), Command::NextSort),
            (KeyCode::F(10), Command::Quit),
            (KeyCode::Char('t'), Command::Tree),
            (KeyCode::Char('I'), Command::Invert),
            (KeyCode::Char('1'), Command::Show(1)),
            (KeyCode::Char('6'), Command::Show(6)),
        ] {
            check(code, KeyModifiers::NONE, Some(expected));
        }
        check(KeyCode::Char('c'), KeyModifiers::CONTROL, Some(Command::Quit));
        check(KeyCode::Char('q'), KeyModifiers::CONTROL, None);
        check(KeyCode::Char('7'), KeyModifiers::NONE, None);
        check(KeyCode::F(12), KeyModifiers::NONE, None);
        let mut released = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE);
        released.kind = KeyEventKind::Release;
        assert_eq!((command(released), edit(released)), (None, None));
    }

    #[test]
    fn inside_a_text_letters_are_letters() {
        let typed = |code| edit(KeyEvent::new(code, KeyModifiers::NONE));
        assert_eq!(typed(KeyCode::Char('q')), Some(Edit::Add('q')));
        assert_eq!(typed(KeyCode::Enter), Some(Edit::Done));
        assert_eq!(edit(KeyEvent::new(KeyCode::Char('u'), KeyModifiers::CONTROL)), Some(Edit::Clear));
        assert_eq!(typed(KeyCode::Up), None);
    }
}
