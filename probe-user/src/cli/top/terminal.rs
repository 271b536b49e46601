//! The terminal: taken over at the start, given back as it was at the end, whatever that end is.

use std::io::{self, BufWriter, Stdout, Write as _, stdout};
use std::thread;

use ratatui::Terminal;
use ratatui::backend::{Backend as _, CrosstermBackend};
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::event::{Event, read};
use ratatui::crossterm::execute;
use ratatui::crossterm::style::ResetColor;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use rustix::process::{Signal, kill_current_process_group};
use tokio::sync::mpsc;

use super::draw::draw;
use super::paint::Looks;
use super::state::{Input, State};

/// A picture is written at once.
const PICTURE_BYTES: usize = 64 << 10;
/// Keys that wait.
const KEYS: usize = 64;

/// The terminal while it is ours. Dropped, it is as it was.
pub(super) struct Screen(Terminal<CrosstermBackend<BufWriter<Stdout>>>);

impl Screen {
    pub(super) fn take() -> io::Result<Self> {
        enter()?;
        let out = BufWriter::with_capacity(PICTURE_BYTES, stdout());
        Terminal::new(CrosstermBackend::new(out)).map(Self).inspect_err(|_| leave())
    }

    pub(super) fn draw(&mut self, state: &mut State, looks: Looks) -> io::Result<()> {
        self.0.draw(|frame| draw(state, looks, frame.buffer_mut())).map(drop)
    }

    /// The next picture is written as a whole.
    pub(super) fn forget(&mut self) -> io::Result<()> {
        // Terminal's own clear asks the terminal where its cursor is; the answer would go to the thread that reads keys.
        self.0.backend_mut().clear()?;
        self.0.swap_buffers();
        Ok(())
    }

    /// Gives the terminal back and stops, until somebody says `fg`.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        leave();
        // As the terminal does it: whoever waits for this program stops as well.
        kill_current_process_group(Signal::TSTP)?;
        enter()?;
        self.forget()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

fn enter() -> io::Result<()> {
    enable_raw_mode()?;
    execute!(stdout(), EnterAlternateScreen, Hide).inspect_err(|_| leave())
}

/// Best effort: a terminal that is gone needs nothing.
fn leave() {
    let _ = execute!(stdout(), ResetColor, Show, LeaveAlternateScreen);
    let _ = stdout().flush();
    let _ = disable_raw_mode();
}

/// Keys and sizes as they come, read by a thread of its own. Closed when there is no terminal any more.
pub(super) fn keyboard() -> io::Result<mpsc::Receiver<Input>> {
    let (sender, keys) = mpsc::channel(KEYS);
    thread::Builder::new().name("keys".into()).spawn(move || {
        while let Ok(event) = read() {
            let input = match event {
                Event::Key(key) => Input::Key(key),
                Event::Resize(columns, rows) => Input::Size(columns, rows),
                _ => continue,
            };
            if sender.blocking_send(input).is_err() {
                return;
            }
        }
    })?;
    Ok(keys)
}
