//! How things look on this terminal: colours or none, letters for curves and bars, and text that keeps to its place.

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Span;

use super::history::LEVELS;
use super::table::Mark;
use crate::event::clean;

/// Letters that stand on the one before them: more than so many of them are a smear over the neighbours.
const STACKED_MAX: usize = 2;

/// What the terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Looks {
    pub(super) colours: bool,
    /// Bold, dim and reversed.
    pub(super) attributes: bool,
    /// More than ASCII.
    pub(super) unicode: bool,
}

impl Looks {
    /// As the environment says: `variable` looks a name up.
    pub(super) fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name| variable(name).filter(|value: &String| !value.is_empty());
        let dumb = set("TERM").is_none_or(|term| term == "dumb");
        let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG")).unwrap_or_default();
        let utf8 = ["utf-8", "utf8"].iter().any(|end| locale.to_lowercase().ends_with(end));
        Self { colours: !dumb && set("NO_COLOR").is_none(), attributes: !dumb, unicode: utf8 && !dumb }
    }

    pub(super) fn style(self, mark: Mark) -> Style {
        let plain = Style::new();
        match mark {
            Mark::Plain => plain,
            Mark::Dim => self.attribute(plain, Modifier::DIM),
            Mark::Strong => self.attribute(plain, Modifier::BOLD),
            Mark::Good => self.colour(plain, Color::Green),
            Mark::Warn => self.colour(plain, Color::Yellow),
            Mark::Bad => self.attribute(self.colour(plain, Color::Red), Modifier::BOLD),
        }
    }

    /// Of what stands out as a whole line.
    pub(super) fn reversed(self) -> Style {
        self.attribute(Style::new(), Modifier::REVERSED)
    }

    fn colour(self, style: Style, colour: Color) -> Style {
        if self.colours { style.fg(colour) } else { style }
    }

    fn attribute(self, style: Style, modifier: Modifier) -> Style {
        if self.attributes { style.add_modifier(modifier) } else { style }
    }

    /// One column of a curve.
    pub(super) fn level(self, level: Option<u8>) -> char {
        const BLOCKS: [char; LEVELS as usize + 1] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        const LETTERS: [char; LEVELS as usize + 1] = [' ', '.', '.', ':', ':', '=', '=', '#', '#'];
        let letters = if self.unicode { BLOCKS } else { LETTERS };
        level.and_then(|level| letters.get(usize::from(level)).copied()).unwrap_or(' ')
    }

    /// A bar of so many columns, full at 1, and the share in percent behind it.
    pub(super) fn bar(self, share: Option<f64>, columns: usize) -> String {
        let Some(share) = share else { return format!("{:columns$}    ?", "") };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the columns")]
        let full = (share.clamp(0.0, 1.0) * columns as f64).round() as usize;
        let (filled, free) = if self.unicode { ("█", "░") } else { ("#", ".") };
        let bar = format!("{}{}", filled.repeat(full), free.repeat(columns.saturating_sub(full)));
        let percent = share * 100.0;
        if percent < 999.5 { format!("{bar} {percent:3.0}%") } else { format!("{bar} >1k%") }
    }
}

/// How many columns it takes.
pub(super) fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { Span::raw(text).width() }
}

/// Fit to print: no controls, and no towers of marks.
pub(super) fn printable(text: &str) -> String {
    let cleaned = clean(text);
    if cleaned.is_ascii() {
        return cleaned;
    }
    let mut stacked = 0;
    let keeps = |letter: &char| {
        stacked = if width(letter.encode_utf8(&mut [0; 4])) == 0 { stacked + 1 } else { 0 };
        stacked <= STACKED_MAX
    };
    cleaned.chars().filter(keeps).collect()
}

/// Cut to so many columns, the last of which says so.
pub(super) fn cut(text: &str, columns: usize, looks: Looks) -> String {
    let text = printable(text);
    if width(&text) <= columns {
        return text;
    }
    let mut room = columns.saturating_sub(1);
    let mut kept = String::new();
    for letter in text.chars() {
        let wide = width(letter.encode_utf8(&mut [0; 4]));
        let Some(left) = room.checked_sub(wide) else { break };
        room = left;
        kept.push(letter);
    }
    if columns > 0 {
        kept.push(if looks.unicode { '…' } else { '~' });
    }
    kept
}

