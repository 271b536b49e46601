//! A real terminal to run programs in: tmux, with a server of its own that nobody else's sessions are on.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::daemon::end_of_patience;

/// No line of its own, and the size that it is told.
const SETTINGS: &str = "set -g status off\nset -g default-terminal tmux-256color\n\
                        set -g remain-on-exit on\nset -sg escape-time 0\nset -g history-limit 1000\n";

/// One terminal with a shell in it. Dropped, it is ended with all that runs in it.
#[derive(Debug)]
pub struct Tmux {
    folder: TempDir,
}

impl Tmux {
    /// Of so many columns and rows.
    pub fn new(columns: u16, rows: u16) -> Self {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let settings = folder.path().join("settings");
        fs::write(&settings, SETTINGS).unwrap_or_else(|error| panic!("{error}"));
        let tmux = Self { folder };
        let (columns, rows) = (columns.to_string(), rows.to_string());
        tmux.run(&["new-session", "-d", "-s", "own", "-x", &columns, "-y", &rows, "env PS1='$ ' ENV= sh"]);
        tmux.wait_for("the shell", |screen| screen.contains('$'));
        tmux
    }

    fn command(&self, arguments: &[&str]) -> Output {
        let place = |name: &str| self.folder.path().join(name);
        let mut command = Command::new("tmux");
        command.arg("-S").arg(place("socket")).arg("-f").arg(place("settings")).args(arguments);
        // What the shell of the terminal begins with.
        command
            .env("LANG", "C.UTF-8")
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            .env_remove("NO_COLOR")
            .env_remove("TMUX");
        command.stdin(Stdio::null());
        command.output().unwrap_or_else(|error| panic!("cannot start tmux (Debian's package tmux): {error}"))
    }

    /// A command of tmux, which must end well.
    fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "tmux {arguments:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
        said
    }

    /// Types a text.
    pub fn types(&self, text: &str) {
        self.run(&["send-keys", "-l", "--", text]);
    }

    /// Presses a key by its name: `Enter`, `Down`, `F1`, `C-c`.
    pub fn press(&self, key: &str) {
        self.run(&["send-keys", key]);
    }

    /// A line of the shell.
    pub fn line(&self, line: &str) {
        self.types(line);
        self.press("Enter");
    }

    /// What is on the screen.
    pub fn screen(&self) -> String {
        self.run(&["capture-pane", "-p"])
    }

    /// The same with the codes that make colours.
    pub fn coloured(&self) -> String {
        self.run(&["capture-pane", "-p", "-e"])
    }

    /// What the terminal says of itself, such as `#{alternate_on}`.
    pub fn says(&self, format: &str) -> String {
        self.run(&["display-message", "-p", format]).trim_end().to_owned()
    }

    /// Another size.
    pub fn resize(&self, columns: u16, rows: u16) {
        self.run(&["resize-window", "-x", &columns.to_string(), "-y", &rows.to_string()]);
    }

    /// Writes everything that the terminal is sent from now on into a file.
    pub fn pipe_to(&self, path: &Path) {
        self.run(&["pipe-pane", &format!("cat > '{}'", path.display())]);
    }

    /// Waits until the screen fits, and returns it. Panics with what was there instead.
    pub fn wait_for(&self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        let deadline = end_of_patience();
        loop {
            let screen = self.screen();
            if fits(&screen) {
                return screen;
            }
            assert!(Instant::now() < deadline, "{what} did not come:\n{screen}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        // Its shell and what runs in it go with their terminal.
        let _ = self.command(&["kill-server"]);
    }
}
