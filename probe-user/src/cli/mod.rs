//! The command line: what was typed ([`args`]), and one file for each command that means it.
//!
//! Exit codes are EVENTS.md's: 0 is well, 1 is "not well" (`check`, `test`, `status`), 2 is a wrong command line, 77 a kernel or
//! capabilities that do not suffice, 78 a wrong configuration or policy. Errors are one or a few sentences on stderr; what
//! was asked for goes to stdout.

pub mod args;
mod check;
mod events;
mod history;
mod matching;
mod peers;
mod produce;
mod progress;
mod record;
mod replay;
mod report;
mod run;
mod status;
mod test;
#[cfg(test)]
mod tests;
mod top;
mod unload;
mod words;

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser as _;

use args::{Cli, Command};

use crate::act::{become_user, helper};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// As asked.
    Well,
    /// The answer is no: errors in policies, an unhealthy or absent daemon.
    NotWell,
    /// The command line asks for something that does not exist.
    Usage,
    /// The kernel or the capabilities do not suffice (`EX_NOPERM`).
    Kernel,
    /// The configuration or a policy is wrong (`EX_CONFIG`).
    Config,
}

impl Exit {
    /// The process's exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Well => 0,
            Self::NotWell => 1,
            Self::Usage => 2,
            Self::Kernel => 77,
            Self::Config => 78,
        }
    }
}

/// The whole program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let exit = match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Check(args) => check::check(&args),
        Command::Test(args) => test::test(&args),
        Command::Match(args) => matching::matching(&args),
        Command::Record(args) => record::record(&args),
        Command::Replay(args) => replay::replay(&args),
        Command::Events(args) => events::events(&args),
        Command::Report(args) => report::report(&args),
        Command::History(args) => history::history(&args),
        Command::Status(args) => status::status(&args),
        Command::Peers(args) => peers::peers(&args),
        Command::Top(args) => top::top(&args),
        Command::Unload(args) => unload::unload(&args),
        Command::Doctor(args) => crate::doctor::doctor(&args),
        Command::Schema(args) => produce::schema(&args),
        Command::Completions { shell } => produce::completions(shell),
        Command::Man(args) => produce::man(&args),
        Command::Act => act(),
        Command::Become(args) => return ExitCode::from(become_user::execute(&args)),
    };
    ExitCode::from(exit.code())
}

/// The daemon's helper for actions.
fn act() -> Exit {
    match helper::serve() {
        Ok(()) => Exit::Well,
        Err(error) => {
            complain(&format!("procprobe act: {error}"));
            Exit::NotWell
        }
    }
}

/// Writes an answer to stdout. A reader that went away (`| head`) has what it wanted.
pub(crate) fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
}

/// Writes an error to stderr.
pub(crate) fn complain(text: &str) {
    // There is nobody left to tell when stderr is gone.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Runs a future of a command that talks to the daemon.
pub(crate) fn block_on<F: Future>(future: F) -> io::Result<F::Output> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future))
}

/// What the daemon answered to a future that asks it; none when it did not, which is said.
pub(crate) fn answer<T, E: Display>(asking: impl Future<Output = Result<T, E>>) -> Option<T> {
    let why = match block_on(asking) {
        Ok(Ok(answer)) => return Some(answer),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    complain(&format!("procprobe: {why}"));
    None
}