/// In lines of so many columns, at spaces where there are some.
pub(super) fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(2);
    let text = printable(text);
    let (mut lines, mut line, mut used) = (Vec::new(), String::new(), 0);
    for word in text.split(' ') {
        let wide = width(word);
        if used > 0 && used + 1 + wide > columns {
            lines.push(std::mem::take(&mut line));
            used = 0;
        } else if used > 0 {
            line.push(' ');
            used += 1;
        }
        for letter in word.chars() {
            let wide = width(letter.encode_utf8(&mut [0; 4]));
            if used + wide > columns {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push(letter);
            used += wide;
        }
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// Writes a text at a place, within so many columns.
pub(super) fn put(buffer: &mut Buffer, (x, y): (u16, u16), columns: u16, text: &str, style: Style) {
    if y < buffer.area.height && x < buffer.area.width {
        let columns = columns.min(buffer.area.width - x);
        buffer.set_stringn(x, y, text, usize::from(columns), style);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: Looks = Looks { colours: true, attributes: true, unicode: true };
    const BARE: Looks = Looks { colours: false, attributes: false, unicode: false };

    fn check_looks(set: &[(&str, &str)], expected: (bool, bool, bool)) {
        let variable = |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let Looks { colours, attributes, unicode } = Looks::of(variable);
        assert_eq!((colours, attributes, unicode), expected, "{set:?}");
    }

    #[test]
    fn the_environment_says_what_the_terminal_can_show() {
        check_looks(&[("TERM", "xterm"), ("LANG", "C.UTF-8")], (true, true, true));
        check_looks(&[("TERM", "xterm"), ("LANG", "ko_KR.utf8"), ("NO_COLOR", "1")], (false, true, true));
        check_looks(&[("TERM", "xterm"), ("LANG", "C.UTF-8"), ("LC_ALL", "C"), ("NO_COLOR", "")], (true, true, false));
        check_looks(&[("TERM", "dumb"), ("LANG", "C.UTF-8")], (false, false, false));
        check_looks(&[], (false, false, false));
        for mark in [Mark::Plain, Mark::Dim, Mark::Strong, Mark::Good, Mark::Warn, Mark::Bad] {
            assert_eq!(BARE.style(mark), Style::new());
        }
        assert_eq!(BARE.reversed(), Style::new());
    }

    #[test]
    fn bars_and_curves_have_their_width_on_every_terminal() {
        for (share, full, bare) in [
            (Some(0.0), "░░░░   0%", "....   0%"),
            (Some(0.5), "██░░  50%", "##..  50%"),
            (Some(2.0), "████ 200%", "#### 200%"),
            (Some(1e9), "████ >1k%", "#### >1k%"),
            (Some(f64::NAN), "░░░░ >1k%", ".... >1k%"),
            (None, "        ?", "        ?"),
        ] {
            assert_eq!((FULL.bar(share, 4).as_str(), BARE.bar(share, 4).as_str()), (full, bare));
        }
        assert_eq!(
            [None, Some(0), Some(1), Some(8), Some(9)].map(|level| FULL.level(level)),
            [' ', ' ', '▁', '█', ' ']
        );
    }

    #[test]
    fn text_keeps_to_its_place_however_wide_its_letters_are() {
        for (text, columns, expected) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("한국어", 6, "한국어"),
            ("한국어", 5, "한국…"),
            ("한국어", 4, "한…"),
            ("a\u{1b}[31mb", 20, "a\\x1b[31mb"),
            ("a\u{202e}b", 20, "a\\u{202e}b"),
            ("abc", 0, ""),
            ("e\u{301}\u{301}\u{301}\u{301}x", 9, "e\u{301}\u{301}x"),
        ] {
            let found = cut(text, columns, FULL);
            assert_eq!(found, expected);
            assert!(width(&found) <= columns, "{text}");
        }
        assert_eq!(cut("abcd", 3, BARE), "ab~");
    }

    #[test]
    fn sentences_are_wrapped_at_spaces_and_long_words_anywhere() {
        assert_eq!(wrapped("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrapped("abcdefgh ij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrapped("한국어", 4), ["한국", "어"]);
        assert_eq!(wrapped("", 4), [""]);
        assert!(wrapped(&"x y\n".repeat(500), 3).iter().all(|line| width(line) <= 3));
    }
}
